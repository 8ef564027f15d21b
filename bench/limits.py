"""What the machine itself can do, measured in the same run with the same data."""

from __future__ import annotations

import hashlib
import multiprocessing
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

MIB, MB = 2**20, 10**6
REQUEST_BYTES, ANSWER_BYTES = 100, 1000  # about those of GET /v2/images/{id}


def python_start() -> float:
    """Seconds that an interpreter without work takes."""
    began = time.monotonic()
    subprocess.run([sys.executable, '-c', 'pass'], check=True)
    return time.monotonic() - began


def of_data(data: Path) -> dict[str, float]:
    """Hashing and moving of the file: MB/s; CPU of both hashes in s/GiB."""
    content, found, cpu = memoryview(data.read_bytes()), {}, time.process_time()
    for name in ('md5', 'sha512'):
        began, digest = time.monotonic(), hashlib.new(name)
        for start in range(0, len(content), MIB):
            digest.update(content[start:start + MIB])
        found[name] = len(content) / MB / (time.monotonic() - began)
    found['slower hash'] = min(found.values())
    found['md5+sha512.cpu'] = (time.process_time() - cpu) * 2**30 / len(content)
    found['transfer'] = _between_processes(_send_file, data, _receive, len(content)) / MB
    return found


def exchange(seconds: float) -> float:
    """Exchanges a second with a server that reads a request, sends an answer, and does nothing else."""
    return _between_processes(_answer, None, _request, seconds)


def _between_processes(serve: Callable[..., None], served: object, use: Callable[..., float], used: object) -> float:
    """What *use* returns of one connection to a process that runs *serve*."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        process = multiprocessing.Process(target=serve, args=(listener, served))
        process.start()
        with socket.create_connection(listener.getsockname()) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            rate = use(client, used)
        process.join()
    return rate


def _send_file(listener: socket.socket, data: Path) -> None:
    connection, _ = listener.accept()
    with connection, data.open('rb') as source:
        connection.sendfile(source)


def _receive(client: socket.socket, size: int) -> float:
    began, left, buffer = time.monotonic(), size, bytearray(MIB)
    while left:
        left -= client.recv_into(buffer)
    return size / (time.monotonic() - began)


def _answer(listener: socket.socket, _: None) -> None:
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        while connection.recv(REQUEST_BYTES, socket.MSG_WAITALL):
            connection.sendall(b'x' * ANSWER_BYTES)


def _request(client: socket.socket, seconds: float) -> float:
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        client.sendall(b'x' * REQUEST_BYTES)
        client.recv(ANSWER_BYTES, socket.MSG_WAITALL)
        count += 1
    return count / seconds
