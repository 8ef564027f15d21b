"""Locations changed by patches: each row of the rules, alone and together with other changes."""

import hashlib

from glancelike import errors
from glancelike.core.quotas import Quotas
from glancelike.model.image import ImageChanges
from glancelike.model.upload import Upload
from tests.unit.core.built import ADMIN, FRIEND, OWNER, STRANGER
from tests.unit.core.data import Failing
from tests.unit.core.disk_images import DiskImages
from tests.unit.core.locations_case import DATA, LocationsTestCase, sha512

HASHES = {'checksum': hashlib.md5(DATA).hexdigest(), 'os_hash_algo': 'sha512', 'os_hash_value': sha512(DATA)}


class PatchCase(LocationsTestCase):

    def setUp(self):
        super().setUp()
        self.image = self.new_image()

    def location(self, url=None, metadata=None, **more):
        return {'url': url or self.url(), 'metadata': metadata or {}, **more}

    def add(self, *arguments, index=None, ctx=OWNER, image=None, **more):
        return self.patch(image or self.image, ('add', index, self.location(*arguments, **more)), ctx=ctx)

    def refused(self, error, *edits, ctx=OWNER, image=None, build=None):
        """Nothing changes; the text of the error."""
        before = self.stored(image or self.image)
        caught = self.assertRaises(error, self.patch, image or self.image, *edits, ctx=ctx, build=build)
        self.assertEqual(before, self.stored(image or self.image))
        self.assertEqual([], self.db.locations_pending_delete(0))
        return str(caught)

    def with_data(self, count=2):
        self.image = self.active('memory', *['web'] * (count - 1))
        self.events.sent.clear()


class QueuedTest(PatchCase):
    """The first location of a queued image."""

    def test_it_makes_the_image_active_and_its_size_is_read(self):
        row = self.add(metadata={'a': {'b': [1]}})
        self.assertEqual(('active', len(DATA), None), (row.status, row.size, row.os_hash_value))
        self.assertEqual({'a': {'b': [1]}}, row.locations[0].metadata)
        self.assertEqual(['image.update', 'image.activate'], [kind for kind, _ in self.events.kinds])
        self.assertEqual(DATA, b''.join(self.downloads.open(OWNER, row.id).chunks))

    def test_by_position_and_by_replacing_the_empty_list_too(self):
        self.add(index=0)
        self.image = self.new_image()
        self.patch(self.image, ('replace', None, [self.location(), self.location()]))
        self.assertEqual(2, len(self.urls(self.image)))

    def test_the_store_may_be_named(self):
        row = self.add(self.url(), {'store': 'web', 'x': 'y'})
        self.assertEqual(('web', {'x': 'y'}), (row.locations[0].store, row.locations[0].metadata))
        for named in ('memory', 'nope', '', None, 7):
            if named is not None:
                self.refused(errors.BadLocation, ('add', None, self.location(metadata={'store': named})),
                             image=self.new_image())

    def test_formats_must_be_set_or_set_by_the_same_patch(self):
        self.image = self.new_image(disk_format=None)
        edit = ('add', None, self.location())
        self.refused(errors.FormatsMissing, edit)
        row = self.patch(self.image, edit, build=lambda image: ImageChanges({'disk_format': 'raw'}))
        self.assertEqual(('raw', 'active'), (row.disk_format, row.status))

    def test_hashes_may_be_announced(self):
        row = self.add(validation_data=HASHES)
        self.assertEqual(HASHES, {name: getattr(row, name) for name in HASHES})

    def test_hashes_of_another_form_or_algorithm_are_conflicts(self):
        for wrong in ({'os_hash_algo': 'sha256', 'os_hash_value': 'a' * 64}, {'os_hash_value': 'x' * 128},
                      {'os_hash_value': 'a' * 64}, {'checksum': 'x' * 32}, {'os_hash_algo': 'sha999'}):
            self.refused(errors.Conflict, ('add', None, self.location(validation_data={**HASHES, **wrong})))

    def test_two_that_announce_different_hashes_are_a_conflict(self):
        other = {**HASHES, 'os_hash_value': 'a' * 128}
        self.refused(errors.Conflict, ('add', None, self.location(validation_data=HASHES)),
                     ('add', None, self.location(validation_data=other)))

    def test_what_may_not_become_a_location_is_refused(self):
        missing = self.url()
        del self.web.objects['/' + missing.rpartition('/')[2]]
        for url in ('file:///etc/passwd', 'gopher://x', 'x', missing, self.url(user='a:b'), 'memory://nothing'):
            self.refused(errors.BadLocation, ('add', None, self.location(url)), ctx=ADMIN)
        self.refused(errors.UnsafeImage,
                     ('add', None, self.location(self.url(DiskImages(self, self.tmp).with_backing_file()))))
        self.refused(errors.BadLocation, ('add', None, self.location(metadata={'x': 'y' * 2**16})))
        self.web.handlers['/long'] = _tells_no_length
        self.refused(errors.BadLocation, ('add', None, self.location(self.web.url('/long'))))

    def test_nothing_can_be_removed(self):
        self.refused(errors.StatusConflict, ('remove', 0), ctx=ADMIN)
        self.refused(errors.Forbidden, ('replace', None, []))

    def test_it_may_be_exchanged_within_one_patch(self):
        [kept] = self.patch(self.image, ('add', None, self.location()), ('add', 0, self.location(self.url(DATA))),
                            ('remove', 1), ctx=ADMIN).locations
        self.assertEqual([kept.url], self.urls(self.image))
        self.assertEqual([], self.db.locations_pending_delete(0))

    def test_an_image_with_an_upload_in_flight_is_a_conflict(self):
        self.db.upload_begin(ADMIN, Upload('u', self.image.id, 'node', 'memory'), to_status='queued')
        self.refused(errors.Conflict, ('add', None, self.location()))


class ActiveTest(PatchCase):
    """Locations of an image that has data."""

    def setUp(self):
        super().setUp()
        self.with_data()

    def test_one_is_added_at_the_end_or_at_a_position(self):
        first, second = self.urls(self.image)
        third = self.add().locations[2].url
        fourth = self.add(index=1).locations[1].url
        fifth = self.add(index=4).locations[4].url
        self.assertEqual([first, fourth, second, third, fifth], self.urls(self.image))
        self.assertEqual({'image.update'}, {kind for kind, _ in self.events.kinds})

    def test_positions_that_are_not_there_are_refused(self):
        self.refused(errors.InvalidPatch, ('add', 3, self.location()))
        self.refused(errors.InvalidPatch, ('remove', 2), ctx=ADMIN)
        self.refused(errors.InvalidPatch, ('remove', None), ctx=ADMIN)

    def test_a_location_twice_is_refused(self):
        url = self.urls(self.image)[1]
        self.refused(errors.BadLocation, ('add', None, self.location(url)))
        self.refused(errors.BadLocation, ('add', None, self.location(url, {'other': 'metadata'})))
        new = self.url()
        self.refused(errors.BadLocation, ('add', None, self.location(new)), ('add', None, self.location(new)))

    def test_data_of_another_length_are_refused(self):
        self.refused(errors.BadLocation, ('add', None, self.location(self.url(DATA + b'x'))))

    def test_known_hashes_may_be_repeated_and_others_are_conflicts(self):
        self.add(validation_data=HASHES)
        for name, value in {'checksum': '2' * 32, 'os_hash_value': 'beefdead' * 16, 'os_hash_algo': 'sha256'}.items():
            self.refused(errors.Conflict, ('add', None, self.location(validation_data={**HASHES, name: value})))

    def test_hashes_come_too_late(self):
        self.image = self.new_image()
        self.add()
        self.refused(errors.Conflict, ('add', None, self.location(validation_data=HASHES)))

    def test_the_list_is_replaced_by_the_same_ones_only(self):
        first, second = self.urls(self.image)
        ids = [place.id for place in self.stored(self.image).locations]
        row = self.patch(self.image, ('replace', None, [self.location(second, {'a': 'b', 'store': 'web'}),
                                                        self.location(first, {'store': 'memory'})]))
        self.assertEqual([(second, {'a': 'b'}), (first, {})], [(one.url, one.metadata) for one in row.locations])
        self.assertEqual(ids[::-1], [place.id for place in row.locations])
        self.assertEqual([], self.db.locations_pending_delete(0))
        for values in ([first], [first, second, self.url()], [first, self.url()], [first, first], [first, second] * 2):
            self.refused(errors.BadLocation, ('replace', None, [self.location(url) for url in values]))
        self.refused(errors.Forbidden, ('replace', None, []))
        self.refused(errors.BadLocation, ('replace', None, [self.location(first, {'store': 'web'}),
                                                            self.location(second)]))

    def test_one_is_removed_with_its_data(self):
        row = self.patch(self.image, ('remove', 0), ctx=ADMIN)
        self.assertEqual(['web'], [place.store for place in row.locations])
        self.assertEqual([], self.objects())
        self.assertEqual([], self.db.locations_pending_delete(0))
        self.refused(errors.Forbidden, ('remove', 0), ctx=ADMIN)

    def test_data_on_a_web_server_are_left_there(self):
        self.patch(self.image, ('remove', 1), ctx=ADMIN)
        self.assertEqual(1, len(self.web.objects))
        self.assertEqual([], self.db.locations_pending_delete(0))

    def test_a_copy_that_cannot_go_now_goes_with_recovery(self):
        delete = self.memory.delete

        def fail(url):
            self.memory.delete = delete
            raise errors.StoreUnavailable(store='memory')
        self.memory.delete = fail
        self.patch(self.image, ('remove', 0), ctx=ADMIN)
        self.assertEqual(([self.image.id], 1), (self.objects(), len(self.urls(self.image))))
        self.recovery.run_once()
        self.assertEqual([], self.objects())

    def test_a_death_before_the_data_are_removed_is_repaired_by_recovery(self):
        self.memory.delete, delete = _die, self.memory.delete
        self.assertRaises(_Death, self.patch, self.image, ('remove', 0), ctx=ADMIN)
        self.memory.delete = delete
        self.assertEqual(['web'], [place.store for place in self.stored(self.image).locations])
        self.recovery.run_once()
        self.assertEqual(([], []), (self.objects(), self.db.locations_pending_delete(0)))

    def test_other_changes_of_the_patch_are_done_with_it(self):
        row = self.patch(self.image, ('remove', 0), ctx=ADMIN,
                         build=lambda image: ImageChanges({'name': 'new'}, {'p': 'v'}, tags=frozenset('t')))
        self.assertEqual(('new', 'v', {'t'}, 1), (row.name, row.properties['p'], row.tags, len(row.locations)))

    def test_nothing_of_a_patch_is_done_when_one_part_is_refused(self):
        self.refused(errors.Forbidden, ('add', None, self.location()), ctx=OWNER,
                     build=lambda image: ImageChanges({'visibility': 'public'}))
        self.refused(errors.BadLocation, ('add', None, self.location()), ('add', None, self.location('x')),
                     build=lambda image: ImageChanges({'name': 'new'}))

    def test_quotas_hold(self):
        self.build(quotas=Quotas(locations=3))
        self.add()
        asked = len(self.web.seen)
        self.refused(errors.QuotaExceeded, ('add', None, self.location()))
        self.assertEqual(asked, len(self.web.seen))
        self.patch(self.image, ('remove', 0), ctx=ADMIN)
        self.build(quotas=Quotas(storage=3 * len(DATA) - 1))
        self.refused(errors.QuotaExceeded, ('add', None, self.location()))
        self.build(quotas=Quotas(storage=3 * len(DATA)))
        self.add()

    def test_other_statuses_are_conflicts(self):
        self.images.deactivate(OWNER, self.image.id)
        same = [self.location(url) for url in self.urls(self.image)]
        for edit in (('add', None, self.location()), ('remove', 0), ('replace', None, same)):
            self.refused(errors.StatusConflict, edit, ctx=ADMIN)
        for status in ('saving', 'importing', 'uploading', 'killed'):
            self.refused(errors.StatusConflict, ('add', None, self.location()), image=self.new_image(status=status))

    def test_policies_hold(self):
        add, remove = ('add', None, self.location()), ('remove', 0)
        self.refused(errors.Forbidden, remove)
        self.refused(errors.ImageNotFound, add, ctx=STRANGER)
        shared = self.active('memory')
        self.db.member_add(OWNER, shared.id, 'friend')
        self.refused(errors.Forbidden, add, image=shared, ctx=FRIEND)
        self.build('set_image_location: "!"')
        self.refused(errors.Forbidden, add)
        self.refused(errors.Forbidden, ('replace', None, [self.location(url) for url in self.urls(self.image)]))
        self.build('get_image_location: "!"')
        self.refused(errors.Forbidden, ('add', 0, self.location()))
        self.patch(self.image, add)
        self.build('delete_image_location: ""')
        self.patch(self.image, remove)


class RacesTest(PatchCase):

    def setUp(self):
        super().setUp()
        self.with_data()

    def patch_while(self, happens, *edits):
        def build(image):
            while happens:
                happens.pop()()
            return ImageChanges()
        return self.patch(self.image, *edits, build=build, ctx=ADMIN)

    def test_other_changes_in_between_are_no_conflict(self):
        row = self.patch_while([lambda: self.db.image_update(ADMIN, self.image.id, ImageChanges({'name': 'theirs'}))],
                               ('add', None, self.location()))
        self.assertEqual(('theirs', 3), (row.name, len(row.locations)))
        self.assertEqual(1, sum(path == row.locations[2].url[-37:] and method == 'HEAD'
                                for method, path, _ in self.web.seen))

    def test_locations_changed_in_between_are_a_conflict(self):
        self.assertRaises(errors.VersionConflict, self.patch_while,
                          [lambda: self.db.locations_set(ADMIN, self.image.id, self.stored(self.image).locations[:1])],
                          ('remove', 0))
        self.assertEqual(1, len(self.urls(self.image)))

    def test_a_named_version_is_held_to(self):
        self.assertRaises(errors.PreconditionFailed, self.patch, self.image, ('remove', 0), ctx=ADMIN,
                          if_version=self.image.version - 1)
        self.patch(self.image, ('remove', 0), ctx=ADMIN, if_version=self.image.version)

    def test_a_database_that_breaks_off_removes_no_data(self):
        self.db = Failing(self.db, 'locations_set', errors.DatabaseUnavailable())
        self.build()
        self.assertRaises(errors.DatabaseUnavailable, self.patch, self.image, ('remove', 0), ctx=ADMIN)
        self.assertEqual([self.image.id], self.objects())


class _Death(BaseException):
    """What no handler of errors catches."""


def _die(url):
    raise _Death()


def _tells_no_length(handler):
    handler.close_connection = True
    handler.send_response(200)
    handler.end_headers()
    if handler.command == 'GET':
        handler.wfile.write(DATA)
