"""Context: who asks, from the headers that an authentication in front has left.

Place: after ``authtoken`` (flavor ``keystone``) or a proxy that sets identity headers (flavor ``trusted-auth``);
``unauthenticated-context`` stands in its place where nobody is asked for anything.

================================  ==========================================================================
``X-Identity-Status``             must be ``Confirmed``; else 401, or with ``allow_anonymous_access`` an
                                  anonymous caller who may look at public images and change nothing
``X-User-Id``                     the user (older: ``X-User``)
``X-Project-Id``                  the project, owner of what the user makes (older: ``X-Tenant-Id``, ``X-Tenant``)
``X-Roles``                       comma list, compared in lower case (older: ``X-Role``)
``X-User-Domain-Id``, ``X-Project-Domain-Id``, ``X-Domain-Id``, ``OpenStack-System-Scope``   for policies
``X-Service-Roles``               roles of a service token, believed when ``X-Service-Identity-Status`` is
                                  ``Confirmed``
``X-Service-Catalog``             the Keystone catalog as JSON
``X-Auth-Token``                  kept for calls that the service makes on the user's behalf
================================  ==========================================================================

**The flavor ``trusted-auth`` believes these headers from anyone.** Use it only where nothing but the
authenticating proxy can reach the service, and where that proxy removes them from what clients send.

Who is an administrator is asked of the policy ``context_is_admin``, once per request.

Options: ``allow_anonymous_access``, ``unauthenticated_project``.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from glancelike import errors
from glancelike.context import RequestContext, new_request_id
from glancelike.wsgi import faults
from glancelike.wsgi.request import CONTEXT_KEY, Request, check_text

MakeContext = Callable[[Request], RequestContext]


class Context:
    """Puts what *make* returns into the request; an error of it is the answer."""

    def __init__(self, app: Callable[..., Iterable[bytes]], make: MakeContext):
        self._app, self._make = app, make

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        req = Request(environ)
        try:
            environ[CONTEXT_KEY] = self._make(req)
        except errors.GlanceError as error:
            return faults.response(req, error)(environ, start_response)
        return self._app(environ, start_response)


def from_headers(req: Request, is_admin: Callable[[RequestContext], bool], anonymous: bool) -> RequestContext:
    """The caller whom the identity headers name.

    :param is_admin: the policy ``context_is_admin``
    :param anonymous: ``allow_anonymous_access``
    :raises NotAuthenticated: no confirmed identity, and anonymous callers are not allowed
    """
    request_id = req.request_id or new_request_id()
    if _header(req, 'X-Identity-Status') != 'Confirmed':
        if not anonymous:
            raise errors.NotAuthenticated()
        return RequestContext(read_only=True, request_id=request_id)
    service = _header(req, 'X-Service-Identity-Status') == 'Confirmed'
    ctx = RequestContext(
        user_id=_header(req, 'X-User-Id', 'X-User'),
        project_id=_header(req, 'X-Project-Id', 'X-Tenant-Id', 'X-Tenant'),
        roles=_roles(_header(req, 'X-Roles', 'X-Role')),
        service_roles=_roles(_header(req, 'X-Service-Roles')) if service else frozenset(),
        request_id=request_id,
        user_domain_id=_header(req, 'X-User-Domain-Id'),
        project_domain_id=_header(req, 'X-Project-Domain-Id'),
        system_scope=_header(req, 'OpenStack-System-Scope'),
        domain_id=_header(req, 'X-Domain-Id'),
        token=_header(req, 'X-Auth-Token', 'X-Storage-Token'),
        service_catalog=_catalog(_header(req, 'X-Service-Catalog')))
    return dataclasses.replace(ctx, is_admin=True) if is_admin(ctx) else ctx


def unauthenticated(req: Request, project: str) -> RequestContext:
    """An administrator of *project*, whoever asks."""
    return RequestContext(user_id='admin', project_id=project, roles=frozenset({'admin', 'member', 'reader'}),
                          is_admin=True, request_id=req.request_id or new_request_id())


def filter_factory(global_conf: Mapping[str, Any], **local_conf: Any) -> Callable[[Any], Context]:
    """For paste: ``context``."""
    services = global_conf['glancelike.services']
    make = functools.partial(from_headers, is_admin=services.enforcer.context_is_admin,
                             anonymous=services.conf.allow_anonymous_access)
    return lambda app: Context(app, make)


def unauthenticated_filter_factory(global_conf: Mapping[str, Any], **local_conf: Any) -> Callable[[Any], Context]:
    """For paste: ``unauthenticated-context``."""
    make = functools.partial(unauthenticated, project=global_conf['glancelike.services'].conf.unauthenticated_project)
    return lambda app: Context(app, make)


def _header(req: Request, *names: str) -> str | None:
    for name in names:
        value = req.header(name)
        if value:
            check_text(value, name)
            return value
    return None


def _roles(text: str | None) -> frozenset[str]:
    return frozenset(role.strip().lower() for role in (text or '').split(',') if role.strip())


def _catalog(text: str | None) -> tuple[Mapping[str, Any], ...]:
    if text is None:
        return ()
    try:
        catalog = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise errors.Invalid(reason='X-Service-Catalog is not a JSON document.') from error
    if not isinstance(catalog, list):
        raise errors.Invalid(reason='X-Service-Catalog is not a list.')
    return tuple(one for one in catalog if isinstance(one, dict))
