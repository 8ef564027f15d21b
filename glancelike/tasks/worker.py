"""A worker: claims jobs of the board, does their tasks, and gives back what it cannot finish.

One thread (``run``) alone talks to the board; each task has a thread of its own. The lease of a task in the database
decides who does it, so nothing here has to be certain: a claim that was lost, a job that is there twice or a board that
came back empty costs a look in vain.
"""

from __future__ import annotations

import collections
import dataclasses
import logging
import queue
import threading
import time
from collections.abc import Callable

from glancelike import context, errors
from glancelike.core.threads import NativeThreads
from glancelike.db_drivers.base import DbDriver
from glancelike.tasks.flow_book import FlowBook
from glancelike.tasks.jobboard import Board, Posting
from glancelike.tasks.runner import BUSY, FINISHED, LATER, TaskRunner
from glancelike.tasks.turns import Turns

LOG = logging.getLogger(__name__)

CLAIMED = 'claimed'
#: Longest wait before a board that does not answer is asked again.
MOST_BACK_OFF_SECONDS = 15
SWEEP_SECONDS = 3600


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How much, and how often.

    :ivar renew_seconds: how often claims are renewed; None: they need not be
    :ivar aside_seconds: for how long a job is left that somebody else had claimed or had the lease of
    :ivar later_seconds: the same after database or store did not answer
    """

    max_workers: int = 10
    max_per_owner: int = 0
    look_seconds: float = 1
    renew_seconds: float | None = 10
    aside_seconds: float = 5
    later_seconds: float = 15


class Worker:
    """The loop of one worker process.

    :param board: its own; nobody else uses it
    :param drain: end when every job that could be claimed is finished
    """

    def __init__(self, board: Board, runner: TaskRunner, threads: NativeThreads, settings: WorkerSettings, *,
                 drain: bool = False, clock: Callable[[], float] = time.monotonic):
        self._board = board
        self._runner = runner
        self._threads = threads
        self._settings = settings
        self._drain = drain
        self._clock = clock
        self._turns = Turns(settings.max_workers, settings.max_per_owner)
        self._running: dict[str, Posting] = {}  # by task id
        self._unsettled: dict[str, tuple[Posting, str]] = {}  # done, and the board does not know it
        self._ended: queue.SimpleQueue[tuple[Posting, str]] = queue.SimpleQueue()
        self._aside: dict[str, tuple[str, float]] = {}  # task id -> why, until when
        self._listed: list[Posting] = []
        self._listed_at = self._renewed_at = float('-inf')
        self._failures = 0
        self._stopping = threading.Event()
        self._wake = threading.Event()

    @property
    def running(self) -> int:
        """How many tasks are being done."""
        return len(self._running)

    def stop(self) -> None:
        """Claim nothing any more and give back what is being done; ``run`` returns when that is so. Any thread."""
        self._stopping.set()
        self._runner.stop()
        self._wake.set()

    def run(self) -> None:
        """Work until ``stop``; with *drain* until nothing is left to claim."""
        LOG.info('Looking for tasks; at most %d at once.', self._settings.max_workers)
        while not self._round():
            self._wake.wait(self._pause())
            self._wake.clear()
        self._board.close()

    def _round(self) -> bool:
        """Whatever is to be done now; is it the end?"""
        self._collect()
        over, problem = False, None
        try:
            self._settle()
            self._renew()
            if not self._stopping.is_set():
                self._begin_some()
                over = self._drain and self._is_empty()
        except errors.JobBoardUnavailable as error:
            problem = str(error)
            self._listed_at = float('-inf')
        except Exception:  # the next round may work, and nobody else would go on with this
            LOG.exception('A look at the job board failed.')
            problem = 'failed'
        self._count_failure(problem)
        return over or (self._stopping.is_set() and not self._running)

    def _count_failure(self, problem: str | None) -> None:
        if problem is None:
            if self._failures:
                LOG.info('The job board answers again.')
            self._failures = 0
            return
        if not self._failures:
            LOG.warning('%s What is being done goes on.', problem)
        self._failures += 1

    def _pause(self) -> float:
        if self._failures:
            return min(self._settings.look_seconds * 2 ** min(self._failures, 10), MOST_BACK_OFF_SECONDS)
        pauses = [self._settings.look_seconds] if self._turns.free or self._unsettled else [60.0]
        if self._settings.renew_seconds is not None and self._running:
            pauses.append(max(self._renewed_at + self._settings.renew_seconds - self._clock(), 0))
        return min(pauses)

    # --- tasks that ended -------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        while True:
            try:
                posting, outcome = self._ended.get_nowait()
            except queue.Empty:
                return
            del self._running[posting.task_id]
            self._turns.end(posting.owner, (one.owner for one in self._listed))
            self._unsettled[posting.key] = posting, outcome
            if outcome != FINISHED:
                seconds = self._settings.aside_seconds if outcome == BUSY else self._settings.later_seconds
                self._aside[posting.task_id] = outcome, self._clock() + seconds

    def _settle(self) -> None:
        for key, (posting, outcome) in list(self._unsettled.items()):
            if outcome == FINISHED:
                self._board.consume(posting.key)
            else:
                self._board.abandon(posting.key)
            del self._unsettled[key]

    def _renew(self) -> None:
        if self._settings.renew_seconds is None:
            return
        if self._clock() < self._renewed_at + self._settings.renew_seconds:
            return
        self._renewed_at = self._clock()
        for posting in list(self._running.values()):
            if not self._board.renew(posting.key):
                LOG.debug('The claim of task %s is lost; its lease counts.', posting.task_id)

    # --- tasks that begin -------------------------------------------------------------------------------------------

    def _begin_some(self) -> None:
        if not self._turns.free:
            return
        self._look()
        waiting: dict[str | None, collections.deque[Posting]] = {}
        for posting in self._listed:
            if self._may_begin(posting):
                waiting.setdefault(posting.owner, collections.deque()).append(posting)
        while True:
            owner = self._turns.next(waiting)
            if owner is False:
                return
            posting = waiting[owner].popleft()
            if not waiting[owner]:
                del waiting[owner]
            if posting.task_id in self._running:
                continue  # it is on the board twice
            if self._board.claim(posting.key):
                self._begin(posting)
            else:
                self._aside[posting.task_id] = CLAIMED, self._clock() + self._settings.aside_seconds

    def _look(self) -> None:
        now = self._clock()
        if now < self._listed_at + self._settings.look_seconds:
            return
        self._listed = self._board.postings()
        self._listed_at = now
        there = {posting.task_id for posting in self._listed}
        self._aside = {task_id: aside for task_id, aside in self._aside.items() if task_id in there}

    def _may_begin(self, posting: Posting) -> bool:
        _why, until = self._aside.get(posting.task_id, ('', float('-inf')))
        return until <= self._clock() and posting.task_id not in self._running and posting.key not in self._unsettled

    def _is_empty(self) -> bool:
        """Is every job somebody else's, or done?"""
        if self._running or self._unsettled or not self._turns.free:
            return False
        if self._clock() > self._listed_at + self._settings.look_seconds:
            return False  # a fresh look comes first
        return all(self._aside.get(posting.task_id, ('',))[0] == CLAIMED for posting in self._listed)

    def _begin(self, posting: Posting) -> None:
        self._turns.begin(posting.owner)
        self._running[posting.task_id] = posting
        self._listed.remove(posting)
        looked_before = self._aside.get(posting.task_id, ('',))[0] == BUSY  # and every few seconds since
        LOG.log(logging.DEBUG if looked_before else logging.INFO, 'Task %s of project %s begins; %d of %d.',
                posting.task_id, posting.owner, self.running, self._settings.max_workers)
        self._threads.spawn(f'task {posting.task_id}', lambda: self._do(posting))

    def _do(self, posting: Posting) -> None:
        began = self._clock()
        outcome = LATER
        try:
            outcome = self._runner.run(posting.task_id)
        except Exception:  # whatever it is, the others must go on; its lease falls silent, so it is not lost
            LOG.exception('Task %s broke off; it is tried again.', posting.task_id)
        finally:
            self._ended.put((posting, outcome))
            self._wake.set()
        said = {FINISHED: 'is over', BUSY: 'is another process\'s', LATER: 'is given back for later'}
        LOG.log(logging.DEBUG if outcome == BUSY else logging.INFO, 'Task %s %s after %.1f s.', posting.task_id,
                said.get(outcome, outcome), self._clock() - began)


def sweep_forever(book: FlowBook, db: DbDriver, threads: NativeThreads, seconds: float = SWEEP_SECONDS) -> None:
    """A duty: forget finished steps of tasks that have ended, which workers leave that die in between."""
    ctx = context.internal('worker')

    def is_unfinished(task_id: str) -> bool:
        try:
            return not db.task_get(ctx, task_id).finished
        except errors.TaskNotFound:
            return False

    while True:
        try:
            swept = book.sweep(is_unfinished)
            if swept:
                LOG.info('Finished steps of %d ended tasks are forgotten.', swept)
        except errors.DatabaseUnavailable:
            LOG.warning('Finished steps of ended tasks cannot be removed now.')
        except Exception:  # the next round may work
            LOG.exception('Removing finished steps of ended tasks failed.')
        threads.sleep(seconds)
