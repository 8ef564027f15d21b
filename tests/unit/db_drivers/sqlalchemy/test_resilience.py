"""Deadlocks, lost connections, lost commits, restarted servers."""

import threading
import time
import uuid

import sqlalchemy as sa

from glancelike.db_drivers.sqlalchemy import rows
from glancelike.plugin import Image, ImageChanges, ImageQuery, Location, Task, TaskChanges, errors
from tests import base
from tests.servers import databases
from tests.unit.db_drivers.sqlalchemy.case import ADMIN, OWNER, PLACE, DriverCase
from tests.unit.db_drivers.sqlalchemy.proxy import CommitProxy

STORED = ImageChanges({'status': 'active', 'size': 10})
DONE = TaskChanges({'status': 'success'}, 60)


class Servers(DriverCase):
    """On servers that can be stopped, and behind a proxy."""

    def behind_proxy(self):
        """A driver that reaches the test's database through a proxy."""
        url = sa.make_url(self.url)
        proxy = CommitProxy(url.port)
        self.addCleanup(proxy.close)
        self.url = url.set(port=proxy.port).render_as_string(hide_password=False)
        return self.make_driver(), proxy

    def both_losses(self, prepare, call, check):
        """Do *call* with a commit that got lost, then with a lost answer: it happened once in either case.

        :param prepare: () -> what the call works on
        :param call: (driver, prepared) -> result
        :param check: (prepared, result); fails when it did not happen, or twice
        """
        driver, proxy = self.behind_proxy()
        for how in ('commit', 'answer'):
            prepared = prepare()
            driver.ping()
            proxy.lose, before = how, proxy.lost
            result = call(driver, prepared)
            self.assertEqual(before + 1, proxy.lost)
            check(prepared, result)

    def test_create_survives_a_lost_commit(self):
        self.both_losses(
            lambda: Image(id=str(uuid.uuid4()), owner='owner', properties={'p': '1'}, locations=(PLACE,)),
            lambda driver, image: driver.image_create(OWNER, image),
            lambda image, created: self.assertEqual(created, self.driver.image_get(OWNER, image.id)))

    def test_update_from_a_status_survives_a_lost_commit(self):
        def check(image, changed):
            self.assertEqual(('saving', 2), (changed.status, changed.version))
            self.assertEqual(changed, self.driver.image_get(OWNER, image.id))
        self.both_losses(
            self.stored, lambda driver, image: driver.image_update(
                OWNER, image.id, ImageChanges({'status': 'saving'}), from_status='queued'), check)

    def test_delete_survives_a_lost_commit(self):
        self.both_losses(
            lambda: self.stored(locations=(PLACE,)), lambda driver, image: driver.image_delete(OWNER, image.id),
            lambda image, gone: self.assertEqual((True, 2, 1), (gone.deleted, gone.version, len(gone.locations))))

    def test_tag_changes_survive_a_lost_commit(self):
        self.both_losses(
            lambda: self.stored(tags=frozenset('a')), lambda driver, image: driver.tag_remove(OWNER, image.id, 'a'),
            lambda image, _: self.assertEqual(2, self.driver.image_get(OWNER, image.id).version))

    def test_members_survive_a_lost_commit(self):
        def work(driver, image):
            return driver.member_add(OWNER, image.id, 'm')
        self.both_losses(self.stored, work, lambda image, member: self.assertEqual(
            [member], self.driver.member_list(OWNER, image.id)))

    def test_removing_a_member_survives_a_lost_commit(self):
        def prepare():
            image = self.stored()
            self.driver.member_add(OWNER, image.id, 'm')
            return image
        self.both_losses(prepare, lambda driver, image: driver.member_remove(OWNER, image.id, 'm'),
                         lambda image, _: self.assertEqual([], self.driver.member_list(OWNER, image.id)))

    def test_the_beginning_of_an_upload_survives_a_lost_commit(self):
        self.both_losses(
            lambda: self.lease(self.stored()), lambda driver, lease: driver.upload_begin(OWNER, lease),
            lambda lease, image: self.assertEqual(
                (lease.id, 'saving'), (self.driver.upload_of_image(image.id).id, image.status)))

    def begun(self):
        lease = self.lease(self.stored())
        self.driver.upload_begin(OWNER, lease)
        return lease

    def test_the_end_of_an_upload_survives_a_lost_commit(self):
        def check(lease, image):
            self.assertEqual(('active', 1, 3), (image.status, len(image.locations), image.version))
            self.assertEqual(image, self.driver.image_get(OWNER, lease.image_id))
        self.both_losses(
            self.begun, lambda driver, lease: driver.upload_finish(OWNER, lease.id, STORED, [PLACE]), check)

    def test_giving_up_an_upload_survives_a_lost_commit(self):
        self.both_losses(self.begun, lambda driver, lease: driver.upload_abort(lease.id),
                         lambda lease, ended: self.assertIs(True, ended))

    def test_taking_an_upload_over_survives_a_lost_commit(self):
        self.both_losses(
            lambda: self.driver.upload_of_image(self.begun().image_id),
            lambda driver, upload: driver.upload_take_over(upload, str(uuid.uuid4()), 'node'),
            lambda upload, taken: self.assertIs(True, taken))

    def new_task(self):
        return Task(str(uuid.uuid4()), 'import', owner='owner')

    def task(self, task_id):
        return self.driver.task_get(ADMIN, task_id)

    def importing(self):
        task, image = self.new_task(), self.stored()
        lease = self.lease(image, task_id=task.id)
        self.driver.upload_begin(OWNER, lease, task=task)
        return lease

    def test_the_beginning_of_an_import_survives_a_lost_commit(self):
        def prepare():
            task = self.new_task()
            return self.lease(self.stored(), task_id=task.id), task

        def check(prepared, image):
            lease, task = prepared
            self.assertEqual((2, lease.id), (image.version, self.driver.upload_of_image(image.id).id))
            self.assertEqual(task.id, self.task(task.id).id)
        self.both_losses(prepare, lambda driver, made: driver.upload_begin(OWNER, made[0], task=made[1]), check)

    def test_the_end_of_an_import_survives_a_lost_commit(self):
        def check(lease, image):
            self.assertEqual(('active', 1, 3), (image.status, len(image.locations), image.version))
            self.assertEqual('success', self.task(lease.task_id).status)
        self.both_losses(self.importing, lambda driver, lease: driver.upload_finish(
            OWNER, lease.id, STORED, [PLACE], task=DONE), check)

    def test_a_copy_that_does_not_end_its_import_survives_a_lost_commit(self):
        """It is added once, and an Upload may add a second one after it."""
        def check(lease, image):
            self.assertEqual((1, 3), (len(image.locations), image.version))
            more = self.driver.upload_finish(OWNER, lease.id, STORED, [Location('mem://other', 's')], task=DONE)
            self.assertEqual((2, 4), (len(more.locations), more.version))
        self.both_losses(self.importing, lambda driver, lease: driver.upload_finish(
            OWNER, lease.id, ImageChanges(), [PLACE], task=TaskChanges({'step': 's'}), ends=False), check)

    def test_changes_in_the_middle_of_an_import_survive_a_lost_commit(self):
        self.both_losses(
            self.importing, lambda driver, lease: driver.upload_finish(OWNER, lease.id, ImageChanges({'name': 'n'}), (),
                                                                       ends=False),
            lambda lease, image: self.assertEqual(('n', 3), (image.name, image.version)))

    def test_giving_up_an_import_survives_a_lost_commit(self):
        def check(lease, ended):
            self.assertEqual((True, 'failure'), (ended, self.task(lease.task_id).status))
        self.both_losses(self.importing, lambda driver, lease: driver.upload_abort(
            lease.id, changes=ImageChanges({'name': 'n'}), task=TaskChanges({'status': 'failure'})), check)

    def test_a_new_task_survives_a_lost_commit(self):
        self.both_losses(self.new_task, lambda driver, task: driver.task_create(OWNER, task),
                         lambda task, created: self.assertEqual(created, self.task(task.id)))

    def test_an_update_of_a_task_survives_a_lost_commit(self):
        self.both_losses(
            lambda: self.driver.task_create(OWNER, self.new_task()),
            lambda driver, task: driver.task_update(task.id, DONE, from_status='pending'),
            lambda task, changed: self.assertEqual(changed, self.task(task.id)))

    def test_setting_locations_survives_a_lost_commit(self):
        def check(image, done):
            self.assertEqual(done, self.driver.image_get(OWNER, image.id))
            self.assertEqual((2, ['mem://new', PLACE.url]), (done.version, [place.url for place in done.locations]))
        self.both_losses(
            lambda: self.stored(locations=(PLACE, Location('mem://old', 's'))),
            lambda driver, image: driver.locations_set(
                OWNER, image.id, [Location('mem://new', 's'), image.locations[0]]),
            check)

    def test_a_finish_that_is_asked_for_again_is_answered_the_same(self):
        """The answer of the driver itself may be lost too, with its process or by a 503."""
        lease = self.begun()
        done = self.driver.upload_finish(OWNER, lease.id, STORED, [PLACE])
        self.assertEqual(done, self.driver.upload_finish(OWNER, lease.id, STORED, [PLACE]))

    def test_a_copy_that_is_brought_again_is_not_added_twice(self):
        lease = self.begun()
        for _ in range(2):
            image = self.driver.upload_finish(OWNER, lease.id, ImageChanges(), [PLACE], ends=False)
            self.assertEqual((1, 3), (len(image.locations), image.version))

    def test_a_deadlock_is_tried_again(self):
        """Two transactions lock two images in opposite orders; the database undoes one, and both get done."""
        first, second = self.stored(), self.stored()
        met, tries = threading.Barrier(2, timeout=30), []

        def work(one, other):
            def lock(connection):
                tries.append(one.id)
                rows.lock(connection, ADMIN, one.id)
                if len(tries) <= 2:
                    met.wait()  # each holds one now
                image = rows.lock(connection, ADMIN, other.id)
                return rows.apply(connection, image, ImageChanges(tags=image.tags | {one.id}))
            self.database.write(lock)

        threads = [threading.Thread(target=work, args=pair) for pair in ((first, second), (second, first))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertGreater(len(tries), 2)
        self.assertEqual({second.id}, set(self.driver.image_get(ADMIN, first.id).tags))
        self.assertEqual({first.id}, set(self.driver.image_get(ADMIN, second.id).tags))

    def test_a_read_counts_though_the_connection_is_lost_after_the_last_answer(self):
        driver, proxy = self.behind_proxy()
        for snapshot in (False, True):
            def work(connection):
                answer = connection.exec_driver_sql('SELECT 7').scalar()
                proxy.cut()
                return answer
            self.assertEqual(7, driver._database.read(work, snapshot=snapshot))
            self.assertIsNone(driver.ping())
        self.assertEqual(0, driver._database.engine.pool.checkedout())

    def test_an_error_of_the_work_is_told_though_the_connection_is_lost(self):
        driver, proxy = self.behind_proxy()

        def work(connection):
            connection.exec_driver_sql('SELECT 7').scalar()
            proxy.cut()
            raise errors.ImageNotFound(image_id='x')
        self.assertRaises(errors.ImageNotFound, driver._database.read, work, snapshot=True)

    def test_a_restarted_server_is_used_again_at_once(self):
        image, server = self.stored(), self.server()
        for stop in (server.stop, server.kill):
            stop()
            server.start()
            self.assertEqual(image, self.driver.image_get(OWNER, image.id))
            stop()
            server.start()
            image = self.driver.image_update(OWNER, image.id, ImageChanges({'name': 'n'}))
        self.assertIsNone(self.driver.ping())

    def test_a_stopped_server_is_told_within_seconds(self):
        image, server = self.stored(), self.server()
        driver = self.make_driver(db_call_seconds=0.5)
        driver.ping()
        server.stop()
        try:
            start = time.monotonic()
            for call in (lambda: driver.image_get(OWNER, image.id), lambda: driver.image_list(OWNER, ImageQuery()),
                         lambda: driver.image_update(OWNER, image.id, ImageChanges({'name': 'n'})), driver.ping,
                         driver.check_schema):
                self.assertRaises(errors.DatabaseUnavailable, call)
            self.assertLess(time.monotonic() - start, 10)
        finally:
            server.start()
        self.assertEqual(image, driver.image_get(OWNER, image.id))

    def test_a_starting_program_waits_for_its_database(self):
        server = self.server()
        driver = self.make_driver(max_retries=60, retry_interval=1)
        server.stop()
        starting = threading.Timer(0.2, server.start)
        starting.start()
        try:
            driver.check_schema()
        finally:
            starting.join()

    def test_a_wrong_user_or_database_stops_the_start(self):
        url = sa.make_url(self.url)
        for wrong in (url.set(database='no_such_database'), url.set(username='nobody-known', password='hidden-word')):
            driver = databases.driver(wrong.render_as_string(hide_password=False))
            self.addCleanup(driver.close)
            error = self.assertRaises(errors.ConfigurationError, driver.check_schema)
            self.assertNotIn('hidden-word', str(error))


class PostgreSQLTest(Servers, databases.OnPostgreSQL, base.TestCase):
    """On PostgreSQL."""


class MariaDBTest(Servers, databases.OnMariaDB, base.TestCase):
    """On MariaDB."""


class SqliteTest(DriverCase, databases.Sqlite, base.TestCase):
    """Waiting for other writers of the file."""

    def test_a_writer_waits_for_another(self):
        other = sa.create_engine(self.url).connect()
        self.addCleanup(other.close)
        other.exec_driver_sql('BEGIN IMMEDIATE')
        done = []
        writer = threading.Thread(target=lambda: done.append(self.stored()))
        writer.start()
        self.driver.ping()  # readers do not wait
        self.assertEqual([], done)
        other.rollback()
        writer.join(30)
        self.assertEqual(1, len(done))

    def test_a_database_that_stays_locked_is_told(self):
        self.url += '?timeout=0.1'
        driver = self.make_driver(db_call_seconds=0.3)
        other = sa.create_engine(self.url).connect()
        self.addCleanup(other.close)
        other.exec_driver_sql('BEGIN IMMEDIATE')
        self.assertRaises(errors.DatabaseUnavailable, driver.image_create, OWNER, Image(id='x'))
        other.rollback()
        driver.image_create(OWNER, Image(id='x'))
