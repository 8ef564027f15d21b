"""Rows to values and values to rows: text that a database can keep, times, images with their child rows."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from glancelike.db_drivers.sqlalchemy import tables
from glancelike.plugin import Image, ImportState, Location, Member, Task, Upload, errors

MAX_TEXT_BYTES = 65535  # TEXT of MySQL; the same everywhere, so that a catalogue can move
MAX_BIGINT = 2**63 - 1
MAX_INT = 2**31 - 1

#: Columns of an image row in the order in which ``image`` reads them.
IMAGE_COLUMNS = tuple(column for column in tables.images.c if column.name != 'name_folded')
_IMAGE_FIELDS = tuple(column.name for column in IMAGE_COLUMNS)
_TIME_FIELDS = ('created_at', 'updated_at', 'deleted_at')
_TEXT_LENGTHS = {column.name: column.type.length for column in tables.images.c
                 if isinstance(column.type, sa.String) and column.type.length}
_INTEGER_BOUNDS = {'size': MAX_BIGINT, 'virtual_size': MAX_BIGINT, 'min_disk': MAX_INT, 'min_ram': MAX_INT}
_LAST = MAX_INT  # where locations without a position stand

_TASK_JSON = ('input', 'result', 'caller')
_TASK_COLUMNS = tables.tasks.c

PROPERTY, TAG, LOCATION = 1, 2, 3  # what a row of the statement ``children`` in images.py is


# --- times -------------------------------------------------------------------------------------------------


def now() -> datetime.datetime:
    """This moment as it is stored: UTC, naive, with microseconds."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def ago(seconds: float) -> datetime.datetime:
    """The moment that many seconds before now; the beginning of time when that is longer ago."""
    try:
        return now() - datetime.timedelta(seconds=seconds)
    except OverflowError:
        return datetime.datetime(1000, 1, 1)


def after(moment: datetime.datetime) -> datetime.datetime:
    """Now, or just after *moment* (aware) when a clock went back: an image's updated_at only ever grows, so it
    also tells two writes apart."""
    return max(now(), naive(moment) + datetime.timedelta(microseconds=1))


def naive(moment: datetime.datetime) -> datetime.datetime:
    """An aware time as it is stored."""
    try:
        stored = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    except OverflowError:  # within a day of the first or last year that Python knows
        stored = moment.replace(tzinfo=None)
    return max(stored, datetime.datetime(1000, 1, 1))  # the earliest that MySQL compares


def aware(moment: datetime.datetime | None) -> datetime.datetime | None:
    """A stored time as it goes out."""
    return None if moment is None else moment.replace(tzinfo=datetime.UTC)


# --- text --------------------------------------------------------------------------------------------------


def storable(text: Any) -> bool:
    """Can every database keep and compare this text? No: NUL characters (PostgreSQL) and lone surrogates."""
    if not isinstance(text, str):
        return False
    if '\0' in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode('utf-8')
    except UnicodeEncodeError:
        return False
    return True


def check_text(field: str, value: str, *, max_characters: int | None = None) -> str:
    """Return *value*.

    :param max_characters: None allows MAX_TEXT_BYTES bytes instead
    :raises Invalid: a database could not keep it; names the field, not the value
    """
    if not storable(value):
        raise errors.Invalid(reason=f'{shown(field)} must be text without NUL characters and lone surrogates.')
    if max_characters is not None and len(value) > max_characters:
        raise errors.Invalid(reason=f'{shown(field)} may have at most {max_characters} characters, not {len(value)}.')
    if max_characters is None and len(value) * 4 > MAX_TEXT_BYTES and len(value.encode('utf-8')) > MAX_TEXT_BYTES:
        raise errors.Invalid(reason=f'{shown(field)} may have at most {MAX_TEXT_BYTES} bytes.')
    return value


def shown(text: Any) -> str:
    """The text as an error message can carry it."""
    return str(text).encode('utf-8', 'backslashreplace').decode('utf-8')[:300]


def check_property(name: str, value: str) -> None:
    """:raises Invalid: a database could not keep the property"""
    check_text('A property name', name, max_characters=255)
    check_text(f'Property {name}', value)


def attribute_row(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Column values for fields of an image.

    :raises Invalid: a value that the databases could not keep
    """
    row = dict(attributes)
    for field, value in attributes.items():
        if value is None:
            continue
        if field in _TEXT_LENGTHS:
            check_text(field, value, max_characters=_TEXT_LENGTHS[field])
        elif field in _INTEGER_BOUNDS and not 0 <= value <= _INTEGER_BOUNDS[field]:
            raise errors.Invalid(reason=f'{field} must be between 0 and {_INTEGER_BOUNDS[field]}, not {value}.')
    if 'name' in row:
        row['name_folded'] = folded(row['name'])
    if row.get('import_state') is not None:
        row['import_state'] = as_json('import_state', dataclasses.asdict(row['import_state']))
    return row


def as_json(field: str, value: Any) -> str:
    """The value as a column keeps it: JSON, which escapes what is not ASCII, NUL characters and surrogates included.

    :raises Invalid: it is too long
    """
    return check_text(field, json.dumps(value))


def folded(name: str | None) -> str | None:
    """What CONTAINS compares."""
    return None if name is None else name.casefold()


# --- rows to values ----------------------------------------------------------------------------------------


class Children:
    """Child rows of some images, sorted by image.

    :param rows: (kind, image id, row id, name, value, meta_data, store, status, position)
    """

    def __init__(self, rows: Iterable[Sequence[Any]]):
        self.properties: dict[str, dict[str, str]] = {}
        self.tags: dict[str, list[str]] = {}
        self.locations: dict[str, list[Location]] = {}
        self._positions: dict[int, int] = {}
        for kind, image_id, row_id, name, value, meta_data, store, status, position in rows:
            if kind == PROPERTY:
                self.properties.setdefault(image_id, {})[name] = value
            elif kind == TAG:
                self.tags.setdefault(image_id, []).append(value)
            else:
                self.locations.setdefault(image_id, []).append(location(row_id, value, meta_data, store, status))
                if position is not None:
                    self._positions[row_id] = position

    def image(self, row: Sequence[Any]) -> Image:
        """The image from the values of IMAGE_COLUMNS (more may follow), with its children."""
        fields = dict(zip(_IMAGE_FIELDS, row, strict=False))
        image_id = fields['id']
        for field in _TIME_FIELDS:
            if fields[field] is not None:
                fields[field] = fields[field].replace(tzinfo=datetime.UTC)
        if fields['import_state'] is not None:
            fields['import_state'] = import_state(fields['import_state'])
        locations = self.locations.get(image_id, ())
        if len(locations) > 1:
            locations = sorted(locations, key=lambda one: (self._positions.get(one.id, _LAST), one.id))
        return Image(**fields, properties=self.properties.get(image_id, {}),
                     tags=frozenset(self.tags.get(image_id, ())), locations=tuple(locations))


_CHILDLESS = Children(())


def image(row: Sequence[Any]) -> Image:
    """The image from the values of IMAGE_COLUMNS (more may follow), without its children."""
    return _CHILDLESS.image(row)


def import_state(stored: str) -> ImportState:
    fields = json.loads(stored)
    return ImportState(fields['task_id'], tuple(fields['importing_to']), tuple(fields['failed']))


def location(row_id: int, url: str, meta_data: str | None, store: str | None, status: str) -> Location:
    return Location(url, store, json.loads(meta_data) if meta_data else {}, status, row_id)


def location_metadata(given: Location) -> str | None:
    """The metadata as they are stored. :raises Invalid: they are too long"""
    return as_json('Location metadata', dict(given.metadata)) if given.metadata else None


def location_row(image_id: str, given: Location, stamp: datetime.datetime, upload_id: str | None = None,
                 position: int | None = None) -> dict:
    """Column values of a new location.

    :raises Invalid: a value that the databases could not keep
    """
    if given.store is not None:
        check_text('Store', given.store, max_characters=255)
    return {'image_id': image_id, 'value': check_text('Location URL', given.url),
            'meta_data': location_metadata(given), 'store': given.store, 'status': given.status,
            'upload_id': upload_id, 'position': position, **born(stamp)}


def born(stamp: datetime.datetime) -> dict[str, Any]:
    """Column values that every new row of an image has."""
    return {'created_at': stamp, 'updated_at': stamp, 'deleted_at': None, 'deleted': False}


def member(row: Any) -> Member:
    """A member from a row of image_members."""
    return Member(row.image_id, row.member, row.status, bool(row.can_share), aware(row.created_at),
                  aware(row.updated_at))


def upload(row: Any) -> Upload:
    """An upload from a row of image_uploads."""
    return Upload(row.id, row.image_id, row.node, row.store, row.owner, row.url, row.reserved,
                  aware(row.started_at), aware(row.heartbeat_at), row.task_id)


# --- tasks -------------------------------------------------------------------------------------------------


def task(row: Mapping[str, Any]) -> Task:
    """A task from the columns of its row."""
    fields = dict(row)
    for field in _TASK_JSON:
        if fields[field] is not None:
            fields[field] = json.loads(fields[field])
    for field in ('created_at', 'updated_at', 'expires_at'):
        fields[field] = aware(fields[field])
    return Task(**fields | {'cancelled': bool(fields['cancelled'])})


def task_row(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Column values for fields of a task, but for its times.

    :raises Invalid: a value that the databases could not keep
    """
    row = {}
    for field, value in fields.items():
        column = _TASK_COLUMNS[field].type
        if value is None:
            row[field] = None
        elif field in _TASK_JSON:
            row[field] = as_json(f'Task {field}', dict(value))
        elif isinstance(column, sa.String):
            row[field] = check_text(f'Task {field}', value, max_characters=column.length)
        elif isinstance(column, sa.BigInteger) and not 0 <= value <= MAX_BIGINT:
            raise errors.Invalid(reason=f'{field} must be between 0 and {MAX_BIGINT}, not {value}.')
        else:
            row[field] = value
    return row
