"""The one wrapper round a store driver. What it adds, and nothing else:

1. Refusals that do not depend on the driver: an operation that it does not claim is refused here already.
2. Errors: what a driver raises that is no error of the contract becomes a StoreError; its text goes to the log
   (without user names and passwords of URLs), never to the caller. An exception out of the caller's own chunks
   comes back as it was, whatever the driver made of it.
3. Up and down: a store whose ``check`` said that it does not answer is refused at once (StoreUnavailable) and
   asked again after 1, 2, 4 ... 30 seconds by the next call that wants it, so it comes back by itself. An
   operation that raises StoreUnavailable only makes the next call ask: one dead web server is not a dead store.
   A store whose ``check`` raised StoreReadOnly goes on reading.
4. Sizes: pieces of more than 4 MiB are split, on the way in and out; a stream that is longer or shorter than
   the caller knows the object to be raises, so that no wrong image passes for a right one.
5. Threads: each call of the driver that may block goes through the server's NativeThreads, so that under the
   bundled server other requests are served meanwhile.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from glancelike import errors
from glancelike.store_drivers import base

if TYPE_CHECKING:
    from glancelike.core.threads import NativeThreads

LOG = logging.getLogger(__name__)

MAX_PIECE_BYTES = 4 * 2**20

UP = 'up'
READ_ONLY = 'read_only'
DOWN = 'down'

_FIRST_RECHECK_SECONDS = 1.0
_LAST_RECHECK_SECONDS = 30.0
_CREDENTIALS = re.compile(r'(?<=://)[^/@\s]+@')


class CheckedStore:
    """A configured store as the rest of the service uses it; methods as ``base.StoreDriver``.

    :ivar read_only: the driver does not claim ADD
    :ivar reserved: not for images: staging
    :ivar driver_name: as configured, for /v2/info/stores/detail
    """

    def __init__(self, driver: base.StoreDriver, threads: NativeThreads, *, description: str | None = None,
                 weight: int = 0, reserved: bool = False, is_default: bool = False, driver_name: str = '',
                 clock: Callable[[], float] = time.monotonic):
        self.id = driver.id
        self.description = description
        self.weight = weight
        self.reserved = reserved
        self.is_default = is_default
        self.driver_name = driver_name
        self.capabilities = frozenset(driver.CAPABILITIES | {base.READ})
        self.schemes = tuple(driver.SCHEMES)
        self.read_only = base.ADD not in self.capabilities
        self._driver = driver
        self._threads = threads
        self._clock = clock
        self._state = UP
        self._wait_seconds = _FIRST_RECHECK_SECONDS
        self._ask_at: float | None = None
        self._asking = threading.Lock()

    def __repr__(self) -> str:
        return f'<store {self.id} ({self.driver_name}), {self._state}>'

    def can(self, capability: str) -> bool:
        """Does the driver claim it?"""
        return capability in self.capabilities

    # --- up and down --------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """UP, READ_ONLY (no adds for now) or DOWN, as last seen; asks nobody."""
        return self._state

    def check(self) -> None:
        """Ask the driver now, and remember the answer.

        :raises StoreUnavailable, StoreReadOnly, ConfigurationError: what it answered; StoreError: it failed
        """
        try:
            with self._contained('check'):
                self._threads.run(self._driver.check)
        except errors.StoreReadOnly:
            self._remember(READ_ONLY)
            raise
        except errors.GlanceError:
            self._remember(DOWN)
            raise
        self._remember(UP)

    def _remember(self, state: str) -> None:
        if state != self._state:
            LOG.log(logging.INFO if state == UP else logging.WARNING, 'store %s is %s', self.id, state)
        if state == UP:
            self._ask_at, self._wait_seconds = None, _FIRST_RECHECK_SECONDS
        else:
            self._ask_at = self._clock() + self._wait_seconds
            self._wait_seconds = min(self._wait_seconds * 2, _LAST_RECHECK_SECONDS)
        self._state = state

    def _ready(self) -> None:
        """:raises StoreUnavailable: the store is down and it is not yet time to ask again, or still is down"""
        if self._ask_at is not None and self._clock() >= self._ask_at and self._asking.acquire(blocking=False):
            try:  # one caller asks; the others go by what is known
                with contextlib.suppress(errors.GlanceError):
                    self.check()
            finally:
                self._asking.release()
        if self._state == DOWN:
            raise errors.StoreUnavailable(store=self.id)

    # --- operations ---------------------------------------------------------------------------------------------

    def add(self, image_id: str, chunks: Iterable[bytes], size: int | None) -> base.Stored:
        if self.read_only:
            raise errors.StoreReadOnly(store=self.id)
        self._ready()
        if self._state == READ_ONLY:
            raise errors.StoreReadOnly(store=self.id)
        source = _Source(chunks)
        with self._contained('add', source):
            stored = self._threads.feed(lambda pieces: self._driver.add(image_id, pieces, size), source)
            if source.error is None and stored.size == source.given_bytes:
                return stored
            # The driver says that all is well, and it is not: do not keep what it made of the image.
            self._threads.run(self._driver.delete, stored.url)
            raise source.error or errors.StoreError(
                store=self.id, reason=f'it kept {stored.size} of {source.given_bytes} bytes')

    def get(self, url: str, offset: int = 0, length: int | None = None, *,
            object_bytes: int | None = None) -> Iterator[bytes]:
        """As the driver's; close the result.

        :param object_bytes: how long the whole object is known to be; the result raises StoreError when the
            store gives more or less than follows from it
        """
        if (offset or length is not None) and not self.can(base.RANDOM_READ):
            raise errors.OperationNotSupported(store=self.id, operation='reading a range')
        wanted = length
        if object_bytes is not None:
            left = max(object_bytes - offset, 0)
            wanted = left if length is None else min(length, left)
        pieces = self._call('get', url, offset, length)
        return _Pieces(self, pieces, most=wanted, least=wanted if object_bytes is not None else 0)

    def local_file(self, url: str) -> str:
        path = self._claimed(base.LOCAL_FILE, 'local_file', url)
        if not os.path.isabs(path):
            raise errors.StoreError(store=self.id, reason='its driver named no absolute path')
        return path

    def size(self, url: str) -> int:
        return self._call('size', url)

    def delete(self, url: str) -> None:
        if not self.can(base.DELETE):
            raise errors.StoreReadOnly(store=self.id)
        self._call('delete', url)

    def url_for(self, image_id: str, *, even_down: bool = False) -> str:
        """See the contract.

        :param even_down: also of a store that is down, to note what has to be removed from it later
        """
        if not even_down:
            return self._claimed(base.NAMES, 'url_for', image_id)
        if not self.can(base.NAMES):
            raise errors.OperationNotSupported(store=self.id, operation='url_for')
        with self._contained('url_for'):
            return self._threads.run(self._driver.url_for, image_id)

    def url_prefixes(self) -> Sequence[str]:
        with self._contained('url_prefixes'):
            return self._driver.url_prefixes()

    def discard(self, image_id: str) -> None:
        self._claimed(base.DISCARD, 'discard', image_id)

    def unfinished(self) -> Iterator[str]:
        if not self.can(base.LIST_UNFINISHED):
            raise errors.OperationNotSupported(store=self.id, operation='unfinished')
        self._ready()
        with self._contained('unfinished'):
            return iter(self._threads.run(lambda: list(self._driver.unfinished())))

    def free_bytes(self) -> int:
        return self._claimed(base.FREE_SPACE, 'free_bytes')

    def share(self, url: str, readers: Sequence[str], *, public: bool = False) -> None:
        if not self.can(base.SHARE):
            raise errors.OperationNotSupported(store=self.id, operation='share')
        self._ready()
        with self._contained('share'):
            self._threads.run(lambda: self._driver.share(url, readers, public=public))

    def facts(self) -> Mapping[str, Any]:
        """FACTS-1; asks no server, so a store that is down tells them too."""
        with self._contained('facts'):
            return self._driver.facts()

    def _claimed(self, capability: str, operation: str, *args: Any) -> Any:
        if not self.can(capability):
            raise errors.OperationNotSupported(store=self.id, operation=operation)
        return self._call(operation, *args)

    def _call(self, operation: str, *args: Any) -> Any:
        self._ready()
        with self._contained(operation):
            return self._threads.run(getattr(self._driver, operation), *args)

    # --- errors -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _contained(self, operation: str, source: _Source | None = None) -> Iterator[None]:
        """Errors of the contract pass; every other exception of the driver becomes a StoreError.

        :param source: what the driver was fed with; an exception that came out of it stays what it was
        """
        try:
            yield
        except Exception as error:
            if source is not None and source.error is not None:
                if error is source.error:
                    raise
                raise source.error from error
            if isinstance(error, errors.StoreUnavailable) and self._ask_at is None:
                self._ask_at = self._clock()  # the next call asks first
            if isinstance(error, errors.GlanceError):
                raise
            LOG.error('store %s: its driver failed in %s: %s: %s\n%s', self.id, operation, type(error).__name__,
                      _CREDENTIALS.sub('***@', str(error)), ''.join(traceback.format_tb(error.__traceback__)))
            raise errors.StoreError(
                store=self.id, reason='its driver failed; the log of the service says more') from None


class _Source:
    """The caller's chunks, none longer than 4 MiB.

    :ivar given_bytes: how many bytes were given so far
    :ivar error: the exception that came out of the chunks, if one did
    """

    def __init__(self, chunks: Iterable[bytes]):
        self._split = _split(chunks)
        self.given_bytes = 0
        self.error: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = next(self._split)
        except StopIteration:
            raise
        except BaseException as error:
            self.error = error
            raise
        self.given_bytes += len(chunk)
        return chunk


class _Pieces:
    """A driver's pieces, fetched beside other requests, split, counted, and closed once.

    :param most: more bytes than that are an error; None: any number
    :param least: an end before that is an error
    """

    def __init__(self, store: CheckedStore, pieces: Iterator[bytes], *, most: int | None, least: int):
        self._store = store
        self._raw = pieces
        self._pulled = store._threads.pull(iter(pieces))
        self._split = _split(self._pulled)
        self._most = most
        self._least = least
        self._given = 0
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._closed:
            raise StopIteration
        try:
            with self._store._contained('get'):
                piece = next(self._split, b'')
            self._given += len(piece)
            if self._given < self._least and not piece:
                raise errors.StoreError(store=self._store.id, reason='it gave fewer bytes than the object has')
            if self._most is not None and self._given > self._most:
                raise errors.StoreError(store=self._store.id, reason='it gave more bytes than the object has')
        except BaseException:
            self.close()
            raise
        if not piece:
            self.close()
            raise StopIteration
        return piece

    def close(self) -> None:
        """Give up what the driver holds; twice is no error."""
        if self._closed:
            return
        self._closed = True
        with self._store._contained('get'):
            for held in (self._pulled, self._raw):  # a generator never started passes no close on
                if hasattr(held, 'close'):
                    held.close()


def _split(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes without empty pieces and without pieces of more than 4 MiB."""
    for chunk in chunks:
        if len(chunk) <= MAX_PIECE_BYTES:
            if chunk:
                yield chunk
        else:
            view = memoryview(chunk)
            for start in range(0, len(view), MAX_PIECE_BYTES):
                yield bytes(view[start:start + MAX_PIECE_BYTES])
