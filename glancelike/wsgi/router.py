"""Which function answers which path and method: Routes under one readable table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import routes

from glancelike import errors
from glancelike.wsgi.faults import MethodNotAllowed, MethodUnknown

NO_BODY = 'none'  # a body is refused
JSON = 'json'     # the document is parsed and given to the action as its argument ``document``
RAW = 'raw'       # the action reads the body itself

METHODS = ('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT')


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """One line of a table of routes.

    :ivar path: with names in braces, which are given to the action as keywords
    :ivar action: called with the request and those keywords
    :ivar body: NO_BODY, JSON or RAW
    """

    method: str
    path: str
    action: Callable[..., Any]
    body: str = NO_BODY


class Router:
    """The table, ready to be asked. A GET route answers HEAD too, unless there is one for it."""

    def __init__(self, table: Sequence[Route]):
        self._mapper = routes.Mapper(directory=None, register=False)
        self._mapper.minimization = False
        self._resources: dict[str, dict[str, Route]] = {}
        for route in table:
            if route.path not in self._resources:
                self._mapper.connect(route.path, controller=route.path)
            self._resources.setdefault(route.path, {})[route.method] = route
        for methods in self._resources.values():
            if 'GET' in methods:
                methods.setdefault('HEAD', methods['GET'])
        self._mapper.create_regs([])

    def match(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route of a request, and the values of the names in its path.

        :raises ResourceNotFound: no such path
        :raises MethodNotAllowed: not with this method (also for OPTIONS: see ``allowed``)
        :raises MethodUnknown: no method of HTTP
        """
        found = self._mapper.match(path)
        if found is None:
            raise errors.ResourceNotFound()
        methods = self._resources[found.pop('controller')]
        found.pop('action', None)
        route = methods.get(method)
        if route is None:
            if method not in METHODS:
                raise MethodUnknown(method=method[:20])
            raise MethodNotAllowed(method=method, allowed=', '.join(one for one in METHODS if one in methods))
        return route, found
