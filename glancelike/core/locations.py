"""Where an image's bytes are: the order in which copies are tried, who sees them, and their removal."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from glancelike import context, errors
from glancelike.context import RequestContext
from glancelike.db_drivers.base import DbDriver
from glancelike.location_strategies.base import LocationStrategy
from glancelike.model.image import DEACTIVATED, Image, Location
from glancelike.model.upload import Upload

if TYPE_CHECKING:
    from glancelike.policies.enforcer import Enforcer
    from glancelike.store_drivers.stores import Stores

LOG = logging.getLogger(__name__)

#: What became of one copy.
REMOVED = 'removed'
ABSENT = 'absent'                # the store held no such object
NOT_OURS = 'not ours'            # the store is read-only, cannot delete, or has another form of URL
UNKNOWN_STORE = 'unknown store'  # its store is not configured now


class LocationService:
    """Locations of images.

    :param strategy: orders copies for reading, or None for the stored order
    """

    def __init__(self, db: DbDriver, stores: Stores, enforcer: Enforcer,
                 strategy: LocationStrategy | None = None):
        self._db = db
        self._stores = stores
        self._enforcer = enforcer
        self._strategy = strategy

    def ordered(self, image: Image) -> list[Location]:
        """The active locations, the one to try first in front."""
        if self._strategy is None:
            return list(image.locations)
        return self._strategy.ordered(image.locations)

    def shown(self, ctx: RequestContext, image: Image) -> list[Location]:
        """The locations that may stand in the caller's document (``locations``, ``direct_url``, ``stores``), ordered.

        None of a deactivated image but for administrators, none without the policy ``get_image_location``.
        Whether the service shows them at all is the caller's option.
        """
        if image.status == DEACTIVATED and not ctx.is_admin:
            return []
        if not image.locations or not self._enforcer.allowed(ctx, 'get_image_location', image):
            return []
        return self.ordered(image)

    def erase(self, image_id: str, locations: Sequence[Location]) -> None:
        """Remove the bytes of a deleted image and forget where they were.

        Once a copy is gone there is no way back: what cannot be removed after that stays pending for recovery.

        :param locations: as ``DbDriver.image_delete`` returned them
        :raises ObjectInUse, StoreUnavailable, StoreError: a copy cannot be removed and none is removed yet; nothing
            is forgotten, the image can be restored
        """
        removed = False
        done = []
        for location in locations:
            try:
                outcome = self._remove(image_id, location)
            except Exception:
                if not removed:
                    raise
                LOG.warning('A copy of deleted image %s in store %s stays until recovery can remove it', image_id,
                            location.store, exc_info=True)
                continue
            removed = removed or outcome == REMOVED
            if outcome != UNKNOWN_STORE:
                done.append(location)
        for location in done:
            self._forget(image_id, location)

    def erase_one(self, image_id: str, location: Location) -> bool:
        """Remove one copy of a deleted image, or one that its image has given up; true when the row is forgotten.

        A copy that is there no more counts as removed. Bytes in a store that we may only read are not ours: they
        stay. A copy in a store that is not configured at the moment stays pending: it can come back.

        :raises ObjectInUse, StoreUnavailable, StoreError: the store refused; the copy is still there
        """
        if self._remove(image_id, location) == UNKNOWN_STORE:
            return False
        self._forget(image_id, location)
        return True

    def erase_unclaimed(self, image_id: str, location: Location, node: str) -> bool:
        """As ``erase_one``, for a location of an image that may live: nobody stores data to it meanwhile, and a newer
        location with the same URL keeps its bytes.

        :param node: name of this process
        """
        ctx = context.internal('recovery')
        try:
            image = self._db.image_get(ctx, image_id)
        except errors.ImageNotFound:
            return self.erase_one(image_id, location)
        claim = Upload(id=str(uuid.uuid4()), image_id=image_id, node=node, store=location.store or '')
        try:
            self._db.upload_begin(ctx, claim, from_status=image.status, to_status=image.status)
        except (errors.StatusConflict, errors.ImageNotFound):
            return False  # busy; or just deleted
        try:
            staged = self._db.location_staged(image_id)
            current = [*self._db.image_get(ctx, image_id).locations, *([staged] if staged is not None else [])]
            if any(one.url == location.url for one in current):
                self._forget(image_id, location)
                return True
            return self.erase_one(image_id, location)
        except errors.ImageNotFound:
            return False
        finally:
            self._db.upload_abort(claim.id, to_status=image.status)

    def remove(self, image_id: str, location: Location) -> bool:
        """Remove the bytes of a location that nobody uses, and leave its row; true when they are not there any more.

        :raises StoreError: as ``erase_one``
        """
        return self._remove(image_id, location) in (REMOVED, ABSENT)

    def _remove(self, image_id: str, location: Location) -> str:
        """What became of the bytes: REMOVED, ABSENT, NOT_OURS or UNKNOWN_STORE. :raises StoreError: as ``erase``."""
        try:
            store = self._stores.for_location(location)
        except errors.UnknownStore:
            LOG.warning('A copy of image %s is in store %s, which is not configured here; it stays there',
                        image_id, location.store)
            return UNKNOWN_STORE
        try:
            store.delete(location.url)
        except errors.ObjectNotFound:
            LOG.info('A copy of image %s in store %s was gone already', image_id, location.store)
            return ABSENT
        except (errors.StoreReadOnly, errors.OperationNotSupported, errors.BadStoreUrl) as error:
            LOG.warning('The data of image %s in store %s are not ours to remove: %s', image_id,
                        location.store, error)
            return NOT_OURS
        return REMOVED

    def _forget(self, image_id: str, location: Location) -> None:
        try:
            self._db.location_forget(location.id)
        except errors.DatabaseUnavailable:
            LOG.warning('The data of image %s are removed; recovery will clear the row', image_id)
