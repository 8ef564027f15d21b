"""Uploads: what becomes of the image, the bytes, the lease and the reservation, whatever goes wrong."""

import dataclasses
import hashlib
import threading

from glancelike import errors
from glancelike.core.formats import FormatRules
from glancelike.core.leases import Leases
from glancelike.core.quotas import Quotas
from glancelike.core.streams import PIECE_BYTES
from glancelike.plugin import options_for
from glancelike.store_drivers.http import HttpStore
from glancelike.store_drivers.memory import MemoryStore
from glancelike.store_drivers.stores import StoreSpec
from tests.unit.core.built import ADMIN, OWNER, STRANGER
from tests.unit.core.data import MIB, Body, DataTestCase, Failing
from tests.unit.core.disk_images import DiskImages

DATA = bytes(range(256)) * 12_000  # three pieces, the last one short


class UploadTest(DataTestCase):
    def test_an_uploaded_image_is_active_with_size_hashes_and_location(self):
        image = self.new_image()
        active = self.upload(image, DATA, size=len(DATA))
        self.assertEqual(self.stored(image), active)
        self.assertEqual(('active', len(DATA), len(DATA)), (active.status, active.size, active.virtual_size))
        self.assertEqual(hashlib.md5(DATA).hexdigest(), active.checksum)
        self.assertEqual(('sha512', hashlib.sha512(DATA).hexdigest()), (active.os_hash_algo, active.os_hash_value))
        self.assertEqual([('memory', f'memory://{image.id}')], [(one.store, one.url) for one in active.locations])
        self.assert_bytes(DATA, b''.join(self.memory.get(active.locations[0].url)))
        self.assertIsNone(self.db.upload_of_image(image.id))

    def test_a_body_of_unknown_length(self):
        image = self.new_image()
        self.assertEqual(len(DATA), self.upload(image, DATA).size)

    def test_no_bytes_are_a_valid_image(self):
        for size in (0, None):
            active = self.upload(self.new_image(), b'', size=size)
            self.assertEqual(('active', 0), (active.status, active.size))
            self.assertEqual(hashlib.md5(b'').hexdigest(), active.checksum)

    def test_the_named_store_gets_the_bytes(self):
        image = self.new_image()
        self.assertEqual('files', self.upload(image, DATA, store='files').locations[0].store)
        self.assert_bytes(DATA, (self.folder / image.id).read_bytes())

    def test_another_hashing_algorithm(self):
        self.build(hashing_algorithm='sha256', legacy_checksum=False)
        active = self.upload(self.new_image(), DATA)
        self.assertEqual(('sha256', hashlib.sha256(DATA).hexdigest(), None),
                         (active.os_hash_algo, active.os_hash_value, active.checksum))

    def test_an_unknown_hashing_algorithm_stops_the_start(self):
        self.assertRaises(errors.ConfigurationError, self.build, hashing_algorithm='sha513')

    def test_virtual_size_of_a_real_qcow2(self):
        data = DiskImages(self, self.tmp).converted('qcow2')
        self.assertEqual(MIB, self.upload(self.new_image(disk_format='qcow2'), data).virtual_size)

    def test_properties_and_name_stay(self):
        image = self.new_image(name='kept', properties={'a': 'b'}, tags=frozenset({'t'}))
        active = self.upload(image)
        self.assertEqual(('kept', {'a': 'b'}, {'t'}), (active.name, active.properties, active.tags))

    def test_events_of_a_success(self):
        self.upload(self.new_image())
        self.assertEqual([('image.prepare', 'INFO'), ('image.upload', 'INFO'), ('image.activate', 'INFO')],
                         self.events.kinds)

    def test_events_of_a_failure(self):
        self.assertRaises(errors.SizeMismatch, self.upload, self.new_image(), b'x', size=2)
        self.assertEqual([('image.prepare', 'INFO'), ('image.upload', 'ERROR')], self.events.kinds)
        self.assertIn('2 bytes were declared', self.events.sent[-1][2]['message'])

    def test_bytes_that_a_dead_upload_left_complete_are_replaced(self):
        for store in ('memory', 'files'):
            image = self.new_image()
            self.stores.get(store).add(image.id, [b'old'], 3)
            active = self.upload(image, DATA, store=store)
            self.assert_bytes(DATA, b''.join(self.stores.get(store).get(active.locations[0].url)))


class RefusedTest(DataTestCase):
    """Refused before anything is changed."""

    def check_refused(self, error, image, *, body=None, **options):
        before = self.stored(image)
        raised = self.assertRaises(error, self.upload, image, body or Body(AssertionError('body was read')), **options)
        self.assertEqual(before, self.stored(image))
        self.assertEqual([], self.objects())
        return raised

    def test_an_image_that_the_caller_cannot_see_is_not_found(self):
        self.check_refused(errors.ImageNotFound, self.new_image(visibility='private'), ctx=STRANGER)

    def test_an_image_of_somebody_else_is_forbidden(self):
        self.check_refused(errors.Forbidden, self.new_image(visibility='community'), ctx=STRANGER)

    def test_policy_upload_image_is_asked(self):
        self.build(policy='upload_image: "role:uploader"')
        self.check_refused(errors.Forbidden, self.new_image())

    def test_a_read_only_caller_is_refused(self):
        self.check_refused(errors.ReadOnlyContext, self.new_image(), ctx=dataclasses.replace(OWNER, read_only=True))

    def test_formats_must_be_set(self):
        raised = self.check_refused(errors.FormatsMissing, self.new_image(disk_format=None, container_format=None))
        self.assertEqual('disk_format and container_format', raised.facts['missing'])
        self.check_refused(errors.FormatsMissing, self.new_image(container_format=None))

    def test_only_queued_images_take_data(self):
        for status in ('saving', 'active', 'deactivated', 'importing', 'uploading', 'killed'):
            raised = self.check_refused(errors.StatusConflict, self.new_image(status=status))
            self.assertEqual(status, raised.facts['status'])

    def test_an_unknown_store(self):
        self.check_refused(errors.UnknownStore, self.new_image(), store='nowhere')

    def test_a_read_only_store(self):
        self.build(specs=[*self.specs(), StoreSpec('web', HttpStore('web', options_for(HttpStore)))])
        self.check_refused(errors.StoreReadOnly, self.new_image(), store='web')

    def test_more_declared_than_any_image_may_have(self):
        self.build(image_size_cap=10)
        self.check_refused(errors.ImageTooLarge, self.new_image(), size=11)

    def test_a_second_upload_to_one_image(self):
        image = self.new_image()
        meanwhile = []

        def second():
            meanwhile.append(self.assertRaises(errors.StatusConflict, self.upload, image, b'second'))
        self.assertEqual(10, self.upload(image, Body(b'first', second, b'first')).size)
        self.assertEqual('saving', meanwhile[0].facts['status'])


class UndoneTest(DataTestCase):
    """Failed in the middle: the image is as before, nothing of it is in a store, and it can be uploaded again."""

    def check_undone(self, error, body=DATA, image=None, stores=('memory', 'files'), **options):
        for store in stores:
            image = image or self.new_image()
            raised = self.assertRaises(error, self.upload, image, body() if callable(body) else body, store=store,
                                       **options)
            self.assert_as_before_the_upload(image)
        return raised

    def check_works_afterwards(self, image, **options):
        self.assertEqual('active', self.upload(image, b'again', **options).status)

    def test_too_few_bytes(self):
        image = self.new_image()
        self.check_undone(errors.SizeMismatch, size=len(DATA) + 1, image=image)
        self.check_works_afterwards(image)

    def test_too_many_bytes(self):
        self.check_undone(errors.SizeMismatch, size=len(DATA) - 1)

    def test_too_many_bytes_of_a_chunked_body(self):
        self.build(image_size_cap=len(DATA) - 1)
        self.check_undone(errors.ImageTooLarge)

    def test_a_client_that_vanishes(self):
        self.check_undone(errors.ClientDisconnected, lambda: Body(DATA, ConnectionResetError()))

    def test_a_body_that_fails_in_an_unexpected_way(self):
        self.check_undone(ZeroDivisionError, lambda: Body(DATA, ZeroDivisionError()))
        self.assertEqual('internal error', self.events.sent[-1][2]['message'])

    def test_a_request_that_is_ended_from_outside(self):
        self.check_undone(KeyboardInterrupt, lambda: Body(DATA, KeyboardInterrupt()))

    def test_content_of_another_format(self):
        image = self.new_image(disk_format='qcow2')
        self.check_undone(errors.FormatMismatch, image=image)
        self.check_works_afterwards(self.new_image())

    def test_unsafe_content(self):
        data = DiskImages(self, self.tmp).with_backing_file()
        self.check_undone(errors.UnsafeImage, data, image=self.new_image(disk_format='qcow2'))

    def test_mismatching_content_of_a_few_bytes(self):
        self.check_undone(errors.FormatMismatch, b'x', image=self.new_image(disk_format='vmdk'))

    def test_a_full_store(self):
        self.memory = MemoryStore('memory', options_for(MemoryStore, memory_store_max_bytes=MIB))
        self.build()
        image = self.new_image()
        self.check_undone(errors.StoreFull, image=image, stores=['memory'])
        self.check_works_afterwards(image)

    def test_a_store_that_fails_after_keeping_all_bytes(self):
        failing = Failing(self.memory, 'add', errors.StoreUnavailable(store='memory'), after=True)
        self.build(specs=[StoreSpec('memory', failing, is_default=True)])
        self.check_undone(errors.StoreUnavailable, stores=['memory'])

    def test_a_store_that_keeps_too_little(self):
        class Forgetful(MemoryStore):
            def add(self, image_id, chunks, size):
                return super().add(image_id, [next(iter(chunks))], None)
        self.memory = Forgetful('memory', options_for(MemoryStore))
        self.build()
        self.check_undone(errors.StoreError, stores=['memory'])

    def test_a_conflict_at_the_very_end(self):
        self.db = Failing(self.db, 'upload_finish', errors.StatusConflict('no'), times=2)
        self.build()
        self.check_undone(errors.StatusConflict)

    def test_quota_exceeded_by_a_declared_size_before_a_byte_is_read(self):
        self.build(quotas=Quotas(storage=100))
        self.check_undone(errors.QuotaExceeded, lambda: Body(AssertionError('body was read')), size=101)

    def test_quota_exceeded_by_an_undeclared_size(self):
        self.build(quotas=Quotas(storage=len(DATA) - 1))
        self.check_undone(errors.QuotaExceeded)

    def test_exactly_the_quota_fits(self):
        for size in (len(DATA), None):
            self.db.__init__(None)
            self.build(quotas=Quotas(storage=len(DATA)))
            self.assertEqual('active', self.upload(self.new_image(), DATA, size=size).status)

    def test_what_is_reserved_counts_against_others(self):
        self.build(quotas=Quotas(storage=len(DATA) + 10))

        def other():
            self.assertRaises(errors.QuotaExceeded, self.upload, self.new_image(), b'x' * 11)
            self.upload(self.new_image(), b'x' * 10, size=10)
        self.upload(self.new_image(), Body(other, DATA), size=len(DATA))

    def test_two_bodies_of_unknown_length_that_fit_together_are_both_taken(self):
        data = b'x' * 3 * MIB
        self.build(quotas=Quotas(storage=2 * len(data)))
        body = Body(data, lambda: self.upload(self.new_image(), data))
        self.assertEqual('active', self.upload(self.new_image(), body).status)
        self.assertEqual(2 * len(data), self.db.usage(OWNER.project_id).stored_bytes)

    def test_far_from_the_quota_an_upload_reserves_in_few_statements(self):
        self.build(quotas=Quotas(storage=2**40))
        asked, reserve = [], self.db.upload_reserve
        self.patch(self.db, 'upload_reserve', lambda *args: (asked.append(args), reserve(*args)))
        self.upload(self.new_image(), b'x' * 32 * MIB)
        self.assertLess(len(asked), 20)

    def test_quotas_of_uploads_running_at_once_hold_exactly(self):
        self.build(quotas=Quotas(storage=5 * 1000))
        images = [self.new_image() for _ in range(8)]
        start, results = threading.Barrier(8, timeout=30), []

        def one(image):
            start.wait()
            try:
                results.append(self.upload(image, b'x' * 1000).status)
            except errors.QuotaExceeded:
                results.append('refused')
        threads = [threading.Thread(target=one, args=(image,)) for image in images]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(['active'] * 5 + ['refused'] * 3, sorted(results))
        self.assertEqual(5000, self.db.usage(OWNER.project_id).stored_bytes)


class DeletedMeanwhileTest(DataTestCase):
    """The image is deleted while its data come in."""

    def check_gone(self, image, body):
        self.assertRaises(errors.ImageGone, self.upload, image, body)
        self.assertRaises(errors.ImageNotFound, self.stored, image)
        self.assertEqual([], self.objects())
        self.assertIsNone(self.db.upload_of_image(image.id))

    def test_noticed_at_the_end(self):
        image = self.new_image()
        self.check_gone(image, Body(DATA, lambda: self.db.image_delete(ADMIN, image.id)))

    def test_noticed_by_the_heartbeat(self):
        image = self.new_image()

        def delete():
            self.db.image_delete(ADMIN, image.id)
            for lease in self.leases._kept.values():
                lease.beat()
        self.check_gone(image, Body(b'x' * PIECE_BYTES, delete, b'x' * PIECE_BYTES, AssertionError('went on')))


class TakenOverTest(DataTestCase):
    """Another process took the upload for dead although it was not."""

    def take_over(self, image):
        upload = self.db.upload_of_image(image.id)
        self.assertTrue(self.db.upload_take_over(upload, 'other', 'other node'))

    def test_the_bytes_are_left_to_who_has_the_lease_now(self):
        image = self.new_image()
        body = Body(b'x' * PIECE_BYTES, lambda: self.take_over(image), b'x')
        self.assertRaises(errors.StatusConflict, self.upload, image, body)
        self.assertEqual('other', self.db.upload_of_image(image.id).id)
        self.assertEqual('saving', self.stored(image).status)

    def test_it_is_noticed_by_the_heartbeat(self):
        image = self.new_image()

        def take_over():
            self.take_over(image)
            for lease in self.leases._kept.values():
                lease.beat()
        body = Body(b'x' * PIECE_BYTES, take_over, b'x' * PIECE_BYTES, AssertionError('went on'))
        self.assertRaises(errors.StatusConflict, self.upload, image, body)

    def test_bytes_that_were_complete_after_the_other_has_cleared_up_are_discarded(self):
        image = self.new_image()

        def undo():
            self.take_over(image)
            self.memory.discard(image.id)
            self.db.upload_abort('other')
        self.assertRaises(errors.StatusConflict, self.upload, image, Body(DATA, undo))
        self.assert_as_before_the_upload(image)

    def test_the_object_of_a_new_upload_is_not_touched(self):
        image = self.new_image()

        def undone_and_uploaded_again():
            self.take_over(image)
            self.db.upload_abort('other')
            self.upload(image, b'new')
        self.assertRaises(errors.StatusConflict, self.upload, image, Body(DATA, undone_and_uploaded_again))
        self.assertEqual(b'new', b''.join(self.memory.get(self.stored(image).locations[0].url)))


class DatabaseTest(DataTestCase):
    """The database breaks off in the middle."""

    def setUp(self):
        super().setUp()
        self.error = errors.DatabaseUnavailable()

    def break_off(self, method, *, after):
        self.real, self.db = self.db, Failing(self.db, method, self.error, after=after)
        self.build()

    def test_at_commit_before_it_happened_recovery_sets_the_image_back(self):
        self.break_off('upload_finish', after=False)
        image = self.new_image()
        self.assertIs(self.error, self.assertRaises(errors.DatabaseUnavailable, self.upload, image, DATA))
        self.assertEqual([image.id], self.objects())  # nobody knows yet whether it is active
        self.assertEqual(1, self.recovery.run_once().uploads_undone)
        self.assert_as_before_the_upload(image)

    def test_at_commit_after_it_happened_the_image_is_active_with_its_bytes(self):
        self.break_off('upload_finish', after=True)
        image = self.new_image()
        self.assertRaises(errors.DatabaseUnavailable, self.upload, image, DATA)
        self.assertEqual(0, self.recovery.run_once().uploads_undone)
        self.assertEqual('active', self.stored(image).status)
        self.assert_bytes(DATA, b''.join(self.memory.get(self.stored(image).locations[0].url)))

    def test_at_the_beginning(self):
        for after in (False, True):
            self.break_off('upload_begin', after=after)
            image = self.new_image()
            self.assertRaises(errors.DatabaseUnavailable, self.upload, image, DATA)
            self.recovery.run_once()
            self.assert_as_before_the_upload(image)

    def test_while_undoing(self):
        for method in ('upload_heartbeat', 'upload_abort'):
            self.break_off(method, after=False)
            image = self.new_image()
            self.assertRaises(errors.SizeMismatch, self.upload, image, DATA, size=1)
            self.assertEqual('saving', self.stored(image).status)
            self.assertEqual(1, self.recovery.run_once().uploads_undone)
            self.assert_as_before_the_upload(image)

    def test_a_store_that_is_down_while_undoing_is_cleared_when_it_is_back(self):
        image = self.new_image()
        error = errors.StoreUnavailable(store='memory')
        failing = Failing(Failing(self.memory, 'discard', error, times=2), 'add', error, after=True)
        self.build(specs=[StoreSpec('memory', failing, is_default=True)])
        self.assertRaises(errors.StoreUnavailable, self.upload, image, DATA)
        self.assertEqual(0, self.recovery.run_once().uploads_undone)
        self.assertEqual('saving', self.stored(image).status)
        self.assertEqual(1, self.recovery.run_once().uploads_undone)
        self.assert_as_before_the_upload(image)


class HeartbeatTest(DataTestCase):
    def test_running_uploads_are_renewed_and_finished_ones_are_not(self):
        image = self.new_image()
        seen = []

        def beat():
            before = self.db.upload_of_image(image.id).heartbeat_at
            for lease in self.leases._kept.values():
                self.leases._beat(lease)
            seen.append(self.db.upload_of_image(image.id).heartbeat_at > before)
        self.upload(image, Body(beat, DATA))
        self.assertEqual([True], seen)
        self.assertEqual({}, self.leases._kept)
        self.assertIn('upload heartbeats', self.threads.duties)

    def test_a_heartbeat_that_fails_does_not_end_the_upload(self):
        self.db = Failing(self.db, 'upload_heartbeat', errors.DatabaseUnavailable())
        self.build()

        def beat():
            for lease in self.leases._kept.values():
                self.leases._beat(lease)
        self.assertEqual('active', self.upload(self.new_image(), Body(beat, DATA)).status)

    def test_the_duty_ends_when_nothing_is_left_to_renew(self):
        self.upload(self.new_image())
        slept = []
        self.threads.sleep = slept.append
        self.threads.duties['upload heartbeats']()
        self.assertEqual([self.leases.heartbeat_seconds], slept)

    def test_a_lease_must_outlast_three_heartbeats(self):
        self.assertRaises(errors.ConfigurationError, Leases, self.db, self.threads, heartbeat_seconds=21,
                          lease_seconds=60)


class RulesTest(DataTestCase):
    def test_the_operators_format_rules_count(self):
        self.build(rules=FormatRules(match_required=False))
        self.assertEqual('active', self.upload(self.new_image(disk_format='qcow2'), DATA).status)
