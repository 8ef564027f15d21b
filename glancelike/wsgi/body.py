"""Bodies, whatever server runs the application: read to a certain end, and sent from a local file.

What a client that vanishes in the middle of a body looks like to the application (seen with uWSGI 2.0.31,
gunicorn 27.0.1 and the bundled server; tests/functional/real/test_server_foreign.py holds it):

==========  ==========================  ============================  =====================================
server      Content-Length, vanished    chunked, vanished             chunked, broken framing
==========  ==========================  ============================  =====================================
bundled     ``ClientDisconnected``      ``ClientDisconnected``        ``InvalidBody``
gunicorn    short ``read``, then b''    NoMoreData, an OSError        InvalidChunkSize, an Exception only
uWSGI       OSError                     OSError of ``chunked_read``   b'', as if the body were complete
==========  ==========================  ============================  =====================================

Under uWSGI ``wsgi.input`` gives nothing for a chunked body, without an error: its own ``chunked_read`` is needed.

:class:`BodyReader` makes one behaviour of these: ``read`` gives the body's bytes and, at its end, ``b''``; a
body that breaks off raises ``ClientDisconnected``.

uWSGI lets anything pass as Content-Length and as transfer coding. What we cannot understand is refused by ``read``,
and not before, so that the application answers; taken for no body, it would make an empty image.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from glancelike import errors

PIECE_BYTES = 1 << 20
DROP_BYTES = 16 << 20    #: an unread rest up to this is taken so that the client sees the answer
DROP_SECONDS = 2.0       #: the same, in time; a client that sends nothing is the server's to time out


class BodyReader:
    """The body of a request, read once from its start to its end.

    :param environ: of the request, as the server made it
    """

    def __init__(self, environ: Mapping[str, Any]):
        coding = environ.get('HTTP_TRANSFER_ENCODING', '').strip().lower()
        self._chunked = 'chunked' in coding
        self._refusal: errors.InvalidBody | None = None
        self._left: int | None = None
        if coding not in ('', 'chunked'):
            self._refusal = errors.InvalidBody(reason='Of all transfer codings only chunked is known here.')
        elif not self._chunked:
            try:
                self._left = max(int(environ.get('CONTENT_LENGTH') or 0), 0)
            except ValueError:
                self._refusal = errors.InvalidBody(reason='Content-Length is not a number of bytes.')
        source = environ['wsgi.input']
        if self._chunked and 'uwsgi.version' in environ and not isinstance(source, BodyReader):
            source = _UwsgiChunks()
        self._read = source.read
        self._ended = False
        self._uninvited = environ.get('HTTP_EXPECT', '').lower() == '100-continue'

    @property
    def length(self) -> int | None:
        """Bytes still to come; None while the body is chunked and has not ended."""
        return 0 if self._ended else self._left

    def read(self, size: int = -1) -> bytes:
        """The next *size* bytes, fewer only where the body ends; all that is left when negative.

        :raises ClientDisconnected: the body broke off before its end, or nothing came for too long
        :raises InvalidBody: the chunks are not framed as RFC 9112 section 7.1 says, or headers say of the body what
            is not understood
        """
        if self._refusal is not None:
            raise self._refusal
        if size < 0:
            return b''.join(iter(lambda: self.read(PIECE_BYTES), b''))
        if self._ended or size == 0:
            return b''
        if self._left is not None:
            size = min(size, self._left)
            if size == 0:
                self._ended = True
                return b''
        self._uninvited = False
        try:
            data = self._read(size)
        except errors.GlanceError:
            raise
        except (OSError, ValueError, EOFError) as error:
            # Each server has errors of its own for a body that breaks off; all are one of these three.
            raise errors.ClientDisconnected() from error
        except Exception as error:
            raise errors.InvalidBody(reason='The body is not framed as RFC 9112 says.') from error
        if self._left is not None:
            self._left -= len(data)
            if not data:
                raise errors.ClientDisconnected()
        elif not data:
            self._ended = True
        return data

    def drop(self) -> None:
        """Take what the application left unread, within DROP_BYTES and DROP_SECONDS.

        With bytes left in the kernel, uWSGI and gunicorn reset the connection: often before the client has read
        the answer, or under the next request that it sends on it.
        """
        if self._uninvited:
            return  # the client sends nothing before it is asked to, and reading would ask
        deadline, room = time.monotonic() + DROP_SECONDS, DROP_BYTES
        try:
            while room > 0 and time.monotonic() < deadline and (data := self.read(PIECE_BYTES)):
                room -= len(data)
        except errors.GlanceError:
            return  # there is no client any more, or no next request to be found

    def readinto(self, buffer: Any) -> int:
        """Fill *buffer* from the body; the bytes read, 0 at the end. Errors as ``read``."""
        data = self.read(len(buffer))
        buffer[:len(data)] = data
        return len(data)

    def readline(self, size: int = -1) -> bytes:
        """The next line (WSGI asks for it; nothing here calls it with image data)."""
        line = bytearray()
        while size < 0 or len(line) < size:
            byte = self.read(1)
            line += byte
            if byte in (b'', b'\n'):
                break
        return bytes(line)

    def readlines(self, hint: int = -1) -> list[bytes]:
        """All lines; *hint* is not used, as WSGI allows."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b'')


class _UwsgiChunks:
    """Chunked bodies under uWSGI, whose ``wsgi.input`` gives nothing for them and says nothing."""

    def __init__(self):
        import uwsgi  # exists only inside a uWSGI process
        self._next = uwsgi.chunked_read
        self._rest = b''
        self._ended = False

    def read(self, size: int) -> bytes:
        parts, missing = [], size
        while missing and not self._ended:
            piece = self._rest or self._next()
            self._ended = not piece
            parts.append(piece[:missing])
            self._rest = piece[missing:]
            missing -= len(parts[-1])
        return parts[0] if len(parts) == 1 else b''.join(parts)


class LocalFileBody:
    """Part of a local file as the body of a response.

    Any server can iterate over it. The bundled server sends ``local_file`` from ``offset`` with ``sendfile``;
    others get it through :meth:`for_server`. The file is opened here, so that a missing one is an error before
    the status line is sent, and stays open when it is deleted meanwhile.

    :param path: absolute path of a regular file
    :param offset: first byte to send
    :param length: bytes to send; the file holds at least offset + length
    :param on_close: called once, with the bytes handed to the client
    :raises OSError: the file cannot be opened
    """

    def __init__(self, path: str, offset: int, length: int, on_close: Callable[[int], None] | None = None):
        self.local_file = path
        self.offset = offset
        self.length = length
        self.bytes_sent = 0
        self._on_close = on_close
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._position = offset

    def fileno(self) -> int:
        """Descriptor of the open file; -1 after ``close``."""
        return self._fd

    def read(self, size: int = PIECE_BYTES) -> bytes:
        """The next at most *size* bytes; empty at the end of the part.

        :raises OSError: the file became shorter than it was said to be
        """
        missing = self.offset + self.length - self._position
        if missing <= 0:
            return b''
        data = os.pread(self._fd, min(size, missing) if size >= 0 else missing, self._position)
        if not data:
            raise OSError(f'the file ended {missing} bytes too early')
        self._position += len(data)
        self.bytes_sent = max(self.bytes_sent, self._position - self.offset)
        return data

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.read, b'')

    def close(self) -> None:
        """Give up the file. Again: nothing happens."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        if self._on_close is not None:
            self._on_close(self.bytes_sent)

    def for_server(self, environ: Mapping[str, Any]) -> Any:
        """What the application should return: this body, or the server's own wrapper where that can sendfile.

        By PEP 3333 a wrapper begins at the file's position and ends after Content-Length. uWSGI's sends the whole
        file whatever these say, so it gets no part of one. ``bytes_sent`` is then taken for granted.
        """
        wrapper = environ.get('wsgi.file_wrapper')
        whole = self.offset == 0 and os.fstat(self._fd).st_size == self.length
        if wrapper is None or self.length == 0 or ('uwsgi.version' in environ and not whole):
            return self
        os.lseek(self._fd, self.offset, os.SEEK_SET)
        self.bytes_sent = self.length
        return wrapper(self, PIECE_BYTES)
