"""What a query's filters and order mean, said in plain Python over one image."""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from glancelike.plugin import Filter, Image, query

_COMPARE = {query.EQ: operator.eq, query.GT: operator.gt, query.GTE: operator.ge,
            query.LT: operator.lt, query.LTE: operator.le}


def holds(wanted: Filter, image: Image, properties: Mapping[str, str], tags: Collection[str]) -> bool:
    """Does the condition hold? (IMAGE-LIST-5, IMAGE-LIST-6)"""
    if wanted.kind == query.TAG:
        return wanted.value in tags
    if wanted.kind == query.PROPERTY:
        return wanted.field in properties and properties[wanted.field] == wanted.value
    found = getattr(image, wanted.field)
    if found is None:
        return False  # NULL matches no comparison
    if wanted.op == query.IN:
        return found in wanted.value
    if wanted.op == query.OUTSIDE:
        low, high = wanted.value
        return found < low or found >= high
    if wanted.op == query.PREFIX:
        return found.startswith(wanted.value)
    if wanted.op == query.CONTAINS:
        return wanted.value.casefold() in found.casefold()
    return _COMPARE[wanted.op](found, wanted.value)


class _Descending:
    """A value that sorts the other way round."""

    __slots__ = ('value',)

    def __init__(self, value: Any):
        self.value = value

    def __eq__(self, other: Any) -> bool:
        return self.value == other.value

    def __lt__(self, other: Any) -> bool:
        return other.value < self.value

    def __gt__(self, other: Any) -> bool:
        return other.value > self.value


def place(image: Image, sort: Sequence[tuple[str, str]]) -> tuple:
    """Where the image stands in the order: places compare, NULL comes before every value (IMAGE-LIST-2)."""
    keys = []
    for field, direction in sort:
        value = getattr(image, field)
        key = (False, '') if value is None else (True, value)
        keys.append(_Descending(key) if direction == 'desc' else key)
    return tuple(keys)
