"""The work of one task while this process does it: is it still wanted, how far is it, and where are its files."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from glancelike import context, errors
from glancelike.core import endings
from glancelike.core.leases import Lease
from glancelike.core.threads import NativeThreads
from glancelike.db_drivers.base import DbDriver
from glancelike.model.image import Image
from glancelike.model.task import Task, TaskChanges
from glancelike.tasks.base import Caller, ImportJob

LOG = logging.getLogger(__name__)
T = TypeVar('T')

#: How often the row of a running task is brought up to date, and its ``cancelled`` looked at.
REPORT_SECONDS = 2.0
#: Longest wait between two looks at whether the work is still wanted.
NAP_SECONDS = 0.5


class Interrupted(BaseException):
    """This process is to stop: the work is neither done nor undone, another process goes on with it.

    No Exception: whoever catches those means to deal with failures, and this is none."""


class Throttle:
    """Keeps all tasks of this process together below a number of bytes per second.

    :param bytes_per_second: 0 for no limit
    """

    def __init__(self, bytes_per_second: int = 0, clock: Callable[[], float] = time.monotonic):
        self._rate = bytes_per_second
        self._clock = clock
        self._free_at = clock()
        self._lock = threading.Lock()

    def wait_seconds(self, count: int) -> float:
        """*count* bytes came: how long to wait before more are asked for."""
        if not self._rate:
            return 0.0
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now) + count / self._rate
            return max(self._free_at - now - 1.0, 0.0)  # a second's worth may come at once


class Progress:
    """How far a task is; written to its row from time to time by ``report_until_closed``."""

    def __init__(self, db: DbDriver, threads: NativeThreads, task: Task, clock: Callable[[], float] = time.monotonic):
        self._db = db
        self._threads = threads
        self._task_id = task.id
        self._clock = clock
        self._closed = False
        self._step, self._done, self._total, self._since = '', 0, None, clock()
        self.cancelled = task.cancelled

    def begin(self, step: str, total: int | None = None) -> None:
        """A step begins, of *total* bytes if that is known."""
        self._step, self._done, self._total, self._since = step, 0, total, self._clock()

    def advance(self, count: int) -> None:
        """*count* more bytes of the step are done."""
        self._done += count

    def close(self) -> None:
        """Write nothing any more."""
        self._closed = True

    def report_until_closed(self) -> None:
        """A duty: write the row, learn whether the end was asked for."""
        while not self._closed:
            try:
                self.report()
            except errors.DatabaseUnavailable:
                LOG.debug('The progress of task %s cannot be written now.', self._task_id)
            except (errors.TaskNotFound, errors.StatusConflict):
                return  # it has ended
            self._threads.sleep(REPORT_SECONDS)

    def report(self) -> None:
        """:raises TaskNotFound, StatusConflict: it has ended. :raises DatabaseUnavailable: not now"""
        seconds = self._clock() - self._since
        rate = int(self._done / seconds) if seconds > 0 and self._done else None
        row = self._db.task_update(self._task_id, TaskChanges({
            'step': self._step, 'bytes_done': self._done, 'bytes_total': self._total, 'rate': rate}))
        self.cancelled = self.cancelled or row.cancelled


@dataclasses.dataclass(slots=True)
class WorkFolders:
    """Where tasks of this machine keep files: one folder each, named ``<task id>.<lease id>``.

    :ivar path: made when the first task needs it
    """

    path: str

    def make(self, task_id: str, lease_id: str) -> str:
        """A new folder that only this user can enter."""
        folder = os.path.join(self.path, f'{task_id}.{lease_id}')
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        os.mkdir(folder, mode=0o700)
        return folder

    def remove(self, folder: str) -> None:
        """What cannot be removed now is removed by ``sweep``."""
        shutil.rmtree(folder, onerror=lambda _call, path, _info: LOG.warning('%s cannot be removed.', path))

    def sweep(self, db: DbDriver) -> int:
        """Remove the folders of tasks that nobody does under that lease any more; how many there were.

        :raises DatabaseUnavailable: it is not known which live
        """
        removed = 0
        try:
            names = os.listdir(self.path)
        except FileNotFoundError:
            return 0
        for name in names:
            task_id, _, lease_id = name.partition('.')
            if lease_id and not self._lives(db, task_id, lease_id):
                self.remove(os.path.join(self.path, name))
                removed += 1
        return removed

    @staticmethod
    def _lives(db: DbDriver, task_id: str, lease_id: str) -> bool:
        try:
            task = db.task_get(context.internal('recovery'), task_id)
        except errors.TaskNotFound:
            return False
        upload = db.upload_of_image(task.image_id) if task.image_id else None
        return upload is not None and upload.id == lease_id


class RunningJob(ImportJob):
    """An import that this process does.

    :param stopping: true when this process is to stop
    :ivar taken_up: another process has begun it, or this one before: something may be left of that
    """

    def __init__(self, image: Image, task: Task, lease: Lease, threads: NativeThreads, progress: Progress,
                 folders: WorkFolders, throttle: Throttle, stopping: Callable[[], bool], *,
                 secret: str | None, max_bytes: int, taken_up: bool = False):
        super().__init__(image, '', caller=caller_of(task), input=endings.as_mapping(task.caller.get('given')),
                         secret=secret, max_bytes=max_bytes)
        self.task = task
        self.taken_up = taken_up
        self.lease = lease
        self.threads = threads
        self.progress = progress
        self._folders = folders
        self._throttle = throttle
        self._stopping = stopping
        self._folder: str | None = None

    @property
    def folder(self) -> str:
        if self._folder is None:
            self._folder = self.threads.run(self._folders.make, self.task.id, self.lease.id)
        return self._folder

    @folder.setter
    def folder(self, path: str) -> None:
        self._folder = path or None

    def close(self) -> None:
        """Remove the job's files; twice is no error."""
        if self._folder is not None:
            self.threads.run(self._folders.remove, self._folder)
            self._folder = None

    def check(self) -> None:
        """As ``ImportJob.check``. :raises Interrupted: this process is to stop"""
        if self._stopping():
            raise Interrupted()
        self.lease.check()
        if self.progress.cancelled:
            raise errors.TaskCancelled()

    def run(self, call: Callable[..., T], *args: Any) -> T:
        return self.threads.run(call, *args)

    def sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.check()
        while (left := end - time.monotonic()) > 0:
            self.threads.sleep(min(left, NAP_SECONDS))
            self.check()

    def pause(self, seconds: float) -> None:
        """Let *seconds* pass where the end of the work must not come in between. :raises Interrupted: as ``check``"""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._stopping():
                raise Interrupted()
            self.threads.sleep(min(left, NAP_SECONDS))

    def counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The same chunks; progress grows with them, and they come no faster than they may."""
        with contextlib.closing(chunks) if hasattr(chunks, 'close') else contextlib.nullcontext():
            for chunk in chunks:
                self.check()
                self.progress.advance(len(chunk))
                wait = self._throttle.wait_seconds(len(chunk))
                if wait:
                    self.sleep(wait)
                yield chunk


def caller_of(task: Task) -> Caller:
    """Who asked for the task."""
    given: Mapping[str, Any] = task.caller
    return Caller(given.get('user_id'), given.get('project_id'), frozenset(given.get('roles', ())),
                  bool(given.get('is_admin')))
