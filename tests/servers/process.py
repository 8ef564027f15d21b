"""Child processes of a test run, the folders and ports they use, and waiting for a condition."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.05
LOG_TAIL_BYTES = 4000


class CannotRun(Exception):
    """A real server cannot run on this machine; the message says what is missing."""


class NotReady(AssertionError):
    """What was waited for did not happen in time, or the process it depends on ended."""


def wait_until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Return the first true value of *condition*, asked every 50 ms.

    :param what: ends the sentence "after 10 s still waiting for ..."
    :raises NotReady: the condition stayed false for *seconds*
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise NotReady(f'after {seconds:g} s still waiting for {what}')
        time.sleep(POLL_SECONDS)


class _Ports:
    """TCP ports of 127.0.0.1 that no other test process on this machine takes.

    They lie below the range from which the kernel gives ports to clients, and each is claimed by the name of
    an abstract socket that lives as long as this process: two workers never get the same one.
    """

    FIRST, LAST = 20000, 32000

    def __init__(self):
        self._claims: list[socket.socket] = []

    def take(self) -> int:
        for _ in range(1000):
            port = random.randint(self.FIRST, self.LAST)
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                claim.bind(f'\0glancelike-test-port-{port}')
                with socket.socket() as probe:
                    probe.bind(('127.0.0.1', port))
            except OSError:
                claim.close()
                continue
            self._claims.append(claim)
            return port
        raise CannotRun(f'no free port between {self.FIRST} and {self.LAST}')


_ports = _Ports()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing uses and no other test process will be given."""
    return _ports.take()


def port_answers(port: int) -> bool:
    """Tell whether something accepts connections on this port of 127.0.0.1."""
    try:
        socket.create_connection(('127.0.0.1', port), timeout=1).close()
    except OSError:
        return False
    return True


def port_is_free(port: int) -> bool:
    """Tell whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(('127.0.0.1', port))
            one.listen()
        except OSError:
            return False
    return True


class _Guard:
    """The program ``guard.py``, started with the first order."""

    def __init__(self):
        self._lock = threading.Lock()
        self._owner = None
        self._process = None

    def order(self, line: str) -> None:
        with self._lock:
            if self._owner != os.getpid():  # first use, or a fork of a process that has its own guard
                self._process = subprocess.Popen(
                    [sys.executable, '-I', '-S', str(Path(__file__).with_name('guard.py'))],
                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True, cwd='/')
                self._owner = os.getpid()
            self._process.stdin.write(f'{line}\n'.encode())
            self._process.stdin.flush()


_guard = _Guard()


def make_folder(name: str) -> Path:
    """Return a new empty folder, removed by ``drop_folder`` or when the test process ends.

    Any user may pass through it, since some servers refuse to run as root.
    """
    folder = Path(tempfile.mkdtemp(prefix=f'glancelike-{name}-'))
    folder.chmod(0o755)
    _guard.order(f'+folder {folder}')
    return folder


def drop_folder(folder: Path) -> None:
    """Remove a folder of ``make_folder``."""
    shutil.rmtree(folder, ignore_errors=True)
    _guard.order(f'-folder {folder}')


class Process:
    """A running program in a process group of its own, killed when the test process ends in whatever way.

    :param argv: the program and its arguments
    :param log: file to which the program's output is appended
    :param env: variables set on top of those of the test process; None unsets one
    :param user: name of the user to run as; needs root
    """

    def __init__(self, argv: Sequence[str | Path], log: Path, *, env: Mapping[str, str | None] | None = None,
                 cwd: Path | None = None, user: str | None = None):
        self.log = Path(log)
        self._name = Path(argv[0]).name
        identity = {'user': user, 'group': user, 'extra_groups': []} if user else {}
        with self.log.open('ab') as output:
            self._popen = subprocess.Popen(
                [str(part) for part in argv], stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, env=environment(env), cwd=cwd, start_new_session=True, **identity)
        _guard.order(f'+group {self.pid}')

    @property
    def pid(self) -> int:
        """Process id, and process group id, of the program."""
        return self._popen.pid

    def alive(self) -> bool:
        """Tell whether the program itself still runs."""
        return self._popen.poll() is None

    def wait_ready(self, condition: Callable[[], Any], seconds: float, what: str) -> Any:
        """Like ``wait_until``, but give up at once when the program ends, and show the end of its log.

        :raises NotReady: the program ended, or the condition stayed false for *seconds*
        """
        def ready():
            if not self.alive():
                code = self._popen.returncode
                raise NotReady(f'{self._name} ended with code {code} while waiting for {what}')
            return condition()
        try:
            return wait_until(ready, seconds, what)
        except NotReady as error:
            raise NotReady(f'{error}\n{self.log_text()[-LOG_TAIL_BYTES:]}') from None

    def log_text(self) -> str:
        """Return all the program has written so far."""
        return self.log.read_text(errors='replace') if self.log.exists() else ''

    def send_signal(self, number: int) -> None:
        """Send a signal to the program itself; nothing happens when it has ended."""
        if self.alive():
            os.kill(self.pid, number)

    def wait(self, seconds: float) -> int:
        """Return the exit code (negative: the signal that ended it) once the program has ended.

        :raises NotReady: it still runs after *seconds*
        """
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise NotReady(f'{self._name} still runs {seconds:g} s after it was told to stop') from None

    def terminate(self, seconds: float = 30, number: int = signal.SIGTERM) -> int:
        """Ask the program to stop; return its exit code. Whatever is left of its group is killed."""
        self.send_signal(number)
        try:
            return self.wait(seconds)
        finally:
            self.kill9()

    def kill9(self) -> int:
        """Kill the program and its whole group, as a power cut would; return the exit code."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        _guard.order(f'-group {self.pid}')
        return self.wait(30)


def environment(changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Return this process's environment with *changes*; a value None unsets."""
    merged = {**os.environ, **(changes or {})}
    return {name: value for name, value in merged.items() if value is not None}


def run(argv: Sequence[str | Path], *, log: Path, seconds: float = 300, user: str | None = None,
        env: Mapping[str, str | None] | None = None, cwd: Path | None = None) -> None:
    """Run a program to its end, its output appended to *log*.

    :raises NotReady: it took longer than *seconds*, or its exit code is not 0; the message ends with its
        output
    """
    process = Process(argv, log, env=env, cwd=cwd, user=user)
    try:
        code = process.wait(seconds)
    finally:
        process.kill9()
    if code != 0:
        raise NotReady(f'{" ".join(str(part) for part in argv)} ended with code {code}\n'
                       f'{process.log_text()[-LOG_TAIL_BYTES:]}')
