"""Many small requests over some connections: one loop over epoll on plain sockets.

A request costs the client about 30 µs, so it shows a server's rate up to some ten thousand requests a second;
``Load.busy`` says when the client, and not the server, was the bottleneck.
"""

from __future__ import annotations

import collections
import dataclasses
import re
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator

_LENGTH = re.compile(rb'\r\ncontent-length: *([0-9]+)', re.IGNORECASE)
_CLOSE = re.compile(rb'\r\nconnection: *close', re.IGNORECASE)
_BUSY = 0.8  # of a processor: then faster answers would not have been asked for

Check = Callable[[int, bytes], bool]


@dataclasses.dataclass
class Load:
    """What a run of requests gave.

    :ivar waits: seconds of each answer
    :ivar faults: kinds of wrong answers and how many there were
    """

    count: int = 0
    errors: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    waits: list[float] = dataclasses.field(default_factory=list)
    bodies: list[bytes] = dataclasses.field(default_factory=list)
    faults: dict[str, int] = dataclasses.field(default_factory=collections.Counter)

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return (self.count - self.errors) / self.seconds

    @property
    def busy(self) -> bool:
        """Was the client the bottleneck?"""
        return self.cpu_seconds > _BUSY * self.seconds

    def wait_ms(self, percent: float) -> float:
        """So many percent of the answers came within this time."""
        ordered = sorted(self.waits)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000


def any_2xx(status: int, body: bytes) -> bool:
    return status // 100 == 2


def run(address: tuple[str, int], requests: Iterable[bytes], *, connections: int = 1, seconds: float | None = None,
        timeout: float = 60.0, check: Check = any_2xx, keep: bool = False) -> Load:
    """Send the requests, each when a connection is free.

    :param seconds: stop sending then, when requests are left
    :param timeout: of one answer, seconds; a late one counts as an error
    :param check: is this answer (status, body) right?
    :param keep: keep the bodies
    """
    return _Loop(address, iter(requests), seconds, timeout, check, keep).run(connections)


class _Connection:
    """A request on its way, and what has come back of its answer."""

    __slots__ = ('socket', 'request', 'left', 'answer', 'began', 'used', 'need')


class _Loop:

    def __init__(self, address: tuple[str, int], requests: Iterator[bytes], seconds: float | None, timeout: float,
                 check: Check, keep: bool):
        self._address, self._requests, self._timeout = address, requests, timeout
        self._check, self._keep = check, keep
        self._load, self._began = Load(), time.perf_counter()
        self._end = self._began + seconds if seconds else float('inf')
        self._poll, self._open = select.epoll(), {}

    def run(self, connections: int) -> Load:
        cpu = time.process_time()
        for _ in range(connections):
            connection = _Connection()
            connection.socket = None
            self._next(connection)
        looked = self._began
        while self._open:
            for number, _ in self._poll.poll(0.5):
                if number in self._open:
                    self._on(self._open[number])
            if (now := time.perf_counter()) - looked > 0.5:
                looked = now
                for late in [one for one in self._open.values() if now - one.began > self._timeout]:
                    self._done(late, 0, b'', f'no answer in {self._timeout:g} s')
        self._load.seconds = time.perf_counter() - self._began
        self._load.cpu_seconds = time.process_time() - cpu
        self._poll.close()
        return self._load

    def _next(self, connection: _Connection) -> None:
        """Send the next request, if there is one and time for it."""
        request = next(self._requests, None) if time.perf_counter() < self._end else None
        if request is None:
            self._drop(connection)
            return
        connection.request = request
        connection.began = time.perf_counter()
        self._send(connection)

    def _send(self, connection: _Connection) -> None:
        connection.answer, connection.need, connection.left = b'', None, connection.request
        connection.used = connection.socket is not None
        if not connection.used:
            connection.socket = socket.create_connection(self._address, self._timeout)
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open[connection.socket.fileno()] = connection
            self._poll.register(connection.socket.fileno(), select.EPOLLIN)
        try:
            connection.socket.sendall(connection.request)  # small: it fits into the socket's buffer
        except OSError as error:
            self._broken(connection, error)

    def _on(self, connection: _Connection) -> None:
        """Take what has come."""
        try:
            data = connection.socket.recv(262144)
        except OSError as error:
            self._broken(connection, error)
            return
        if not data:
            self._broken(connection, 'closed before the answer was complete')
            return
        connection.answer = connection.answer + data if connection.answer else data
        if connection.need is None:
            self._read_head(connection)
        if connection.need is not None and len(connection.answer) >= connection.need[1]:
            head, end = connection.need
            status, close = int(connection.answer[9:12]), _CLOSE.search(connection.answer, 0, head)
            self._done(connection, status, connection.answer[head:end], '' if not close else 'close')

    def _read_head(self, connection: _Connection) -> None:
        head = connection.answer.find(b'\r\n\r\n')
        if head < 0:
            return
        length = _LENGTH.search(connection.answer, 0, head)
        if length is None and connection.answer[9:12] not in (b'204', b'304'):
            self._done(connection, int(connection.answer[9:12]), b'', 'an answer without Content-Length')
            return
        connection.need = head + 4, head + 4 + (int(length[1]) if length else 0)

    def _broken(self, connection: _Connection, why: object) -> None:
        self._drop(connection)
        if connection.used and not connection.answer:  # an idle connection that the server had closed
            self._send(connection)
        else:
            self._done(connection, 0, b'', str(why))

    def _done(self, connection: _Connection, status: int, body: bytes, why: str) -> None:
        load = self._load
        load.count += 1
        load.waits.append(time.perf_counter() - connection.began)
        if why not in ('', 'close') or not self._check(status, body):
            load.errors += 1
            load.faults[why if why not in ('', 'close') else f'{status} {body[:200]!r}'] += 1
        if self._keep:
            load.bodies.append(body)
        if why:
            self._drop(connection)
        self._next(connection)

    def _drop(self, connection: _Connection) -> None:
        if connection.socket is not None:
            self._open.pop(connection.socket.fileno(), None)
            connection.socket.close()
            connection.socket = None
