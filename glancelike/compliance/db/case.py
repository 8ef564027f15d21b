"""What every part of the database suite starts from: the driver, callers, images, and races."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from glancelike.plugin import (
    DbDriver,
    Image,
    ImageChanges,
    ImportState,
    Location,
    RequestContext,
    Task,
    Upload,
    errors,
)


def caller(project_id: str | None, **fields: Any) -> RequestContext:
    """An ordinary user of that project."""
    return RequestContext(user_id=f'user of {project_id}', project_id=project_id, **fields)


class DbCase:
    """Hooks for the author, then helpers for the tests. A mixin; give ``make_driver`` at least.

    :ivar driver: the driver under test, its database empty
    :ivar admin: an administrator without a project
    :ivar owner: a user of the project that owns what ``stored`` makes
    :ivar stranger: a user of a project that has nothing
    """

    # --- what the author gives -----------------------------------------------------------------------------

    def make_driver(self) -> DbDriver:
        """A driver on an empty database; the suite calls ``create_schema`` and ``close``."""
        raise NotImplementedError(f'{type(self).__name__} must say how a driver is made: make_driver()')

    def reopen(self, driver: DbDriver) -> DbDriver:
        """Another driver on the database of *driver*, which may be closed; PERSISTENT drivers need it."""
        raise NotImplementedError(f'{type(self).__name__} claims PERSISTENT and needs reopen(driver)')

    def make_bare_driver(self) -> DbDriver | None:
        """A driver on a database without its schema; without it LIFE-2 is tested by half."""
        return None

    def make_unreachable_driver(self) -> DbDriver | None:
        """A driver whose database does not answer (a closed port); without it LIFE-3 and ALL-3 are by half."""
        return None

    # --- what the tests use --------------------------------------------------------------------------------

    @property
    def claimed(self) -> frozenset[str]:
        return self.driver.CAPABILITIES

    @property
    def driver_name(self) -> str:
        return type(self.driver).__name__

    def setUp(self) -> None:
        super().setUp()
        self.driver = self.make_driver()
        self.addCleanup(self.driver.close)
        self.driver.create_schema()
        self.admin = RequestContext(user_id='administrator', is_admin=True)
        self.owner = caller('owner-project')
        self.stranger = caller('stranger-project')

    def stored(self, **fields: Any) -> Image:
        """A new image of the owner's project in the database; *fields* as model Image."""
        fields = {'id': str(uuid.uuid4()), 'owner': self.owner.project_id} | fields
        return self.driver.image_create(self.admin, Image(**fields))

    def full_image(self) -> Image:
        """An image in which every field that a caller can set is set."""
        return Image(
            id=str(uuid.uuid4()), status='active', visibility='private', name='everything',
            owner=self.owner.project_id, protected=True, os_hidden=True, container_format='bare',
            disk_format='qcow2', min_disk=3, min_ram=5, size=1000, virtual_size=2000, checksum='c' * 32,
            os_hash_algo='sha512', os_hash_value='d' * 128,
            import_state=ImportState('task-1', ('cold', 'fast'), ('🐧',)), properties={'a': '1', 'b': ''},
            tags=frozenset({'x', 'y'}),
            locations=(Location('mem://1', 'fast', {'share': {'mount': '/a', 'ok': True, 'n': 3}}),
                       Location('mem://2', None), Location('mem://1', 'cold')))

    def deleted(self, *, status: str = 'deleted', **fields: Any) -> Image:
        """A new image that was deleted again."""
        return self.driver.image_delete(self.admin, self.stored(**fields).id, status=status)

    def get(self, image_id: str) -> Image:
        return self.driver.image_get(self.admin, image_id)

    def change(self, image_id: str, **attributes: Any) -> Image:
        """Update attributes as the administrator."""
        return self.driver.image_update(self.admin, image_id, ImageChanges(attributes=attributes))

    def lease(self, image: Image, **fields: Any) -> Upload:
        """An Upload of the image, not in the database yet."""
        given = {'id': str(uuid.uuid4()), 'image_id': image.id, 'node': 'node-1', 'store': 'store-1',
                 'owner': image.owner, 'url': f'mem://{image.id}'}
        return Upload(**given | fields)

    def task(self, **fields: Any) -> Task:
        """A Task of the owner's project, not in the database yet."""
        return Task(**{'id': str(uuid.uuid4()), 'type': 'api_image_import', 'owner': self.owner.project_id} | fields)

    def staged(self, *urls: str, **fields: Any) -> Image:
        """A new image in uploading with a staged location for each URL; *fields* as model Image."""
        upload = self.lease(self.stored(**fields))
        self.driver.upload_begin(self.admin, upload, to_status='uploading')
        places = [Location(url, 'staging', {'n': 1}, status='staged') for url in urls]
        return self.driver.upload_finish(self.admin, upload.id, ImageChanges(), places, from_status='uploading')

    def begun(self, **fields: Any) -> tuple[Image, Upload]:
        """A new image in saving with an unsettled upload; *fields* go to the upload."""
        image = self.stored()
        self.driver.upload_begin(self.admin, self.lease(image, **fields))
        return self.get(image.id), self.driver.upload_of_image(image.id)

    def assert_same_image(self, wanted: Image, found: Image) -> None:
        """All fields agree; the difference is shown field by field."""
        self.assertEqual(_fields(wanted), _fields(found))

    def assert_unchanged(self, image: Image) -> None:
        """The stored image is still *image*."""
        self.assert_same_image(image, self.get(image.id))

    def race(self, *calls: Callable[[], Any]) -> list[Any]:
        """Run the calls at once, a thread each; what each returned, or the error of ours that it raised."""
        start = threading.Barrier(len(calls))

        def run(call: Callable[[], Any]) -> Any:
            start.wait(timeout=60)
            try:
                return call()
            except errors.GlanceError as error:
                return error

        with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
            return [done.result() for done in [pool.submit(run, call) for call in calls]]

    def assert_one_winner(self, results: list[Any], loser: type[errors.GlanceError]) -> None:
        """Exactly one result is no error, and every error is a *loser*."""
        lost = [result for result in results if isinstance(result, errors.GlanceError)]
        self.assertEqual(len(results) - 1, len(lost), results)
        self.assertEqual({loser}, {type(error) for error in lost})

    def assert_cost_of_many_images(self, call: Callable[[], Any]) -> None:
        """A hundred more images of the owner make the call dearer by less than a statement for each.

        A call that is one short transaction (a heartbeat) is the measure: what a statement costs is about a
        quarter of it. A driver without statements has 50 microseconds for each image.
        """
        upload_id = self.begun()[1].id
        before = _seconds(call)
        for _ in range(100):
            self.stored(status='active', size=1, locations=(Location('mem://1', 's'),))
        most = max(_seconds(lambda: self.driver.upload_heartbeat(upload_id)) / 4, 50e-6)
        self.assertLess((_seconds(call) - before) / 100, most)


def _seconds(call: Callable[[], Any]) -> float:
    """The shortest of seven runs: what else the machine does only ever makes one longer."""
    def once() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start
    return min(once() for _ in range(7))


def _fields(image: Image) -> dict[str, Any]:
    fields = {field.name: getattr(image, field.name) for field in dataclasses.fields(image)}
    fields['properties'] = dict(image.properties)
    fields['locations'] = [_location_fields(place) for place in image.locations]
    return fields


def _location_fields(place: Location) -> tuple:
    return place.url, place.store, dict(place.metadata), place.status, place.id
