"""Setting a location, listing, removing the copies of one store, and the task that hashes."""

import hashlib

from glancelike import errors
from glancelike.core.location_hashing import MOST_SECONDS
from glancelike.core.location_rules import LOOK_SECONDS, Announced
from glancelike.core.quotas import Quotas
from glancelike.model.image import Image, ImageChanges, Location
from glancelike.model.task import TaskQuery
from glancelike.model.upload import Upload
from tests.unit.core.built import ADMIN, ANONYMOUS, FRIEND, OWNER, STRANGER, member_of
from tests.unit.core.data import Failing
from tests.unit.core.disk_images import DiskImages
from tests.unit.core.locations_case import DATA, SERVICE, LocationsTestCase, Posted, Work, sha512

ANNOUNCED = Announced('sha512', sha512(DATA))
OTHER_SERVICE = member_of('services', 'service')


class SettingTest(LocationsTestCase):
    """What may be set, by whom; nothing changes otherwise."""

    def setUp(self):
        super().setUp()
        self.image = self.new_image()

    def add(self, url=None, announced=None, ctx=OWNER, image=None):
        self.image_locations.add(ctx, (image or self.image).id, url or self.url(), announced)

    def refused(self, error, url=None, announced=None, ctx=OWNER, image=None):
        before = self.stored(image or self.image)
        caught = self.assertRaises(error, self.add, url, announced, ctx, image)
        self.assertEqual(before, self.stored(image or self.image))
        self.assertEqual([], self.executor.posted)
        return str(caught)

    def test_owners_and_services_may_others_not(self):
        self.refused(errors.ImageNotFound, ctx=STRANGER)
        self.refused(errors.ReadOnlyContext, ctx=ANONYMOUS)
        shared = self.new_image(visibility='shared')
        self.db.member_add(OWNER, shared.id, 'friend')
        self.refused(errors.Forbidden, ctx=FRIEND, image=shared)
        self.add()
        self.assertEqual('active', self.stored(self.image).status)

    def test_who_is_no_service_may_set_web_locations_only(self):
        url = self.put_by_hand('made-by-hand')
        self.assertIn('services', self.refused(errors.Forbidden, url))
        self.add(url, ctx=SERVICE)
        self.assertEqual(('memory', url), (self.stored(self.image).locations[0].store, self.urls(self.image)[0]))
        other = self.new_image()
        self.add(url, ctx=ADMIN, image=other)

    def test_files_of_the_service_are_nobodys(self):
        stolen = self.active('files')
        (self.folder / 'found').write_bytes(DATA)
        for url in (*self.urls(stolen), 'file:///etc/passwd', 'filesystem:///etc/passwd', 'FILE:///etc/passwd',
                    f'file://{self.folder}/found', 'swift+config://ref/container/object'):
            for ctx in (OWNER, SERVICE, ADMIN):
                self.refused(errors.BadLocation, url, ctx=ctx)

    def test_a_url_of_no_store_is_refused(self):
        for url in ('gopher://info.cern.ch', 'rbd://a/b/c/d', 'x', 'http:/x', '//x', ':', 'http//', 'memory:x',
                    'http://[::1', 'http://a b/', 'http://a/\x7f', 'http://\u0430.example/'):
            self.refused(errors.BadLocation, url, ctx=ADMIN)

    def test_a_credential_in_a_url_is_refused_and_not_repeated(self):
        for url in (self.url(user='me:s3cret'), self.url(user='s3cret'), self.url() + '?X-Amz-Signature=s3cret',
                    self.url() + '?a=b&TOKEN=s3cret', self.url() + '?temp_url_sig=s3cret&temp_url_expires=1'):
            self.assertNotIn('s3cret', self.refused(errors.BadLocation, url))
        path = self.web.put(DATA)
        self.web.objects[path + '?format=raw'] = DATA
        self.add(self.web.url(path) + '?format=raw#part')

    def test_data_of_another_image_are_not_ours(self):
        other = self.active('memory', ctx=STRANGER)
        [url] = self.urls(other)
        self.refused(errors.BadLocation, url, ctx=SERVICE)
        self.refused(errors.BadLocation, url, ctx=ADMIN)
        self.refused(errors.BadLocation, url.replace('-', '%2d'), ctx=ADMIN)

    def test_an_object_with_the_name_of_the_image_itself_is_taken(self):
        self.add(self.put_by_hand(self.image.id), ctx=SERVICE)
        self.assertEqual('active', self.stored(self.image).status)

    def test_nothing_there_is_refused(self):
        gone = self.url()
        self.web.objects.clear()
        self.refused(errors.BadLocation, gone)
        self.web.statuses['/x'] = 503
        self.refused(errors.BadLocation, self.web.url('/x'))
        self.refused(errors.BadLocation, 'memory://nothing', ctx=SERVICE)
        self.refused(errors.BadLocation, 'memory://a/b', ctx=SERVICE)

    def test_what_the_operator_filters_is_refused(self):
        def refuse(url):
            raise errors.BadSource(reason='port 22 is not allowed')
        self.build(url_filter=refuse)
        self.assertIn('port 22', self.refused(errors.BadLocation))
        self.build(url_filter=lambda url: None)
        self.add()

    def test_the_image_must_be_queued_and_have_its_formats(self):
        self.refused(errors.FormatsMissing, image=self.new_image(disk_format=None))
        self.refused(errors.FormatsMissing, image=self.new_image(container_format=None))
        for status in ('saving', 'uploading', 'importing', 'active', 'deactivated'):
            self.refused(errors.StatusConflict, image=self.new_image(status=status))

    def test_an_image_that_something_else_has_is_refused(self):
        self.db.upload_begin(ADMIN, Upload('u', self.image.id, 'node', 'memory'), to_status='queued')
        self.refused(errors.StatusConflict)

    def test_what_is_no_hash_is_refused(self):
        for announced in (Announced('sha999', 'a' * 128), Announced('shake_128', 'a' * 32), Announced('', ''),
                          Announced('sha512', 'a' * 127), Announced('sha512', 'x' * 128),
                          Announced('sha256', 'a' * 128), Announced('md5', 'a' * 32, 'b' * 31)):
            self.refused(errors.Invalid, announced=announced)

    def test_quotas_hold(self):
        self.build(quotas=Quotas(locations=0))
        self.refused(errors.QuotaExceeded)
        self.build(quotas=Quotas(storage=len(DATA) - 1))
        self.refused(errors.QuotaExceeded)
        self.build(quotas=Quotas(storage=len(DATA)))
        self.add()
        self.build(quotas=Quotas(storage=2 * len(DATA) - 1))
        self.refused(errors.QuotaExceeded, image=self.new_image())
        self.build(cap=len(DATA) - 1)
        self.refused(errors.ImageTooLarge, image=self.new_image())

    def test_unsafe_data_are_refused_and_mislabelled_ones_taken(self):
        unsafe = DiskImages(self, self.tmp).with_backing_file()
        self.refused(errors.UnsafeImage, self.url(unsafe), image=self.new_image(disk_format='qcow2'))
        self.refused(errors.UnsafeImage, self.url(unsafe + bytes(2**21)))
        self.add(image=self.new_image(disk_format='qcow2'))

    def test_a_server_that_dribbles_is_refused(self):
        times = iter([0.0, LOOK_SECONDS])
        self.build(clock=lambda: next(times))
        self.refused(errors.BadLocation)

    def test_a_task_shows_no_url(self):
        url = self.url()
        self.add(url, ANNOUNCED)
        [(task, _)] = self.executor.posted
        self.assertNotIn(url, str(task.input) + task.message)
        self.assertNotIn(url, str(self.events.sent))


class WithHashTest(LocationsTestCase):
    """The data are hashed by a task."""

    def setUp(self):
        super().setUp()
        self.image = self.new_image()

    def add(self, data=DATA, announced=None, **options):
        self.image_locations.add(OWNER, self.image.id, self.url(data, **options), announced)
        return self.stored(self.image)

    def assert_hashed(self, data=DATA):
        row = self.stored(self.image)
        self.assertEqual(('active', len(data), 'sha512', sha512(data), 1),
                         (row.status, row.size, row.os_hash_algo, row.os_hash_value, len(row.locations)))
        self.assertEqual(32, len(row.checksum))
        self.assertIsNone(self.db.upload_of_image(row.id))
        self.assertEqual('success', self.task().status)
        self.assertEqual(data, b''.join(self.downloads.open(OWNER, row.id).chunks))

    def task(self):
        return self.db.task_get(ADMIN, self.executor.posted[-1][0].id)

    def test_an_announced_hash_is_waited_for(self):
        self.assertEqual(('importing', ()), (self.add(announced=ANNOUNCED).status, self.stored(self.image).locations))
        self.assertIsNone(self.do())
        self.assert_hashed()
        self.assertEqual(['image.upload', 'image.activate'],
                         [kind for kind, _ in self.events.kinds if kind.startswith('image.')])

    def test_an_announced_hash_of_another_algorithm_is_compared_and_kept(self):
        value = hashlib.sha256(DATA).hexdigest()
        self.add(announced=Announced('sha256', value))
        self.assertIsNone(self.do())
        row = self.stored(self.image)
        self.assertEqual(('active', 'sha256', value), (row.status, row.os_hash_algo, row.os_hash_value))

    def test_another_hash_sets_the_image_back_and_leaves_the_data_alone(self):
        row = self.add(announced=Announced('sha512', sha512(b'other')))
        self.assertIsInstance(self.do(), errors.HashMismatch)
        self.assert_as_before_the_upload(row)
        self.assertEqual(('failure', True), (self.task().status, sha512(DATA) in self.task().message))
        self.assertEqual([], self.db.locations_pending_delete(0))
        self.assertEqual(('web',), self.stored(row).import_state.failed)

    def test_a_failure_never_removes_what_the_caller_named(self):
        url = self.put_by_hand(self.image.id)
        self.image_locations.add(SERVICE, self.image.id, url, Announced('sha512', sha512(b'other')))
        self.do()
        self.clock += 3600
        self.recovery.run_once()
        self.recovery.run_once()
        self.assertEqual(DATA, self.memory._objects[url])

    def test_without_an_announced_hash_the_image_is_active_at_once(self):
        row = self.add()
        self.assertEqual(('active', len(DATA), 'sha512', None, 1),
                         (row.status, row.size, row.os_hash_algo, row.os_hash_value, len(row.locations)))
        self.assertEqual(DATA, b''.join(self.downloads.open(OWNER, row.id).chunks))
        self.assertIsNone(self.do())
        self.assert_hashed()

    def test_a_server_that_tells_no_length_is_waited_for(self):
        def answer(handler):
            handler.close_connection = True
            handler.send_response(200)
            handler.end_headers()
            if handler.command == 'GET':
                handler.wfile.write(DATA)
        self.web.handlers['/x'] = answer
        self.image_locations.add(OWNER, self.image.id, self.web.url('/x'))
        self.assertEqual('importing', self.stored(self.image).status)
        self.assertIsNone(self.do())
        row = self.stored(self.image)
        self.assertEqual((len(DATA), sha512(DATA)), (row.size, row.os_hash_value))

    def test_nothing_else_changes_locations_meanwhile(self):
        self.add()
        error = self.assertRaises(errors.Conflict, self.patch, self.image,
                                  ('add', None, {'url': self.url(), 'metadata': {}}))
        self.assertIn('hashed', str(error))
        self.do()
        self.patch(self.image, ('add', None, {'url': self.url(), 'metadata': {}}))

    def test_storage_counts_once(self):
        self.build(quotas=Quotas(storage=len(DATA)))
        self.add()
        self.assertEqual((len(DATA), 0), self.usage())
        self.assertIsNone(self.do(limit=len(DATA)))
        self.assertEqual((len(DATA), 0), self.usage())

    def test_storage_is_reserved_while_the_hash_is_waited_for(self):
        self.build(quotas=Quotas(storage=len(DATA)))
        self.add(announced=ANNOUNCED)
        self.assertEqual((0, len(DATA)), self.usage())
        self.assertIsNone(self.do(limit=len(DATA)))
        self.assertEqual((len(DATA), 0), self.usage())

    def usage(self):
        usage = self.db.usage('owner')
        return usage.stored_bytes, usage.reserved_bytes

    def test_unsafe_data_that_their_beginning_did_not_show_deactivate_the_image(self):
        path = self.web.put(DATA)
        self.image_locations.add(OWNER, self.image.id, self.web.url(path))
        self.web.objects[path] = DiskImages(self, self.tmp).with_backing_file()
        self.executor.posted[-1][0].caller['size'] = None  # as of a server that had told none
        self.assertIsInstance(self.do(), errors.UnsafeImage)
        self.assertEqual(('deactivated', None), (self.stored(self.image).status, self.stored(self.image).os_hash_value))

    def test_a_source_that_breaks_off_is_tried_again(self):
        self.add(announced=ANNOUNCED)
        [path] = self.web.objects
        data = self.web.objects.pop(path)
        self.web.statuses[path] = 503
        task, upload = self.executor.posted[-1]
        work = Work(self.db, task, upload)

        def sleep(seconds):
            work.slept.append(seconds)
            if len(work.slept) == 2:
                del self.web.statuses[path]
                self.web.objects[path] = data
        work.sleep = sleep
        self.assertIsNone(self.do(work))
        self.assertEqual([1.0, 2.0], work.slept)
        self.assert_hashed()

    def test_a_source_that_stays_away_fails_the_task(self):
        self.build(retries=7)
        row = self.add(announced=ANNOUNCED)
        [path] = self.web.objects
        self.web.statuses[path] = 503
        self.assertIsInstance(self.do(), errors.StoreUnavailable)
        self.assertEqual([1, 2, 4, 8, 16, MOST_SECONDS, MOST_SECONDS], self.work.slept)
        self.assert_as_before_the_upload(row)

    def test_a_source_that_is_too_slow_fails_the_task(self):
        row = self.add(announced=ANNOUNCED)
        task, upload = self.executor.posted[-1]
        times = iter([0.0, 60.0])
        self.build(clock=lambda: next(times))
        self.executor.posted.append((task, upload))
        self.assertIsInstance(self.do(), errors.BadLocation)
        self.assert_as_before_the_upload(row)

    def test_a_source_that_vanishes_leaves_an_active_image_as_it_is(self):
        self.add()
        self.web.objects.clear()
        self.assertIsInstance(self.do(), errors.BadStoreUrl | errors.ObjectNotFound)
        self.assertEqual(('active', None, 1), (self.stored(self.image).status, self.stored(self.image).os_hash_value,
                                               len(self.stored(self.image).locations)))
        self.assertEqual('failure', self.task().status)

    def test_data_of_another_length_are_not_hashed(self):
        path = self.web.put(DATA)
        self.image_locations.add(OWNER, self.image.id, self.web.url(path), ANNOUNCED)
        self.web.objects[path] = DATA + b'x'
        self.assertIsInstance(self.do(), errors.StoreError)
        self.assertEqual('queued', self.stored(self.image).status)

    def test_more_than_may_come_is_refused(self):
        self.add(announced=ANNOUNCED)
        task, upload = self.executor.posted[-1]
        self.build(cap=len(DATA) - 1)
        self.executor.posted.append((task, upload))
        self.assertIsInstance(self.do(), errors.ImageTooLarge)

    def test_an_image_deactivated_meanwhile_stays_so_and_gets_its_hash(self):
        self.add()
        self.assertIsNone(self.do(before=lambda: self.images.deactivate(OWNER, self.image.id)))
        row = self.stored(self.image)
        self.assertEqual(('deactivated', sha512(DATA)), (row.status, row.os_hash_value))

    def test_an_image_deleted_meanwhile_ends_the_task(self):
        self.add(announced=ANNOUNCED)
        self.assertIsInstance(self.do(before=lambda: self.images.delete(OWNER, self.image.id)), errors.ImageGone)
        self.assertEqual('failure', self.task().status)
        self.assertIsNone(self.db.upload_of_image(self.image.id))
        self.assertEqual(1, len(self.web.objects))

    def test_a_lost_lease_changes_nothing(self):
        self.add(announced=ANNOUNCED)
        _, upload = self.executor.posted[-1]
        self.db.upload_take_over(self.db.upload_of_image(self.image.id), 'new', 'other node')
        self.assertIsInstance(self.do(), errors.StatusConflict)
        self.assertEqual('importing', self.stored(self.image).status)
        self.assertEqual('pending', self.task().status)

    def test_a_request_that_died_before_the_image_was_active_is_done_by_the_task(self):
        self.db = Failing(self.db, 'upload_finish', errors.DatabaseUnavailable())
        self.build()
        self.assertRaises(errors.DatabaseUnavailable, self.add)
        self.assertEqual('importing', self.stored(self.image).status)
        upload = self.db.upload_of_image(self.image.id)
        self.assertTrue(self.leases.abandoned(upload.id))
        self.executor.posted.append((self.db.task_get(ADMIN, upload.task_id), upload))
        self.assertIsNone(self.do())
        self.assert_hashed()

    def test_a_task_done_twice_does_no_harm(self):
        """A worker dies after the hash and before the end: another begins again."""
        self.add()
        self.db = Failing(self.db, 'upload_finish', RuntimeError('dead'))
        posted = self.executor.posted
        self.build()
        self.executor.posted = posted
        task, upload = posted[-1]
        self.assertRaises(RuntimeError, self.hashing.hash_location, Work(self.db, task, upload))
        self.assertIsNone(self.do())
        self.assert_hashed()

    def test_the_url_of_the_task_is_posted_with_its_upload(self):
        self.add()
        [(task, upload)] = self.executor.posted
        self.assertEqual(('location_import', task.id, '', Posted().holder()),
                         (task.type, upload.task_id, upload.store, upload.node))


class WithoutHashTest(LocationsTestCase):
    """do_secure_hash = false: what is announced is believed."""

    def setUp(self):
        super().setUp()
        self.build(hashes=False)
        self.image = self.new_image()

    def test_the_image_is_active_with_what_was_announced(self):
        self.image_locations.add(OWNER, self.image.id, self.url(), Announced('sha256', 'a' * 64))
        row = self.stored(self.image)
        self.assertEqual(('active', len(DATA), 'sha256', 'a' * 64, None),
                         (row.status, row.size, row.os_hash_algo, row.os_hash_value, row.checksum))
        self.assertEqual([], self.executor.posted)
        self.assertEqual(['success'], [task.status for task in self.db.task_list(ADMIN, TaskQuery())])
        self.assertEqual(['image.update', 'image.activate'], [kind for kind, _ in self.events.kinds])

    def test_the_image_is_active_without_a_hash(self):
        self.image_locations.add(OWNER, self.image.id, self.url())
        self.assertEqual(('active', None), (self.stored(self.image).status, self.stored(self.image).os_hash_value))

    def test_there_is_a_task_that_has_succeeded(self):
        self.image_locations.add(OWNER, self.image.id, self.url())
        [task] = self.db.task_list(ADMIN, TaskQuery(image_id=self.image.id))
        self.assertEqual(('location_import', 'success', {'image_id': self.image.id}),
                         (task.type, task.status, task.result))
        self.assertIsNotNone(task.expires_at)

    def test_of_two_at_once_one_wins(self):
        first = self.url()
        self.web.handlers['/second'] = lambda handler: None

        def answer(handler):
            if self.stored(self.image).status == 'queued':
                self.image_locations.add(OWNER, self.image.id, first)
            handler.send_response(200)
            handler.send_header('Content-Length', '4')
            handler.end_headers()
            if handler.command == 'GET':
                handler.wfile.write(b'data')
        self.web.handlers['/second'] = answer
        self.assertRaises(errors.StatusConflict, self.image_locations.add, OWNER, self.image.id,
                          self.web.url('/second'))
        self.assertEqual([first], self.urls(self.image))


class ListTest(LocationsTestCase):

    def setUp(self):
        super().setUp()
        self.image = self.active('memory', 'web')

    def test_services_see_the_locations_in_their_order(self):
        self.assertEqual(['memory', 'web'],
                         [place.store for place in self.image_locations.list(SERVICE, self.image.id)])
        self.assertEqual(2, len(self.image_locations.list(ADMIN, self.image.id)))

    def test_owners_and_strangers_do_not(self):
        self.assertRaises(errors.Forbidden, self.image_locations.list, OWNER, self.image.id)
        self.assertRaises(errors.ImageNotFound, self.image_locations.list, STRANGER, self.image.id)
        self.assertRaises(errors.ImageNotFound, self.image_locations.list, SERVICE, 'nope')

    def test_those_of_a_deactivated_image_are_for_administrators(self):
        self.images.deactivate(OWNER, self.image.id)
        self.assertEqual(0, len(self.image_locations.list(SERVICE, self.image.id)))
        self.assertEqual(2, len(self.image_locations.list(ADMIN, self.image.id)))


class RemoveFromStoreTest(LocationsTestCase):

    def setUp(self):
        super().setUp()
        self.image = self.active('memory', 'web')

    def remove(self, store='memory', ctx=ADMIN, image=None):
        self.image_locations.remove_from_store(ctx, store, (image or self.image).id)

    def test_the_copy_and_its_row_go(self):
        self.events.sent.clear()
        self.remove()
        self.assertEqual(['web'], [place.store for place in self.stored(self.image).locations])
        self.assertEqual([], self.objects())
        self.assertEqual([], self.db.locations_pending_delete(0))
        self.assertEqual(['image.update'], [kind for kind, _ in self.events.kinds])

    def test_what_is_only_read_is_left_alone(self):
        self.remove('web')
        self.assertEqual(['memory'], [place.store for place in self.stored(self.image).locations])
        self.assertEqual(1, len(self.web.objects))

    def test_the_last_copy_stays(self):
        self.remove()
        self.assertRaises(errors.Forbidden, self.remove, 'web')

    def test_what_is_not_there_is_not_found(self):
        for store in ('files', 'nope', ''):
            self.assertRaises(errors.NotFound, self.remove, store)
        self.assertRaises(errors.ImageNotFound, self.remove, image=Image('nope'))
        self.build(several_stores=False)
        self.assertRaises(errors.NotFound, self.remove)

    def test_policies_hold(self):
        self.assertRaises(errors.Forbidden, self.remove, ctx=OWNER)
        self.assertRaises(errors.ImageNotFound, self.remove, ctx=STRANGER)
        self.assertRaises(errors.ReadOnlyContext, self.remove, ctx=ANONYMOUS)
        self.build('delete_image_location: "@"')
        self.remove(ctx=OWNER)

    def test_the_image_must_be_active(self):
        self.images.deactivate(OWNER, self.image.id)
        self.assertRaises(errors.StatusConflict, self.remove)

    def test_a_copy_in_use_stays(self):
        self.memory.delete = self.raise_in_use
        self.assertRaises(errors.Conflict, self.remove)
        self.assertEqual(['memory', 'web'], sorted(place.store for place in self.stored(self.image).locations))
        self.assertEqual([], self.db.locations_pending_delete(0))
        self.assertEqual([self.image.id], self.objects())

    @staticmethod
    def raise_in_use(url):
        raise errors.ObjectInUse(store='memory')

    def test_a_store_that_breaks_off_is_left_to_recovery(self):
        delete = self.memory.delete

        def fail(url):
            self.memory.delete = delete
            raise errors.StoreUnavailable(store='memory')
        self.memory.delete = fail
        self.remove()
        self.assertEqual([self.image.id], self.objects())
        self.recovery.run_once()
        self.assertEqual([], self.objects())
        self.assertEqual(['web'], [place.store for place in self.stored(self.image).locations])

    def test_a_store_that_is_down_is_not_asked(self):
        def down():
            raise errors.StoreUnavailable(store='memory')
        self.memory.check = down
        self.assertRaises(errors.StoreUnavailable, self.stores.get('memory').check)
        self.assertRaises(errors.StoreUnavailable, self.remove)
        self.assertEqual(2, len(self.stored(self.image).locations))

    def test_an_image_changed_meanwhile_is_a_conflict(self):
        real = self.stored(self.image)
        self.db.image_update(ADMIN, real.id, ImageChanges({'name': 'x'}))
        stale = Failing(self.db, 'image_get', None)
        stale.image_get = lambda ctx, image_id: real
        self.db = stale
        self.build()
        self.assertRaises(errors.VersionConflict, self.remove)

    def test_an_upload_in_flight_is_a_conflict(self):
        self.db.upload_begin(ADMIN, Upload('u', self.image.id, 'node', 'files'), from_status='active',
                             to_status='active')
        self.assertRaises(errors.StatusConflict, self.remove)


class DeadLocationsTest(LocationsTestCase):
    """Download falls through dead locations."""

    def setUp(self):
        super().setUp()
        self.image = self.active('memory', 'web')

    def test_the_second_is_read_when_the_first_is_dead(self):
        self.memory._objects.clear()
        self.assertEqual(DATA, b''.join(self.downloads.open(OWNER, self.image.id).chunks))

    def test_all_dead_is_a_clear_error(self):
        self.memory._objects.clear()
        self.web.objects.clear()
        error = self.assertRaises(errors.ObjectNotFound, self.downloads.open, OWNER, self.image.id)
        self.assertNotIn('://', str(error))

    def test_one_that_may_come_back_says_so(self):
        self.memory._objects.clear()
        [path] = self.web.objects
        self.web.statuses[path] = 503
        self.assertRaises(errors.StoreUnavailable, self.downloads.open, OWNER, self.image.id)

    def test_a_location_of_no_store_is_passed_over(self):
        image = self.new_image()
        self.db.locations_set(ADMIN, image.id, [Location('gone://x', 'gone'), Location(self.url(), 'web')],
                              ImageChanges({'status': 'active', 'size': len(DATA)}))
        self.assertEqual(DATA, b''.join(self.downloads.open(OWNER, image.id).chunks))
