"""What a client sends, as bytes of its socket and as ``wsgi.input``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from glancelike import errors
from glancelike.wsgi import http1
from glancelike.wsgi.body import PIECE_BYTES

RECEIVE_BYTES = 64 * 1024       #: asked of the kernel while a head is read
SKIP_BYTES = 64 * 1024          #: an unread rest up to this is skipped and the connection kept


class Incoming:
    """Bytes from the socket, with what was read too far."""

    def __init__(self, sock: Any):
        self._sock = sock
        self.rest = b''

    def more(self) -> bool:
        """Wait for more bytes; False at the end of the stream."""
        data = self._sock.recv(RECEIVE_BYTES)
        self.rest = self.rest + data if self.rest else data
        return bool(data)

    def take(self, size: int) -> bytes:
        """Exactly *size* bytes; fewer where the stream ends."""
        rest = self.rest
        if len(rest) >= size:
            self.rest = rest[size:]
            return rest[:size]
        parts, missing = ([rest] if rest else []), size - len(rest)
        self.rest = b''
        while missing:
            data = self._sock.recv(min(missing, PIECE_BYTES))
            if not data:
                break
            parts.append(data)
            missing -= len(data)
        return parts[0] if len(parts) == 1 else b''.join(parts)

    def take_into(self, view: memoryview) -> int:
        """Fill *view*; the bytes read are fewer where the stream ends."""
        done = min(len(self.rest), len(view))
        view[:done] = self.rest[:done]
        self.rest = self.rest[done:]
        while done < len(view):
            count = self._sock.recv_into(view[done:])
            if not count:
                break
            done += count
        return done

    def line(self, max_bytes: int) -> bytes | None:
        """The next line with its end; None when it is longer than *max_bytes*, b'' where the stream ends."""
        while True:
            end = self.rest.find(b'\n', 0, max_bytes)
            if end >= 0:
                line, self.rest = self.rest[:end + 1], self.rest[end + 1:]
                return line
            if len(self.rest) >= max_bytes:
                return None
            if not self.more():
                return b''


class RequestBody:
    """``wsgi.input``: the body of one request; ends where the body ends (``wsgi.input_terminated``).

    :param length: bytes, or None for a chunked body
    :param invite: sends "100 Continue"; called before the first byte is read
    """

    def __init__(self, incoming: Incoming, length: int | None, invite: Callable[[], None] | None):
        self._incoming = incoming
        self._chunked = length is None
        self._left = length or 0     # of the body, or of the present chunk
        self._ended = length == 0
        self._first_chunk = True
        self.invite = invite
        self.broken = False          # what follows on the stream is no request

    @property
    def ended(self) -> bool:
        """All of it has been read."""
        return self._ended

    def is_short(self) -> bool:
        """Is the unread rest known, and small enough to skip?"""
        return self._ended or (not self._chunked and self._left <= SKIP_BYTES)

    def read(self, size: int | None = -1) -> bytes:
        """The next *size* bytes, fewer only at the end; all that is left when negative or None.

        :raises ClientDisconnected: the client went away, or was silent for too long
        :raises InvalidBody: broken chunk framing
        """
        if size is None or size < 0:
            return b''.join(iter(lambda: self.read(PIECE_BYTES), b''))
        return self._guarded(self._read, size)

    def readinto(self, buffer: Any) -> int:
        """Fill *buffer*; the bytes read, 0 at the end. Errors as ``read``."""
        return self._guarded(self._readinto, memoryview(buffer).cast('B'))

    def readline(self, size: int | None = -1) -> bytes:
        """The next line, at most *size* bytes of it."""
        line = bytearray()
        while size is None or size < 0 or len(line) < size:
            byte = self.read(1)
            line += byte
            if byte in (b'', b'\n'):
                break
        return bytes(line)

    def readlines(self, hint: int = -1) -> list[bytes]:
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b'')

    def skip(self) -> None:
        """Read the rest and drop it."""
        while self.read(RECEIVE_BYTES):
            pass

    def _guarded(self, call: Callable[[Any], Any], argument: Any) -> Any:
        if self._ended:
            return call(argument)
        finished = False
        try:
            if self.invite is not None:
                invite, self.invite = self.invite, None
                invite()
            result = call(argument)
            finished = True
            return result
        except (OSError, EOFError) as error:
            raise errors.ClientDisconnected() from error
        finally:
            if not finished:
                self.broken = True

    def _read(self, size: int) -> bytes:
        if not self._chunked:
            size = min(size, self._left)
            data = self._incoming.take(size)
            self._passed(len(data), size)
            return data
        parts = []
        while size and self._open_chunk():
            wanted = min(size, self._left)
            data = self._incoming.take(wanted)
            self._passed(len(data), wanted)
            parts.append(data)
            size -= wanted
        return parts[0] if len(parts) == 1 else b''.join(parts)

    def _readinto(self, view: memoryview) -> int:
        done = 0
        while done < len(view) and not self._ended and (not self._chunked or self._open_chunk()):
            wanted = min(len(view) - done, self._left)
            count = self._incoming.take_into(view[done:done + wanted])
            self._passed(count, wanted)
            done += count
        return done

    def _passed(self, count: int, wanted: int) -> None:
        self._left -= count
        if count < wanted:
            raise EOFError
        if self._left == 0 and not self._chunked:
            self._ended = True

    def _open_chunk(self) -> bool:
        """Make sure there are bytes of a chunk to come; False once the last chunk and the trailer are through."""
        if self._ended:
            return False
        if self._left:
            return True
        if not self._first_chunk and self._line(2) != b'\r\n':
            raise errors.InvalidBody(reason='A chunk of the body is longer than its size line says.')
        self._first_chunk = False
        size = http1.chunk_size(self._line(http1.MAX_CHUNK_LINE_BYTES))
        if size is None:
            raise errors.InvalidBody(reason='A chunk of the body has no valid size line.')
        self._left = size
        if size == 0:
            self._skip_trailer()
            self._ended = True
        return size > 0

    def _skip_trailer(self) -> None:
        room = http1.MAX_TRAILER_BYTES
        while room > 0:
            line = self._line(room)
            room -= len(line)
            if line == b'\r\n':
                return
        raise errors.InvalidBody(reason='The trailer of the chunked body is too long.')

    def _line(self, max_bytes: int) -> bytes:
        line = self._incoming.line(max_bytes)
        if line is None:
            raise errors.InvalidBody(reason='The chunks of the body are not framed as RFC 9112 says.')
        if not line:
            raise EOFError
        return line
