"""Clearing up after processes that died: half-done uploads, and data of deleted images that are still there.

Every process of every node does this, and any of them may die or be cut off at any point:

* An upload is taken for dead when its process is known to be dead (same machine, see ``nodes.py``), when this process
  gave it up itself, or when it has not renewed its lease for ``upload_lease_seconds``. Exactly one process gets it
  (``upload_take_over``), removes its bytes, and then ends it: a death in between leaves a lease that expires again.
* While the database does not answer, nobody can renew a lease. So silence counts only once the database has answered
  this process for two heartbeats: by then all that live have been heard again.
* What the store cannot do now stays, with its lease or row, for the next round.
* The lease of a task is not undone: the task is handed to an executor again, which goes on with it.
"""

from __future__ import annotations

import dataclasses
import logging
import random
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from glancelike import context, errors
from glancelike.core import leftovers
from glancelike.core.leases import Leases
from glancelike.core.locations import LocationService
from glancelike.core.threads import NativeThreads
from glancelike.db_drivers.base import DbDriver
from glancelike.model.image import IMPORTING, QUEUED, SAVING, UPLOADING, Location
from glancelike.model.task import FAILURE, TaskChanges
from glancelike.model.upload import Upload
from glancelike.store_drivers.base import DISCARD, LIST_UNFINISHED
from glancelike.store_drivers.stores import CheckedStore, Stores

if TYPE_CHECKING:
    from glancelike.core.endings import Endings
    from glancelike.core.imports import Executor

LOG = logging.getLogger(__name__)

#: Rows asked for at once.
BATCH = 100


@dataclasses.dataclass(slots=True)
class Found:
    """What one round did, in numbers of images."""

    uploads_undone: int = 0
    locations_deleted: int = 0
    leftovers_discarded: int = 0
    tasks_handed_on: int = 0
    tasks_ended: int = 0

    def __bool__(self) -> bool:
        return any(dataclasses.astuple(self))


class Recovery:
    """The recovery of this process.

    :param leases: those of this process; says how long a silence means death
    :param interval_seconds: time between two rounds; each is shifted by up to a fifth, so that nodes do not march
        in step
    :param executor: goes on with tasks whose process died, or that nobody has begun; *endings* ends those that nobody
        can go on with; *sweep_files* removes the files of tasks that are done no more
    :param location_delay_seconds: how long the data of a deleted image are left to the process that deletes it; in
        the first round after the start nothing is left, since that process may be the one that died
    """

    def __init__(self, *, db: DbDriver, stores: Stores, threads: NativeThreads, leases: Leases,
                 locations: LocationService, interval_seconds: float = 15, location_delay_seconds: float = 60,
                 clock: Callable[[], float] = time.monotonic, executor: Executor | None = None,
                 endings: Endings | None = None, sweep_files: Callable[[], int] | None = None):
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
        self._executor = executor
        self._endings = endings
        self._sweep_files = sweep_files
        self._to_sweep = [store.id for store in stores.every() if store.can(LIST_UNFINISHED) and store.can(DISCARD)]

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
            self._end_orphaned_tasks(found)
            self._sweep_stores(found)
            self._sweep_work_files()
            self._went_round = True
        except errors.DatabaseUnavailable:
            self._answers_since = None
            raise
        if found:
            LOG.info('Recovery: %d dead uploads undone, data of %d locations removed, leftovers of %d images '
                     'discarded, %d tasks handed on, %d tasks ended.', *dataclasses.astuple(found))
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
                    or self._leases.node.is_dead(upload.node) or self._given_back(upload)):
                if upload.task_id is None:
                    found.uploads_undone += self._undo(upload)
                else:
                    found.tasks_handed_on += self._hand_on(upload)

    def _given_back(self, upload: Upload) -> bool:
        """Has a process that stopped left a task to others, where no job board tells them?"""
        return (upload.task_id is not None and not upload.node and self._executor is not None
                and bool(self._executor.holder()))

    def _hand_on(self, upload: Upload) -> bool:
        """Have a task done whose process is dead, or that nobody has begun in all that time."""
        if self._executor is None:
            return False
        new_id, node = str(uuid.uuid4()), self._executor.holder()
        taken = self._db.upload_take_over(upload, new_id, node)
        self._leases.settled(upload.id)
        if not taken:
            return False
        try:
            task = self._db.task_get(context.internal('recovery'), upload.task_id)
        except errors.TaskNotFound:
            task = None
        if task is None or task.finished:
            LOG.warning('Image %s is held by a task that is over; setting it free.', upload.image_id)
            self._db.upload_abort(new_id, to_status=self._back_to(upload))
            return False
        LOG.info('Task %s of image %s is handed on.', task.id, upload.image_id)
        self._executor.post(task, dataclasses.replace(upload, id=new_id, node=node))
        return True

    def _end_orphaned_tasks(self, found: Found) -> None:
        """Tasks without a lease cannot be gone on with; and finished ones that nobody needs any more go."""
        if self._endings is None:
            return
        for task in self._db.tasks_orphaned(2 * self._leases.lease_seconds):
            changes = TaskChanges({'status': FAILURE, 'message': 'The work was lost; ask for it again.'},
                                  self._endings.keep_seconds)
            try:
                self._db.task_update(task.id, changes, from_status=task.status)
            except (errors.StatusConflict, errors.TaskNotFound):
                continue
            found.tasks_ended += 1
        self._db.tasks_expire()

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
        self._db.upload_abort(new_id, to_status=self._back_to(upload))
        self._leases.settled(new_id)
        return True

    def _back_to(self, upload: Upload) -> str:
        """Where an image belongs whose upload died: ``queued``, or where it was if only leftovers were cleared."""
        try:
            status = self._db.image_get(context.internal('recovery'), upload.image_id).status
        except errors.ImageNotFound:
            return QUEUED
        halfway = status in (SAVING, IMPORTING) or (
            status == UPLOADING and self._db.location_staged(upload.image_id) is None)
        return QUEUED if halfway else status

    def _clear(self, upload: Upload) -> bool:
        """Remove the bytes; False when it has to be tried again."""
        try:
            store = self._stores.any(upload.store)
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
        """Has the image data in that store, active or staged? ``erase_unclaimed`` claims such images."""
        try:
            image = self._db.image_get(context.internal('recovery'), upload.image_id)
        except errors.ImageNotFound:
            return False
        staged = self._db.location_staged(upload.image_id)
        return any(one.store == store.id for one in (*image.locations, *([staged] if staged is not None else ())))

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
            return self._locations.erase_unclaimed(image_id, location, self._leases.node.name)
        except errors.StoreError as error:
            if error.retryable:
                down.add(location.store)
            LOG.warning('Data of deleted image %s stay in store %s for now: %s', image_id, location.store, error)
            return False

    # --- leftovers that no row tells of -----------------------------------------------------------------------------

    def _sweep_stores(self, found: Found) -> None:
        """Once for each store after the start of this process, as soon as the store answers."""
        for store_id in list(self._to_sweep):
            store = self._stores.any(store_id)
            try:
                for image_id in store.unfinished():
                    if leftovers.discard_ownerless(self._db, self._leases.node.name, store, image_id):
                        found.leftovers_discarded += 1
            except errors.StoreError as error:
                LOG.warning('Store %s cannot be searched for leftovers now: %s', store_id, error)
                continue
            self._to_sweep.remove(store_id)

    def _sweep_work_files(self) -> None:
        if self._sweep_files is not None:
            self._threads.run(self._sweep_files)
