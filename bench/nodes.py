"""Whole nodes: how soon they answer, what they hold in memory, and other ways to run them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import data, images, limits, processes
from bench.api import Api, web_servers
from bench.samples import LIMIT, OURS, Samples
from bench.server import Server
from bench.transfers import Content

_LOOK_SECONDS = 0.1


def starts(samples: Samples, folder: Path, database: str, workers: int, repeats: int) -> None:
    """``start``: exec to the first answer, beside an interpreter that starts and ends."""
    for number in range(repeats if samples.want('start') else 0):
        samples.add(LIMIT, 'python', limits.python_seconds())
        with Api(folder / f'start{number}', database, workers) as api:
            samples.add(OURS, 'start', api.start_seconds)


def memory(samples: Samples, who: str, server: Server, name: str) -> None:
    """``memory.NAME``: PSS of the server's processes now."""
    if server.pids and samples.want(f'memory.{name}'):
        samples.add(who, f'memory.{name}', processes.memory_mib(server.pids[0], 'Pss'))


def memory_of_uploads(samples: Samples, servers: dict[str, Server], content: Content) -> None:
    """``memory.uploads``: the most RSS of the server's processes while 4 clients upload."""
    for who, server in servers.items():
        if server.pids and samples.want('memory.uploads'):
            with _watched(server.pids[0]) as seen:
                # what the transfer itself gives is not a sample: looking at memory slows it down
                images.remove(server, data.put(Samples(), who, server, 'upload4', content, limits.AT_ONCE))
            samples.add(who, 'memory.uploads', max(seen))


def modern_hash(samples: Samples, folder: Path, database: str, workers: int, content: Content, store: Path,
                repeats: int) -> None:
    """``upload.sha256``: hashing_algorithm = sha256 without the md5, the store in *store* (a tmpfs)."""
    if not samples.want('upload.sha256'):
        return
    options = {'hashing_algorithm': 'sha256', 'legacy_checksum': False}
    with Api(folder / 'sha256', database, workers, store=store, options=options) as api:
        for _ in range(repeats):
            images.remove(api, data.put(samples, OURS, api, 'upload.sha256', content, hashes=('sha256',)))


def foreign(samples: Samples, folder: Path, database: str, workers: int, content: Content, repeats: int) -> None:
    """``download.uwsgi``, ``download.gunicorn`` and their ``upload``s, as far as they are installed."""
    for web_server in web_servers():
        names = f'upload.{web_server}', f'download.{web_server}'
        if not samples.want(*names):
            continue
        with Api(folder / web_server, database, workers, web_server=web_server) as api:
            for _ in range(repeats):
                made = data.put(samples, OURS, api, names[0], content)
                data.get(samples, OURS, api, names[1], content, made[0])
                images.remove(api, made)


@contextmanager
def _watched(pid: int) -> Iterator[list[float]]:
    seen, stop = [processes.memory_mib(pid, 'Rss')], threading.Event()

    def look() -> None:
        while not stop.wait(_LOOK_SECONDS):
            seen.append(processes.memory_mib(pid, 'Rss'))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
