"""A task: work on an image that goes on after the request was answered, and what may be seen of it."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

PENDING = 'pending'
PROCESSING = 'processing'
SUCCESS = 'success'
FAILURE = 'failure'

#: The status machine of the Tasks API (api-ref, "Task statuses"): from -> allowed to.
TASK_TRANSITIONS: Mapping[str, frozenset[str]] = MappingProxyType({
    PENDING: frozenset({PROCESSING, FAILURE}),
    PROCESSING: frozenset({SUCCESS, FAILURE}),
    SUCCESS: frozenset(),
    FAILURE: frozenset(),
})
TASK_STATUSES = tuple(TASK_TRANSITIONS)

#: Made by ``POST /v2/tasks``, by an import, by a location that is to be hashed.
IMPORT = 'import'
IMAGE_IMPORT = 'api_image_import'
LOCATION_IMPORT = 'location_import'
TASK_TYPES = (IMPORT, IMAGE_IMPORT, LOCATION_IMPORT)


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """One task as stored. While it is unfinished an ``Upload`` with its ``task_id`` says who works at it.

    :ivar input: what was asked, as users may see it: JSON-able, no secret in it
    :ivar result: what came of it (``{'image_id': ...}``), None until it succeeded
    :ivar message: why it failed, or what it did; fit for its owner
    :ivar caller: who asked: ``user_id``, ``project_id``, ``roles``; for the service itself
    :ivar secret: encrypted; what the work needs and nobody may see (a token); gone when the task ends
    :ivar step: what is being done: ``fetch``, ``store fast``
    :ivar bytes_done: of this step, with ``bytes_total`` (None while unknown) and ``rate`` in bytes per second
    :ivar attempts: how often it was begun and not left in an orderly way
    :ivar cancelled: its end was asked for; whoever works at it stops soon
    :ivar expires_at: when the row may go; None while the task is unfinished
    """

    id: str
    type: str
    status: str = PENDING
    owner: str | None = None
    user_id: str | None = None
    request_id: str | None = None
    image_id: str | None = None
    input: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    result: Mapping[str, Any] | None = None
    message: str = ''
    caller: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    secret: str | None = dataclasses.field(default=None, repr=False)
    step: str = ''
    bytes_done: int = 0
    bytes_total: int | None = None
    rate: int | None = None
    cancelled: bool = False
    attempts: int = 0
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None
    expires_at: datetime.datetime | None = None

    @property
    def finished(self) -> bool:
        """Nothing will change any more."""
        return not TASK_TRANSITIONS[self.status]


#: Fields of Task that a change may set (TaskChanges.attributes).
TASK_CHANGEABLE = frozenset({
    'status', 'result', 'message', 'secret', 'step', 'bytes_done', 'bytes_total', 'rate', 'cancelled', 'attempts',
})


@dataclasses.dataclass(frozen=True, slots=True)
class TaskChanges:
    """What a write asks for; what is not named here stays as it is in the database.

    :ivar attributes: new values by field name, a subset of TASK_CHANGEABLE
    :ivar expires_in_seconds: with a final status: ``expires_at`` is that much later than now
    """

    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    expires_in_seconds: float | None = None


#: What tasks may be sorted by; ``id`` breaks ties.
TASK_SORT_KEYS = ('created_at', 'updated_at', 'expires_at', 'status', 'type', 'id')


@dataclasses.dataclass(frozen=True, slots=True)
class TaskQuery:
    """A page of tasks.

    :ivar status: one of TASK_STATUSES, or None for all; ``type`` and ``image_id`` likewise
    :ivar sort: (one of TASK_SORT_KEYS, 'asc' | 'desc')
    :ivar marker: id of the task after which the page begins
    :ivar limit: most tasks of the page, or None for all
    """

    status: str | None = None
    type: str | None = None
    image_id: str | None = None
    sort: tuple[str, str] = ('created_at', 'desc')
    marker: str | None = None
    limit: int | None = None
