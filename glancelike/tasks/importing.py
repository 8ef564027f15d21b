"""The bytes of one import: where they come from, what plugins make of them, how they get into a store."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from glancelike import context, errors
from glancelike.context import RequestContext
from glancelike.core import attributes, leftovers, storing
from glancelike.core.endings import Endings, context_of
from glancelike.core.formats import FormatRules
from glancelike.core.location_hashing import LocationHashing
from glancelike.core.locations import LocationService
from glancelike.core.protections import Protections
from glancelike.core.signatures import Signatures
from glancelike.core.streams import Intake, Verifier
from glancelike.core.threads import NativeThreads
from glancelike.db_drivers.base import NO_CHANGES, DbDriver
from glancelike.model.image import (
    ACTIVE,
    IMPORTING,
    LOCATION_STAGED,
    Image,
    ImageChanges,
    ImportState,
    Location,
)
from glancelike.model.task import Task
from glancelike.store_drivers.base import LOCAL_FILE, NAMES
from glancelike.store_drivers.stores import CheckedStore, Stores
from glancelike.tasks import content as contents
from glancelike.tasks import remains
from glancelike.tasks.base import Content
from glancelike.tasks.import_methods.base import OWN, STAGED, ImportMethod
from glancelike.tasks.import_plugins.base import ImportPlugin
from glancelike.tasks.job import RunningJob

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """How data are stored in this service; see the options of the same names."""

    formats: FormatRules
    image_size_cap: int = 2**40
    hashing_algorithm: str = 'sha512'
    legacy_checksum: bool = True
    max_parallel_stores: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Parts:
    """What the work of imports is done with; one per process.

    :ivar staging: the store in which data wait, or None
    :ivar methods: import methods by name, *plugins* likewise in order
    :ivar protections: which properties a method may bring for its caller; plugins are the operator's, and may all
    :ivar hashing: does the tasks of locations that were set
    """

    db: DbDriver
    stores: Stores
    staging: CheckedStore | None
    threads: NativeThreads
    locations: LocationService
    signatures: Signatures
    protections: Protections
    rules: Rules
    methods: Mapping[str, ImportMethod]
    plugins: Mapping[str, ImportPlugin]
    hashing: LocationHashing | None = None


class Importing:
    """The work of one import, step by step; ``flows/import_image.py`` says in which order.

    What a step returns is JSON-able, so that another process can go on with it.
    """

    def __init__(self, parts: Parts, job: RunningJob, endings: Endings, token: str | None):
        self._parts = parts
        self._endings = endings
        self._token = token
        self.job = job
        self.task: Task = job.task
        self.image: Image = job.image
        self.stores: list[str] = list(job.task.caller['stores'])
        self.must_succeed = bool(job.task.caller['must_succeed'])
        state = job.image.import_state or ImportState()
        self._left, self._failed = list(state.importing_to), list(state.failed)
        self._telling = threading.Lock()
        self.method = _method(parts, job.task)
        self.copies = self.method.SOURCE not in (OWN, STAGED)

    # --- staging ------------------------------------------------------------------------------------------------

    @property
    def wants_staging(self) -> bool:
        """Are the method's data kept in staging first? They are fetched once then, however often the rest is tried."""
        return (self.method.SOURCE == OWN and self._parts.staging is not None
                and any(plugin.MAY_NEED_FILE for plugin in self._parts.plugins.values()))

    def fetch(self) -> dict[str, Any]:
        """Put what the method gives into staging; what else it told of the data."""
        store = self._parts.staging
        leftovers.clear(store, self.image.id, store.url_for(self.image.id) if store.can(NAMES) else None)
        source = self.method.open(self.job)
        self.job.progress.begin('fetch', source.size)
        with self._body(source) as body:
            intake = Intake(body, self.job.lease, self._parts.threads, declared=source.size,
                            size_cap=self._parts.rules.image_size_cap, algorithm=None, checksum=False)
            stored = storing.add(store, self.job.lease, intake, source.size)
        staged = Location(stored.url, store.id, stored.metadata, LOCATION_STAGED)
        self._record(NO_CHANGES, [staged])
        self.job.lease.recorded()
        return _told(source)

    # --- stores -------------------------------------------------------------------------------------------------

    def store_first(self, store_id: str, told: Mapping[str, Any]) -> dict[str, Any]:
        """The data, through the plugins, into a store; all that is to be recorded of it.

        :param told: what ``fetch`` returned, or nothing
        """
        rules, store = self._parts.rules, self._parts.stores.get(store_id)
        self._clear_before(store_id)
        source, verifier = self._source(told), self._verifier()
        if verifier is not None:
            source = dataclasses.replace(source, chunks=_verified(contents.chunks_of(source, self.job), verifier,
                                                                  self._parts.threads), path=None)
        self.job.progress.begin(f'store {store_id}', source.size)
        made = self._through_plugins(source, signed=verifier is not None)
        missing = [name for name in ('disk_format', 'container_format') if not getattr(made, name)]
        if missing:  # the order is refused without them, but they may have been taken away since
            contents.close(made.chunks)
            raise errors.FormatsMissing(missing=' and '.join(missing))
        inspection = rules.formats.inspection(made.disk_format, made.container_format)
        with self._body(made, counts=False) as body, contextlib.closing(self.job):
            intake = Intake(body, self.job.lease, self._parts.threads, declared=made.size,
                            size_cap=rules.image_size_cap, algorithm=rules.hashing_algorithm,
                            checksum=rules.legacy_checksum, inspection=inspection)
            stored = storing.add(store, self.job.lease, intake, made.size)
        properties = {name: value for name, value in made.properties.items()
                      if not name.startswith(attributes.SERVICE_PREFIX)}
        return {'store': store_id, 'url': stored.url, 'metadata': dict(stored.metadata), 'size': stored.size,
                'virtual_size': intake.virtual_size, 'checksum': intake.checksum,
                'os_hash_algo': rules.hashing_algorithm, 'os_hash_value': intake.hash_value,
                'disk_format': made.disk_format, 'container_format': made.container_format,
                'properties': attributes.checked_properties(properties)}

    def copy(self, store_id: str, first: Mapping[str, Any] | None, number: int) -> dict[str, Any]:
        """The data that are stored already into one more store; what is to be recorded of it.

        :param first: what ``store_first`` returned; None: the image's own data
        :param number: how many copies the import has made before
        """
        store = self._parts.stores.get(store_id)
        self._clear_before(store_id)
        if self.must_succeed:
            self.job.lease.beside(number * ((first or {}).get('size') or self.image.size or 0))
        if first is not None:
            sources = [Location(first['url'], first['store'])]
            facts = {name: first[name] for name in ('size', 'checksum', 'os_hash_algo', 'os_hash_value')}
        else:
            sources = self._parts.locations.ordered(self.image)
            facts = {name: getattr(self.image, name)
                     for name in ('size', 'checksum', 'os_hash_algo', 'os_hash_value')}
        last: Exception | None = None
        for location in sources:
            try:
                return self._copied(store, location, facts)
            except (errors.StoreError, errors.HashMismatch, errors.SizeMismatch) as error:
                self.clear(store_id)
                if getattr(error, 'facts', {}).get('store') == store_id:
                    raise  # the store that is written to: no other source helps
                LOG.warning('Image %s cannot be copied from store %s: %s', self.image.id, location.store, error)
                last = error
        raise last or errors.ObjectNotFound(store=store_id)

    def _copied(self, store: CheckedStore, location: Location, facts: Mapping[str, Any]) -> dict[str, Any]:
        source = self._stored(location, facts['size'])
        self.job.progress.begin(f'store {store.id}', facts['size'])
        same = _SameHash(facts['os_hash_algo'], facts['os_hash_value']) if facts['os_hash_value'] else None
        with self._body(source) as body:
            intake = Intake(body, self.job.lease, self._parts.threads, declared=facts['size'], size_cap=2**63 - 1,
                            algorithm=None, checksum=False, verifier=same)
            stored = storing.add(store, self.job.lease, intake, facts['size'])
        return {'store': store.id, 'url': stored.url, 'metadata': dict(stored.metadata), 'size': stored.size}

    def _clear_before(self, store_id: str) -> None:
        """Remove what a process that died in the middle has left there: parts would stay beside the finished object."""
        if self.job.resumed:
            self.clear(store_id)

    def clear(self, store_id: str, url: str | None = None) -> None:
        """Leave nothing of the image in a store that was to have it, unless it was recorded."""
        remains.clear(self._parts.db, self.job.lease, self._parts.stores.get(store_id), url)

    def clear_staging(self) -> None:
        """Leave nothing in staging that was not recorded."""
        if self._parts.db.location_staged(self.image.id) is None:
            remains.clear(self._parts.db, self.job.lease, self._parts.staging)

    # --- records ------------------------------------------------------------------------------------------------

    def already(self, store_id: str) -> dict[str, Any] | None:
        """What is recorded of a copy in that store: by an earlier process that died before it could say so.

        :raises ImageGone: the image was deleted"""
        image = self._image_now()
        location = next((one for one in image.locations if one.store == store_id), None)
        if location is None or self.must_succeed:
            return None
        names = ('size', 'virtual_size', 'checksum', 'os_hash_algo', 'os_hash_value', 'disk_format',
                 'container_format')
        return {'store': store_id, 'url': location.url, 'metadata': dict(location.metadata),
                **{name: getattr(image, name) for name in names}, 'properties': {}}

    def recorded(self) -> set[str]:
        """Of the stores that shall have the data, those of which that is recorded; none where all must succeed.

        :raises ImageGone: the image was deleted"""
        if self.must_succeed:
            return set()
        return {one.store for one in self._image_now().locations if one.store in self.stores}

    def took(self, done: Mapping[str, Any]) -> None:
        """A store has the data. Where others may fail that is recorded at once: with the first copy the image becomes
        active. Where all must succeed ``Finish`` does so, and until then callers are told that all are waited for:
        clients take an import for done when nothing is left."""
        if self.must_succeed:
            return
        with self._telling:
            self._left = [one for one in self._left if one != done['store']]
            before = self.status()
            image = self._record(self.changes(done, self._state()), [location_of(done)])
            self.job.lease.recorded()
        self._endings.tell_stored(self.task, image, [done['store']], activated=before == IMPORTING)

    def refused(self, store_id: str) -> None:
        """A store could not take the data, and the import goes on without it."""
        self.clear(store_id)
        with self._telling:
            self._left = [one for one in self._left if one != store_id]
            self._failed.append(store_id)
            self._record(ImageChanges({'import_state': self._state()}), [])

    def _state(self) -> ImportState:
        return ImportState(self.task.id, tuple(self._left), tuple(dict.fromkeys(self._failed)))

    def changes(self, done: Mapping[str, Any], state: ImportState) -> ImageChanges:
        """What a copy changes of its image."""
        if 'os_hash_value' not in done:
            return ImageChanges({'import_state': state})
        names = ('size', 'virtual_size', 'checksum', 'os_hash_algo', 'os_hash_value', 'disk_format',
                 'container_format')
        return ImageChanges({'status': ACTIVE, 'import_state': state, **{name: done[name] for name in names}},
                            set_properties=done['properties'])

    def status(self) -> str:
        """The image's status now. :raises ImageGone: it was deleted"""
        return self._image_now().status

    def _image_now(self) -> Image:
        try:
            return self._parts.db.image_get(context.internal('import'), self.image.id)
        except errors.ImageNotFound as error:
            raise errors.ImageGone(image_id=self.image.id) from error

    def _record(self, changes: ImageChanges, locations: list[Location]) -> Image:
        if not locations:
            return self._parts.db.image_update(context.internal('import'), self.image.id, changes)
        return self._parts.db.upload_finish(context.internal('import'), self.job.lease.id, changes, locations,
                                            from_status=self.status(), ends=False)

    # --- content ------------------------------------------------------------------------------------------------

    def _source(self, told: Mapping[str, Any]) -> Content:
        staged = self._parts.db.location_staged(self.image.id)
        if staged is not None:
            store = self._parts.stores.for_location(staged)
            size = store.size(staged.url)
            if self.method.SOURCE == STAGED and self.image.size not in (None, size):
                raise errors.StoreError(store=store.id, reason=f'it has {size} B of the {self.image.size} B staged')
            source = self._stored(staged, size)
        elif self.method.SOURCE == STAGED:
            raise errors.BadSource(reason='nothing is staged for the image')
        else:
            source = self.method.open(self.job)
        return dataclasses.replace(
            source,
            disk_format=told.get('disk_format') or source.disk_format or self.image.disk_format,
            container_format=told.get('container_format') or source.container_format or self.image.container_format,
            properties=self._settable({**source.properties, **told.get('properties', {})}))

    def _settable(self, properties: Mapping[str, str]) -> dict[str, str]:
        """Those that the caller could have set: who makes an image elsewhere must not get round protections here."""
        ctx = context_of(self.task)
        return {name: value for name, value in properties.items()
                if self._parts.protections.may_set(ctx, self.image, name)}

    def _stored(self, location: Location, size: int | None) -> Content:
        store = self._parts.stores.for_location(location)
        return Content(chunks=store.get(location.url, object_bytes=size), size=size)

    def _staged_path(self) -> str | None:
        staged = self._parts.db.location_staged(self.image.id)
        if staged is None:
            return None
        store = self._parts.stores.for_location(staged)
        return store.local_file(staged.url) if store.can(LOCAL_FILE) else None

    def _through_plugins(self, source: Content, *, signed: bool) -> Content:
        content = dataclasses.replace(source, chunks=self.job.counted(contents.chunks_of(source, self.job)), path=None)
        untouched = not signed  # a signature is checked over the bytes as they pass: then no short cut to the file
        try:
            for plugin in self._parts.plugins.values():
                content = contents.with_head(content, self.job)
                if plugin.needs_file(self.job, content):
                    content = contents.as_file(content, self.job, self._staged_path if untouched else lambda: None)
                made = plugin.process(self.job, content)
                if made.chunks is not content.chunks or made.path is not content.path:
                    untouched = False
                content = made
        except BaseException:
            contents.close(content.chunks)
            raise
        return content

    def _verifier(self) -> Verifier | None:
        ctx = RequestContext(user_id=self.task.user_id, project_id=self.task.caller.get('project_id'),
                             token=self._token)
        return self._parts.signatures.verifier(ctx, self.image.properties)

    @contextlib.contextmanager
    def _body(self, content: Content, *, counts: bool = True) -> Iterator[contents.ContentBody]:
        if counts:
            chunks = self.job.counted(iter(contents.chunks_of(content, self.job)))
            content = dataclasses.replace(content, chunks=chunks, path=None)
        body = contents.ContentBody(content, self.job)
        try:
            yield body
        finally:
            body.close()


class _SameHash:
    """Holds a copy to the hash of the image; sees the bytes beside the store that gets them."""

    def __init__(self, algorithm: str, wanted: str):
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        self._algorithm = algorithm
        self._wanted = wanted

    def update(self, piece: bytes) -> None:
        self._hash.update(piece)

    def verify(self) -> None:
        found = self._hash.hexdigest()
        if found != self._wanted:
            raise errors.HashMismatch(algorithm=self._algorithm, found=found, wanted=self._wanted)


def _verified(chunks: Any, verifier: Verifier, threads: NativeThreads) -> Iterator[bytes]:
    try:
        for chunk in chunks:
            threads.run(verifier.update, chunk)
            yield chunk
        verifier.verify()
    finally:
        contents.close(chunks)


def _method(parts: Parts, task: Task) -> ImportMethod:
    try:
        return parts.methods[task.caller['method']]
    except KeyError as error:
        raise errors.BadSource(
            reason=f"import method '{task.caller.get('method')}' is not enabled where the task is done") from error


def _told(source: Content) -> dict[str, Any]:
    return {'disk_format': source.disk_format, 'container_format': source.container_format,
            'properties': dict(source.properties)}


def location_of(done: Mapping[str, Any]) -> Location:
    """The location that a copy becomes."""
    return Location(done['url'], done['store'], done['metadata'])
