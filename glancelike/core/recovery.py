"""Clearing up after processes that died: half-done uploads, and data of deleted images that are still there.

Every process of every node does this, and any of them may die or be cut off at any point:

* An upload is taken for dead when its process is known to be dead (same machine, see ``nodes.py``), when this process
  gave it up itself, or when it has not renewed its lease for ``upload_lease_seconds``. Exactly one process gets it
  (``upload_take_over``), removes its bytes, and then ends it: a death in between leaves a lease that expires again.
* While the database does not answer, nobody can renew a lease. So silence counts only once the database has answered
  this process for two heartbeats: by then all that live have been heard again.
* What the store cannot do now stays, with its lease or row, for the next round.
"""

from __future__ import annotations

import dataclasses
import logging
import random
import time
import uuid
from collections.abc import Callable

from glancelike import context, errors
from glancelike.core import leftovers
from glancelike.core.leases import Leases
from glancelike.core.locations import LocationService
from glancelike.core.threads import NativeThreads
from glancelike.db_drivers.base import DbDriver
from glancelike.model.image import Location
from glancelike.model.upload import Upload
from glancelike.store_drivers.base import DISCARD, LIST_UNFINISHED
from glancelike.store_drivers.stores import CheckedStore, Stores

LOG = logging.getLogger(__name__)

#: Rows asked for at once.
BATCH = 100


@dataclasses.dataclass(slots=True)
class Found:
    """What one round did, in numbers of images."""

    uploads_undone: int = 0
    locations_deleted: int = 0
    leftovers_discarded: int = 0

    def __bool__(self) -> bool:
        return bool(self.uploads_undone or self.locations_deleted or self.leftovers_discarded)


class Recovery:
    """The recovery of this process.

    :param leases: those of this process; says how long a silence means death
    :param interval_seconds: time between two rounds; each is shifted by up to a fifth, so that nodes do not march
        in step
    :param location_delay_seconds: how long the data of a deleted image are left to the process that deletes it; in
        the first round after the start nothing is left, since that process may be the one that died
    """

    def __init__(self, *, db: DbDriver, stores: Stores, threads: NativeThreads, leases: Leases,
                 locations: LocationService, interval_seconds: float = 15, location_delay_seconds: float = 60,
                 clock: Callable[[], float] = time.monotonic):
        self._db = db
        self._stores = stores
        self._threads = threads
        self._leases = leases
        self._interval_seconds = interval_seconds
        self._locations = locations
        self._location_delay_seconds = location_delay_seconds
        self._clock = clock
        self._answers_since: float | None = None
        self._went_round = False
        self._stopped = False
        self._stuck = 0
        self._to_sweep = [store.id for store in stores.all() if store.can(LIST_UNFINISHED) and store.can(DISCARD)]

    def stop(self) -> None:
        """``forever`` ends after the round that is under way."""
        self._stopped = True

    def forever(self) -> None:
        """Round after round until the process ends or ``stop`` is called; no error ends it."""
        while not self._stopped:
            try:
                self.run_once()
            except errors.DatabaseUnavailable:
                LOG.warning('Recovery waits for the database.')
            except Exception:  # the next round may work, and nobody else would start this duty again
                LOG.exception('A round of recovery failed.')
            self._threads.sleep(self._interval_seconds * random.uniform(0.8, 1.2))

    def run_once(self) -> Found:
        """One round.

        :raises DatabaseUnavailable: the database does not answer
        """
        found = Found()
        try:
            self._undo_dead_uploads(found)
            self._delete_pending_locations(found)
            self._sweep_stores(found)
            self._went_round = True
        except errors.DatabaseUnavailable:
            self._answers_since = None
            raise
        if found:
            LOG.info('Recovery: %d dead uploads undone, data of %d locations of deleted images removed, leftovers of '
                     '%d images discarded.', found.uploads_undone, found.locations_deleted, found.leftovers_discarded)
        return found

    # --- uploads --------------------------------------------------------------------------------------------------

    def _undo_dead_uploads(self, found: Found) -> None:
        running = self._db.uploads_expired(0)
        if self._answers_since is None:
            self._answers_since = self._clock()
        silent = set()
        if self._clock() - self._answers_since >= 2 * self._leases.heartbeat_seconds:
            silent = {upload.id for upload in self._db.uploads_expired(self._leases.lease_seconds)}
        for upload in running:
            if (upload.id in silent or self._leases.abandoned(upload.id)
                    or self._leases.node.is_dead(upload.node)):
                found.uploads_undone += self._undo(upload)

    def _undo(self, upload: Upload) -> bool:
        new_id = str(uuid.uuid4())
        self._leases.abandon(new_id)  # until the end, whatever happens: the next round goes on with it at once
        taken = self._db.upload_take_over(upload, new_id, self._leases.node.name)
        self._leases.settled(upload.id)
        if not taken:
            self._leases.settled(new_id)
            return False
        LOG.info('The upload to image %s by %s is dead; undoing it.', upload.image_id, upload.node)
        if not self._clear(upload):
            return False
        self._db.upload_abort(new_id)
        self._leases.settled(new_id)
        return True

    def _clear(self, upload: Upload) -> bool:
        """Remove the bytes; False when it has to be tried again."""
        try:
            store = self._stores.get(upload.store)
        except errors.UnknownStore:
            LOG.warning('Store %s of an unfinished upload of image %s is not configured any more; whatever is left '
                        'of it there stays.', upload.store, upload.image_id)
            return True
        try:
            if not self._owns_bytes(upload, store):
                leftovers.clear(store, upload.image_id, upload.url)
        except errors.StoreError as error:
            LOG.warning('What is left of an upload of image %s cannot be removed now: %s', upload.image_id, error)
            return False
        return True

    def _owns_bytes(self, upload: Upload, store: CheckedStore) -> bool:
        """Has the image data in that store? It cannot while a lease exists; but it costs little to be sure."""
        try:
            image = self._db.image_get(context.internal('recovery'), upload.image_id)
        except errors.ImageNotFound:
            return False
        return any(location.store == store.id for location in image.locations)

    # --- deleted images -------------------------------------------------------------------------------------------

    def _delete_pending_locations(self, found: Found) -> None:
        """Also while another process deletes the same bytes: one of the two then finds nothing, which is no error."""
        down: set[str | None] = set()
        delay = self._location_delay_seconds if self._went_round else 0
        pending = self._db.locations_pending_delete(delay, limit=BATCH + self._stuck)
        self._stuck = 0  # those that stay are the oldest, and must not hide the others
        for image_id, location in pending:
            if location.store in down or not self._erase(image_id, location, down):
                self._stuck += 1
            else:
                found.locations_deleted += 1

    def _erase(self, image_id: str, location: Location, down: set[str | None]) -> bool:
        try:
            return self._locations.erase_one(image_id, location)
        except errors.StoreError as error:
            if error.retryable:
                down.add(location.store)
            LOG.warning('Data of deleted image %s stay in store %s for now: %s', image_id, location.store, error)
            return False

    # --- leftovers that no row tells of -----------------------------------------------------------------------------

    def _sweep_stores(self, found: Found) -> None:
        """Once for each store after the start of this process, as soon as the store answers."""
        for store_id in list(self._to_sweep):
            store = self._stores.get(store_id)
            try:
                for image_id in store.unfinished():
                    if leftovers.discard_ownerless(self._db, self._leases.node.name, store, image_id):
                        found.leftovers_discarded += 1
            except errors.StoreError as error:
                LOG.warning('Store %s cannot be searched for leftovers now: %s', store_id, error)
                continue
            self._to_sweep.remove(store_id)
