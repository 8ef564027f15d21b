"""Deleting an image and its bytes: in this order, with a way back, and never half."""

from testtools.matchers import Equals

from glancelike import errors
from glancelike.model.image import ImageChanges, Location
from glancelike.model.upload import Upload
from tests.unit.core.built import ADMIN, FRIEND, OWNER, STRANGER, CoreTestCase


class DeleteTest(CoreTestCase):

    def setUp(self):
        super().setUp()
        self.image = self.new_image(disk_format='raw', container_format='bare', properties={'a': '1'}, tags=['t'])

    def active(self, *stores):
        self.activate(self.image.id, *stores)
        self.events.sent.clear()

    def objects(self, store):
        return list(self.stores.by_id[store].objects)

    def pending(self):
        return [place.store for _, place in self.db.locations_pending_delete(0)]

    def assert_gone(self):
        self.assertRaises(errors.ImageNotFound, self.db.image_get, ADMIN, self.image.id)

    def assert_back(self, status='active'):
        image = self.stored(self.image.id)
        self.assertThat((image.status, dict(image.properties), image.tags),
                        Equals((status, {'a': '1'}, frozenset('t'))))
        self.assertThat(self.events.types, Equals([]))
        return image

    def test_row_bytes_and_location_go(self):
        self.active('fast', 'cold')
        self.images.delete(OWNER, self.image.id)
        self.assert_gone()
        self.assertThat((self.objects('fast'), self.objects('cold'), self.pending()), Equals(([], [], [])))
        self.assertThat([(kind, payload['deleted']) for kind, payload in self.events.sent],
                        Equals([('image.delete', True)]))

    def test_the_row_goes_before_the_bytes(self):
        self.active('fast')
        seen = []
        self.stores.by_id['fast'].delete = lambda url: seen.append(self.assert_gone())
        self.images.delete(OWNER, self.image.id)
        self.assertThat(seen, Equals([None]))

    def test_a_queued_image_has_nothing_to_remove(self):
        self.images.delete(OWNER, self.image.id)
        self.assert_gone()

    def test_an_image_whose_data_come_in_can_be_deleted(self):
        upload = Upload(id='u', image_id=self.image.id, node='n', store='fast')
        self.db.upload_begin(OWNER, upload)
        self.images.delete(OWNER, self.image.id)
        self.assert_gone()
        self.assertRaises(errors.ImageGone, self.db.upload_finish, OWNER, 'u', ImageChanges(), ())

    def test_a_deactivated_image_can_be_deleted(self):
        self.active('fast')
        self.images.deactivate(OWNER, self.image.id)
        self.images.delete(OWNER, self.image.id)
        self.assert_gone()

    def test_a_protected_image_is_not_deleted(self):
        self.db.image_update(ADMIN, self.image.id, ImageChanges({'protected': True}))
        for ctx in (OWNER, ADMIN):
            self.assertRaises(errors.ProtectedImage, self.images.delete, ctx, self.image.id)

    def test_others_may_not_delete_it(self):
        self.db.member_add(OWNER, self.image.id, 'friend')
        self.assertRaises(errors.ImageNotFound, self.images.delete, STRANGER, self.image.id)
        self.assertRaises(errors.Forbidden, self.images.delete, FRIEND, self.image.id)
        self.assertRaises(errors.ReadOnlyContext, self.images.delete, self.read_only(OWNER), self.image.id)

    def test_another_version_is_a_failed_precondition(self):
        self.db.image_update(ADMIN, self.image.id, ImageChanges({'name': 'x'}))
        self.assertRaises(errors.PreconditionFailed, self.images.delete, OWNER, self.image.id, 1)
        self.images.delete(OWNER, self.image.id, 2)
        self.assert_gone()

    def test_bytes_in_use_bring_the_image_back(self):
        self.active('fast', 'cold')
        self.stores.by_id['fast'].failure = errors.ObjectInUse(store='fast')
        self.assertRaises(errors.Conflict, self.images.delete, OWNER, self.image.id)
        self.assertThat(len(self.assert_back().locations), Equals(2))
        self.assertThat(self.pending(), Equals([]))

    def test_it_comes_back_in_the_status_that_it_had(self):
        self.active('fast')
        self.images.deactivate(OWNER, self.image.id)
        self.events.sent.clear()
        self.stores.by_id['fast'].failure = errors.ObjectInUse(store='fast')
        self.assertRaises(errors.Conflict, self.images.delete, OWNER, self.image.id)
        self.assert_back('deactivated')

    def test_a_store_that_is_down_brings_the_image_back(self):
        self.active('fast')
        self.stores.by_id['fast'].failure = errors.StoreUnavailable(store='fast')
        self.assertRaises(errors.StoreUnavailable, self.images.delete, OWNER, self.image.id)
        self.assert_back()
        self.stores.by_id['fast'].failure = None
        self.images.delete(OWNER, self.image.id)
        self.assertThat(self.objects('fast'), Equals([]))

    def test_a_store_that_fails_in_any_other_way_brings_it_back_too(self):
        self.active('fast')
        for failure in (errors.StoreForbidden(store='fast'), errors.StoreError(store='fast', reason='x'), OSError('x')):
            self.stores.by_id['fast'].failure = failure
            self.assertRaises(type(failure), self.images.delete, OWNER, self.image.id)
            self.assert_back()

    def test_bytes_that_are_gone_already_count_as_removed(self):
        self.active('fast')
        self.stores.by_id['fast'].objects.clear()
        self.images.delete(OWNER, self.image.id)
        self.assert_gone()
        self.assertThat(self.pending(), Equals([]))

    def test_after_one_copy_is_gone_the_rest_is_left_to_recovery(self):
        self.active('fast', 'cold')
        self.stores.by_id['cold'].failure = errors.StoreUnavailable(store='cold')
        self.images.delete(OWNER, self.image.id)
        self.assert_gone()
        self.assertThat((self.objects('fast'), self.pending()), Equals(([], ['cold'])))

    def test_a_read_only_store_keeps_its_bytes_and_the_location_is_forgotten(self):
        self.active('fast')
        self.stores.by_id['fast'].failure = errors.StoreReadOnly(store='fast')
        self.images.delete(OWNER, self.image.id)
        self.assert_gone()
        self.assertThat(self.pending(), Equals([]))

    def test_a_read_only_copy_does_not_close_the_way_back(self):
        self.active('fast', 'cold')
        self.stores.by_id['fast'].failure = errors.StoreReadOnly(store='fast')
        self.stores.by_id['cold'].failure = errors.ObjectInUse(store='cold')
        self.assertRaises(errors.Conflict, self.images.delete, OWNER, self.image.id)
        self.assertThat(len(self.assert_back().locations), Equals(2))

    def test_a_copy_in_a_store_that_is_not_configured_stays_pending(self):
        self.active('fast', 'lost')
        self.images.delete(OWNER, self.image.id)
        self.assert_gone()
        self.assertThat(self.pending(), Equals(['lost']))

    def test_recovery_finishes_what_a_crash_left(self):
        self.active('fast', 'cold')
        self.db.image_delete(OWNER, self.image.id)  # and then the process died
        for image_id, place in self.db.locations_pending_delete(0):
            self.assertThat(self.locations.erase_one(image_id, place), Equals(True))
        self.assertThat((self.objects('fast'), self.objects('cold'), self.pending()), Equals(([], [], [])))

    def test_recovery_keeps_a_copy_whose_store_is_not_configured(self):
        place = Location('dict://x/1', 'x', id=1)
        self.assertThat(self.locations.erase_one(self.image.id, place), Equals(False))

    def test_a_row_that_cannot_be_forgotten_is_left_to_recovery(self):
        self.active('fast')

        def forget(location_id):
            raise errors.DatabaseUnavailable()
        self.db.location_forget = forget
        self.images.delete(OWNER, self.image.id)
        self.assertThat((self.objects('fast'), self.pending()), Equals(([], ['fast'])))

    def test_when_recovery_was_faster_the_deletion_has_succeeded(self):
        self.active('fast')

        def delete(url):
            self.stores.by_id['fast'].objects.clear()
            for _, place in self.db.locations_pending_delete(0):
                self.db.location_forget(place.id)
            raise errors.StoreUnavailable(store='fast')
        self.stores.by_id['fast'].delete = delete
        self.images.delete(OWNER, self.image.id)
        self.assert_gone()

    def test_a_status_that_changes_meanwhile_is_read_again(self):
        self.active('fast')
        delete = self.db.image_delete

        def raced(*args, **fields):
            self.db.image_delete = delete
            self.db.image_update(ADMIN, self.image.id, ImageChanges({'status': 'deactivated'}))
            return delete(*args, **fields)
        self.db.image_delete = raced
        self.stores.by_id['fast'].failure = errors.ObjectInUse(store='fast')
        self.assertRaises(errors.Conflict, self.images.delete, OWNER, self.image.id)
        self.assertThat(self.stored(self.image.id).status, Equals('deactivated'))

    def test_who_protects_the_image_in_time_wins(self):
        get = self.db.image_get

        def raced(ctx, image_id):
            image = get(ctx, image_id)
            self.db.image_update(ADMIN, image_id, ImageChanges({'protected': True}))
            return image
        self.db.image_get = raced
        self.assertRaises(errors.ProtectedImage, self.images.delete, OWNER, self.image.id)


class ShownLocationsTest(CoreTestCase):

    def setUp(self):
        super().setUp()
        image = self.new_image(disk_format='raw', container_format='bare', visibility='community')
        self.image = self.activate(image.id, 'fast')

    def test_owner_and_administrator_see_locations_others_do_not(self):
        for ctx, count in ((OWNER, 1), (ADMIN, 1), (STRANGER, 0)):
            self.assertThat(len(self.locations.shown(ctx, self.image)), Equals(count))

    def test_of_a_deactivated_image_only_administrators_see_them(self):
        self.images.deactivate(OWNER, self.image.id)
        image = self.stored(self.image.id)
        self.assertThat((len(self.locations.shown(OWNER, image)), len(self.locations.shown(ADMIN, image))),
                        Equals((0, 1)))

    def test_the_strategy_decides_the_order(self):
        class Backwards:
            def ordered(self, locations):
                return list(reversed(locations))
        places = tuple(Location(f'dict://{name}', name) for name in 'ab')
        service = type(self.locations)(self.db, self.stores, self.enforcer, Backwards())
        image = self.image.__class__(id='x', locations=places)
        self.assertThat([one.store for one in service.ordered(image)], Equals(['b', 'a']))
        self.assertThat([one.store for one in self.locations.ordered(image)], Equals(['a', 'b']))
