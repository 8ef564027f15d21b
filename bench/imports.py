"""Imports: from the first byte to the active image, beside a plain upload of the same data."""

from __future__ import annotations

import json
import time

from bench import images, load
from bench.samples import Samples, in_turn
from bench.server import Server
from bench.transfers import Content, Transfer, upload

_LOOK_SECONDS = 0.02
_MOST_SECONDS = 300
_OVER = ('active', 'queued')  # queued: it failed


def measure(samples: Samples, servers: dict[str, Server], content: Content, repeats: int) -> None:
    """``import.direct``: PUT /stage, POST /import with glance-direct, and the wait until the image is active."""
    if not samples.want('import.direct'):
        return
    for who, server in in_turn(servers, repeats):
        (image_id,) = made = images.create(server, 1)
        path = f'/v2/images/{image_id}'

        def wrong(server: Server = server, path: str = path) -> list[str]:
            shown = server.ask('GET', path)
            expected = {'status': 'active', 'size': content.size, 'os_hash_value': content.digest('sha512')}
            return [f'{field} is {shown.get(field)!r}' for field, value in expected.items()
                    if shown.get(field) != value]

        samples.transfer(
            who, server, 'import.direct', content.size, 1, _imported,
            server.head('PUT', f'{path}/stage', content.size, media_type='application/octet-stream'),
            server.request('POST', f'{path}/import', {'method': {'name': 'glance-direct'}}),
            server.request('GET', path), content, faults=wrong)
        images.remove(server, made)


def _imported(address: tuple[str, int], stage: bytes, order: bytes, look: bytes, content: Content) -> Transfer:
    began = time.perf_counter()
    staged = upload(address, [stage], content)
    if staged.faults:
        return staged
    found = load.run(address, [order], keep=True)
    faults = [str(fault) for fault in found.faults]
    status = 'importing'
    while not faults and status not in _OVER and time.perf_counter() - began < _MOST_SECONDS:
        time.sleep(_LOOK_SECONDS)
        status = json.loads(load.run(address, [look], keep=True).bodies[0])['status']
    return Transfer(time.perf_counter() - began, staged.cpu_seconds, faults, [])
