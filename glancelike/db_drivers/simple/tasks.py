"""The tasks of the ``simple`` driver: who may see them, their order, and what a change does to one.

The driver holds its lock around every call; values go in and out as copies.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime
from collections.abc import Collection
from typing import Any

from glancelike.plugin import RequestContext, Task, TaskChanges, TaskQuery, errors

ENDED = ('success', 'failure')


class TaskRows:
    """All tasks by id."""

    def __init__(self):
        self._tasks: dict[str, Task] = {}

    def check_new(self, task: Task) -> None:
        """:raises Conflict: the id is taken (TASK-2)"""
        if task.id in self._tasks:
            raise errors.Conflict(reason=f'There is a task {task.id} already.')

    def create(self, task: Task) -> Task:
        self.check_new(task)
        now = _now()
        self._tasks[task.id] = dataclasses.replace(copy.deepcopy(task), created_at=now, updated_at=now)
        return copy.deepcopy(self._tasks[task.id])

    def get(self, ctx: RequestContext, task_id: str) -> Task:
        task = self._tasks.get(task_id)
        if task is None or not _visible(ctx, task):
            raise errors.TaskNotFound(task_id=task_id)
        return copy.deepcopy(task)

    def list(self, ctx: RequestContext, query: TaskQuery) -> list[Task]:
        key, direction = query.sort
        tasks = sorted((task for task in self._tasks.values() if _visible(ctx, task)),
                       key=lambda task: _place(task, key), reverse=direction == 'desc')
        if query.marker is not None:
            places = [task.id for task in tasks]
            if query.marker not in places:
                raise errors.InvalidMarker(marker=query.marker)
            tasks = tasks[places.index(query.marker) + 1:]
        asked = {'status': query.status, 'type': query.type, 'image_id': query.image_id}
        found = [task for task in tasks
                 if all(wanted is None or getattr(task, field) == wanted for field, wanted in asked.items())]
        return copy.deepcopy(found[:query.limit])

    def check_update(self, task_id: str, from_status: str | None = None) -> None:
        """:raises TaskNotFound, StatusConflict: TASK-7 and TASK-8"""
        task = self._tasks.get(task_id)
        if task is None:
            raise errors.TaskNotFound(task_id=task_id)
        if task.finished or from_status not in (None, task.status):
            raise errors.StatusConflict(f'Task {task_id} is {task.status}.', task_id=task_id, status=task.status)

    def update(self, task_id: str, changes: TaskChanges, from_status: str | None = None) -> Task:
        self.check_update(task_id, from_status)
        task = self._tasks[task_id]
        now = max(_now(), task.updated_at + datetime.timedelta(microseconds=1))
        fields: dict[str, Any] = dict(copy.deepcopy(changes.attributes), updated_at=now)
        if changes.expires_in_seconds is not None:
            fields['expires_at'] = now + datetime.timedelta(seconds=changes.expires_in_seconds)
        if fields.get('status') in ENDED:
            fields['secret'] = None
        self._tasks[task_id] = dataclasses.replace(task, **fields)
        return copy.deepcopy(self._tasks[task_id])

    def update_if_unfinished(self, task_id: str | None, changes: TaskChanges) -> None:
        """As ``update``, but a task that is absent or finished stays as it is."""
        if task_id in self._tasks and not self._tasks[task_id].finished:
            self.update(task_id, changes)

    def orphaned(self, older_than_seconds: float, limit: int, held: Collection[str | None]) -> list[Task]:
        """:param held: ids of the tasks of which an Upload tells"""
        changed_last = _now() - datetime.timedelta(seconds=older_than_seconds)
        found = [task for task in self._tasks.values()
                 if not task.finished and task.updated_at <= changed_last and task.id not in held]
        return copy.deepcopy(sorted(found, key=lambda task: task.updated_at)[:limit])

    def expire(self, limit: int) -> int:
        now = _now()
        expired = [task.id for task in self._tasks.values() if task.expires_at is not None and task.expires_at <= now]
        for task_id in expired[:limit]:
            del self._tasks[task_id]
        return len(expired[:limit])


def _visible(ctx: RequestContext, task: Task) -> bool:
    return ctx.is_admin or (task.owner is not None and task.owner == ctx.project_id)


def _place(task: Task, key: str) -> tuple:
    """Where the task stands in ascending order: NULL before every value, ties by id (TASK-4)."""
    value = getattr(task, key)
    return value is not None, value if value is not None else '', task.id


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
