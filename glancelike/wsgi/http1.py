"""HTTP/1.1 requests as bytes: the head, and how the body is framed. No sockets here.

Parsing is strict where leniency lets two servers in a row disagree about where a request ends (RFC 9112
sections 3, 5, 6 and 11.2). A head that breaks a rule raises :class:`BadRequest`, and the connection is closed
after the answer.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

MAX_HEAD_BYTES = 128 * 1024   #: all header lines of a request together
MAX_HEADERS = 256             #: header lines of a request
MAX_CHUNK_LINE_BYTES = 1024   #: a chunk-size line with its extensions
MAX_TRAILER_BYTES = 16 * 1024

REASONS = {400: 'Bad Request', 408: 'Request Timeout', 414: 'URI Too Long', 417: 'Expectation Failed',
           431: 'Request Header Fields Too Large', 500: 'Internal Server Error', 501: 'Not Implemented',
           503: 'Service Unavailable', 505: 'HTTP Version Not Supported'}

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_TARGET = re.compile(r'[\x21-\x7e\x80-\xff]+\Z')
_VERSION = re.compile(r'HTTP/([0-9])\.([0-9])\Z')
_BAD_VALUE = re.compile(r'[\x00-\x08\x0a-\x1f\x7f]')
_DIGITS = re.compile(r'[0-9]{1,18}\Z')
_CHUNK_SIZE = re.compile(rb'([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n\Z')
_ABSOLUTE = re.compile(r'https?://([^/?]*)', re.IGNORECASE)
_ONCE = frozenset({'HOST', 'CONTENT_LENGTH', 'TRANSFER_ENCODING', 'CONTENT_TYPE', 'CONTENT_RANGE'})


class BadRequest(Exception):
    """The request cannot be understood; answer *status* and close the connection.

    :ivar status: 400 to 505
    """

    def __init__(self, status: int, reason: str):
        self.status = status
        self.reason = reason
        super().__init__(reason)


@dataclasses.dataclass(slots=True)
class Head:
    """A request without its body.

    :ivar method: as sent, a token
    :ivar target: as sent, for the log
    :ivar path: percent-decoded bytes as latin-1, which is what PEP 3333 wants in PATH_INFO
    :ivar headers: name in the spelling of the environ (``CONTENT_LENGTH``) to value; repeated ones joined by ','
    :ivar http11: False for HTTP/1.0
    :ivar length: bytes of the body; None: chunked
    """

    method: str
    target: str
    raw_path: str
    path: str
    query: str
    http11: bool
    headers: Mapping[str, str]
    length: int | None
    expects_continue: bool

    @property
    def wants_keepalive(self) -> bool:
        """Does the client want to send another request on this connection?"""
        connection = self.headers.get('CONNECTION', '').lower()
        if self.http11:
            return 'close' not in connection
        return 'keep-alive' in connection


def parse(raw: bytes, max_line_bytes: int) -> Head:
    """The head out of its bytes, which end with the empty line.

    :param max_line_bytes: of the request line and of each header line, line end not counted
    :raises BadRequest: it breaks a rule of RFC 9112; names the rule
    """
    text = raw[:-4].decode('latin-1')
    if text.count('\n') != text.count('\r\n') or text.count('\r') != text.count('\n'):
        raise BadRequest(400, 'Lines must end with CR LF.')
    lines = text.split('\r\n')
    method, target, http11 = _request_line(lines[0], max_line_bytes)
    headers = _headers(lines[1:], max_line_bytes)
    if http11 and 'HOST' not in headers:
        raise BadRequest(400, 'An HTTP/1.1 request needs a Host header.')
    expects_continue = False
    if 'EXPECT' in headers:
        if headers['EXPECT'].lower() != '100-continue':
            raise BadRequest(417, 'Of all expectations only 100-continue is known here.')
        expects_continue = http11
    path, query = _split_target(method, target)
    plain = path if '%' not in path else unquote_to_bytes(path.encode('latin-1')).decode('latin-1')
    return Head(method, target, path, plain, query, http11, headers, _length(headers, http11), expects_continue)


def _request_line(line: str, max_bytes: int) -> tuple[str, str, bool]:
    if len(line) > max_bytes:
        raise BadRequest(414, f'The request line is longer than {max_bytes} bytes (max_header_line).')
    parts = line.split(' ')
    if len(parts) != 3:
        raise BadRequest(400, 'The request line is not "METHOD target HTTP/1.1".')
    method, target, version = parts
    found = _VERSION.match(version)
    if not found:
        raise BadRequest(400, 'The request line names no HTTP version.')
    if found[1] != '1':
        raise BadRequest(505, 'HTTP/1.1 and HTTP/1.0 are spoken here.')
    if not _TOKEN.match(method) or not _TARGET.match(target):
        raise BadRequest(400, 'The request line holds characters that are not allowed there.')
    return method, target, found[2] != '0'


def _headers(lines: list[str], max_bytes: int) -> dict[str, str]:
    if len(lines) > MAX_HEADERS:
        raise BadRequest(431, f'There are more than {MAX_HEADERS} header lines.')
    headers: dict[str, str] = {}
    for line in lines:
        if len(line) > max_bytes:
            raise BadRequest(431, f'A header line is longer than {max_bytes} bytes (max_header_line).')
        name, colon, value = line.partition(':')
        # A name that ends in a space or starts with one (a folded line) fails as a token, too.
        if not colon or not _TOKEN.match(name):
            raise BadRequest(400, 'A header line is not "Name: value".')
        if _BAD_VALUE.search(value):
            raise BadRequest(400, 'A header value holds control characters.')
        if '_' in name:
            continue  # would be taken for the name with '-': X_Roles must not pass for X-Roles
        key = name.upper().replace('-', '_')
        value = value.strip(' \t')
        if key not in headers:
            headers[key] = value
        elif key in _ONCE:
            raise BadRequest(400, f'Header {name} came more than once.')
        else:
            headers[key] = f'{headers[key]}; {value}' if key == 'COOKIE' else f'{headers[key]},{value}'
    return headers


def _length(headers: Mapping[str, str], http11: bool) -> int | None:
    """RFC 9112 section 6.3, without the cases in which somebody guesses."""
    coding = headers.get('TRANSFER_ENCODING')
    declared = headers.get('CONTENT_LENGTH')
    if coding is not None:
        if declared is not None:
            raise BadRequest(400, 'Content-Length and Transfer-Encoding exclude each other.')
        if not http11:
            raise BadRequest(400, 'HTTP/1.0 has no Transfer-Encoding.')
        if coding.lower() != 'chunked':
            raise BadRequest(501, 'Of all transfer codings only chunked is known here.')
        return None
    if declared is None:
        return 0
    if not _DIGITS.match(declared):
        raise BadRequest(400, 'Content-Length is not a number of bytes.')
    return int(declared)


def _split_target(method: str, target: str) -> tuple[str, str]:
    if not target.startswith('/'):
        absolute = _ABSOLUTE.match(target)
        if absolute:
            target = target[absolute.end():]
            if not target.startswith('/'):
                target = '/' + target
        elif not (target == '*' and method == 'OPTIONS'):
            raise BadRequest(400, 'The request target is no path.')
    path, _, query = target.partition('?')
    return path, query


def chunk_size(line: bytes) -> int | None:
    """Bytes of the chunk that this line opens; None when the line is none."""
    found = _CHUNK_SIZE.match(line)
    return int(found[1], 16) if found else None
