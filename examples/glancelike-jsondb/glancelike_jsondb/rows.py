"""Between the values of glancelike and the rows of the JSON document; and what a query means for one image."""

from __future__ import annotations

import dataclasses
import datetime
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from glancelike.plugin import Filter, Image, ImportState, Location, Member, Upload, query

TIMES = ('created_at', 'updated_at', 'deleted_at', 'started_at', 'heartbeat_at', 'expires_at')
#: Fields that the row of an image keeps as its record; the rest of the row is its children.
IMAGE_FIELDS = tuple(field.name for field in dataclasses.fields(Image)
                     if field.name not in ('properties', 'tags', 'locations'))
_COMPARE = {query.EQ: operator.eq, query.GT: operator.gt, query.GTE: operator.ge, query.LT: operator.lt,
            query.LTE: operator.le}


def now() -> str:
    """The present, as rows keep it: these strings sort like the times that they name."""
    return text(datetime.datetime.now(datetime.UTC))


def ago(**units: float) -> str:
    """That long before the present (``seconds=5``)."""
    return text(datetime.datetime.now(datetime.UTC) - datetime.timedelta(**units))


def later_than(earlier: str) -> str:
    """The present, but always after *earlier*, also where the clock was set back."""
    return max(now(), text(_time(earlier) + datetime.timedelta(microseconds=1)))


def text(time: datetime.datetime) -> str:
    """The time as rows keep it."""
    return time.isoformat(timespec='microseconds')


def _time(text: str | None) -> datetime.datetime | None:
    return None if text is None else datetime.datetime.fromisoformat(text)


def times(row: dict) -> dict:
    """The row with its times as the values of glancelike have them."""
    return row | {name: _time(row[name]) for name in TIMES if name in row}


def image_row(image: Image, created_at: str, locations: list[dict]) -> dict[str, Any]:
    """The row of a new image: its record and its children."""
    record = attributes({name: getattr(image, name) for name in IMAGE_FIELDS})
    record |= {'created_at': created_at, 'updated_at': created_at, 'deleted_at': None, 'deleted': False, 'version': 1}
    return {'record': record, 'properties': dict(image.properties), 'tags': sorted(image.tags),
            'locations': locations, 'members': [], 'lost_bytes': False}


def image(row: dict) -> Image:
    """The image with its active locations."""
    return Image(**times(row['record']) | {'import_state': _import_state(row['record']['import_state'])},
                 properties=row['properties'], tags=frozenset(row['tags']),
                 locations=tuple(location(place) for place in row['locations'] if place['status'] == 'active'))


def attributes(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of an image as its record keeps them."""
    kept = dict(given)
    if kept.get('import_state') is not None:
        kept['import_state'] = dataclasses.asdict(kept['import_state'])
    return kept


def _import_state(kept: dict | None) -> ImportState | None:
    return kept and ImportState(kept['task_id'], tuple(kept['importing_to']), tuple(kept['failed']))


def location(row: dict) -> Location:
    return Location(**{name: value for name, value in row.items() if name != 'given_up_at'})


def member(image_id: str, row: dict) -> Member:
    return Member(image_id=image_id, **times(row))


def upload(row: dict) -> Upload:
    return Upload(**times({name: value for name, value in row.items() if name != 'image_status'}))


def holds(wanted: Filter, found: Image) -> bool:
    """Does the image meet the condition?"""
    if wanted.kind == query.TAG:
        return wanted.value in found.tags
    if wanted.kind == query.PROPERTY:
        return wanted.field in found.properties and found.properties[wanted.field] == wanted.value
    value = getattr(found, wanted.field)
    if value is None:
        return False
    if wanted.op == query.IN:
        return value in wanted.value
    if wanted.op == query.OUTSIDE:
        return value < wanted.value[0] or value >= wanted.value[1]
    if wanted.op == query.PREFIX:
        return value.startswith(wanted.value)
    if wanted.op == query.CONTAINS:
        return wanted.value.casefold() in value.casefold()
    return _COMPARE[wanted.op](value, wanted.value)


def ordered(images: Sequence[Image], sort: Sequence[tuple[str, str]]) -> list[Image]:
    """In that order; no value comes before every value. The last key is sorted by first: sorting is stable."""
    images = list(images)
    for field, direction in reversed(sort):
        images.sort(key=lambda image, field=field: _place(getattr(image, field)), reverse=direction == 'desc')
    return images


def _place(value: Any) -> tuple:
    return (0,) if value is None else (1, value)
