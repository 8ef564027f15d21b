"""An upload in flight: the lease that keeps other nodes from undoing it, and its storage reservation."""

from __future__ import annotations

import dataclasses
import datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Upload:
    """One writer's claim on an image in ``saving``. Machine state: a row of its own, never a property.

    :ivar id: UUID of this attempt; every later step must present it
    :ivar node: name of the process that writes, for the operator's eyes
    :ivar store: id of the store that the bytes go to
    :ivar url: where the bytes will be, when the store can tell beforehand
    :ivar reserved: bytes counted against the owner's quota until the upload is settled
    :ivar heartbeat_at: last sign of life, by the database's clock where it has one
    :ivar task_id: the task that writes; None for an upload by a request. It is the import lock: an image has one Upload
    """

    id: str
    image_id: str
    node: str
    store: str
    owner: str | None = None
    url: str | None = None
    reserved: int = 0
    started_at: datetime.datetime | None = None
    heartbeat_at: datetime.datetime | None = None
    task_id: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """What one project holds now.

    :ivar stored_bytes: sum over its images of size times number of active locations
    :ivar reserved_bytes: sum of the reservations of its uploads in flight
    :ivar images: number of its images that are not deleted
    :ivar uploading: number of its images in saving, uploading or importing
    :ivar staged_bytes: sum of the sizes of its images that have a staged location
    """

    stored_bytes: int = 0
    reserved_bytes: int = 0
    images: int = 0
    uploading: int = 0
    staged_bytes: int = 0
