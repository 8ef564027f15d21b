"""A table of routes as a WSGI application: find the action, check what every action needs, write its answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import webob

from glancelike import errors
from glancelike.wsgi import faults
from glancelike.wsgi.request import Request
from glancelike.wsgi.router import JSON, NO_BODY, Route, Router

SAFE_METHODS = frozenset({'GET', 'HEAD', 'OPTIONS'})

_NOT_IN_A_HEADER = re.compile('[\x00-\x1f\x7f]+')


class Resource:
    """One version of an API.

    :param table: its routes
    :param max_json_body: most bytes of a JSON body
    """

    def __init__(self, table: Sequence[Route], max_json_body: int):
        self._router = Router(table)
        self._max_json_body = max_json_body

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        req = Request(environ)
        try:
            route, arguments = self._router.match(req.method, req.path_text())
            self._prepare(req, route, arguments)
            result = route.action(req, **arguments)
            answer = result if isinstance(result, webob.Response) else reply(result)
        except Exception as error:  # every error becomes an answer here, in one place
            answer = _options(error) if req.method == 'OPTIONS' else None
            answer = answer or faults.response(req, error)
        return answer(environ, start_response)

    def _prepare(self, req: Request, route: Route, arguments: dict[str, Any]) -> None:
        """Check what every action needs checked; give the action the document that it expects."""
        if req.context.read_only and req.method not in SAFE_METHODS:
            raise errors.ReadOnlyContext()
        if route.body == JSON:
            arguments['document'] = req.json_document(self._max_json_body)
        elif route.body == NO_BODY and req.has_body():
            raise errors.InvalidBody(reason=f'{req.method} takes no body here.')


def _options(error: Exception) -> webob.Response | None:
    """What OPTIONS is answered with where no route has it: the methods that others have."""
    if not isinstance(error, faults.MethodNotAllowed):
        return None
    return webob.Response(status=200, headerlist=[('Allow', f'{error.facts["allowed"]}, OPTIONS'),
                                                  ('Content-Length', '0')])


def reply(document: Any = None, status: int | None = None, headers: Mapping[str, str | None] | None = None
          ) -> webob.Response:
    """An answer with a JSON document, or without a body (204) when *document* is None.

    :param headers: None values are left out; no value can end its line, whatever is in it
    """
    status = status or (204 if document is None else 200)
    body, shown = b'', []
    if document is not None:
        body = json.dumps(document).encode('ascii')
        shown += [('Content-Type', 'application/json'), ('Content-Length', str(len(body)))]
    elif status not in (204, 304):
        shown.append(('Content-Length', '0'))
    if headers:
        shown += [(name, header_value(value)) for name, value in headers.items() if value is not None]
    # Made of its parts at once: webob looks through all headers for each part that is set.
    return webob.Response(status=status, headerlist=shown, app_iter=[body])


def header_value(text: str) -> str:
    """*text* as a header's value: control characters become blanks, what is not latin-1 becomes ``?``."""
    return _NOT_IN_A_HEADER.sub(' ', str(text)).encode('latin-1', 'replace').decode('latin-1')
