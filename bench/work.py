"""What is asked of the server."""

from __future__ import annotations

import concurrent.futures
import hashlib
import itertools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from bench.api import MIB, Api, Client

CONNECTIONS = 4
MB = 10**6
Samples = dict[str, list[float]]  # metric -> one value for each round


def make_data(path: Path, mib: int) -> str:
    """Fill *path* with random bytes; returns their sha512."""
    content = os.urandom(mib * MIB)
    path.write_bytes(content)
    return hashlib.sha512(content).hexdigest()


def create(api: Api, count: int, samples: Samples) -> list[str]:
    """Make *count* images; returns their ids."""
    numbers, ids = itertools.count(), []

    def one(client: Client) -> bool:
        number = next(numbers)
        if number >= count:
            return False
        document = {'name': f'image {number}', 'disk_format': 'raw', 'container_format': 'bare', 'tags': ['bench'],
                    'os_distro': 'debian', 'os_version': str(number % 10), 'architecture': 'x86_64'}
        ids.append(json.loads(client.ask('POST', '/v2/images', json.dumps(document)).read())['id'])
        return True

    _sample(api, 'create', one, samples)
    return ids


def ask(api: Api, name: str, paths: list[str], seconds: float, samples: Samples) -> None:
    """GET the paths in turn for so many seconds."""
    wanted, end = itertools.cycle(paths), time.monotonic() + seconds

    def one(client: Client) -> bool:
        if time.monotonic() >= end:
            return False
        client.ask('GET', next(wanted)).read()
        return True

    _sample(api, name, one, samples)


def transfer(api: Api, image_id: str, data: Path, expected: str, samples: Samples) -> None:
    """Upload *data* and download them, one client; what the server has must be what was sent."""
    client, size, path = Client(api.port), data.stat().st_size, f'/v2/images/{image_id}'

    def upload() -> None:
        with data.open('rb') as file:
            client.ask('PUT', f'{path}/file', file, 'application/octet-stream', size).read()

    def download() -> None:
        answer, left, buffer = client.ask('GET', f'{path}/file'), size, bytearray(MIB)
        while left and (got := answer.readinto(buffer)):
            left -= got
        if left:
            raise RuntimeError(f'{left} bytes of the download are missing')

    for name, call in (('upload', upload), ('download', download)):
        cpu, began = api.cpu_seconds(), time.monotonic()
        call()
        samples[name].append(size / MB / (time.monotonic() - began))
        samples[f'{name}.cpu'].append((api.cpu_seconds() - cpu) * 2**30 / size)
    if json.loads(client.ask('GET', path).read())['os_hash_value'] != expected:
        raise RuntimeError('the image is not what was uploaded')
    client.close()


def _sample(api: Api, name: str, one: Callable[[Client], bool], samples: Samples) -> None:
    """Call *one* on CONNECTIONS connections at a time until it says False; append requests/s and CPU ms/request."""
    def run(_: int) -> int:
        client, count = Client(api.port), 0
        while one(client):
            count += 1
        client.close()
        return count

    cpu, began = api.cpu_seconds(), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        count = sum(pool.map(run, range(CONNECTIONS)))
    samples[name].append(count / (time.monotonic() - began))
    samples[f'{name}.cpu'].append((api.cpu_seconds() - cpu) * 1000 / count)
