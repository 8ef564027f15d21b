"""The work of a location's task: its data are read, looked at and hashed, and compared with what was announced."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from glancelike import context, errors
from glancelike.core import endings
from glancelike.core.formats import FormatRules, Inspection
from glancelike.core.leases import Lease
from glancelike.core.streams import Hashing
from glancelike.core.threads import NativeThreads
from glancelike.db_drivers.base import DbDriver
from glancelike.model.image import ACTIVE, DEACTIVATED, IMPORTING, Image, ImageChanges, Location
from glancelike.model.task import Task
from glancelike.notifications import events
from glancelike.store_drivers.stores import Stores

if TYPE_CHECKING:
    from glancelike.core.endings import Endings
    from glancelike.notifications.notifier import Notifier

LOG = logging.getLogger(__name__)

#: Longest wait before the next try, in seconds.
MOST_SECONDS = 30.0


class Work(Protocol):
    """The task under way, as ``tasks/job.py`` has it."""

    task: Task
    lease: Lease

    def check(self) -> None:
        """:raises TaskCancelled, ImageGone, StatusConflict: going on is of no use"""

    def sleep(self, seconds: float) -> None:
        """Let the time pass, or raise as ``check``."""

    def counted(self, chunks: Iterator[bytes]) -> Iterable[bytes]:
        """The same chunks; each is counted, and ``check`` asked before it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What the data are."""

    size: int
    virtual_size: int | None
    checksum: str | None
    algorithm: str
    hash_value: str


class LocationHashing:
    """Does such tasks.

    :param algorithm: ``hashing_algorithm``, of ``os_hash_value`` where none was announced
    :param legacy_checksum: compute the MD5 ``checksum`` too
    :param retries: ``http_retries``: how often reading is tried again after a failure that may pass
    :param deadline_seconds: ``location_hash_deadline``: how long all tries may take together
    """

    def __init__(self, *, db: DbDriver, stores: Stores, threads: NativeThreads, endings: Endings, notifier: Notifier,
                 format_rules: FormatRules, algorithm: str = 'sha512', legacy_checksum: bool = True,
                 image_size_cap: int = 2**40, retries: int = 3, deadline_seconds: float = 12 * 3600,
                 clock: Callable[[], float] = time.monotonic):
        self._db = db
        self._stores = stores
        self._threads = threads
        self._endings = endings
        self._notifier = notifier
        self._format_rules = dataclasses.replace(format_rules, match_required=False)
        self._algorithm = algorithm
        self._legacy_checksum = legacy_checksum
        self._image_size_cap = image_size_cap
        self._retries = retries
        self._deadline_seconds = deadline_seconds
        self._clock = clock

    def hash_location(self, work: Work) -> None:
        """Do the task to its end: the image has the hashes then, and is active.

        Doing it again after a death at any point is no harm. When it fails, an image that waited for the hash stays as
        it is, for ``Endings.fail`` to set it back; one that is active already stays active, without a hash, unless its
        data are unsafe: then it is deactivated.

        :raises HashMismatch, UnsafeImage, ImageTooLarge, QuotaExceeded: the data must not become the image
        :raises StoreError, BadLocation: they cannot be read, or not in time
        :raises TaskCancelled, ImageGone, StatusConflict, DatabaseUnavailable: as their names say
        """
        task = work.task
        place = Location(**endings.as_mapping(task.caller.get('location')))
        announced = endings.as_mapping(task.caller.get('announced'))
        image = self._db.image_get(context.internal('locations'), task.image_id)
        if image.status == IMPORTING and not announced and task.caller.get('size') is not None:
            image = self._activate(work, place)
        recorded = image.status != IMPORTING
        try:
            found = self._read(work, image, place, None if recorded else work.lease)
            self._compare(found, announced)
        except errors.UnsafeImage:
            if recorded:
                self._deactivate(image.id)
            raise
        self._finish(work, image, place, found, recorded)

    def _activate(self, work: Work, place: Location) -> Image:
        """What the request that made the task would have done, had it not died."""
        changes = ImageChanges({'status': ACTIVE, 'size': work.task.caller['size'], 'os_hash_algo': self._algorithm})
        image = self._db.upload_finish(endings.context_of(work.task), work.lease.id, changes, [place],
                                       from_status=IMPORTING, ends=False)
        self._notifier.send(endings.context_of(work.task), events.image_activate(image))
        return image

    # --- reading --------------------------------------------------------------------------------------------------

    def _read(self, work: Work, image: Image, place: Location, covering: Lease | None) -> Found:
        left, wait, end = self._retries, 1.0, self._clock() + self._deadline_seconds
        while True:
            try:
                return self._read_once(work, image, place, covering, end)
            except errors.StoreError as error:
                if not error.retryable or not left:
                    raise
                LOG.info('The data of image %s could not be read to hash them; trying again in %s s: %s', image.id,
                         wait, error)
            work.sleep(wait)
            left, wait = left - 1, min(wait * 2, MOST_SECONDS)

    def _read_once(self, work: Work, image: Image, place: Location, covering: Lease | None, end: float) -> Found:
        algorithm = endings.as_mapping(work.task.caller.get('announced')).get('os_hash_algo', self._algorithm)
        digest = hashlib.new(algorithm, usedforsecurity=False)
        md5 = hashlib.md5(usedforsecurity=False) if self._legacy_checksum else None
        hashing = Hashing(self._threads, [one.update for one in (md5, digest) if one is not None])
        inspection = self._format_rules.inspection(image.disk_format or '', image.container_format or '')
        received = 0
        with contextlib.closing(self._pieces(work, place)) as pieces:
            for piece in pieces:
                received += len(piece)
                if self._clock() >= end:
                    raise errors.BadLocation(reason=f'The data could not be read within {self._deadline_seconds:g} '
                                                    'seconds (location_hash_deadline).')
                if received > self._image_size_cap:
                    raise errors.ImageTooLarge(limit=self._image_size_cap)
                if covering is not None:
                    covering.cover(received, more=True)
                hashing.feed(piece)
                if inspection is not None:
                    inspection.feed(piece)
        hashing.wait()
        return Found(received, _virtual_size(inspection), md5.hexdigest() if md5 else None, algorithm,
                     digest.hexdigest())

    def _pieces(self, work: Work, place: Location) -> Iterator[bytes]:
        store = self._stores.for_location(place)
        pieces = store.get(place.url, object_bytes=work.task.caller.get('size'))
        with contextlib.closing(pieces):
            yield from work.counted(pieces)

    @staticmethod
    def _compare(found: Found, announced: Any) -> None:
        if announced and found.hash_value != announced['os_hash_value']:
            raise errors.HashMismatch(algorithm=found.algorithm, found=found.hash_value,
                                      wanted=announced['os_hash_value'])

    # --- ending ---------------------------------------------------------------------------------------------------

    def _finish(self, work: Work, image: Image, place: Location, found: Found, recorded: bool) -> None:
        attributes: dict[str, Any] = {'virtual_size': found.virtual_size, 'checksum': found.checksum,
                                      'os_hash_algo': found.algorithm, 'os_hash_value': found.hash_value}
        if not recorded:
            attributes |= {'status': ACTIVE, 'size': found.size}
        status = image.status
        while True:
            try:
                self._endings.succeed(work.lease.id, work.task, ImageChanges(attributes), [] if recorded else [place],
                                      from_status=status)
                return
            except errors.StatusConflict:
                # Somebody has deactivated or reactivated it meanwhile, or the lease is lost.
                now = self._db.image_get(context.internal('locations'), image.id).status
                if now == status or not recorded:
                    raise
                status = now

    def _deactivate(self, image_id: str) -> None:
        LOG.warning('The data of image %s are unsafe; it is deactivated.', image_id)
        with contextlib.suppress(errors.StatusConflict):  # it is deactivated already
            self._db.image_update(context.internal('locations'), image_id, ImageChanges({'status': DEACTIVATED}),
                                  from_status=ACTIVE)


def _virtual_size(inspection: Inspection | None) -> int | None:
    """:raises UnsafeImage: it is none that may reach a hypervisor"""
    return inspection.finish() if inspection is not None else None
