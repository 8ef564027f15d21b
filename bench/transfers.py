"""Image data in and out: plain sockets, one reused buffer, pieces of 1 MiB."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

MIB = 2**20
_TIMEOUT = 300
_BUSY = 0.9  # of the processors that the client's threads could use


@dataclasses.dataclass
class Transfer:
    """What some transfers at once gave.

    :ivar faults: what went wrong, one line for each transfer that did
    :ivar digests: sha256 of what came, when that was asked for
    """

    seconds: float
    cpu_seconds: float
    faults: list[str]
    digests: list[str]


class Content:
    """*size* bytes that are a block of random bytes over and over; their hashes are known."""

    def __init__(self, size: int):
        self.size = size
        self._block = memoryview(os.urandom(min(size, 64 * MIB)))
        self._digests: dict[tuple[str, int, int], str] = {}

    def pieces(self, start: int = 0, end: int | None = None, step: int = MIB) -> Iterator[memoryview]:
        """Bytes *start* to *end* in pieces."""
        end = self.size if end is None else end
        while start < end:
            at = start % len(self._block)
            piece = self._block[at:at + min(step, end - start)]
            yield piece
            start += len(piece)

    def digest(self, algorithm: str, start: int = 0, end: int | None = None) -> str:
        """Hexadecimal hash of bytes *start* to *end*."""
        end = self.size if end is None else end
        if (algorithm, start, end) not in self._digests:
            whole = hashlib.new(algorithm)
            for piece in self.pieces(start, end):
                whole.update(piece)
            self._digests[algorithm, start, end] = whole.hexdigest()
        return self._digests[algorithm, start, end]


def upload(address: tuple[str, int], heads: Sequence[bytes], content: Content, chunked: bool = False) -> Transfer:
    """One upload for each head, all at once."""
    def one(head: bytes) -> str:
        with _connect(address) as client:
            client.sendall(head)
            try:
                # 64 KiB: the largest chunk that uWSGI takes as it is configured by default
                for piece in content.pieces(step=65536 if chunked else MIB):
                    if chunked:
                        client.sendmsg([b'%x\r\n' % len(piece)], [], socket.MSG_MORE)
                        client.sendall(piece, socket.MSG_MORE)
                        client.sendall(b'\r\n')
                    else:
                        client.sendall(piece)
                if chunked:
                    client.sendall(b'0\r\n\r\n')
            except (BrokenPipeError, ConnectionResetError):
                pass  # the answer may say why
            status, head, _ = _read_head(client)
            return '' if status // 100 == 2 else f'{status} {head[:200]!r}'

    return _together(one, heads, [])


def download(address: tuple[str, int], heads: Sequence[bytes], size: int, digest: bool = False) -> Transfer:
    """One download for each head, all at once; each must have *size* bytes."""
    digests: list[str] = []

    def one(head: bytes) -> str:
        whole, buffer = hashlib.sha256(), bytearray(MIB)
        with _connect(address) as client:
            client.sendall(head)
            status, lines, rest = _read_head(client)
            if status not in (200, 206):
                return f'{status} {lines[:200]!r}'
            declared = re.search(rb'\r\ncontent-length: *([0-9]+)', lines, re.IGNORECASE)
            if declared and int(declared[1]) != size:
                return f'Content-Length is {int(declared[1])}, not {size}'
            left = size - len(rest)
            if digest:
                whole.update(rest)
            while left > 0 and (count := client.recv_into(buffer)):
                left -= count
                if digest:
                    whole.update(memoryview(buffer)[:count])
        digests.append(whole.hexdigest() if digest else '')
        return f'{left} bytes are missing' if left else ''

    return _together(one, heads, digests)


def _together(one: Callable[[Any], str], whats: Sequence[Any], digests: list[str]) -> Transfer:
    """Call *one* on each of *whats*, each in a thread."""
    faults: list[str] = []

    def call(what: Any) -> None:
        try:
            fault = one(what)
        except OSError as error:
            fault = repr(error)
        if fault:
            faults.append(fault)

    cpu, began = time.process_time(), time.perf_counter()
    threads = [threading.Thread(target=call, args=(what,)) for what in whats]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Transfer(time.perf_counter() - began, time.process_time() - cpu, faults, digests)


def busy(found: Transfer, clients: int) -> bool:
    """Was the client the bottleneck?"""
    return found.cpu_seconds > _BUSY * found.seconds * min(clients, len(os.sched_getaffinity(0)))


def _connect(address: tuple[str, int]) -> socket.socket:
    client = socket.create_connection(address, _TIMEOUT)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def _read_head(client: socket.socket) -> tuple[int, bytes, bytes]:
    """Status, head, and what has come of the body."""
    data = b''
    while b'\r\n\r\n' not in data:
        got = client.recv(65536)
        if not got:
            raise ConnectionError('closed before an answer')
        data += got
        if data.startswith(b'HTTP/1.1 100'):
            data = data.partition(b'\r\n\r\n')[2]
    head, _, rest = data.partition(b'\r\n\r\n')
    return int(head[9:12]), head, rest
