"""One image: made, shown, changed, removed."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator

from bench import limits
from bench.samples import LIMIT, Samples, in_turn
from bench.server import Server

_PATCH = 'application/openstack-images-v2.1-json-patch'


def document(number: int) -> dict[str, object]:
    """An image as a client asks for it."""
    return {'name': f'image {number}', 'disk_format': 'raw', 'container_format': 'bare', 'visibility': 'private',
            'min_disk': 10, 'tags': ['bench', f'tag-{number % 9}'], 'os_distro': 'debian', 'architecture': 'x86_64',
            'os_version': str(number % 10), 'team': f'team-{number % 40}', 'build': f'b{number:06}'}


def create(server: Server, count: int, **more: str) -> list[str]:
    """Ids of new images."""
    return [server.ask('POST', '/v2/images', document(number), **more)['id'] for number in range(count)]


def remove(server: Server, ids: list[str]) -> None:
    for image_id in ids:
        server.ask('DELETE', f'/v2/images/{image_id}')


def clear(server: Server) -> None:
    """Remove all images of the bench's project, as far as the server does it."""
    before = None
    while (left := server.ask('GET', '/v2/images?limit=500&visibility=private')['images']) and left != before:
        before = left
        for one in left:
            with contextlib.suppress(RuntimeError):
                remove(server, [one['id']])


def measure(samples: Samples, servers: dict[str, Server], count: int, clients: int, writers: int,
            seconds: float, repeats: int) -> None:
    """``create``, ``get``, ``patch`` and ``delete``; *count* images in each sample, GET for *seconds*.

    :param writers: clients of all but GET; SQLite has one writer at a time, and some servers then answer 500
    """
    if not samples.want('create', 'get', 'patch', 'delete'):
        return
    with limits.exchange() as loop:
        request = loop.request('GET', '/v2/images/x')
        loads = ('exchange', clients), ('exchange1', writers)
        for (name, connections), _ in itertools.product(loads, range(repeats)):
            samples.requests(LIMIT, loop, name, itertools.repeat(request), clients=connections, seconds=seconds)
    for who, server in in_turn(servers, repeats):
        _measure(samples, who, server, count, clients, writers, seconds)


def _measure(samples: Samples, who: str, server: Server, count: int, clients: int, writers: int,
             seconds: float) -> None:
    requests = (server.request('POST', '/v2/images', document(number)) for number in range(count))
    made = samples.requests(who, server, 'create', requests, clients=writers, keep=True,
                            check=lambda status, body: status == 201 and b'"queued"' in body)
    ids = [json.loads(body)['id'] for body in made.bodies if body.startswith(b'{')]
    if samples.want('get'):
        samples.requests(who, server, 'get', _each(server, 'GET', ids), clients=clients, seconds=seconds,
                         check=lambda status, body: status == 200 and b'"tag-' in body)
    if samples.want('patch'):
        change = [{'op': 'replace', 'path': '/name', 'value': 'changed'}, {'op': 'add', 'path': '/more', 'value': 'x'}]
        samples.requests(who, server, 'patch', (
            server.request('PATCH', f'/v2/images/{one}', change, media_type=_PATCH) for one in ids), clients=writers,
            check=lambda status, body: status == 200 and b'"changed"' in body)
    samples.requests(who, server, 'delete', (server.request('DELETE', f'/v2/images/{one}') for one in ids),
                     clients=writers, check=lambda status, body: status == 204)


def _each(server: Server, method: str, ids: list[str]) -> Iterator[bytes]:
    """The same requests over and over."""
    return itertools.cycle([server.request(method, f'/v2/images/{one}') for one in ids])
