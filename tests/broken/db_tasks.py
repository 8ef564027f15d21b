"""Database drivers with one fault each, in tasks."""

from __future__ import annotations

import dataclasses
import time

from glancelike.db_drivers.simple.driver import SimpleDriver
from glancelike.plugin import TaskChanges, errors
from tests.broken.db_images import TURN_SECONDS


class LosesRequestIdsDriver(SimpleDriver):
    """Has no column for the request that made the task."""

    def task_create(self, ctx, task):
        return super().task_create(ctx, dataclasses.replace(task, request_id=None))


class OverwritesTasksDriver(SimpleDriver):
    """Takes a second task of an id for a new version of the first."""

    def task_create(self, ctx, task):
        with self._lock:
            self._tasks._tasks.pop(task.id, None)
            return super().task_create(ctx, task)


class OwnerlessTasksForAllDriver(SimpleDriver):
    """Compares the owner of a task with the caller's project, and None with None."""

    def task_get(self, ctx, task_id):
        with self._lock:
            task = self._tasks._tasks.get(task_id)
            if task is not None and task.owner == ctx.project_id:
                return task
            return super().task_get(ctx, task_id)


class BreaksTiesUpwardsDriver(SimpleDriver):
    """Sorts by id where the key is the same, upwards always."""

    def task_list(self, ctx, query):
        found = super().task_list(ctx, dataclasses.replace(query, marker=None, limit=None))
        key, direction = query.sort
        if direction == 'desc' and key != 'id':
            found.sort(key=lambda task: task.id)
            found.sort(key=lambda task: (getattr(task, key) is not None, getattr(task, key) or ''), reverse=True)
        if query.marker is not None:
            super().task_list(ctx, query)
            found = found[[task.id for task in found].index(query.marker) + 1:]
        return found[:query.limit]


class TakesForeignMarkersDriver(SimpleDriver):
    """Begins a page after a task that the caller does not see, and so tells that it exists."""

    def task_list(self, ctx, query):
        with self._lock:
            marker = self._tasks._tasks.get(query.marker)
            if marker is not None and not ctx.is_admin and marker.owner != ctx.project_id:
                query = dataclasses.replace(query, marker=None)
            return super().task_list(ctx, query)


class KeepsTotalsDriver(SimpleDriver):
    """Takes None in a change for "leave it"."""

    def task_update(self, task_id, changes, *, from_status=None):
        given = {field: value for field, value in changes.attributes.items() if value is not None}
        return super().task_update(task_id, dataclasses.replace(changes, attributes=given), from_status=from_status)


class AbsentTasksConflictDriver(SimpleDriver):
    """Takes no changed row for a finished task."""

    def task_update(self, task_id, changes, *, from_status=None):
        try:
            return super().task_update(task_id, changes, from_status=from_status)
        except errors.TaskNotFound as error:
            raise errors.StatusConflict(f'Task {task_id} is finished.') from error


class RevivesTasksDriver(SimpleDriver):
    """Starts a task that has failed once more."""

    def task_update(self, task_id, changes, *, from_status=None):
        with self._lock:
            task = self._tasks._tasks.get(task_id)
            if task is not None and task.finished:
                self._tasks._tasks[task_id] = dataclasses.replace(task, status='pending')
            return super().task_update(task_id, changes, from_status=from_status and 'pending')


class TwoWorkersWinDriver(SimpleDriver):
    """Looks at the status first and changes it later."""

    def task_update(self, task_id, changes, *, from_status=None):
        if from_status is not None:
            with self._lock:
                self._tasks.check_update(task_id, from_status)
            time.sleep(TURN_SECONDS)
        return super().task_update(task_id, changes)


class KeepsTokensDriver(SimpleDriver):
    """Leaves the token of a task that ended in its row."""

    def task_update(self, task_id, changes, *, from_status=None):
        with self._lock:
            before = self._tasks._tasks.get(task_id)
            done = super().task_update(task_id, changes, from_status=from_status)
            if done.finished:
                self._tasks._tasks[task_id] = dataclasses.replace(done, secret=before.secret)
            return self._tasks._tasks[task_id]


class TakesRunningTasksForOrphansDriver(SimpleDriver):
    """Does not ask whether somebody works at the task."""

    def tasks_orphaned(self, older_than_seconds, limit=100):
        with self._lock:
            return self._tasks.orphaned(older_than_seconds, limit, ())


class ExpiresWithoutLimitDriver(SimpleDriver):
    """Removes all expired tasks in one long transaction."""

    def tasks_expire(self, limit=100):
        return super().tasks_expire(2**31)


class NeverExpiresDriver(SimpleDriver):
    """Lets a change set every field but when the task expires."""

    def task_update(self, task_id, changes, *, from_status=None):
        return super().task_update(task_id, TaskChanges(changes.attributes), from_status=from_status)
