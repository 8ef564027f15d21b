"""The attributes of an image that a caller may set, and the names that it may not use."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from glancelike import errors
from glancelike.core import bounds
from glancelike.model.image import VISIBILITIES

#: What a create or an update may set; everything else of an image is the service's own.
SETTABLE = frozenset({
    'name', 'owner', 'visibility', 'protected', 'os_hidden', 'container_format', 'disk_format', 'min_disk',
    'min_ram',
})

#: Never set by a caller (Images API reference, "Show image"; 403).
READ_ONLY = frozenset({
    'id', 'status', 'size', 'virtual_size', 'checksum', 'os_hash_algo', 'os_hash_value', 'created_at', 'updated_at',
    'direct_url', 'self', 'file', 'schema', 'stores',
})

#: Names that were columns once and stay reserved (403).
RESERVED = frozenset({'location', 'deleted', 'deleted_at'})

#: Names that begin so are the service's own.
SERVICE_PREFIX = 'os_glance'

#: Names that no property can have.
NOT_PROPERTIES = SETTABLE | READ_ONLY | RESERVED | {'tags', 'locations'}

_UUID = re.compile(r'[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}')


def image_id(value: Any) -> str:
    """An id as a client may choose it: a UUID with hyphens, kept as written.

    :raises Invalid: it is something else
    """
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise errors.Invalid(reason='The id of an image must be a UUID, such as '
                                    '7a0c1d9e-2f9b-4d0b-9a59-6d7f2f6f3c11.')
    return value


def checked(attributes: Mapping[str, Any], disk_formats: Collection[str],
            container_formats: Collection[str]) -> dict[str, Any]:
    """The attributes, each of a kind and size that can be stored.

    :param disk_formats: what ``disk_format`` may be beside None; *container_formats* likewise
    :raises ReservedAttribute: one that a caller may not set
    :raises Invalid: a value of the wrong kind or size
    """
    return {name: _checked(name, value, disk_formats, container_formats) for name, value in attributes.items()}


def _checked(name: str, value: Any, disk_formats: Collection[str], container_formats: Collection[str]) -> Any:
    if name not in SETTABLE:
        raise errors.ReservedAttribute(name=name)
    if name in ('name', 'owner'):
        return None if value is None else bounds.text(name, value)
    if name == 'visibility':
        return _one_of(name, value, VISIBILITIES)
    if name in ('protected', 'os_hidden'):
        return bounds.flag(name, value)
    if name in ('min_disk', 'min_ram'):
        return bounds.whole_number(name, value)
    return None if value is None else _one_of(
        name, value, disk_formats if name == 'disk_format' else container_formats)


def _one_of(name: str, value: Any, allowed: Collection[str]) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise errors.Invalid(reason=f'{name} must be one of {", ".join(allowed)}.')
    return value


def check_property_name(name: Any) -> None:
    """:raises ReservedAttribute: the name is the service's own
    :raises Invalid: it cannot be the name of a property
    """
    bounds.text('The name of a property', name)
    if not name:
        raise errors.Invalid(reason='A property needs a name.')
    if name in NOT_PROPERTIES or name.startswith(SERVICE_PREFIX):
        raise errors.ReservedAttribute(name=name)


def checked_properties(properties: Mapping[str, Any]) -> dict[str, str]:
    """The properties as they are stored; None becomes an empty text, as Glance shows it.

    :raises ReservedAttribute, Invalid: as ``check_property_name``; Invalid also for a value that is no text or
        has more than 65,535 bytes
    """
    for name in properties:
        check_property_name(name)
    return {name: bounds.property_value(name, value) for name, value in properties.items()}


def checked_tags(tags: Iterable[Any]) -> frozenset[str]:
    """The tags, each once. :raises Invalid: one is no text of up to 255 characters."""
    return frozenset(bounds.text('A tag', tag) for tag in tags)
