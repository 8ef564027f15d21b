"""Chunks, pieces, threads: what the tests of stores feed drivers with."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from glancelike.plugin import errors

MIB = 2**20
MAX_PIECE_BYTES = 4 * MIB
ANSWER_SECONDS = 60  # ALL-6, generously
TURN_SECONDS = 2  # how long an add waits for another one that the driver may be holding back


class ChunksBroke(Exception):
    """What the suite raises out of chunks: no error that a driver could know."""


def random_bytes(length: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(length)


def cut(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """The data in chunks of these sizes; the last size for what is left."""
    start = 0
    for size in sizes:
        yield data[start:start + size]
        start += size
    while start < len(data):
        yield data[start:start + sizes[-1]]
        start += sizes[-1]


def breaking(chunks: Iterable[bytes], error: BaseException) -> Iterator[bytes]:
    yield from chunks
    raise error


def killed_after(chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield from chunks
    os.kill(os.getpid(), signal.SIGKILL)


def in_turn(chunks: Iterable[bytes], turn: threading.Barrier) -> Iterator[bytes]:
    """The chunks, each at the moment at which the other users of *turn* take theirs, if the driver lets them."""
    for chunk in chunks:
        with contextlib.suppress(threading.BrokenBarrierError):
            turn.wait(TURN_SECONDS)
        yield chunk
    turn.abort()


def together(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Each call in a thread of its own; what it returned or raised, in the order of the calls."""
    results: dict[str, Any] = {}
    threads = [threading.Thread(target=keep(results, str(number), call), daemon=True)
               for number, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(ANSWER_SECONDS)
    return [results.get(str(number), TimeoutError('no answer within a minute')) for number in range(len(calls))]


def keep(results: dict[str, Any], name: str, call: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        try:
            results[name] = call()
        except BaseException as error:  # handed to the test, which says what should have come
            results[name] = error
    return run


def error_of(call: Callable[[], Any]) -> str:
    """All that the error of the call tells, if it raises one."""
    try:
        call()
    except errors.GlanceError as error:
        return f'{error} {error.text} {error.facts} {error!r}'
    return ''


def open_files() -> int:
    return len(os.listdir('/proc/self/fd'))


def close(pieces: Any) -> None:
    if hasattr(pieces, 'close'):
        pieces.close()
