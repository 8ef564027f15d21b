"""Locations, staged and given up ones too; usage, and the purge of what is long gone."""

from __future__ import annotations

import dataclasses
import uuid

from glancelike.compliance.db.case import DbCase
from glancelike.plugin import Image, ImageChanges, ImageQuery, Location, Usage, errors

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
        """LOCATION-1: not those in pending_delete, and no live ones; nor what is staged for these."""
        self.stored(locations=PLACES)
        self.deleted(status='pending_delete', locations=PLACES)
        self.staged('mem://s1')
        image = self.staged('mem://s2')
        self.driver.image_delete(self.admin, image.id, status='pending_delete')
        self.assertEqual([], self.pending(0))

    def test_what_a_living_image_gave_up_is_told_whole(self):
        """LOCATION-1: pending_delete ones of images that live."""
        image = self.stored(locations=PLACES)
        self.driver.locations_set(self.owner, image.id, image.locations[1:])
        [(image_id, place)] = self.driver.locations_pending_delete(0)
        self.assertEqual((image.id, dataclasses.replace(image.locations[0], status='pending_delete')),
                         (image_id, place))

    def test_what_was_staged_for_a_deleted_image_is_told_whole(self):
        """LOCATION-1: with its status."""
        image = self.staged('mem://s1')
        wanted = self.driver.location_staged(image.id)
        self.driver.image_delete(self.admin, image.id)
        self.assertEqual([(image.id, wanted)], self.driver.locations_pending_delete(0))

    def test_what_was_given_up_comes_in_its_place_among_the_deleted(self):
        """LOCATION-1: oldest first, whether given up or deleted, staged or not; at most *limit* of all."""
        image, second, third = self.stored(locations=PLACES), self.stored(locations=PLACES[:1]), self.staged('mem://s1')
        staged = self.driver.location_staged(third.id).id
        self.driver.locations_set(self.owner, image.id, image.locations[1:])
        self.driver.image_delete(self.admin, third.id)
        self.driver.image_delete(self.admin, second.id)
        self.driver.image_delete(self.admin, image.id)
        wanted = [image.locations[0].id, staged, second.locations[0].id, image.locations[1].id]
        self.assertEqual([wanted, wanted[:2]], [self.pending(0), self.pending(0, 2)])

    def test_locations_come_oldest_first(self):
        """LOCATION-1: in the order of deletion; at most *limit*."""
        first, second, third = (self.stored(locations=PLACES[:1]) for _ in range(3))
        deleted = [self.driver.image_delete(self.admin, image.id) for image in (second, first, third)]
        wanted = [image.locations[0].id for image in deleted]
        self.assertEqual([wanted, wanted[:2]], [self.pending(0), self.pending(0, 2)])

    def test_a_deletion_that_is_too_young_is_not_told(self):
        """LOCATION-1: older than so many seconds, and so with what was given up and what was staged."""
        self.deleted(locations=PLACES)
        self.driver.image_delete(self.admin, self.staged('mem://s1').id)
        self.driver.locations_set(self.admin, self.stored(locations=PLACES).id, ())
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

    def test_what_is_staged_for_a_living_image_is_not_forgotten(self):
        """LOCATION-2: it stays until the image is deleted; then it may go."""
        image = self.staged('mem://s1')
        staged = self.driver.location_staged(image.id)
        self.driver.location_forget(staged.id)
        self.assertEqual(staged, self.driver.location_staged(image.id))
        self.driver.image_delete(self.admin, image.id)
        self.driver.location_forget(staged.id)
        self.assertEqual([], self.pending(0))

    def test_what_a_living_image_gave_up_is_forgotten(self):
        """LOCATION-2: and the image is as it was."""
        image = self.stored(locations=PLACES)
        kept = self.driver.locations_set(self.owner, image.id, image.locations[1:])
        self.driver.location_forget(image.locations[0].id)
        self.assertEqual([], self.pending(0))
        self.assert_unchanged(kept)

    # --- staged --------------------------------------------------------------------------------------------

    def test_the_newest_staged_location_is_found(self):
        """LOCATION-3: whole, and the last that was added."""
        image = self.staged('mem://s1', 'mem://s2')
        found = self.driver.location_staged(image.id)
        self.assertEqual(Location('mem://s2', 'staging', {'n': 1}, 'staged', found.id), found)
        self.assertIsNotNone(found.id)

    def test_an_image_without_staged_data_has_no_staged_location(self):
        """LOCATION-3: None; so for an absent image, and for one that is deleted."""
        gone = self.staged('mem://s1')
        self.driver.image_delete(self.admin, gone.id)
        for image_id in (self.stored(locations=PLACES).id, gone.id, str(uuid.uuid4()), ''):
            self.assertIsNone(self.driver.location_staged(image_id))

    # --- set -----------------------------------------------------------------------------------------------

    def test_locations_are_added_kept_and_given_up_in_one_write(self):
        """LOCATION-4: one keeps its row and gets the given metadata, one is new, one is pending_delete."""
        image = self.stored(status='queued', name='n', locations=(*PLACES, Location('mem://3', 'cold')))
        first, second, third = image.locations
        wanted = [Location('mem://4', 'new', {'a': 'é'}), dataclasses.replace(second, metadata={'m': [1]}), first]
        done = self.driver.locations_set(self.owner, image.id, wanted, ImageChanges({'status': 'active', 'size': 5}))
        new = done.locations[0]
        self.assertNotIn(new.id, (None, first.id, second.id, third.id))
        self.assert_same_image(dataclasses.replace(
            image, status='active', size=5, version=2, updated_at=done.updated_at,
            locations=(dataclasses.replace(wanted[0], id=new.id), wanted[1], first)), done)
        self.assert_unchanged(done)
        self.assertEqual([third.id], self.pending(0))

    def test_locations_are_in_the_order_that_was_asked_for_last(self):
        """LOCATION-4: again and again; what is added later by an upload follows."""
        image = self.stored(status='active', locations=[Location(f'mem://{n}', 's') for n in range(4)])
        places = image.locations
        for order in ((3, 1, 0, 2), (0, 1, 2, 3), (2, 3, 1, 0)):
            wanted = tuple(places[n] for n in order)
            self.assertEqual(wanted, self.driver.locations_set(self.owner, image.id, wanted).locations)
            self.assertEqual(wanted, self.get(image.id).locations)
        [listed] = self.driver.image_list(self.owner, ImageQuery())
        self.assertEqual(wanted, listed.locations)
        upload = self.lease(image)
        self.driver.upload_begin(self.owner, upload, from_status='active')
        self.driver.upload_finish(self.owner, upload.id, ImageChanges(), [Location('mem://9', 's')])
        self.assertEqual(['mem://2', 'mem://3', 'mem://1', 'mem://0', 'mem://9'],
                         [place.url for place in self.get(image.id).locations])

    def test_all_locations_may_be_taken_away(self):
        """LOCATION-4: no location is left, all are found as pending_delete; staged ones stay."""
        image = self.staged('mem://s1', locations=PLACES)
        done = self.driver.locations_set(self.owner, image.id, ())
        self.assertEqual(((), [place.id for place in image.locations]), (done.locations, sorted(self.pending(0))))
        self.assertIsNotNone(self.driver.location_staged(image.id))

    def test_setting_locations_fails_as_an_update_does(self):
        """LOCATION-5: another status, another version, not readable, absent, deleted; nothing changed."""
        image = self.stored(status='active', visibility='private', locations=PLACES)
        for error, ctx, image_id, expected in (
                (errors.StatusConflict, self.owner, image.id, {'from_status': 'queued'}),
                (errors.VersionConflict, self.owner, image.id, {'if_version': 7}),
                (errors.ImageNotFound, self.stranger, image.id, {}),
                (errors.ImageNotFound, self.admin, self.deleted().id, {}),
                (errors.ImageNotFound, self.admin, str(uuid.uuid4()), {})):
            self.assertRaises(error, self.driver.locations_set, ctx, image_id, (), ImageChanges({'name': 'x'}),
                              **expected)
        self.assert_unchanged(image)
        self.assertEqual([], self.pending(0))

    def test_setting_locations_waits_until_the_upload_is_settled(self):
        """LOCATION-5: StatusConflict, nothing changed; then it is done."""
        image, upload = self.begun()
        self.assertRaises(errors.StatusConflict, self.driver.locations_set, self.owner, image.id, PLACES)
        self.assert_unchanged(image)
        self.driver.upload_abort(upload.id)
        self.assertEqual(2, len(self.driver.locations_set(self.owner, image.id, PLACES).locations))

    def test_an_id_that_is_no_active_location_of_the_image_is_refused(self):
        """LOCATION-5: Invalid for another image's, a given up one, a staged one, one named twice; nothing changed."""
        image = self.staged('mem://s1', locations=PLACES)
        image = self.driver.locations_set(self.owner, image.id, image.locations)
        given_up = self.stored(locations=PLACES)
        self.driver.locations_set(self.owner, given_up.id, ())
        other = self.stored(locations=PLACES)
        for ids in ([other.locations[0].id], [given_up.locations[0].id], [self.driver.location_staged(image.id).id],
                    [image.locations[0].id] * 2, [2**31 - 1]):
            places = [Location('mem://1', 's', id=place_id) for place_id in ids]
            self.assertRaises(errors.Invalid, self.driver.locations_set, self.owner, image.id, places)
        self.assert_unchanged(image)
        self.assertRaises(errors.Invalid, self.driver.locations_set, self.owner, given_up.id, given_up.locations)

    def test_of_several_that_set_locations_from_one_version_exactly_one_wins(self):
        """LOCATION-5: what is stored is the winner's."""
        image = self.stored(locations=PLACES)
        results = self.race(*(lambda n=n: self.driver.locations_set(
            self.owner, image.id, [*image.locations, Location(f'mem://{n}', 's')], if_version=1) for n in range(4)))
        self.assert_one_winner(results, errors.VersionConflict)
        self.assert_unchanged(next(result for result in results if isinstance(result, Image)))

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

    def test_usage_counts_what_is_staged_once_for_each_image(self):
        """USAGE-1: the sizes of images that have a staged location, of this owner, not deleted."""
        self.staged('mem://s1', 'mem://s2', size=100)
        self.staged('mem://s3', size=7)
        self.staged('mem://s4')
        self.staged('mem://s5', size=1000, owner='another')
        self.stored(size=50, locations=PLACES[:1])
        self.driver.image_delete(self.admin, self.staged('mem://s6', size=1000).id)
        self.assertEqual(Usage(stored_bytes=50, images=4, uploading=3, staged_bytes=107),
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

    def test_purge_leaves_an_image_whose_staged_bytes_must_still_go(self):
        """PURGE-1: they are found afterwards."""
        image = self.staged('mem://s1', properties={'p': '1'})
        self.driver.image_delete(self.admin, image.id)
        self.driver.purge(0, None, images=True)
        self.assertEqual(['mem://s1'], [place.url for _, place in self.driver.locations_pending_delete(0)])
        self.assertEqual({'p': '1'}, dict(self.driver.image_restore(self.admin, image.id, 'uploading').properties))

    def test_purge_leaves_what_a_living_image_gave_up(self):
        """PURGE-1: its bytes must still go."""
        image = self.stored(locations=PLACES)
        self.driver.locations_set(self.owner, image.id, ())
        self.driver.purge(0, None, images=True)
        self.assertEqual([place.id for place in image.locations], sorted(self.pending(0)))

    def test_purge_leaves_tasks(self):
        """PURGE-1: they are no rows of an image."""
        gone = self.cleared()
        task = self.driver.task_create(self.admin, self.task(image_id=gone.id))
        self.driver.purge(0, None, images=True)
        self.assertEqual(task, self.driver.task_get(self.admin, task.id))

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
