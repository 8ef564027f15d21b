"""An image, its locations and its members, and the changes that can be asked of it."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

QUEUED = 'queued'
SAVING = 'saving'
UPLOADING = 'uploading'
IMPORTING = 'importing'
ACTIVE = 'active'
DEACTIVATED = 'deactivated'
KILLED = 'killed'
PENDING_DELETE = 'pending_delete'
DELETED = 'deleted'

#: The status machine of the Images API (api-ref, "Image statuses"): from -> allowed to.
TRANSITIONS: Mapping[str, frozenset[str]] = MappingProxyType({
    QUEUED: frozenset({SAVING, UPLOADING, IMPORTING, ACTIVE, DELETED}),
    SAVING: frozenset({ACTIVE, KILLED, DELETED, QUEUED}),
    UPLOADING: frozenset({IMPORTING, QUEUED, DELETED}),
    IMPORTING: frozenset({ACTIVE, DELETED, QUEUED}),
    ACTIVE: frozenset({PENDING_DELETE, DELETED, DEACTIVATED}),
    DEACTIVATED: frozenset({ACTIVE, DELETED, PENDING_DELETE}),
    PENDING_DELETE: frozenset({DELETED, ACTIVE}),
    KILLED: frozenset({DELETED}),
    DELETED: frozenset(),
})

VISIBILITIES = ('public', 'community', 'shared', 'private')
MEMBER_STATUSES = ('pending', 'accepted', 'rejected')

LOCATION_ACTIVE = 'active'
LOCATION_PENDING_DELETE = 'pending_delete'
LOCATION_STAGED = 'staged'  # bytes that wait for their import; in no document, of no download


@dataclasses.dataclass(frozen=True, slots=True)
class Location:
    """Where one copy of the image's bytes is.

    :ivar url: names the store's object; never carries credentials that we wrote
    :ivar store: id of the configured store, or None for a URL of no configured store
    :ivar metadata: JSON-able facts of the store about this copy
    :ivar status: ``active``, ``pending_delete`` or ``staged``
    :ivar id: the row's id, given by the database driver; None before it is stored
    """

    url: str
    store: str | None = None
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    status: str = LOCATION_ACTIVE
    id: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ImportState:
    """What an import leaves to be seen on its image (``os_glance_...`` in documents).

    :ivar task_id: the task that has the image now, None when the import is over
    :ivar importing_to: ids of the stores that are still to get the data
    :ivar failed: ids of the stores that could not take them
    """

    task_id: str | None = None
    importing_to: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """One image record as stored; hidden properties are hidden on the way out, never here.

    Sizes are bytes, ``min_disk`` is GB, ``min_ram`` MB, times are aware UTC datetimes.

    :ivar version: grows by one with every stored change; what ETag and ``If-Match`` compare
    :ivar import_state: None for an image that was never imported; machine state, changed by the service only
    :ivar locations: active ones only, in the order in which they were added
    """

    id: str
    status: str = QUEUED
    visibility: str = 'shared'
    name: str | None = None
    owner: str | None = None
    protected: bool = False
    os_hidden: bool = False
    container_format: str | None = None
    disk_format: str | None = None
    min_disk: int = 0
    min_ram: int = 0
    size: int | None = None
    virtual_size: int | None = None
    checksum: str | None = None
    os_hash_algo: str | None = None
    os_hash_value: str | None = None
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None
    deleted_at: datetime.datetime | None = None
    deleted: bool = False
    version: int = 1
    import_state: ImportState | None = None
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    locations: tuple[Location, ...] = ()


#: Fields of Image that a change may set (ImageChanges.attributes).
CHANGEABLE = frozenset({
    'status', 'visibility', 'name', 'owner', 'protected', 'os_hidden', 'container_format', 'disk_format',
    'min_disk', 'min_ram', 'size', 'virtual_size', 'checksum', 'os_hash_algo', 'os_hash_value', 'import_state',
})


@dataclasses.dataclass(frozen=True, slots=True)
class ImageChanges:
    """What a write asks for; what is not named here stays as it is in the database.

    :ivar attributes: new values by field name, a subset of CHANGEABLE
    :ivar set_properties: properties to add or overwrite
    :ivar remove_properties: properties to remove; removing an absent one changes nothing
    :ivar tags: the whole new tag set, or None to leave tags alone
    """

    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    set_properties: Mapping[str, str] = dataclasses.field(default_factory=dict)
    remove_properties: frozenset[str] = frozenset()
    tags: frozenset[str] | None = None

    def __bool__(self) -> bool:
        return bool(self.attributes or self.set_properties or self.remove_properties) or self.tags is not None


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """A project with which a shared image is shared."""

    image_id: str
    member: str
    status: str = 'pending'
    can_share: bool = False
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None
