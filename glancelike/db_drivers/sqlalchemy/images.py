"""Images and their tags: create, get, update, delete, restore."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exception

from glancelike.db_drivers.sqlalchemy import rows, values
from glancelike.db_drivers.sqlalchemy.engine import Database
from glancelike.db_drivers.sqlalchemy.tables import (
    CHILDREN,
    image_locations,
    image_properties,
    image_tags,
    images,
)
from glancelike.plugin import Image, ImageChanges, RequestContext, errors

_ROW_FIELDS = ('id', 'status', 'visibility', 'name', 'owner', 'protected', 'os_hidden', 'container_format',
               'disk_format', 'min_disk', 'min_ram', 'size', 'virtual_size', 'checksum', 'os_hash_algo',
               'os_hash_value', 'import_state')
_INSERT = sa.insert(images)


class ImageMethods:
    """Part of the driver; see db_drivers/base.py for the clauses."""

    _database: Database

    def image_create(self, ctx: RequestContext, image: Image) -> Image:
        stamp = values.now()
        row = values.attribute_row({field: getattr(image, field) for field in _ROW_FIELDS})
        row.update(values.born(stamp), version=1)

        def work(connection: sa.Connection) -> Image:
            try:
                connection.execute(_INSERT, row)
            except db_exception.DBDuplicateEntry as error:
                raise errors.ImageExists(image_id=image.id) from error
            moment = values.aware(stamp)
            created = dataclasses.replace(image, created_at=moment, updated_at=moment, deleted_at=None, deleted=False,
                                          version=1, properties=dict(image.properties), tags=frozenset(image.tags))
            at = rows.place(created)
            rows.insert_properties(connection, image.id, created.properties, stamp, at)
            rows.write_tags(connection, image.id, (), created.tags, stamp, at)
            locations = rows.add_locations(connection, image.id, image.locations, stamp)
            return dataclasses.replace(created, locations=locations) if image.locations else created

        def settled(connection: sa.Connection, created: Image) -> bool:
            found = connection.execute(rows.LOCKED, {'image_id': image.id, 'caller': None}).first()
            return found is not None and found.created_at == stamp

        return self._database.write(work, settled)

    def image_get(self, ctx: RequestContext, image_id: str) -> Image:
        return rows.get(self._database, ctx, image_id)

    def image_update(self, ctx: RequestContext, image_id: str, changes: ImageChanges, *,
                     from_status: str | None = None, if_version: int | None = None) -> Image:
        def work(connection: sa.Connection) -> Image:
            image = rows.lock(connection, ctx, image_id)
            rows.check_state(image, from_status, if_version)
            return rows.apply(connection, image, changes)
        return self._database.write(work, rows.written)

    def image_delete(self, ctx: RequestContext, image_id: str, *, from_status: str | None = None,
                     if_version: int | None = None, status: str = 'deleted') -> Image:
        def work(connection: sa.Connection) -> Image:
            image = rows.lock(connection, ctx, image_id)
            rows.check_state(image, from_status, if_version)
            if image.protected:
                raise errors.ProtectedImage(image_id=image_id)
            stamp = values.after(image.updated_at)
            rows.set_row(connection, image, stamp, {'deleted': True, 'deleted_at': stamp, 'status': status})
            staged = tuple(rows.staged(connection, image_id))
            held = {image_properties: image.properties, image_tags: image.tags,
                    image_locations: image.locations + staged}
            for table in CHILDREN:
                if held.get(table, True):  # members are not known
                    connection.execute(_DELETE_WITH[table], {'of_image': image_id, 'deleted_at': stamp})
            moment = values.aware(stamp)
            pending = tuple(dataclasses.replace(one, status='pending_delete') for one in image.locations)
            return dataclasses.replace(image, status=status, deleted=True, deleted_at=moment, updated_at=moment,
                                       version=image.version + 1, locations=pending + staged)
        return self._database.write(work, rows.written)

    def image_restore(self, ctx: RequestContext, image_id: str, status: str) -> Image:
        def work(connection: sa.Connection) -> Image:
            image = rows.lock(connection, None, image_id, deleted=True)
            if not image.deleted or _lost_data(connection, image):
                raise errors.ImageNotFound(image_id=image_id)
            stamp = values.after(image.updated_at)
            back, scope = {'deleted': False, 'deleted_at': None}, rows.place(image)['scope']
            rows.set_row(connection, image, stamp, {**back, 'status': status})
            for table in CHILDREN:
                change: dict[str, Any] = dict(back)
                if 'scope' in table.c:
                    change['scope'] = scope
                if table is image_locations:
                    change['status'] = _other_status('pending_delete', 'active')
                connection.execute(sa.update(table).where(*_deleted_with(table, image)).values(change))
            return rows.lock(connection, None, image_id)
        return self._database.write(work, rows.written)

    def tag_add(self, ctx: RequestContext, image_id: str, tag: str, *, at_most: int | None = None) -> None:
        values.check_text('A tag', tag, max_characters=255)

        def work(connection: sa.Connection) -> Image:
            image = rows.lock(connection, ctx, image_id)
            if tag in image.tags:
                return image
            if at_most is not None and len(image.tags) >= at_most:
                raise errors.QuotaExceeded(resource='tags', limit=at_most, wanted=len(image.tags) + 1)
            return rows.apply(connection, image, ImageChanges(tags=image.tags | {tag}))
        self._database.write(work)  # adding it again changes nothing

    def tag_remove(self, ctx: RequestContext, image_id: str, tag: str) -> None:
        def work(connection: sa.Connection) -> Image:
            image = rows.lock(connection, ctx, image_id)
            if tag not in image.tags:
                raise errors.TagNotFound(image_id=image_id, tag=values.shown(tag))
            return rows.apply(connection, image, ImageChanges(tags=image.tags - {tag}))
        self._database.write(work, rows.written)


def _delete_with(table: sa.Table) -> sa.Update:
    """Child rows are deleted together with their image. updated_at stays: a restored member is as before."""
    update = sa.update(table).where(table.c.image_id == sa.bindparam('of_image', type_=sa.String())).values(
        deleted=True, deleted_at=sa.bindparam('deleted_at'))
    if 'scope' in table.c:
        update = update.values(scope=None)
    if table is image_locations:
        return update.where(table.c.status.in_(('active', 'staged'))).values(
            status=_other_status('active', 'pending_delete'))
    return update


def _other_status(before: str, after: str) -> sa.ColumnElement:
    """The status of a location, changed where it is *before*."""
    return sa.case((image_locations.c.status == before, after), else_=image_locations.c.status)


_DELETE_WITH = {table: _delete_with(table) for table in CHILDREN}


def _deleted_with(table: sa.Table, image: Image) -> list[sa.ColumnElement]:
    """Child rows that were deleted together with the image."""
    return [table.c.image_id == image.id, table.c.deleted == sa.true(),
            table.c.deleted_at == _stored(image.deleted_at)]


def _stored(moment: datetime.datetime | None) -> datetime.datetime | None:
    return None if moment is None else values.naive(moment)


def _lost_data(connection: sa.Connection, image: Image) -> bool:
    """Is the data of one of the image's locations gone for good?"""
    gone = sa.select(sa.func.count()).select_from(image_locations).where(
        *_deleted_with(image_locations, image), image_locations.c.status == 'deleted')
    return connection.execute(gone).scalar_one() > 0
