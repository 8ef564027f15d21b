"""What the machine itself can do: servers that do nothing but the work, asked by the client of the bench.

Each is a ``Server`` with a process of its own, so rate and CPU are measured as those of the real one are.
"""

from __future__ import annotations

import hashlib
import os
import queue
import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.child import Child
from bench.server import Server
from bench.transfers import MIB, Content

_ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n' + b'x' * 1000
_STORED = b'HTTP/1.1 204 No Content\r\n\r\n'
AT_ONCE = 4  # clients that a loop can serve
_DEPTH = 4  # buffers between the receiver and a thread that hashes


class Loop(Server):
    """A loop over a listening socket in a process of its own, while the ``with`` block runs."""

    def __init__(self, serve: Callable[..., None], *arguments: object):
        self._listener = socket.create_server(('127.0.0.1', 0), backlog=64)
        super().__init__('http://{}:{}'.format(*self._listener.getsockname()))
        self._work = serve, self._listener, *arguments

    def __enter__(self) -> Loop:
        self._child = Child(*self._work)
        self.pids = [self._child.pid]
        return self

    def __exit__(self, *_: object) -> None:
        self._child.end()
        self._listener.close()


def python_seconds() -> float:
    """An interpreter that starts and ends."""
    began = time.monotonic()
    subprocess.run([sys.executable, '-c', 'pass'], check=True)
    return time.monotonic() - began


def hashing(content: Content, algorithm: str) -> tuple[float, float]:
    """One thread hashes the content: bytes/s, CPU seconds."""
    digest, began, cpu = hashlib.new(algorithm), time.perf_counter(), time.thread_time()
    for piece in content.pieces():
        digest.update(piece)
    return content.size / (time.perf_counter() - began), time.thread_time() - cpu


def writing(content: Content, path: Path) -> float:
    """The content written to a new file and synced: bytes/s."""
    began = time.perf_counter()
    with path.open('wb', buffering=0) as file:
        for piece in content.pieces():
            file.write(piece)
        os.fsync(file.fileno())
    seconds = time.perf_counter() - began
    path.unlink()
    return content.size / seconds


def exchange() -> Loop:
    """Answers 1,000 bytes to whatever comes, without reading it: what GET of an image cannot be faster than."""
    return Loop(_exchange)


def take(folder: Path, algorithms: Sequence[str], threads: bool) -> Loop:
    """Receives a body, hashes it, writes it.

    :param threads: hash in threads beside; otherwise in the thread that receives
    """
    return Loop(_at_once, _take, folder, algorithms, threads)


def give_sendfile(path: Path) -> Loop:
    """Sends the file (or the range asked for) with sendfile."""
    return Loop(_at_once, _give, path, False)


def give_pieces(path: Path) -> Loop:
    """Reads the file into a buffer of 1 MiB and sends that."""
    return Loop(_at_once, _give, path, True)


def _exchange(listener: socket.socket) -> None:
    listener.setblocking(False)
    poll, clients = select.epoll(), {}
    poll.register(listener, select.EPOLLIN)
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()] = client
                poll.register(client, select.EPOLLIN)
            elif clients[number].recv(65536):
                clients[number].sendall(_ANSWER)
            else:
                clients.pop(number).close()


def _at_once(listener: socket.socket, serve: Callable[..., None], *arguments: object) -> None:
    """Some processes, each of which serves one connection after the other: as many processors serve many clients
    best, and the clock of a process that lives is finer than that of one that has ended."""
    for _ in range(AT_ONCE - 1):
        if os.fork() == 0:
            break
    while True:
        client, _ = listener.accept()
        with client:
            serve(client, *arguments)


def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    data = b''
    while b'\r\n\r\n' not in data:
        data += client.recv(65536)
    head, _, rest = data.partition(b'\r\n\r\n')
    return head, rest


def _take(client: socket.socket, folder: Path, algorithms: Sequence[str], threads: bool) -> None:
    head, rest = _read_head(client)
    left = int(re.search(rb'Content-Length: ([0-9]+)', head)[1])
    digests = [_Beside(name) if threads else hashlib.new(name) for name in algorithms]
    ring = [memoryview(bytearray(MIB)) for _ in range(_DEPTH + 2)]
    path, number, filled = folder / f'take-{os.getpid()}', 0, len(rest)
    ring[0][:filled] = rest
    with path.open('wb', buffering=0) as file:
        while left:
            buffer = ring[number % len(ring)]
            wanted = min(left, MIB)
            while filled < wanted:
                filled += client.recv_into(buffer[filled:wanted])
            for digest in digests:
                digest.update(buffer[:wanted])
            file.write(buffer[:wanted])
            left, filled, number = left - wanted, 0, number + 1
        for digest in digests:
            digest.hexdigest()
        os.fsync(file.fileno())
    client.sendall(_STORED)
    path.unlink()


class _Beside:
    """A hash in a thread of its own."""

    def __init__(self, algorithm: str):
        self._pieces: queue.Queue = queue.Queue(_DEPTH)
        self._digest = hashlib.new(algorithm)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.update = self._pieces.put

    def hexdigest(self) -> str:
        self._pieces.put(None)
        self._thread.join()
        return self._digest.hexdigest()

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._digest.update(piece)


def _give(client: socket.socket, path: Path, pieces: bool) -> None:
    head, _ = _read_head(client)
    with path.open('rb', buffering=0) as file:
        at, end = 0, os.fstat(file.fileno()).st_size
        if asked := re.search(rb'Range: bytes=([0-9]+)-([0-9]+)', head):
            at, end = int(asked[1]), int(asked[2]) + 1
        client.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' % (end - at))
        if pieces:
            file.seek(at)
            buffer = memoryview(bytearray(MIB))
            while at < end:
                count = file.readinto(buffer[:end - at])
                client.sendall(buffer[:count])
                at += count
        while at < end:
            at += os.sendfile(client.fileno(), file.fileno(), at, end - at)
