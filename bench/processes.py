"""What processes have used, from the kernel."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf('SC_CLK_TCK')


def tree(pid: int) -> list[int]:
    """The process and all that descend from it; empty when it has ended."""
    found = [pid] if Path(f'/proc/{pid}').exists() else []
    for one in found:  # grows while it is walked
        try:
            for task in os.listdir(f'/proc/{one}/task'):
                found += map(int, Path(f'/proc/{one}/task/{task}/children').read_text().split())
        except OSError:
            continue  # it has just ended
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes and their descendants so far, ended children included.

    Of a living process it is the process's clock, which counts nanoseconds; only ended children count in ticks
    of /proc, 10 ms.
    """
    total = 0.0
    for pid in {one for root in pids for one in tree(root)}:
        try:
            total += time.clock_gettime(~pid << 3 | 2)  # clock_getcpuclockid(3): CPUCLOCK_SCHED of that process
            fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
            total += (int(fields[13]) + int(fields[14])) / _TICKS
        except OSError:
            continue
    return total


def memory_mib(pid: int, kind: str) -> float:
    """Memory of the process and its descendants.

    :param kind: 'Pss' counts a page that several share once, 'Rss' as often as it is shared
    """
    total = 0
    for one in tree(pid):
        try:
            lines = Path(f'/proc/{one}/smaps_rollup').read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith(f'{kind}:'))
    return total / 1024
