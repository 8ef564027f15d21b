"""A program on data that nobody vouches for: bounded, alone, and ended with us.

util-linux does the work. ``setpriv`` lets the kernel kill the program when this process dies, and keeps it from ever
gaining privileges. ``unshare`` gives it namespaces of its own where the system allows that: no network, no other
process in sight, no privilege outside. ``prlimit`` sets its bounds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence

from glancelike.plugin import ImportJob, errors

LOG = logging.getLogger(__name__)

_NAMESPACES = ('--user', '--net', '--pid', '--ipc', '--uts', '--mount', '--fork', '--kill-child=KILL')
# The first process in a pid namespace is spared the signals that limits and aborts send, and unshare of util-linux 2.38
# forgets by which signal its child died: so a shell comes first, and says 128 and the number of the signal.
_FIRST = ('sh', '-c', '"$@"; exit $?', 'sh')
_SIGNALLED = 128
_GRACE_SECONDS = 1  # of processor time, between the signal that can be told from others and the last one
_FILES = 64  # that it may have open
_OUTPUT_BYTES = 2**20  # of what it says: more is not read
_PROBE_SECONDS = 20
#: First and longest pause between two looks at it.
_PAUSE_SECONDS, _LONG_PAUSE_SECONDS = 0.01, 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What the program may use.

    :ivar memory_bytes: of address space
    :ivar cpu_seconds: it is killed after that
    :ivar seconds: by the clock
    :ivar file_bytes: length of each file that it writes
    """

    memory_bytes: int
    cpu_seconds: int
    seconds: int
    file_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """How it ended.

    :ivar code: exit code, or less than 0: the signal that ended it
    :ivar output: what it wrote to standard output, as ``errors`` to standard error
    """

    code: int
    output: str
    errors: str


class OutOfTime(Exception):
    """The clock limit was reached; the program was killed."""


class BoundedChild:
    """Runs programs.

    :param for_whom: what needs the programs of util-linux, for the message
    :raises ConfigurationError: they are missing
    """

    def __init__(self, for_whom: str):
        self._setpriv = find_program('setpriv', for_whom, 'util-linux')
        self._prlimit = find_program('prlimit', for_whom, 'util-linux')
        self.namespaces = self._possible_namespaces()

    def run(self, job: ImportJob, command: Sequence[str], limits: Limits) -> Result:
        """Run it to its end, which comes before this returns or raises, whatever happens.

        :raises OutOfTime: ``limits.seconds`` have passed
        :raises GlanceError: of ``job.check``
        """
        with tempfile.TemporaryFile(dir=job.folder) as output, tempfile.TemporaryFile(dir=job.folder) as complaints:
            held, holding = os.pipe()  # whoever is left of the program holds the other end
            try:
                process = self._start(command, limits, job.folder, output, complaints, holding)
                try:
                    code = _wait(job, process, limits.seconds)
                finally:
                    _end(process)
            finally:
                os.close(holding)
                os.read(held, 1)
                os.close(held)
            if self.namespaces and code > _SIGNALLED:
                code = _SIGNALLED - code
            return Result(code, _text(output), _text(complaints))

    def _start(self, command: Sequence[str], limits: Limits, folder: str, output, complaints,
               holding: int) -> subprocess.Popen:
        # By the calling thread, which lives until the end: the kernel sends --pdeathsig when that thread ends.
        return subprocess.Popen(
            [*self._prefix(limits), *command], stdin=subprocess.DEVNULL, stdout=output, stderr=complaints, cwd=folder,
            env={'PATH': os.defpath, 'LC_ALL': 'C', 'TMPDIR': folder, 'MALLOC_ARENA_MAX': '2'},
            start_new_session=True, pass_fds=(holding,))

    def _prefix(self, limits: Limits) -> list[str]:
        wanted = {'as': limits.memory_bytes, 'cpu': limits.cpu_seconds, 'fsize': limits.file_bytes, 'core': 0,
                  'nofile': _FILES}
        wanted = {name: _attainable(name, value) for name, value in wanted.items()}
        cpu = f'{wanted.pop("cpu")}:{_attainable("cpu", limits.cpu_seconds + _GRACE_SECONDS)}'
        return [self._setpriv, '--pdeathsig=KILL', '--no-new-privs', '--', *self.namespaces, self._prlimit,
                f'--cpu={cpu}', *(f'--{name}={value}' for name, value in wanted.items()), '--']

    def _possible_namespaces(self) -> list[str]:
        unshare = shutil.which('unshare')
        reason = 'the program unshare is not there'
        if unshare is not None:
            prefix = [unshare, *_NAMESPACES, '--', *_FIRST]
            try:
                done = subprocess.run([*prefix, self._setpriv, '--dump'], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=_PROBE_SECONDS)
                if done.returncode == 0:
                    return prefix
                reason = done.stderr.decode(errors='replace').strip()
            except (OSError, subprocess.SubprocessError) as error:
                reason = str(error)
        LOG.warning('Conversions run without namespaces of their own, with limits only: %s', reason)
        return []


def find_program(name: str, for_whom: str, package: str) -> str:
    """Its path.

    :param package: what has it, for the message
    :raises ConfigurationError: it is not installed
    """
    path = shutil.which(name)
    if path is None:
        raise errors.ConfigurationError(f'{for_whom} needs the program {name}, which is not installed: it comes with '
                                        f'the package {package}.')
    return path


def _attainable(name: str, value: int) -> int:
    """*value*, or the hard limit that this process has already, which nobody may raise."""
    _, hard = resource.getrlimit(getattr(resource, f'RLIMIT_{name.upper()}'))
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def _wait(job: ImportJob, process: subprocess.Popen, seconds: int) -> int:
    deadline = time.monotonic() + seconds
    pause = _PAUSE_SECONDS
    while process.poll() is None:
        job.check()
        if time.monotonic() > deadline:
            raise OutOfTime
        job.sleep(pause)
        pause = min(pause * 2, _LONG_PAUSE_SECONDS)
    return process.returncode


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _text(opened) -> str:
    opened.seek(0)
    return opened.read(_OUTPUT_BYTES).decode(errors='replace')
