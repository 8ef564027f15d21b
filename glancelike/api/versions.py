"""The version list, and the composite that puts the applications of a pipeline under their paths."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import webob

from glancelike import errors
from glancelike.wsgi import faults
from glancelike.wsgi.request import Request
from glancelike.wsgi.resource import reply

ALWAYS = 'always'
SEVERAL_STORES = 'several stores'  # only with enabled_backends
IMPORT = 'import'                  # only with enable_image_import
COPY = 'copy-image'                # only while that import method may be used

#: What the service can do, oldest first: (version, what it brought, when it is listed). A version stands here
#: only when all of it is there; the newest one listed is CURRENT. Clients look for exact ids (python-glanceclient:
#: 'v2.12' before it asks for tasks of an image), so that gaps are no lie and a missing line is the truth.
#: Not here yet: 2.14, 2.16 and 2.18 cache.
VERSIONS = (
    ('2.0', 'images, data, tags, schemas', ALWAYS),
    ('2.1', 'members; the second media type of PATCH', ALWAYS),
    ('2.2', 'property protections', ALWAYS),
    ('2.3', 'deactivate, reactivate', ALWAYS),
    ('2.4', 'safety rules of locations', ALWAYS),
    ('2.5', 'visibilities community and shared', ALWAYS),
    ('2.6', 'import', IMPORT),
    ('2.7', 'os_hash_algo, os_hash_value, os_hidden', ALWAYS),
    ('2.8', 'several stores', SEVERAL_STORES),
    ('2.9', 'validation data of locations', ALWAYS),
    ('2.10', 'copy-image, import into several stores, removal from one', COPY),
    ('2.11', 'copy-image of what belongs to others, by policy', COPY),
    ('2.12', 'tasks of an image', ALWAYS),
    ('2.13', 'usage', ALWAYS),
    ('2.15', 'details of stores', SEVERAL_STORES),
    ('2.17', 'locations of their own', ALWAYS),
)


@dataclasses.dataclass(frozen=True, slots=True)
class VersionList:
    """WSGI application: GET / (300) and GET /versions (200).

    :ivar public_endpoint: what links begin with, or None for what the caller used
    :ivar listed: ``2.N`` as listed, oldest first
    :ivar tokens: what may stand first in a path, or in the Accept header
    """

    public_endpoint: str | None
    listed: tuple[str, ...]
    tokens: frozenset[str]

    @classmethod
    def of(cls, services: Any) -> VersionList:
        """The list that the configuration leads to."""
        conf, imports = services.conf, services.imports
        several = bool(conf.enabled_backends)
        holds = {ALWAYS: True, SEVERAL_STORES: several, IMPORT: imports is not None,
                 COPY: several and imports is not None and 'copy-image' in imports.methods}
        listed = tuple(version for version, _, when in VERSIONS if holds[when])
        return cls(conf.public_endpoint, listed, frozenset({'v2', *(f'v{version}' for version in listed)}))

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        req = Request(environ)
        asked = environ.get('PATH_INFO', '').strip('/').split('/')[0] == 'versions'
        return reply(self.document(req), status=200 if asked else 300)(environ, start_response)

    def document(self, req: Request) -> dict[str, Any]:
        """``{"versions": [{"id", "status", "links"}]}``, newest first."""
        base = self.public_endpoint or req.host_base() + environ_prefix(req.environ)
        links = [{'rel': 'self', 'href': base.rstrip('/') + '/v2/'}]
        return {'versions': [{'id': f'v{version}', 'status': 'CURRENT' if version == self.listed[-1] else 'SUPPORTED',
                              'links': links} for version in reversed(self.listed)]}


def environ_prefix(environ: Mapping[str, Any]) -> str:
    """Where the service is mounted under a proxy or a WSGI host: '' or ``/image``."""
    prefix = environ.get('SCRIPT_NAME', '')
    return prefix if prefix.isascii() and prefix.isprintable() else ''


class PathMap:
    """Applications by the beginning of the path, the longest that fits first.

    A path that is just the beginning (``/v2``) is sent to the same with a slash (302), as Glance does.
    """

    def __init__(self, apps: Mapping[str, Callable[..., Iterable[bytes]]]):
        self._apps = sorted(((prefix.rstrip('/'), app) for prefix, app in apps.items()),
                            key=lambda one: len(one[0]), reverse=True)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get('PATH_INFO', '')
        for prefix, app in self._apps:
            if path == prefix and prefix == '/v2' and environ.get('REQUEST_METHOD') in ('GET', 'HEAD'):
                req = Request(environ)
                location = req.host_base() + environ_prefix(environ) + '/v2/'
                return webob.Response(status=302, location=location)(environ, start_response)
            if path == prefix or path.startswith(prefix + '/'):
                if prefix:
                    environ['SCRIPT_NAME'] = environ.get('SCRIPT_NAME', '') + prefix
                    environ['PATH_INFO'] = path[len(prefix):]
                return app(environ, start_response)
        return faults.response(Request(environ), errors.ResourceNotFound())(environ, start_response)


def app_factory(global_conf: Mapping[str, Any], **local_conf: Any) -> VersionList:
    """For paste: ``apiversions``."""
    return VersionList.of(global_conf['glancelike.services'])


def root_app_factory(loader: Any, global_conf: Mapping[str, Any], **local_conf: str) -> PathMap:
    """For paste: a composite of ``/path: application`` lines."""
    return PathMap({path: loader.get_app(name, global_conf=global_conf)
                    for path, name in local_conf.items() if path.startswith('/')})
