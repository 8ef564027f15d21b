"""Lists of images: pages whose cost does not grow with the catalogue.

What a caller sees is a union of *branches* that have no image in common: public ones, the caller's own of each other
visibility, those shared with the caller, community ones. Branches are read in *groups*, each in one of three *ways*:

* WALK: by the index that holds a branch in the order of the list. What a filter refuses is passed over.
* ORDERED: by the index of one filter, or of the caller's memberships, that holds the images it finds in that same
  order; there is one when the list is sorted by ``created_at``.
* GATHER: all images that one filter finds, sorted by the database; for filters that find few.

So a page is a few entries of an index whenever there is at most one filter and either the order is by creation or the
filter asks for what the order is by. Otherwise one statement counts, up to a bound, what each filter would find in each
group. Nothing: the group is left out. Few: these are gathered. Many: the list is walked, or read by the filter that
finds least, and since the filters are met often, that soon ends. ``page_sql.py`` has the bounds and the statements.

A page after a marker is cut into *pieces* by the sort keys (same first key and later second key; later first key), each
again a stretch of an index, with no OR.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from glancelike.db_drivers.sqlalchemy import filters, page_sql, rows, tables, values
from glancelike.db_drivers.sqlalchemy.engine import Database
from glancelike.db_drivers.sqlalchemy.page_sql import (
    ALL,
    COMMUNITY,
    FEW,
    GATHER,
    MANY,
    MEMBERS,
    ORDERED,
    OWN,
    OWN_SCOPE,
    PUBLIC_SCOPE,
    SHARED_WITH_ME,
    WALK,
    Branch,
    Counts,
    Group,
    Lookup,
    Part,
    Plan,
    pieces,
)
from glancelike.plugin import Image, ImageQuery, RequestContext, errors, query, visibility

IDS_IN_ONE_STATEMENT = 5000
CACHED_STATEMENTS = 500
_LOOKED_UP = ('id', 'checksum', 'os_hash_value')  # attributes with an index of their own, over all branches


def groups(ctx: RequestContext, wanted: str | None) -> tuple[Group, ...]:
    """The caller's list; together it is exactly what ``visibility.listed`` says."""
    def all_of(*several: str) -> list[Branch]:
        return [Branch(page_sql.OF_VISIBILITY, one) for one in several if wanted in (None, 'all', one)]

    own = []
    if ctx.is_admin:
        rest = all_of('shared', 'private')
        if wanted is None and ctx.project_id is not None:
            rest.append(Branch(OWN, COMMUNITY))
    else:
        rest = []
        if ctx.project_id is not None:
            own = [Branch(OWN, one) for one in ('private', 'shared') if wanted in (None, 'all', one)]
            if wanted is None:
                own.append(Branch(OWN, COMMUNITY))
    if wanted in ('all', COMMUNITY):
        rest.append(Branch(page_sql.OF_VISIBILITY, COMMUNITY))
    found = [Group(tuple(all_of('public')), PUBLIC_SCOPE), Group(tuple(own), OWN_SCOPE), Group(tuple(rest), None)]
    if own and wanted in (None, 'all', 'shared'):
        found.append(Group((Branch(SHARED_WITH_ME, 'shared'),), None))
    return tuple(group for group in found if group.branches)


class ImageListMethods:
    """Part of the driver; see db_drivers/base.py for the clauses."""

    _database: Database

    def _prepare_lists(self) -> None:
        self._trigrams: bool | None = None
        self._page = functools.lru_cache(CACHED_STATEMENTS)(functools.partial(page_sql.statement, self._database.kind))

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
            plan = plan._replace(limited=True, counting=True)
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
        split = [filters.split(one, place) for place, one in enumerate(wanted.filters)]
        shapes = tuple(shape for shape, _ in split)
        seen = groups(ctx, wanted.visibility)
        if not seen or any(shape.op == filters.NOTHING for shape in shapes):
            return None, {}
        parameters: dict[str, Any] = {'page_limit': wanted.limit, 'os_hidden': wanted.os_hidden,
                                      'caller': ctx.project_id, 'member_status': wanted.member_status,
                                      'caller_scope': (ctx.project_id or '')[:tables.SCOPE_CHARACTERS]}
        for _, some in split:
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
        plan = Plan(tuple(Part(group, WALK) for group in seen), wanted.member_status == 'all', shapes,
                    tuple(wanted.sort), nulls, cut, wanted.limit is not None, candidates is not None)
        if not plan.picked:
            plan = plan._replace(parts=self._parts(connection, plan, seen, parameters))
        return (plan if plan.parts else None), parameters

    def _candidates(self, connection: sa.Connection, shapes: Sequence[filters.Shape],
                    parameters: dict[str, Any]) -> list[str] | None:
        """Ids of all images (invisible ones too) that fulfil some filter, when they are few; else None."""
        for place, shape in sorted(enumerate(shapes), key=lambda one: one[1].kind == query.TAG):
            if shape.kind == query.ATTRIBUTE and not (
                    shape.field in _LOOKED_UP and shape.op in (query.EQ, query.IN)
                    or shape.op == query.CONTAINS and self._has_trigrams(connection)):
                continue
            if shape.field == 'id' and shape.kind == query.ATTRIBUTE:
                ids = parameters[f'f{place}']
                ids = [ids] if shape.op == query.EQ else ids
            else:
                ids = connection.execute(self._page(Lookup(shape, place)), parameters).scalars().all()
            if len(ids) <= FEW:
                return list(ids)
        return None

    def _has_trigrams(self, connection: sa.Connection) -> bool:
        """Has PostgreSQL the index on parts of names? Asked once; ``db sync`` makes it where it can."""
        if self._trigrams is None:
            self._trigrams = self._database.kind == 'postgresql' and connection.exec_driver_sql(
                f"SELECT to_regclass('{page_sql.TRIGRAMS}') IS NOT NULL").scalar_one()
        return self._trigrams

    def _parts(self, connection: sa.Connection, plan: Plan, seen: Sequence[Group],
               parameters: dict[str, Any]) -> tuple[Part, ...]:
        """A way for each group; none for one in which a filter finds nothing."""
        ways = {group: page_sql.ways(plan, group) for group in seen}
        if parameters['os_hidden']:  # few are hidden, and only the indexes of the branches know which
            return tuple(Part(group, WALK) for group in seen)
        uncertain = [(group, place) for group in seen for place in _to_count(ways[group])]
        counts: dict[tuple[Group, int], int | None] = {}
        if uncertain:
            counted = Counts(plan, tuple(uncertain))
            counts = dict(zip(uncertain, connection.execute(self._page(counted), parameters).one(), strict=True))
        chosen = {group: _way({place: counts.get((group, place)) for place, _ in ways[group]}, dict(ways[group]),
                              counts.get((group, ALL)), parameters['page_limit']) for group in seen}
        return tuple(Part(group, *way) for group, way in chosen.items() if way is not None)


def _to_count(ways: Sequence[tuple[int, bool]]) -> list[int]:
    """What must be counted to choose among the ways."""
    in_order = any(ordered for _, ordered in ways)
    if not ways or in_order and len(ways) == 1:
        return []
    return [place for place, _ in ways] + ([] if in_order or ways[0][0] == MEMBERS else [ALL])


def _way(counts: dict[int, int | None], ordered: dict[int, bool], everything: int | None,
         limit: int | None) -> tuple[str, int | None] | None:
    """(way, place) for a group; None when there is nothing in it.

    :param counts: how many images each filter finds, None when it was not counted
    :param ordered: which filters find them in the order of the list
    :param everything: how many a walk can pass, None when it was not counted
    :param limit: of the page, None: no limit
    """
    known = sorted((count, place) for place, count in counts.items() if count is not None)
    in_order = [place for _, place in known if ordered[place]] or [place for place in ordered if ordered[place]]
    if not known:
        return (ORDERED, in_order[0]) if in_order else (WALK, None)
    least, place = known[0]
    if least == 0:
        return None
    if in_order and (place in in_order or least > MANY):
        return ORDERED, in_order[0]
    if least > MANY:
        return WALK, None
    # Of what a walk passes every (everything / least)-th image meets the filter.
    if everything is not None and everything <= MANY and limit is not None and everything * limit < least * least:
        return WALK, None
    return GATHER, place


def _with_children(connection: sa.Connection, found: Sequence[Any]) -> list[Image]:
    ids = [row[0] for row in found]
    children: list[Any] = []
    for start in range(0, len(ids), IDS_IN_ONE_STATEMENT):
        children += connection.execute(rows.CHILDREN_OF_SEVERAL,
                                       {'image_ids': ids[start:start + IDS_IN_ONE_STATEMENT]}).all()
    gathered = values.Children(children)
    return [gathered.image(row) for row in found]
