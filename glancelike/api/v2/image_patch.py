"""JSON patches of images: from a document in either media type to the changes of one image.

====================================================  ======================================================
``application/openstack-images-v2.1-json-patch``      ``[{"op": "replace", "path": "/name", "value": "x"}]``
``application/openstack-images-v2.0-json-patch``      ``[{"replace": "/name", "value": "x"}]``
====================================================  ======================================================

Paths are JSON pointers (RFC 6901) of one name; those of locations have a position behind it, or ``-`` for the end
(``/locations/0``), but for a ``replace`` of the whole list. ``add`` of a property that exists overwrites it in v2.1
and is a conflict in v2.0. All operations are done or none.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from glancelike import errors
from glancelike.api.v2.schemas import Schemas, is_reserved
from glancelike.core.location_patch import Edit
from glancelike.model.image import Image, ImageChanges
from glancelike.wsgi.request import printable

V21 = 'application/openstack-images-v2.1-json-patch'
V20 = 'application/openstack-images-v2.0-json-patch'
MEDIA_TYPES = (V21, V20)

ADD, REPLACE, REMOVE = 'add', 'replace', 'remove'
OPERATIONS = (ADD, REPLACE, REMOVE)

LOCATIONS = 'locations'

_BAD_ESCAPE = re.compile('~(?![01])')
_POSITION = re.compile('0|[1-9][0-9]{0,5}', re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class Operation:
    """One step of a patch.

    :ivar op: ADD, REPLACE or REMOVE
    :ivar name: the attribute or property; 'tags' for the tags
    :ivar overwrites: ADD of a property that exists is no conflict
    :ivar position: of LOCATIONS: which one, from 0; None for the end, or for the whole list
    """

    op: str
    name: str
    value: Any = None
    overwrites: bool = True
    position: int | None = None


def check_media_type(media_type: str) -> None:
    """:raises UnsupportedMediaType: not one of the two."""
    if media_type not in MEDIA_TYPES:
        raise errors.UnsupportedMediaType(given=printable(media_type) or 'none', accepted=', '.join(MEDIA_TYPES))


def parse(media_type: str, document: Any, schemas: Schemas, *, locations: bool = False) -> list[Operation]:
    """The operations of a patch, each checked as far as it can be without the image.

    :param locations: may they be changed at all (``show_multiple_locations``)?
    :raises InvalidPatch: it is of no such form, or a value breaks the schema (names both)
    :raises ReservedAttribute: a name that callers do not set
    """
    if not isinstance(document, list):
        raise errors.InvalidPatch(reason='A patch is a JSON array of operations.')
    operations = []
    for step in document:
        if not isinstance(step, dict):
            raise errors.InvalidPatch(reason='An operation of a patch is a JSON object.')
        op, path = _from_v21(step) if media_type == V21 else _from_v20(step)
        name, *rest = _names(path, op)
        if is_reserved(name) and not (locations and name == LOCATIONS):
            raise errors.ReservedAttribute(name=printable(name))
        position = _position(op, rest) if name == LOCATIONS else None
        if op == REMOVE:
            operations.append(Operation(op, name, position=position))
            continue
        if 'value' not in step:
            raise errors.InvalidPatch(reason=f"Operation '{op}' of {printable(path)} needs a value.")
        schemas.check_value(name, [step['value']] if name == LOCATIONS and op == ADD else step['value'])
        operations.append(Operation(op, name, step['value'], overwrites=media_type == V21, position=position))
    return operations


def location_edits(operations: Sequence[Operation]) -> list[Edit]:
    """The operations on locations."""
    return [Edit(one.op, one.position, one.value) for one in operations if one.name == LOCATIONS]


def changes(operations: Sequence[Operation], image: Image, schemas: Schemas) -> ImageChanges:
    """What the operations but those on locations, done one after the other, change of *image*.

    :param image: with the properties that the caller may read
    :raises PropertyMissing: replace or remove of a property that is not there
    :raises PropertyExists: a v2.0 add of something that is there
    :raises Forbidden: remove of an attribute that every image has
    """
    attributes: dict[str, Any] = {}
    properties = dict(image.properties)
    touched: set[str] = set()
    tags = None
    for one in operations:
        if one.name == LOCATIONS:
            continue
        if one.name in schemas.base_names:
            if one.op == REMOVE:
                raise errors.Forbidden(f"Attribute '{one.name}' cannot be removed; every image has it.")
            if one.op == ADD and not one.overwrites:
                raise errors.PropertyExists(name=one.name)
            if one.name == 'tags':
                tags = frozenset(one.value)
            else:
                attributes[one.name] = one.value
            continue
        if one.op != ADD and one.name not in properties:
            raise errors.PropertyMissing(name=printable(one.name))
        if one.op == ADD and not one.overwrites and one.name in properties:
            raise errors.PropertyExists(name=printable(one.name))
        touched.add(one.name)
        if one.op == REMOVE:
            del properties[one.name]
        else:
            properties[one.name] = '' if one.value is None else one.value
    return ImageChanges(
        attributes=attributes, tags=tags,
        set_properties={name: properties[name] for name in sorted(touched & properties.keys())},
        remove_properties=frozenset(touched - properties.keys()) & image.properties.keys())


def _from_v21(step: dict[str, Any]) -> tuple[str, str]:
    for key in ('op', 'path'):
        if key not in step:
            raise errors.InvalidPatch(reason=f"An operation of a patch needs '{key}'.")
    if not isinstance(step['op'], str) or step['op'] not in OPERATIONS:
        raise errors.InvalidPatch(
            reason=f"Operation '{printable(step['op'])}' is not one of {', '.join(OPERATIONS)}.")
    return step['op'], step['path']


def _from_v20(step: dict[str, Any]) -> tuple[str, str]:
    found = [op for op in OPERATIONS if op in step]
    if len(found) != 1:
        raise errors.InvalidPatch(
            reason=f"An operation of a patch needs exactly one of {', '.join(OPERATIONS)}.")
    return found[0], step[found[0]]


def _position(op: str, rest: Sequence[str]) -> int | None:
    """What stands behind ``/locations``."""
    if op == REPLACE:
        return None
    if rest == ['-'] and op == ADD:
        return None
    if len(rest) != 1 or not _POSITION.fullmatch(rest[0]):
        raise errors.InvalidPatch(reason=f"Operation '{op}' of locations needs a position, such as /locations/0.")
    return int(rest[0])


def _names(path: Any, op: str) -> list[str]:
    """The names that the pointer *path* is made of: one, and a position where locations are added or removed."""
    if not isinstance(path, str):
        raise errors.InvalidPatch(reason='The path of an operation must be a text.')
    shown = printable(path)
    if not path.startswith('/'):
        raise errors.InvalidPatch(reason=f"Pointer '{shown}' must begin with '/'.")
    if path.endswith('/') or '//' in path:
        raise errors.InvalidPatch(reason=f"Pointer '{shown}' has an empty name in it.")
    if _BAD_ESCAPE.search(path):
        raise errors.InvalidPatch(reason=f"Pointer '{shown}' has a '~' that is neither '~0' nor '~1'.")
    names = [one.replace('~1', '/').replace('~0', '~') for one in path[1:].split('/')]
    deepest = 2 if names[0] == LOCATIONS and op != REPLACE else 1
    if len(names) > deepest:
        raise errors.InvalidPatch(reason=f"Pointer '{shown}' leads too deep; images have one level.")
    return names
