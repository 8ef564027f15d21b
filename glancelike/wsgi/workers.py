"""The master of the worker processes: starts them, replaces them, reloads and stops them.

It holds the listening socket and serves nothing. It waits for signals only (``sigtimedwait``), so it needs no event
loop, and a fork of it is a fresh start.

=========  ==========================================================================================
SIGTERM    workers finish their requests within graceful_shutdown_timeout; exit code 0
SIGINT     the same within a second
SIGHUP     new workers with the configuration as it is now; once all of them are ready the old ones finish
           their requests and end. When it cannot be loaded, or a new worker does not start: all stays as it was
SIGCHLD    a worker that ended is replaced: at once, or after a growing pause when it did not last
=========  ==========================================================================================

A worker that ends when its master does (``kill -9`` included) sees the end of a pipe, the lifeline.
"""

from __future__ import annotations

import dataclasses
import gc
import io
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from glancelike import errors
from glancelike.wsgi import listener as listeners

LOG = logging.getLogger(__name__)

READY = b'ready'              #: what a worker says on its pipe; or why it cannot start
REFUSED_EXIT = 78             #: exit code of a worker whose configuration cannot work (EX_CONFIG of sysexits.h)
#: Tells a worker that others serve instead of it: it ends as after SIGTERM, but lets idle clients come once more.
RETIRE = signal.SIGUSR2
KILL_MARGIN_SECONDS = 5.0     #: after the time a stopping worker gives itself
INTERRUPT_SECONDS = 1.0
STEADY_SECONDS = 5.0          #: a worker that lived that long was no failed start
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
PR_SET_PDEATHSIG = 1  #: of <linux/prctl.h>
WATCHED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1})


def log_kept(error: BaseException) -> None:
    """Say that the old configuration stays, and why."""
    expected = isinstance(error, errors.GlanceError)
    LOG.error('the new configuration is not used, the old one stays: %s', error or type(error).__name__,
              exc_info=None if expected else error)


def aside(call: Callable[[], None]) -> None:
    """Make the call in a child process, and wait for it: what it imports and allocates goes with it. A tool that makes
    tables would otherwise stay in every worker (15 MiB each with alembic).

    Whether it worked is not told; a worker that needs what it made finds out.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            _end_with(parent)
            call()
        except Exception:
            LOG.exception('a call in a child process failed')
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def _end_with(parent: int) -> None:
    """Have the kernel end this child when its parent dies, whatever it is waiting for."""
    import ctypes  # here: only the child pays for it
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)  # it died before


@dataclasses.dataclass
class _Worker:
    pid: int
    status: io.FileIO
    conf: Any
    started: float
    ready: bool = False
    said: bytes = b''
    stopping: bool = False
    kill_at: float | None = None


class Master:
    """All worker processes of one program.

    :param listening: socket that listens already
    :param load_conf: reads the configuration again
    :param run_worker: ``(conf, listening, lifeline, ready)``: the whole life of a worker, in the child; returns its
        exit code, raises ConfigurationError when it cannot start, calls *ready* when it accepts
    :param count: number of workers that a configuration asks for
    """

    def __init__(self, conf: Any, listening: Any, load_conf: Callable[[], Any],
                 run_worker: Callable[[Any, Any, int, Callable[[], None]], int], count: Callable[[Any], int]):
        self._conf = conf
        self._listening = listening
        self._load_conf = load_conf
        self._run_worker = run_worker
        self._count = count
        self._workers: dict[int, _Worker] = {}
        self._up = False                  # all workers of the first start were ready
        self._exit: int | None = None     # set while stopping
        self._reload_wanted = False
        self._next: tuple[Any, Any] | None = None  # configuration and socket of workers that are coming up
        self._failure: str | None = None
        self._pause = FIRST_PAUSE_SECONDS
        self._fork_at: float | None = None  # when lost workers are replaced

    def run(self) -> int:
        """Returns the exit code once all workers are gone.

        :raises ConfigurationError: a worker refused its configuration at the first start
        """
        self._old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        self._lifeline, self._lifeline_write = os.pipe()
        # So that a collection in a worker does not copy the pages it shares with the others. None before: it would
        # leave holes in them, which workers fill.
        gc.freeze()
        try:
            self._fill(self._conf, self._listening)
            while self._workers or self._exit is None:
                found = signal.sigtimedwait(WATCHED, self._seconds_to_next())
                self._handle(found.si_signo if found else None)
        finally:
            self._kill_all()
            os.close(self._lifeline)
            os.close(self._lifeline_write)
            self._listening.close()
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # one may be pending, and would end this process
            signal.pthread_sigmask(signal.SIG_SETMASK, self._old_mask)
        if self._failure is not None:
            raise errors.ConfigurationError(self._failure)
        return self._exit or 0

    def _handle(self, number: int | None) -> None:
        self._read_statuses()
        self._collect()
        if number == signal.SIGTERM:
            self._stop(0, None)
        elif number == signal.SIGINT:
            self._stop(0, INTERRUPT_SECONDS)
        elif number == signal.SIGHUP:
            self._reload_wanted = True
        while self._exit is None and self._step():
            pass
        now = time.monotonic()
        for worker in self._workers.values():
            if worker.kill_at is not None and now >= worker.kill_at:
                LOG.warning('worker %d does not end by itself; it is killed', worker.pid)
                os.kill(worker.pid, signal.SIGKILL)
                worker.kill_at = None

    def _step(self) -> bool:
        """Do the next thing that is due; was there one?"""
        if not self._up:
            present = self._of(self._conf)
            self._up = len(present) == self._count(self._conf) and all(worker.ready for worker in present)
            if self._up:
                LOG.info('%d workers serve', len(present))
            return self._up
        if self._next is not None:
            return self._finish_reload()
        if self._reload_wanted:
            self._reload_wanted = False
            self._start_reload()
            return True
        if self._fork_at is not None and time.monotonic() >= self._fork_at:
            self._fork_at = None
            self._fill(self._conf, self._listening)
        return False

    # starting

    def _of(self, conf: Any) -> list[_Worker]:
        return [worker for worker in self._workers.values() if worker.conf is conf and not worker.stopping]

    def _fill(self, conf: Any, listening: Any) -> None:
        for _ in range(self._count(conf) - len(self._of(conf))):
            self._fork(conf, listening)

    def _fork(self, conf: Any, listening: Any) -> None:
        read_end, write_end = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(read_end)
            self._be_worker(conf, listening, write_end)
        os.close(write_end)
        os.set_blocking(read_end, False)
        # FileIO, because os.read may be green in this process and wait in an event loop.
        self._workers[pid] = _Worker(pid, io.FileIO(read_end), conf, time.monotonic())

    def _be_worker(self, conf: Any, listening: Any, status: int) -> None:
        """The child's side of the fork; does not return."""
        code = 1
        try:
            os.close(self._lifeline_write)
            for worker in self._workers.values():
                worker.status.close()
            if listening is not self._listening:
                self._listening.close()
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, self._old_mask)
            report = io.FileIO(status, 'w')
            master = os.getppid()

            def say(text: bytes) -> None:
                report.write(text)
                report.close()
                os.kill(master, signal.SIGUSR1)

            try:
                code = self._run_worker(conf, listening, self._lifeline, lambda: say(READY))
            except errors.ConfigurationError as error:
                code = REFUSED_EXIT
                say(str(error).encode()[:4000])
        except BaseException:
            LOG.exception('a worker ended with an error')
        finally:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _read_statuses(self) -> None:
        for worker in self._workers.values():
            if not worker.status.closed:
                said = worker.status.read(4096)
                if said is not None:
                    worker.said += said
                    worker.ready = worker.said == READY
                    worker.status.close()

    # endings

    def _collect(self) -> None:
        while self._workers:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            worker = self._workers.pop(pid, None)
            if worker is not None:
                worker.status.close()
                if not worker.stopping:
                    self._lost(worker, os.waitstatus_to_exitcode(status))

    def _lost(self, worker: _Worker, code: int) -> None:
        """A worker ended that nobody had told to."""
        if self._exit is not None:
            return
        if self._next is not None and worker.conf is self._next[0]:
            self._abandon_reload(worker, code)
        elif not self._up and not worker.ready and code >= 0:  # a signal from outside is no fault of the start
            if code == REFUSED_EXIT and worker.said:
                self._failure = worker.said.decode(errors='replace')
            else:
                LOG.error('worker %d ended with code %d before it could serve', worker.pid, code)
            self._stop(2, INTERRUPT_SECONDS)
        else:
            lived = time.monotonic() - worker.started
            if lived >= STEADY_SECONDS and worker.ready:
                self._pause = FIRST_PAUSE_SECONDS
                self._fork_at = time.monotonic()
            else:
                self._fork_at = time.monotonic() + self._pause
                self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
            LOG.error('worker %d ended with code %d after %.1f s; it is replaced%s', worker.pid, code, lived,
                      f': {worker.said.decode(errors="replace")}' if code == REFUSED_EXIT else '')

    def _stop(self, code: int, seconds: float | None) -> None:
        if self._exit is None or seconds is not None:
            self._exit = code if self._exit is None else self._exit
            self._listening.close()
            if self._next is not None:
                self._next[1].close()
            self._dismiss(list(self._workers.values()), seconds)

    def _dismiss(self, workers: list[_Worker], seconds: float | None, how: int = signal.SIGTERM) -> None:
        """:param seconds: until they are killed; None: as long as their configuration gives them"""
        for worker in workers:
            worker.stopping = True
            if seconds is None:
                worker.kill_at = time.monotonic() + worker.conf.graceful_shutdown_timeout + KILL_MARGIN_SECONDS
            else:
                worker.kill_at = time.monotonic() + seconds
            os.kill(worker.pid, how)

    def _kill_all(self) -> None:
        for pid in self._workers:
            os.kill(pid, signal.SIGKILL)
        for pid in self._workers:
            os.waitpid(pid, 0)

    def _seconds_to_next(self) -> float:
        moments = [worker.kill_at for worker in self._workers.values() if worker.kill_at is not None]
        if self._exit is None and self._fork_at is not None and self._next is None:
            moments.append(self._fork_at)
        return max(min(moments, default=time.monotonic() + 60) - time.monotonic(), 0.0)

    # reloading

    def _start_reload(self) -> None:
        listening = self._listening
        try:
            conf = self._load_conf()
            gc.collect()  # what the one before left
            if self._count(conf) == 0:
                raise errors.ConfigurationError(
                    reason='workers cannot change to 0 while the service runs; restart it')
            if listeners.address(conf) != listeners.address(self._conf):
                listening = listeners.listen(conf)
        except (Exception, SystemExit) as error:
            log_kept(error)
            return
        self._next = (conf, listening)
        self._fill(conf, listening)

    def _finish_reload(self) -> bool:
        conf, listening = self._next
        coming = self._of(conf)
        if len(coming) < self._count(conf) or not all(worker.ready for worker in coming):
            return False
        old = [worker for worker in self._workers.values() if worker.conf is self._conf]
        if listening is not self._listening:
            self._listening.close()
        self._conf, self._listening, self._next = conf, listening, None
        self._pause, self._fork_at = FIRST_PAUSE_SECONDS, None
        self._dismiss(old, None, RETIRE)
        LOG.info('the configuration was read again; %d new workers serve', len(coming))
        return True

    def _abandon_reload(self, worker: _Worker, code: int) -> None:
        conf, listening = self._next
        self._next = None
        self._dismiss(self._of(conf), INTERRUPT_SECONDS)
        if listening is not self._listening:
            listening.close()
        log_kept(errors.ConfigurationError(
            reason=worker.said.decode(errors='replace') or f'a new worker ended with code {code}'))
