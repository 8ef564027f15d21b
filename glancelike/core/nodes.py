"""Which process does a piece of work, and whether that process is known to be dead."""

from __future__ import annotations

import os
import socket
from pathlib import Path

#: States of /proc/<pid>/stat (proc(5)) in which a process will never do anything again.
_OVER = ('Z', 'X', 'x')


class Node:
    """Names this process: ``host:pid:start:boot:namespace``, at most 255 characters.

    ``boot`` and ``namespace`` say on which boot of which machine and in which PID namespace the number ``pid``
    means anything; ``start`` tells the process from a later one of the same number. Where there is no /proc they
    are ``-``, and no process is ever known to be dead.
    """

    def __init__(self):
        self._pid: int | None = None
        self._name = ''

    @property
    def name(self) -> str:
        """The name of the process that asks; a fork has a name of its own."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._name = ':'.join((_host(), str(self._pid), _start(self._pid) or '-', *_place()))
        return self._name

    def is_dead(self, name: str) -> bool:
        """True when the process of that name certainly does nothing any more; False when that is unknown."""
        mine = self.name.split(':')
        parts = name.split(':')
        if len(parts) != len(mine) or '-' in parts or (parts[0], parts[3:]) != (mine[0], mine[3:]):
            return False
        return not parts[1].isdigit() or _start(int(parts[1])) != parts[2]


def _host() -> str:
    return socket.gethostname().replace(':', '.')[:150] or '-'


def _place() -> tuple[str, str]:
    try:
        boot = Path('/proc/sys/kernel/random/boot_id').read_text().strip()
        return boot.replace('-', ''), str(os.stat('/proc/self/ns/pid').st_ino)
    except OSError:
        return '-', '-'


def _start(pid: int) -> str | None:
    """When the process started, in clock ticks after boot; None when there is no such process, or it is over."""
    try:
        text = Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return None
    fields = text.rpartition(')')[2].split()  # the second field is the program's name and may hold anything
    return None if fields[0] in _OVER else fields[19]
