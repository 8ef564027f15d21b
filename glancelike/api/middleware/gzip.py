"""Compression of JSON answers for clients that accept it (``Accept-Encoding: gzip``).

Place: anywhere before ``rootapp``; in no shipped pipeline, as in Glance. Image data are never touched: they are
compressed already or meant to be sent as they are.

A compressed answer is another representation, so its ETag becomes a weak one (RFC 9110, 8.8.1); ``If-Match`` takes
both forms here.

Options: none.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import webob

#: Shorter bodies gain nothing. Unit: bytes.
SMALLEST = 1024


class Gzip:
    """The filter."""

    def __init__(self, app: Callable[..., Iterable[bytes]]):
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        req = webob.Request(environ)
        if not _accepted(environ.get('HTTP_ACCEPT_ENCODING', '')) or req.method == 'HEAD':
            return self._app(environ, start_response)
        answer = req.get_response(self._app)
        if (answer.content_type == 'application/json' and 'Content-Encoding' not in answer.headers
                and len(answer.body) >= SMALLEST):
            answer.body = gzip.compress(answer.body, compresslevel=6, mtime=0)
            answer.headers['Content-Encoding'] = 'gzip'
            answer.headers['Vary'] = 'Accept-Encoding'
            if answer.headers.get('ETag', '').startswith('"'):
                answer.headers['ETag'] = 'W/' + answer.headers['ETag']
        return answer(environ, start_response)


def _accepted(accept: str) -> bool:
    for part in accept.lower().split(','):
        name, *parameters = (one.strip() for one in part.split(';'))
        if name == 'gzip':
            return not any(one.replace(' ', '') in ('q=0', 'q=0.0', 'q=0.00', 'q=0.000') for one in parameters)
    return False


def filter_factory(global_conf: Mapping[str, Any], **local_conf: Any) -> Callable[[Any], Gzip]:
    """For paste."""
    return Gzip
