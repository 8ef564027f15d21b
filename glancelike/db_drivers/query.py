"""What a list of images asks for, as plain values; part of the database contract."""

from __future__ import annotations

import dataclasses
from typing import Any

#: Sort keys of the Images API (peer of the api-ref, "Sorting"); ``id`` is always the last tie-breaker.
SORT_KEYS = ('name', 'status', 'container_format', 'disk_format', 'size', 'id', 'created_at', 'updated_at')

EQ = 'eq'
IN = 'in'
GT = 'gt'
GTE = 'gte'
LT = 'lt'
LTE = 'lte'
OUTSIDE = 'outside'  # value is (low, high): true when x < low or x >= high
PREFIX = 'prefix'
CONTAINS = 'contains'  # case-insensitive (str.casefold), on name only

ATTRIBUTE = 'attribute'
PROPERTY = 'property'
TAG = 'tag'


@dataclasses.dataclass(frozen=True, slots=True)
class Filter:
    """One condition; a query holds when all of them hold.

    :ivar kind: ATTRIBUTE (a field of model.image.Image), PROPERTY or TAG
    :ivar field: attribute or property name; '' for TAG
    :ivar op: EQ and IN everywhere; GT..LTE and OUTSIDE on numbers and times; PREFIX and CONTAINS on name;
        properties and tags know EQ only
    :ivar value: str, int, bool or aware datetime as the attribute is; a tuple for IN and OUTSIDE
    """

    field: str
    op: str
    value: Any
    kind: str = ATTRIBUTE


@dataclasses.dataclass(frozen=True, slots=True)
class ImageQuery:
    """A page of images.

    :ivar visibility: None is the default list (public, own, shared with me by *member_status*; for an
        administrator everything but other projects' community images); one of VISIBILITIES; or 'all',
        which adds community images. See db_drivers.visibility.
    :ivar member_status: one of MEMBER_STATUSES or 'all': which memberships bring shared images in
    :ivar os_hidden: False leaves hidden images out, True lists only hidden ones
    :ivar sort: (key, 'asc' | 'desc') pairs, ending with a pair on ``id`` so that the order is total
    :ivar marker: id of the image after which the page begins
    :ivar limit: most images of the page, or None for all
    """

    filters: tuple[Filter, ...] = ()
    visibility: str | None = None
    member_status: str = 'accepted'
    os_hidden: bool = False
    sort: tuple[tuple[str, str], ...] = (('created_at', 'desc'), ('id', 'desc'))
    marker: str | None = None
    limit: int | None = None
