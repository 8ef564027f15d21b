"""The answer to one request: what the application started, framed as HTTP/1.1 and sent."""

from __future__ import annotations

import functools
import logging
import re
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from typing import Any, Protocol

from glancelike.wsgi import http1
from glancelike.wsgi.incoming import RequestBody

LOG = logging.getLogger(__name__)

JOIN_BYTES = 64 * 1024          #: heads and bodies together smaller than this go out in one call

_BAD_HEADER = re.compile(r'[\r\n\x00]')


@functools.lru_cache(maxsize=1)
def _date_line(second: int) -> str:
    return 'Date: ' + formatdate(second, usegmt=True)


class Sender(Protocol):
    """The connection that an answer goes out on."""

    stopping: Callable[[], bool]

    def send(self, data: Any) -> None:
        """Send all of it. :raises OSError: the client is gone or too slow"""

    def send_file(self, body: Any) -> None:
        """Send a ``LocalFileBody``; its ``bytes_sent`` counts along. :raises OSError: as ``send``"""


class Response:
    """One answer.

    :ivar keep: whether the connection can carry another request after this one
    :ivar code: status sent or about to be; 0 before the application said one
    :ivar body_bytes: bytes of the body that were sent
    """

    def __init__(self, connection: Sender, head: http1.Head, body: RequestBody, keep: bool):
        self._connection = connection
        self._head = head
        self._body = body
        self.keep = keep
        self.code = 0
        self.body_bytes = 0
        self.request_id: str | None = None
        self._status = ''
        self._headers: list[tuple[str, str]] = []
        self._head_sent = False
        self._chunked = False
        self._declared: int | None = None

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        """``start_response`` of PEP 3333."""
        if exc_info:
            try:
                if self._head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._status:
            raise AssertionError('start_response was called twice')
        if _BAD_HEADER.search(status) or any(_BAD_HEADER.search(part) for header in headers for part in header):
            raise ValueError('a response header holds a line end')
        self._status, self._headers = status, list(headers)
        self.code = int(status[:3])
        return self._write

    def send(self, result: Iterable[bytes]) -> None:
        """Send what the application returned."""
        if getattr(result, 'local_file', None) is not None and not self._head_sent:
            self._send_file(result)
            return
        if isinstance(result, (list, tuple)) and not self._head_sent:
            whole = b''.join(result)
            self._send_head(len(whole), whole)
            self._finish()
            return
        for piece in result:
            if piece:
                self._write(piece)
            if self._bodyless():
                break
        if not self._head_sent:
            self._send_head(0, b'')
        self._finish()

    def fail(self, code: int, text: str | None = None) -> None:
        """Answer for an application that could not; when the head is out, only cut the connection."""
        self.keep = False
        if self._head_sent:
            return
        self.code = code
        whole = (text or http1.REASONS[code]).encode() + b'\n'
        self._status, self._headers = f'{code} {http1.REASONS[code]}', [
            ('Content-Type', 'text/plain; charset=UTF-8'), ('Content-Length', str(len(whole)))]
        try:
            self._send_head(len(whole), whole)
        except OSError as error:
            LOG.debug('the answer %d was not taken: %s', code, error)

    def _bodyless(self) -> bool:
        return self._head.method == 'HEAD' or self.code in (204, 304) or self.code < 200

    def _write(self, data: bytes) -> None:
        if not self._head_sent:
            self._send_head(None, data)
            return
        if self._bodyless():
            return
        if self._chunked:
            if len(data) < JOIN_BYTES:
                self._connection.send(b'%x\r\n%s\r\n' % (len(data), data))
            else:
                self._connection.send(b'%x\r\n' % len(data))
                self._connection.send(data)
                self._connection.send(b'\r\n')
        else:
            data = self._clipped(data)
            self._connection.send(data)
        self.body_bytes += len(data)

    def _clipped(self, data: bytes) -> bytes:
        """Never more than Content-Length: the rest would be taken for the next answer."""
        if self._declared is None or self.body_bytes + len(data) <= self._declared:
            return data
        LOG.error('the application gave more bytes than its Content-Length %d', self._declared)
        self.keep = False
        return data[:self._declared - self.body_bytes]

    def _send_head(self, total: int | None, first: bytes) -> None:
        """:param total: length of the body when it is known, None when *first* is only its first piece"""
        if not self._status:
            raise AssertionError('the application did not call start_response')
        lines = [f'HTTP/1.1 {self._status}']
        has_date = False
        for name, value in self._headers:
            lower = name.lower()
            if lower == 'content-length':
                self._declared = int(value)
            elif lower == 'date':
                has_date = True
            elif lower == 'x-openstack-request-id':
                self.request_id = value
            elif lower == 'connection':
                if value.lower() == 'close':
                    self.keep = False
                continue
            lines.append(f'{name}: {value}')
        bodyless = self._bodyless()
        if not has_date:
            lines.append(_date_line(int(time.time())))
        if self._declared is None and not bodyless:
            if total is not None:
                self._declared = total
                lines.append(f'Content-Length: {total}')
            elif self._head.http11:
                self._chunked = True
                lines.append('Transfer-Encoding: chunked')
            else:
                self.keep = False
        body = self._body
        if body.broken or body.invite is not None or not body.is_short() or self._connection.stopping():
            self.keep = False  # what follows on the stream is not the next request, or nobody will read it
        if not self.keep:
            lines.append('Connection: close')
        elif not self._head.http11:
            lines.append('Connection: keep-alive')
        lines.append('\r\n')
        head = '\r\n'.join(lines).encode('latin-1')
        self._head_sent = True
        self._body.invite = None  # an interim answer after the final one would be garbage
        if bodyless or not first:
            self._connection.send(head)
            return
        if self._chunked:
            self._connection.send(head)
            self._write(first)
            return
        first = self._clipped(first)
        if len(head) + len(first) < JOIN_BYTES:
            self._connection.send(head + first)
        else:
            self._connection.send(head)
            self._connection.send(first)
        self.body_bytes += len(first)

    def _send_file(self, result: Any) -> None:
        self._send_head(result.length, b'')
        if self._bodyless():
            return
        try:
            self._connection.send_file(result)
        finally:
            self.body_bytes = result.bytes_sent
        self._finish()

    def _finish(self) -> None:
        if self._bodyless():
            return
        if self._chunked:
            self._connection.send(b'0\r\n\r\n')
        elif self._declared is not None and self.body_bytes < self._declared:
            LOG.error('the application gave %d bytes of its Content-Length %d', self.body_bytes, self._declared)
            self.keep = False
