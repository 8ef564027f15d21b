"""What an import has put into stores and not recorded, and its removal: by its process, or by the one that goes on.

A process that dies leaves unfinished parts, or finished objects that no row tells of. Nobody looks for them later, as
an image that became active is not searched for leftovers. So whoever goes on with the task clears a store before it
writes to it, and all of them when the task fails.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from glancelike import context, errors
from glancelike.core import leftovers
from glancelike.core.leases import Lease
from glancelike.db_drivers.base import NO_CHANGES, DbDriver
from glancelike.model.image import LOCATION_PENDING_DELETE, Image, Location
from glancelike.store_drivers.base import NAMES
from glancelike.store_drivers.stores import CheckedStore, Stores

LOG = logging.getLogger(__name__)


def clear(db: DbDriver, lease: Lease, store: CheckedStore, url: str | None = None) -> None:
    """Leave nothing of the lease's image in a store, unless it is recorded.

    What the store cannot remove now is recorded as given up, so that recovery removes it. When the lease is lost the
    bytes may be those of whoever does the work now; they go only if nobody does any.

    :param url: where the bytes are, when that is known
    :raises StoreError: the image is gone, so that no row can tell of bytes that stay
    :raises DatabaseUnavailable: nothing was done
    """
    image_id = lease.upload.image_id
    if not db.upload_heartbeat(lease.id):
        _clear_nobodys(db, lease, store)
        return
    try:
        image: Image | None = db.image_get(context.internal('import'), image_id)
    except errors.ImageNotFound:
        image = None
    if image is not None and any(one.store == store.id for one in image.locations):
        return
    try:
        if url is None and store.can(NAMES):
            url = store.url_for(image_id, even_down=True)
        leftovers.clear(store, image_id, url)
    except errors.StoreError as error:
        LOG.warning('What an import has left of image %s in store %s stays for now: %s', image_id, store.id, error)
        if image is None:
            raise
        if url is not None:
            given_up = Location(url, store.id, status=LOCATION_PENDING_DELETE)
            db.upload_finish(context.internal('import'), lease.id, NO_CHANGES, [given_up], from_status=image.status,
                             ends=False)


def clear_all(db: DbDriver, lease: Lease, stores: Stores, store_ids: Iterable[str]) -> None:
    """``clear`` for each of these stores; those that are not configured here are left alone.

    :raises StoreError, DatabaseUnavailable: as ``clear``
    """
    for store_id in store_ids:
        try:
            store = stores.get(store_id)
        except errors.UnknownStore:
            LOG.warning('Store %s is not configured here; what an import of image %s has left there stays.', store_id,
                        lease.upload.image_id)
            continue
        clear(db, lease, store)


def _clear_nobodys(db: DbDriver, lease: Lease, store: CheckedStore) -> None:
    try:
        leftovers.discard_ownerless(db, lease.upload.node, store, lease.upload.image_id)
    except errors.StoreError as error:
        LOG.warning('Store %s may have data of image %s that nobody uses: %s', store.id, lease.upload.image_id, error)
