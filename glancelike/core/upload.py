"""Taking an image's data in: from ``queued`` by ``saving`` to ``active``, or back with nothing left behind."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.core import access, storing, streams
from glancelike.core.formats import FormatRules
from glancelike.core.leases import Lease, Leases
from glancelike.core.protections import Protections
from glancelike.core.quotas import Quotas
from glancelike.core.signatures import Signatures
from glancelike.core.streams import Body, Intake
from glancelike.core.threads import NativeThreads
from glancelike.db_drivers.base import DbDriver
from glancelike.model.image import ACTIVE, QUEUED, Image, ImageChanges, Location
from glancelike.model.upload import Upload
from glancelike.notifications import events
from glancelike.store_drivers.base import NAMES, Stored
from glancelike.store_drivers.stores import CheckedStore, Stores

if TYPE_CHECKING:
    from glancelike.notifications.notifier import Notifier
    from glancelike.policies.enforcer import Enforcer


class UploadService:
    """Uploads of this process.

    :param image_size_cap: most bytes of one image
    :param hashing_algorithm: of ``os_hash_value``
    :param legacy_checksum: compute the MD5 ``checksum`` too
    :raises ConfigurationError: the hashing algorithm is not known or has no fixed length
    """

    def __init__(self, *, db: DbDriver, stores: Stores, threads: NativeThreads, leases: Leases, enforcer: Enforcer,
                 quotas: Quotas, protections: Protections, notifier: Notifier, signatures: Signatures,
                 format_rules: FormatRules, image_size_cap: int = 2**40, hashing_algorithm: str = 'sha512',
                 legacy_checksum: bool = True):
        streams.check_hashing_algorithm(hashing_algorithm)
        self._db = db
        self._stores = stores
        self._threads = threads
        self._leases = leases
        self._enforcer = enforcer
        self._quotas = quotas
        self._protections = protections
        self._notifier = notifier
        self._signatures = signatures
        self._format_rules = format_rules
        self._image_size_cap = image_size_cap
        self._algorithm = hashing_algorithm
        self._legacy_checksum = legacy_checksum

    def upload(self, ctx: RequestContext, image_id: str, body: Body, size: int | None = None,
               store: str | None = None) -> Image:
        """Store the body as the image's data; the image as the caller may see it is then active.

        :param body: read to its end, unless an error comes first
        :param size: length of the body in bytes if the client announced it; a body of another length is refused
        :param store: id of the store that shall have the data; None for the default store
        :raises ImageNotFound, Forbidden, ReadOnlyContext: as for every change of an image
        :raises FormatsMissing, StatusConflict: the image is not ready for data
        :raises UnknownStore, StoreReadOnly: that store takes none
        :raises ImageTooLarge, QuotaExceeded: too many
        :raises SizeMismatch, FormatMismatch, UnsafeImage, SignatureInvalid, ClientDisconnected: wrong ones
        :raises ImageGone: the image was deleted meanwhile
        :raises StoreError, DatabaseUnavailable: it could not be done; unless the database broke off at the very
            end, nothing is kept. If it did, the image is active, or recovery sets it back to queued.
        """
        access.writable(ctx)
        image = access.image(self._db, self._enforcer, ctx, image_id, 'upload_image')
        _check_ready(image)
        chosen = self._stores.get(store) if store else self._stores.default
        if chosen.read_only:
            raise errors.StoreReadOnly(store=chosen.id)
        if size is not None and size > self._image_size_cap:
            raise errors.ImageTooLarge(limit=self._image_size_cap)
        verifier = self._signatures.verifier(ctx, image.properties)
        self._quotas.check_locations(len(image.locations) + 1, len(image.locations))
        self._quotas.check_new_upload(ctx, image.owner)
        self._notifier.send(ctx, events.image_prepare(image, chosen.id))
        try:
            active = self._take_in(ctx, image, body, size, chosen, verifier)
        except Exception as error:
            reason = str(error) if isinstance(error, errors.GlanceError) else 'internal error'
            self._notifier.send(ctx, events.image_upload_failed(image, reason))
            raise
        self._notifier.send(ctx, events.image_upload(active, chosen.id))
        self._notifier.send(ctx, events.image_activate(active))
        return self._protections.readable(ctx, active)

    def _take_in(self, ctx: RequestContext, image: Image, body: Body, size: int | None, store: CheckedStore,
                 verifier: streams.Verifier | None) -> Image:
        lease = self._begin(ctx, image, size, store)
        stored = None
        try:
            lease.cover(size or 0, more=False)
            intake = Intake(
                body, lease, self._threads, declared=size, size_cap=self._image_size_cap, algorithm=self._algorithm,
                checksum=self._legacy_checksum, verifier=verifier,
                inspection=self._format_rules.inspection(image.disk_format, image.container_format))
            stored = storing.add(store, lease, intake, size)
            return self._finish(ctx, lease, store, stored, intake)
        except BaseException as error:  # whatever it is, also a stop of the server: one place undoes it
            storing.undo(self._db, self._leases, lease, store, stored, error)
            raise
        finally:
            self._leases.let_go(lease)

    def _begin(self, ctx: RequestContext, image: Image, size: int | None, store: CheckedStore) -> Lease:
        limit = self._quotas.storage_limit(ctx, image.owner)
        upload = Upload(
            id=str(uuid.uuid4()), image_id=image.id, node=self._leases.node.name, store=store.id, owner=image.owner,
            url=store.url_for(image.id) if store.can(NAMES) else None,
            reserved=0 if limit is not None else size or 0)
        return self._leases.begin(ctx, upload, limit)

    def _finish(self, ctx: RequestContext, lease: Lease, store: CheckedStore, stored: Stored,
                intake: Intake) -> Image:
        changes = ImageChanges(attributes={
            'status': ACTIVE, 'size': intake.received, 'virtual_size': intake.virtual_size,
            'checksum': intake.checksum, 'os_hash_algo': self._algorithm, 'os_hash_value': intake.hash_value})
        location = Location(url=stored.url, store=store.id, metadata=stored.metadata)
        return self._db.upload_finish(ctx, lease.id, changes, [location])


def _check_ready(image: Image) -> None:
    missing = [name for name in ('disk_format', 'container_format') if not getattr(image, name)]
    if missing:
        raise errors.FormatsMissing(missing=' and '.join(missing))
    if image.status != QUEUED:
        raise errors.StatusConflict(image_id=image.id, status=image.status, wanted=QUEUED)
