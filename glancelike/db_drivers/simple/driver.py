"""``simple``: all images in the memory of this process, gone when it stops; readable twin of the SQL driver.

One lock makes each call one transaction: a method checks everything first and changes rows only after that.
Rows are mutable and never leave this file; what goes out is built anew from them.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime
import heapq
import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from glancelike.db_drivers.simple import matching
from glancelike.db_drivers.simple.tasks import TaskRows
from glancelike.plugin import (
    DbDriver,
    Image,
    ImageChanges,
    ImageQuery,
    Location,
    Member,
    RequestContext,
    Task,
    TaskChanges,
    TaskQuery,
    Upload,
    Usage,
    errors,
    visibility,
)

PENDING_DELETE = 'pending_delete'
STAGED = 'staged'
NO_CHANGES = ImageChanges()
#: What an image that goes back to ``queued`` has no more (UPLOAD-10).
FACTS_OF_BYTES = ('size', 'virtual_size', 'checksum', 'os_hash_algo', 'os_hash_value')
UPLOADING = ('saving', 'uploading', 'importing')


@dataclasses.dataclass(slots=True)
class _Row:
    """One stored image with everything that hangs on it.

    :ivar image: the record with empty properties, tags and locations: those are the fields below
    :ivar locations: in their order, ``active``, ``staged`` or ``pending_delete``
    :ivar given_up: by location id, since when the image itself has no use for it; the other ``pending_delete`` ones
        are so because the image was deleted, and come back with it
    :ivar lost_bytes: a location was forgotten, so the image cannot be restored
    """

    image: Image
    properties: dict[str, str]
    tags: set[str]
    locations: list[Location]
    members: dict[str, Member] = dataclasses.field(default_factory=dict)
    given_up: dict[int, datetime.datetime] = dataclasses.field(default_factory=dict)
    lost_bytes: bool = False

    def value(self) -> Image:
        """The image as it goes out: frozen, sharing nothing that can change with the row."""
        return dataclasses.replace(
            self.image, properties=dict(self.properties), tags=frozenset(self.tags),
            locations=tuple(copy.deepcopy(self.places('active'))))

    def places(self, status: str) -> list[Location]:
        return [place for place in self.locations if place.status == status]

    def give_up(self, places: Sequence[Location]) -> None:
        """The image has no use for them from now on: they are pending_delete, and stay so."""
        self.given_up |= {place.id: _now() for place in places}
        self.locations = [dataclasses.replace(place, status=PENDING_DELETE) if place.id in self.given_up else place
                          for place in self.locations]

    def member_status(self, member: str | None) -> str | None:
        membership = self.members.get(member)
        return membership.status if membership else None

    def readable(self, ctx: RequestContext) -> bool:
        return visibility.readable(ctx, self.image, self.member_status(ctx.project_id))

    def known(self, ctx: RequestContext) -> bool:
        return visibility.known(ctx, self.image, self.member_status(ctx.project_id))

    def stored_bytes(self) -> int:
        return (self.image.size or 0) * sum(place.status == 'active' for place in self.locations)

    def touch(self, **fields: Any) -> None:
        """Set fields of the record; the version grows and updated_at moves on (ALL-5, IMAGE-UPDATE-2)."""
        updated_at = _later_than(self.image.updated_at)
        self.image = dataclasses.replace(self.image, version=self.image.version + 1, updated_at=updated_at,
                                         **fields)

    def apply(self, changes: ImageChanges, **more: Any) -> None:
        """Do what the change set and *more* name, and nothing else."""
        self.touch(**{**changes.attributes, **more})
        self.properties.update(changes.set_properties)
        for name in changes.remove_properties:
            self.properties.pop(name, None)
        if changes.tags is not None:
            self.tags = set(changes.tags)


@dataclasses.dataclass(slots=True)
class _Lease:
    """One unsettled upload; *image_status* is the status that ``upload_begin`` gave the image."""

    upload: Upload
    image_status: str


class SimpleDriver(DbDriver):
    """Images in this process's memory; gone when it stops, not shared with other processes."""

    def __init__(self, options: Any):
        super().__init__(options)
        self._lock = threading.RLock()
        self._rows: dict[str, _Row] = {}
        self._leases: dict[str, _Lease] = {}
        self._tasks = TaskRows()
        self._location_ids = itertools.count(1)

    # --- life of the driver --------------------------------------------------------------------------------

    def create_schema(self) -> None:
        """Nothing to make."""

    def check_schema(self) -> None:
        """Always right."""

    def ping(self) -> None:
        """Always there."""

    def close(self) -> None:
        """Nothing to give up."""

    # --- finding rows (the lock is held) -------------------------------------------------------------------

    def _live(self, image_id: str) -> _Row:
        row = self._rows.get(image_id)
        if row is None or row.image.deleted:
            raise errors.ImageNotFound(image_id=image_id)
        return row

    def _readable(self, ctx: RequestContext, image_id: str) -> _Row:
        row = self._live(image_id)
        if not row.readable(ctx):
            raise errors.ImageNotFound(image_id=image_id)
        return row

    def _writable(self, ctx: RequestContext, image_id: str, from_status: str | None,
                  if_version: int | None = None) -> _Row:
        row = self._readable(ctx, image_id)
        _check_status(row, from_status)
        if if_version is not None and row.image.version != if_version:
            raise errors.VersionConflict(image_id=image_id)
        return row

    def _membership(self, image_id: str, member: str) -> tuple[_Row, Member]:
        row = self._live(image_id)
        if member not in row.members:
            raise errors.MemberNotFound(image_id=image_id, member=member)
        return row, row.members[member]

    def _lease(self, upload_id: str) -> _Lease:
        lease = self._leases.get(upload_id)
        if lease is None:
            raise errors.StatusConflict(f'Upload {upload_id} is settled or was taken over by another node.')
        return lease

    def _lease_of(self, image_id: str) -> _Lease | None:
        return next((lease for lease in self._leases.values() if lease.upload.image_id == image_id), None)

    # --- images --------------------------------------------------------------------------------------------

    def image_create(self, ctx: RequestContext, image: Image) -> Image:
        with self._lock:
            if image.id in self._rows:
                raise errors.ImageExists(image_id=image.id)
            now = _now()
            record = dataclasses.replace(
                image, created_at=now, updated_at=now, deleted_at=None, deleted=False, version=1,
                properties={}, tags=frozenset(), locations=())
            row = _Row(record, dict(image.properties), set(image.tags), self._with_ids(image.locations))
            self._rows[image.id] = row
            return row.value()

    def _with_ids(self, locations: Sequence[Location]) -> list[Location]:
        return [dataclasses.replace(copy.deepcopy(place), id=next(self._location_ids),
                                    status=STAGED if place.status == STAGED else 'active')
                for place in locations]

    def image_get(self, ctx: RequestContext, image_id: str) -> Image:
        with self._lock:
            return self._readable(ctx, image_id).value()

    def image_list(self, ctx: RequestContext, query: ImageQuery) -> list[Image]:
        with self._lock:
            after = None
            if query.marker is not None:
                marker = self._rows.get(query.marker)
                if marker is None or marker.image.deleted or not marker.known(ctx):
                    raise errors.InvalidMarker(marker=query.marker)
                after = matching.place(marker.image, query.sort)
            rows = self._matching(ctx, query)
            if after is not None:
                rows = (row for row in rows if matching.place(row.image, query.sort) > after)
            limit = len(self._rows) if query.limit is None else query.limit
            page = heapq.nsmallest(limit, rows, key=lambda row: matching.place(row.image, query.sort))
            return [row.value() for row in page]

    def image_count(self, ctx: RequestContext, query: ImageQuery, at_most: int) -> int:
        with self._lock:
            return sum(1 for _ in itertools.islice(self._matching(ctx, query), at_most))

    def _matching(self, ctx: RequestContext, query: ImageQuery) -> Iterator[_Row]:
        """The rows that the query asks for, whatever its page, in no order."""
        for row in self._rows.values():
            image = row.image
            if image.deleted or image.status == 'killed' or image.os_hidden != query.os_hidden:
                continue
            if not visibility.listed(ctx, image, row.member_status(ctx.project_id),
                                     visibility=query.visibility, wanted_status=query.member_status):
                continue
            if all(matching.holds(wanted, image, row.properties, row.tags) for wanted in query.filters):
                yield row

    def image_update(self, ctx: RequestContext, image_id: str, changes: ImageChanges, *,
                     from_status: str | None = None, if_version: int | None = None) -> Image:
        with self._lock:
            row = self._writable(ctx, image_id, from_status, if_version)
            row.apply(changes)
            return row.value()

    def image_delete(self, ctx: RequestContext, image_id: str, *, from_status: str | None = None,
                     if_version: int | None = None, status: str = 'deleted') -> Image:
        with self._lock:
            row = self._writable(ctx, image_id, from_status, if_version)
            if row.image.protected:
                raise errors.ProtectedImage(image_id=image_id)
            row.touch(status=status, deleted=True, deleted_at=_later_than(row.image.updated_at))
            told = [dataclasses.replace(place, status=PENDING_DELETE) for place in row.places('active')]
            told += row.places(STAGED)
            row.locations = [dataclasses.replace(place, status=PENDING_DELETE) if place.status == 'active' else place
                             for place in row.locations]
            return dataclasses.replace(row.value(), locations=tuple(copy.deepcopy(told)))

    def image_restore(self, ctx: RequestContext, image_id: str, status: str) -> Image:
        with self._lock:
            row = self._rows.get(image_id)
            if row is None or not row.image.deleted or row.lost_bytes:
                raise errors.ImageNotFound(image_id=image_id)
            row.touch(status=status, deleted=False, deleted_at=None)
            row.locations = [place if place.status == STAGED or place.id in row.given_up
                             else dataclasses.replace(place, status='active') for place in row.locations]
            return row.value()

    # --- tags ----------------------------------------------------------------------------------------------

    def tag_add(self, ctx: RequestContext, image_id: str, tag: str, *, at_most: int | None = None) -> None:
        with self._lock:
            row = self._readable(ctx, image_id)
            if tag in row.tags:
                return
            _check_count('tags', len(row.tags) + 1, at_most)
            row.tags.add(tag)
            row.touch()

    def tag_remove(self, ctx: RequestContext, image_id: str, tag: str) -> None:
        with self._lock:
            row = self._readable(ctx, image_id)
            if tag not in row.tags:
                raise errors.TagNotFound(image_id=image_id, tag=tag)
            row.tags.remove(tag)
            row.touch()

    # --- members -------------------------------------------------------------------------------------------

    def member_add(self, ctx: RequestContext, image_id: str, member: str, *, can_share: bool = False,
                   status: str = 'pending', at_most: int | None = None) -> Member:
        with self._lock:
            row = self._readable(ctx, image_id)
            if member in row.members:
                raise errors.MemberExists(image_id=image_id, member=member)
            _check_count('members', len(row.members) + 1, at_most)
            now = _now()
            row.members[member] = Member(image_id, member, status, can_share, created_at=now, updated_at=now)
            return row.members[member]

    def member_get(self, ctx: RequestContext, image_id: str, member: str) -> Member:
        with self._lock:
            for membership in self.member_list(ctx, image_id):
                if membership.member == member:
                    return membership
            raise errors.MemberNotFound(image_id=image_id, member=member)

    def member_list(self, ctx: RequestContext, image_id: str) -> list[Member]:
        with self._lock:
            row = self._rows.get(image_id)
            if row is None or row.image.deleted:
                return []
            if ctx.is_admin or (ctx.project_id is not None and ctx.project_id == row.image.owner):
                return list(row.members.values())
            return [membership for membership in row.members.values() if membership.member == ctx.project_id]

    def member_update(self, ctx: RequestContext, image_id: str, member: str, status: str) -> Member:
        with self._lock:
            row, membership = self._membership(image_id, member)
            row.members[member] = dataclasses.replace(membership, status=status,
                                                      updated_at=_later_than(membership.updated_at))
            return row.members[member]

    def member_remove(self, ctx: RequestContext, image_id: str, member: str) -> None:
        with self._lock:
            row, _ = self._membership(image_id, member)
            del row.members[member]

    def member_status(self, image_id: str, member: str) -> str | None:
        with self._lock:
            row = self._rows.get(image_id)
            return None if row is None or row.image.deleted else row.member_status(member)

    # --- uploads: leases and reservations ------------------------------------------------------------------

    def upload_begin(self, ctx: RequestContext, upload: Upload, *, from_status: str = 'queued',
                     to_status: str = 'saving', changes: ImageChanges = NO_CHANGES, task: Task | None = None) -> Image:
        with self._lock:
            row = self._writable(ctx, upload.image_id, from_status)
            if self._lease_of(upload.image_id) is not None:
                raise errors.StatusConflict(f'Another upload of image {upload.image_id} is not settled yet.')
            if task is not None:
                self._tasks.create(task)
            now = _now()
            self._leases[upload.id] = _Lease(
                dataclasses.replace(upload, started_at=now, heartbeat_at=now), to_status)
            row.apply(changes, status=to_status)
            return row.value()

    def upload_heartbeat(self, upload_id: str) -> bool:
        with self._lock:
            lease = self._leases.get(upload_id)
            if lease is None:
                return False
            heard = _later_than(lease.upload.heartbeat_at)
            lease.upload = dataclasses.replace(lease.upload, heartbeat_at=heard)
            return True

    def upload_reserve(self, upload_id: str, reserved: int, limit: int | None) -> None:
        with self._lock:
            lease = self._lease(upload_id)
            if limit is not None:
                held = self.usage(lease.upload.owner)
                wanted = held.stored_bytes + held.reserved_bytes - lease.upload.reserved + reserved
                if wanted > limit:
                    raise errors.QuotaExceeded(resource='stored bytes', limit=limit, wanted=wanted)
            lease.upload = dataclasses.replace(lease.upload, reserved=reserved)

    def upload_finish(self, ctx: RequestContext, upload_id: str, changes: ImageChanges,
                      locations: Sequence[Location], *, from_status: str = 'saving',
                      task: TaskChanges | None = None, ends: bool = True) -> Image:
        with self._lock:
            lease = self._lease(upload_id)
            row = self._rows[lease.upload.image_id]
            if row.image.deleted:
                raise errors.ImageGone(image_id=row.image.id)
            _check_status(row, from_status)
            if task is not None:
                self._tasks.update(lease.upload.task_id, task)
            if ends:
                row.give_up(row.places(STAGED) if lease.upload.task_id else [])
                del self._leases[upload_id]
            else:
                self.upload_heartbeat(upload_id)
                lease.upload = dataclasses.replace(lease.upload, reserved=0)
            row.locations += self._with_ids(locations)
            row.apply(changes)
            return row.value()

    def upload_abort(self, upload_id: str, *, to_status: str = 'queued', changes: ImageChanges = NO_CHANGES,
                     task: TaskChanges | None = None) -> bool:
        with self._lock:
            lease = self._leases.pop(upload_id, None)
            if lease is None:
                return False
            if task is not None:
                self._tasks.update_if_unfinished(lease.upload.task_id, task)
            row = self._rows[lease.upload.image_id]
            staged = row.places(STAGED) if lease.upload.task_id else []
            row.give_up(staged)
            if row.image.deleted:
                return True
            back = {}
            if row.image.status == lease.image_status:
                back = {'status': to_status} | (dict.fromkeys(FACTS_OF_BYTES) if to_status == 'queued' else {})
            if back or changes or staged:
                row.apply(dataclasses.replace(changes, attributes={**back, **changes.attributes}))
            return True

    def uploads_expired(self, silent_seconds: float, limit: int = 100) -> list[Upload]:
        with self._lock:
            heard_last = _now() - datetime.timedelta(seconds=silent_seconds)
            silent = [lease.upload for lease in self._leases.values()
                      if lease.upload.heartbeat_at <= heard_last]
            return sorted(silent, key=lambda upload: upload.heartbeat_at)[:limit]

    def upload_take_over(self, upload: Upload, new_id: str, node: str) -> bool:
        with self._lock:
            lease = self._leases.get(upload.id)
            if lease is None or lease.upload.heartbeat_at != upload.heartbeat_at:
                return False
            del self._leases[upload.id]
            lease.upload = dataclasses.replace(lease.upload, id=new_id, node=node,
                                               heartbeat_at=_later_than(upload.heartbeat_at))
            self._leases[new_id] = lease
            return True

    def upload_of_image(self, image_id: str) -> Upload | None:
        with self._lock:
            lease = self._lease_of(image_id)
            return lease.upload if lease else None

    # --- tasks ---------------------------------------------------------------------------------------------

    def task_create(self, ctx: RequestContext, task: Task) -> Task:
        with self._lock:
            return self._tasks.create(task)

    def task_get(self, ctx: RequestContext, task_id: str) -> Task:
        with self._lock:
            return self._tasks.get(ctx, task_id)

    def task_list(self, ctx: RequestContext, query: TaskQuery) -> list[Task]:
        with self._lock:
            return self._tasks.list(ctx, query)

    def task_update(self, task_id: str, changes: TaskChanges, *, from_status: str | None = None) -> Task:
        with self._lock:
            return self._tasks.update(task_id, changes, from_status)

    def tasks_orphaned(self, older_than_seconds: float, limit: int = 100) -> list[Task]:
        with self._lock:
            held = {lease.upload.task_id for lease in self._leases.values()}
            return self._tasks.orphaned(older_than_seconds, limit, held)

    def tasks_expire(self, limit: int = 100) -> int:
        with self._lock:
            return self._tasks.expire(limit)

    # --- locations -----------------------------------------------------------------------------------------

    def location_staged(self, image_id: str) -> Location | None:
        with self._lock:
            row = self._rows.get(image_id)
            staged = row.places(STAGED) if row is not None and not row.image.deleted else []
            return copy.deepcopy(staged[-1]) if staged else None

    def locations_set(self, ctx: RequestContext, image_id: str, locations: Sequence[Location],
                      changes: ImageChanges = NO_CHANGES, *, from_status: str | None = None,
                      if_version: int | None = None) -> Image:
        with self._lock:
            row = self._writable(ctx, image_id, from_status, if_version)
            if self._lease_of(image_id) is not None:
                raise errors.StatusConflict(f'An upload of image {image_id} is not settled yet.')
            had = {place.id: place for place in row.places('active')}
            kept = [place.id for place in locations if place.id is not None]
            if len(set(kept)) < len(kept) or not had.keys() >= set(kept):
                raise errors.Invalid(reason=f'A location id is named twice or is none of image {image_id}.')
            wanted = []
            for place in locations:
                if place.id is None:
                    wanted += self._with_ids([dataclasses.replace(place, status='active')])
                else:
                    wanted.append(dataclasses.replace(had[place.id], metadata=copy.deepcopy(place.metadata)))
            row.give_up([place for place in had.values() if place.id not in kept])
            row.locations = wanted + [place for place in row.locations if place.status != 'active']
            row.apply(changes)
            return row.value()

    def locations_pending_delete(self, older_than_seconds: float,
                                 limit: int = 100) -> list[tuple[str, Location]]:
        with self._lock:
            since_last = _now() - datetime.timedelta(seconds=older_than_seconds)
            found = []
            for row in self._rows.values():
                statuses = ()
                if not row.image.deleted:
                    statuses = (PENDING_DELETE,)
                elif row.image.status == 'deleted':
                    statuses = (PENDING_DELETE, STAGED)
                for place in row.locations:
                    since = row.given_up.get(place.id, row.image.deleted_at)
                    if place.status in statuses and since <= since_last:
                        found.append((since, row.image.id, place))
            found.sort(key=lambda item: item[0])
            return [(image_id, copy.deepcopy(place)) for _, image_id, place in found[:limit]]

    def location_forget(self, location_id: int) -> None:
        with self._lock:
            for row in self._rows.values():
                gone = {PENDING_DELETE, STAGED} if row.image.deleted else {PENDING_DELETE}
                for place in row.locations:
                    if place.id == location_id and place.status in gone:
                        row.locations.remove(place)
                        row.lost_bytes = row.lost_bytes or place.id not in row.given_up
                        return

    # --- usage and house-keeping ---------------------------------------------------------------------------

    def usage(self, owner: str) -> Usage:
        with self._lock:
            own = [row for row in self._rows.values() if row.image.owner == owner and not row.image.deleted]
            return Usage(
                stored_bytes=sum(row.stored_bytes() for row in own),
                reserved_bytes=sum(lease.upload.reserved for lease in self._leases.values()
                                   if lease.upload.owner == owner),
                images=len(own),
                uploading=sum(row.image.status in UPLOADING for row in own),
                staged_bytes=sum(row.image.size or 0 for row in own if row.places(STAGED)))

    def purge(self, older_than_days: int, max_rows: int | None, *, images: bool = False) -> Mapping[str, int]:
        with self._lock:
            deleted_last = _now() - datetime.timedelta(days=older_than_days)
            budget = _Budget(max_rows)
            for row in list(self._rows.values()):
                if not row.image.deleted or row.image.deleted_at > deleted_last:
                    continue
                if row.locations or self._lease_of(row.image.id) is not None:
                    continue
                for kind, children in (('properties', row.properties), ('tags', row.tags),
                                       ('members', row.members)):
                    for child in budget.take(kind, list(children)):
                        children.pop(child) if isinstance(children, dict) else children.remove(child)
                if images and not (row.properties or row.tags or row.members):
                    for image_id in budget.take('images', [row.image.id]):
                        del self._rows[image_id]
            return budget.counts


class _Budget:
    """How many rows a purge may still remove, and how many of each kind it has."""

    def __init__(self, max_rows: int | None):
        self._left = max_rows
        self.counts: dict[str, int] = {}

    def take(self, kind: str, rows: list) -> list:
        """As many of *rows* as may go; they are counted."""
        taken = rows if self._left is None else rows[:self._left]
        if self._left is not None:
            self._left -= len(taken)
        self.counts[kind] = self.counts.get(kind, 0) + len(taken)
        return taken


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _later_than(earlier: datetime.datetime) -> datetime.datetime:
    """The present, but always after *earlier*: a clock may be set back, or be read twice in a microsecond."""
    return max(_now(), earlier + datetime.timedelta(microseconds=1))


def _check_status(row: _Row, wanted: str | None) -> None:
    if wanted is not None and row.image.status != wanted:
        raise errors.StatusConflict(image_id=row.image.id, status=row.image.status, wanted=wanted)


def _check_count(resource: str, wanted: int, at_most: int | None) -> None:
    if at_most is not None and wanted > at_most:
        raise errors.QuotaExceeded(resource=resource, limit=at_most, wanted=wanted)
