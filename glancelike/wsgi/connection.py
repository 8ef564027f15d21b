"""One client connection: HTTP/1.1 requests in, the WSGI application's answers out, one after the other.

Knows of no server: it blocks on its socket, and the bundled server makes that green. What goes wrong on the wire
ends here; nothing a client sends or leaves out makes a traceback.
"""

from __future__ import annotations

import _socket
import contextlib
import dataclasses
import errno
import functools
import logging
import mmap
import os
import re
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from glancelike import errors
from glancelike.wsgi import http1
from glancelike.wsgi.incoming import RECEIVE_BYTES, Incoming, RequestBody
from glancelike.wsgi.response import JOIN_BYTES, Response

LOG = logging.getLogger(__name__)
ACCESS_LOG = logging.getLogger('glancelike.wsgi.access')

TURN_REQUESTS = 4               #: a client that asks without a pause gets so many answers before others have a turn
LINGER_BYTES = 16 * 1024 * 1024  #: an unread rest up to this is taken so that the client sees the answer
LINGER_SECONDS = 2.0            #: the same, in time
#: Of a file that are mapped at a time. What is sent from a map is copied once, by the kernel. Over loopback that costs
#: the server 0.43 CPU s/GiB, where sendfile, which hands over page by page, costs 0.61 and takes 1.5 times as long.
WINDOW_BYTES = 4 * 1024 * 1024
STALL_SECONDS = 1.0             #: a client that takes nothing for that long gives its native thread back

_SECRET = re.compile(r'(?i)([?&][^=&]*(?:token|secret|passw|signature|credential|key)[^=&]*=)[^&]*')


@dataclasses.dataclass(frozen=True, slots=True)
class HttpSettings:
    """What a connection is told.

    :ivar max_header_line: bytes
    :ivar timeout: seconds for which a silent client is borne; None: for ever
    :ivar keepalive: whether a connection may carry several requests
    :ivar scheme: 'http' or 'https'
    """

    max_header_line: int = 16384
    timeout: float | None = 900.0
    keepalive: bool = True
    scheme: str = 'http'
    multiprocess: bool = False

    @property
    def max_head(self) -> int:
        """Bytes of request line and header lines together."""
        return max(http1.MAX_HEAD_BYTES, 4 * self.max_header_line)


class HttpConnection:
    """All requests of one client connection; ``run`` returns when it is over.

    :param sock: connected, TLS handshake done; blocking as far as the caller's thread sees
    :param peer: address of the client, as ``accept`` gave it
    :param application: returns the WSGI application to use for the next request
    :param stopping: tells whether the server wants to end: the request in flight is then the last
    :param threads: ``start`` and ``pull`` of core.threads, for reading files
    :param wait_writable: ``(fd, seconds)``: waits until a socket takes more bytes and tells whether it does; others
        are served meanwhile. None seconds: waits for ever.
    :param make_poll: ``select.poll`` for native threads, given by who takes it out of the select module
    :param patient: while the server ends, may an idle connection bring one more request?
    :param give_way: lets the other connections have a turn, between two requests
    """

    def __init__(self, sock: Any, peer: Any, settings: HttpSettings, application: Callable[[], Any],
                 stopping: Callable[[], bool], threads: Any,
                 wait_writable: Callable[[int, float | None], bool] | None = None,
                 make_poll: Any = None, patient: Callable[[], bool] = lambda: False,
                 give_way: Callable[[], None] = lambda: None):
        self._sock = sock
        self._peer = peer[0] if isinstance(peer, tuple) else 'local'
        self._peer_port = str(peer[1]) if isinstance(peer, tuple) else ''
        self._settings = settings
        self._application = application
        self.stopping = stopping
        self.patient = patient
        self._give_way = give_way
        self._threads = threads
        self._poll = make_poll or select.poll
        self._wait_writable = wait_writable or self._poll_writable
        self._incoming = Incoming(sock)
        self.idle = True        # waiting for the first byte of a request
        self.served = 0         # requests answered

    def secure(self, handshake: Callable[[Any], Any]) -> None:
        """Go on with the socket that *handshake* makes of this one. Before ``run``.

        :raises OSError: the handshake failed
        """
        self._sock = handshake(self._sock)
        self._incoming = Incoming(self._sock)

    def run(self) -> None:
        """Serve until the client or the settings end it, then close the socket."""
        try:
            while self._serve_one():
                self.served += 1
                if self.served % TURN_REQUESTS == 0:
                    self._give_way()
        except (OSError, EOFError) as error:
            LOG.debug('connection of %s ended: %s', self._peer, error)
        finally:
            self.close()

    def close(self) -> None:
        """End the connection now, whatever it does; a thread that waits on it wakes up."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was faster
        self._sock.close()

    def hang_up(self) -> None:
        """Make a waiting ``recv`` see the end of the stream; ``run`` then closes the socket.

        What is in the kernel already is still read, and answered. Not SSLSocket.shutdown: it drops the TLS state
        under the thread that waits.
        """
        try:
            _socket.socket.shutdown(getattr(self._sock, 'fd', self._sock), socket.SHUT_RD)
        except OSError:
            pass  # the other side was faster

    def send(self, data: Any) -> None:
        """Send all of it; gives up when the client takes nothing for the timeout.

        :raises OSError: the client is gone (BrokenPipeError, ConnectionResetError) or too slow (TimeoutError)
        """
        if len(data) < JOIN_BYTES:
            self._sock.sendall(data)
            return
        view = memoryview(data)  # eventlet's sendall copies what is left at every turn
        while view:
            view = view[self._sock.send(view):]

    # one request

    def _serve_one(self) -> bool:
        """Returns whether another request may follow."""
        started = None
        try:
            raw = self._read_head()
            if raw is None:
                return False
            started = time.monotonic()
            head = http1.parse(raw, self._settings.max_header_line)
        except http1.BadRequest as error:
            self._refuse(error, started)
            return False
        invite = self._invite if head.expects_continue and head.length != 0 else None
        body = RequestBody(self._incoming, head.length, invite)
        response = Response(self, head, body,
                             self._settings.keepalive and head.wants_keepalive)
        try:
            self._respond(head, body, response)
        except (OSError, EOFError) as error:
            LOG.debug('the answer to %s was cut off: %s', self._peer, error)
            response.keep = False
        finally:
            if ACCESS_LOG.isEnabledFor(logging.INFO):
                self._log(head.method, head.target, head.http11, response.code, response.body_bytes,
                          time.monotonic() - started, response.request_id)
        if not response.keep:
            if not body.ended and not body.broken:
                self._linger()
            return False
        return True

    def _read_head(self) -> bytes | None:
        """The bytes of the next head, or None when the client has no more requests."""
        incoming, timeout = self._incoming, self._settings.timeout
        self.idle = not incoming.rest
        if self.stopping() and self.idle and self.served and not self.patient():
            return None
        self._sock.settimeout(timeout)
        deadline = None
        looked_at = 0
        while True:
            # Empty lines before a request line are skipped (RFC 9112 section 2.2).
            while incoming.rest.startswith(b'\r\n'):
                incoming.rest = incoming.rest[2:]
            end = incoming.rest.find(b'\r\n\r\n', max(looked_at - 3, 0))
            if 0 <= end <= self._settings.max_head:
                raw, incoming.rest = incoming.rest[:end + 4], incoming.rest[end + 4:]
                self.idle = False
                if deadline is not None:
                    self._sock.settimeout(timeout)
                return raw
            looked_at = len(incoming.rest)
            self._check_unfinished(incoming.rest)
            if looked_at and timeout is not None:
                deadline = deadline or time.monotonic() + timeout
                self._sock.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                if not incoming.more():
                    return None
            except TimeoutError:
                if not looked_at:
                    return None
                raise http1.BadRequest(408, 'The request did not arrive in time.') from None
            self.idle = False

    def _check_unfinished(self, rest: bytes) -> None:
        """Refuse early what can never become a head, rather than read on."""
        line_end = rest.find(b'\n')
        if line_end < 0 and len(rest) > self._settings.max_header_line:
            raise http1.BadRequest(414, 'The request line is too long (max_header_line).')
        if line_end >= 0 and rest[line_end - 1:line_end] != b'\r':
            raise http1.BadRequest(400, 'Lines must end with CR LF.')
        if len(rest) - rest.rfind(b'\n') > self._settings.max_header_line + 2:
            raise http1.BadRequest(431, 'A header line is too long (max_header_line).')
        if len(rest) > self._settings.max_head:
            raise http1.BadRequest(431, f'The header lines together exceed {self._settings.max_head} bytes.')

    def _respond(self, head: http1.Head, body: RequestBody, response: Response) -> None:
        result: Any = ()
        try:
            result = self._application()(self._environ(head, body), response.start)
            response.send(result)
        except errors.ClientDisconnected:
            response.keep = False
            response.code = response.code or 499  # for the log only: nobody is there to read it
        except errors.InvalidBody as error:
            response.fail(400, str(error))
        except (OSError, EOFError) as error:
            if not _client_is_gone(error):
                LOG.exception('%s %s failed', head.method, head.raw_path)
                response.fail(500)
            response.keep = False
        except Exception:
            LOG.exception('%s %s failed', head.method, head.raw_path)
            response.fail(500)
        finally:
            _close(result, head)
        if response.keep and not body.ended:
            try:
                body.skip()
            except errors.GlanceError:
                response.keep = False

    @functools.cached_property
    def _fixed_environ(self) -> dict[str, Any]:
        """What the requests of this connection have in common."""
        name = self._sock.getsockname()
        host, port = (name[0], str(name[1])) if isinstance(name, tuple) else ('localhost', '')
        return {
            'SCRIPT_NAME': '', 'SERVER_NAME': host, 'SERVER_PORT': port, 'REMOTE_ADDR': self._peer,
            'REMOTE_PORT': self._peer_port, 'GATEWAY_INTERFACE': 'CGI/1.1', 'wsgi.version': (1, 0),
            'wsgi.url_scheme': self._settings.scheme, 'wsgi.input_terminated': True, 'wsgi.errors': sys.stderr,
            'wsgi.multithread': True, 'wsgi.multiprocess': self._settings.multiprocess, 'wsgi.run_once': False,
            **({'HTTPS': 'on'} if self._settings.scheme == 'https' else {}),
        }

    def _environ(self, head: http1.Head, body: RequestBody) -> dict[str, Any]:
        environ = self._fixed_environ | {
            'REQUEST_METHOD': head.method, 'PATH_INFO': head.path, 'RAW_PATH_INFO': head.raw_path,
            'QUERY_STRING': head.query, 'SERVER_PROTOCOL': 'HTTP/1.1' if head.http11 else 'HTTP/1.0',
            'wsgi.input': body,
        }
        for key, value in head.headers.items():
            if key == 'CONTENT_TYPE' or key == 'CONTENT_LENGTH':
                environ[key] = value
            else:
                environ['HTTP_' + key] = value
        return environ

    def _invite(self) -> None:
        self.send(b'HTTP/1.1 100 Continue\r\n\r\n')

    # endings

    def _refuse(self, error: http1.BadRequest, started: float | None) -> None:
        text = error.reason.encode() + b'\n'
        reason = http1.REASONS[error.status].encode()
        self.send(b'HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: %d\r\n'
                  b'Connection: close\r\n\r\n%s' % (error.status, reason, len(text), text))
        if ACCESS_LOG.isEnabledFor(logging.INFO):
            self._log('-', '-', True, error.status, len(text), time.monotonic() - started if started else 0.0, None)
        self._linger()

    def _linger(self) -> None:
        """Take what the client still sends, for a while: closed at once, its kernel would drop our answer."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            return
        deadline, room = time.monotonic() + LINGER_SECONDS, LINGER_BYTES
        while room > 0:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self._sock.settimeout(left)
            try:
                count = len(self._sock.recv(RECEIVE_BYTES))
            except (OSError, EOFError):
                return
            if not count:
                return
            room -= count

    def _log(self, method: str, target: str, http11: bool, code: int, body_bytes: int, seconds: float,
             request_id: str | None) -> None:
        shown = _SECRET.sub(r'\1***', target) if '=' in target else target
        ACCESS_LOG.info('%s "%s %s HTTP/1.%d" %d %d %.6f %s', self._peer, method,
                        shown if shown.isascii() else ascii(shown)[1:-1], http11, code, body_bytes, seconds,
                        request_id or '-')

    # files

    def send_file(self, body: Any) -> None:
        """Send a ``LocalFileBody``; its ``bytes_sent`` counts along.

        With plain HTTP a native thread sends, so that a disk that has to be waited for holds up nobody.
        It runs until the client falls behind for STALL_SECONDS; the wait for a slow client is green.

        :raises OSError: the client is gone or too slow
        """
        if self._settings.scheme == 'https':
            pieces = self._threads.pull(iter(body))
            try:
                for piece in pieces:
                    self.send(piece)
            finally:
                pieces.close()
            return
        fd = self._sock.fileno()
        while body.bytes_sent < body.length:
            sent, error = self._threads.start(self._send_while_it_flows, fd, body.fileno(),
                                              body.offset + body.bytes_sent, body.length - body.bytes_sent).result()
            body.bytes_sent += sent
            if error is not None:
                raise error
            if body.bytes_sent < body.length and not self._wait_writable(fd, self._settings.timeout):
                raise TimeoutError('timed out')

    def _send_while_it_flows(self, out: int, source: int, offset: int, length: int) -> tuple[int, OSError | None]:
        """Runs on a native thread: bytes sent, fewer when the client fell behind; and what went wrong."""
        sent = 0
        try:
            while sent < length:
                with _window(source, offset + sent, length - sent) as view:
                    done, flows = self._send_view(out, view)
                sent += done
                if not flows:
                    break
        except OSError as error:
            return sent, error
        return sent, None

    def _send_view(self, out: int, view: memoryview) -> tuple[int, bool]:
        """Bytes of *view* that were sent, and whether that is all of them.

        :raises OSError: nothing could be sent
        """
        sent = 0
        while sent < len(view):
            try:
                sent += os.write(out, view[sent:])
            except BlockingIOError:
                if not self._poll_writable(out, STALL_SECONDS):
                    return sent, False
            except OSError:
                if not sent:
                    raise
                return sent, True  # the next call meets it again
        return sent, True

    def _poll_writable(self, fd: int, seconds: float | None) -> bool:
        poller = self._poll()
        poller.register(fd, select.POLLOUT)
        return bool(poller.poll(None if seconds is None else int(seconds * 1000)))


@contextlib.contextmanager
def _window(source: int, offset: int, length: int) -> Iterator[memoryview]:
    """The bytes of a file from *offset*, at most *length*, up to the next multiple of WINDOW_BYTES.

    :raises OSError: the file became shorter than it was said to be
    """
    there = os.fstat(source).st_size - offset
    if there <= 0:
        raise OSError(errno.EIO, f'the file ended {length} bytes too early')
    before = offset % WINDOW_BYTES
    size = min(before + min(length, there), WINDOW_BYTES)
    mapped = mmap.mmap(source, size, mmap.MAP_PRIVATE, mmap.PROT_READ, offset=offset - before)
    with mapped, memoryview(mapped) as whole, whole[before:] as view:
        yield view


def _close(result: Any, head: http1.Head) -> None:
    close = getattr(result, 'close', None)
    if close is None:
        return
    try:
        close()
    except Exception:
        LOG.exception('the end of %s %s failed', head.method, head.raw_path)


def _client_is_gone(error: BaseException) -> bool:
    return isinstance(error, (ConnectionError, TimeoutError, EOFError)) or (
        isinstance(error, OSError) and error.errno in (errno.EBADF, errno.ENOTCONN, errno.ESHUTDOWN))
