"""Locations: their order, data that wait for their import, and what must still be removed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import sqlalchemy as sa

from glancelike.db_drivers.sqlalchemy import rows, uploads, values
from glancelike.db_drivers.sqlalchemy.engine import Database
from glancelike.db_drivers.sqlalchemy.tables import image_locations, images
from glancelike.plugin import Image, ImageChanges, Location, RequestContext, errors

_NO_CHANGES = ImageChanges()
_COLUMNS = (image_locations.c.id, image_locations.c.value, image_locations.c.meta_data, image_locations.c.store,
            image_locations.c.status)

_ARRANGE = sa.update(image_locations).where(image_locations.c.id == sa.bindparam('row_id')).values(
    meta_data=sa.bindparam('new_meta_data'), position=sa.bindparam('new_position'),
    updated_at=sa.bindparam('new_updated_at'))


def _pending(status: str, since: sa.Column, *wanted: sa.ColumnElement) -> sa.Select:
    """(since, image id, location) of rows whose bytes must go, oldest first."""
    return (sa.select(since.label('since'), image_locations.c.image_id, *_COLUMNS)
            .join(images, images.c.id == image_locations.c.image_id)
            .where(image_locations.c.status == status, since <= sa.bindparam('cutoff', type_=since.type), *wanted)
            .order_by(since, image_locations.c.id).limit(sa.bindparam('at_most', type_=sa.Integer())))


_GIVEN_UP_OR_DELETED = _pending('pending_delete', image_locations.c.deleted_at,
                                sa.or_(images.c.deleted == sa.false(), images.c.status == 'deleted'))
_LEFT_STAGED = _pending('staged', images.c.deleted_at, images.c.deleted == sa.true(), images.c.status == 'deleted')


class LocationMethods:
    """Part of the driver; see db_drivers/base.py for the clauses."""

    _database: Database

    def location_staged(self, image_id: str) -> Location | None:
        if not values.storable(image_id):
            return None
        newest = (sa.select(*_COLUMNS).join(images, images.c.id == image_locations.c.image_id)
                  .where(image_locations.c.image_id == image_id, image_locations.c.status == 'staged',
                         images.c.deleted == sa.false())
                  .order_by(image_locations.c.id.desc()).limit(1))
        row = self._database.read(lambda connection: connection.execute(newest).first())
        return None if row is None else values.location(*row)

    def locations_set(self, ctx: RequestContext, image_id: str, locations: Sequence[Location],
                      changes: ImageChanges = _NO_CHANGES, *, from_status: str | None = None,
                      if_version: int | None = None) -> Image:
        kept = {one.id for one in locations if one.id is not None}

        def work(connection: sa.Connection) -> Image:
            image = rows.lock(connection, ctx, image_id)
            rows.check_state(image, from_status, if_version)
            if uploads.of_image(connection, image_id) is not None:
                raise errors.StatusConflict(f'An upload of image {image_id} is not settled yet.')
            had = {one.id: one for one in image.locations}
            if not had.keys() >= kept or len(kept) < sum(one.id is not None for one in locations):
                raise errors.Invalid(reason=f'A location id is named twice, or is none of image {image_id}.')
            changed = rows.apply(connection, image, changes)
            rows.give_up(connection, [one for one in image.locations if one.id not in kept], changed.updated_at)
            return dataclasses.replace(changed, locations=_arrange(connection, changed, had, locations))
        return self._database.write(work, rows.written)

    def locations_pending_delete(self, older_than_seconds: float, limit: int = 100) -> list[tuple[str, Location]]:
        cutoff = values.ago(older_than_seconds)

        def work(connection: sa.Connection) -> list[sa.Row]:
            given = {'cutoff': cutoff, 'at_most': limit}
            return [*connection.execute(_GIVEN_UP_OR_DELETED, given), *connection.execute(_LEFT_STAGED, given)]
        found = sorted(self._database.read(work), key=lambda row: (row.since, row.id))
        return [(image_id, values.location(*rest)) for _, image_id, *rest in found[:limit]]

    def location_forget(self, location_id: int) -> None:
        def work(connection: sa.Connection) -> None:
            pending = sa.update(image_locations).where(
                image_locations.c.id == location_id, image_locations.c.status == 'pending_delete')
            if connection.execute(pending.values(status='deleted')).rowcount:
                return
            # The image's time: a service of the release before deletes images and leaves staged rows as they are.
            deleted_at = (sa.select(images.c.deleted_at).where(
                images.c.id == image_locations.c.image_id, images.c.deleted == sa.true())
                .correlate(image_locations).scalar_subquery())
            connection.execute(sa.update(image_locations).where(
                image_locations.c.id == location_id, image_locations.c.status == 'staged', deleted_at.is_not(None))
                .values(status='deleted', deleted=True, deleted_at=deleted_at))
        self._database.write(work)  # done again, it finds nothing


def _arrange(connection: sa.Connection, image: Image, had: dict[int | None, Location],
             wanted: Sequence[Location]) -> tuple[Location, ...]:
    """Make *wanted* the active locations of an image just written, in that order; return them."""
    stamp = values.naive(image.updated_at)
    arranged, moved = [], []
    for position, one in enumerate(wanted):
        if one.id is None:
            new = dataclasses.replace(one, status='active')
            arranged.append(rows.add_location(connection, image.id, new, stamp, position=position))
        else:
            arranged.append(dataclasses.replace(had[one.id], metadata=one.metadata))
            moved.append({'row_id': one.id, 'new_position': position, 'new_updated_at': stamp,
                          'new_meta_data': values.location_metadata(one)})
    if moved:
        connection.execute(_ARRANGE, moved)
    return tuple(arranged)
