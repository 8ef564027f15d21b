"""Uploads in flight: leases with heartbeats, and reservations of storage.

Locks are always taken in the order upload, image, project, task. Heartbeats are set and compared by the database's
clock, so that nodes whose clocks differ do not take each other's uploads over; SQLite has no clock but this machine's,
and shows only milliseconds of it, so there it is read here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import sqlalchemy as sa
from oslo_db import exception as db_exception

from glancelike.db_drivers.sqlalchemy import rows, tasks, usage, values
from glancelike.db_drivers.sqlalchemy.engine import Database
from glancelike.db_drivers.sqlalchemy.tables import image_locations, image_uploads, moment, project_locks
from glancelike.plugin import Image, ImageChanges, Location, RequestContext, Task, TaskChanges, Upload, errors

_CLEARED = {'size': None, 'virtual_size': None, 'checksum': None, 'os_hash_algo': None, 'os_hash_value': None}
_NO_CHANGES = ImageChanges()

_CLOCKS = {'postgresql': "timezone('utc', statement_timestamp())", 'mysql': 'UTC_TIMESTAMP(6)'}


_BY_ID = sa.select(image_uploads).where(image_uploads.c.id == sa.bindparam('upload_id', type_=sa.String()))
_LOCKED = _BY_ID.with_for_update()
_NOT_OURS = 'The upload is not held by this process any more, or was finished.'


class UploadMethods:
    """Part of the driver; see db_drivers/base.py for the clauses."""

    _database: Database

    def upload_begin(self, ctx: RequestContext, upload: Upload, *, from_status: str = 'queued',
                     to_status: str = 'saving', changes: ImageChanges = _NO_CHANGES, task: Task | None = None) -> Image:
        lease = {'id': upload.id, 'image_id': upload.image_id, 'image_status': to_status, 'node': upload.node,
                 'store': upload.store, 'owner': upload.owner, 'url': upload.url, 'reserved': upload.reserved,
                 'task_id': upload.task_id}
        for field in ('id', 'node', 'store', 'owner', 'task_id'):
            if lease[field] is not None:
                values.check_text(f'Upload {field}', lease[field], max_characters=36 if field.endswith('id') else 255)
        changes = dataclasses.replace(changes, attributes={**changes.attributes, 'status': to_status})

        def work(connection: sa.Connection) -> Image:
            image = rows.lock(connection, ctx, upload.image_id)
            if image.status != from_status or of_image(connection, upload.image_id) is not None:
                raise errors.StatusConflict(image_id=image.id, status=image.status, wanted=from_status)
            try:
                now = _clock(connection)
                connection.execute(sa.insert(image_uploads).values(**lease, started_at=now, heartbeat_at=now))
            except db_exception.DBDuplicateEntry as error:
                raise errors.StatusConflict(image_id=image.id, status=image.status, wanted=from_status) from error
            begun = rows.apply(connection, image, changes)
            if task is not None:
                tasks.insert(connection, task)
            return begun

        return self._database.write(work, rows.written)

    def upload_heartbeat(self, upload_id: str) -> bool:
        def work(connection: sa.Connection) -> bool:
            return connection.execute(sa.update(image_uploads).where(image_uploads.c.id == upload_id)
                                      .values(heartbeat_at=_clock(connection))).rowcount == 1
        return self._database.write(work)

    def upload_reserve(self, upload_id: str, reserved: int, limit: int | None) -> None:
        if not 0 <= reserved <= values.MAX_BIGINT:
            raise errors.Invalid(reason=f'{reserved} bytes cannot be reserved.')

        def work(connection: sa.Connection) -> None:
            lease = _lock(connection, upload_id)
            if lease is None:
                raise errors.StatusConflict(_NOT_OURS, upload_id=upload_id)
            if limit is not None:
                _lock_project(connection, lease.owner)
                wanted = usage.bytes_of(connection, lease.owner) - lease.reserved + reserved
                if wanted > limit:
                    raise errors.QuotaExceeded(resource='storage', limit=limit, wanted=wanted)
            connection.execute(sa.update(image_uploads).where(image_uploads.c.id == upload_id)
                               .values(reserved=reserved, heartbeat_at=_clock(connection)))
        self._database.write(work)  # done again, it has the same effect

    def upload_finish(self, ctx: RequestContext, upload_id: str, changes: ImageChanges,
                      locations: Sequence[Location], *, from_status: str = 'saving',
                      task: TaskChanges | None = None, ends: bool = True) -> Image:
        def work(connection: sa.Connection) -> Image:
            lease = _lock(connection, upload_id)
            if lease is None:
                return _finished(connection, upload_id, locations)
            image = rows.lock(connection, None, lease.image_id, deleted=True)
            if image.deleted:
                raise errors.ImageGone(image_id=image.id)
            if not ends and _has_brought(connection, lease.image_id, upload_id, locations):
                return image
            rows.check_state(image, from_status, None)
            staged = rows.staged(connection, image.id) if ends and lease.task_id else []
            finished = rows.apply(connection, image, changes, locations, upload_id)
            rows.give_up(connection, staged, finished.updated_at)
            if ends:
                connection.execute(sa.delete(image_uploads).where(image_uploads.c.id == upload_id))
            else:
                connection.execute(sa.update(image_uploads).where(image_uploads.c.id == upload_id)
                                   .values(reserved=0, heartbeat_at=_clock(connection)))
            if task is not None:
                tasks.update(connection, lease.task_id, task)
            return finished

        # With locations, which carry the upload's id, doing it again finds out by itself whether it was done.
        return self._database.write(work, None if locations else rows.written)

    def upload_abort(self, upload_id: str, *, to_status: str = 'queued', changes: ImageChanges = _NO_CHANGES,
                     task: TaskChanges | None = None) -> bool:
        cleared = _CLEARED if to_status == 'queued' else {}

        def work(connection: sa.Connection) -> bool:
            lease = _lock(connection, upload_id)
            if lease is None:
                return False
            image = rows.lock(connection, None, lease.image_id, deleted=True)
            staged = rows.staged(connection, image.id) if lease.task_id else []
            moment = values.aware(values.after(image.updated_at))
            back = {'status': to_status, **cleared} if image.status == lease.image_status else {}
            if not image.deleted and (back or changes or staged):
                wanted = dataclasses.replace(changes, attributes={**back, **changes.attributes})
                moment = rows.apply(connection, image, wanted).updated_at
            rows.give_up(connection, staged, moment)
            connection.execute(sa.delete(image_uploads).where(image_uploads.c.id == upload_id))
            if task is not None and lease.task_id is not None:
                tasks.update_if_unfinished(connection, lease.task_id, task)
            return True

        def settled(connection: sa.Connection, ended: bool) -> bool:
            return ended and _lock(connection, upload_id) is None

        return self._database.write(work, settled)

    def uploads_expired(self, silent_seconds: float, limit: int = 100) -> list[Upload]:
        def work(connection: sa.Connection) -> list[sa.Row]:
            now = _clock(connection).label('now')
            return connection.execute(sa.select(image_uploads, now).order_by(
                image_uploads.c.heartbeat_at, image_uploads.c.id).limit(limit)).all()
        return [values.upload(row) for row in self._database.read(work)
                if (row.now - row.heartbeat_at).total_seconds() >= silent_seconds]

    def upload_take_over(self, upload: Upload, new_id: str, node: str) -> bool:
        seen = values.naive(upload.heartbeat_at)

        def work(connection: sa.Connection) -> bool:
            return connection.execute(
                sa.update(image_uploads).where(image_uploads.c.id == upload.id, image_uploads.c.heartbeat_at == seen)
                .values(id=new_id, node=node, heartbeat_at=_clock(connection))).rowcount == 1

        def settled(connection: sa.Connection, taken: bool) -> bool:
            return taken and _lock(connection, new_id) is not None

        return self._database.write(work, settled)

    def upload_of_image(self, image_id: str) -> Upload | None:
        if not values.storable(image_id):
            return None
        row = self._database.read(lambda connection: of_image(connection, image_id))
        return None if row is None else values.upload(row)


def _clock(connection: sa.Connection) -> sa.ColumnElement:
    """The time by the database's clock, the same throughout a statement."""
    text = _CLOCKS.get('mysql' if connection.dialect.name == 'mariadb' else connection.dialect.name)
    return sa.literal(values.now(), moment()) if text is None else sa.literal_column(text, moment())


def _lock(connection: sa.Connection, upload_id: str) -> sa.Row | None:
    """The upload's row, locked; None when there is none."""
    return connection.execute(_LOCKED, {'upload_id': upload_id}).first()


def of_image(connection: sa.Connection, image_id: str) -> sa.Row | None:
    """The unsettled upload of an image; not locked."""
    return connection.execute(sa.select(image_uploads).where(image_uploads.c.image_id == image_id)).first()


def _lock_project(connection: sa.Connection, owner: str | None) -> None:
    """Let no other transaction add up this project's storage until ours has ended."""
    key = owner or ''
    wanted = sa.select(project_locks.c.owner).where(project_locks.c.owner == key).with_for_update()
    if connection.execute(wanted).first() is not None:
        return
    if connection.dialect.name in ('postgresql', 'sqlite'):
        # As text: the insert of SQLAlchemy that can say this needs all of the dialect, 35 ms.
        connection.execute(sa.text('INSERT INTO project_locks (owner) VALUES (:owner) ON CONFLICT DO NOTHING'),
                           {'owner': key})
    else:
        connection.execute(sa.insert(project_locks).prefix_with('IGNORE').values(owner=key))
    connection.execute(wanted)


def _finished(connection: sa.Connection, upload_id: str, locations: Sequence[Location]) -> Image:
    """The image that this upload has filled already: the answer to the commit, or to the caller, was lost.

    :raises StatusConflict: the upload never finished; its lease was settled or taken over by somebody else
    :raises ImageGone: it did, and the image was deleted since
    """
    image_id = connection.execute(sa.select(image_locations.c.image_id).where(
        image_locations.c.upload_id == upload_id)).scalar()
    if image_id is None or not _has_brought(connection, image_id, upload_id, locations):
        raise errors.StatusConflict(_NOT_OURS, upload_id=upload_id)
    image = rows.lock(connection, None, image_id, deleted=True)
    if image.deleted:
        raise errors.ImageGone(image_id=image_id)
    return image


def _has_brought(connection: sa.Connection, image_id: str, upload_id: str, locations: Sequence[Location]) -> bool:
    """Has this upload added these locations already? An upload may add several, one after the other."""
    known = connection.execute(sa.select(image_locations.c.value).where(
        image_locations.c.image_id == image_id, image_locations.c.upload_id == upload_id)).scalars().all()
    return bool(locations) and {one.url for one in locations} <= set(known)
