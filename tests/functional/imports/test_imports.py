"""Imports from their order to the end of their task: states, hashes, stores, and nothing left behind."""

import hashlib
import threading

from testtools.matchers import Contains, Equals

from glancelike import errors
from glancelike.core.imports import ImportOrder
from glancelike.plugin import TaskChanges
from tests.functional.imports.built import ADMIN, DATA, OWNER, STRANGER, Given, ImportTestCase, Refusing, Upper, sha512


class StagingTest(ImportTestCase):

    def test_staged_data_wait_in_staging_and_in_no_document(self):
        image_id = self.create()
        self.stage(image_id)
        image = self.db.image_get(ADMIN, image_id)
        self.assertEqual(('uploading', len(DATA), ()), (image.status, image.size, image.locations))
        self.assertEqual([f'staging/{image_id}'], self.files())
        self.assertEqual(len(DATA), self.db.usage('owner').staged_bytes)

    def test_staging_twice_is_a_conflict(self):
        image_id = self.create()
        self.stage(image_id)
        self.assertRaises(errors.StatusConflict, self.stage, image_id)
        self.assertEqual([f'staging/{image_id}'], self.files())

    def test_a_body_of_another_length_leaves_the_image_queued_and_staging_empty(self):
        image_id = self.create()
        import io
        self.assertRaises(errors.SizeMismatch, self.services.staging.stage, OWNER, image_id, io.BytesIO(DATA), 5)
        self.assertEqual('queued', self.db.image_get(ADMIN, image_id).status)
        self.assertEqual([], self.files())

    def test_deleting_a_staged_image_removes_its_data(self):
        image_id = self.create()
        self.stage(image_id)
        self.services.images.delete(OWNER, image_id)
        self.assertEqual([], self.files())

    def test_staging_is_not_for_strangers(self):
        image_id = self.create()
        self.assertRaises(errors.ImageNotFound, self.stage, image_id, DATA, STRANGER)


class ImportTest(ImportTestCase):

    def test_staged_data_become_the_active_image(self):
        image_id = self.create()
        self.stage(image_id)
        image, task = self.imported(image_id, 'glance-direct')
        self.assertEqual(('success', ''), (task.status, task.message))
        self.assertEqual(
            ('active', len(DATA), len(DATA), hashlib.md5(DATA).hexdigest(), 'sha512', sha512(DATA), ['fast']),
            (image.status, image.size, image.virtual_size, image.checksum, image.os_hash_algo, image.os_hash_value,
             [one.store for one in image.locations]))
        self.assertEqual(DATA, self.data_of(image_id))
        self.assertEqual([f'fast/{image_id}'], self.files())
        self.assertEqual({'image_id': image_id}, dict(task.result))
        self.assertIsNotNone(task.expires_at)
        self.assertIsNone(self.db.upload_of_image(image_id))
        self.assertEqual((None, (), ()), (image.import_state.task_id, image.import_state.importing_to,
                                          image.import_state.failed))

    def test_what_a_method_gives_streams_to_the_store_without_staging(self):
        seen = []
        self.method.before_piece = lambda number: seen.append(self.files('staging'))
        image_id = self.create()
        image, task = self.imported(image_id)
        self.assertEqual(('success', sha512(DATA)), (task.status, image.os_hash_value))
        self.assertEqual([[]] * 4, seen)

    def test_a_source_of_unknown_size_is_imported_too(self):
        self.method.size = False
        image_id = self.create()
        image, _task = self.imported(image_id)
        self.assertEqual(len(DATA), image.size)

    def test_several_stores_get_the_same_bytes_and_the_source_is_read_once(self):
        image_id = self.create()
        image, task = self.imported(image_id, stores=('cold', 'fast', 'spare'))
        self.assertEqual('success', task.status, task.message)
        self.assertEqual(['cold', 'fast', 'spare'], [one.store for one in image.locations])
        self.assertEqual([f'cold/{image_id}', f'fast/{image_id}', f'spare/{image_id}'], self.files())
        for store in ('cold', 'fast', 'spare'):
            self.assertEqual(DATA, self.data_of(image_id, store))
        self.assertEqual(1, self.method.opened)

    def test_all_stores_are_those_that_take_images(self):
        image_id = self.create()
        image, _task = self.imported(image_id, all_stores=True)
        self.assertEqual(['fast', 'cold', 'spare'], [one.store for one in image.locations])

    def test_plugins_change_bytes_formats_and_properties_in_order(self):
        self.use_plugins(Upper(properties={'first': 'a', 'os_glance_x': 'no'}),
                         Upper(file=True, disk_format='iso', properties={'first': 'b'}))
        image_id = self.create(disk_format='aki', container_format='aki')
        image, task = self.imported(image_id)
        self.assertEqual('success', task.status, task.message)
        expected = bytes(255 - one for one in DATA)[::-1]
        self.assertEqual((sha512(expected), 'iso', {'first': 'b'}),
                         (image.os_hash_value, image.disk_format, dict(image.properties)))
        self.assertEqual([f'fast/{image_id}'], self.files())

    def test_with_a_plugin_that_needs_a_file_the_source_is_staged_first(self):
        plugin = Upper(file=True)
        seen = []
        plugin.before = lambda job: seen.append(self.files('staging'))
        self.use_plugins(plugin)
        image_id = self.create()
        image, task = self.imported(image_id)
        self.assertEqual(('success', sha512(DATA[::-1])), (task.status, image.os_hash_value))
        self.assertEqual([[f'staging/{image_id}']], seen)
        self.assertEqual([f'fast/{image_id}'], self.files())

    def test_properties_of_a_method_reach_the_image(self):
        self.use_method('given', Given(properties={'hw_disk_bus': 'scsi'}, disk_format='raw'))
        image, _task = self.imported(self.create())
        self.assertEqual('scsi', image.properties['hw_disk_bus'])

    def test_the_secret_reaches_the_method_and_is_stored_encrypted_only(self):
        method = Given(secret='s3cret')
        self.use_method('given', method)
        rows = []
        method.before_piece = lambda number: rows.append(self.db.task_list(ADMIN, _all()))
        _image, task = self.imported(self.create())
        self.assertEqual('s3cret', method.jobs[0].secret)
        self.assertNotIn('s3cret', repr(rows) + str(rows[0][0].secret))
        self.assertIsNone(task.secret)

    def test_copy_image_adds_stores_to_an_active_image(self):
        image_id = self.create()
        self.upload(image_id)
        image, task = self.imported(image_id, 'copy-image', ctx=ADMIN, stores=('cold', 'spare'))
        self.assertEqual('success', task.status, task.message)
        self.assertEqual(('active', ['fast', 'cold', 'spare']),
                         (image.status, [one.store for one in image.locations]))
        self.assertEqual(DATA, self.data_of(image_id, 'spare'))

    def test_copy_image_to_stores_that_have_it_all_is_a_success_at_once(self):
        image_id = self.create()
        self.upload(image_id)
        self.imported(image_id, 'copy-image', ctx=ADMIN, all_stores=True)
        task = self.begin(image_id, 'copy-image', ctx=ADMIN, all_stores=True)
        self.assertEqual('success', task.status)


class StoreDownTest(ImportTestCase):
    """The directory of the store cold is not there, as when a file system is not mounted."""

    def setUp(self):
        super().setUp()
        (self.tmp / 'cold').rename(self.tmp / 'unmounted')
        (self.tmp / 'cold').touch()
        self.assertRaises(errors.StoreError, self.services.stores.get('cold').check)

    def mount(self):
        (self.tmp / 'cold').unlink()
        (self.tmp / 'unmounted').rename(self.tmp / 'cold')
        self.services.stores.get('cold').check()

    def test_an_import_that_needs_it_leaves_nothing_in_the_others(self):
        image, task = self.imported(self.create(), stores=('fast', 'cold', 'spare'))
        self.assertEqual(('queued', 'failure'), (image.status, task.status))
        self.assertEqual([], self.files('fast', 'spare', 'staging', 'os_glance_tasks_store'))

    def test_an_import_that_does_not_need_it_succeeds_without_it(self):
        for stores in (('cold', 'fast'), ('fast', 'cold')):
            image, task = self.imported(self.create(), stores=stores, all_stores_must_succeed=False)
            self.assertEqual(('active', 'success'), (image.status, task.status), task.message)
            self.assertEqual((['fast'], ('cold',)), ([one.store for one in image.locations],
                                                     image.import_state.failed))

    def test_an_image_deleted_meanwhile_leaves_nothing_once_it_is_back(self):
        image_id = self.create()
        self.method.before_piece = lambda number: number == 2 and self.services.images.delete(OWNER, image_id)
        task = self.begin(image_id, stores=('fast', 'cold'))
        self.wait_for(lambda: self.services.leases._abandoned, 'the task to be left to recovery')
        self.mount()
        self.services.recovery.run_once()
        self.finished(task)
        self.assertEqual([], self.files())


class ProtectedPropertiesTest(ImportTestCase):

    options = {'DEFAULT': {'property_protection_file': '{tmp}/rules.conf'}}

    def load(self):
        (self.tmp / 'rules.conf').write_text(
            '[^hw_secret]\ncreate = admin\nread = admin,member\nupdate = admin\ndelete = admin\n'
            '[.*]\ncreate = @\nread = @\nupdate = @\ndelete = @\n')
        return super().load()

    def test_a_method_brings_no_property_that_its_caller_may_not_set(self):
        self.use_method('given', Given(properties={'hw_secret': 'mine', 'hw_disk_bus': 'scsi'}))
        image, task = self.imported(self.create())
        self.assertEqual(('success', {'hw_disk_bus': 'scsi'}), (task.status, dict(image.properties)))
        image, _task = self.imported(self.create(ADMIN), ctx=ADMIN)
        self.assertEqual({'hw_secret': 'mine', 'hw_disk_bus': 'scsi'}, dict(image.properties))

    def test_also_when_its_data_were_staged_meanwhile(self):
        self.use_method('given', Given(properties={'hw_secret': 'mine', 'hw_disk_bus': 'scsi'}))
        self.use_plugins(Upper(file=True))
        image, task = self.imported(self.create())
        self.assertEqual(('success', {'hw_disk_bus': 'scsi'}), (task.status, dict(image.properties)))

    def test_plugins_are_the_operators_and_set_what_they_like(self):
        self.use_plugins(Upper(properties={'hw_secret': 'ours'}))
        image, _task = self.imported(self.create())
        self.assertEqual({'hw_secret': 'ours'}, dict(image.properties))


class RefusedTest(ImportTestCase):

    def test_orders_that_cannot_be(self):
        image_id = self.create()
        active = self.create()
        self.upload(active)
        bare = self.services.images.create(OWNER).id
        for error, wanted, order in (
                (errors.Invalid, image_id, ImportOrder('nothing')),
                (errors.Invalid, image_id, ImportOrder('given', stores=('fast',), all_stores=True)),
                (errors.Invalid, image_id, ImportOrder('given', stores=('fast', 'fast'))),
                (errors.Conflict, image_id, ImportOrder('given', stores=('nowhere',))),
                (errors.StoreReadOnly, image_id, ImportOrder('given', stores=('web',))),
                (errors.StatusConflict, image_id, ImportOrder('glance-direct')),
                (errors.StatusConflict, active, ImportOrder('given')),
                (errors.Conflict, bare, ImportOrder('given'))):
            self.assertRaises(error, self.services.imports.begin, OWNER, wanted, order)
        self.assertRaises(errors.Forbidden, self.services.imports.begin, OWNER, active,
                          ImportOrder('copy-image', stores=('cold',)))
        self.assertRaises(errors.Invalid, self.services.imports.begin, ADMIN, active,
                          ImportOrder('copy-image', stores=('fast',)))
        self.assertRaises(errors.ImageNotFound, self.services.imports.begin, STRANGER, image_id,
                          ImportOrder('given'))
        self.assertEqual([], self.db.task_list(ADMIN, _all()))

    def test_a_second_import_is_a_conflict_while_the_first_runs(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.method.before_piece = lambda number: gate.wait(30)
        image_id = self.create()
        task = self.begin(image_id)
        self.assertRaises(errors.StatusConflict, self.begin, image_id)
        gate.set()
        self.assertEqual('success', self.finished(task).status)


class FailureTest(ImportTestCase):

    def held(self, image_id, status='queued'):
        image = self.db.image_get(ADMIN, image_id)
        self.assertEqual((status, ()), (image.status, image.locations))
        self.assertIsNone(image.size)
        self.assertIsNone(self.db.upload_of_image(image_id))
        self.assertEqual([], self.files())
        self.assertEqual(0, self.db.usage('owner').reserved_bytes)

    def test_a_source_that_breaks_leaves_the_image_queued(self):
        def broken(number):
            if number == 2:
                raise errors.SourceUnavailable(reason='it broke off')
        self.method.before_piece = broken
        image_id = self.create()
        _image, task = self.imported(image_id, stores=('fast', 'cold'))
        self.assertEqual('failure', task.status)
        self.assertThat(task.message, Contains('it broke off'))
        self.held(image_id)

    def test_a_plugin_that_refuses_leaves_the_image_queued_and_staging_empty(self):
        self.use_plugins(Refusing(None))
        image_id = self.create()
        self.stage(image_id)
        _image, task = self.imported(image_id, 'glance-direct')
        self.assertEqual(('failure', 'The image was refused by refusing: not here'), (task.status, task.message))
        self.held(image_id)

    def test_staged_data_that_were_cut_short_become_no_image(self):
        image_id = self.create()
        self.stage(image_id)
        (self.tmp / 'staging' / image_id).write_bytes(DATA[:100])
        image, task = self.imported(image_id, 'glance-direct')
        self.assertEqual(('queued', 'failure'), (image.status, task.status))
        self.assertThat(task.message, Contains(f'100 B of the {len(DATA)} B'))
        self.assertEqual([], self.files())

    def test_an_error_of_the_code_tells_nothing_but_that(self):
        def broken(number):
            raise ValueError('/secret/path')
        self.method.before_piece = broken
        image_id = self.create()
        _image, task = self.imported(image_id)
        self.assertEqual('The service had an unexpected error.', task.message)
        self.held(image_id)

    def test_the_wrong_format_is_refused(self):
        image_id = self.create(disk_format='qcow2')
        _image, task = self.imported(image_id)
        self.assertThat(task.message, Contains('qcow2'))
        self.held(image_id)

    def test_one_store_that_fails_makes_all_fail(self):
        self.block('cold')
        image_id = self.create()
        _image, task = self.imported(image_id, stores=('fast', 'cold', 'spare'))
        self.assertEqual('failure', task.status)
        self.held(image_id)

    def test_a_store_may_fail_where_not_all_must_succeed(self):
        self.block('cold')
        image_id = self.create()
        image, task = self.imported(image_id, stores=('cold', 'fast', 'spare'), all_stores_must_succeed=False)
        self.assertEqual('success', task.status)
        self.assertEqual('Could not be stored in: cold.', task.message)
        self.assertEqual(('active', ['fast', 'spare'], ('cold',), ()),
                         (image.status, [one.store for one in image.locations], image.import_state.failed,
                          image.import_state.importing_to))
        self.assertEqual(DATA, self.data_of(image_id, 'spare'))

    def test_the_image_is_active_with_the_first_of_stores_that_may_fail(self):
        gate, seen = threading.Event(), []
        store = self.services.stores.get('cold')._driver
        add = store.add

        def watched(*args):
            seen.append(self.db.image_get(ADMIN, image_id))
            return add(*args)
        store.add = watched
        gate.set()
        image_id = self.create()
        self.imported(image_id, stores=('fast', 'cold'), all_stores_must_succeed=False)
        self.assertEqual(('active', ('cold',)), (seen[0].status, seen[0].import_state.importing_to))

    def test_no_store_at_all_is_a_failure(self):
        self.block('fast')
        self.block('cold')
        image_id = self.create()
        _image, task = self.imported(image_id, stores=('fast', 'cold'), all_stores_must_succeed=False)
        self.assertEqual('failure', task.status)
        self.held(image_id)

    def test_a_copy_that_fails_leaves_the_active_image_as_it_was(self):
        image_id = self.create()
        self.upload(image_id)
        self.block('cold')
        image, task = self.imported(image_id, 'copy-image', ctx=ADMIN, stores=('spare', 'cold'))
        self.assertEqual('failure', task.status)
        self.assertEqual(('active', len(DATA), ['fast']),
                         (image.status, image.size, [one.store for one in image.locations]))
        self.assertEqual([f'fast/{image_id}'], self.files())

    def test_a_copy_whose_source_rotted_is_refused(self):
        image_id = self.create()
        self.upload(image_id)
        path = self.tmp / 'fast' / image_id
        path.write_bytes(DATA[:-1] + bytes([DATA[-1] ^ 1]))
        image, task = self.imported(image_id, 'copy-image', ctx=ADMIN, stores=('cold',))
        self.assertEqual('failure', task.status)
        self.assertEqual(['fast'], [one.store for one in image.locations])
        self.assertEqual([f'fast/{image_id}'], self.files())

    def test_the_quota_counts_every_copy(self):
        self.services.quotas._storage = int(len(DATA) * 1.5)
        image_id = self.create()
        _image, task = self.imported(image_id, stores=('fast', 'cold'))
        self.assertEqual('failure', task.status)
        self.held(image_id)
        _image, task = self.imported(image_id, stores=('fast',))
        self.assertEqual('success', task.status, task.message)

    def test_deleting_the_image_ends_its_import(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.method.before_piece = lambda number: number < 2 or gate.wait(30)
        image_id = self.create()
        task = self.begin(image_id)
        self.wait_for(lambda: self.db.task_get(ADMIN, task.id).status == 'processing', 'the task to begin')
        self.services.images.delete(OWNER, image_id)
        gate.set()
        self.assertEqual('failure', self.finished(task).status)
        self.assertEqual([], self.files())

    def block(self, store_id):
        """Let a store fail for good."""
        store = self.services.stores.get(store_id)

        def add(image_id, chunks, size):
            for _ in chunks:
                raise errors.StoreFull(store=store_id, wanted=1, free=0)
        store._driver.add = add


class CancelTest(ImportTestCase):

    def test_a_running_import_ends_soon(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        begun = threading.Event()

        def wait(number):
            begun.set()
            self.wait_for(lambda: self.method.jobs[0].progress.cancelled, 'the word of the end')
        self.method.before_piece = wait
        image_id = self.create()
        task = self.begin(image_id)
        begun.wait(30)
        self.services.imports.cancel(OWNER, image_id)
        task = self.finished(task)
        self.assertEqual(('failure', 'The task was cancelled.'), (task.status, task.message))
        self.assertEqual('queued', self.db.image_get(ADMIN, image_id).status)
        self.assertEqual([], self.files())

    def test_one_that_nobody_has_begun_ends_at_once(self):
        self.services.imports._executor.post = lambda task, upload: None
        image_id = self.create()
        self.stage(image_id)
        task = self.begin(image_id, 'glance-direct')
        self.services.imports.cancel(OWNER, image_id)
        self.assertEqual('failure', self.db.task_get(ADMIN, task.id).status)
        self.assertEqual(('queued', []), (self.db.image_get(ADMIN, image_id).status, self.files()))

    def test_nothing_to_cancel_is_a_conflict(self):
        image_id = self.create()
        self.assertRaises(errors.Conflict, self.services.imports.cancel, OWNER, image_id)
        self.assertRaises(errors.ImageNotFound, self.services.imports.cancel, STRANGER, image_id)


class RecoveryTest(ImportTestCase):

    def test_a_task_whose_process_died_is_done_by_another(self):
        executor = self.services.imports._executor
        posted = []
        executor.post, post = lambda task, upload: posted.append(task), executor.post
        executor.holder, holder = lambda: self._dead_node(), executor.holder
        image_id = self.create()
        self.stage(image_id)
        task = self.begin(image_id, 'glance-direct')
        executor.post, executor.holder = post, holder
        found = self.services.recovery.run_once()
        self.assertThat(found.tasks_handed_on, Equals(1))
        self.assertEqual('success', self.finished(task).status)
        self.assertEqual(sha512(DATA), self.db.image_get(ADMIN, image_id).os_hash_value)

    def test_a_task_whose_process_dies_every_time_is_given_up(self):
        executor = self.services.imports._executor
        executor.post, post = lambda task, upload: None, executor.post
        image_id = self.create()
        self.stage(image_id)
        task = self.begin(image_id, 'glance-direct')
        self.db.task_update(task.id, TaskChanges({'status': 'processing', 'attempts': 20}))
        post(task, self.db.upload_of_image(image_id))
        task = self.finished(task)
        self.assertEqual('failure', task.status)
        self.assertThat(task.message, Contains('20 times'))
        self.assertEqual(('queued', []), (self.db.image_get(ADMIN, image_id).status, self.files()))

    def test_what_a_dead_process_left_in_the_work_directory_goes(self):
        folder = self.tmp / 'os_glance_tasks_store' / 'aaa.bbb'
        folder.mkdir(parents=True)
        (folder / 'content').write_bytes(b'x')
        self.services.recovery.run_once()
        self.assertEqual([], self.files('os_glance_tasks_store'))

    def test_bytes_given_up_while_a_store_was_down_go_later_and_newer_ones_stay(self):
        image_id = self.create()
        self.stage(image_id)
        staging = self.services.runner._parts.staging
        remove, staging._driver.delete = staging._driver.delete, _unavailable
        self.use_plugins(Refusing(None))
        _image, task = self.imported(image_id, 'glance-direct')
        self.assertEqual('failure', task.status)
        self.assertEqual([f'staging/{image_id}'], self.files())
        staging._driver.delete = remove
        self.stage(image_id, DATA[:100])
        self.services.recovery.run_once()
        self.use_plugins()
        image, task = self.imported(image_id, 'glance-direct')
        self.assertEqual(('success', 100), (task.status, image.size))
        self.services.recovery.run_once()
        self.assertEqual([f'fast/{image_id}'], self.files())

    def _dead_node(self):
        parts = self.services.imports._leases.node.name.split(':')
        return ':'.join((parts[0], '999999', '1', *parts[3:]))


def _unavailable(url):
    raise errors.StoreUnavailable(store='os_glance_staging_store')


def _all():
    from glancelike.plugin import TaskQuery
    return TaskQuery()
