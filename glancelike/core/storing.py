"""Putting bytes into a store under a lease, and taking back what must not stay."""

from __future__ import annotations

import logging

from glancelike import errors
from glancelike.core import leftovers
from glancelike.core.leases import Lease, Leases
from glancelike.core.streams import Intake
from glancelike.db_drivers.base import DbDriver
from glancelike.store_drivers.base import Stored
from glancelike.store_drivers.stores import CheckedStore

LOG = logging.getLogger(__name__)


def add(store: CheckedStore, lease: Lease, intake: Intake, size: int | None) -> Stored:
    """Store the data of the lease's image.

    :param size: length in bytes, or None while it is unknown
    :raises StoreError: the store could not, or did not keep all bytes; what else comes out of *intake*
    """
    image_id = lease.upload.image_id
    try:
        stored = store.add(image_id, intake, size)
    except errors.ObjectExists:
        # While the lease is ours the image has no data there, so these bytes are nobody's: a crash has left them. If it
        # is not, they may be those of an upload that came after ours was taken for dead.
        lease.beat()
        lease.check()
        if not leftovers.clear(store, image_id, None) or not intake.rewindable:
            raise
        LOG.info('Store %s had data of image %s from an upload that died; they were discarded.', store.id, image_id)
        stored = store.add(image_id, intake, size)
    if not intake.complete or stored.size != intake.received:
        raise errors.StoreError(store=store.id, reason='it did not keep all bytes')
    return stored


def undo(db: DbDriver, leases: Leases, lease: Lease, store: CheckedStore, stored: Stored | None,
         error: BaseException) -> None:
    """Remove the bytes of a failed upload, then end the lease and the reservation and set the image back to queued.

    What cannot be done now is left, with the lease, to recovery.
    """
    image_id = lease.upload.image_id
    if stored is not None and isinstance(error, errors.DatabaseUnavailable):
        # Committed or not? If it was the lease has ended with it, and recovery finds nothing to do.
        LOG.warning('The database broke off while the data of image %s were recorded; recovery will see.', image_id)
        leases.abandon(lease.id)
        return
    try:
        if db.upload_heartbeat(lease.id):  # and so it stays ours while the store works
            leftovers.clear(store, image_id, stored.url if stored else lease.upload.url)
            db.upload_abort(lease.id)
        elif stored is not None:
            # Whoever took us for dead has cleared the store before these bytes were complete.
            leftovers.discard_ownerless(db, leases.node.name, store, image_id)
    except Exception:  # the caller must hear of the first error, not of this one
        LOG.warning('The failed upload to image %s could not be undone at once; recovery will do it.', image_id,
                    exc_info=True)
        leases.abandon(lease.id)
