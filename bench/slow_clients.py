"""How long a GET takes while other clients keep the server busy: many slow ones, or a few that upload at full speed.

The others are in a process of their own, so that what they cost the client's side is not taken for the server's.
A slow client sends or takes SIP_BYTES every pause, and never ends by itself:

=========  ===================================================================
heads      header lines of a request that never becomes complete
uploads    the body of ``PUT .../file``
downloads  what the server gives of a large image, through a small window
=========  ===================================================================
"""

from __future__ import annotations

import contextlib
import multiprocessing
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

SIP_BYTES = 4
WINDOW_BYTES = 16 * 1024        #: of a slow downloader, so that the server cannot give all of it to the kernel
ENDLESS_BYTES = 8 * 2**30       #: announced by uploads, which are broken off; a disk must have room for one
Address = tuple[str, int]


def latencies(address: Address, path: str, headers: Mapping[str, str], seconds: float) -> list[float]:
    """Seconds of each GET on one kept-alive connection, sent one after the other for so many *seconds*.

    :raises RuntimeError: an answer is not a 200
    """
    request, found = _request('GET', path, headers), []
    with _connect(address) as client:
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            client.sendall(request)
            _take_answer(client)
            found.append(time.perf_counter() - began)
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The value that *share* (0 to 1) of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@contextlib.contextmanager
def dribbling(address: Address, headers: Mapping[str, str], *, heads: int = 0, uploads: Sequence[str] = (),
              downloads: Sequence[str] = (), pause_seconds: float = 0.1) -> Iterator[None]:
    """Slow clients for as long as the block runs, each active once in *pause_seconds*.

    :param heads: how many dribble a head
    :param uploads: the paths, each of a queued image, to which clients dribble data
    :param downloads: the paths, each of a large image, from which clients dribble data
    :raises RuntimeError: the server hung up on one of them meanwhile
    """
    with _beside(_dribble, address, dict(headers), heads, list(uploads), list(downloads), pause_seconds):
        yield


@contextlib.contextmanager
def uploading(address: Address, headers: Mapping[str, str], paths: Sequence[str]) -> Iterator[None]:
    """For each path, that of a queued image, a client that uploads at full speed for as long as the block runs."""
    with contextlib.ExitStack() as stack:
        for path in paths:
            stack.enter_context(_beside(_upload, address, dict(headers), path))
        yield


@contextlib.contextmanager
def downloading(address: Address, headers: Mapping[str, str], paths: Sequence[str]) -> Iterator[None]:
    """For each path a client that downloads at full speed, again and again, for as long as the block runs."""
    with contextlib.ExitStack() as stack:
        for path in paths:
            stack.enter_context(_beside(_download, address, dict(headers), path))
        yield


# processes


@contextlib.contextmanager
def _beside(work: Callable[..., None], *args: Any) -> Iterator[None]:
    """Run ``work(*args, begun, stop)`` in a process of its own; the block begins when it has called ``begun.set``."""
    context = multiprocessing.get_context('fork')
    begun, stop = context.Event(), context.Event()
    process = context.Process(target=work, args=(*args, begun, stop), daemon=True)
    process.start()
    try:
        while not begun.wait(0.05):
            if not process.is_alive():
                raise RuntimeError('the clients beside could not start')
        yield
        if not process.is_alive():
            raise RuntimeError('the clients beside have ended: the server hung up')
    finally:
        stop.set()
        process.join()


def _dribble(address: Address, headers: Mapping[str, str], heads: int, uploads: Sequence[str],
             downloads: Sequence[str], pause_seconds: float, begun: Any, stop: Any) -> None:
    senders = [(_connect(address), b'x: y\r\n'[:SIP_BYTES - 2] + b'\r\n') for _ in range(heads)]
    for client, _ in senders:
        client.sendall(_request('GET', '/v2/images', headers)[:-2])
    for path in uploads:
        client = _connect(address)
        client.sendall(_request('PUT', path, _upload_headers(headers)))
        senders.append((client, b'x' * SIP_BYTES))
    takers = []
    for path in downloads:
        client = _connect(address, WINDOW_BYTES)
        client.sendall(_request('GET', path, headers))
        takers.append(client)
    everybody = [*senders, *((client, None) for client in takers)]
    begun.set()
    try:
        while everybody and not stop.is_set():
            for client, sip in everybody:
                if sip is not None:
                    client.sendall(sip)
                elif not client.recv(SIP_BYTES):
                    raise RuntimeError('the server hung up on a slow download')
                # spread over the pause: clients of the world do not act at the same moment
                stop.wait(pause_seconds / len(everybody))
            _check_silent([client for client, _ in senders])
    finally:
        for client, _ in everybody:
            client.close()


def _check_silent(clients: Sequence[socket.socket]) -> None:
    """:raises RuntimeError: one of them was answered, or hung up on"""
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        if clients and selector.select(0):
            raise RuntimeError('the server answered a request that is not complete')


def _upload(address: Address, headers: Mapping[str, str], path: str, begun: Any, stop: Any) -> None:
    block = bytes(2**20)
    with _connect(address) as client:
        client.sendall(_request('PUT', path, _upload_headers(headers)))
        begun.set()
        while not stop.is_set():
            client.sendall(block)


def _download(address: Address, headers: Mapping[str, str], path: str, begun: Any, stop: Any) -> None:
    buffer, request = bytearray(2**20), _request('GET', path, {**headers, 'Connection': 'close'})
    while not stop.is_set():
        with _connect(address) as client:
            client.sendall(request)
            left = client.recv_into(buffer)
            begun.set()
            while left and not stop.is_set():
                left = client.recv_into(buffer)


# HTTP


def _connect(address: Address, window_bytes: int | None = None) -> socket.socket:
    client = socket.socket()
    if window_bytes is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window_bytes)
    client.settimeout(60)
    client.connect(address)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def _request(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f'{method} {path} HTTP/1.1', 'Host: bench', *(f'{name}: {value}' for name, value in headers.items())]
    return '\r\n'.join([*lines, '', '']).encode()


def _upload_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {**headers, 'Content-Type': 'application/octet-stream', 'Content-Length': str(ENDLESS_BYTES)}


def _take_answer(client: socket.socket) -> None:
    """Read one answer with a Content-Length to its end."""
    data = b''
    while b'\r\n\r\n' not in data:
        data += _more(client)
    head, _, body = data.partition(b'\r\n\r\n')
    if b' 200 ' not in head.split(b'\r\n')[0]:
        raise RuntimeError(f'not the expected answer: {head[:100]!r}')
    fields = dict(line.lower().split(b':', 1) for line in head.split(b'\r\n')[1:])
    left = int(fields[b'content-length']) - len(body)
    while left > 0:
        left -= len(_more(client))


def _more(client: socket.socket) -> bytes:
    data = client.recv(65536)
    if not data:
        raise RuntimeError('the server hung up')
    return data
