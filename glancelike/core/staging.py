"""Staging: an image's data wait in a reserved store until their import is asked for."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.core import access, storing
from glancelike.core.leases import Lease, Leases
from glancelike.core.quotas import Quotas
from glancelike.core.streams import Body, Intake
from glancelike.core.threads import NativeThreads
from glancelike.db_drivers.base import DbDriver
from glancelike.model.image import LOCATION_STAGED, QUEUED, UPLOADING, Image, ImageChanges, Location
from glancelike.model.upload import Upload
from glancelike.store_drivers.base import NAMES
from glancelike.store_drivers.stores import CheckedStore

if TYPE_CHECKING:
    from glancelike.policies.enforcer import Enforcer


class StagingService:
    """Stages data in this process.

    :param store: where data wait; None where there is none
    :param image_size_cap: most bytes of one image
    """

    def __init__(self, db: DbDriver, store: CheckedStore | None, threads: NativeThreads, leases: Leases,
                 enforcer: Enforcer, quotas: Quotas, image_size_cap: int = 2**40):
        self._db = db
        self._store = store
        self._threads = threads
        self._leases = leases
        self._enforcer = enforcer
        self._quotas = quotas
        self._image_size_cap = image_size_cap

    def stage(self, ctx: RequestContext, image_id: str, body: Body, size: int | None = None) -> None:
        """Keep the body until the image is imported; the image is then ``uploading``.

        :param size: length of the body in bytes if the client announced it; a body of another length is refused
        :raises ImageNotFound, Forbidden, ReadOnlyContext: as for every change of an image
        :raises StatusConflict: the image is not queued: it has data, or some are staged already
        :raises ImageTooLarge, QuotaExceeded, StoreFull: too many
        :raises SizeMismatch, ClientDisconnected: not what was announced
        :raises ImageGone: the image was deleted meanwhile
        :raises StoreError, DatabaseUnavailable: it could not be done; nothing is kept
        """
        access.writable(ctx)
        image = access.image(self._db, self._enforcer, ctx, image_id, 'modify_image')
        if image.status != QUEUED:
            raise errors.StatusConflict(image_id=image.id, status=image.status, wanted=QUEUED)
        if self._store is None:
            raise errors.ServiceUnavailable('This service has no place to stage data.')
        if size is not None and size > self._image_size_cap:
            raise errors.ImageTooLarge(limit=self._image_size_cap)
        self._quotas.check_new_upload(ctx, image.owner)
        self._quotas.check_new_staged(ctx, image.owner, size or 0)
        lease = self._begin(ctx, image, self._store)
        stored = None
        try:
            lease.cover(size or 0, more=False)
            intake = Intake(body, lease, self._threads, declared=size, size_cap=self._image_size_cap, algorithm=None,
                            checksum=False)
            stored = storing.add(self._store, lease, intake, size)
            changes = ImageChanges({'status': UPLOADING, 'size': stored.size})
            staged = Location(stored.url, self._store.id, stored.metadata, LOCATION_STAGED)
            self._db.upload_finish(ctx, lease.id, changes, [staged], from_status=UPLOADING)
        except BaseException as error:  # whatever it is, also a stop of the server: one place undoes it
            storing.undo(self._db, self._leases, lease, self._store, stored, error)
            raise
        finally:
            self._leases.let_go(lease)

    def _begin(self, ctx: RequestContext, image: Image, store: CheckedStore) -> Lease:
        limit = self._quotas.storage_limit(ctx, image.owner)
        upload = Upload(id=str(uuid.uuid4()), image_id=image.id, node=self._leases.node.name, store=store.id,
                        owner=image.owner, url=store.url_for(image.id) if store.can(NAMES) else None)
        return self._leases.begin(ctx, upload, limit, to_status=UPLOADING)
