"""The life of a driver: schema, restarts, other processes, threads, and its manners when things go wrong."""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections.abc import Callable
from typing import Any

from glancelike.compliance.db.case import DbCase
from glancelike.compliance.requires import requires
from glancelike.plugin import (
    MULTI_PROCESS,
    PERSISTENT,
    DbDriver,
    Image,
    ImageChanges,
    ImageQuery,
    Location,
    TaskChanges,
    TaskQuery,
    errors,
)


class LifeSuite(DbCase):
    """LIFE-1 to LIFE-6, and what ALL says of errors and threads."""

    # --- schema --------------------------------------------------------------------------------------------

    def test_making_the_schema_again_changes_nothing(self):
        """LIFE-1: images are there as before."""
        image = self.stored(tags=frozenset({'t'}), properties={'p': '1'})
        self.driver.create_schema()
        self.assert_unchanged(image)

    def test_callers_at_once_may_make_the_schema(self):
        """LIFE-1: on an empty database too."""
        bare = self.make_bare_driver()
        driver = self.driver if bare is None else bare
        self.addCleanup(driver.close)
        self.assertEqual([None] * 2, self.race(driver.create_schema, driver.create_schema))
        driver.check_schema()

    @requires(PERSISTENT, MULTI_PROCESS)
    def test_processes_at_once_may_make_the_schema(self):
        """LIFE-1: as when several nodes are started on an empty database."""
        bare = self.made(self.make_bare_driver)

        def work(driver: DbDriver, tell: Callable[[Any], None]) -> None:
            driver.create_schema()
            tell('made')

        children = [_Child(self, bare, work) for _ in range(2)]
        self.assertEqual(['made'] * 2, [child.next() for child in children])
        self.reopened(bare).check_schema()

    def test_a_schema_that_was_made_is_right(self):
        """LIFE-2: check_schema says nothing."""
        self.assertIsNone(self.driver.check_schema())

    @requires(PERSISTENT)
    def test_a_missing_schema_is_told(self):
        """LIFE-2: ConfigurationError."""
        driver = self.made(self.make_bare_driver)
        self.assertRaises(errors.ConfigurationError, driver.check_schema)

    def made(self, make: Callable[[], DbDriver | None]) -> DbDriver:
        """What the author's hook makes, closed after the test; without it the test is skipped, and says so."""
        driver = make()
        if driver is None:
            self.skipTest(f'the test of {self.driver_name} gives no {make.__name__}()')
        self.addCleanup(driver.close)
        return driver

    # --- alive and closed ----------------------------------------------------------------------------------

    def test_a_database_that_answers_is_alive(self):
        """LIFE-3: ping says nothing."""
        self.assertIsNone(self.driver.ping())

    @requires(PERSISTENT)
    def test_a_database_that_does_not_answer_is_told_by_ping(self):
        """LIFE-3: DatabaseUnavailable."""
        driver = self.made(self.make_unreachable_driver)
        self.assertRaises(errors.DatabaseUnavailable, driver.ping)

    @requires(PERSISTENT)
    def test_a_database_that_does_not_answer_is_told_by_every_method(self):
        """ALL-3: DatabaseUnavailable, no error of a library."""
        driver = self.made(self.make_unreachable_driver)
        for call in (lambda: driver.image_get(self.admin, 'x'),
                     lambda: driver.image_list(self.admin, ImageQuery()),
                     lambda: driver.image_create(self.admin, Image(id=str(uuid.uuid4()))),
                     lambda: driver.upload_heartbeat('x'), lambda: driver.task_get(self.admin, 'x'),
                     lambda: driver.tasks_expire(), lambda: driver.location_staged('x')):
            self.assertRaises(errors.DatabaseUnavailable, call)

    def test_closing_twice_is_no_error(self):
        """LIFE-4: close gives up what is left."""
        self.driver.close()
        self.assertIsNone(self.driver.close())

    @requires(PERSISTENT)
    def test_everything_is_there_after_a_restart(self):
        """LIFE-5: images, members, uploads and tasks."""
        image = self.stored(name='🐧', status='active', properties={'p': '1'}, tags=frozenset({'t'}), size=5,
                            locations=(Location('mem://1', 's', {'n': 1}),))
        member = self.driver.member_add(self.owner, image.id, 'm')
        saving, upload = self.begun(reserved=9)
        gone = self.deleted(locations=(Location('mem://2', 's'),))
        task = self.driver.task_create(self.owner, self.task(input={'n': [1]}))
        self.restart()
        self.assertEqual(task, self.driver.task_get(self.owner, task.id))
        self.assert_unchanged(image)
        self.assert_unchanged(saving)
        self.assertEqual([member], self.driver.member_list(self.owner, image.id))
        self.assertEqual(upload, self.driver.upload_of_image(saving.id))
        self.assertEqual([gone.id], [image_id for image_id, _ in self.driver.locations_pending_delete(0)])
        self.assertEqual(9, self.driver.usage(image.owner).reserved_bytes)

    @requires(PERSISTENT)
    def test_ids_of_locations_are_not_used_again_after_a_restart(self):
        """LIFE-5: the id of a forgotten location names no other one later."""
        gone = self.deleted(locations=(Location('mem://1', 's'),))
        self.restart()
        image = self.stored(locations=(Location('mem://2', 's'),))
        self.assertNotEqual(gone.locations[0].id, image.locations[0].id)

    @requires(PERSISTENT)
    def test_a_killed_process_leaves_whole_images_only(self):
        """LIFE-5: kill -9 in the middle of many creates; what was returned is there, nothing is half there."""
        self.driver.close()

        def create(driver: DbDriver, tell: Callable[[Any], None]) -> None:
            while True:
                image = driver.image_create(self.admin, rich_image())
                tell(image.id)

        told = self.killed_after(3, create)
        self.restart()
        found = self.driver.image_list(self.admin, ImageQuery())
        self.assertLessEqual(set(told), {image.id for image in found})
        self.assertEqual({(8, 4, 2)}, {(len(image.properties), len(image.tags), len(image.locations))
                                       for image in found})

    @requires(PERSISTENT)
    def test_a_killed_process_leaves_no_upload_half_done(self):
        """ALL-1: kill -9 among uploads: saving has a lease, active has bytes and none, deleted tells its bytes."""
        self.driver.close()

        def upload(driver: DbDriver, tell: Callable[[Any], None]) -> None:
            while True:
                image = driver.image_create(self.admin, rich_image())
                lease = self.lease(image)
                driver.upload_begin(self.admin, lease)
                changes = ImageChanges({'status': 'active', 'size': 1}, {'done': 'yes'}, tags=frozenset({'done'}))
                driver.upload_finish(self.admin, lease.id, changes, [Location('mem://3', 's')])
                driver.image_delete(self.admin, driver.image_create(self.admin, rich_image()).id)
                tell(image.id)

        self.killed_after(3, upload)
        self.restart()
        wanted = {'queued': (False, 2, 4, 8), 'saving': (True, 2, 4, 8), 'active': (False, 3, 1, 9)}
        for image in self.driver.image_list(self.admin, ImageQuery()):
            leased = self.driver.upload_of_image(image.id) is not None
            self.assertEqual(wanted[image.status],
                             (leased, len(image.locations), len(image.tags), len(image.properties)))
        told = [image_id for image_id, _ in self.driver.locations_pending_delete(0)]
        self.assertEqual({2}, {told.count(image_id) for image_id in told})

    def killed_after(self, count: int, work: Callable[[DbDriver, Callable[[Any], None]], None]) -> list[Any]:
        """What another process at that *work* told until it was killed, which is after so many lines."""
        child = _Child(self, self.driver, work)
        told = [child.next() for _ in range(count)]
        child.kill()
        return told

    def restart(self) -> None:
        """Put another driver on the same database in the place of ``self.driver``."""
        self.driver.close()
        self.driver = self.reopened(self.driver)
        self.driver.check_schema()

    def reopened(self, driver: DbDriver) -> DbDriver:
        """Another driver on the same database, closed after the test."""
        again = self.reopen(driver)
        self.addCleanup(again.close)
        return again

    # --- threads and processes -----------------------------------------------------------------------------

    @requires(PERSISTENT)
    def test_a_killed_process_leaves_no_task_without_its_lease(self):
        """ALL-1: kill -9 among imports: an unfinished task has a lease, an active image a task that succeeded."""
        self.driver.close()
        success = TaskChanges({'status': 'success'}, 3600)

        def work(driver: DbDriver, tell: Callable[[Any], None]) -> None:
            while True:
                image = driver.image_create(self.admin, Image(id=str(uuid.uuid4())))
                task = self.task(image_id=image.id)
                lease = self.lease(image, task_id=task.id)
                driver.upload_begin(self.admin, lease, to_status='importing', task=task)
                driver.upload_finish(self.admin, lease.id, ImageChanges({'status': 'active'}),
                                     [Location('mem://1', 's')], from_status='importing', task=success)
                tell(image.id)

        self.killed_after(3, work)
        self.restart()
        possible = {('queued', (), None, 0), ('importing', ('pending',), 'ours', 0), ('active', ('success',), None, 1)}
        for image in self.driver.image_list(self.admin, ImageQuery()):
            tasks = self.driver.task_list(self.admin, TaskQuery(image_id=image.id))
            upload = self.driver.upload_of_image(image.id)
            held = upload and ('ours' if [upload.task_id] == [task.id for task in tasks] else 'not ours')
            self.assertIn((image.status, tuple(task.status for task in tasks), held, len(image.locations)), possible)
        self.assertEqual([], self.driver.tasks_orphaned(0))

    def test_methods_may_be_called_from_several_threads(self):
        """ALL-6: no write is lost, whatever the others do meanwhile."""
        image = self.stored()

        def work(n: int) -> list[int]:
            versions = []
            for m in range(4):
                self.driver.tag_add(self.owner, image.id, f'{n}-{m}')
                changes = ImageChanges({'name': f'{n}-{m}'})
                versions.append(self.driver.image_update(self.owner, image.id, changes).version)
                self.driver.image_list(self.owner, ImageQuery())
                self.driver.member_add(self.owner, image.id, f'{n}-{m}')
            return versions

        results = self.race(*(lambda n=n: work(n) for n in range(4)))
        self.assertEqual([list] * 4, [type(result) for result in results], results)
        self.assertEqual(16, len({version for versions in results for version in versions}))
        self.assertEqual(16, len(self.get(image.id).tags))
        self.assertEqual(16, len(self.driver.member_list(self.owner, image.id)))

    @requires(PERSISTENT, MULTI_PROCESS)
    def test_of_several_processes_one_wins(self):
        """LIFE-6: a race of from_status over process borders, and the parent sees the winner's change."""
        image = self.stored(status='queued')

        def work(driver: DbDriver, tell: Callable[[Any], None]) -> None:
            tell('ready')
            changes = ImageChanges({'status': 'saving', 'name': str(os.getpid())})
            try:
                driver.image_update(self.owner, image.id, changes, from_status='queued')
                tell(str(os.getpid()))
            except errors.StatusConflict:
                tell('lost')

        children = [_Child(self, self.driver, work) for _ in range(3)]
        for child in children:
            self.assertEqual('ready', child.next())
        results = [child.next() for child in children]
        self.assertEqual(2, results.count('lost'), results)
        self.assertIn(self.get(image.id).name, results)

    @requires(PERSISTENT, MULTI_PROCESS)
    def test_of_several_processes_one_begins_an_import(self):
        """LIFE-6, UPLOAD-15: there is one task, and the Upload carries its id."""
        image = self.stored()

        def work(driver: DbDriver, tell: Callable[[Any], None]) -> None:
            task = self.task(image_id=image.id)
            tell('ready')
            try:
                driver.upload_begin(self.owner, self.lease(image, task_id=task.id), task=task)
                tell(task.id)
            except errors.StatusConflict:
                tell('lost')

        children = [_Child(self, self.driver, work) for _ in range(3)]
        for child in children:
            self.assertEqual('ready', child.next())
        results = [child.next() for child in children]
        self.assertEqual(2, results.count('lost'), results)
        [task] = self.driver.task_list(self.admin, TaskQuery())
        self.assertIn(task.id, results)
        self.assertEqual(task.id, self.driver.upload_of_image(image.id).task_id)

    @requires(PERSISTENT, MULTI_PROCESS)
    def test_no_write_of_several_processes_is_lost(self):
        """LIFE-6: tags added by three processes at once, all of one image."""
        image = self.stored()

        def work(driver: DbDriver, tell: Callable[[Any], None]) -> None:
            for n in range(5):
                driver.tag_add(self.owner, image.id, f'{os.getpid()}-{n}')
            tell('done')

        children = [_Child(self, self.driver, work) for _ in range(3)]
        self.assertEqual(['done'] * 3, [child.next() for child in children])
        self.assertEqual(15, len(self.get(image.id).tags))

    @requires(PERSISTENT, MULTI_PROCESS)
    def test_processes_at_once_do_not_pass_the_limit_of_bytes(self):
        """UPLOAD-5: exact also for callers in several processes: three of four times 10 bytes fit into 35."""
        uploads = [self.begun()[1] for _ in range(4)]

        def reserve(upload_id: str) -> Callable[[DbDriver, Callable[[Any], None]], None]:
            def work(driver: DbDriver, tell: Callable[[Any], None]) -> None:
                try:
                    driver.upload_reserve(upload_id, 10, 35)
                    tell('fits')
                except errors.QuotaExceeded:
                    tell('too much')
            return work

        children = [_Child(self, self.driver, reserve(upload.id)) for upload in uploads]
        self.assertEqual(['fits'] * 3 + ['too much'], sorted(child.next() for child in children))
        self.assertEqual(30, self.driver.usage(self.owner.project_id).reserved_bytes)

    # --- manners -------------------------------------------------------------------------------------------

    def test_unknown_ids_raise_the_errors_of_the_contract(self):
        """ALL-3: and no other ones, however odd the id is."""
        for odd in ('', 'no-uuid', '%', "'; --", '🐧', 'x' * 300):
            changes = ImageChanges({'name': 'n'})
            for error, call in (
                    (errors.ImageNotFound, lambda i=odd: self.driver.image_get(self.admin, i)),
                    (errors.ImageNotFound, lambda i=odd, c=changes: self.driver.image_update(self.admin, i, c)),
                    (errors.ImageNotFound, lambda i=odd: self.driver.image_delete(self.admin, i)),
                    (errors.ImageNotFound, lambda i=odd: self.driver.image_restore(self.admin, i, 'active')),
                    (errors.ImageNotFound, lambda i=odd: self.driver.tag_add(self.admin, i, 't')),
                    (errors.ImageNotFound, lambda i=odd: self.driver.member_add(self.admin, i, 'm')),
                    (errors.MemberNotFound, lambda i=odd: self.driver.member_get(self.admin, i, 'm')),
                    (errors.ImageNotFound, lambda i=odd: self.driver.locations_set(self.admin, i, ())),
                    (errors.TaskNotFound, lambda i=odd: self.driver.task_get(self.admin, i)),
                    (errors.InvalidMarker, lambda i=odd: self.driver.task_list(self.admin, TaskQuery(marker=i))),
                    (errors.StatusConflict, lambda i=odd: self.driver.upload_reserve(i, 1, None)),
                    (errors.StatusConflict, lambda i=odd, c=changes: self.driver.upload_finish(
                        self.admin, i, c, []))):
                self.assertRaises(error, call)
            self.assertIs(False, self.driver.upload_heartbeat(odd))
            self.assertIs(False, self.driver.upload_abort(odd))
            self.assertIsNone(self.driver.upload_of_image(odd))
            self.assertIsNone(self.driver.member_status(odd, odd))

    def test_every_method_of_the_contract_is_there(self):
        """ALL-3: a driver may not leave one out."""
        missing = [name for name, method in vars(DbDriver).items()
                   if callable(method) and getattr(type(self.driver), name) is method and name != '__init__']
        self.assertEqual([], missing)


def rich_image() -> Image:
    """Eight properties, four tags, two locations."""
    return Image(id=str(uuid.uuid4()), owner='p', properties={f'p{n}': 'x' * 100 for n in range(8)},
                 tags=frozenset('abcd'), locations=(Location('mem://1', 's'), Location('mem://2', 's')))


class _Child:
    """A forked process with a driver of its own on the database of *driver*; it tells lines of JSON.

    :param work: called as ``work(driver, tell)`` in the child; when it returns the child ends at once
    """

    def __init__(self, case: LifeSuite, driver: DbDriver, work: Callable[[DbDriver, Callable[[Any], None]], None]):
        reading, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.close(reading)
                work(case.reopen(driver), lambda what: os.write(writing, json.dumps(what).encode() + b'\n'))
            except BaseException as error:
                os.write(writing, json.dumps(f'failed: {error!r}').encode() + b'\n')
            finally:
                os._exit(0)  # no clean-up of the parent's test may run here
        os.close(writing)
        self._lines = os.fdopen(reading, 'rb')
        self._ended = False
        case.addCleanup(self.kill)

    def next(self) -> Any:
        """What the child tells next; waits for it.

        :raises AssertionError: the child ended without telling more, or tells of an error
        """
        line = self._lines.readline()
        if not line:
            raise AssertionError('the other process ended early')
        told = json.loads(line)
        if isinstance(told, str) and told.startswith('failed: '):
            raise AssertionError(f'in the other process: {told}')
        return told

    def kill(self) -> None:
        """``kill -9``, unless it is gone already."""
        if not self._ended:
            self._ended = True
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._lines.close()
