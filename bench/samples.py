"""What was measured, and how one sample is taken: CPU of the server around work that a process of its own does."""

from __future__ import annotations

import contextlib
import fnmatch
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from bench import load, transfers
from bench.child import Child
from bench.server import Server

OURS, PEER, LIMIT = 'ours', 'peer', 'limit'
GIB, MB = 2**30, 10**6


class Samples:
    """Values by who and metric.

    :param only: shell patterns of the metrics that are wanted; none means all
    :ivar values: who -> metric -> values
    :ivar notes: who -> metric -> 'errors' or 'busy' -> how many of the values it spoils
    :ivar faults: who and metric, or a stage -> one wrong answer, or why it ended
    """

    def __init__(self, only: Iterable[str] = ()):
        self._only = list(only)
        self.values: dict[str, dict[str, list[float]]] = {OURS: {}, PEER: {}, LIMIT: {}}
        self.notes: dict[str, dict[str, dict[str, int]]] = {OURS: {}, PEER: {}, LIMIT: {}}
        self.faults: dict[str, str] = {}

    def want(self, *names: str) -> bool:
        """Is one of these metrics wanted? A name stands for all metrics that begin with it and a dot."""
        return not self._only or any(fnmatch.fnmatch(name, pattern) or pattern.startswith(f'{name}.')
                                     for name in names for pattern in self._only)

    def add(self, who: str, name: str, value: float, *, errors: int = 0, busy: bool = False) -> None:
        """One more value; *errors* wrong answers are in it; *busy*: the client was the bottleneck."""
        self.values[who].setdefault(name, []).append(value)
        notes = self.notes[who].setdefault(name, {'errors': 0, 'busy': 0})
        notes['errors'] += errors
        notes['busy'] += busy

    @contextlib.contextmanager
    def stage(self, what: str) -> Iterator[None]:
        """Say that *what* begins; when it cannot go on, note why and let the rest be measured."""
        print(time.strftime('%H:%M:%S'), what, file=sys.stderr, flush=True)
        try:
            yield
        except (RuntimeError, OSError) as error:
            self.faults[what] = str(error) or repr(error)

    def median(self, who: str, name: str) -> float | None:
        found = self.values[who].get(name)
        return statistics.median(found) if found else None

    def requests(self, who: str, server: Server, name: str, requests: Iterable[bytes], *, clients: int = 1,
                 **more: Any) -> load.Load:
        """Send them: ``name.rate``, ``.cpu`` (ms of the server for each), ``.p50`` and ``.p99`` (ms)."""
        cpu = server.cpu_seconds()
        found = Child(_load, server.address, requests, {'connections': clients, **more}).result()
        cpu = server.cpu_seconds() - cpu
        notes = {'errors': found.errors, 'busy': found.busy and clients > 1}
        self.add(who, f'{name}.rate', found.rate, **notes)
        if server.pids:
            self.add(who, f'{name}.cpu', cpu * 1000 / found.count, errors=found.errors)
        for percent in (50, 99):
            self.add(who, f'{name}.p{percent}', found.wait_ms(percent), **notes)
        self._fault(who, name, [f'{count} × {fault}' for fault, count in found.faults.items()])
        return found

    def transfer(self, who: str, server: Server, name: str, size: int, clients: int, child: Any, *arguments: Any,
                 faults: Any = None) -> transfers.Transfer:
        """*child* moves *size* bytes for each client: ``name.rate`` (MB/s together) and ``.cpu`` (s/GiB).

        :param faults: called when it is done, for what else is wrong with the outcome
        """
        cpu = server.cpu_seconds()
        found = Child(child, server.address, *arguments).result()
        cpu = server.cpu_seconds() - cpu
        if faults is not None:
            found.faults.extend(faults())
        moved = size * clients
        self.add(who, f'{name}.rate', moved / MB / found.seconds, errors=len(found.faults),
                 busy=transfers.busy(found, clients))
        if server.pids:
            self.add(who, f'{name}.cpu', cpu * GIB / moved, errors=len(found.faults))
        self._fault(who, name, found.faults)
        return found

    def _fault(self, who: str, name: str, faults: list[str]) -> None:
        if faults:
            self.faults.setdefault(f'{who} {name}', faults[0])


def in_turn(servers: dict[str, Server], repeats: int) -> Iterator[tuple[str, Server]]:
    """Who and server, so many times each, in an order that turns: A B, B A, A B."""
    for number in range(repeats):
        yield from list(servers.items())[::-1 if number % 2 else 1]


def _load(address: tuple[str, int], requests: Iterable[bytes], more: dict[str, Any]) -> load.Load:
    return load.run(address, requests, **more)
