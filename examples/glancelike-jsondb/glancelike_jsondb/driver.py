"""``data_api = jsondb``: images in one JSON file, for a test bench of some hundred images."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from oslo_config import cfg

from glancelike.plugin import (
    MULTI_PROCESS,
    PERSISTENT,
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
from glancelike_jsondb import rows, tasks
from glancelike_jsondb.file import JsonFile

FORMAT = 2
CLEARED = ('size', 'virtual_size', 'checksum', 'os_hash_algo', 'os_hash_value')
NO_CHANGES = ImageChanges()


class JsonDbDriver(DbDriver):
    """All rows in one document, read anew by every call; a call that raises has written nothing."""

    OPTION_GROUP = 'jsondb'
    OPTIONS = (cfg.StrOpt('path', help='The JSON file. Its folder must exist and be writable.'),)
    CAPABILITIES = frozenset({PERSISTENT, MULTI_PROCESS})

    def __init__(self, options: Any):
        super().__init__(options)
        if not options.path:
            raise errors.ConfigurationError(reason='Set path in group [jsondb]: the JSON file for the images.')
        self._file = JsonFile(options.path)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[_Document]:
        try:
            rows_of_all = self._file.read()
        except OSError as error:
            raise errors.DatabaseUnavailable() from error
        yield _Document(rows_of_all)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[_Document]:
        """The document, written when the block ends and nothing was raised in it."""
        try:
            with self._file.locked():
                document = _Document(self._file.read())
                yield document
                self._file.write(document.content)
        except OSError as error:
            raise errors.DatabaseUnavailable() from error

    # --- life of the driver --------------------------------------------------------------------------------

    def create_schema(self) -> None:
        try:
            with self._file.locked():
                try:
                    content = self._file.read()
                except FileNotFoundError:
                    content = {'format': 1, 'images': {}, 'uploads': {}, 'last_location_id': 0}
                if content.get('format') == 1:
                    self._file.write(_upgraded(content))
        except OSError as error:
            raise errors.DatabaseUnavailable() from error
        self.check_schema()

    def check_schema(self) -> None:
        try:
            found = self._file.read()['format']
        except (OSError, ValueError, KeyError) as error:
            raise errors.ConfigurationError(
                reason='path in group [jsondb] names no file of images; `glance-manage db sync` makes one.') from error
        if found != FORMAT:
            raise errors.ConfigurationError(reason=f'The file at [jsondb] path has format {found}, not {FORMAT}.')

    def ping(self) -> None:
        with self._reading():
            pass

    def close(self) -> None:
        """Nothing is held between two calls."""

    # --- images --------------------------------------------------------------------------------------------

    def image_create(self, ctx: RequestContext, image: Image) -> Image:
        with self._writing() as document:
            if image.id in document.images:
                raise errors.ImageExists(image_id=image.id)
            row = rows.image_row(image, rows.now(), document.new_locations(image.locations))
            document.images[image.id] = row
            return rows.image(row)

    def image_get(self, ctx: RequestContext, image_id: str) -> Image:
        with self._reading() as document:
            return rows.image(document.readable(ctx, image_id))

    def image_list(self, ctx: RequestContext, query: ImageQuery) -> list[Image]:
        with self._reading() as document:
            found = {image.id: image for image in document.listed(ctx, query)}
            if query.marker is None:
                return rows.ordered(list(found.values()), query.sort)[:query.limit]
            marker = document.marker(ctx, query.marker)
            in_order = rows.ordered(list((found | {marker.id: marker}).values()), query.sort)
            after = in_order.index(marker) + 1
            return in_order[after:][:query.limit]

    def image_count(self, ctx: RequestContext, query: ImageQuery, at_most: int) -> int:
        with self._reading() as document:
            return min(at_most, len(document.listed(ctx, query)))

    def image_update(self, ctx: RequestContext, image_id: str, changes: ImageChanges, *,
                     from_status: str | None = None, if_version: int | None = None) -> Image:
        with self._writing() as document:
            row = document.expected(ctx, image_id, from_status, if_version)
            _apply(row, changes)
            return rows.image(row)

    def image_delete(self, ctx: RequestContext, image_id: str, *, from_status: str | None = None,
                     if_version: int | None = None, status: str = 'deleted') -> Image:
        with self._writing() as document:
            row = document.expected(ctx, image_id, from_status, if_version)
            if row['record']['protected']:
                raise errors.ProtectedImage(image_id=image_id)
            _touch(row, status=status, deleted=True)
            row['record']['deleted_at'] = row['record']['updated_at']
            staged = _places(row, 'staged')
            for place in (active := _places(row, 'active')):
                place['status'] = 'pending_delete'
            return dataclasses.replace(rows.image(row),
                                       locations=tuple(rows.location(place) for place in active + staged))

    def image_restore(self, ctx: RequestContext, image_id: str, status: str) -> Image:
        with self._writing() as document:
            row = document.images.get(image_id)
            if row is None or not row['record']['deleted'] or row['lost_bytes']:
                raise errors.ImageNotFound(image_id=image_id)
            _touch(row, status=status, deleted=False, deleted_at=None)
            for place in _places(row, 'pending_delete'):
                if place['given_up_at'] is None:
                    place['status'] = 'active'
            return rows.image(row)

    # --- tags ----------------------------------------------------------------------------------------------

    def tag_add(self, ctx: RequestContext, image_id: str, tag: str, *, at_most: int | None = None) -> None:
        with self._writing() as document:
            row = document.readable(ctx, image_id)
            if tag not in row['tags']:
                _check_count('tags', len(row['tags']) + 1, at_most)
                row['tags'].append(tag)
                _touch(row)

    def tag_remove(self, ctx: RequestContext, image_id: str, tag: str) -> None:
        with self._writing() as document:
            row = document.readable(ctx, image_id)
            if tag not in row['tags']:
                raise errors.TagNotFound(image_id=image_id, tag=tag)
            row['tags'].remove(tag)
            _touch(row)

    # --- members -------------------------------------------------------------------------------------------

    def member_add(self, ctx: RequestContext, image_id: str, member: str, *, can_share: bool = False,
                   status: str = 'pending', at_most: int | None = None) -> Member:
        with self._writing() as document:
            row = document.readable(ctx, image_id)
            if _membership(row, member):
                raise errors.MemberExists(image_id=image_id, member=member)
            _check_count('members', len(row['members']) + 1, at_most)
            now = rows.now()
            row['members'].append({'member': member, 'status': status, 'can_share': can_share,
                                   'created_at': now, 'updated_at': now})
            return rows.member(image_id, row['members'][-1])

    def member_get(self, ctx: RequestContext, image_id: str, member: str) -> Member:
        for found in self.member_list(ctx, image_id):
            if found.member == member:
                return found
        raise errors.MemberNotFound(image_id=image_id, member=member)

    def member_list(self, ctx: RequestContext, image_id: str) -> list[Member]:
        with self._reading() as document:
            row = document.images.get(image_id)
            if row is None or row['record']['deleted']:
                return []
            owns = ctx.project_id is not None and ctx.project_id == row['record']['owner']
            return [rows.member(image_id, one) for one in row['members']
                    if ctx.is_admin or owns or one['member'] == ctx.project_id]

    def member_update(self, ctx: RequestContext, image_id: str, member: str, status: str) -> Member:
        with self._writing() as document:
            found = document.membership(image_id, member)
            found |= {'status': status, 'updated_at': rows.later_than(found['updated_at'])}
            return rows.member(image_id, found)

    def member_remove(self, ctx: RequestContext, image_id: str, member: str) -> None:
        with self._writing() as document:
            found = document.membership(image_id, member)
            document.images[image_id]['members'].remove(found)

    def member_status(self, image_id: str, member: str) -> str | None:
        with self._reading() as document:
            try:
                return document.membership(image_id, member)['status']
            except errors.NotFound:
                return None

    # --- uploads -------------------------------------------------------------------------------------------

    def upload_begin(self, ctx: RequestContext, upload: Upload, *, from_status: str = 'queued',
                     to_status: str = 'saving', changes: ImageChanges = NO_CHANGES, task: Task | None = None) -> Image:
        with self._writing() as document:
            row = document.expected(ctx, upload.image_id, from_status)
            if document.upload_of(upload.image_id):
                raise errors.StatusConflict(f'Another upload of image {upload.image_id} is not settled yet.')
            now = rows.now()
            document.uploads[upload.id] = {
                'id': upload.id, 'image_id': upload.image_id, 'node': upload.node, 'store': upload.store,
                'owner': upload.owner, 'url': upload.url, 'reserved': upload.reserved, 'started_at': now,
                'heartbeat_at': now, 'task_id': upload.task_id, 'image_status': to_status}
            if task is not None:
                document.new_task(task)
            _apply(row, changes, status=to_status)
            return rows.image(row)

    def upload_heartbeat(self, upload_id: str) -> bool:
        with self._writing() as document:
            lease = document.uploads.get(upload_id)
            if lease:
                lease['heartbeat_at'] = rows.later_than(lease['heartbeat_at'])
            return lease is not None

    def upload_reserve(self, upload_id: str, reserved: int, limit: int | None) -> None:
        with self._writing() as document:
            lease = document.lease(upload_id)
            lease['reserved'] = reserved
            held = document.usage(lease['owner'])
            if limit is not None and held.stored_bytes + held.reserved_bytes > limit:
                raise errors.QuotaExceeded(resource='stored bytes', limit=limit,
                                           wanted=held.stored_bytes + held.reserved_bytes)

    def upload_finish(self, ctx: RequestContext, upload_id: str, changes: ImageChanges,
                      locations: Sequence[Location], *, from_status: str = 'saving',
                      task: TaskChanges | None = None, ends: bool = True) -> Image:
        with self._writing() as document:
            lease = document.lease(upload_id)
            row = document.images[lease['image_id']]
            if row['record']['deleted']:
                raise errors.ImageGone(image_id=row['record']['id'])
            _check_status(row, from_status)
            if task is not None:
                document.change_task(lease['task_id'], task)
            if ends:
                _give_up(_places(row, 'staged'))
                del document.uploads[upload_id]
            else:
                lease |= {'reserved': 0, 'heartbeat_at': rows.later_than(lease['heartbeat_at'])}
            row['locations'] += document.new_locations(locations)
            _apply(row, changes)
            return rows.image(row)

    def upload_abort(self, upload_id: str, *, to_status: str = 'queued', changes: ImageChanges = NO_CHANGES,
                     task: TaskChanges | None = None) -> bool:
        with self._writing() as document:
            lease = document.uploads.pop(upload_id, None)
            if lease is None:
                return False
            if task is not None and document.is_unfinished(lease['task_id']):
                document.change_task(lease['task_id'], task)
            row, back = document.images[lease['image_id']], {}
            _give_up(_places(row, 'staged'))
            if row['record']['status'] == lease['image_status']:
                back = {'status': to_status} | (dict.fromkeys(CLEARED) if to_status == 'queued' else {})
            if not row['record']['deleted'] and (back or changes):
                _apply(row, dataclasses.replace(changes, attributes={**back, **changes.attributes}))
            return True

    def uploads_expired(self, silent_seconds: float, limit: int = 100) -> list[Upload]:
        with self._reading() as document:
            heard_last = rows.ago(seconds=silent_seconds)
            silent = [lease for lease in document.uploads.values() if lease['heartbeat_at'] <= heard_last]
            return [rows.upload(lease) for lease in sorted(silent, key=lambda one: one['heartbeat_at'])[:limit]]

    def upload_take_over(self, upload: Upload, new_id: str, node: str) -> bool:
        with self._writing() as document:
            lease = document.uploads.get(upload.id)
            if lease is None or rows.upload(lease).heartbeat_at != upload.heartbeat_at:
                return False
            del document.uploads[upload.id]
            heard = rows.later_than(lease['heartbeat_at'])
            document.uploads[new_id] = lease | {'id': new_id, 'node': node, 'heartbeat_at': heard}
            return True

    def upload_of_image(self, image_id: str) -> Upload | None:
        with self._reading() as document:
            lease = document.upload_of(image_id)
            return rows.upload(lease) if lease else None

    # --- tasks ---------------------------------------------------------------------------------------------

    def task_create(self, ctx: RequestContext, task: Task) -> Task:
        with self._writing() as document:
            return tasks.task(document.new_task(task))

    def task_get(self, ctx: RequestContext, task_id: str) -> Task:
        with self._reading() as document:
            row = document.tasks.get(task_id)
            if row is None or not tasks.visible(ctx, row):
                raise errors.TaskNotFound(task_id=task_id)
            return tasks.task(row)

    def task_list(self, ctx: RequestContext, query: TaskQuery) -> list[Task]:
        with self._reading() as document:
            return tasks.page(ctx, list(document.tasks.values()), query)

    def task_update(self, task_id: str, changes: TaskChanges, *, from_status: str | None = None) -> Task:
        with self._writing() as document:
            return tasks.task(document.change_task(task_id, changes, from_status))

    def tasks_orphaned(self, older_than_seconds: float, limit: int = 100) -> list[Task]:
        with self._reading() as document:
            changed_last = rows.ago(seconds=older_than_seconds)
            held = {lease['task_id'] for lease in document.uploads.values()}
            found = [row for row in document.tasks.values() if row['status'] in tasks.UNFINISHED
                     and row['updated_at'] <= changed_last and row['id'] not in held]
            return [tasks.task(row) for row in sorted(found, key=lambda row: row['updated_at'])[:limit]]

    def tasks_expire(self, limit: int = 100) -> int:
        with self._writing() as document:
            now = rows.now()
            expired = [row['id'] for row in document.tasks.values() if row['expires_at'] and row['expires_at'] <= now]
            for task_id in expired[:limit]:
                del document.tasks[task_id]
            return len(expired[:limit])

    # --- locations, usage, purge ---------------------------------------------------------------------------

    def location_staged(self, image_id: str) -> Location | None:
        with self._reading() as document:
            row = document.images.get(image_id)
            staged = _places(row, 'staged') if row and not row['record']['deleted'] else []
            return rows.location(staged[-1]) if staged else None

    def locations_set(self, ctx: RequestContext, image_id: str, locations: Sequence[Location],
                      changes: ImageChanges = NO_CHANGES, *, from_status: str | None = None,
                      if_version: int | None = None) -> Image:
        with self._writing() as document:
            row = document.expected(ctx, image_id, from_status, if_version)
            if document.upload_of(image_id):
                raise errors.StatusConflict(f'An upload of image {image_id} is not settled yet.')
            had = {place['id']: place for place in _places(row, 'active')}
            others = [place for place in row['locations'] if place['id'] not in had]
            wanted = []
            for place in locations:
                if place.id is None:
                    wanted += document.new_locations([dataclasses.replace(place, status='active')])
                elif place.id in had:
                    wanted.append(had.pop(place.id) | {'metadata': dict(place.metadata)})
                else:
                    raise errors.Invalid(reason=f'Location {place.id} is none of image {image_id}, or named twice.')
            _give_up(had.values())
            row['locations'] = wanted + list(had.values()) + others
            _apply(row, changes)
            return rows.image(row)

    def locations_pending_delete(self, older_than_seconds: float,
                                 limit: int = 100) -> list[tuple[str, Location]]:
        with self._reading() as document:
            since_last, found = rows.ago(seconds=older_than_seconds), []
            for image_id, row in document.images.items():
                deleted = row['record']['deleted']
                if deleted and row['record']['status'] != 'deleted':
                    continue
                for place in _places(row, 'pending_delete') + (_places(row, 'staged') if deleted else []):
                    since = place['given_up_at'] or row['record']['deleted_at']
                    if since <= since_last:
                        found.append((since, image_id, rows.location(place)))
            found.sort(key=lambda item: item[0])
            return [(image_id, place) for _, image_id, place in found[:limit]]

    def location_forget(self, location_id: int) -> None:
        with self._writing() as document:
            for row in document.images.values():
                stays = ('active',) if row['record']['deleted'] else ('active', 'staged')
                for place in row['locations']:
                    if place['id'] == location_id and place['status'] not in stays:
                        row['locations'].remove(place)
                        row['lost_bytes'] = row['lost_bytes'] or place['given_up_at'] is None
                        break

    def usage(self, owner: str) -> Usage:
        with self._reading() as document:
            return document.usage(owner)

    def purge(self, older_than_days: int, max_rows: int | None, *, images: bool = False) -> Mapping[str, int]:
        with self._writing() as document:
            deleted_last = rows.ago(days=older_than_days)
            counts = {'properties': 0, 'tags': 0, 'members': 0, 'images': 0}
            for image_id, row in list(document.images.items()):
                if (not row['record']['deleted'] or row['record']['deleted_at'] > deleted_last or row['locations']
                        or document.upload_of(image_id)):
                    continue
                for kind in ('properties', 'tags', 'members'):
                    while row[kind] and (max_rows is None or sum(counts.values()) < max_rows):
                        row[kind].popitem() if kind == 'properties' else row[kind].pop()
                        counts[kind] += 1
                if images and (max_rows is None or sum(counts.values()) < max_rows):
                    del document.images[image_id]  # its children went before it
                    counts['images'] += 1
            return counts

    # --- trial ---------------------------------------------------------------------------------------------

    @classmethod
    def for_compliance(cls, folder: str, url: str | None, *, again: bool) -> Mapping[str, Any]:
        path = url or os.path.join(folder, 'images.json')
        if os.path.exists(path) and not again:
            raise errors.ConfigurationError(reason=f'{path} exists; name a file that does not.')
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
        return {'path': path}


class _Document:
    """The whole content, and how rows are found in it."""

    def __init__(self, content: dict):
        self.content = content
        self.images: dict[str, dict] = content['images']
        self.uploads: dict[str, dict] = content['uploads']
        self.tasks: dict[str, dict] = content['tasks']

    def live(self, image_id: str) -> dict:
        row = self.images.get(image_id)
        if row is None or row['record']['deleted']:
            raise errors.ImageNotFound(image_id=image_id)
        return row

    def readable(self, ctx: RequestContext, image_id: str) -> dict:
        row = self.live(image_id)
        if not visibility.readable(ctx, rows.image(row), _status_of(row, ctx.project_id)):
            raise errors.ImageNotFound(image_id=image_id)
        return row

    def marker(self, ctx: RequestContext, image_id: str) -> Image:
        row = self.images.get(image_id)
        if (row is None or row['record']['deleted']
                or not visibility.known(ctx, rows.image(row), _status_of(row, ctx.project_id))):
            raise errors.InvalidMarker(marker=image_id)
        return rows.image(row)

    def expected(self, ctx: RequestContext, image_id: str, from_status: str | None,
                 if_version: int | None = None) -> dict:
        row = self.readable(ctx, image_id)
        _check_status(row, from_status)
        if if_version not in (None, row['record']['version']):
            raise errors.VersionConflict(image_id=image_id)
        return row

    def listed(self, ctx: RequestContext, query: ImageQuery) -> list[Image]:
        found = []
        for row in self.images.values():
            record = row['record']
            if record['deleted'] or record['status'] == 'killed' or record['os_hidden'] != query.os_hidden:
                continue
            image = rows.image(row)
            if visibility.listed(ctx, image, _status_of(row, ctx.project_id), visibility=query.visibility,
                                 wanted_status=query.member_status):
                if all(rows.holds(wanted, image) for wanted in query.filters):
                    found.append(image)
        return found

    def new_locations(self, locations: Sequence[Location]) -> list[dict]:
        new = []
        for place in locations:
            self.content['last_location_id'] += 1
            new.append({'url': place.url, 'store': place.store, 'metadata': dict(place.metadata),
                        'status': 'staged' if place.status == 'staged' else 'active',
                        'id': self.content['last_location_id'], 'given_up_at': None})
        return new

    def new_task(self, task: Task) -> dict:
        if task.id in self.tasks:
            raise errors.Conflict(reason=f'There is a task {task.id} already.')
        self.tasks[task.id] = tasks.new_row(task)
        return self.tasks[task.id]

    def change_task(self, task_id: str | None, changes: TaskChanges, from_status: str | None = None) -> dict:
        row = self.tasks.get(task_id)
        tasks.check_change(row, task_id, from_status)
        tasks.change(row, changes)
        return row

    def is_unfinished(self, task_id: str | None) -> bool:
        return task_id in self.tasks and self.tasks[task_id]['status'] in tasks.UNFINISHED

    def membership(self, image_id: str, member: str) -> dict:
        found = _membership(self.live(image_id), member)
        if found is None:
            raise errors.MemberNotFound(image_id=image_id, member=member)
        return found

    def lease(self, upload_id: str) -> dict:
        if upload_id not in self.uploads:
            raise errors.StatusConflict(f'Upload {upload_id} is settled, or another node took it over.')
        return self.uploads[upload_id]

    def upload_of(self, image_id: str) -> dict | None:
        return next((lease for lease in self.uploads.values() if lease['image_id'] == image_id), None)

    def usage(self, owner: str | None) -> Usage:
        own = [rows.image(row) for row in self.images.values()
               if row['record']['owner'] == owner and not row['record']['deleted']]
        return Usage(
            stored_bytes=sum((image.size or 0) * len(image.locations) for image in own),
            reserved_bytes=sum(lease['reserved'] for lease in self.uploads.values() if lease['owner'] == owner),
            images=len(own), uploading=sum(image.status in ('saving', 'uploading', 'importing') for image in own),
            staged_bytes=sum(image.size or 0 for image in own if _places(self.images[image.id], 'staged')))


def _upgraded(content: dict) -> dict:
    """A document of format 1 as one of format 2."""
    for row in content['images'].values():
        row['record'].setdefault('import_state', None)
        for place in row['locations']:
            place.setdefault('given_up_at', None)
    for lease in content['uploads'].values():
        lease.setdefault('task_id', None)
    return content | {'format': FORMAT, 'tasks': {}}


def _places(row: dict, status: str) -> list[dict]:
    return [place for place in row['locations'] if place['status'] == status]


def _give_up(places: Iterable[dict]) -> None:
    """The image has no use for them from now on; those that go with a deleted image have no ``given_up_at``."""
    for place in places:
        place |= {'status': 'pending_delete', 'given_up_at': rows.now()}


def _touch(row: dict, **fields: Any) -> None:
    """Set fields of the record; the version grows, updated_at moves."""
    record = row['record']
    record |= fields | {'version': record['version'] + 1, 'updated_at': rows.later_than(record['updated_at'])}


def _apply(row: dict, changes: ImageChanges, **more: Any) -> None:
    row['properties'] |= changes.set_properties
    for name in changes.remove_properties:
        row['properties'].pop(name, None)
    if changes.tags is not None:
        row['tags'] = sorted(changes.tags)
    _touch(row, **rows.attributes({**changes.attributes, **more}))


def _membership(row: dict, member: str | None) -> dict | None:
    return next((one for one in row['members'] if one['member'] == member), None)


def _status_of(row: dict, member: str | None) -> str | None:
    found = _membership(row, member)
    return found['status'] if found else None


def _check_status(row: dict, wanted: str | None) -> None:
    record = row['record']
    if wanted not in (None, record['status']):
        raise errors.StatusConflict(image_id=record['id'], status=record['status'], wanted=wanted)


def _check_count(resource: str, wanted: int, at_most: int | None) -> None:
    if at_most is not None and wanted > at_most:
        raise errors.QuotaExceeded(resource=resource, limit=at_most, wanted=wanted)
