"""Filters of a list as SQL conditions.

``split`` takes the values out of a filter, so that what is left, its *shape*, can be the key of a cached statement;
``condition`` builds the SQL of a shape, with parameters named after the filter's place in the query.
"""

from __future__ import annotations

import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from glancelike.db_drivers.sqlalchemy import values
from glancelike.db_drivers.sqlalchemy.tables import image_properties, image_tags, images
from glancelike.plugin import Filter, query

#: Values of a text index on PostgreSQL and MySQL are cut at this many characters: longer ones do not fit in.
INDEXED_CHARACTERS = 191

NOTHING = 'nothing'  # op of a shape that no image fulfils
LONG = 'long'        # op of an equality with a value that no index holds whole
SET = 'set'          # op of a shape that every value but NULL fulfils

_COMPARISONS = {query.GT: lambda column, value: column > value, query.GTE: lambda column, value: column >= value,
                query.LT: lambda column, value: column < value, query.LTE: lambda column, value: column <= value}


class Shape(NamedTuple):
    """A filter without its value."""

    kind: str
    field: str
    op: str


def split(wanted: Filter, place: int) -> tuple[Shape, dict[str, Any]]:
    """The filter's shape and its parameters; *place* is its index in the query.

    A value that no database could keep matches nothing, whatever it is compared with; it is no error.
    """
    if wanted.kind != query.ATTRIBUTE:
        long = wanted.kind == query.PROPERTY and len(wanted.value) >= INDEXED_CHARACTERS
        shape = Shape(wanted.kind, '', LONG if long else query.EQ)
        text = [wanted.value] if wanted.kind == query.TAG else [wanted.field, wanted.value]
        if not all(values.storable(one) for one in text):
            return shape._replace(op=NOTHING), {}
        return shape, {f'f{place}': wanted.value, f'f{place}_name': wanted.field,
                       f'f{place}_start': wanted.value[:INDEXED_CHARACTERS]}
    column = images.c[wanted.field]
    shape = Shape(wanted.kind, wanted.field, wanted.op)
    if wanted.op == query.IN:
        kept = [one for one in (_stored(column, value) for value in wanted.value) if one is not None]
        return (shape, {f'f{place}': kept}) if kept else (shape._replace(op=NOTHING), {})
    if wanted.op == query.OUTSIDE:
        low, high = (_stored(column, value) for value in wanted.value)
        return shape, {f'f{place}_low': low, f'f{place}_high': high}
    if wanted.op == query.CONTAINS:
        return _contains(shape, wanted.value, place)
    if wanted.op == query.PREFIX:
        return _prefix(shape, wanted.value, place)
    if isinstance(column.type, sa.Integer) and isinstance(wanted.value, int) and abs(wanted.value) > values.MAX_BIGINT:
        beyond = wanted.op in (query.LT, query.LTE) if wanted.value > 0 else wanted.op in (query.GT, query.GTE)
        return shape._replace(op=SET if beyond else NOTHING), {}
    value = _stored(column, wanted.value)
    return (shape._replace(op=NOTHING), {}) if value is None else (shape, {f'f{place}': value})


def _stored(column: sa.Column, value: Any) -> Any:
    """The value as the column has it, or None when the column can never have it."""
    if value is None:
        return None
    if isinstance(column.type, sa.String):
        return value if values.storable(value) else None
    if isinstance(column.type, sa.Boolean):
        return bool(value)
    if isinstance(value, datetime.datetime):
        return values.naive(value)
    return value if abs(value) <= values.MAX_BIGINT else None


def _contains(shape: Shape, value: str, place: int) -> tuple[Shape, dict[str, Any]]:
    if not values.storable(value):
        return shape._replace(op=NOTHING), {}
    pattern = value.casefold()
    for special in ('/', '%', '_'):
        pattern = pattern.replace(special, '/' + special)
    return shape, {f'f{place}': f'%{pattern}%'}


def _prefix(shape: Shape, value: str, place: int) -> tuple[Shape, dict[str, Any]]:
    """A range of text in code point order, which any index on the column can serve, and no LIKE."""
    if not values.storable(value):
        return shape._replace(op=NOTHING), {}
    if not value:
        return shape._replace(op=SET), {}
    beyond = _successor(value)
    if beyond is None:
        return shape._replace(op=query.GTE), {f'f{place}': value}
    return shape, {f'f{place}': value, f'f{place}_beyond': beyond}


def _successor(prefix: str) -> str | None:
    """The first text after everything that begins with *prefix*; None when there is none."""
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            return prefix[:-1] + chr(0xE000 if last == 0xD7FF else last + 1)  # surrogates are no characters
        prefix = prefix[:-1]
    return None


def condition(shape: Shape, place: int, image_id: sa.Column = images.c.id) -> sa.ColumnElement:
    """The condition on ``images`` (of the enclosing query) for a shape.

    :param image_id: where the enclosing query has the id first; a probe there spares the images that it refuses
    """
    if shape.op == NOTHING:
        return sa.false()
    if shape.kind == query.ATTRIBUTE:
        return _attribute(shape, place)
    return _probe(shape, place, image_id)


def _probe(shape: Shape, place: int, image_id: sa.Column) -> sa.ColumnElement:
    """Has the image at hand that property or tag?

    A scalar subquery, because no planner turns one into a join: where this is used, many images have the value, so
    that probing one image after the other in the order of the list comes to an end soon, and a join does not.
    """
    value = sa.bindparam(f'f{place}', type_=sa.String())
    if shape.kind == query.TAG:
        tags = image_tags.alias(f'tag{place}')
        tag = sa.select(tags.c.value).where(tags.c.image_id == image_id, tags.c.value == value)
        return tag.correlate(image_id.table).scalar_subquery().is_not(None)
    properties = image_properties.alias(f'property{place}')
    found = sa.select(properties.c.value).where(
        properties.c.image_id == image_id,
        properties.c.name == sa.bindparam(f'f{place}_name', type_=sa.String()))
    return found.correlate(image_id.table).scalar_subquery() == value


def holds(shape: Shape, place: int, database: str) -> list[sa.ColumnElement]:
    """Conditions on a row of image_tags or image_properties, for a look-up by an index on the value."""
    value = sa.bindparam(f'f{place}', type_=sa.String())
    if shape.kind == query.TAG:
        return [image_tags.c.value == value]
    table = image_properties
    wanted = [table.c.name == sa.bindparam(f'f{place}_name', type_=sa.String())]
    if database == 'postgresql':  # the index is on this expression; told of both, the planner expects next to no row
        start = sa.bindparam(f'f{place}_start', type_=sa.String())
        wanted.append(sa.func.left(table.c.value, sa.literal_column(str(INDEXED_CHARACTERS))) == start)
        if shape.op != LONG:
            return wanted
    return [*wanted, table.c.value == value]


def _attribute(shape: Shape, place: int) -> sa.ColumnElement:
    column = images.c[shape.field]
    value = sa.bindparam(f'f{place}', type_=column.type)
    if shape.op == SET:
        return column.is_not(None)
    if shape.op == query.EQ:
        return column == value
    if shape.op == query.IN:
        return column.in_(sa.bindparam(f'f{place}', expanding=True, type_=column.type))
    if shape.op == query.OUTSIDE:
        return sa.or_(column < sa.bindparam(f'f{place}_low', type_=column.type),
                      column >= sa.bindparam(f'f{place}_high', type_=column.type))
    if shape.op == query.PREFIX:
        return sa.and_(column >= value, column < sa.bindparam(f'f{place}_beyond', type_=column.type))
    if shape.op == query.CONTAINS:
        return images.c.name_folded.like(sa.bindparam(f'f{place}', type_=sa.Text()), escape='/')
    return _COMPARISONS[shape.op](column, value)
