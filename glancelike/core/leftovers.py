"""Bytes in a store that no image owns: removed only where nobody can come to own them meanwhile."""

from __future__ import annotations

import logging
import uuid

from glancelike import context, errors
from glancelike.db_drivers.base import DbDriver
from glancelike.model.image import QUEUED
from glancelike.model.upload import Upload
from glancelike.store_drivers.base import DISCARD, NAMES
from glancelike.store_drivers.stores import CheckedStore

LOG = logging.getLogger(__name__)


def clear(store: CheckedStore, image_id: str, url: str | None) -> bool:
    """Remove what an unfinished or unwanted add of the image left in the store; nothing there is no error.

    :param url: where the bytes would be, when that is known
    :returns: False when the store has no means to do it
    :raises StoreError: it has, and failed
    """
    if store.can(DISCARD):
        store.discard(image_id)
    elif url is not None:
        try:
            store.delete(url)
        except errors.ObjectNotFound:
            LOG.debug('Nothing of image %s is in store %s.', image_id, store.id)
    else:
        LOG.warning('Store %s cannot tell what an unfinished upload of image %s left in it; look there.',
                    store.id, image_id)
        return False
    return True


def discard_ownerless(db: DbDriver, node: str, store: CheckedStore, image_id: str) -> bool:
    """Discard what the store has of an image that is queued or gone and that nobody uploads to.

    An upload that begins meanwhile must not lose its bytes: for a queued image a lease is held during the
    discard, and nothing is begun on an image that is gone. Of an image that is gone a finished object is left
    alone: it may be kept on purpose (``delayed_delete``).

    :returns: False when the image has its data, or somebody is uploading to it: nothing was touched
    :raises StoreError, DatabaseUnavailable: it is not done
    """
    if not store.can(DISCARD):
        return False
    claim = Upload(id=str(uuid.uuid4()), image_id=image_id, node=node, store=store.id)
    try:
        db.upload_begin(context.internal('recovery'), claim, from_status=QUEUED, to_status=QUEUED)
    except errors.StatusConflict:
        return False
    except errors.ImageNotFound:
        if db.upload_of_image(image_id) is not None or _has_object(store, image_id):
            return False
        store.discard(image_id)
        return True
    try:
        store.discard(image_id)
    finally:
        db.upload_abort(claim.id)
    return True


def _has_object(store: CheckedStore, image_id: str) -> bool:
    if not store.can(NAMES):
        return True  # not known, so perhaps
    try:
        store.size(store.url_for(image_id))
    except errors.ObjectNotFound:
        return False
    return True
