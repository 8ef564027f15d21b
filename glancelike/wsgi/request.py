"""What a caller sent, read defensively: whatever is in it, the answer is a 4xx and never a 5xx."""

from __future__ import annotations

import functools
import json
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

import webob

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.wsgi import body

CONTEXT_KEY = 'glancelike.context'
REQUEST_ID_KEY = 'glancelike.request_id'

#: Nesting of a JSON body; deeper documents say nothing that this API understands.
MAX_JSON_DEPTH = 32
#: Parameters of one query string.
MAX_PARAMETERS = 1000

_CONTROL = re.compile('[\x00-\x1f\x7f]')
_NAME_CHARACTERS = re.compile(r'[0-9A-Za-z._:\[\]-]+')


class Request(webob.Request):
    """One HTTP request. ``context`` is there once a context filter has run."""

    @property
    def context(self) -> RequestContext:
        """Who asks; set by ``api/middleware/context.py``."""
        return self.environ[CONTEXT_KEY]

    @property
    def request_id(self) -> str:
        """The id that the answer carries; '' before ``api/middleware/request_id.py`` has run."""
        return self.environ.get(REQUEST_ID_KEY, '')

    def path_text(self) -> str:
        """The path below the mount point as text.

        :raises Invalid: it is not UTF-8, or has control characters
        """
        path = _utf8(self.environ.get('PATH_INFO', ''), 'path')
        if _CONTROL.search(path):
            raise errors.Invalid(reason='The path has control characters in it.')
        return path

    def parameters(self) -> list[tuple[str, str]]:
        """The query string as (name, value) pairs, repeated names and empty values kept, in order.

        :raises Invalid: not UTF-8, with U+0000, or more than MAX_PARAMETERS
        """
        text = _utf8(self.environ.get('QUERY_STRING', ''), 'query string')
        try:
            pairs = urllib.parse.parse_qsl(text, keep_blank_values=True, errors='strict',
                                           max_num_fields=MAX_PARAMETERS)
        except UnicodeDecodeError as error:
            raise errors.Invalid(reason='The query string is not UTF-8.') from error
        except ValueError as error:
            raise errors.Invalid(
                reason=f'The query string has more than {MAX_PARAMETERS} parameters.') from error
        for name, value in pairs:
            check_text(name, 'query string')
            check_text(value, f'parameter {printable(name)}')
        return pairs

    def header(self, name: str) -> str | None:
        """A header's value as text (UTF-8 where it is, else latin-1), without blanks round it; None when absent."""
        value = self.environ.get(environ_key(name))
        if value is None:
            return None
        if not value.isascii():
            try:
                value = value.encode('latin-1').decode('utf-8')
            except UnicodeError:
                pass  # not UTF-8: RFC 9110 (5.5) lets us take the octets as they are
        return value.strip()

    def media_type(self) -> str:
        """The Content-Type without parameters, lower-cased; '' when there is none."""
        return self.environ.get('CONTENT_TYPE', '').split(';')[0].strip().lower()

    def declared_length(self) -> int | None:
        """Content-Length in bytes; None when the body is chunked or there is no such header.

        :raises Invalid: not a whole number of 0 or more
        """
        if self.is_chunked():
            return None
        return whole_number(self.environ.get('CONTENT_LENGTH') or None, 'Content-Length')

    def is_chunked(self) -> bool:
        """Does the body come without a length, in chunks?"""
        return 'chunked' in self.environ.get('HTTP_TRANSFER_ENCODING', '').lower()

    def has_body(self) -> bool:
        """Does a body come with the request (of one byte at least, or of unknown length)?"""
        length = self.environ.get('CONTENT_LENGTH')
        return self.is_chunked() or (length not in (None, '', '0') and bool(self.declared_length()))

    def data(self) -> body.BodyReader:
        """The body as a stream to ``read(n)`` from."""
        return body.BodyReader(self.environ)

    def json_document(self, max_bytes: int) -> Any:
        """The body as a JSON object or array, whatever its Content-Type says.

        Text in it has no U+0000 and no lone surrogates, numbers are finite, nesting is bounded.

        :raises LimitExceeded: longer than *max_bytes*
        :raises InvalidBody: no body, or no such document
        """
        length = self.declared_length()
        if length is not None and length > max_bytes:
            raise _too_long(max_bytes)
        reader, pieces, received = self.data(), [], 0
        while received <= max_bytes:
            piece = reader.read(max_bytes + 1 - received)
            if not piece:
                break
            pieces.append(piece)
            received += len(piece)
        if received > max_bytes:
            raise _too_long(max_bytes)
        if not received:
            raise errors.InvalidBody(reason='A JSON document must be in the body of this request.')
        return parse_json(b''.join(pieces))

    def accepts(self, media_type: str) -> bool:
        """Was this very media type named in Accept (wildcards do not count), with a quality above 0?"""
        for part in self.environ.get('HTTP_ACCEPT', '').lower().split(','):
            name, *parameters = (one.strip() for one in part.split(';'))
            if name == media_type:
                return not any(re.fullmatch(r'q=0(\.0*)?', one) for one in parameters)
        return False

    def host_base(self) -> str:
        """``scheme://host[:port]`` as the caller reached us; odd Host headers are not echoed."""
        scheme = self.environ.get('wsgi.url_scheme', 'http')
        scheme = scheme if scheme in ('http', 'https') else 'http'
        host = self.environ.get('HTTP_HOST', '')
        if not _NAME_CHARACTERS.fullmatch(host):
            host = f"{self.environ.get('SERVER_NAME', 'localhost')}:{self.environ.get('SERVER_PORT', '9292')}"
        return f'{scheme}://{host.removesuffix(":80" if scheme == "http" else ":443")}'


@functools.cache
def environ_key(name: str) -> str:
    """Where the environ has the header *name*, a constant of the program."""
    key = name.upper().replace('-', '_')
    return key if key in ('CONTENT_TYPE', 'CONTENT_LENGTH') else f'HTTP_{key}'


def parse_json(text: bytes) -> Any:
    """The object or array in *text* (UTF-8), checked as ``Request.json_document`` says.

    :raises InvalidBody: it is not one
    """
    try:
        document = json.loads(text.decode('utf-8'), parse_constant=_no_constant)
    except RecursionError as error:
        raise errors.InvalidBody(reason='The JSON document is nested too deeply.') from error
    except ValueError as error:  # malformed JSON, bad UTF-8, a number of thousands of digits
        raise errors.InvalidBody(reason='The body is not a valid JSON document in UTF-8.') from error
    if not isinstance(document, (dict, list)):
        raise errors.InvalidBody(reason='The JSON document must be an object or an array.')
    _check_values(document, MAX_JSON_DEPTH)
    return document


def check_text(text: str, place: str) -> None:
    """Databases cannot keep all that a Python string can hold.

    :raises Invalid: U+0000 or a lone surrogate is in *text*
    """
    if '\x00' in text:
        raise errors.Invalid(reason=f'U+0000 is not allowed in text ({place}).')
    if text.isascii():
        return
    try:
        text.encode('utf-8')
    except UnicodeEncodeError as error:
        raise errors.Invalid(reason=f'A lone surrogate is not allowed in text ({place}).') from error


def whole_number(text: str | None, name: str) -> int | None:
    """The number of 0 or more that the header *name* gives, or None for None.

    :raises Invalid: something else, or beyond 2**63-1
    """
    if text is None:
        return None
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19 and int(digits) < 2**63):
        raise errors.Invalid(reason=f"{name} must be a whole number of 0 or more, not '{printable(text)}'.")
    return int(digits)


def printable(value: Any, longest: int = 100) -> str:
    """*value* for a message: on one line, shortened, nothing unprintable in it."""
    text = value if isinstance(value, str) else repr(value)
    if len(text) > longest:
        text = text[:longest] + '...'
    if text.isprintable():
        return text
    return ''.join(one if one.isprintable() else '\N{REPLACEMENT CHARACTER}' for one in text)


def identity(environ: Mapping[str, Any]) -> RequestContext | None:
    """The context of a request when a context filter has run, else None (for logs)."""
    return environ.get(CONTEXT_KEY)


def _utf8(octets: str, place: str) -> str:
    # PEP 3333: octets come as latin-1 text
    try:
        return octets.encode('latin-1').decode('utf-8')
    except UnicodeError as error:
        raise errors.Invalid(reason=f'The {place} is not UTF-8.') from error


def _too_long(max_bytes: int) -> errors.LimitExceeded:
    return errors.LimitExceeded(reason=f'The JSON document is longer than {max_bytes} bytes (max_json_body).')


def _no_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are no JSON (RFC 8259, 6)


def _check_values(value: Any, depth: int) -> None:
    if isinstance(value, str):
        check_text(value, 'JSON document')
    elif isinstance(value, (dict, list)):
        if not depth:
            raise errors.InvalidBody(reason='The JSON document is nested too deeply.')
        if isinstance(value, dict):
            for name in value:
                check_text(name, 'JSON document')
            value = value.values()
        for one in value:
            _check_values(one, depth - 1)
    elif isinstance(value, float) and value - value != 0:  # 1e999 became infinity
        raise errors.InvalidBody(reason='A number in the JSON document is too large.')
