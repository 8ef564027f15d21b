"""Proxy headers: believe ``Forwarded`` or ``X-Forwarded-*`` of a proxy in front (oslo.middleware's filter).

Place: before anything that makes links or logs addresses.

Options: ``[oslo_middleware] enable_proxy_headers_parsing``, off by default: a client that reaches the service
without the proxy could otherwise say what it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import webob
from oslo_middleware import http_proxy_to_wsgi


class ProxyHeaders(http_proxy_to_wsgi.HTTPProxyToWSGI):
    """The filter, without the answer being made anew on its way out: it looks at requests only."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.process_request(webob.Request(environ))
        return self.application(environ, start_response)


def filter_factory(global_conf: Mapping[str, Any], **local_conf: Any) -> Callable[[Any], Any]:
    """For paste; the pipeline goes on without the filter when the option is off."""
    conf = global_conf['glancelike.services'].conf
    conf.register_opts(http_proxy_to_wsgi.OPTS, group='oslo_middleware')
    if not conf.oslo_middleware.enable_proxy_headers_parsing:
        return lambda app: app
    return lambda app: ProxyHeaders(app, conf)
