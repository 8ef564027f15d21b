"""Tasks. They stand by themselves: an image of which a task tells may be gone, and a task may be removed before it.

Whoever locks a task's row together with others locks it last.
"""

from __future__ import annotations

import datetime

import sqlalchemy as sa
from oslo_db import exception as db_exception

from glancelike.db_drivers.sqlalchemy import values
from glancelike.db_drivers.sqlalchemy.engine import Database
from glancelike.db_drivers.sqlalchemy.tables import image_uploads, tasks
from glancelike.plugin import RequestContext, Task, TaskChanges, TaskQuery, errors

_UNFINISHED = ('pending', 'processing')
_FIELDS = ('id', 'type', 'status', 'owner', 'user_id', 'request_id', 'image_id', 'input', 'result', 'message', 'caller',
           'secret', 'step', 'bytes_done', 'bytes_total', 'rate', 'cancelled', 'attempts')

_BY_ID = sa.select(tasks).where(tasks.c.id == sa.bindparam('task_id', type_=sa.String()))
_LOCKED = _BY_ID.with_for_update()


class TaskMethods:
    """Part of the driver; see db_drivers/base.py for the clauses."""

    _database: Database

    def task_create(self, ctx: RequestContext, task: Task) -> Task:
        def settled(connection: sa.Connection, created: Task) -> bool:
            row = connection.execute(_LOCKED, {'task_id': task.id}).first()
            return row is not None and values.aware(row.created_at) == created.created_at
        return self._database.write(lambda connection: insert(connection, task), settled)

    def task_get(self, ctx: RequestContext, task_id: str) -> Task:
        task = self._database.read(lambda connection: _visible(connection, ctx, task_id))
        if task is None:
            raise errors.TaskNotFound(task_id=values.shown(task_id))
        return task

    def task_list(self, ctx: RequestContext, query: TaskQuery) -> list[Task]:
        asked = {'status': query.status, 'type': query.type, 'image_id': query.image_id}
        wanted = [tasks.c[field] == value for field, value in asked.items() if value is not None]
        possible = all(value is None or values.storable(value) for value in asked.values())
        if not ctx.is_admin:
            wanted.append(tasks.c.owner == ctx.project_id)

        def work(connection: sa.Connection) -> list[Task]:
            after = []
            if query.marker is not None:
                marker = _visible(connection, ctx, query.marker)
                if marker is None:
                    raise errors.InvalidMarker(marker=values.shown(query.marker))
                after = [_after(query.sort, marker)]
            if not possible or query.limit == 0 or not ctx.is_admin and ctx.project_id is None:
                return []
            page = sa.select(tasks).where(*wanted, *after).order_by(*_order(connection, query.sort)).limit(query.limit)
            return [values.task(row) for row in connection.execute(page).mappings()]
        return self._database.read(work, snapshot=query.marker is not None)

    def task_update(self, task_id: str, changes: TaskChanges, *, from_status: str | None = None) -> Task:
        def settled(connection: sa.Connection, changed: Task) -> bool:
            row = connection.execute(_LOCKED, {'task_id': task_id}).first()
            if row is not None and values.aware(row.updated_at) <= changed.updated_at:
                return values.aware(row.updated_at) == changed.updated_at
            raise errors.DatabaseUnavailable()  # changed once more since, or removed; nobody can tell
        return self._database.write(lambda connection: update(connection, task_id, changes, from_status), settled)

    def tasks_orphaned(self, older_than_seconds: float, limit: int = 100) -> list[Task]:
        orphaned = sa.select(tasks).where(
            tasks.c.status.in_(_UNFINISHED), tasks.c.updated_at <= values.ago(older_than_seconds),
            ~sa.exists().where(image_uploads.c.task_id == tasks.c.id).correlate(tasks),
        ).order_by(tasks.c.updated_at, tasks.c.id).limit(limit)
        return self._database.read(
            lambda connection: [values.task(row) for row in connection.execute(orphaned).mappings()])

    def tasks_expire(self, limit: int = 100) -> int:
        expired = tasks.c.expires_at <= values.now()

        def work(connection: sa.Connection) -> int:
            ids = connection.execute(sa.select(tasks.c.id).where(expired).order_by(
                tasks.c.expires_at, tasks.c.id).limit(limit)).scalars().all()
            if not ids:
                return 0
            return connection.execute(sa.delete(tasks).where(tasks.c.id.in_(ids), expired)).rowcount
        return self._database.write(work)  # a second run finds less to remove


def insert(connection: sa.Connection, task: Task) -> Task:
    """Store a new task; return it as stored.

    :raises Conflict: the id is taken
    :raises Invalid: a value that the databases could not keep
    """
    stamp = values.now()
    row = values.task_row({field: getattr(task, field) for field in _FIELDS})
    row.update(created_at=stamp, updated_at=stamp,
               expires_at=None if task.expires_at is None else values.naive(task.expires_at))
    try:
        connection.execute(sa.insert(tasks), row)
    except db_exception.DBDuplicateEntry as error:
        raise errors.Conflict(reason=f'There is a task {task.id} already.') from error
    return values.task(row)


def update(connection: sa.Connection, task_id: str, changes: TaskChanges, from_status: str | None = None) -> Task:
    """Apply the changes to the task, and return it as it is then.

    :raises TaskNotFound: absent
    :raises StatusConflict: it is finished, or its status is not *from_status*; nothing changed
    :raises Invalid: a value that the databases could not keep
    """
    found = connection.execute(_LOCKED, {'task_id': task_id}).first() if values.storable(task_id) else None
    if found is None:
        raise errors.TaskNotFound(task_id=values.shown(task_id))
    if found.status not in _UNFINISHED or from_status not in (None, found.status):
        raise errors.StatusConflict(f'Task {task_id} is {found.status}.', task_id=task_id, status=found.status)
    stamp = values.after(values.aware(found.updated_at))
    row = values.task_row(changes.attributes) | {'updated_at': stamp}
    if changes.expires_in_seconds is not None:
        row['expires_at'] = stamp + datetime.timedelta(seconds=changes.expires_in_seconds)
    if row.get('status', found.status) not in _UNFINISHED:
        row['secret'] = None
    connection.execute(sa.update(tasks).where(tasks.c.id == task_id).values(row))
    return values.task({**found._mapping, **row})


def update_if_unfinished(connection: sa.Connection, task_id: str | None, changes: TaskChanges) -> None:
    """As ``update``, but a task that is absent or finished stays as it is."""
    found = connection.execute(_LOCKED, {'task_id': task_id}).first()
    if found is not None and found.status in _UNFINISHED:
        update(connection, task_id, changes)


def _visible(connection: sa.Connection, ctx: RequestContext, task_id: str) -> Task | None:
    """The task, or None when there is none that the caller may see."""
    row = connection.execute(_BY_ID, {'task_id': task_id}).first() if values.storable(task_id) else None
    if row is None or not (ctx.is_admin or row.owner is not None and row.owner == ctx.project_id):
        return None
    return values.task(row._mapping)


def _after(sort: tuple[str, str], marker: Task) -> sa.ColumnElement:
    """The tasks after the marker; the first condition on the key alone is what an index can use."""
    key, direction = sort
    column, value, asc = tasks.c[key], getattr(marker, key), direction == 'asc'
    later_id = tasks.c.id > marker.id if asc else tasks.c.id < marker.id
    if key == 'id':
        return later_id
    if value is None:
        return sa.or_(column.is_not(None), later_id) if asc else sa.and_(column.is_(None), later_id)
    if isinstance(value, datetime.datetime):
        value = values.naive(value)
    if asc:
        return sa.and_(column >= value, sa.or_(column > value, later_id))
    stretch = sa.and_(column <= value, sa.or_(column < value, later_id))
    return sa.or_(stretch, column.is_(None)) if column.nullable else stretch


def _order(connection: sa.Connection, sort: tuple[str, str]) -> list[sa.ColumnElement]:
    """ORDER BY with NULL as the smallest value, which is what SQLite and MySQL do by themselves."""
    key, direction = sort
    order = []
    for column in dict.fromkeys((tasks.c[key], tasks.c.id)):
        one = column.asc() if direction == 'asc' else column.desc()
        if column.nullable and connection.dialect.name == 'postgresql':
            one = one.nulls_first() if direction == 'asc' else one.nulls_last()
        order.append(one)
    return order
