"""Lists of images: pages whose cost does not grow with the catalogue.

What a caller sees is a union of *branches* (own images, public ones, those shared with the caller, community ones).
Each branch fixes the leading columns of an index that goes on with the sort key, so its part of a page is the next
few entries of that index. A page after a marker is cut into *pieces* by the sort keys (same first key and later
second key; later first key), each again a stretch of the index, with no OR. One statement asks for the first
``limit`` ids of every piece of every branch, merges them, and fetches the rows of the first ``limit`` of all; a second
one fetches the child rows of these. A marker costs one statement more, a selective filter one more.

Filters on properties and tags, names and hashes are looked up first (``_candidates``): when only a few rows
have the value, the page is made of these alone, without branches. Otherwise the branches are walked in order and each
image is probed, which finds a page soon, since many have the value.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from glancelike.db_drivers.sqlalchemy import filters, rows, values
from glancelike.db_drivers.sqlalchemy.engine import Database
from glancelike.db_drivers.sqlalchemy.tables import image_members, image_properties, image_tags, images
from glancelike.plugin import Image, ImageQuery, RequestContext, errors, query, visibility

FEW = 300                  # so many candidates are looked at one by one
IDS_IN_ONE_STATEMENT = 5000
CACHED_STATEMENTS = 500
_NULLABLE = frozenset(column.name for column in images.c if column.nullable)
_LOOKED_UP = ('id', 'name', 'checksum', 'os_hash_value')  # attributes with an index of their own

# Branches: what is seen, and why.
OWN = 'own'
OF_VISIBILITY = 'of_visibility'
SHARED_WITH_ME = 'shared_with_me'


class Branch(NamedTuple):
    """Images seen for one reason; *visibility* None means any."""

    reason: str
    visibility: str | None = None


class Piece(NamedTuple):
    """A stretch of the order after a marker: equal in the first *equal* keys, then *then*.

    :ivar then: 'beyond' (after the marker's value), 'set' (not NULL), 'null', or 'rest' (the remaining keys,
        compared as one row value)
    """

    equal: int
    then: str


class Plan(NamedTuple):
    """Everything that the text of a page's statement depends on."""

    branches: tuple[Branch, ...]
    any_member_status: bool
    filters: tuple[filters.Shape, ...]
    sort: tuple[tuple[str, str], ...]
    nulls: tuple[bool, ...]          # which sort keys of the marker are NULL
    pieces: tuple[Piece, ...] | None  # None: no marker
    limited: bool
    picked: bool                     # made of candidates
    counting: bool = False


def branches(ctx: RequestContext, wanted: str | None) -> tuple[Branch, ...]:
    """The parts of the caller's list; they hold exactly what ``visibility.listed`` says."""
    if ctx.is_admin:
        if wanted in (None, 'all'):
            seen = [Branch(OF_VISIBILITY, one) for one in ('public', 'shared', 'private')]
            if wanted == 'all':
                seen.append(Branch(OF_VISIBILITY, 'community'))
            elif ctx.project_id is not None:
                seen.append(Branch(OWN, 'community'))
            return tuple(seen)
        return (Branch(OF_VISIBILITY, wanted),)
    if wanted in ('public', 'community'):
        return (Branch(OF_VISIBILITY, wanted),)
    seen = []
    if wanted in (None, 'all'):
        seen.append(Branch(OF_VISIBILITY, 'public'))
    if wanted == 'all':
        seen.append(Branch(OF_VISIBILITY, 'community'))
    if ctx.project_id is not None:
        seen.append(Branch(OWN, None if wanted in (None, 'all') else wanted))
        if wanted in (None, 'all', 'shared'):
            seen.append(Branch(SHARED_WITH_ME))
    return tuple(seen)


def pieces(sort: Sequence[tuple[str, str]], nulls: Sequence[bool], row_values: bool) -> tuple[Piece, ...]:
    """The stretches of the order that follow a marker, where NULL counts as the smallest value.

    :param nulls: for each sort key, is the marker's value NULL?
    :param row_values: the database can use an index for ``(a, b) > (x, y)``
    """
    together = len(sort)
    while row_values and together and sort[together - 1][0] not in _NULLABLE and sort[together - 1][1] == sort[-1][1]:
        together -= 1
    found = []
    for place, (key, direction) in enumerate(sort):
        if place == together:
            found.append(Piece(place, 'rest'))
            break
        if nulls[place]:
            if direction == 'asc':
                found.append(Piece(place, 'set'))
        else:
            found.append(Piece(place, 'beyond'))
            if direction == 'desc' and key in _NULLABLE:
                found.append(Piece(place, 'null'))
    return tuple(found)


class ImageListMethods:
    """Part of the driver; see db_drivers/base.py for the clauses."""

    _database: Database

    def _prepare_lists(self) -> None:
        self._page = functools.lru_cache(CACHED_STATEMENTS)(functools.partial(_statement, self._database.kind))

    def image_list(self, ctx: RequestContext, query: ImageQuery) -> list[Image]:
        def work(connection: sa.Connection) -> list[Image]:
            marker = self._marker(connection, ctx, query)
            if query.limit == 0:
                return []
            plan, parameters = self._plan(connection, ctx, query, marker)
            if plan is None:
                return []
            found = connection.execute(self._page(plan), parameters).all()
            return _with_children(connection, found)
        return self._database.read(work, snapshot=True)

    def image_count(self, ctx: RequestContext, query: ImageQuery, at_most: int) -> int:
        def work(connection: sa.Connection) -> int:
            plan, parameters = self._plan(connection, ctx, query, None)
            if plan is None or at_most <= 0:
                return 0
            plan = plan._replace(sort=(), limited=True, counting=True)
            return connection.execute(self._page(plan), parameters | {'page_limit': at_most}).scalar_one()
        return self._database.read(work, snapshot=True)

    def _marker(self, connection: sa.Connection, ctx: RequestContext, wanted: ImageQuery) -> Any:
        """The marker's row, or None when the query has none."""
        if wanted.marker is None:
            return None
        row = None
        if values.storable(wanted.marker):
            row = connection.execute(rows.UNLOCKED, {'image_id': wanted.marker, 'caller': ctx.project_id}).first()
        if row is None or row.deleted or not visibility.known(ctx, values.image(row), row.membership):
            raise errors.InvalidMarker(marker=values.shown(wanted.marker))
        return row

    def _plan(self, connection: sa.Connection, ctx: RequestContext, wanted: ImageQuery,
              marker: Any) -> tuple[Plan | None, dict[str, Any]]:
        """How to make the page, and the parameters of its statement; None when it is empty for sure."""
        parts = [filters.split(one, place) for place, one in enumerate(wanted.filters)]
        shapes = tuple(shape for shape, _ in parts)
        seen = branches(ctx, wanted.visibility)
        if not seen or any(shape.op == filters.NOTHING for shape in shapes):
            return None, {}
        parameters: dict[str, Any] = {'page_limit': wanted.limit, 'os_hidden': wanted.os_hidden,
                                      'caller': ctx.project_id, 'member_status': wanted.member_status}
        for _, some in parts:
            parameters.update(some)
        candidates = self._candidates(connection, shapes, parameters)
        if candidates is not None:
            if not candidates:
                return None, {}
            parameters['candidates'] = candidates
        nulls: tuple[bool, ...] = ()
        cut = None
        if marker is not None:
            at = [getattr(marker, key) for key, _ in wanted.sort]
            nulls = tuple(value is None for value in at)
            cut = pieces(wanted.sort, nulls, row_values=self._database.kind != 'mysql')
            if not cut:
                return None, {}
            parameters.update({f'm{place}': value for place, value in enumerate(at)})
        return Plan(seen, wanted.member_status == 'all', shapes, tuple(wanted.sort), nulls, cut,
                    wanted.limit is not None, candidates is not None), parameters

    def _candidates(self, connection: sa.Connection, shapes: Sequence[filters.Shape],
                    parameters: dict[str, Any]) -> list[str] | None:
        """Ids of all images (deleted and invisible ones too) that fulfil some filter, when they are few; else None."""
        for place, shape in sorted(enumerate(shapes), key=lambda one: one[1].kind == query.TAG):
            known = shape.field in _LOOKED_UP and shape.op in (query.EQ, query.IN)
            if shape.kind == query.ATTRIBUTE and not known:
                continue
            if shape.field == 'id':
                ids = parameters[f'f{place}']
                ids = [ids] if shape.op == query.EQ else ids
                if len(ids) > FEW:
                    continue
                return ids
            ids = connection.execute(self._lookup(shape, place), parameters).scalars().all()
            if len(ids) <= FEW:
                return list(ids)
        return None

    def _lookup(self, shape: filters.Shape, place: int) -> sa.Select:
        return self._page((shape, place))


def _with_children(connection: sa.Connection, found: Sequence[Any]) -> list[Image]:
    ids = [row[0] for row in found]
    children: list[Any] = []
    for start in range(0, len(ids), IDS_IN_ONE_STATEMENT):
        children += connection.execute(rows.CHILDREN_OF_SEVERAL,
                                       {'image_ids': ids[start:start + IDS_IN_ONE_STATEMENT]}).all()
    gathered = values.Children(children)
    return [gathered.image(row) for row in found]


# --- building statements -------------------------------------------------------------------------------------


def _statement(database: str, plan: Plan | tuple[filters.Shape, int]) -> sa.Select:
    """The statement of a plan, or the look-up of one filter."""
    if not isinstance(plan, Plan):
        return _lookup_statement(database, *plan)
    if plan.picked:
        return _picked(database, plan)
    parts = [_part(database, plan, branch, piece) for branch in plan.branches for piece in plan.pieces or (None,)]
    if len(parts) == 1 and not plan.counting:
        return parts[0].with_only_columns(*values.IMAGE_COLUMNS)
    # An image of one's own may be public too, or be shared with its owner; all other branches are disjoint.
    overlap = any(branch.reason == SHARED_WITH_ME or branch == (OWN, None) for branch in plan.branches)
    merge = sa.union if overlap else sa.union_all
    merged = (merge(*(sa.select(part.subquery()) for part in parts)) if len(parts) > 1 else parts[0]).subquery('seen')
    if plan.counting:
        some = sa.select(merged.c.id).limit(_limit()).subquery('some')
        return sa.select(sa.func.count()).select_from(some)
    keys = [merged.c[key] for key, _ in plan.sort]
    page = sa.select(merged).order_by(*_order(database, plan.sort, keys))
    if plan.limited:
        page = page.limit(_limit())
    page = page.subquery('page')
    return (sa.select(*values.IMAGE_COLUMNS).join(page, page.c.id == images.c.id)
            .order_by(*_order(database, plan.sort, [page.c[key] for key, _ in plan.sort])))


def _part(database: str, plan: Plan, branch: Branch, piece: Piece | None) -> sa.Select:
    """Ids and sort keys of the first images of one piece of one branch."""
    keys = [images.c[key] for key, _ in plan.sort]
    columns = dict.fromkeys([images.c.id, *keys])
    part = sa.select(*columns)
    if branch.reason == SHARED_WITH_ME:
        part = part.select_from(image_members).join(images, images.c.id == image_members.c.image_id)
    part = part.where(*_in_branch(plan, branch), *_always(plan))
    if piece is not None:
        part = part.where(*_in_piece(plan, piece))
    part = part.order_by(*_order(database, plan.sort, keys)) if plan.sort else part
    return part.limit(_limit()) if plan.limited else part


def _picked(database: str, plan: Plan) -> sa.Select:
    """The page when a few candidates are known: the branches become one condition on each of them."""
    keys = [images.c[key] for key, _ in plan.sort]
    seen = []
    for branch in plan.branches:
        wanted = sa.and_(*_in_branch(plan, branch, indexed=False))
        if branch.reason == SHARED_WITH_ME:
            wanted = sa.exists().where(image_members.c.image_id == images.c.id, wanted).correlate(images)
        seen.append(wanted)
    page = sa.select(*values.IMAGE_COLUMNS).where(
        images.c.id.in_(sa.bindparam('candidates', expanding=True, type_=sa.String())), sa.or_(*seen),
        *_always(plan))
    if plan.pieces is not None:
        page = page.where(sa.or_(*(sa.and_(*_in_piece(plan, piece)) for piece in plan.pieces)))
    if plan.counting:
        some = page.with_only_columns(images.c.id).limit(_limit()).subquery('some')
        return sa.select(sa.func.count()).select_from(some)
    page = page.order_by(*_order(database, plan.sort, keys))
    return page.limit(_limit()) if plan.limited else page


def _lookup_statement(database: str, shape: filters.Shape, place: int) -> sa.Select:
    if shape.kind == query.ATTRIBUTE:
        found = sa.select(images.c.id).where(filters.condition(shape, place))
    else:
        table = image_tags if shape.kind == query.TAG else image_properties
        found = sa.select(table.c.image_id).where(*filters.holds(shape, place, database))
    return found.limit(FEW + 1)


def _limit() -> sa.BindParameter:
    return sa.bindparam('page_limit', type_=sa.Integer())


def _always(plan: Plan) -> list[sa.ColumnElement]:
    return [images.c.deleted == sa.false(), images.c.os_hidden == sa.bindparam('os_hidden', type_=sa.Boolean()),
            images.c.status != sa.literal_column("'killed'", sa.String()),
            *(filters.condition(shape, place) for place, shape in enumerate(plan.filters))]


def _in_branch(plan: Plan, branch: Branch, *, indexed: bool = True) -> list[sa.ColumnElement]:
    """The conditions of a branch; *indexed* False keeps the planner from the indexes of the branches.

    SQLite, which has no statistics, would prefer them to the few rows that are known otherwise.
    """
    visibility = images.c.visibility if indexed and branch.reason != SHARED_WITH_ME else images.c.visibility.concat('')
    owner = images.c.owner if indexed else images.c.owner.concat('')
    caller = sa.bindparam('caller', type_=sa.String())
    if branch.reason == SHARED_WITH_ME:
        wanted = [image_members.c.member == caller, image_members.c.deleted == sa.false(),
                  visibility == 'shared']
        if not plan.any_member_status:
            wanted.append(image_members.c.status == sa.bindparam('member_status', type_=sa.String()))
        return wanted
    wanted = [owner == caller] if branch.reason == OWN else []
    if branch.visibility is not None:
        wanted.append(visibility == branch.visibility)
    return wanted


def _in_piece(plan: Plan, piece: Piece) -> list[sa.ColumnElement]:
    columns = [images.c[key] for key, _ in plan.sort]
    marks = [sa.bindparam(f'm{place}', type_=column.type) for place, column in enumerate(columns)]
    wanted = [columns[place].is_(None) if plan.nulls[place] else columns[place] == marks[place]
              for place in range(piece.equal)]
    at, ascending = piece.equal, plan.sort[piece.equal][1] == 'asc'
    if piece.then == 'rest' and len(columns) - at > 1:
        left, right = sa.tuple_(*columns[at:]), sa.tuple_(*marks[at:])
        wanted.append(left > right if ascending else left < right)
    elif piece.then in ('rest', 'beyond'):
        wanted.append(columns[at] > marks[at] if ascending else columns[at] < marks[at])
    elif piece.then == 'set':
        wanted.append(columns[at].is_not(None))
    else:
        wanted.append(columns[at].is_(None))
    return wanted


def _order(database: str, sort: Sequence[tuple[str, str]], columns: Sequence[Any]) -> list[sa.ColumnElement]:
    """ORDER BY with NULL as the smallest value, which is what SQLite and MySQL do by themselves."""
    order = []
    for (key, direction), column in zip(sort, columns, strict=True):
        one = column.asc() if direction == 'asc' else column.desc()
        if database == 'postgresql' and key in _NULLABLE:
            one = one.nulls_first() if direction == 'asc' else one.nulls_last()
        order.append(one)
    return order
