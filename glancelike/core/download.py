"""Giving an image's data out: which copy, which part of it, and what is told afterwards."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.core import access
from glancelike.core.threads import NativeThreads
from glancelike.db_drivers.base import DbDriver
from glancelike.location_strategies.base import LocationStrategy
from glancelike.model.image import ACTIVE, DEACTIVATED, Image, Location
from glancelike.notifications import events
from glancelike.store_drivers.base import LOCAL_FILE, RANDOM_READ
from glancelike.store_drivers.stores import CheckedStore, Stores

if TYPE_CHECKING:
    from glancelike.notifications.notifier import Notifier
    from glancelike.policies.enforcer import Enforcer

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class ByteRange:
    """One range of a ``Range`` header (RFC 9110, section 14.1.2).

    ``bytes=5-9`` is (5, 9), ``bytes=5-`` is (5, None), ``bytes=-5`` (the last five) is (None, 5).
    """

    first: int | None
    last: int | None

    def within(self, size: int) -> tuple[int, int]:
        """(offset, length) in an object of *size* bytes; length is at least 1.

        :raises RangeNotSatisfiable: no byte of the object is in the range
        """
        if self.first is None:
            length = min(self.last or 0, size)
            offset = size - length
        else:
            offset = self.first
            length = (size if self.last is None else min(self.last + 1, size)) - offset
        if length <= 0 or offset >= size:
            raise errors.RangeNotSatisfiable(range=str(self), size=size)
        return offset, length

    def __str__(self) -> str:
        first, last = ('' if bound is None else bound for bound in (self.first, self.last))
        return f'bytes={first}-{last}'


@dataclasses.dataclass(frozen=True, slots=True)
class Download:
    """Data on their way out.

    :ivar size: bytes of the whole image, 0 where it has none
    :ivar offset: where the wanted part begins
    :ivar length: bytes of the wanted part; the whole image unless a range was asked for
    :ivar chunks: the wanted part in pieces of at most 4 MiB; close it when it is not read to its end. None: the
        image has no data. It raises StoreError when the store breaks off: then the connection must be cut.
    :ivar local_file: a file that holds the whole image, for ``sendfile``; then ``chunks`` opens nothing before it is
        read, and need not be used
    """

    image: Image
    size: int = 0
    offset: int = 0
    length: int = 0
    chunks: Iterator[bytes] | None = None
    local_file: str | None = None


class DownloadService:
    """Downloads of this process.

    :param strategy: orders the copies of an image
    """

    def __init__(self, *, db: DbDriver, stores: Stores, threads: NativeThreads, strategy: LocationStrategy,
                 enforcer: Enforcer, notifier: Notifier):
        self._db = db
        self._stores = stores
        self._threads = threads
        self._strategy = strategy
        self._enforcer = enforcer
        self._notifier = notifier

    def open(self, ctx: RequestContext, image_id: str, byte_range: ByteRange | None = None,
             prefer: Sequence[str] = ()) -> Download:
        """The image's data, from the first copy that can be read.

        :param prefer: ids of stores to try first, in this order
        :raises ImageNotFound, Forbidden, ImageDeactivated: the caller may not have it
        :raises UnknownStore: one of *prefer* is not configured
        :raises RangeNotSatisfiable: the range lies outside of the image
        :raises OperationNotSupported: no store that has the image can read a part of it
        :raises ObjectNotFound, StoreUnavailable, StoreError: no copy can be read; StoreUnavailable when at least
            one of them may come back
        """
        image = access.image(self._db, self._enforcer, ctx, image_id, 'download_image')
        if prefer:
            access.check(self._enforcer, ctx, 'download_from_store', image)
            for store_id in prefer:
                self._stores.get(store_id)
        if image.status == DEACTIVATED and not ctx.is_admin:
            raise errors.ImageDeactivated(image_id=image.id)
        if image.status not in (ACTIVE, DEACTIVATED) or not image.locations:
            return Download(image)
        return self._first_readable(image, byte_range, self._in_order(image, prefer))

    def finished(self, ctx: RequestContext, download: Download, bytes_sent: int, address: str | None = None) -> None:
        """Tell what became of it; to be called when the last byte is out or the connection broke.

        :param address: of the client
        """
        self._notifier.send(ctx, events.image_send(
            download.image, bytes_sent=bytes_sent, bytes_expected=download.length, user_id=ctx.user_id,
            project_id=ctx.project_id, address=address))

    def _in_order(self, image: Image, prefer: Sequence[str]) -> list[tuple[Location, CheckedStore]]:
        found = []
        for location in self._strategy.ordered(image.locations):
            try:
                found.append((location, self._stores.for_location(location)))
            except errors.UnknownStore as error:
                LOG.warning('A location of image %s cannot be used: %s', image.id, error)
        rank = {store_id: place for place, store_id in enumerate(reversed(prefer), start=1)}
        found.sort(key=lambda pair: -rank.get(pair[1].id, 0))  # stable: what is not preferred keeps its order
        return found

    def _first_readable(self, image: Image, byte_range: ByteRange | None,
                        copies: Sequence[tuple[Location, CheckedStore]]) -> Download:
        failures: list[errors.StoreError] = []
        for location, store in copies:
            try:
                return self._read(image, byte_range, location, store)
            except errors.StoreError as error:
                LOG.warning('Image %s cannot be read from store %s: %s', image.id, store.id, error)
                failures.append(error)
        if not failures:
            raise errors.ObjectNotFound(f'No configured store holds the data of image {image.id}.', store='')
        raise next((error for error in failures if error.retryable), failures[-1])

    def _read(self, image: Image, byte_range: ByteRange | None, location: Location,
              store: CheckedStore) -> Download:
        # Images whose location was registered without data of their own may not know their size.
        size = store.size(location.url) if image.size is None else image.size
        offset, length = byte_range.within(size) if byte_range is not None else (0, size)
        part = (offset, length) if length < size else (0, None)
        if part[1] is not None and not store.can(RANDOM_READ):
            raise errors.OperationNotSupported(store=store.id, operation='reading a range')
        if size == 0:
            return Download(image)
        if store.can(LOCAL_FILE):
            path = store.local_file(location.url)
            self._threads.run(_check_length, path, size, store.id)
            return Download(image, size, offset, length, _later(store, location.url, part, size), path)
        pieces = store.get(location.url, *part, object_bytes=size)
        return Download(image, size, offset, length, _Begun(pieces))


def _check_length(path: str, size: int, store_id: str) -> None:
    """:raises StoreError: the file is not as long as the image, so it must not be sent under its name."""
    try:
        found = os.stat(path).st_size
    except OSError as error:
        raise errors.ObjectNotFound(store=store_id) from error
    if found != size:
        raise errors.StoreError(store=store_id, reason=f'it holds {found} bytes of an image of {size}')


def _later(store: CheckedStore, url: str, part: tuple[int, int | None], size: int) -> Iterator[bytes]:
    """The pieces; nothing is opened before the first is asked for."""
    pieces = store.get(url, *part, object_bytes=size)
    try:
        yield from pieces
    finally:
        pieces.close()


class _Begun:
    """The same pieces, the first of which is fetched at once: while no byte is out another copy can be tried."""

    def __init__(self, pieces: Iterator[bytes]):
        self._pieces = pieces
        self._first: bytes | None = next(pieces)  # there is one: the part is not empty, and its length is checked

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        first, self._first = self._first, None
        return next(self._pieces) if first is None else first

    def close(self) -> None:
        self._pieces.close()
