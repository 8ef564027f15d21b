"""Downloads: who gets what, from which copy."""

import os

from glancelike import errors
from glancelike.core.download import ByteRange
from glancelike.model.image import Location
from glancelike.plugin import READ, StoreDriver, options_for
from glancelike.store_drivers.memory import MemoryStore
from glancelike.store_drivers.stores import StoreSpec
from tests import base
from tests.unit.core.built import ADMIN, OWNER, STRANGER
from tests.unit.core.data import DataTestCase

DATA = bytes(range(256)) * 40_000  # more than two pieces of 4 MiB


class WholeOnly(StoreDriver):
    """A store that keeps one object in the code and reads it from its beginning only."""

    SCHEMES = ('whole',)
    CAPABILITIES = frozenset({READ})
    OPTIONS = ()

    def get(self, url, offset=0, length=None):
        if offset or length is not None:
            raise errors.OperationNotSupported(store=self.id, operation='get')
        return iter([DATA])

    def size(self, url):
        return len(DATA)


class Broken(MemoryStore):
    """Breaks off after so many pieces."""

    pieces = 0

    def get(self, url, offset=0, length=None):
        found = super().get(url, offset, length)

        def cut():
            for _ in range(self.pieces):
                yield next(found)
            raise errors.StoreUnavailable(store=self.id)
        return cut()


class DownloadTestCase(DataTestCase):
    def active_image(self, *stores, data=DATA, **attributes):
        """An image with a copy in each of the stores."""
        image = self.new_image(**attributes)
        active = self.upload(image, data, store=stores[0] if stores else None)
        for store in stores[1:]:
            stored = self.stores.get(store).add(image.id, [data], len(data))
            self.add_location(image, Location(stored.url, store))
        self.events.sent.clear()
        return self.stored(active)

    def add_location(self, image, location):
        row = self.db._rows[image.id]
        row.locations += self.db._with_ids([location])

    def lose(self, image, store):
        self.stores.get(store).discard(image.id)

    def read(self, image, byte_range=None, prefer=(), ctx=OWNER):
        download = self.downloads.open(ctx, image.id, byte_range, prefer)
        return b''.join(download.chunks)


class DownloadTest(DownloadTestCase):
    def test_the_whole_image(self):
        for store in ('memory', 'files'):
            image = self.active_image(store)
            download = self.downloads.open(OWNER, image.id)
            self.assertEqual((len(DATA), 0, len(DATA)), (download.size, download.offset, download.length))
            pieces = list(download.chunks)
            self.assert_bytes(DATA, b''.join(pieces))
            self.assertTrue(max(map(len, pieces)) <= 4 * 2**20)

    def test_a_local_file_is_offered_where_the_store_has_one(self):
        image = self.active_image('files')
        download = self.downloads.open(OWNER, image.id, ByteRange(5, 9))
        self.assertEqual(str(self.folder / image.id), download.local_file)
        self.assertEqual((5, 5), (download.offset, download.length))
        self.assertIsNone(self.downloads.open(OWNER, self.active_image('memory').id).local_file)

    def test_nothing_stays_open_when_the_local_file_is_used(self):
        image = self.active_image('files')
        before = os.listdir('/proc/self/fd')
        download = self.downloads.open(OWNER, image.id)
        self.assertEqual(before, os.listdir('/proc/self/fd'))
        download.chunks.close()

    def test_closing_early_gives_up_the_file(self):
        image = self.active_image('files')
        before = os.listdir('/proc/self/fd')
        download = self.downloads.open(OWNER, image.id)
        next(download.chunks)
        download.chunks.close()
        self.assertEqual(before, os.listdir('/proc/self/fd'))

    def test_images_without_data(self):
        for status in ('queued', 'saving', 'importing', 'uploading', 'killed'):
            download = self.downloads.open(OWNER, self.new_image(status=status).id, ByteRange(0, 5))
            self.assertIsNone(download.chunks)

    def test_an_image_of_no_bytes(self):
        for store in ('memory', 'files'):
            image = self.active_image(store, data=b'')
            download = self.downloads.open(OWNER, image.id)
            self.assertEqual((0, None), (download.length, download.chunks))
            self.assertRaises(errors.RangeNotSatisfiable, self.downloads.open, OWNER, image.id, ByteRange(0, 5))

    def test_ranges(self):
        for store in ('memory', 'files'):
            image = self.active_image(store)
            for byte_range, expected in ((ByteRange(0, 0), DATA[:1]), (ByteRange(10, None), DATA[10:]),
                                         (ByteRange(None, 7), DATA[-7:]), (ByteRange(5, 10**12), DATA[5:]),
                                         (ByteRange(None, 10**12), DATA), (ByteRange(0, None), DATA)):
                self.assert_bytes(expected, self.read(image, byte_range))

    def test_a_range_outside_of_the_image(self):
        image = self.active_image()
        raised = self.assertRaises(errors.RangeNotSatisfiable, self.read, image, ByteRange(len(DATA), None))
        self.assertEqual({'range': f'bytes={len(DATA)}-', 'size': len(DATA)}, raised.facts)

    def test_a_range_of_a_store_that_reads_whole_objects_only(self):
        self.build(specs=[*self.specs(), StoreSpec('whole', WholeOnly('whole', None))])
        image = self.new_image(status='active', size=len(DATA), locations=(Location('whole://x', 'whole'),))
        self.assert_bytes(DATA, self.read(image))
        self.assert_bytes(DATA, self.read(image, ByteRange(0, len(DATA) - 1)))
        self.assertRaises(errors.OperationNotSupported, self.read, image, ByteRange(1, 2))

    def test_a_location_without_a_known_size_is_asked_for_it(self):
        self.build(specs=[*self.specs(), StoreSpec('whole', WholeOnly('whole', None))])
        image = self.new_image(status='active', size=None, locations=(Location('whole://x', 'whole'),))
        self.assertEqual(len(DATA), self.downloads.open(OWNER, image.id).size)


class AllowedTest(DownloadTestCase):
    def test_an_image_that_the_caller_cannot_see_is_not_found(self):
        image = self.active_image(visibility='private')
        self.assertRaises(errors.ImageNotFound, self.downloads.open, STRANGER, image.id)

    def test_policy_download_image_is_asked(self):
        image = self.active_image()
        self.build(policy='download_image: "role:reader and not role:member"')
        self.assertRaises(errors.Forbidden, self.downloads.open, OWNER, image.id)

    def test_policy_download_from_store_is_asked_for_preferences_only(self):
        image = self.active_image()
        self.build(policy='download_from_store: "role:other"')
        self.assert_bytes(DATA, self.read(image))
        self.assertRaises(errors.Forbidden, self.read, image, prefer=['files'])

    def test_a_deactivated_image_is_for_administrators(self):
        image = self.active_image()
        row = self.db._rows[image.id]
        row.touch(status='deactivated')
        self.assertRaises(errors.ImageDeactivated, self.downloads.open, OWNER, image.id)
        self.assert_bytes(DATA, self.read(image, ctx=ADMIN))


class CopiesTest(DownloadTestCase):
    """Which of several copies is read: weight is memory 10, files 0."""

    def source(self, image, **options):
        return 'memory' if self.downloads.open(OWNER, image.id, **options).local_file is None else 'files'

    def test_the_strategy_orders(self):
        self.assertEqual('memory', self.source(self.active_image('files', 'memory')))

    def test_preferred_stores_come_first_in_the_order_asked(self):
        image = self.active_image('memory', 'files')
        self.assertEqual('files', self.source(image, prefer=['files']))
        self.assertEqual('memory', self.source(image, prefer=['memory', 'files']))

    def test_a_preference_restricts_nothing(self):
        self.assertEqual('memory', self.source(self.active_image('memory'), prefer=['files']))

    def test_an_unknown_preferred_store(self):
        image = self.active_image('memory')
        raised = self.assertRaises(errors.UnknownStore, self.read, image, prefer=['memory', 'nowhere'])
        self.assertEqual('nowhere', raised.facts['store'])

    def test_a_dead_copy_is_passed_over(self):
        image = self.active_image('memory', 'files')
        self.lose(image, 'memory')
        self.assert_bytes(DATA, self.read(image))
        self.assert_bytes(DATA[3:5], self.read(image, ByteRange(3, 4)))

    def test_a_file_of_the_wrong_length_is_passed_over(self):
        image = self.active_image('memory', 'files')
        (self.folder / image.id).write_bytes(DATA[:-1])
        self.assert_bytes(DATA, self.read(image, prefer=['files']))

    def test_a_copy_in_a_store_that_is_not_configured_any_more_is_passed_over(self):
        image = self.active_image('files')
        self.add_location(image, Location('gone://x', 'gone'))
        self.assert_bytes(DATA, self.read(image))

    def test_a_copy_that_breaks_before_its_first_byte_is_passed_over(self):
        self.memory = Broken('memory', options_for(MemoryStore))
        self.build()
        self.assert_bytes(DATA, self.read(self.active_image('memory', 'files')))

    def test_a_copy_that_breaks_later_breaks_the_download(self):
        self.memory = Broken('memory', options_for(MemoryStore))
        self.memory.pieces = 1
        self.build()
        image = self.active_image('memory', 'files')
        self.assertRaises(errors.StoreUnavailable, self.read, image)

    def test_no_copy_is_left(self):
        image = self.active_image('memory', 'files')
        self.lose(image, 'memory')
        self.lose(image, 'files')
        self.assertRaises(errors.ObjectNotFound, self.read, image)

    def test_when_one_copy_may_come_back_the_answer_says_so(self):
        self.memory = Broken('memory', options_for(MemoryStore))
        self.build()
        image = self.active_image('memory', 'files')
        self.lose(image, 'files')
        self.assertRaises(errors.StoreUnavailable, self.read, image)

    def test_no_configured_store_has_it(self):
        image = self.new_image(status='active', size=3, locations=(Location('gone://x', 'gone'),))
        self.assertRaises(errors.ObjectNotFound, self.read, image)

    def test_a_copy_that_can_read_ranges_is_taken_where_another_cannot(self):
        self.build(specs=[*self.specs(), StoreSpec('whole', WholeOnly('whole', None), weight=99)])
        image = self.active_image('files')
        self.add_location(image, Location('whole://x', 'whole'))
        self.assert_bytes(DATA[3:5], self.read(image, ByteRange(3, 4)))


class FinishedTest(DownloadTestCase):
    def test_a_complete_download_is_told(self):
        image = self.active_image()
        download = self.downloads.open(OWNER, image.id, ByteRange(0, 9))
        self.downloads.finished(OWNER, download, 10, '192.0.2.1')
        kind, priority, payload = self.events.sent[-1]
        self.assertEqual(('image.send', 'INFO'), (kind, priority))
        self.assertEqual((10, image.id, 'owner', '192.0.2.1'),
                         (payload['bytes_sent'], payload['image_id'], payload['receiver_tenant_id'],
                          payload['destination_ip']))

    def test_a_broken_download_is_told_as_an_error(self):
        download = self.downloads.open(OWNER, self.active_image().id)
        self.downloads.finished(OWNER, download, 10)
        self.assertEqual([('image.send', 'ERROR')], self.events.kinds)


class ByteRangeTest(base.TestCase):
    def test_within(self):
        for byte_range, size, expected in (
                ((0, 0), 1, (0, 1)), ((0, None), 1, (0, 1)), ((2, 5), 6, (2, 4)), ((2, 9), 6, (2, 4)),
                ((None, 1), 6, (5, 1)), ((None, 9), 6, (0, 6)), ((5, None), 6, (5, 1))):
            self.assertEqual(expected, ByteRange(*byte_range).within(size))

    def test_outside(self):
        for byte_range, size in (((0, 0), 0), ((6, None), 6), ((6, 8), 6), ((None, 0), 6), ((None, 5), 0),
                                 ((4, 2), 6), ((10**30, None), 6)):
            self.assertRaises(errors.RangeNotSatisfiable, ByteRange(*byte_range).within, size)

    def test_text(self):
        self.assertEqual(['bytes=1-2', 'bytes=1-', 'bytes=-2'],
                         [str(ByteRange(*bounds)) for bounds in ((1, 2), (1, None), (None, 2))])
