"""A connection on which no wait is longer than it may be.

A time limit for each ``recv`` is none for the whole: a server that sends one byte every 29 seconds keeps a head, or one
TLS record, going for days. Here the socket never blocks; what waits is one loop, which looks at the clock, at the
deadline of the whole transfer and at whether somebody wants it to end.
"""

from __future__ import annotations

import errno
import io
import os
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar('T')

_LOOK_SECONDS = 0.5
_BUFFER_BYTES = 2**16
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Patience:
    """How long something may take.

    :param stall_seconds: for connecting, for the TLS handshake, for the head of an answer, for each next bytes of a
        body
    :param deadline: when everything must be over, on the clock of ``time.monotonic``
    :param check: called at least once a second while it waits or reads; what it raises ends the wait
    """

    def __init__(self, stall_seconds: float, deadline: float | None = None, check: Callable[[], None] | None = None):
        self._stall_seconds = stall_seconds
        self._deadline = deadline
        self._check = check
        self._checked = 0.0

    def until(self, share: float = 1.0) -> float:
        """When a wait that begins now ends at the latest."""
        end = time.monotonic() + self._stall_seconds * share
        return end if self._deadline is None else min(end, self._deadline)

    def look(self) -> None:
        """:raises TimeoutError: the deadline has passed. And what ``check`` raises."""
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline:
            raise TimeoutError('the time for the whole transfer is over')
        if self._check is not None and now - self._checked >= _LOOK_SECONDS:
            self._checked = now
            self._check()


class Wire:
    """A socket as ``http.client`` uses one, connected to the first of *addresses* that answers.

    :raises OSError: none answers
    """

    def __init__(self, addresses: Sequence[str], port: int, patience: Patience):
        self._patience = patience
        self._selector: selectors.BaseSelector | None = None
        self._sock: socket.socket | None = None
        self._in_body = False
        self._closing = False
        self._readers = 0
        self._end = 0.0
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                self._connect(address, port, share=1 / left)
                break
            except OSError:
                self._release()
                if left == 1:
                    raise
            except BaseException:
                self._release()
                raise

    def _connect(self, address: str, port: int, share: float) -> None:
        end = self._patience.until(share)
        self._sock = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_STREAM)
        self._sock.setblocking(False)
        code = self._sock.connect_ex((address, port))
        if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
            self._wait(_WRITE, end)
            code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """:raises SSLCertVerificationError: the server is not who it should be; OSError: other trouble"""
        self._forget_selector()
        self._sock = context.wrap_socket(self._sock, server_hostname=host, do_handshake_on_connect=False,
                                         suppress_ragged_eofs=False)
        self._sock.setblocking(False)
        self._end = self._patience.until()
        self._patiently(self._sock.do_handshake, _READ)

    def begin_body(self) -> None:
        """The head was read: from now on the stall time counts for each read alone."""
        self._in_body = True

    # what http.client calls

    def sendall(self, data: bytes) -> None:
        self._end = self._patience.until()
        view = memoryview(data)
        while view:
            view = view[self._patiently(lambda rest=view: self._sock.send(rest), _WRITE):]

    def makefile(self, _mode: str) -> io.BufferedReader:
        self._readers += 1
        return io.BufferedReader(_Reader(self), _BUFFER_BYTES)

    def close(self) -> None:
        """The socket itself goes when nothing reads from it any more, as with ``socket.makefile``."""
        self._closing = True
        if not self._readers:
            self._release()

    def reader_closed(self) -> None:
        self._readers -= 1
        if self._closing and not self._readers:
            self._release()

    def recv_into(self, buffer: memoryview) -> int:
        if self._sock is None:
            return 0
        self._patience.look()
        if self._in_body:
            self._end = self._patience.until()
        return self._patiently(lambda: self._sock.recv_into(buffer), _READ)

    # waiting

    def _patiently(self, call: Callable[[], T], event: int) -> T:
        """The result of a call that raises where it would block; *event* is what it waits for without TLS."""
        while True:
            try:
                return call()
            except BlockingIOError:
                self._wait(event, self._end)
            except ssl.SSLWantReadError:
                self._wait(_READ, self._end)
            except ssl.SSLWantWriteError:
                self._wait(_WRITE, self._end)

    def _wait(self, event: int, end: float) -> None:
        """:raises TimeoutError: nothing happened until *end*"""
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
            self._selector.register(self._sock, event)
        self._selector.modify(self._sock, event)
        while True:
            self._patience.look()
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError('timed out')
            if self._selector.select(min(left, _LOOK_SECONDS)):
                return

    def _forget_selector(self) -> None:
        selector, self._selector = self._selector, None
        if selector is not None:
            selector.close()

    def _release(self) -> None:
        self._forget_selector()
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()


class _Reader(io.RawIOBase):
    """Reads from a wire; keeps its socket open until it is closed itself."""

    def __init__(self, wire: Wire):
        super().__init__()
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        return self._wire.recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._wire.reader_closed()
