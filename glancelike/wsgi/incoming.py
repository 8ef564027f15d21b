"""What a client sends, as bytes of its socket and as ``wsgi.input``."""

from __future__ import annotations

import io
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

    def more(self, size: int = RECEIVE_BYTES) -> bool:
        """Wait for more bytes, at most so many; False at the end of the stream."""
        data = self._sock.recv(size)
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


class RequestBody:
    """``wsgi.input``: the body of one request; ends where the body ends (``wsgi.input_terminated``).

    :param length: bytes, or None for a chunked body
    :param invite: sends "100 Continue"; called before the first byte is read
    """

    def __init__(self, incoming: Incoming, length: int | None, invite: Callable[[], None] | None):
        self._incoming = incoming
        self._chunks = _Chunks(incoming) if length is None else None
        self._left = length or 0
        self._ended = length == 0
        self.invite = invite
        self.broken = False          # what follows on the stream is no request

    @property
    def ended(self) -> bool:
        """All of it has been read."""
        return self._ended

    def is_short(self) -> bool:
        """Is the unread rest known, and small enough to skip?"""
        return self._ended or (self._chunks is None and self._left <= SKIP_BYTES)

    def read(self, size: int | None = -1) -> bytes:
        """The next *size* bytes, fewer only at the end; all that is left when negative or None.

        :raises ClientDisconnected: the client went away, or was silent for too long
        :raises InvalidBody: broken chunk framing
        """
        if size is None or size < 0:
            return b''.join(iter(lambda: self.read(PIECE_BYTES), b''))
        if self._ended:
            return b''
        finished = False
        try:
            if self.invite is not None:
                invite, self.invite = self.invite, None
                invite()
            data = self._read(size)
            finished = True
            return data
        except (OSError, EOFError) as error:
            raise errors.ClientDisconnected() from error
        finally:
            if not finished:
                self.broken = True

    def readinto(self, buffer: Any) -> int:
        """Fill *buffer*; the bytes read, 0 at the end. Errors as ``read``."""
        view = memoryview(buffer).cast('B')
        data = self.read(len(view))
        view[:len(data)] = data
        return len(data)

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

    def _read(self, size: int) -> bytes:
        if self._chunks is not None:
            data = self._chunks.read(size)
            self._ended = self._chunks.ended
            return data
        size = min(size, self._left)
        data = self._incoming.take(size)
        self._left -= len(data)
        if len(data) < size:
            raise EOFError
        self._ended = self._left == 0
        return data


class _Chunks:
    """The data of a chunked body, cut out of blocks as large as the kernel has them.

    What is received is copied once more, into the piece that is asked for, however small the chunks are. (To receive
    each line and each chunk by itself took 2 CPU s/GiB more, with chunks of 64 KiB.)

    :ivar ended: the last chunk and the trailer are through
    :raises EOFError: the stream ends within the body
    :raises InvalidBody: the framing is broken
    """

    def __init__(self, incoming: Incoming):
        self._incoming = incoming
        self._block = incoming.rest
        self._at = 0
        self._left = 0            # of the present chunk
        self._first = True
        self.ended = False

    def read(self, size: int) -> bytes:
        """The next *size* bytes, fewer only at the end."""
        piece = io.BytesIO()  # gives its bytes away without a copy
        while size and self._open():
            if self._at == len(self._block):
                self._receive()
            view = memoryview(self._block)[self._at:self._at + min(size, self._left)]
            piece.write(view)
            self._at += len(view)
            self._left -= len(view)
            size -= len(view)
        return piece.getvalue()

    def _open(self) -> bool:
        """Make sure there are bytes of a chunk to come; False once the body has ended."""
        if self._left or self.ended:
            return not self.ended
        if not self._first and self._line(2) != b'\r\n':
            raise errors.InvalidBody(reason='A chunk of the body is longer than its size line says.')
        self._first = False
        size = http1.chunk_size(self._line(http1.MAX_CHUNK_LINE_BYTES))
        if size is None:
            raise errors.InvalidBody(reason='A chunk of the body has no valid size line.')
        self._left = size
        if size == 0:
            self._skip_trailer()
            self.ended = True
            self._incoming.rest = self._block[self._at:]
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
        while True:
            end = self._block.find(b'\n', self._at, self._at + max_bytes)
            if end >= 0:
                line, self._at = self._block[self._at:end + 1], end + 1
                return line
            if len(self._block) - self._at >= max_bytes:
                raise errors.InvalidBody(reason='The chunks of the body are not framed as RFC 9112 says.')
            self._receive()

    def _receive(self) -> None:
        self._incoming.rest = self._block[self._at:]  # an unfinished line at most
        self._at = 0
        if not self._incoming.more(PIECE_BYTES):
            raise EOFError
        self._block = self._incoming.rest
