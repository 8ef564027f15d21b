"""Errors to HTTP answers: the only place that knows which error is which status code.

The body is JSON when the caller names ``application/json`` in Accept::

    {"error": {"code": "image_not_found", "title": "Not Found", "message": "No image found with ID ...",
               "status": 404, "request_id": "req-..."}}

``code`` is stable (see errors.py); ``message`` is for people and may change. Else it is HTML when Accept has
``text/html`` or ``*/*``: python-glanceclient and openstacksdk send the latter, and from HTML both show a person
"404 Not Found: No image found with ID ..." (as with Glance; of plain text openstacksdk shows nothing but the title).
Else it is plain text.
"""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Mapping
from types import MappingProxyType

import webob
from webob.util import status_reasons

from glancelike import errors
from glancelike.wsgi.request import Request

LOG = logging.getLogger(__name__)

#: What ``Retry-After`` says with a 503, in seconds.
RETRY_AFTER_SECONDS = 5


class MethodNotAllowed(errors.GlanceError):
    """The path exists, but not for this method; ``allowed`` lists those that do."""
    code = 'method_not_allowed'
    message = 'Method %(method)s is not allowed here; allowed are %(allowed)s.'


class MethodUnknown(errors.GlanceError):
    """No method of HTTP that we know."""
    code = 'method_unknown'
    message = 'Method %(method)s is not known here.'


class HeaderTooLong(errors.GlanceError):
    """A header is longer than an option allows."""
    code = 'header_too_long'
    message = 'Header %(name)s is longer than %(limit)d characters.'


#: Class of error -> status. A class that is not here takes the status of its nearest base.
STATUS: Mapping[type[Exception], int] = MappingProxyType({
    errors.Invalid: 400,
    errors.ClientDisconnected: 400,
    errors.NotAuthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    MethodNotAllowed: 405,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.PreconditionFailed: 412,
    errors.LimitExceeded: 413,
    errors.UnsupportedMediaType: 415,
    errors.RangeNotSatisfiable: 416,
    HeaderTooLong: 431,
    errors.GlanceError: 500,
    errors.StoreError: 500,
    MethodUnknown: 501,
    errors.ServiceUnavailable: 503,
    # What stores say (history of Glance: store disabled 410, full 413, write denied 503, in use 409).
    # The bytes of an active image are lost: not 204, which clients take for an image without data.
    errors.ObjectNotFound: 404,
    errors.ObjectExists: 409,
    errors.ObjectInUse: 409,
    errors.StoreReadOnly: 410,
    errors.StoreFull: 413,
    errors.OperationNotSupported: 400,
    errors.BadStoreUrl: 400,
    # It is the service that the store refuses, not the caller.
    errors.StoreForbidden: 503,
    errors.StoreUnavailable: 503,
})

_UNEXPECTED = 'The server had an unexpected error; its log has the details under this request id: %s'


def status_of(error: Exception) -> int:
    """The status code of an error raised on purpose; 500 for any other."""
    for cls in type(error).__mro__:
        if cls in STATUS:
            return STATUS[cls]
    return 500


def response(req: Request, error: Exception) -> webob.Response:
    """The answer to *req* that says *error*; an error that nobody raised on purpose is logged, not told."""
    status = status_of(error)
    if isinstance(error, errors.GlanceError) and (status != 500 or isinstance(error, errors.StoreError)):
        code, message = error.code, str(error)
        if status >= 500:
            LOG.warning('%s %s: %s', req.method, req.environ.get('PATH_INFO', '').encode(), message)
    else:
        LOG.error('%s %s failed', req.method, req.environ.get('PATH_INFO', '').encode(), exc_info=error)
        code, message = 'internal_error', _UNEXPECTED % (req.request_id or 'none')
    answer = _body(req, status, code, message)
    answer.headers.update(_headers(req, status, error))
    return answer


def _headers(req: Request, status: int, error: Exception) -> dict[str, str]:
    facts = getattr(error, 'facts', {})
    if status == 405:
        return {'Allow': facts['allowed']}
    if status == 415 and req.method == 'PATCH' and 'accepted' in facts:
        return {'Accept-Patch': facts['accepted']}  # RFC 5789, 2.2
    if status == 416 and 'size' in facts:
        return {'Content-Range': f'bytes */{facts["size"]}'}
    if status == 503:
        return {'Retry-After': str(RETRY_AFTER_SECONDS)}
    return {}


def _body(req: Request, status: int, code: str, message: str) -> webob.Response:
    title = status_reasons[status]
    if req.accepts('application/json'):
        text = json.dumps({'error': {'code': code, 'title': title, 'message': message, 'status': status,
                                     'request_id': req.request_id}})
        media_type = 'application/json'
    elif req.accepts('text/html') or req.accepts('*/*'):
        media_type = 'text/html'
        # One line each: the clients join lines. Quotes are left alone: the clients would show &#x27; as it is.
        text = (f'<html>\n <head>\n  <title>{status} {title}</title>\n </head>\n <body>\n'
                f'  <h1>{status} {title}</h1>\n  {html.escape(message, quote=False)}\n </body>\n</html>\n')
    else:
        media_type = 'text/plain'
        text = f'{status} {title}\n\n{message}\n'
    # A refused name may hold anything; what cannot be written in UTF-8 is replaced.
    return webob.Response(body=text.encode('utf-8', 'replace'), status=f'{status} {title}',
                          content_type=media_type, charset=None if media_type == 'application/json' else 'UTF-8')
