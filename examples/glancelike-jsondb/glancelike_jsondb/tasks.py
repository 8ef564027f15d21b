"""Between tasks and their rows in the JSON document; who sees a task, and what a change does to it."""

from __future__ import annotations

import copy
import dataclasses
import datetime
from typing import Any

from glancelike.plugin import RequestContext, Task, TaskChanges, TaskQuery, errors
from glancelike_jsondb import rows

UNFINISHED = ('pending', 'processing')


def new_row(task: Task) -> dict[str, Any]:
    now = rows.now()
    expires_at = task.expires_at and rows.text(task.expires_at)
    return dataclasses.asdict(task) | {'created_at': now, 'updated_at': now, 'expires_at': expires_at}


def task(row: dict) -> Task:
    return Task(**rows.times(copy.deepcopy(row)))


def visible(ctx: RequestContext, row: dict) -> bool:
    return ctx.is_admin or (row['owner'] is not None and row['owner'] == ctx.project_id)


def check_change(row: dict | None, task_id: str, from_status: str | None = None) -> None:
    """:raises TaskNotFound, StatusConflict: TASK-7 and TASK-8"""
    if row is None:
        raise errors.TaskNotFound(task_id=task_id)
    if row['status'] not in UNFINISHED or from_status not in (None, row['status']):
        raise errors.StatusConflict(f'Task {task_id} is {row["status"]}.')


def change(row: dict, changes: TaskChanges) -> None:
    row |= changes.attributes | {'updated_at': rows.later_than(row['updated_at'])}
    if changes.expires_in_seconds is not None:
        row['expires_at'] = rows.text(
            datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=changes.expires_in_seconds))
    if row['status'] not in UNFINISHED:
        row['secret'] = None


def page(ctx: RequestContext, every: list[dict], query: TaskQuery) -> list[Task]:
    """The tasks that the caller sees and asks for, in order and after the marker."""
    key, direction = query.sort
    seen = sorted((row for row in every if visible(ctx, row)),
                  key=lambda row: (row[key] is not None, row[key] or '', row['id']), reverse=direction == 'desc')
    if query.marker is not None:
        ids = [row['id'] for row in seen]
        if query.marker not in ids:
            raise errors.InvalidMarker(marker=query.marker)
        seen = seen[ids.index(query.marker) + 1:]
    asked = {'status': query.status, 'type': query.type, 'image_id': query.image_id}
    return [task(row) for row in seen
            if all(value in (None, row[field]) for field, value in asked.items())][:query.limit]
