"""The statements of a list: a page by its plan, the look-up of one filter, the counts that choose a plan.

Each function builds one statement without values; the driver keeps it by its plan. A page asks for the first
``limit`` ids of every piece of every branch, merges them, and fetches the rows of the first ``limit`` of all.

Which index is read is not left to the planner where the database can be told: SQLite has no statistics unless
somebody runs ANALYZE, and MariaDB's do not know that a stretch of an index ends early at LIMIT. PostgreSQL, which
cannot be told, gets subqueries that it does not merge (OFFSET 0), and an order by columns of the table to begin with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from glancelike.db_drivers.sqlalchemy import filters, values
from glancelike.db_drivers.sqlalchemy.tables import PUBLIC, image_members, image_properties, image_tags, images
from glancelike.plugin import query

FEW = 300    # so many candidates of all projects are looked at one by one
#: So many images are counted, and so many that a filter finds are fetched and sorted rather than looked for along the
#: list. To find a page of L among V images, N of which meet the filter, takes V x L / N steps there, and N this way:
#: as many for N = 4,500, when V is 1,000,000 and L is 20.
MANY = 3000
TRIGRAMS = 'ix_images_name_trigrams'
_NULLABLE = frozenset(column.name for column in images.c if column.nullable)

# Branches: what is seen, and why.
OWN = 'own'
OF_VISIBILITY = 'of_visibility'
SHARED_WITH_ME = 'shared_with_me'
COMMUNITY = 'community'
# Groups: whose rows of properties and tags have which scope.
PUBLIC_SCOPE, OWN_SCOPE = 'public', 'own'
# Ways to read a group; see image_list.py.
WALK, ORDERED, GATHER = 'walk', 'ordered', 'gather'
_STATUSES = ('accepted', 'pending', 'rejected')  # of memberships
# In place of a filter.
MEMBERS = -1  # the caller's memberships
ALL = -2      # everything that a walk would pass

_LISTED = {image_properties: 'ix_image_properties_listed', image_tags: 'ix_image_tags_listed',
           image_members: 'ix_image_members_listed'}
_PRIMARY = {'sqlite': 'sqlite_autoindex_images_1', 'mysql': 'PRIMARY'}
_ORDERED_BY = {'created_at': 'image_created_at', 'id': 'image_id'}  # sort keys that child rows repeat
_INDEXED = frozenset(query.SORT_KEYS) - {'id'}  # each has an index of every branch
_RANGES = (query.IN, query.GT, query.GTE, query.LT, query.LTE, query.PREFIX)


class Branch(NamedTuple):
    """Images seen for one reason."""

    reason: str
    visibility: str


class Group(NamedTuple):
    """Branches that are read the same way; *scope* when all their properties and tags have one that is known."""

    branches: tuple[Branch, ...]
    scope: str | None


class Part(NamedTuple):
    """A group and how it is read: by the order of the list, or by a filter's *place* in the query."""

    group: Group
    way: str
    place: int | None = None


class Piece(NamedTuple):
    """A stretch of the order after a marker: equal in the first *equal* keys, then *then*.

    :ivar then: 'beyond' (after the marker's value), 'set' (not NULL), 'null', or 'rest' (the remaining keys,
        compared as one row value)
    """

    equal: int
    then: str


class Plan(NamedTuple):
    """Everything that the text of a page's statement depends on."""

    parts: tuple[Part, ...]
    any_member_status: bool
    filters: tuple[filters.Shape, ...]
    sort: tuple[tuple[str, str], ...]
    nulls: tuple[bool, ...]          # which sort keys of the marker are NULL
    pieces: tuple[Piece, ...] | None  # None: no marker
    limited: bool
    picked: bool                     # made of candidates
    counting: bool = False


class Lookup(NamedTuple):
    """The first FEW + 1 ids that a filter finds."""

    shape: filters.Shape
    place: int


class Counts(NamedTuple):
    """How many images filters find in groups, up to MANY + 1: (group, place) each."""

    plan: Plan
    wanted: tuple[tuple[Group, int], ...]


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


def ways(plan: Plan, group: Group) -> list[tuple[int, bool]]:
    """(place of a filter or MEMBERS, does it find images in the order of the list?).

    Filters on what the list is sorted by are not among them: a walk reads just the stretch of those. Several filters
    on one attribute (a least and a largest size) are one way, by the place of the first.
    """
    by_creation = plan.sort[0][0] == 'created_at' and all(key in _ORDERED_BY for key, _ in plan.sort)
    found = [(MEMBERS, by_creation)] if shared(group) else []
    fields = {plan.sort[0][0]}
    for place, shape in enumerate(plan.filters):
        if shape.kind != query.ATTRIBUTE:
            found.append((place, by_creation and group.scope is not None))
        elif shape.field in _INDEXED - fields and shape.op in (query.EQ, *_RANGES):
            fields.add(shape.field)
            found.append((place, by_creation and shape.op == query.EQ and not shared(group)))
    return found


def shared(group: Group) -> bool:
    """Is it what others share with the caller?"""
    return group.branches[0].reason == SHARED_WITH_ME


def statement(database: str, plan: Plan | Lookup | Counts) -> sa.Select:
    """The statement of a plan, of a look-up, or of counts."""
    if isinstance(plan, Lookup):
        return _lookup(database, *plan)
    if isinstance(plan, Counts):
        return sa.select(*(_count_if_needed(database, plan.plan, *wanted).label(f'n{number}')
                           for number, wanted in enumerate(plan.wanted)))
    parts = [_picked(database, plan)] if plan.picked else [
        select for part in plan.parts for select in _selects(database, plan, part)]
    merged = parts[0]
    if len(parts) > 1:
        merged = sa.union_all(*(sa.select(part.subquery()) for part in parts))
    merged = merged.subquery('seen')
    if plan.counting:
        return sa.select(sa.func.count()).select_from(sa.select(merged.c.id).limit(_limit()).subquery('some'))
    if plan.picked:
        return parts[0].with_only_columns(*values.IMAGE_COLUMNS, maintain_column_froms=True)
    page = sa.select(merged).order_by(*_order(database, plan.sort, [merged.c[key] for key, _ in plan.sort]))
    page = _limited(plan, page).subquery('page')
    return (sa.select(*values.IMAGE_COLUMNS).join(page, page.c.id == images.c.id)
            .order_by(*_order(database, plan.sort, [page.c[key] for key, _ in plan.sort])))


# --- parts ---------------------------------------------------------------------------------------------------


def _selects(database: str, plan: Plan, part: Part) -> list[sa.Select]:
    """Ids and sort keys of the first images of each piece of a part."""
    gathered = part.way == GATHER
    stretches = (None,) if gathered or plan.pieces is None else plan.pieces
    if part.place is not None and _table(plan, part.place) is not images:
        return [_of_rows(database, plan, part, stretch, status) for stretch in stretches
                for status in _statuses(plan, part)]
    return [_of_images(database, plan, part, branch, stretch)
            for branch in part.group.branches for stretch in stretches]


def _table(plan: Plan, place: int) -> sa.Table:
    """Whose rows a way begins with."""
    if place == MEMBERS:
        return image_members
    return {query.ATTRIBUTE: images, query.TAG: image_tags, query.PROPERTY: image_properties}[plan.filters[place].kind]


def _statuses(plan: Plan, part: Part) -> Sequence[str | None]:
    """Memberships of any status come in order by status only."""
    return _STATUSES if part.place == MEMBERS and part.way == ORDERED and plan.any_member_status else (None,)


def _of_images(database: str, plan: Plan, part: Part, branch: Branch, piece: Piece | None) -> sa.Select:
    """Images of a branch by an index on them: that of the order, or that of a filter."""
    key = plan.sort[0][0] if part.place is None else plan.filters[part.place].field
    wanted = [*_in_branch(plan, branch), *_always(plan)]
    columns = [images.c[key] for key, _ in plan.sort]
    if part.way == GATHER:
        wanted += _after_marker(plan)
    elif piece is not None:
        wanted += _in_piece(plan, piece, columns)
    select = _told(database, sa.select(*_columns(plan)).where(*wanted), images, _index(plan, branch, key))
    if part.way == GATHER and database == 'postgresql' and not plan.counting:
        few = select.offset(sa.literal_column('0')).subquery('few')
        select, columns = sa.select(few), [few.c[key] for key, _ in plan.sort]
    return _first(database, plan, select, columns)


def _of_rows(database: str, plan: Plan, part: Part, piece: Piece | None, status: str | None) -> sa.Select:
    """Images of a group by rows of properties, tags or members that name them."""
    table = _table(plan, part.place)
    rows = [*_found(database, plan, part.group, part.place, status)]
    fenced = part.way == GATHER and database == 'postgresql'
    wanted = [*_always(plan, part.place, images.c.id if fenced else table.c.image_id),
              _seen(plan, part.group, is_member=part.place == MEMBERS)]
    columns = [images.c[key] for key, _ in plan.sort]
    if part.way == GATHER:
        wanted += _after_marker(plan)
    else:
        columns = [table.c[_ORDERED_BY[key]] for key, _ in plan.sort]
        if piece is not None:
            rows += _in_piece(plan, piece, columns)
    if fenced:
        found = sa.select(table.c.image_id).where(*rows).offset(sa.literal_column('0')).subquery('found')
        select = sa.select(*_columns(plan)).select_from(found).join(images, images.c.id == found.c.image_id)
    else:
        both = table.join(images, images.c.id == table.c.image_id)
        select = sa.select(*_columns(plan)).select_from(both).where(*rows)
        select = _told(database, select, table, _LISTED[table])
        select = _told(database, select, images, _PRIMARY.get(database, ''))
        if database == 'mysql':
            select = select.prefix_with('STRAIGHT_JOIN')
    return _first(database, plan, select.where(*wanted), columns)


def _columns(plan: Plan) -> Sequence[sa.Column]:
    return list(dict.fromkeys([images.c.id, *(() if plan.counting else (images.c[key] for key, _ in plan.sort))]))


def _first(database: str, plan: Plan, select: sa.Select, columns: Sequence[Any]) -> sa.Select:
    if not plan.counting:
        select = select.order_by(*_order(database, plan.sort, columns))
    return _limited(plan, select)


def _told(database: str, select: sa.Select, table: sa.Table, index: str) -> sa.Select:
    """The select with the index that it is to read, where the database can be told."""
    hint = {'sqlite': f'INDEXED BY {index}', 'mysql': f'FORCE INDEX ({index})'}.get(database)
    return select if hint is None else select.with_hint(table, hint)


def _by_index(database: str, select: sa.Select, table: sa.Table, of_all: bool = True) -> sa.Select:
    """The first rows of another table by the index that lists are read by.

    PostgreSQL makes a bitmap of all first, unless an order keeps it from that; in a single scope, it then sorts.
    """
    if database == 'postgresql' and table is image_properties and of_all:
        return select.order_by(table.c.scope, table.c.image_created_at, table.c.image_id)
    return _told(database, select, table, _LISTED[table])


def _index(plan: Plan, branch: Branch, key: str) -> str:
    of_owner = branch.reason == OWN or filters.Shape(query.ATTRIBUTE, 'owner', query.EQ) in plan.filters
    return f'ix_images_{"owner" if of_owner else "visibility"}_by_{key}'


def _found(database: str, plan: Plan, group: Group, place: int, status: str | None = None) -> list[sa.ColumnElement]:
    """The conditions on rows of another table by which a way finds images."""
    if place == MEMBERS:
        return _is_member(plan, status)
    table, found = _table(plan, place), filters.holds(plan.filters[place], place, database)
    if group.scope == PUBLIC_SCOPE:
        found.append(table.c.scope == sa.literal_column(f"'{PUBLIC}'", sa.String()))
    elif group.scope == OWN_SCOPE:
        found.append(table.c.scope == sa.bindparam('caller_scope', type_=sa.String()))
    else:
        found.append(table.c.scope.is_not(None))
    return found


def _is_member(plan: Plan, status: str | None = None) -> list[sa.ColumnElement]:
    wanted = [image_members.c.member == _caller(), image_members.c.deleted == sa.false()]
    if status is not None:
        wanted.append(image_members.c.status == sa.literal_column(f"'{status}'", sa.String()))
    elif not plan.any_member_status:
        wanted.append(image_members.c.status == sa.bindparam('member_status', type_=sa.String()))
    return wanted


def _count_if_needed(database: str, plan: Plan, group: Group, place: int) -> sa.ColumnElement:
    """NULL where the caller's memberships are what to begin with: they are few, and what the filter finds is not."""
    if place == MEMBERS or not shared(group):
        return _count(database, plan, group, place, MANY + 1)
    few = sa.func.nullif(_count(database, plan, group, place, FEW + 1), sa.literal_column(str(FEW + 1)))
    return sa.case((_count(database, plan, group, MEMBERS, MANY + 1) > sa.literal_column(str(MANY)),
                    _count(database, plan, group, place, MANY + 1)), else_=few)


def _count(database: str, plan: Plan, group: Group, place: int, most: int) -> sa.ColumnElement:
    """How many images a filter finds in a group, up to *most* in each branch."""
    if place != ALL and (table := _table(plan, place)) is not images:
        some = sa.select(sa.literal_column('1')).select_from(table).where(*_found(database, plan, group, place))
        return _up_to(most, _by_index(database, some, table, of_all=group.scope is None))
    field = plan.sort[0][0] if place == ALL else plan.filters[place].field
    conditions = [filters.condition(shape, number) for number, shape in enumerate(plan.filters)
                  if shape.kind == query.ATTRIBUTE and shape.field == field]
    counts = [_up_to(most, _told(database, sa.select(sa.literal_column('1')).select_from(images).where(
        *_in_branch(plan, branch, probed=False), *_in_order(), *conditions),
        images, _index(plan, branch, field))) for branch in group.branches]
    total = counts[0]
    for count in counts[1:]:
        total = total + count
    return total


def _up_to(most: int, some: sa.Select) -> sa.ColumnElement:
    return sa.select(sa.func.count()).select_from(
        some.limit(sa.literal_column(str(most))).subquery()).scalar_subquery()



def _picked(database: str, plan: Plan) -> sa.Select:
    """The page when a few candidates are known: the branches become one condition on each of them."""
    keys = [images.c[key] for key, _ in plan.sort]
    page = sa.select(images.c.id).where(
        images.c.id.in_(sa.bindparam('candidates', expanding=True, type_=sa.String())),
        sa.or_(*(_seen(plan, part.group) for part in plan.parts)), *_always(plan), *_after_marker(plan))
    return _first(database, plan, _told(database, page, images, _PRIMARY.get(database, '')), keys)


def _lookup(database: str, shape: filters.Shape, place: int) -> sa.Select:
    if shape.kind == query.ATTRIBUTE:
        found = sa.select(images.c.id).where(filters.condition(shape, place))
    else:
        table = image_tags if shape.kind == query.TAG else image_properties
        found = sa.select(table.c.image_id).where(*filters.holds(shape, place, database), table.c.scope.is_not(None))
        found = _by_index(database, found, table)
    return found.limit(sa.literal_column(str(FEW + 1)))


# --- conditions ----------------------------------------------------------------------------------------------


def _limit() -> sa.BindParameter:
    return sa.bindparam('page_limit', type_=sa.Integer())


def _limited(plan: Plan, select: sa.Select) -> sa.Select:
    return select.limit(_limit()) if plan.limited else select


def _caller() -> sa.BindParameter:
    return sa.bindparam('caller', type_=sa.String())


def _in_order() -> list[sa.ColumnElement]:
    """What every index of a branch fixes beside the branch."""
    return [images.c.deleted == sa.false(), images.c.os_hidden == sa.bindparam('os_hidden', type_=sa.Boolean())]


def _always(plan: Plan, but: int | None = None, image_id: sa.Column = images.c.id) -> list[sa.ColumnElement]:
    """What every image of the list fulfils; the filter at place *but* is asked elsewhere."""
    return [*_in_order(), images.c.status != sa.literal_column("'killed'", sa.String()),
            *(filters.condition(shape, place, image_id) for place, shape in enumerate(plan.filters) if place != but)]


def _in_branch(plan: Plan, branch: Branch, *, probed: bool = True) -> list[sa.ColumnElement]:
    """The conditions of a branch on ``images``; not *probed*, without the look whether the caller is a member."""
    wanted = [images.c.visibility == sa.literal_column(f"'{branch.visibility}'", sa.String())]
    if branch.reason == OWN:
        wanted.append(images.c.owner == _caller())
    elif branch.reason == SHARED_WITH_ME and probed:
        status = sa.select(image_members.c.status).where(image_members.c.image_id == images.c.id, *_is_member(plan))
        wanted += [_not_own(), status.correlate(images).scalar_subquery().is_not(None)]
    return wanted


def _not_own() -> sa.ColumnElement:
    """Images that are shared with their own owner belong to another branch."""
    return sa.or_(images.c.owner != _caller(), images.c.owner.is_(None))


def _seen(plan: Plan, group: Group, is_member: bool = False) -> sa.ColumnElement:
    """Is the image in one of the group's branches? *is_member*: the caller is known to be one."""
    if is_member:
        return sa.and_(*_in_branch(plan, group.branches[0], probed=False), _not_own())
    return sa.or_(*(sa.and_(*_in_branch(plan, branch)) for branch in group.branches))


def _after_marker(plan: Plan) -> list[sa.ColumnElement]:
    if plan.pieces is None:
        return []
    columns = [images.c[key] for key, _ in plan.sort]
    return [sa.or_(*(sa.and_(*_in_piece(plan, piece, columns)) for piece in plan.pieces))]


def _in_piece(plan: Plan, piece: Piece, columns: Sequence[sa.ColumnElement]) -> list[sa.ColumnElement]:
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
