"""Who does tasks: this process, at most so many at once (``task_executor = local``), or workers told by a job board."""

from __future__ import annotations

import collections
import dataclasses
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from glancelike import errors
from glancelike.core.imports import Executor
from glancelike.core.leases import Lease, Leases
from glancelike.core.threads import NativeThreads
from glancelike.db_drivers.base import MULTI_PROCESS, DbDriver
from glancelike.model.task import Task
from glancelike.model.upload import Upload
from glancelike.tasks.runner import LATER, TaskRunner
from glancelike.tasks.turns import Turns

LOG = logging.getLogger(__name__)

#: Most tasks that wait in one process. Of more than that, those of the project that has most are forgotten; their
#: leases fall silent and recovery hands them out again.
MOST_WAITING = 1000
#: After so long what LATER was said of is tried again.
LATER_SECONDS = 15


def make(conf: Any, threads: NativeThreads, leases: Leases, db: DbDriver, runner: TaskRunner) -> Executor:
    """The executor that ``[task] task_executor`` names.

    :raises ConfigurationError: a job board is named that cannot be used, or the database cannot be shared with workers
    """
    if conf.task.task_executor != 'jobboard':
        return LocalExecutor(runner, db, leases, threads, max_workers=conf.taskflow_executor.max_workers,
                             max_per_owner=conf.task.max_per_owner)
    if MULTI_PROCESS not in db.CAPABILITIES:
        raise errors.ConfigurationError(
            f'task_executor = jobboard needs a database that workers can share; data_api = {conf.data_api} keeps its '
            'rows in one process. Set data_api = sqlalchemy, or task_executor = local.')
    from glancelike.tasks import jobboard
    settings = jobboard.read_settings(conf.jobboard)
    return jobboard.JobBoardExecutor(lambda: jobboard.Board(settings, leases.node.name, green=threads.green),
                                     threads)


@dataclasses.dataclass(frozen=True, slots=True)
class _Waiting:
    """A task that nobody has begun.

    :ivar lease: kept alive meanwhile; None when it is not this process's
    :ivar since: from when on it may begin
    """

    task_id: str
    owner: str | None
    lease: Lease | None
    since: float = 0


class LocalExecutor:
    """A bounded pool in this process (``core.imports.Executor``). Nothing is started before the first ``post``.

    :param max_workers: tasks that are done at once
    :param max_per_owner: of one project; 0: as many as in all
    """

    def __init__(self, runner: TaskRunner, db: DbDriver, leases: Leases, threads: NativeThreads, *,
                 max_workers: int = 10, max_per_owner: int = 0, most_waiting: int = MOST_WAITING,
                 later_seconds: float = LATER_SECONDS, clock: Callable[[], float] = time.monotonic):
        self._runner = runner
        self._db = db
        self._leases = leases
        self._threads = threads
        self._max_workers = max_workers
        self._max_per_owner = max_per_owner
        self._most_waiting = most_waiting
        self._later_seconds = later_seconds
        self._clock = clock
        self._stopped = False
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._turns = Turns(self._max_workers, self._max_per_owner)
        self._waiting: dict[str | None, collections.deque[_Waiting]] = {}
        self._known: set[str] = set()  # waiting or running
        self._again = False  # a duty waits for the time of those that are to be tried again

    def holder(self) -> str:
        """This process."""
        return self._leases.node.name

    def post(self, task: Task, upload: Upload) -> None:
        """Have the task done when its turn comes; nothing happens when it waits or runs here already."""
        if self._pid != os.getpid():  # a fork: the parent does what it was asked
            self._reset()
        with self._lock:
            if self._stopped or (task.id in self._known and not self._forget_waiting(task)):
                return
            if not self._make_room(task.owner):
                LOG.warning('Task %s is done later: %d tasks are waiting.', task.id, self._most_waiting)
                return
            lease = None
            if upload.node == self.holder():
                lease = Lease(self._db, upload, None)
                self._leases.keep(lease)
            self._add(_Waiting(task.id, task.owner, lease))
        self._start_some()

    def stop(self, seconds: float = 0) -> bool:
        """Begin nothing any more, and have what is being done given back.

        :param seconds: longest wait for that
        :returns: nothing is being done any more
        """
        with self._lock:
            self._stopped = True
            for one in [one for queue in self._waiting.values() for one in queue]:
                self._drop(one)
            self._waiting.clear()
        self._runner.stop()
        end = self._clock() + seconds
        while self._turns.running and self._clock() < end:
            self._threads.sleep(min(0.1, seconds))
        return not self._turns.running

    # --- waiting; all of it under the lock --------------------------------------------------------------------------

    def _add(self, one: _Waiting) -> None:
        self._known.add(one.task_id)
        self._waiting.setdefault(one.owner, collections.deque()).append(one)

    def _drop(self, one: _Waiting) -> None:
        self._known.discard(one.task_id)
        if one.lease is not None:
            self._leases.let_go(one.lease)

    def _forget_waiting(self, task: Task) -> bool:
        """Recovery brings a task that waits here already: its lease is a new one. False when it runs."""
        queue = self._waiting.get(task.owner, ())
        for one in queue:
            if one.task_id == task.id:
                queue.remove(one)
                self._drop(one)
                return True
        return False

    def _make_room(self, owner: str | None) -> bool:
        """Is there room for one more of that owner? The owner with most loses its newest for another's."""
        if sum(map(len, self._waiting.values())) < self._most_waiting:
            return True
        most = max(self._waiting, key=lambda one: len(self._waiting[one]))
        if len(self._waiting[most]) <= len(self._waiting.get(owner, ())) + 1:
            return False
        self._drop(self._waiting[most].pop())
        return True

    def _take(self) -> _Waiting | None:
        """What begins now."""
        now = self._clock()
        if self._stopped:
            return None
        owner = self._turns.next([one for one, queue in self._waiting.items()
                                  if any(task.since <= now for task in queue)])
        if owner is False:
            return None
        queue = self._waiting[owner]
        chosen = next(task for task in queue if task.since <= now)
        queue.remove(chosen)
        if not queue:
            del self._waiting[owner]
        self._turns.begin(owner)
        if chosen.lease is not None:
            self._leases.let_go(chosen.lease)  # from here on it is the runner's
        return chosen

    # --- doing ------------------------------------------------------------------------------------------------------

    def _start_some(self) -> None:
        while True:
            with self._lock:
                one = self._take()
                if one is None:
                    return
            self._threads.spawn('task', lambda one=one: self._work(one))

    def _work(self, one: _Waiting | None) -> None:
        while one is not None:
            outcome = self._run(one)
            with self._lock:
                self._turns.end(one.owner, self._waiting)
                self._known.discard(one.task_id)
                if outcome == LATER and not self._stopped:
                    self._add(dataclasses.replace(one, lease=None, since=self._clock() + self._later_seconds))
                    self._wake_later()
                one = self._take()

    def _run(self, one: _Waiting) -> str:
        try:
            return self._runner.run(one.task_id)
        except Exception:  # whatever it is, the others must go on; the lease falls silent, so it is not lost
            LOG.exception('Task %s broke off; it is tried again.', one.task_id)
            return LATER

    def _wake_later(self) -> None:
        if not self._again:
            self._again = True
            self._threads.spawn('tasks to be tried again', self._start_later)

    def _start_later(self) -> None:
        while True:
            self._threads.sleep(self._later_seconds)
            self._start_some()
            with self._lock:
                now = self._clock()
                self._again = not self._stopped and any(
                    one.since > now for queue in self._waiting.values() for one in queue)
                if not self._again:
                    return
