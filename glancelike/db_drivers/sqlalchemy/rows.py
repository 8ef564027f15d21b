"""Reading and changing the rows of one image inside a transaction; every group of methods builds on this."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from glancelike.db_drivers.sqlalchemy import values
from glancelike.db_drivers.sqlalchemy.engine import Database
from glancelike.db_drivers.sqlalchemy.tables import (
    PUBLIC,
    SCOPE_CHARACTERS,
    image_locations,
    image_members,
    image_properties,
    image_tags,
    images,
)
from glancelike.plugin import Image, ImageChanges, Location, RequestContext, errors, visibility

IMAGE, PROPERTY, TAG, LOCATION = 0, values.PROPERTY, values.TAG, values.LOCATION
_WIDTH = len(values.IMAGE_COLUMNS)

#: The caller's membership in the image of the enclosing query.
_MEMBERSHIP = (sa.select(image_members.c.status)
               .where(image_members.c.image_id == images.c.id,
                      image_members.c.member == sa.bindparam('caller', type_=sa.String()),
                      image_members.c.deleted == sa.false())
               .correlate(images).scalar_subquery())

_NO_TEXT = sa.cast(sa.null(), sa.String(1))
_NO_POSITION = sa.cast(sa.null(), sa.Integer())


def _child_columns(table: sa.Table) -> list[sa.ColumnElement]:
    """(kind, image id, row id, name, value, meta_data, store, status, position) of one kind of child rows."""
    kinds = {image_properties: (PROPERTY, {'name', 'value'}), image_tags: (TAG, {'value'}),
             image_locations: (LOCATION, {'value', 'meta_data', 'store', 'status'})}
    kind, used = kinds[table]
    return [sa.literal_column(str(kind), sa.Integer()).label('kind'), table.c.image_id, table.c.id.label('row_id'),
            *((table.c[name] if name in used else sa.null()).label(name)
              for name in ('name', 'value', 'meta_data', 'store', 'status')),
            (table.c.position if table is image_locations else _NO_POSITION).label('position')]


def _child_selects(which: Any) -> list[sa.Select]:
    """One select for each kind; *which*: column of image ids -> condition."""
    return [sa.select(*_child_columns(image_properties)).where(which(image_properties.c.image_id)),
            sa.select(*_child_columns(image_tags)).where(which(image_tags.c.image_id)),
            sa.select(*_child_columns(image_locations)).where(which(image_locations.c.image_id),
                                                             image_locations.c.status == 'active')]


def _one(column: sa.Column) -> sa.ColumnElement:
    return column == sa.bindparam('image_id', type_=sa.String())


def _several(column: sa.Column) -> sa.ColumnElement:
    return column.in_(sa.bindparam('image_ids', expanding=True, type_=sa.String()))


CHILDREN_OF_ONE = sa.union_all(*_child_selects(_one))
CHILDREN_OF_SEVERAL = sa.union_all(*_child_selects(_several))

#: An image row and the caller's membership, locked until the transaction ends (SQLite: the whole database is).
LOCKED = (sa.select(*values.IMAGE_COLUMNS, _MEMBERSHIP.label('membership'))
          .where(images.c.id == sa.bindparam('image_id', type_=sa.String())).with_for_update(of=images))

#: The same without a lock, for the marker of a page.
UNLOCKED = (sa.select(*values.IMAGE_COLUMNS, _MEMBERSHIP.label('membership'))
            .where(images.c.id == sa.bindparam('image_id', type_=sa.String())))

#: Image, membership and child rows in one statement, so that a GET is one round trip and sees one state. The image's
#: row comes with kind 0 and the membership as ``status``; child rows have NULL for the image's columns.
WHOLE = sa.union_all(
    sa.select(sa.literal_column(str(IMAGE), sa.Integer()).label('kind'), images.c.id.label('image_id'),
              sa.cast(sa.null(), sa.BigInteger()).label('row_id'), _NO_TEXT.label('name'),
              sa.cast(sa.null(), sa.Text()).label('value'), _NO_TEXT.label('meta_data'), _NO_TEXT.label('store'),
              _MEMBERSHIP.label('status'), _NO_POSITION.label('position'),
              *values.IMAGE_COLUMNS).where(_one(images.c.id)),
    *(select.add_columns(*(sa.null().label(f'null_{i}') for i in range(_WIDTH))) for select in _child_selects(_one)))

_CHILD_WIDTH = 9  # the image's columns begin here
_STATUS = 7

# Statements are made once: making one takes 55 us of CPU, as much as running it.
_INSERT_PROPERTY, _INSERT_TAG, _INSERT_LOCATION = map(sa.insert, (image_properties, image_tags, image_locations))
_DELETE_PROPERTIES = sa.delete(image_properties).where(
    _one(image_properties.c.image_id), image_properties.c.name.in_(sa.bindparam('names', expanding=True)))
_DELETE_TAGS = sa.delete(image_tags).where(
    _one(image_tags.c.image_id), image_tags.c.value.in_(sa.bindparam('tags', expanding=True)))
_SET_PROPERTY = sa.update(image_properties).where(
    image_properties.c.image_id == sa.bindparam('of_image', type_=sa.String()),
    image_properties.c.name == sa.bindparam('which', type_=sa.String())).values(
    value=sa.bindparam('new_value'), updated_at=sa.bindparam('new_updated_at'))


_STAGED = sa.select(
    image_locations.c.id, image_locations.c.value, image_locations.c.meta_data, image_locations.c.store,
    image_locations.c.status).where(
    _one(image_locations.c.image_id), image_locations.c.status == 'staged').order_by(image_locations.c.id)
_GIVE_UP = sa.update(image_locations).where(
    image_locations.c.id.in_(sa.bindparam('row_ids', expanding=True))).values(
    status='pending_delete', deleted=True, deleted_at=sa.bindparam('moment', type_=image_locations.c.deleted_at.type))


def readable(ctx: RequestContext, row: Sequence[Any] | None, membership: str | None) -> bool:
    """Is it the row of an image that is not deleted and that the caller may read?"""
    if row is None:
        return False
    image = values.image(row)
    return not image.deleted and visibility.readable(ctx, image, membership)


def get(database: Database, ctx: RequestContext, image_id: str) -> Image:
    """One image.

    PostgreSQL plans WHOLE longer than it takes to run two plain statements, which therefore share a snapshot there.

    :raises ImageNotFound: absent, deleted, or not readable
    """
    check_id(image_id)
    parameters = {'image_id': image_id, 'caller': ctx.project_id}

    def in_two(connection: sa.Connection) -> tuple[Image | None, str | None]:
        row = connection.execute(UNLOCKED, parameters).first()
        if row is None:
            return None, None
        return values.Children(connection.execute(CHILDREN_OF_ONE, parameters)).image(row), row.membership

    if database.kind == 'postgresql':
        image, membership = database.read(in_two, snapshot=True)
    else:
        image, membership = whole(database.rows(WHOLE, parameters))
    if image is None or image.deleted or not visibility.readable(ctx, image, membership):
        raise errors.ImageNotFound(image_id=image_id)
    return image


def whole(found: Iterable[Sequence[Any]]) -> tuple[Image | None, str | None]:
    """The image, or None, and the caller's membership, from the rows of WHOLE."""
    row, children = None, []
    for one in found:
        if one[0] == IMAGE:
            row = one
        else:
            children.append(one[:_CHILD_WIDTH])
    if row is None:
        return None, None
    return values.Children(children).image(row[_CHILD_WIDTH:]), row[_STATUS]


def check_id(image_id: str) -> None:
    """:raises ImageNotFound: no database could hold such an id"""
    if not values.storable(image_id):
        raise errors.ImageNotFound(image_id=values.shown(image_id))


def lock(connection: sa.Connection, ctx: RequestContext | None, image_id: str, *, deleted: bool = False) -> Image:
    """The image with its children, its row locked.

    :param ctx: the caller, who must be able to read it; None asks nobody
    :param deleted: find deleted images too; they come without children
    :raises ImageNotFound: absent, deleted, or not readable
    """
    check_id(image_id)
    caller = ctx.project_id if ctx is not None else None
    parameters = {'image_id': image_id, 'caller': caller}
    if connection.dialect.name == 'sqlite':  # which has locked the whole database
        row, (image, membership) = None, whole(connection.execute(WHOLE, parameters))
    else:
        row = connection.execute(LOCKED, parameters).first()
        image, membership = (None, None) if row is None else (values.image(row), row.membership)
    if image is None:
        raise errors.ImageNotFound(image_id=image_id)
    if image.deleted:
        if deleted:
            return dataclasses.replace(image, properties={}, tags=frozenset(), locations=())
        raise errors.ImageNotFound(image_id=image_id)
    if ctx is not None and not visibility.readable(ctx, image, membership):
        raise errors.ImageNotFound(image_id=image_id)
    if row is None:
        return image
    return values.Children(connection.execute(CHILDREN_OF_ONE, {'image_id': image_id})).image(row)


def check_state(image: Image, from_status: str | None, if_version: int | None) -> None:
    """:raises StatusConflict, VersionConflict: the locked image is not what the caller starts from"""
    if from_status is not None and image.status != from_status:
        raise errors.StatusConflict(image_id=image.id, status=image.status, wanted=from_status)
    if if_version is not None and image.version != if_version:
        raise errors.VersionConflict(image_id=image.id)


def set_row(connection: sa.Connection, image: Image, stamp: datetime.datetime, changed: Mapping[str, Any]) -> None:
    """Write columns of a locked image row; version and updated_at move."""
    connection.execute(_update_of(tuple(sorted(changed))), {
        **{f'new_{name}': value for name, value in changed.items()},
        'new_version': image.version + 1, 'new_updated_at': stamp, 'image_id': image.id})


@functools.lru_cache(128)
def _update_of(names: tuple[str, ...]) -> sa.Update:
    columns = {name: sa.bindparam(f'new_{name}', type_=images.c[name].type)
               for name in (*names, 'version', 'updated_at')}
    return sa.update(images).where(_one(images.c.id)).values(columns)


def apply(connection: sa.Connection, image: Image, changes: ImageChanges,
          locations: Sequence[Location] = (), upload_id: str | None = None) -> Image:
    """Write *changes* and new locations to a locked image; return it as it is then.

    :raises Invalid: a value that the databases could not keep
    """
    row = values.attribute_row(changes.attributes)
    stamp = values.after(image.updated_at)
    set_row(connection, image, stamp, row)
    after = dataclasses.replace(image, **changes.attributes)
    at = place(after)
    if at != place(image):
        move(connection, image.id, at['scope'])
    properties = _write_properties(connection, image, changes, stamp, at)
    tags = image.tags if changes.tags is None else frozenset(changes.tags)
    write_tags(connection, image.id, image.tags, tags, stamp, at)
    added = add_locations(connection, image.id, locations, stamp, upload_id)
    return dataclasses.replace(after, version=image.version + 1,
                               updated_at=values.aware(stamp), properties=properties, tags=tags,
                               locations=image.locations + added)


def place(image: Image) -> dict[str, Any]:
    """What rows of properties and tags repeat of their image that is not deleted; see tables.py."""
    scope = PUBLIC if image.visibility == 'public' else (image.owner or '')[:SCOPE_CHARACTERS]
    return {'scope': scope, 'image_created_at': values.naive(image.created_at)}


def move(connection: sa.Connection, image_id: str, scope: str | None) -> None:
    """Write the scope of the rows of an image."""
    for table in (image_properties, image_tags):
        connection.execute(sa.update(table).where(table.c.image_id == image_id).values(scope=scope))


def _write_properties(connection: sa.Connection, image: Image, changes: ImageChanges,
                      stamp: datetime.datetime, at: Mapping[str, Any]) -> dict[str, str]:
    before = image.properties
    wanted = {name: value for name, value in changes.set_properties.items() if name not in changes.remove_properties}
    gone = [name for name in changes.remove_properties if name in before]
    new = {name: value for name, value in wanted.items() if name not in before}
    other = {name: value for name, value in wanted.items() if name in before and before[name] != value}
    for name, value in other.items():
        values.check_property(name, value)
    if gone:
        connection.execute(_DELETE_PROPERTIES, {'image_id': image.id, 'names': gone})
    if other:
        connection.execute(_SET_PROPERTY, [
            {'of_image': image.id, 'which': name, 'new_value': value, 'new_updated_at': stamp}
            for name, value in other.items()])
    insert_properties(connection, image.id, new, stamp, at)
    kept = {name: value for name, value in before.items() if name not in gone}
    return kept | wanted


def insert_properties(connection: sa.Connection, image_id: str, properties: Mapping[str, str],
                      stamp: datetime.datetime, at: Mapping[str, Any]) -> None:
    """Store properties that the image does not have; *at* is its ``place``."""
    for name, value in properties.items():
        values.check_property(name, value)
    if properties:
        connection.execute(_INSERT_PROPERTY, [
            {'image_id': image_id, 'name': name, 'value': value, **values.born(stamp), **at}
            for name, value in sorted(properties.items())])


def write_tags(connection: sa.Connection, image_id: str, before: Iterable[str], wanted: Iterable[str],
               stamp: datetime.datetime, at: Mapping[str, Any]) -> None:
    """Make *wanted* the tags of a locked image; *at* is its ``place``."""
    before, wanted = frozenset(before), frozenset(wanted)
    gone, new = before - wanted, wanted - before
    for tag in new:
        values.check_text('A tag', tag, max_characters=255)
    if gone:
        connection.execute(_DELETE_TAGS, {'image_id': image_id, 'tags': sorted(gone)})
    if new:
        connection.execute(_INSERT_TAG, [{'image_id': image_id, 'value': tag, **values.born(stamp), **at}
                                         for tag in sorted(new)])


def add_locations(connection: sa.Connection, image_id: str, locations: Sequence[Location],
                  stamp: datetime.datetime, upload_id: str | None = None) -> tuple[Location, ...]:
    """Store locations; return them with their row ids, those that are active."""
    added = [add_location(connection, image_id, given, stamp, upload_id) for given in locations]
    return tuple(one for one in added if one.status == 'active')


def add_location(connection: sa.Connection, image_id: str, given: Location, stamp: datetime.datetime,
                 upload_id: str | None = None, position: int | None = None) -> Location:
    """Store a location; return it with its row id."""
    row = values.location_row(image_id, given, stamp, upload_id, position)
    return dataclasses.replace(given, id=connection.execute(_INSERT_LOCATION, row).inserted_primary_key[0])


def staged(connection: sa.Connection, image_id: str) -> list[Location]:
    """The staged locations of an image, the newest last."""
    return [values.location(*row) for row in connection.execute(_STAGED, {'image_id': image_id})]


def give_up(connection: sa.Connection, locations: Sequence[Location], moment: datetime.datetime) -> None:
    """Make locations of a locked image pending_delete though the image lives.

    By their ids: on MySQL, an UPDATE that looks for rows by another index keeps others from adding some beside them.

    :param moment: that of the write, by which they are told from those that are deleted with the image (tables.py)
    """
    if locations:
        connection.execute(_GIVE_UP, {'row_ids': [one.id for one in locations], 'moment': values.naive(moment)})


def written(connection: sa.Connection, image: Image) -> bool:
    """Did the transaction that was to leave *image* in this state arrive? (``Database.write``, settled)

    updated_at grows with every write, so version and updated_at together name one write. Waits for a server
    that is still busy with the commit: it holds the row's lock.

    :raises DatabaseUnavailable: the image was changed once more since; nobody can tell
    """
    row = connection.execute(LOCKED, {'image_id': image.id, 'caller': None}).first()
    if row is None or row.version < image.version:
        return False
    if row.version == image.version and values.aware(row.updated_at) == image.updated_at:
        return True
    raise errors.DatabaseUnavailable()
