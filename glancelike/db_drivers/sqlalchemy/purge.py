"""Removing for good what was deleted long ago."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from glancelike.db_drivers.sqlalchemy import values
from glancelike.db_drivers.sqlalchemy.engine import Database
from glancelike.db_drivers.sqlalchemy.tables import CHILDREN, image_locations, image_uploads
from glancelike.db_drivers.sqlalchemy.tables import images as image_rows

_SECONDS_OF_A_DAY = 86400
_AT_ONCE = 500
_WAITING = ('pending_delete', 'staged')  # of locations: their bytes are still to be deleted


class PurgeMethods:
    """Part of the driver; see db_drivers/base.py for the clauses."""

    _database: Database

    def purge(self, older_than_days: int, max_rows: int | None, *, images: bool = False) -> Mapping[str, int]:
        cutoff = values.ago(older_than_days * _SECONDS_OF_A_DAY)

        def work(connection: sa.Connection) -> dict[str, int]:
            counts: dict[str, int] = {}
            left = max_rows
            for table in CHILDREN:
                counts[table.name] = _delete(connection, table.c.id, _old_children(table, cutoff), left)
                left = None if left is None else left - counts[table.name]
            if images:
                counts[image_rows.name] = _delete(connection, image_rows.c.id, _old_images(cutoff), left)
            return counts
        return self._database.write(work)  # a second run finds less to remove


def _old_children(table: sa.Table, cutoff: Any) -> list[sa.ColumnElement]:
    return [table.c.deleted == sa.true(), table.c.deleted_at <= cutoff,
            table.c.image_id.not_in(sa.select(image_uploads.c.image_id)),
            ~_location_waits(table.c.image_id)]


def _old_images(cutoff: Any) -> list[sa.ColumnElement]:
    """Images without rows that need them, the rows that ``_old_children`` left included."""
    return [image_rows.c.deleted == sa.true(), image_rows.c.deleted_at <= cutoff,
            image_rows.c.id.not_in(sa.select(image_uploads.c.image_id)),
            *(~sa.exists().where(table.c.image_id == image_rows.c.id).correlate(image_rows) for table in CHILDREN)]


def _location_waits(image_id: sa.Column) -> sa.ColumnElement:
    """Does the image have a location whose bytes are still to be deleted?"""
    waiting = image_locations.alias('waiting')
    return sa.exists().where(waiting.c.image_id == image_id, waiting.c.status.in_(_WAITING)).correlate(
        image_id.table)


def _delete(connection: sa.Connection, key: sa.Column, conditions: list[sa.ColumnElement],
            at_most: int | None) -> int:
    """Delete rows, in pieces that a statement can name; return how many went.

    What somebody restored since it was looked for stays.
    """
    wanted = sa.select(key).where(*conditions).order_by(key)
    if at_most is not None:
        wanted = wanted.limit(max(at_most, 0))
    keys = connection.execute(wanted).scalars().all()
    return sum(connection.execute(sa.delete(key.table).where(
        key.in_(keys[start:start + _AT_ONCE]), key.table.c.deleted == sa.true())).rowcount
        for start in range(0, len(keys), _AT_ONCE))
