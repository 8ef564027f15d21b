"""An Image v2 server that is measured: where it answers, who asks, and what its processes used."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from bench import load, processes

ADMIN = 'admin'
PROJECT = uuid.uuid4().hex  # nobody has images in it: what one run leaves on a server does not disturb the next
IDENTITY = ('X-Identity-Status: Confirmed', 'X-User-Id: bench', 'X-Project-Id: {project}', 'X-Roles: {roles}')


class Server:
    """An address, the headers of its callers, and its processes.

    :param url: http://HOST:PORT
    :param pids: the server's first process, then the database's if there is one; without any, CPU is not counted
    :param headers: 'Name: value'; {project} and {roles} in them are filled in
    """

    def __init__(self, url: str, pids: Sequence[int] = (), headers: Sequence[str] = IDENTITY):
        parts = urlsplit(url)
        self.address = parts.hostname or '127.0.0.1', parts.port or 80
        self.pids = list(pids)
        self._headers = headers

    def headers(self, project: str = PROJECT) -> dict[str, str]:
        """Who asks."""
        roles = 'admin,member,reader' if project == ADMIN else 'member,reader'
        pairs = (line.format(project=project, roles=roles).split(':', 1) for line in self._headers)
        return {name.strip(): value.strip() for name, value in pairs}

    def head(self, method: str, path: str, length: int | None = 0, *, project: str = PROJECT,
             media_type: str = 'application/json', more: Sequence[str] = ()) -> bytes:
        """The lines of a request up to its body.

        :param length: of the body; None says that it comes in chunks
        """
        lines = [f'{method} {path} HTTP/1.1', 'Host: {}:{}'.format(*self.address),
                 *(f'{name}: {value}' for name, value in self.headers(project).items()), *more]
        if length is None:
            lines += ['Transfer-Encoding: chunked', f'Content-Type: {media_type}']
        elif length or method in ('POST', 'PUT', 'PATCH'):
            lines += [f'Content-Length: {length}', f'Content-Type: {media_type}']
        return '\r\n'.join(lines).encode() + b'\r\n\r\n'

    def request(self, method: str, path: str, document: Any = None, **more: Any) -> bytes:
        """A whole request."""
        body = b'' if document is None else json.dumps(document).encode()
        return self.head(method, path, len(body), **more) + body

    def ask(self, method: str, path: str, document: Any = None, **more: Any) -> Any:
        """The document of the answer; None when it has none.

        :raises RuntimeError: the answer is not 2xx
        """
        found = load.run(self.address, [self.request(method, path, document, **more)], keep=True)
        if found.errors:
            raise RuntimeError(f'{method} {path}: {found.faults}')
        return json.loads(found.bodies[0]) if found.bodies[0] else None

    def cpu_seconds(self) -> float:
        """What the server and its database have used so far."""
        return processes.cpu_seconds(self.pids)
