"""Request id: every answer says ``X-Openstack-Request-Id``, every log line can be found by it.

Place: first in the pipeline, so that whatever answers (version list, 401, a preflight) is covered. Where a paste
file does not name it, ``versionnegotiation`` brings it; twice does no harm.

An id in the request's ``X-Openstack-Request-Id`` is taken over, so that calls of one client action belong
together; ``req-`` is put before it when it is missing. One longer than ``max_request_id_length`` is refused
with 431, one with other characters than letters, digits and ``._:-`` is replaced.

It also is the last net: an exception that no other part turned into an answer becomes a 500 without details.

Options: ``max_request_id_length``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from glancelike.context import new_request_id
from glancelike.wsgi import faults
from glancelike.wsgi.request import REQUEST_ID_KEY, Request

HEADER = 'X-Openstack-Request-Id'
_ACCEPTABLE = re.compile(r'[0-9A-Za-z._:-]+')


class RequestId:
    """The filter; *max_length* in characters."""

    def __init__(self, app: Callable[..., Iterable[bytes]], max_length: int):
        self._app, self._max_length = app, max_length

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if REQUEST_ID_KEY in environ:
            return self._app(environ, start_response)
        wanted = environ.get('HTTP_X_OPENSTACK_REQUEST_ID', '').strip()
        too_long = len(wanted) > self._max_length
        request_id = new_request_id()
        if wanted and not too_long and _ACCEPTABLE.fullmatch(wanted):
            request_id = wanted if wanted.startswith('req-') else f'req-{wanted}'
        environ[REQUEST_ID_KEY] = request_id

        def start(status, headers, exc_info=None):
            kept = [pair for pair in headers if pair[0].lower() != HEADER.lower()]
            return start_response(status, [*kept, (HEADER, request_id)], exc_info)

        if too_long:
            error = faults.HeaderTooLong(name=HEADER, limit=self._max_length)
            return faults.response(Request(environ), error)(environ, start)
        try:
            return self._app(environ, start)
        except Exception as error:
            return faults.response(Request(environ), error)(environ, start)


def filter_factory(global_conf: Mapping[str, Any], **local_conf: Any) -> Callable[[Any], RequestId]:
    """For paste."""
    max_length = global_conf['glancelike.services'].conf.max_request_id_length
    return lambda app: RequestId(app, max_length)
