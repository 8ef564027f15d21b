"""Doing one task, whoever asks for it: take its lease, run its flow, end it.

Executors and workers find tasks; which of them does one is decided here, by the lease: a compare-and-set in the
database that one of them wins. A task may be begun several times, by one process after another, and ends once.
"""

from __future__ import annotations

import dataclasses
import importlib
import logging
import uuid
from typing import Any, Protocol

from glancelike import context, errors
from glancelike.core import endings as ends
from glancelike.core.endings import Endings
from glancelike.core.leases import Lease, Leases
from glancelike.core.quotas import Quotas
from glancelike.core.secrets import Secrets
from glancelike.db_drivers.base import DbDriver
from glancelike.model import task as tasks
from glancelike.model.image import IMPORTING, Image
from glancelike.model.task import Task, TaskChanges
from glancelike.model.upload import Upload
from glancelike.notifications import events
from glancelike.notifications.notifier import Notifier
from glancelike.tasks import remains
from glancelike.tasks.importing import Parts
from glancelike.tasks.job import Interrupted, Progress, RunningJob, Throttle, WorkFolders

LOG = logging.getLogger(__name__)

FINISHED = 'finished'  # the task is over, was over before, or does not exist
BUSY = 'busy'          # somebody who lives has its lease
LATER = 'later'        # database or process cannot go on now; the lease was given up


class FlowBook(Protocol):
    """Where finished steps are remembered for other processes (taskflow's persistence)."""

    def detail(self, task_id: str, lease_id: str) -> tuple[Any, Any, Any]:
        """(backend, logbook, flow detail) of the task, for whoever has that lease; who had another one before can note
        nothing any more."""

    def forget(self, task_id: str) -> None:
        """The task is over, or begins anew; unknown ones are no error."""


class TaskRunner:
    """Does tasks in this process; ``run`` may be called from several threads.

    :param flow_book: None where an interrupted task begins again from its first step
    :param max_attempts: how often a task is begun whose process dies each time
    :param engine: what taskflow's engine is made with, for steps side by side; {} does them one by one
    """

    def __init__(self, parts: Parts, leases: Leases, endings: Endings, quotas: Quotas, secrets: Secrets,
                 notifier: Notifier, folders: WorkFolders, throttle: Throttle, *, flow_book: FlowBook | None = None,
                 engine: dict[str, Any] | None = None, max_attempts: int = 20):
        self._parts = parts
        self._db: DbDriver = parts.db
        self._leases = leases
        self._endings = endings
        self._quotas = quotas
        self._secrets = secrets
        self._notifier = notifier
        self._folders = folders
        self._throttle = throttle
        self._flow_book = flow_book
        self._engine = engine or {}
        self._max_attempts = max_attempts
        self._stopping = False

    def stop(self) -> None:
        """What runs gives its lease back at its next look, so that another process goes on with it."""
        self._stopping = True

    def run(self, task_id: str) -> str:
        """Do the task, unless somebody else does; FINISHED, BUSY or LATER. Raises nothing but what ends the thread."""
        try:
            return self._run(task_id)
        except errors.DatabaseUnavailable:
            LOG.warning('Task %s waits for the database.', task_id)
            return LATER

    def _run(self, task_id: str) -> str:
        ctx = context.internal('task')
        try:
            task = self._db.task_get(ctx, task_id)
        except errors.TaskNotFound:
            self._forget_flow(task_id)
            return FINISHED
        if task.finished:
            self._forget_flow(task_id)  # who ended it may have died before that
        upload = None if task.finished or task.image_id is None else self._db.upload_of_image(task.image_id)
        if upload is None or upload.task_id != task_id:
            return FINISHED  # an unfinished one without a lease is ended by recovery
        if self._stopping:
            return LATER
        lease = self._taken(upload)
        if lease is None:
            return BUSY
        self._leases.keep(lease)
        try:
            return self._do(task, lease)
        except Interrupted:
            LOG.info('Task %s is left to another process.', task_id)
            self._give_back(task, lease)
            return LATER
        except errors.DatabaseUnavailable:
            self._leases.abandon(lease.id)  # recovery posts it again as soon as the database answers
            raise
        finally:
            self._leases.let_go(lease)

    def _taken(self, upload: Upload) -> Lease | None:
        """The lease, if nobody who lives has it."""
        node = self._leases.node
        if upload.node not in ('', node.name) and not node.is_dead(upload.node):
            return None
        mine = dataclasses.replace(upload, id=str(uuid.uuid4()), node=node.name)
        if not self._db.upload_take_over(upload, mine.id, node.name):
            return None
        self._leases.settled(upload.id)
        limit = self._quotas.storage_limit(context.internal('task'), upload.owner)
        return Lease(self._db, mine, limit)

    def _give_back(self, task: Task, lease: Lease) -> None:
        try:
            held = self._db.upload_of_image(lease.upload.image_id)
            if held is not None and held.id == lease.id:
                self._db.task_update(task.id, TaskChanges({'attempts': task.attempts}))
                self._db.upload_take_over(held, str(uuid.uuid4()), '')
        except (errors.DatabaseUnavailable, errors.StatusConflict, errors.TaskNotFound):
            LOG.warning('The lease of task %s cannot be given back; it is found silent later.', lease.upload.task_id)

    def _do(self, task: Task, lease: Lease) -> str:
        progress = Progress(self._db, self._parts.threads, task)
        job = None
        resumed = task.status == tasks.PROCESSING
        try:
            if task.cancelled:
                raise errors.TaskCancelled()
            image = self._image(task)
            if task.attempts >= self._max_attempts:
                raise errors.ServiceUnavailable(
                    f'The work was begun {task.attempts} times, and its process died each time; it is given up.')
            task = self._db.task_update(task.id, TaskChanges({
                'status': tasks.PROCESSING, 'attempts': task.attempts + 1}))
            progress.cancelled = task.cancelled
            self._notifier.send(ends.context_of(task), events.task_run(task))
            if image.status == IMPORTING:
                self._notifier.send(ends.context_of(task), events.image_prepare(image))
            secret = self._secrets.opened(task.secret)
            job = RunningJob(image, task, lease, self._parts.threads, progress, self._folders, self._throttle,
                             lambda: self._stopping, secret=secret.get('method'),
                             max_bytes=self._parts.rules.image_size_cap, resumed=resumed)
            self._parts.threads.spawn(f'progress of task {task.id}', progress.report_until_closed)
            self._flow(task, job, secret.get('token'))
            LOG.info('Task %s of image %s is done.', task.id, task.image_id)
        except errors.DatabaseUnavailable:
            raise
        except Exception as error:  # whatever it is, the task must end
            return self._fail(task, lease, error, resumed)
        finally:
            progress.close()
            if job is not None:
                job.close()
        self._forget_flow(task.id)
        return FINISHED

    def _fail(self, task: Task, lease: Lease, error: Exception, resumed: bool) -> str:
        """End the task with failure; FINISHED, or LATER where the bytes of an image that is gone cannot be removed."""
        imports = task.type in (tasks.IMPORT, tasks.IMAGE_IMPORT)
        if not self._db.upload_heartbeat(lease.id):
            LOG.info('Task %s is done by another process now.', task.id)
            if imports:  # which may have ended it already, before our last bytes came
                remains.clear_all(self._db, lease, self._parts.stores, task.caller.get('stores', ()))
            return FINISHED
        if not isinstance(error, errors.GlanceError):
            LOG.error('Task %s failed.', task.id, exc_info=error)
        # The flow has undone its steps, but knows of none that a process that died was in; and if a store could not
        # undo one, a row tells recovery of it, unless the image is gone. An error of a store may also be one that has
        # ended the undoing.
        if imports and (resumed or isinstance(error, errors.ImageGone | errors.StoreError)):
            try:
                remains.clear_all(self._db, lease, self._parts.stores, task.caller.get('stores', ()))
            except errors.StoreError as failed:
                LOG.warning('Data of image %s, which is gone, cannot be removed now: %s', task.image_id, failed)
                self._leases.abandon(lease.id)
                return LATER
        store = error.facts.get('store') if isinstance(error, errors.StoreError) else None
        failed_stores = [store] if store in task.caller.get('stores', ()) else self._lacking(task)
        if self._endings.fail(lease.id, task, ends.message_of(error), failed_stores):
            self._forget_flow(task.id)
        return FINISHED

    def _lacking(self, task: Task) -> list[str]:
        """The stores that were to get the data and have not. Where no store is at fault clients look for these."""
        try:
            has = {location.store for location in self._image(task).locations}
        except errors.ImageGone:
            return []
        return [store for store in task.caller.get('stores', ()) if store not in has]

    def _image(self, task: Task) -> Image:
        try:
            return self._db.image_get(context.internal('task'), task.image_id)
        except errors.ImageNotFound as error:
            raise errors.ImageGone(image_id=task.image_id) from error

    def _flow(self, task: Task, job: RunningJob, token: str | None) -> None:
        """Run the task's flow to its end. :raises Exception: why it failed, after all its steps were undone"""
        # Imported with the first task, beside requests: taskflow takes half a second, and many processes never do one.
        self._parts.threads.run(importlib.import_module, 'glancelike.tasks.flows')
        self._parts.threads.run(importlib.import_module, 'taskflow.engines')
        from taskflow import engines, exceptions

        from glancelike.tasks import flows
        flow = flows.make(task, job, self._parts, self._endings, token,
                          self._parts.rules.max_parallel_stores if self._engine else 1)
        remembered = {}
        if self._flow_book is not None:
            backend, book, detail = self._flow_book.detail(task.id, job.lease.id)
            remembered = {'backend': backend, 'book': book, 'flow_detail': detail}
        try:
            engines.load(flow, **(self._engine or {'engine': 'serial'}), **remembered).run()
        except exceptions.StorageFailure as failed:  # nothing was undone: whoever goes on reads what was done
            LOG.warning('The steps of task %s cannot be noted.', task.id)
            raise Interrupted() from failed
        except exceptions.WrappedFailure as failed:
            raise _cause(failed) from failed

    def _forget_flow(self, task_id: str) -> None:
        if self._flow_book is not None:
            self._flow_book.forget(task_id)


def _cause(failed: Any) -> Exception:
    """Of several failures the one to tell of: the database's before all, since then nothing is certain."""
    found = [failure.exception for failure in failed if failure.exception is not None]
    for error in found:
        if isinstance(error, errors.DatabaseUnavailable):
            return error
    if found:
        return found[0]
    texts = [failure.exception_str for failure in failed
             if any('glancelike.errors.GlanceError' in name for name in failure)]
    return errors.GlanceError(texts[0]) if texts else RuntimeError(str(failed))
