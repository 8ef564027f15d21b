"""The way of an image's bytes from a request body to a store: cut, counted, limited, hashed, looked at.

Each piece goes to the store while it is being hashed on native threads, one for each digest, and the next ones are
read meanwhile. Nobody waits for a digest before it is LAG_PIECES behind. So the slowest of reading, hashing and writing
sets the pace, and a few pieces are in memory, whatever the size of the image.

All that can be wrong with the data is found before the last piece is out: the error comes out of the iterator that the
store reads, and by ADD-4 of the store contract nothing of the image stays there.
"""

from __future__ import annotations

import collections
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from glancelike import errors
from glancelike.core.formats import Inspection
from glancelike.core.leases import Lease
from glancelike.core.threads import NativeThreads, Pending

#: Bytes of a piece. From 256 KiB to 4 MiB the CPU time of an upload is the same within the noise (4.1 to 4.4 s/GiB with
#: md5 and sha512, where the two alone take 3.7); smaller pieces mean more hand-overs, larger ones more memory.
PIECE_BYTES = 2**20
#: Pieces that a digest may be behind the reader. With 1 both digests march in step, and each stands still while the
#: next piece is on its way.
LAG_PIECES = 3
#: Pieces below this are hashed where they are: another thread would cost more than the hash.
INLINE_BYTES = 2**16
#: Pieces that a server may have read ahead when a store refuses an image; they are kept until one more is read.
REWIND_PIECES = 6


class Body(Protocol):
    """What an upload is read from."""

    def read(self, size: int) -> bytes:
        """At most *size* bytes; ``b''`` at the end only.

        :raises ClientDisconnected, OSError: the rest will never come
        """


class Verifier(Protocol):
    """What else wants to see the bytes, and may refuse them at the end (an image signature)."""

    def update(self, piece: bytes) -> None:
        """The next bytes; called on a native thread, one call at a time."""

    def verify(self) -> None:
        """:raises SignatureInvalid: the bytes are not those that were signed."""


def check_hashing_algorithm(name: str) -> None:
    """:raises ConfigurationError: hashlib has no such algorithm, or its digest has no fixed length."""
    try:
        length = hashlib.new(name, usedforsecurity=False).digest_size
    except (ValueError, TypeError):
        length = 0
    if not length:
        fixed = sorted(known for known in hashlib.algorithms_available if not known.lower().startswith('shake'))
        raise errors.ConfigurationError(
            f'[DEFAULT] hashing_algorithm = {name} is no hash of fixed length that this Python knows; '
            f'it knows {", ".join(fixed)}')


def read_pieces(body: Body, piece_bytes: int = PIECE_BYTES) -> Iterator[tuple[bytes, bool]]:
    """The body in pieces of exactly *piece_bytes*, the last one shorter; with each, whether more may follow.

    However small the parts in which the network delivers them: a store writes, and a thread hashes, large pieces.

    :raises ClientDisconnected: the body broke off
    """
    more = True
    while more:
        piece = _read(body, piece_bytes)
        if piece and len(piece) < piece_bytes:
            piece, more = _fill(body, piece, piece_bytes)
        if not piece:
            return
        yield piece, more


def _fill(body: Body, first: bytes, wanted: int) -> tuple[bytes, bool]:
    parts, missing = [first], wanted - len(first)
    while missing:
        part = _read(body, missing)
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b''.join(parts) if len(parts) > 1 else first, not missing


def _read(body: Body, size: int) -> bytes:
    try:
        return body.read(size)
    except (OSError, ValueError) as error:  # ValueError: eventlet's word for a broken chunked body
        raise errors.ClientDisconnected() from error


class Hashing:
    """Digests of one stream, each computed on a native thread beside the caller.

    :param sinks: take each piece in order, one call at a time
    """

    def __init__(self, threads: NativeThreads, sinks: Sequence[Callable[[bytes], Any]]):
        self._lanes = [_Lane(threads, sink) for sink in sinks]

    def feed(self, piece: bytes) -> None:
        """Have this piece hashed after those before it; waits while LAG_PIECES of them are not.

        :raises Exception: what a sink has raised, as soon as it is known
        """
        if len(piece) < INLINE_BYTES:
            self.wait()
            for lane in self._lanes:
                lane.sink(piece)
        else:
            for lane in self._lanes:
                lane.feed(piece)

    def wait(self) -> None:
        """Until everything that was fed is hashed. Errors as ``feed``."""
        for lane in self._lanes:
            lane.wait()


class _Lane:
    """The pieces on their way to one sink. It has a native thread only while there are any."""

    def __init__(self, threads: NativeThreads, sink: Callable[[bytes], Any]):
        self.sink = sink
        self._threads = threads
        self._pieces: collections.deque[bytes] = collections.deque()
        self._lock = threading.Lock()
        self._room = threading.Semaphore(LAG_PIECES)
        self._running: Pending | None = None
        self._draining = False
        self._error: BaseException | None = None

    def feed(self, piece: bytes) -> None:
        self._room.acquire()
        if self._error is not None:
            raise self._error
        with self._lock:
            self._pieces.append(piece)
            idle, self._draining = not self._draining, True
        if idle:
            self._running = self._threads.start(self._drain)

    def wait(self) -> None:
        if self._running is not None:
            self._running.result()
        if self._error is not None:
            raise self._error

    def _drain(self) -> None:
        while True:
            with self._lock:
                if not self._pieces:
                    self._draining = False
                    return
                piece = self._pieces.popleft()
            try:
                if self._error is None:
                    self.sink(piece)
            except BaseException as error:  # noqa: B902 - it comes out of the next call of the feeding thread
                self._error = error
            self._room.release()


class Intake:
    """The data of one upload, as the pieces that a store is given.

    Iterating again goes on behind the last piece; but while no more than REWIND_PIECES have been handed out it begins
    again with the first (``rewindable``): a store may refuse an image before it really begins.

    :param declared: length that the client announced, in bytes, or None
    :param size_cap: most bytes that may come
    :param algorithm: of ``os_hash_value``; None computes no digest at all
    :param checksum: compute the MD5 ``checksum`` too
    :param inspection: recognises the format, or None
    :param verifier: checks the signature, or None
    :raises ImageTooLarge: more is declared than may come

    After the last piece: ``received``, ``checksum``, ``hash_value``, ``virtual_size``.
    """

    def __init__(self, body: Body, lease: Lease, threads: NativeThreads, *, declared: int | None, size_cap: int,
                 algorithm: str | None, checksum: bool = True, inspection: Inspection | None = None,
                 verifier: Verifier | None = None):
        if declared is not None and declared > size_cap:
            raise errors.ImageTooLarge(limit=size_cap)
        self._body = body
        self._lease = lease
        self._declared = declared
        self._size_cap = size_cap
        self._inspection = inspection
        self._verifier = verifier
        self._hash = hashlib.new(algorithm, usedforsecurity=False) if algorithm else None
        self._md5 = None
        if checksum:
            self._md5 = self._hash if algorithm == 'md5' else hashlib.md5(usedforsecurity=False)
        sinks = [self._hash.update] if self._hash is not None else []
        if self._md5 not in (None, self._hash):
            sinks.insert(0, self._md5.update)  # the slowest first
        if verifier is not None:
            sinks.append(verifier.update)
        self._hashing = Hashing(threads, sinks)
        self._pieces = self._checked_pieces()
        self._first: list[bytes] | None = []
        self.received = 0
        self.complete = False
        self.checksum: str | None = None
        self.hash_value: str | None = None
        self.virtual_size: int | None = None

    def __iter__(self) -> Iterator[bytes]:
        """
        :raises ClientDisconnected, SizeMismatch, ImageTooLarge, QuotaExceeded, FormatMismatch, UnsafeImage,
            SignatureInvalid: what is wrong with the data
        :raises StatusConflict, ImageGone: the lease is lost, or the image was deleted
        """
        yield from list(self._first or ())
        for piece in self._pieces:
            if self._first is not None:
                self._first.append(piece)
                if len(self._first) > REWIND_PIECES:
                    self._first = None
            yield piece

    @property
    def rewindable(self) -> bool:
        """Would iterating again give the data from their beginning?"""
        return self._first is not None

    def _checked_pieces(self) -> Iterator[bytes]:
        for piece, more in read_pieces(self._body):
            self._lease.check()
            self._count(len(piece))
            self._lease.cover(self.received, more=more)
            self._hashing.feed(piece)
            if self._inspection is not None:
                self._inspection.feed(piece)
            yield piece
        self._finish()

    def _count(self, length: int) -> None:
        self.received += length
        if self.received > self._size_cap:
            raise errors.ImageTooLarge(limit=self._size_cap)
        if self._declared is not None and self.received > self._declared:
            raise errors.SizeMismatch(declared=self._declared, received=self.received)

    def _finish(self) -> None:
        if self._declared is not None and self.received != self._declared:
            raise errors.SizeMismatch(declared=self._declared, received=self.received)
        if self._inspection is not None:
            self.virtual_size = self._inspection.finish()
        self._hashing.wait()
        if self._verifier is not None:
            self._verifier.verify()
        self._lease.check()
        self.checksum = self._md5.hexdigest() if self._md5 is not None else None
        self.hash_value = self._hash.hexdigest() if self._hash is not None else None
        self.complete = True
