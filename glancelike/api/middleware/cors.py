"""CORS: lets pages of other origins call the API (oslo.middleware's filter over our configuration).

Only a request with the header ``Origin``, and OPTIONS, have anything to do with it; all others pass by.

Place: second in the pipeline, right after the request id, so that refusals carry the headers too and a preflight
is answered without a token.

Options: the group ``[cors]``. ``allowed_origin`` names the origins, comma-separated; without it nothing is allowed.
The headers that a client of the Images API sends and reads are allowed and exposed unless the file says otherwise.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from oslo_config import cfg
from oslo_middleware import cors

ALLOW_HEADERS = [
    'Content-Type', 'Cache-Control', 'Content-Language', 'Expires', 'Last-Modified', 'Pragma', 'If-Match',
    'If-None-Match', 'Range', 'X-Auth-Token', 'X-Service-Token', 'X-OpenStack-Request-ID', 'X-Image-Meta-Store',
    'X-OpenStack-Image-Size',
]
EXPOSE_HEADERS = [
    'X-Image-Meta-Checksum', 'X-Auth-Token', 'X-Subject-Token', 'X-Service-Token', 'X-OpenStack-Request-ID',
    'OpenStack-image-store-ids', 'OpenStack-image-import-methods', 'Location', 'ETag', 'Content-MD5', 'Content-Range',
    'Accept-Ranges', 'Accept-Patch', 'Retry-After',
]
ALLOW_METHODS = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'PATCH']


def options() -> list[cfg.Opt]:
    """oslo.middleware's options with our defaults; its own list is left as it is."""
    ours = copy.deepcopy(cors.OPTS)
    cfg.set_defaults(ours, allow_headers=ALLOW_HEADERS, expose_headers=EXPOSE_HEADERS, allow_methods=ALLOW_METHODS)
    return ours


class Cors(cors.CORS):
    """The filter, told its origins from a configuration that has our defaults."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # oslo.middleware makes request and answer anew to find that there is nothing to do.
        if 'HTTP_ORIGIN' in environ or environ['REQUEST_METHOD'] == 'OPTIONS':
            return super().__call__(environ, start_response)
        return self.application(environ, start_response)

    def _init_conf(self) -> None:
        group = self.oslo_conf.cors
        self.add_origin(allowed_origin=group.allowed_origin, allow_credentials=group.allow_credentials,
                        expose_headers=group.expose_headers, max_age=group.max_age,
                        allow_methods=group.allow_methods, allow_headers=group.allow_headers)


def filter_factory(global_conf: Mapping[str, Any], **local_conf: Any) -> Callable[[Any], Cors]:
    """For paste; options in the paste file (``oslo_config_project`` of Glance's) are not needed."""
    conf = global_conf['glancelike.services'].conf
    conf.register_opts(options(), group='cors')
    return lambda app: Cors(app, conf)
