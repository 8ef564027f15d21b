"""Is a GET still answered while others keep the server busy?"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

from bench import images, slow_clients
from bench.limits import AT_ONCE
from bench.samples import Samples, in_turn
from bench.server import Server

_CLIENTS = 4
_TIMEOUT = 10  # an answer that takes longer is none
_NAMES = ('get.alone', 'get.uploads', 'get.slow')


def measure(samples: Samples, servers: dict[str, Server], slow: int, seconds: float, repeats: int) -> None:
    """``get.alone``, ``get.uploads`` (beside 4 uploads at full speed) and ``get.slow`` (beside dribbling clients).

    :param slow: how many clients dribble: half of them an upload, half the head of a request
    """
    if not samples.want(*_NAMES):
        return
    for who, server in in_turn(servers, repeats):
        shown, *queued = images.create(server, 1 + AT_ONCE + slow // 2)
        paths = [f'/v2/images/{one}/file' for one in queued]
        others = {
            'get.alone': contextlib.nullcontext(),
            'get.uploads': slow_clients.uploading(server.address, server.headers(), paths[:AT_ONCE]),
            'get.slow': slow_clients.dribbling(server.address, server.headers(), heads=slow - slow // 2,
                                               uploads=paths[AT_ONCE:])}
        for name in _NAMES:
            with others[name]:
                samples.requests(who, server, name, _gets(server, shown), clients=_CLIENTS, seconds=seconds,
                                 timeout=_TIMEOUT, check=lambda status, body: status == 200 and b'"tag-' in body)
        _remove(server, [shown, *queued])


def _gets(server: Server, image_id: str) -> Iterator[bytes]:
    return itertools.repeat(server.request('GET', f'/v2/images/{image_id}'))


def _remove(server: Server, ids: list[str]) -> None:
    """Uploads that were broken off may still be being cleared up: their images are refused until then."""
    for image_id in ids:
        for left in range(100, -1, -1):
            try:
                images.remove(server, [image_id])
                break
            except RuntimeError:
                if not left:
                    raise
