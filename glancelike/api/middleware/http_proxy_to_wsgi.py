"""Proxy headers: believe ``Forwarded`` or ``X-Forwarded-*`` of a proxy in front (oslo.middleware's filter).

Place: before anything that makes links or logs addresses.

Options: ``[oslo_middleware] enable_proxy_headers_parsing``, off by default: a client that reaches the service
without the proxy could otherwise say what it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from oslo_middleware import http_proxy_to_wsgi


def filter_factory(global_conf: Mapping[str, Any], **local_conf: Any
                   ) -> Callable[[Any], http_proxy_to_wsgi.HTTPProxyToWSGI]:
    """For paste."""
    conf = global_conf['glancelike.services'].conf
    return lambda app: http_proxy_to_wsgi.HTTPProxyToWSGI(app, conf)
