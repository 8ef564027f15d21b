"""Version negotiation: which API version a request is for.

Place: before authentication, so that anybody can read the version list.

In this order: ``/versions`` is the version list (200); ``Accept: application/vnd.openstack.images-v2.N`` names
the version of a path without one; else the first part of the path is the version (``/v2``, ``/v2.N``). A
version of the list goes on as ``/v2``; anything else is answered with the version list and 300.

``filter_factory`` brings ``request_id`` with it, because paste files of Glance know no filter of that name; ours
name both and use ``plain_filter_factory``.

Options: those of the version list (``public_endpoint``, ``enabled_backends``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from glancelike.api.middleware.request_id import RequestId
from glancelike.api.versions import VersionList

ACCEPT_PREFIX = 'application/vnd.openstack.images-'


class VersionNegotiation:
    """The filter; *versions* answers what *app* does not get."""

    def __init__(self, app: Callable[..., Iterable[bytes]], versions: VersionList):
        self._app, self._versions = app, versions

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get('PATH_INFO', '')
        first, slash, rest = path.lstrip('/').partition('/')
        accept = environ.get('HTTP_ACCEPT', '').split(',')[0].split(';')[0].strip()
        if first == 'versions':
            return self._versions(environ, start_response)
        if accept.startswith(ACCEPT_PREFIX):
            version, rest = accept.removeprefix(ACCEPT_PREFIX), path
        else:
            version, rest = first, slash + rest
        if version not in self._versions.tokens:
            return self._versions(environ, start_response)
        environ['PATH_INFO'] = '/v2' + rest
        environ['api.version'] = version
        return self._app(environ, start_response)


def plain_filter_factory(global_conf: Mapping[str, Any], **local_conf: Any) -> Callable[[Any], VersionNegotiation]:
    """For paste, after ``request_id``."""
    versions = VersionList.of(global_conf['glancelike.services'])
    return lambda app: VersionNegotiation(app, versions)


def filter_factory(global_conf: Mapping[str, Any], **local_conf: Any) -> Callable[[Any], RequestId]:
    """For paste files without ``request_id``."""
    negotiated = plain_filter_factory(global_conf)
    max_length = global_conf['glancelike.services'].conf.max_request_id_length
    return lambda app: RequestId(negotiated(app), max_length)
