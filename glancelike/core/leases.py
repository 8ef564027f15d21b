"""Claims of running uploads: heartbeats by time, and a storage reservation that grows with the data."""

from __future__ import annotations

import logging
import os

from glancelike import context, errors
from glancelike.context import RequestContext
from glancelike.core.nodes import Node
from glancelike.core.threads import NativeThreads
from glancelike.db_drivers.base import DbDriver
from glancelike.model.image import SAVING
from glancelike.model.upload import Upload

LOG = logging.getLogger(__name__)

MIB = 2**20
#: How far ahead of the data the reservation of an upload of unknown size goes: an eighth of what came, within
#: these bounds.
AHEAD_BYTES = (MIB, 64 * MIB)
#: So close to the quota nothing is reserved ahead any more, but each piece as it comes: what one upload reserves and
#: does not need would refuse another one that fits.
NEAR_BYTES = 4 * AHEAD_BYTES[1]


class Lease:
    """One upload's claim on its image, from ``upload_begin`` to its end.

    :param limit: most bytes that the owner may hold, None when there is no limit
    """

    def __init__(self, db: DbDriver, upload: Upload, limit: int | None):
        self._db = db
        self._limit = limit
        self._near = limit is not None and limit <= NEAR_BYTES
        self._reserved = upload.reserved
        self._before = 0
        self.upload = upload
        self.lost = False
        self.image_gone = False

    @property
    def id(self) -> str:
        return self.upload.id

    def check(self) -> None:
        """Is going on worth while? Looks at what the last heartbeat learned, asks nobody.

        :raises StatusConflict: somebody else took the upload for dead
        :raises ImageGone: the image was deleted
        """
        if self.lost:
            raise self._taken()
        if self.image_gone:
            raise errors.ImageGone(image_id=self.upload.image_id)

    def cover(self, received: int, *, more: bool) -> None:
        """Have at least *received* bytes reserved.

        :param more: more bytes may follow, so that reserving a little ahead saves statements
        :raises QuotaExceeded: the owner may not hold that much
        :raises StatusConflict: as ``check``
        """
        received += self._before
        if self._limit is None or received <= self._reserved:
            return
        if more and not self._near:
            ahead = min(max(received // 8, AHEAD_BYTES[0]), AHEAD_BYTES[1])
            try:
                self._reserve(received + ahead, self._limit - NEAR_BYTES)
                return
            except errors.QuotaExceeded:
                LOG.debug('Upload %s comes near its quota; reserving piece by piece.', self.id)
                self._near = True
        self._reserve(received, self._limit)

    def beside(self, stored: int) -> None:
        """Copies of *stored* bytes in total are there and not recorded yet; the next one is covered beside them."""
        self._before = max(self._before, stored)

    def recorded(self) -> None:
        """What was stored has become locations: the database has ended their reservation."""
        self._before = self._reserved = 0

    def beat(self) -> None:
        """Renew the claim, and learn whether it and the image still stand."""
        if not self._db.upload_heartbeat(self.id):
            self.lost = True
            return
        try:
            self._db.image_get(context.internal('upload'), self.upload.image_id)
        except errors.ImageNotFound:
            self.image_gone = True

    def _reserve(self, total: int, limit: int) -> None:
        try:
            self._db.upload_reserve(self.id, total, limit)
        except errors.StatusConflict as error:
            self.lost = True
            raise self._taken() from error
        self._reserved = total

    def _taken(self) -> errors.StatusConflict:
        return errors.StatusConflict(
            f'The upload to image {self.upload.image_id} was taken for dead and undone; upload again.',
            image_id=self.upload.image_id)


class Leases:
    """All leases of this process, renewed by one background duty.

    :param heartbeat_seconds: how often each is renewed
    :param lease_seconds: after how long a silence others take them over
    :raises ConfigurationError: the two do not fit
    """

    def __init__(self, db: DbDriver, threads: NativeThreads, *, heartbeat_seconds: float = 15,
                 lease_seconds: float = 60):
        if heartbeat_seconds * 3 > lease_seconds:
            raise errors.ConfigurationError(
                f'upload_lease_seconds ({lease_seconds}) must be at least three times upload_heartbeat_seconds '
                f'({heartbeat_seconds}); change one of them in glance.conf')
        self.node = Node()
        self.heartbeat_seconds = heartbeat_seconds
        self.lease_seconds = lease_seconds
        self._db = db
        self._threads = threads
        self._kept: dict[str, Lease] = {}
        self._abandoned: set[str] = set()
        self._pid = os.getpid()
        self._beating = False

    def begin(self, ctx: RequestContext, upload: Upload, limit: int | None, *, to_status: str = SAVING) -> Lease:
        """Move a queued image into *to_status* under a lease that is renewed until ``let_go``.

        :param limit: as ``Lease``
        :raises ImageNotFound, StatusConflict, DatabaseUnavailable: as ``DbDriver.upload_begin``
        """
        try:
            self._db.upload_begin(ctx, upload, to_status=to_status)
        except errors.DatabaseUnavailable:
            self.abandon(upload.id)  # it may have been committed all the same
            raise
        lease = Lease(self._db, upload, limit)
        self.keep(lease)
        return lease

    def keep(self, lease: Lease) -> None:
        """Renew the lease from now on, until ``let_go``."""
        if self._pid != os.getpid():  # a fork: it inherits what its parent keeps, but no duty and no upload
            self._pid, self._kept, self._beating = os.getpid(), {}, False
        self._kept[lease.id] = lease
        if not self._beating:
            self._beating = True
            self._threads.spawn('upload heartbeats', self._beat_while_needed)

    def let_go(self, lease: Lease) -> None:
        """Renew it no more."""
        self._kept.pop(lease.id, None)

    def abandon(self, upload_id: str) -> None:
        """Nobody works under that lease any more, and it could not be ended: recovery may do so at once."""
        self._abandoned.add(upload_id)

    def abandoned(self, upload_id: str) -> bool:
        """Was it given up in this process?"""
        return upload_id in self._abandoned

    def settled(self, upload_id: str) -> None:
        """It was ended, or is somebody else's: no need to remember it."""
        self._abandoned.discard(upload_id)

    def _beat_while_needed(self) -> None:
        while True:
            self._threads.sleep(self.heartbeat_seconds)
            for lease in list(self._kept.values()):
                self._beat(lease)
            if not self._kept:
                # From here on `keep` starts a new duty; one that came in between is renewed by both, no harm.
                self._beating = False
                if not self._kept:
                    return
                self._beating = True

    def _beat(self, lease: Lease) -> None:
        try:
            lease.beat()
        except Exception:  # the duty must live on; the lease outlasts several missed beats
            LOG.warning('Heartbeat of the upload to image %s failed; trying again in %s s.',
                        lease.upload.image_id, self.heartbeat_seconds, exc_info=True)
