"""The query string of a list of images, made into an ImageQuery.

What a filter may say (Images API reference, "List images"; what is ours is marked *):

==========================  ==================================================================================
parameter                   value
==========================  ==================================================================================
name                        ``x`` · ``in:a,"b,c"`` · ``eq:x``* · ``prefix:x``* · ``contains:x``* (ignores case)
id, status,                 ``x`` · ``in:a,b`` · ``eq:x``*
container_format,
disk_format
created_at, updated_at      ISO 8601 time, alone or after ``gt: gte: lt: lte: eq: neq:``
size, virtual_size,         whole number; with ``_min`` or ``_max`` after the name: at least, at most
min_disk, min_ram
protected, os_hidden        ``true`` or ``false``
visibility                  ``public community shared private all``
member_status               ``pending accepted rejected all``
tag                         may be repeated; all must be there
owner, checksum,            exact text
os_hash_algo, os_hash_value
with_count*                 ``true`` asks for the number of images without the page
anything else               exact value of that property
==========================  ==================================================================================

A value in double quotes is taken literally; ``\\"`` and ``\\\\`` stand for ``"`` and ``\\`` in it. A word followed
by a colon in front of an unquoted name, id, status or format is an operator; one that is not in the table is
refused by name. Only ``tag``, ``sort_key`` and ``sort_dir`` may be repeated; of any other repeated parameter the
last one counts, as in Glance.

The API tells times in seconds, rows hold microseconds. So a time without a fraction means that whole second:
``eq`` is anywhere in it, ``gt`` after its end, ``lte`` up to its end, ``neq`` outside of it.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Sequence

from oslo_utils import timeutils

from glancelike import errors
from glancelike.core import bounds
from glancelike.db_drivers import query
from glancelike.db_drivers.query import Filter, ImageQuery
from glancelike.model.image import MEMBER_STATUSES, VISIBILITIES

#: More than any client sends, few enough for one statement.
MOST_PARAMETERS = 100
#: Characters of one parameter's value.
LONGEST_VALUE = 65_535
#: Values of one ``in:`` list.
MOST_LISTED = 1000

_LIST_FIELDS = ('name', 'id', 'status', 'container_format', 'disk_format')
_TEXT_FIELDS = ('owner', 'checksum', 'os_hash_algo', 'os_hash_value')
_TIME_FIELDS = ('created_at', 'updated_at')
_NUMBER_FIELDS = ('size', 'virtual_size', 'min_disk', 'min_ram')
_REPEATABLE = ('tag', 'sort_key', 'sort_dir')
_SECOND = datetime.timedelta(seconds=1)
_MICROSECOND = datetime.timedelta(microseconds=1)

_OPERATOR = re.compile(r'([A-Za-z][A-Za-z0-9_-]*):(.*)', re.DOTALL)
_TIME_OPERATOR = re.compile(r'([A-Za-z_]+):(.*)', re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')
_WHOLE = re.compile(r'[+-]?[0-9]{1,19}')


@dataclasses.dataclass(frozen=True, slots=True)
class ListRequest:
    """A parsed query string.

    :ivar count: the caller asks for the total number too
    :ivar echoed: what ``first`` and ``next`` repeat: every parameter but ``marker``, in order, repeats kept
    """

    query: ImageQuery
    count: bool = False
    echoed: tuple[tuple[str, str], ...] = ()


def parse(params: Sequence[tuple[str, str]], *, default_limit: int, max_limit: int) -> ListRequest:
    """What the parameters of ``GET /v2/images`` ask for.

    :param params: names and values in the order of the query string, decoded
    :param default_limit: images of a page when ``limit`` is not given, 1 or more
    :param max_limit: most images of a page; a larger ``limit`` is made this
    :raises InvalidFilter: an unknown operator, a value of the wrong kind, or too much of anything
    :raises InvalidSort, InvalidLimit, InvalidMarker: the parameters of these names
    """
    if len(params) > MOST_PARAMETERS:
        raise errors.InvalidFilter(reason=f'At most {MOST_PARAMETERS} parameters are read, not {len(params)}.')
    for name, value in params:
        _check_text(name, value)
    single = {name: value for name, value in params if name not in _REPEATABLE}
    parsed = ImageQuery(
        visibility=_choice(single, 'visibility', (*VISIBILITIES, 'all'), None),
        member_status=_choice(single, 'member_status', (*MEMBER_STATUSES, 'all'), 'accepted'),
        os_hidden=_flag('os_hidden', single.pop('os_hidden', 'false')),
        sort=_sort(params, single.pop('sort', None)),
        marker=marker(single.pop('marker', None)),
        limit=limit(single.pop('limit', None), default_limit, max_limit))
    count = _flag('with_count', single.pop('with_count', 'false'))
    single.pop('deleted', None)  # accepted and ignored, as in Glance: deleted images are never listed
    filters = [Filter('', query.EQ, value, query.TAG)
               for value in dict.fromkeys(value for name, value in params if name == 'tag')]
    for name, value in single.items():
        filters += _filters(name, value)
    return ListRequest(query=dataclasses.replace(parsed, filters=tuple(filters)), count=count,
                       echoed=tuple((name, value) for name, value in params if name != 'marker'))


def _check_text(name: str, value: str) -> None:
    if len(name) > bounds.TEXT_LENGTH or len(value) > LONGEST_VALUE:
        raise errors.InvalidFilter(
            reason=f"Parameter '{name[:40]}' is too long: a name may have {bounds.TEXT_LENGTH} characters, a value "
                   f'{LONGEST_VALUE}.')
    if not (bounds.storable(name) and bounds.storable(value)):
        raise errors.InvalidFilter(
            reason='A parameter holds characters that no image can have (U+0000 or a lone surrogate).')


def _choice(single: dict[str, str], name: str, allowed: Sequence[str], default: str | None) -> str | None:
    value = single.pop(name, None)
    if value is None:
        return default
    if value not in allowed:
        raise errors.InvalidFilter(reason=f"{name} must be one of {', '.join(allowed)}, not '{_short(value)}'.")
    return value


def _flag(name: str, value: str) -> bool:
    if value.lower() not in ('true', 'false'):
        raise errors.InvalidFilter(reason=f"{name} must be true or false, not '{_short(value)}'.")
    return value.lower() == 'true'


def marker(value: str | None) -> str | None:
    """An id, as far as one can tell; None for None. :raises InvalidMarker: it cannot be one."""
    if value is not None and not 0 < len(value) <= 36:
        raise errors.InvalidMarker(marker=_short(value))
    return value


def limit(value: str | None, default_limit: int, max_limit: int) -> int:
    """Rows of a page, as ``parse``. :raises InvalidLimit: not a whole number of 0 or more."""
    if value is None:
        return min(default_limit, max_limit)
    number = value.strip()
    if not re.fullmatch(r'\+?[0-9]+', number):
        raise errors.InvalidLimit(value=f"'{_short(value)}'")
    significant = number.lstrip('+0')
    return min(int(significant or '0'), max_limit) if len(significant) < 19 else max_limit


# --- sorting -------------------------------------------------------------------------------------------------

def _sort(params: Sequence[tuple[str, str]], short_form: str | None) -> tuple[tuple[str, str], ...]:
    """The order, made total: created_at and id follow, in the one direction asked for, else descending."""
    keys = [value.strip() for name, value in params if name == 'sort_key']
    directions = [value.strip() for name, value in params if name == 'sort_dir']
    if short_form is not None:
        if keys or directions:
            raise errors.InvalidSort(reason='Use either sort or sort_key and sort_dir, not both.')
        pairs = [_sort_pair(one) for one in short_form.split(',')]
    else:
        keys = keys or ['created_at']
        directions = directions or ['desc']
        if len(directions) == 1:
            directions *= len(keys)
        if len(directions) != len(keys):
            raise errors.InvalidSort(
                reason=f'sort_dir must be given once, or once for each sort_key: {len(keys)} sort_key, '
                       f'{len(directions)} sort_dir.')
        pairs = list(zip(keys, directions, strict=True))
    for key, direction in pairs:
        _check_sort(key, direction)
    last = pairs[0][1] if len({direction for _, direction in pairs}) == 1 else 'desc'
    total: dict[str, str] = {}
    for key, direction in [*pairs, ('created_at', last), ('id', last)]:
        total.setdefault(key, direction)
        if key == 'id':
            break  # ids are unique: nothing after them has a say
    return tuple(total.items())


def _sort_pair(text: str) -> tuple[str, str]:
    key, colon, direction = text.partition(':')
    return key.strip(), direction.strip() if colon else 'desc'


def _check_sort(key: str, direction: str) -> None:
    if key not in query.SORT_KEYS:
        raise errors.InvalidSort(
            reason=f"Images can be sorted by {', '.join(query.SORT_KEYS)}, not by '{_short(key)}'.")
    if direction not in ('asc', 'desc'):
        raise errors.InvalidSort(reason=f"A sort direction is asc or desc, not '{_short(direction)}'.")


# --- filters -------------------------------------------------------------------------------------------------

def _filters(name: str, value: str) -> list[Filter]:
    """The conditions that one parameter stands for."""
    if name in _LIST_FIELDS:
        return [_listed(name, value)]
    if name in _TIME_FIELDS:
        return _times(name, value)
    if name in _TEXT_FIELDS:
        return [Filter(name, query.EQ, value)]
    if name in _NUMBER_FIELDS:
        return [Filter(name, query.EQ, _number(name, value))]
    if name == 'protected':
        return [Filter(name, query.EQ, _flag(name, value))]
    if name == 'changes-since':
        raise errors.InvalidFilter(reason='changes-since is not a filter of this API; use updated_at=gte:TIME.')
    field, _, end = name.rpartition('_')
    if field in _NUMBER_FIELDS and end in ('min', 'max'):
        return [Filter(field, query.GTE if end == 'min' else query.LTE, _number(name, value))]
    return [Filter(name, query.EQ, value, query.PROPERTY)]


def _listed(name: str, value: str) -> Filter:
    """Equality, a list, or (on name) a prefix or part."""
    quoted = _QUOTED.fullmatch(value)
    if quoted:
        return Filter(name, query.EQ, _unescaped(quoted[1]))
    operation = _OPERATOR.fullmatch(value)
    if operation is None:
        return Filter(name, query.EQ, value)
    op, operand = operation.groups()
    if op == 'in':
        return Filter(name, query.IN, _list(name, operand))
    if op == 'eq':
        return Filter(name, query.EQ, operand)
    if name == 'name' and op in (query.PREFIX, query.CONTAINS):
        return Filter(name, op, operand)
    known = 'in, eq, prefix, contains' if name == 'name' else 'in, eq'
    raise errors.InvalidFilter(
        reason=f"Operator '{_short(op)}' is not known for {name} (known: {known}). To find a value with a colon in "
               'it put the value in double quotes.')


def _list(name: str, text: str) -> tuple[str, ...]:
    """The values of an ``in:`` list: split at commas outside of double quotes; doubled values count once."""
    values: dict[str, None] = {}
    position = 0
    while position <= len(text):
        quoted = _QUOTED.match(text, position)
        end = quoted.end() if quoted else text.find(',', position)
        if end == -1:
            end = len(text)
        plain = text[position:end]
        if end < len(text) and text[end] != ',' or quoted is None and '"' in plain:
            raise errors.InvalidFilter(
                reason=f'The list of {name} has a misplaced double quote; a quoted value stands alone between '
                       'commas.')
        values[_unescaped(quoted[1]) if quoted else plain] = None
        if len(values) > MOST_LISTED:
            raise errors.InvalidFilter(reason=f'The list of {name} may have up to {MOST_LISTED} values.')
        position = end + 1
    return tuple(values)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(r'\1', text)


def _number(name: str, value: str) -> int:
    number = value.strip()
    if not _WHOLE.fullmatch(number) or abs(int(number)) > bounds.LARGEST_INT64:
        raise errors.InvalidFilter(
            reason=f"{name} must be a whole number of up to 64 bits, not '{_short(value)}'.")
    return int(number)


def _times(name: str, value: str) -> list[Filter]:
    """Conditions on a time, by whole seconds unless a fraction is given."""
    operation = _TIME_OPERATOR.fullmatch(value)
    op, text = operation.groups() if operation else ('eq', value)
    if op not in ('eq', 'neq', 'gt', 'gte', 'lt', 'lte'):
        raise errors.InvalidFilter(
            reason=f"Operator '{_short(op)}' is not known for {name} (known: gt, gte, lt, lte, eq, neq).")
    try:
        start = timeutils.parse_isotime(text.strip()).astimezone(datetime.UTC)
        fraction = re.search(r'[0-9][.,][0-9]', text) is not None
        end = start + (_MICROSECOND if fraction else _SECOND)
    except (ValueError, OverflowError):
        raise errors.InvalidFilter(
            reason=f"{name} needs a time such as 2026-03-01T12:00:00Z, not '{_short(text)}'.") from None
    return {
        'eq': [Filter(name, query.GTE, start), Filter(name, query.LT, end)],
        'neq': [Filter(name, query.OUTSIDE, (start, end))],
        'gt': [Filter(name, query.GTE, end)],
        'gte': [Filter(name, query.GTE, start)],
        'lt': [Filter(name, query.LT, start)],
        'lte': [Filter(name, query.LT, end)],
    }[op]


def _short(value: str) -> str:
    return value if len(value) <= 40 else f'{value[:40]}...'
