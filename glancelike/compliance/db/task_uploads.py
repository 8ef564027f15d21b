"""Uploads by tasks: what begins and ends with them in one transaction, and data that are staged meanwhile."""

from __future__ import annotations

import dataclasses

from glancelike.compliance.db.case import DbCase
from glancelike.plugin import Image, ImageChanges, ImportState, Location, Task, TaskChanges, Upload, errors

PLACE = Location('mem://1', 'store-1', {'n': 1})
STAGED = Location('mem://s9', 'staging', {}, 'staged')
NO_CHANGES, ACTIVE = ImageChanges(), ImageChanges({'status': 'active'})
SUCCESS = TaskChanges({'status': 'success', 'result': {'a': 1}, 'message': 'done'}, 3600)
FAILURE = TaskChanges({'status': 'failure', 'message': 'broken'}, 3600)


class TaskUploadSuite(DbCase):
    """UPLOAD-15 to UPLOAD-19."""

    def working(self, image: Image | None = None, *, to_status: str = 'importing', **fields) -> tuple[Image, Upload]:
        """An image that a task has now, and its Upload; *fields* go to the upload."""
        image = image or self.stored()
        task = self.task(image_id=image.id, secret='token')
        self.driver.upload_begin(self.admin, self.lease(image, task_id=task.id, **fields), from_status=image.status,
                                 to_status=to_status, task=task)
        return self.get(image.id), self.driver.upload_of_image(image.id)

    def task_of(self, upload: Upload) -> Task:
        return self.driver.task_get(self.admin, upload.task_id)

    def pending_urls(self) -> list[str]:
        return [place.url for _, place in self.driver.locations_pending_delete(0)]

    def finish_upload(self, upload: Upload, changes: ImageChanges = NO_CHANGES, locations=(), **more) -> Image:
        return self.driver.upload_finish(self.admin, upload.id, changes, locations,
                                         **{'from_status': 'importing'} | more)

    # --- begin ---------------------------------------------------------------------------------------------

    def test_begin_stores_changes_and_task(self):
        """UPLOAD-15: as image_update and task_create would, with one new version; the Upload carries the task's id."""
        image, task = self.stored(properties={'a': '1', 'b': '2'}), self.task(message='é', input={'n': [1]})
        state = ImportState(task.id, ('fast',))
        begun = self.driver.upload_begin(
            self.owner, self.lease(image, task_id=task.id), to_status='importing', task=task,
            changes=ImageChanges({'import_state': state}, {'c': '3'}, frozenset({'a'}), frozenset({'t'})))
        self.assert_same_image(dataclasses.replace(
            image, status='importing', import_state=state, properties={'b': '2', 'c': '3'}, tags=frozenset({'t'}),
            version=2, updated_at=begun.updated_at), begun)
        self.assert_unchanged(begun)
        upload = self.driver.upload_of_image(image.id)
        self.assertEqual((task.id, [upload]), (upload.task_id, self.driver.uploads_expired(0)))
        stored = self.task_of(upload)
        self.assertEqual(dataclasses.replace(task, created_at=stored.created_at, updated_at=stored.created_at), stored)

    def test_a_begin_that_is_refused_stores_no_task(self):
        """UPLOAD-15: nor changes; from another status, and while another Upload is not settled."""
        for image in (self.stored(status='active'), self.change(self.begun()[0].id, status='queued')):
            task = self.task()
            self.assertRaises(errors.StatusConflict, self.driver.upload_begin, self.owner, self.lease(image),
                              changes=ImageChanges({'name': 'x'}), task=task)
            self.assert_unchanged(image)
            self.assertRaises(errors.TaskNotFound, self.driver.task_get, self.admin, task.id)

    def test_a_begin_whose_task_has_a_taken_id_changes_nothing(self):
        """UPLOAD-15: Conflict; the image stays, there is no lease, the first task is as it was."""
        first, image = self.driver.task_create(self.owner, self.task()), self.stored()
        self.assertRaises(errors.Conflict, self.driver.upload_begin, self.owner, self.lease(image),
                          changes=ImageChanges({'name': 'x'}), task=dataclasses.replace(first, message='second'))
        self.assert_unchanged(image)
        self.assertIsNone(self.driver.upload_of_image(image.id))
        self.assertEqual(first, self.driver.task_get(self.admin, first.id))

    # --- finish --------------------------------------------------------------------------------------------

    def test_finish_ends_the_task_with_the_upload(self):
        """UPLOAD-16: as task_update would."""
        image, upload = self.working()
        done = self.finish_upload(upload, ACTIVE, [PLACE], task=SUCCESS)
        self.assertEqual(('active', None), (done.status, self.driver.upload_of_image(image.id)))
        task = self.task_of(upload)
        self.assertEqual(('success', {'a': 1}, 'done', None),
                         (task.status, dict(task.result), task.message, task.secret))
        self.assertGreater(task.expires_at, task.updated_at)

    def test_a_finish_that_is_refused_leaves_the_task(self):
        """UPLOAD-16: from another status, without the lease, and of a deleted image."""
        moved, lost, gone = (self.working() for _ in range(3))
        self.change(moved[0].id, status='queued')
        self.driver.upload_take_over(lost[1], 'new-id', 'node-2')
        self.driver.image_delete(self.admin, gone[0].id)
        for error, (_, upload) in ((errors.StatusConflict, moved), (errors.StatusConflict, lost),
                                   (errors.ImageGone, gone)):
            before = self.task_of(upload)
            self.assertRaises(error, self.finish_upload, upload, ACTIVE, [PLACE], task=SUCCESS)
            self.assertEqual(before, self.task_of(upload))

    def test_finish_with_a_task_that_has_ended_changes_nothing(self):
        """UPLOAD-16: StatusConflict; neither image, task nor Upload."""
        image, upload = self.working()
        failed = self.driver.task_update(upload.task_id, FAILURE)
        self.assertRaises(errors.StatusConflict, self.finish_upload, upload, ACTIVE, [PLACE],
                          task=SUCCESS)
        self.assert_unchanged(image)
        self.assertEqual((failed, upload), (self.task_of(upload), self.driver.upload_of_image(image.id)))

    def test_an_upload_goes_on_after_a_finish_that_does_not_end_it(self):
        """UPLOAD-17: its lease renewed, its reservation 0; image, locations and task have what was told."""
        image, upload = self.working(reserved=50)
        more = self.finish_upload(upload, ImageChanges({'size': 10}), [PLACE], ends=False,
                                  task=TaskChanges({'step': 's'}))
        self.assertEqual((10, ['mem://1'], image.version + 1),
                         (more.size, [place.url for place in more.locations], more.version))
        self.assert_unchanged(more)
        found = self.driver.upload_of_image(image.id)
        self.assertEqual(dataclasses.replace(upload, reserved=0, heartbeat_at=found.heartbeat_at), found)
        self.assertGreater(found.heartbeat_at, upload.heartbeat_at)
        self.assertEqual(('pending', 's'), (self.task_of(upload).status, self.task_of(upload).step))
        self.assertEqual(0, self.driver.usage(image.owner).reserved_bytes)

    def test_an_upload_may_bring_several_copies_one_after_the_other(self):
        """UPLOAD-17: each is there at once, in the order in which they came; the last ends the Upload."""
        image, upload = self.working()
        for n in range(3):
            found = self.finish_upload(upload, locations=[Location(f'mem://{n}', 's')], ends=n == 2)
            self.assertEqual([f'mem://{m}' for m in range(n + 1)], [place.url for place in found.locations])
        self.assertIsNone(self.driver.upload_of_image(image.id))

    def test_an_upload_that_brought_a_copy_and_then_lost_its_lease_does_not_finish(self):
        """UPLOAD-17, UPLOAD-8: what it brought before does not pass for its end."""
        image, upload = self.working()
        self.finish_upload(upload, locations=[PLACE], ends=False)
        self.driver.upload_take_over(self.driver.upload_of_image(image.id), 'new-id', 'node-2')
        before = self.get(image.id)
        for places in ((), (Location('mem://2', 's'),)):
            self.assertRaises(errors.StatusConflict, self.finish_upload, upload, ACTIVE, places)
        self.assert_unchanged(before)

    # --- staged data ---------------------------------------------------------------------------------------

    def test_staged_locations_stand_in_no_image(self):
        """UPLOAD-18: not in what finish, get and list return; location_staged has them."""
        image, upload = self.working()
        found = self.finish_upload(upload, locations=[PLACE, STAGED])
        self.assertEqual(['mem://1'], [place.url for place in found.locations])
        self.assert_unchanged(found)
        self.assertEqual('mem://s9', self.driver.location_staged(image.id).url)

    def test_what_was_staged_is_given_up_when_the_upload_finishes(self):
        """UPLOAD-18: it is pending_delete; the active locations stay, and so does what is staged with the end."""
        for new in ((PLACE,), (STAGED,)):
            image = self.staged('mem://s1', 'mem://s2', locations=(Location('mem://0', 's'),))
            _, upload = self.working(image)
            before = self.pending_urls()
            found = self.finish_upload(upload, locations=new)
            self.assertEqual([*before, 'mem://s1', 'mem://s2'], self.pending_urls())
            self.assertEqual('mem://0', found.locations[0].url)
            staged = self.driver.location_staged(image.id)
            self.assertEqual(None if new == (PLACE,) else 'mem://s9', staged and staged.url)

    def test_what_was_staged_stays_while_the_upload_goes_on(self):
        """UPLOAD-18: an end it is not; at the end all goes that was staged before."""
        image = self.staged('mem://s1')
        _, upload = self.working(image)
        self.finish_upload(upload, locations=[STAGED], ends=False)
        self.assertEqual([], self.pending_urls())
        self.assertIsNotNone(self.driver.location_staged(image.id))
        self.finish_upload(upload, locations=[PLACE])
        self.assertEqual((['mem://s1', 'mem://s9'], None), (self.pending_urls(), self.driver.location_staged(image.id)))

    def test_what_was_staged_is_given_up_when_the_upload_is_aborted(self):
        """UPLOAD-18: also when somebody moved the image on; its active locations stay."""
        for moved in (False, True):
            image = self.staged('mem://s1', locations=(Location('mem://0', 's'),))
            _, upload = self.working(image)
            if moved:
                self.change(image.id, status='active')
            before = self.pending_urls()
            self.driver.upload_abort(upload.id)
            self.assertEqual([*before, 'mem://s1'], self.pending_urls())
            self.assertIsNone(self.driver.location_staged(image.id))
            self.assertEqual(['mem://0'], [place.url for place in self.get(image.id).locations])

    def test_what_was_staged_for_a_deleted_image_does_not_come_back_after_an_abort(self):
        """UPLOAD-18: the Upload ends, so it is pending_delete, for the restored image too."""
        image = self.staged('mem://s1')
        _, upload = self.working(image)
        self.driver.image_delete(self.admin, image.id)
        self.driver.upload_abort(upload.id)
        self.assertEqual(['mem://s1'], self.pending_urls())
        back = self.driver.image_restore(self.admin, image.id, 'queued')
        self.assertEqual(((), None, ['mem://s1']),
                         (back.locations, self.driver.location_staged(image.id), self.pending_urls()))

    # --- abort ---------------------------------------------------------------------------------------------

    def test_abort_applies_changes_and_ends_the_task(self):
        """UPLOAD-19: with one new version."""
        image, upload = self.working(self.stored(import_state=ImportState('x', ('a',)), properties={'p': '1'}))
        state = ImportState(failed=('a',))
        changes = ImageChanges({'import_state': state}, {'q': '2'}, frozenset({'p'}), frozenset({'t'}))
        self.assertIs(True, self.driver.upload_abort(upload.id, changes=changes, task=FAILURE))
        found = self.get(image.id)
        self.assert_same_image(dataclasses.replace(
            image, status='queued', import_state=state, properties={'q': '2'}, tags=frozenset({'t'}),
            version=image.version + 1, updated_at=found.updated_at), found)
        task = self.task_of(upload)
        self.assertEqual(('failure', 'broken', None), (task.status, task.message, task.secret))
        self.assertGreater(task.expires_at, task.updated_at)

    def test_abort_applies_changes_to_an_image_that_somebody_moved_on(self):
        """UPLOAD-19: there too, and with one new version."""
        image, upload = self.working()
        moved = self.change(image.id, status='deactivated', size=5)
        self.driver.upload_abort(upload.id, changes=ImageChanges({'name': 'n'}), task=FAILURE)
        found = self.get(image.id)
        self.assertEqual(('n', moved.version + 1), (found.name, found.version))
        self.assertEqual('failure', self.task_of(upload).status)

    def test_abort_leaves_a_deleted_image_and_ends_its_task(self):
        """UPLOAD-19: restored, the image is as it was."""
        image, upload = self.working()
        self.driver.image_delete(self.admin, image.id)
        self.driver.upload_abort(upload.id, changes=ImageChanges({'name': 'n'}, {'p': '1'}), task=FAILURE)
        self.assertEqual('failure', self.task_of(upload).status)
        back = self.driver.image_restore(self.admin, image.id, 'queued')
        self.assertEqual((None, {}), (back.name, dict(back.properties)))

    def test_abort_without_the_lease_leaves_the_task(self):
        """UPLOAD-19: it is somebody else's now."""
        image, upload = self.working()
        self.driver.upload_take_over(upload, 'new-id', 'node-2')
        before = self.task_of(upload)
        self.assertIs(False, self.driver.upload_abort(upload.id, changes=ImageChanges({'name': 'n'}), task=FAILURE))
        self.assert_unchanged(image)
        self.assertEqual(before, self.task_of(upload))

    def test_abort_leaves_a_task_that_has_ended(self):
        """UPLOAD-19: the lease ends all the same, or nothing ever could end it."""
        image, upload = self.working()
        ended = self.driver.task_update(upload.task_id, TaskChanges({'status': 'success'}))
        self.assertIs(True, self.driver.upload_abort(upload.id, task=FAILURE))
        self.assertEqual((ended, None), (self.task_of(upload), self.driver.upload_of_image(image.id)))
