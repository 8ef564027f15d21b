"""Tasks of processes that died: whoever goes on with them leaves nothing of the dead behind."""

from testtools.matchers import Equals

from glancelike import errors
from glancelike.model.image import ImageChanges, Location
from glancelike.model.task import PROCESSING, TaskChanges
from glancelike.model.upload import Upload
from tests.functional.imports.built import ADMIN, DATA, OWNER, ImportTestCase, sha512

PART = '.{}.0123456789abcdef.part'


class TakenUpCase(ImportTestCase):

    def dead_node(self):
        """The name of a process of this machine that is over."""
        parts = self.services.imports._leases.node.name.split(':')
        return ':'.join((parts[0], '999999', '1', *parts[3:]))

    def left(self, image_id, **order):
        """A task that was being done when its process died."""
        executor = self.services.imports._executor
        with_post, with_holder = executor.post, executor.holder
        executor.post, executor.holder = lambda task, upload: None, self.dead_node
        try:
            task = self.begin(image_id, **order)
        finally:
            executor.post, executor.holder = with_post, with_holder
        return self.db.task_update(task.id, TaskChanges({'status': PROCESSING}))

    def leave(self, store, name):
        folder = self.tmp / store
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(b'half')


class TakenUpTest(TakenUpCase):

    def test_parts_and_objects_of_the_dead_go_before_a_store_is_written_to(self):
        image_id = self.create()
        task = self.left(image_id, stores=('fast', 'cold'))
        self.leave('fast', PART.format(image_id))
        self.leave('cold', image_id)
        self.leave('cold', PART.format(image_id))
        self.services.recovery.run_once()
        self.assertThat(self.finished(task).status, Equals('success'))
        self.assertThat(self.files(), Equals([f'cold/{image_id}', f'fast/{image_id}']))
        self.assertThat(self.data_of(image_id, 'cold') == DATA, Equals(True))

    def test_a_task_cancelled_meanwhile_leaves_nothing(self):
        image_id = self.create()
        task = self.left(image_id, stores=('fast', 'cold'))
        self.leave('fast', image_id)
        self.leave('cold', PART.format(image_id))
        self.services.imports.cancel(OWNER, image_id)
        self.services.recovery.run_once()
        self.assertThat(self.finished(task).status, Equals('failure'))
        self.assertThat(self.db.image_get(ADMIN, image_id).status, Equals('queued'))
        self.assertThat(self.files(), Equals([]))

    def test_an_image_deleted_meanwhile_leaves_nothing(self):
        image_id = self.create()
        task = self.left(image_id)
        self.leave('fast', image_id)
        self.services.images.delete(OWNER, image_id)
        self.services.recovery.run_once()
        self.assertThat(self.finished(task).status, Equals('failure'))
        self.assertThat(self.files(), Equals([]))

    def test_a_task_of_a_deleted_image_waits_for_the_store_that_has_its_bytes(self):
        image_id = self.create()
        task = self.left(image_id)
        self.leave('fast', image_id)
        self.services.images.delete(OWNER, image_id)
        driver = self.services.stores.get('fast')._driver
        discard, driver.discard = driver.discard, _unavailable
        upload = self.db.upload_of_image(image_id)
        self.assertThat(self.services.runner.run(task.id), Equals('later'))
        self.assertFalse(self.db.task_get(ADMIN, task.id).finished)
        self.assertNotEqual(upload.id, self.db.upload_of_image(image_id).id)
        driver.discard = discard
        self.assertThat(self.services.runner.run(task.id), Equals('finished'))
        self.assertThat(self.files(), Equals([]))
        self.assertIsNone(self.db.upload_of_image(image_id))

    def test_the_store_that_has_the_data_decides_what_they_are(self):
        image_id = self.create()
        task = self.left(image_id, stores=('cold', 'fast'), all_stores_must_succeed=False)
        data = b'what the source gave when the first store failed'
        (self.tmp / 'fast').mkdir(exist_ok=True)
        (self.tmp / 'fast' / image_id).write_bytes(data)
        url = self.services.stores.get('fast').url_for(image_id)
        changes = ImageChanges({'status': 'active', 'size': len(data), 'os_hash_algo': 'sha512',
                                'os_hash_value': sha512(data)})
        self.db.upload_finish(ADMIN, self.db.upload_of_image(image_id).id, changes, [Location(url, 'fast')],
                              from_status='importing', ends=False)
        self.services.recovery.run_once()
        self.assertThat(self.finished(task).status, Equals('success'))
        image = self.db.image_get(ADMIN, image_id)
        self.assertThat((image.os_hash_value, [one.store for one in image.locations], image.import_state.failed),
                        Equals((sha512(data), ['fast'], ('cold',))))
        self.assertThat(self.method.opened, Equals(0))
        self.assertThat(self.files(), Equals([f'fast/{image_id}']))

    def test_a_process_that_lost_its_lease_removes_what_nobody_has(self):
        image_id = self.create()

        def lose(number):
            upload = self.db.upload_of_image(image_id)
            if number == 1 and upload is not None:
                self.db.upload_abort(upload.id)
        self.method.before_piece = lose
        task = self.begin(image_id)
        self.wait_for(lambda: self.services.executor.stop(), 'the work to end')
        self.assertFalse(self.db.task_get(ADMIN, task.id).finished)  # it is not this process's to end
        self.assertThat(self.files(), Equals([]))


class RecoveryTest(TakenUpCase):

    def test_staged_data_are_not_what_a_dead_claim_has_left(self):
        image_id = self.create()
        self.stage(image_id)
        self.db.upload_begin(ADMIN, Upload(id='claim', image_id=image_id, node=self.dead_node(),
                                           store=self.services.runner._parts.staging.id),
                             from_status='uploading', to_status='uploading')
        self.services.recovery.run_once()
        self.assertIsNone(self.db.upload_of_image(image_id))
        self.assertThat(self.db.image_get(ADMIN, image_id).status, Equals('uploading'))
        self.assertThat(self.files(), Equals([f'staging/{image_id}']))

    def test_work_folders_are_looked_at_in_every_round(self):
        self.services.recovery.run_once()
        folder = self.tmp / 'os_glance_tasks_store' / 'aaa.bbb'
        folder.mkdir(parents=True)
        self.services.recovery.run_once()
        self.assertFalse(folder.exists())


def _unavailable(image_id):
    raise errors.StoreUnavailable(store='fast')
