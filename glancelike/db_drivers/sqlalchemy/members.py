"""Members of shared images."""

from __future__ import annotations

import sqlalchemy as sa

from glancelike.db_drivers.sqlalchemy import rows, values
from glancelike.db_drivers.sqlalchemy.engine import Database
from glancelike.db_drivers.sqlalchemy.tables import image_members, images
from glancelike.plugin import Member, RequestContext, errors

_OF_LIVE_IMAGE = (sa.select(image_members, images.c.owner.label('image_owner'))
                  .join(images, images.c.id == image_members.c.image_id)
                  .where(images.c.deleted == sa.false(), image_members.c.deleted == sa.false(),
                         image_members.c.image_id == sa.bindparam('image_id', type_=sa.String())))
_ONE = _OF_LIVE_IMAGE.where(image_members.c.member == sa.bindparam('member', type_=sa.String()))
_ALL = _OF_LIVE_IMAGE.order_by(image_members.c.created_at, image_members.c.id)


class MemberMethods:
    """Part of the driver; see db_drivers/base.py for the clauses."""

    _database: Database

    def member_add(self, ctx: RequestContext, image_id: str, member: str, *, can_share: bool = False,
                   status: str = 'pending', at_most: int | None = None) -> Member:
        values.check_text('A member', member, max_characters=255)
        values.check_text('A member status', status, max_characters=20)
        stamp = values.now()

        def work(connection: sa.Connection) -> Member:
            image = rows.lock(connection, ctx, image_id)
            known = connection.execute(sa.select(image_members.c.member).where(
                image_members.c.image_id == image_id)).scalars().all()
            if member in known:
                raise errors.MemberExists(image_id=image_id, member=member)
            if at_most is not None and len(known) >= at_most:
                raise errors.QuotaExceeded(resource='members', limit=at_most, wanted=len(known) + 1)
            connection.execute(sa.insert(image_members), {
                'image_id': image_id, 'member': member, 'can_share': can_share, 'status': status,
                'image_created_at': values.naive(image.created_at), **values.born(stamp)})
            return Member(image_id, member, status, can_share, values.aware(stamp), values.aware(stamp))

        def settled(connection: sa.Connection, added: Member) -> bool:
            connection.execute(rows.LOCKED, {'image_id': image_id, 'caller': None})  # waits for the lost commit
            row = connection.execute(_ONE, {'image_id': image_id, 'member': member}).first()
            return row is not None and row.created_at == stamp

        return self._database.write(work, settled)

    def member_get(self, ctx: RequestContext, image_id: str, member: str) -> Member:
        row = self._member(image_id, member)
        if row is None or not (ctx.is_admin or ctx.project_id is not None
                               and ctx.project_id in (row.image_owner, row.member)):
            raise errors.MemberNotFound(image_id=values.shown(image_id), member=values.shown(member))
        return values.member(row)

    def member_list(self, ctx: RequestContext, image_id: str) -> list[Member]:
        if not values.storable(image_id):
            return []
        found = self._database.read(lambda connection: connection.execute(_ALL, {'image_id': image_id}).all())
        if not ctx.is_admin and not (found and ctx.project_id is not None and found[0].image_owner == ctx.project_id):
            found = [row for row in found if row.member == ctx.project_id]
        return [values.member(row) for row in found]

    def member_update(self, ctx: RequestContext, image_id: str, member: str, status: str) -> Member:
        values.check_text('A member status', status, max_characters=20)

        def work(connection: sa.Connection) -> Member:
            row = _locked(connection, image_id, member)
            stamp = values.after(values.aware(row.updated_at))
            connection.execute(sa.update(image_members).where(image_members.c.id == row.id)
                               .values(status=status, updated_at=stamp))
            return Member(image_id, member, status, bool(row.can_share), values.aware(row.created_at),
                          values.aware(stamp))
        return self._database.write(work)  # done again, it has the same effect

    def member_remove(self, ctx: RequestContext, image_id: str, member: str) -> None:
        def work(connection: sa.Connection) -> int:
            row = _locked(connection, image_id, member)
            connection.execute(sa.delete(image_members).where(image_members.c.id == row.id))
            return row.id

        def settled(connection: sa.Connection, row_id: int) -> bool:
            connection.execute(rows.LOCKED, {'image_id': image_id, 'caller': None})
            return connection.execute(sa.select(image_members.c.id).where(
                image_members.c.id == row_id)).first() is None

        self._database.write(work, settled)

    def member_status(self, image_id: str, member: str) -> str | None:
        row = self._member(image_id, member)
        return None if row is None else row.status

    def _member(self, image_id: str, member: str) -> sa.Row | None:
        """The row of that membership, with the image's owner; None when there is none."""
        if not (values.storable(image_id) and values.storable(member)):
            return None
        return self._database.read(lambda connection: connection.execute(
            _ONE, {'image_id': image_id, 'member': member}).first())


def _locked(connection: sa.Connection, image_id: str, member: str) -> sa.Row:
    """The member's row, the image being locked.

    :raises ImageNotFound, MemberNotFound:
    """
    rows.lock(connection, None, image_id)
    row = None
    if values.storable(member):
        row = connection.execute(_ONE, {'image_id': image_id, 'member': member}).first()
    if row is None:
        raise errors.MemberNotFound(image_id=image_id, member=values.shown(member))
    return row
