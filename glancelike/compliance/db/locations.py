"""Locations of deleted images, usage, and the purge of what is long gone."""

from __future__ import annotations

import uuid

from glancelike.compliance.db.case import DbCase
from glancelike.plugin import Image, ImageQuery, Location, Usage, errors

PLACES = (Location('mem://1', 'fast', {'share': {'n': 1}}), Location('mem://2', None))


class LocationSuite(DbCase):
    """LOCATION, USAGE and PURGE."""

    def pending(self, *args) -> list[int]:
        return [place.id for _, place in self.driver.locations_pending_delete(*args)]

    def cleared(self, **fields) -> Image:
        """A deleted image whose bytes are gone."""
        image = self.deleted(**fields)
        for place in image.locations:
            self.driver.location_forget(place.id)
        return image

    # --- locations -----------------------------------------------------------------------------------------

    def test_a_location_of_a_deleted_image_is_told_whole(self):
        """LOCATION-1: the image's id, and url, store, metadata and id of the location."""
        gone = self.deleted(status='deleted', locations=PLACES)
        found = self.driver.locations_pending_delete(0)
        self.assertEqual([(gone.id, was.url, was.store, dict(was.metadata), was.id) for was in gone.locations],
                         [(image_id, place.url, place.store, dict(place.metadata), place.id)
                          for image_id, place in found])

    def test_only_images_that_are_deleted_for_good_are_told(self):
        """LOCATION-1: not those in pending_delete, and no live ones."""
        self.stored(locations=PLACES)
        self.deleted(status='pending_delete', locations=PLACES)
        self.assertEqual([], self.pending(0))

    def test_locations_come_oldest_first(self):
        """LOCATION-1: in the order of deletion; at most *limit*."""
        first, second, third = (self.stored(locations=PLACES[:1]) for _ in range(3))
        deleted = [self.driver.image_delete(self.admin, image.id) for image in (second, first, third)]
        wanted = [image.locations[0].id for image in deleted]
        self.assertEqual([wanted, wanted[:2]], [self.pending(0), self.pending(0, 2)])

    def test_a_deletion_that_is_too_young_is_not_told(self):
        """LOCATION-1: older than so many seconds."""
        self.deleted(locations=PLACES)
        self.assertEqual([], self.pending(3600))

    def test_a_forgotten_location_is_found_no_more(self):
        """LOCATION-2: the other one still is."""
        gone = self.deleted(locations=PLACES)
        self.driver.location_forget(gone.locations[0].id)
        self.assertEqual([gone.locations[1].id], self.pending(0))

    def test_forgetting_an_unknown_location_is_no_error(self):
        """LOCATION-2: never there, or forgotten before."""
        gone = self.cleared(locations=PLACES)
        self.driver.location_forget(gone.locations[0].id)
        self.driver.location_forget(2**31 - 1)

    def test_a_location_in_use_is_not_forgotten(self):
        """LOCATION-2: an active location stays."""
        image = self.stored(status='active', locations=PLACES)
        self.driver.location_forget(image.locations[0].id)
        self.assert_unchanged(image)

    # --- usage ---------------------------------------------------------------------------------------------

    def test_usage_counts_bytes_images_and_uploads_of_the_owner(self):
        """USAGE-1: size times active locations, reservations, images, and those still uploading."""
        self.stored(status='active', size=100, locations=PLACES)
        self.stored(status='active', size=7, locations=PLACES[:1])
        self.stored(status='active', size=1000)
        self.stored(status='queued')
        self.stored(status='uploading')
        self.stored(status='importing')
        self.begun(reserved=30)
        self.begun(reserved=12)
        self.assertEqual(Usage(stored_bytes=207, reserved_bytes=42, images=8, uploading=4),
                         self.driver.usage('owner-project'))

    def test_usage_leaves_out_deleted_images_and_other_owners(self):
        """USAGE-1: with either status of deletion; names of owners are compared exactly."""
        self.deleted(status='deleted', size=5, locations=PLACES)
        self.deleted(status='pending_delete', size=5, locations=PLACES)
        for owner in ('another', 'Owner-Project', 'owner-project ', None):
            self.stored(owner=owner, size=5, locations=PLACES)
        self.begun(owner='another', reserved=9)
        self.assertEqual(Usage(images=1, uploading=1), self.driver.usage('owner-project'))

    def test_the_upload_of_a_deleted_image_counts_until_it_is_settled(self):
        """USAGE-1: its bytes may still be there."""
        image, upload = self.begun(reserved=9)
        self.driver.image_delete(self.admin, image.id)
        self.assertEqual(Usage(reserved_bytes=9), self.driver.usage('owner-project'))
        self.driver.upload_abort(upload.id)
        self.assertEqual(Usage(), self.driver.usage('owner-project'))

    def test_the_cost_of_usage_does_not_grow_with_the_images_of_the_owner(self):
        """USAGE-1: a fixed number of statements."""
        self.assert_cost_of_many_images(lambda: self.driver.usage(self.owner.project_id))

    # --- purge ---------------------------------------------------------------------------------------------

    def test_purge_frees_the_id_of_an_image_that_is_long_gone(self):
        """PURGE-1: with *images* the image rows go too, and the id may be used again."""
        gone = self.cleared(tags=frozenset({'t'}), properties={'p': '1'}, locations=PLACES)
        counts = self.driver.purge(0, None, images=True)
        self.assertGreaterEqual(sum(counts.values()), 1)
        self.stored(id=gone.id)

    def test_purge_without_images_keeps_the_ids_taken(self):
        """PURGE-1: only child rows go."""
        gone = self.cleared(tags=frozenset({'t'}), properties={'p': '1'})
        self.driver.purge(0, None)
        self.assertRaises(errors.ImageExists, self.stored, id=gone.id)

    def test_purge_leaves_live_images_alone(self):
        """PURGE-1: with all that hangs on them, what they lost before included."""
        image = self.stored(tags=frozenset({'t'}), properties={'p': '1'}, locations=PLACES)
        member = self.driver.member_add(self.owner, image.id, 'm')
        self.cleared()
        self.driver.purge(0, None, images=True)
        self.assert_unchanged(image)
        self.assertEqual([member], self.driver.member_list(self.owner, image.id))

    def test_purge_leaves_young_deletions_alone(self):
        """PURGE-1: they can be restored with what they had."""
        image = self.stored(tags=frozenset({'t'}), properties={'p': '1'})
        self.driver.image_delete(self.admin, image.id)
        counts = self.driver.purge(1, None, images=True)
        self.assertEqual(0, sum(counts.values()))
        back = self.driver.image_restore(self.admin, image.id, 'active')
        self.assertEqual({'p': '1'}, dict(back.properties))

    def test_purge_leaves_an_image_whose_bytes_must_still_go(self):
        """PURGE-1: deleted or pending_delete; its locations are found afterwards, it can be restored whole."""
        for status in ('deleted', 'pending_delete'):
            gone = self.deleted(status=status, properties={'p': '1'}, locations=PLACES)
            self.driver.purge(0, None, images=True)
            back = self.driver.image_restore(self.admin, gone.id, 'active')
            self.assertEqual(({'p': '1'}, 2), (dict(back.properties), len(back.locations)))

    def test_purge_leaves_an_image_with_an_unsettled_upload(self):
        """PURGE-1: recovery needs it."""
        image, upload = self.begun()
        self.driver.image_delete(self.admin, image.id)
        self.driver.purge(0, None, images=True)
        self.assertEqual(upload, self.driver.upload_of_image(image.id))
        self.driver.upload_abort(upload.id)
        self.driver.purge(0, None, images=True)
        self.stored(id=image.id)

    def test_purge_removes_no_more_rows_than_allowed_and_goes_on_next_time(self):
        """PURGE-1: at most *max_rows* in each call; in the end it finds nothing and every id is free."""
        gone = [self.cleared(tags=frozenset({'t', 'u'}), properties={'p': '1', 'q': '2'}) for _ in range(2)]
        removed = [sum(self.driver.purge(0, 3, images=True).values()) for _ in range(12)]
        self.assertLessEqual(max(removed), 3)
        self.assertGreaterEqual(sum(removed), 2)
        self.assertEqual(0, removed[-1])
        for image in gone:
            self.stored(id=image.id)

    def test_a_purge_that_stops_half_way_leaves_no_rows_without_their_image(self):
        """PURGE-2: whenever an id is free again, the image that takes it begins with nothing."""
        gone = self.deleted(tags=frozenset('abc'), properties={name: '1' for name in 'pqr'})
        for _ in range(20):
            self.driver.purge(0, 1, images=True)
            try:
                again = self.stored(id=gone.id)
            except errors.ImageExists:
                continue
            self.assertEqual((frozenset(), {}), (again.tags, dict(again.properties)))
            self.assertEqual([], self.driver.member_list(self.admin, gone.id))
            return
        self.fail('purge never removed the image')

    def test_an_id_used_again_begins_with_nothing(self):
        """PURGE-2: no member, tag, property or location of the earlier image."""
        image = self.stored(visibility='shared', tags=frozenset({'t'}), properties={'p': '1'}, locations=PLACES)
        self.driver.member_add(self.owner, image.id, 'm', status='accepted')
        for place in self.driver.image_delete(self.owner, image.id).locations:
            self.driver.location_forget(place.id)
        self.driver.purge(0, None, images=True)
        again = self.stored(id=image.id, visibility='shared')
        self.assertEqual((frozenset(), {}, ()), (again.tags, dict(again.properties), again.locations))
        self.assertIsNone(self.driver.member_status(image.id, 'm'))
        self.assertEqual([], self.driver.image_list(self.stranger, ImageQuery()))

    def test_an_empty_database_is_purged_without_complaint(self):
        """PURGE-1: nothing to do."""
        self.assertEqual(0, sum(self.driver.purge(0, 100, images=True).values()))
        self.assertRaises(errors.ImageNotFound, self.get, str(uuid.uuid4()))
