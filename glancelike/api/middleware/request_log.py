"""Request log: one line per answered request, with the time until the answer began (data of a download follow).

Place: after ``request_id`` and ``http_proxy_to_wsgi``, before anything that can refuse. The bundled server has an
access log of its own; this filter is for other servers, and for the user and project that theirs do not know.

``203.0.113.7 user project "GET /v2/images?limit=2" 200 1234 B 0.0123 s req-...``

Options: none; the logger is ``glancelike.api.middleware.request_log``, at level INFO.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from glancelike.wsgi.request import REQUEST_ID_KEY, identity, printable

LOG = logging.getLogger(__name__)


class RequestLog:
    """The filter."""

    def __init__(self, app: Callable[..., Iterable[bytes]]):
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        line = _Line(environ)

        def start(status, headers, exc_info=None):
            line.status = status[:3]
            line.length = next((value for name, value in headers if name.lower() == 'content-length'), '-')
            return start_response(status, headers, exc_info)

        try:
            return self._app(environ, start)
        finally:
            line.write()


class _Line:
    def __init__(self, environ: Mapping[str, Any]):
        query = environ.get('QUERY_STRING')
        self.what = printable(f"{environ.get('REQUEST_METHOD')} {environ.get('SCRIPT_NAME', '')}"
                              f"{environ.get('PATH_INFO', '')}{'?' + query if query else ''}", 500)
        self.environ, self.began = environ, time.monotonic()
        self.status = self.length = '-'

    def write(self) -> None:
        ctx = identity(self.environ)
        LOG.info('%s %s %s "%s" %s %s B %.4f s %s', self.environ.get('REMOTE_ADDR', '-'),
                 printable(ctx.user_id or '-') if ctx else '-', printable(ctx.project_id or '-') if ctx else '-',
                 self.what, self.status, self.length, time.monotonic() - self.began,
                 self.environ.get(REQUEST_ID_KEY, '-'))


def filter_factory(global_conf: Mapping[str, Any], **local_conf: Any) -> Callable[[Any], RequestLog]:
    """For paste."""
    return RequestLog
