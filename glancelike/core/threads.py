"""Blocking work beside the caller: hashing, file writes, calls of store drivers.

``core`` and drivers do not know what kind of server they run in. They hand blocking calls to a
:class:`NativeThreads`; under the bundled eventlet server ``wsgi/server.py`` supplies one that lets other
requests go on meanwhile. Under a threaded WSGI server the caller's own thread simply waits.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

T = TypeVar('T')


class Pending(Protocol):
    """Work that was started."""

    def result(self) -> Any:
        """Wait for the end; return or raise what the work returned or raised."""


class NativeThreads:
    """Blocking calls for servers in which every request has a native thread of its own.

    :param workers: most calls that ``start`` runs at once, 1 to 256; a large upload keeps one for each digest
    :cvar green: sockets and threads of Python code wait in a hub: a library with threads of its own is called there
    """

    green = False

    def __init__(self, workers: int = 64):
        self._workers = workers
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None

    def run(self, call: Callable[..., T], *args: Any) -> T:
        """Do the call and return its result; other requests are served meanwhile."""
        return call(*args)

    def start(self, call: Callable[..., Any], *args: Any) -> Pending:
        """Start the call on another native thread and go on.

        The pool is made at first use: a process that forks before its first request shares no threads.
        """
        if self._pool is None:
            self._pool = concurrent.futures.ThreadPoolExecutor(self._workers, thread_name_prefix='glancelike')
        return self._pool.submit(call, *args)

    def feed(self, consume: Callable[[Iterator[bytes]], T], chunks: Iterable[bytes]) -> T:
        """``consume(iterator)`` on a native thread, while the caller pulls *chunks* where it is.

        An exception out of *chunks* comes out of the iterator inside *consume*, unchanged, and then out of
        this call; what *consume* raises comes out of this call and *chunks* are read no further.
        """
        return consume(iter(chunks))

    def pull(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The same pieces, each fetched by a blocking ``next`` beside other requests; closes *pieces* when closed."""
        try:
            yield from pieces
        finally:
            close = getattr(pieces, 'close', None)
            if close is not None:
                close()

    def spawn(self, name: str, call: Callable[[], Any]) -> None:
        """Run a background duty (recovery, heartbeats) until the process ends."""
        import threading
        threading.Thread(target=call, name=name, daemon=True).start()

    def sleep(self, seconds: float) -> None:
        """Let *seconds* pass without holding up others."""
        import time
        time.sleep(seconds)
