"""What one project holds: storage, reservations, counts."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from glancelike.db_drivers.sqlalchemy.engine import Database
from glancelike.db_drivers.sqlalchemy.tables import image_locations, image_uploads, images
from glancelike.plugin import Usage

_UPLOADING = ('saving', 'uploading', 'importing')
_HALF_BITS = 32


_STORED, _RESERVED, _COUNTS, _STAGED = 0, 1, 2, 3  # what a row of the statements below tells


class UsageMethods:
    """Part of the driver; see db_drivers/base.py for the clauses."""

    _database: Database

    def usage(self, owner: str) -> Usage:
        def work(connection: sa.Connection) -> Usage:
            found = _by_kind(connection.execute(_USAGE, {'owner': owner}))
            images, uploading = found[_COUNTS]
            return Usage(stored_bytes=_whole(*found[_STORED]), reserved_bytes=_whole(*found[_RESERVED]),
                         images=images, uploading=uploading, staged_bytes=_whole(*found[_STAGED]))
        return self._database.read(work)


def bytes_of(connection: sa.Connection, owner: str | None) -> int:
    """Bytes stored and reserved by a project (None: by images without an owner), in one statement."""
    found = _by_kind(connection.execute(_BYTES if owner is not None else _BYTES_OF_NOBODY, {'owner': owner}))
    return _whole(*found[_STORED]) + _whole(*found[_RESERVED])


def _by_kind(result: sa.Result) -> dict[int, tuple[int, int]]:
    return {kind: (int(first or 0), int(second or 0)) for kind, first, second in result}


def _whole(high: int, low: int) -> int:
    return (high << _HALF_BITS) + low


def _kind(number: int) -> sa.ColumnElement:
    return sa.literal_column(str(number), sa.Integer()).label('kind')


def _halves(column: sa.Column) -> tuple[sa.ColumnElement, sa.ColumnElement]:
    """Two sums that make the whole one: SQLite's SUM fails beyond 63 bits."""
    return (sa.func.sum(column.bitwise_rshift(sa.literal_column(str(_HALF_BITS), sa.Integer()))),
            sa.func.sum(column.bitwise_and(2**_HALF_BITS - 1)))


def _is_owner(column: sa.Column) -> sa.ColumnElement:
    return column == sa.bindparam('owner', type_=sa.String())


def _is_null(column: sa.Column) -> sa.ColumnElement:
    return column.is_(None)


def _sums(of_owner: Callable[[sa.Column], sa.ColumnElement]) -> list[sa.Select]:
    """One row of what is stored, one of what is reserved."""
    stored = (sa.select(_kind(_STORED), *_halves(images.c.size)).select_from(images)
              .join(image_locations, image_locations.c.image_id == images.c.id)
              .where(of_owner(images.c.owner), images.c.deleted == sa.false(), image_locations.c.status == 'active'))
    reserved = sa.select(_kind(_RESERVED), *_halves(image_uploads.c.reserved)).where(of_owner(image_uploads.c.owner))
    return [stored, reserved]


def _counts() -> sa.Select:
    """One row: how many images, and how many of them are being filled."""
    uploading = sa.func.sum(sa.case((images.c.status.in_(_UPLOADING), 1), else_=0))
    return (sa.select(_kind(_COUNTS), sa.func.count(), uploading).select_from(images)
            .where(_is_owner(images.c.owner), images.c.deleted == sa.false()))


def _staged() -> sa.Select:
    """One row of what waits for its import; an image counts once, however often it was staged."""
    staged = sa.select(image_locations.c.image_id).where(image_locations.c.status == 'staged')
    return sa.select(_kind(_STAGED), *_halves(images.c.size)).where(
        _is_owner(images.c.owner), images.c.deleted == sa.false(), images.c.id.in_(staged))


_BYTES = sa.union_all(*_sums(_is_owner))
_BYTES_OF_NOBODY = sa.union_all(*_sums(_is_null))
_USAGE = sa.union_all(*_sums(_is_owner), _counts(), _staged())
