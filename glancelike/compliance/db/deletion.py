"""Soft deletion of images, and its undoing."""

from __future__ import annotations

import dataclasses
import uuid

from glancelike.compliance.db.case import DbCase
from glancelike.plugin import Image, ImageQuery, Location, errors


class DeletionSuite(DbCase):
    """IMAGE-DELETE, IMAGE-RESTORE, and ALL-7: what is deleted is found by no method."""

    def test_delete_returns_the_image_as_deleted_with_its_locations(self):
        """IMAGE-DELETE-1: deleted, deleted_at, status, and the locations that were active."""
        image = self.stored(status='active', locations=(Location('mem://1', 's'), Location('mem://2', 's')))
        gone = self.driver.image_delete(self.owner, image.id)
        self.assertEqual((True, 'deleted'), (gone.deleted, gone.status))
        self.assertGreaterEqual(gone.deleted_at, image.updated_at)
        self.assertEqual([place.id for place in image.locations], [place.id for place in gone.locations])

    def test_delete_leaves_every_location_to_be_cleared(self):
        """IMAGE-DELETE-1: the rows are pending_delete now and found as such."""
        image = self.stored(status='active', locations=(Location('mem://1', 's'), Location('mem://2', 's')))
        self.driver.image_delete(self.owner, image.id)
        found = self.driver.locations_pending_delete(0)
        self.assertEqual([(image.id, place.id, 'pending_delete') for place in image.locations],
                         [(image_id, place.id, place.status) for image_id, place in found])

    def test_delete_returns_and_leaves_what_was_staged(self):
        """IMAGE-DELETE-1: after what was active; it stays staged, and is found all the same."""
        image = self.staged('mem://s1', 'mem://s2', locations=(Location('mem://1', 's'),))
        gone = self.driver.image_delete(self.owner, image.id)
        told = [('mem://1', 'pending_delete'), ('mem://s1', 'staged'), ('mem://s2', 'staged')]
        self.assertEqual(told, [(place.url, place.status) for place in gone.locations])
        found = self.driver.locations_pending_delete(0)
        self.assertEqual({(place.id, place.status) for place in gone.locations},
                         {(place.id, place.status) for _, place in found})

    def test_delete_does_not_return_what_was_given_up_before(self):
        """IMAGE-DELETE-1: only what was active or staged."""
        image = self.stored(status='active', locations=(Location('mem://1', 's'), Location('mem://2', 's')))
        self.driver.locations_set(self.owner, image.id, image.locations[:1])
        gone = self.driver.image_delete(self.owner, image.id)
        self.assertEqual(['mem://1'], [place.url for place in gone.locations])

    def test_delete_may_leave_the_image_for_the_scrubber(self):
        """IMAGE-DELETE-1: the status may be pending_delete."""
        image = self.stored(status='active')
        gone = self.driver.image_delete(self.owner, image.id, status='pending_delete')
        self.assertEqual((True, 'pending_delete'), (gone.deleted, gone.status))

    def test_a_deleted_image_is_found_by_no_method(self):
        """ALL-7: not by get, list, count, tags, members or usage; with either status."""
        for status in ('deleted', 'pending_delete'):
            image = self.stored(visibility='public', tags=frozenset({'t'}), size=5,
                                locations=(Location('mem://1', 's'),))
            self.driver.member_add(self.owner, image.id, 'm')
            self.driver.image_delete(self.owner, image.id, status=status)
            missing = errors.ImageNotFound
            self.assertRaises(missing, self.driver.image_get, self.admin, image.id)
            self.assertRaises(missing, self.change, image.id, name='x')
            self.assertRaises(missing, self.driver.image_delete, self.admin, image.id)
            self.assertRaises(missing, self.driver.tag_add, self.admin, image.id, 'u')
            self.assertRaises(missing, self.driver.tag_remove, self.admin, image.id, 't')
            self.assertRaises(missing, self.driver.member_add, self.admin, image.id, 'n')
            self.assertRaises(missing, self.driver.member_update, self.admin, image.id, 'm', 'accepted')
            self.assertRaises(missing, self.driver.member_remove, self.admin, image.id, 'm')
            self.assertRaises(errors.MemberNotFound, self.driver.member_get, self.admin, image.id, 'm')
            self.assertEqual([], self.driver.member_list(self.admin, image.id))
            self.assertIsNone(self.driver.member_status(image.id, 'm'))
            self.assertEqual([], self.driver.image_list(self.admin, ImageQuery()))
            self.assertEqual(0, self.driver.image_count(self.admin, ImageQuery(), 10))
            self.assertEqual(0, self.driver.usage(self.owner.project_id).images)

    def test_delete_from_another_status_or_version_changes_nothing(self):
        """IMAGE-DELETE-2: StatusConflict, VersionConflict; the image is still there."""
        image = self.stored(status='active', locations=(Location('mem://1', 's'),))
        self.assertRaises(errors.StatusConflict, self.driver.image_delete, self.owner, image.id,
                          from_status='queued')
        self.assertRaises(errors.VersionConflict, self.driver.image_delete, self.owner, image.id,
                          if_version=2)
        self.assert_unchanged(image)

    def test_delete_of_what_cannot_be_read_is_not_found(self):
        """IMAGE-DELETE-2: absent, deleted, or of a stranger."""
        image = self.stored(visibility='private')
        for ctx, image_id in ((self.admin, str(uuid.uuid4())), (self.admin, self.deleted().id),
                              (self.stranger, image.id)):
            self.assertRaises(errors.ImageNotFound, self.driver.image_delete, ctx, image_id)
        self.assert_unchanged(image)

    def test_delete_of_a_protected_image_changes_nothing(self):
        """IMAGE-DELETE-2: ProtectedImage, for an administrator too."""
        image = self.stored(protected=True)
        for ctx in (self.owner, self.admin):
            self.assertRaises(errors.ProtectedImage, self.driver.image_delete, ctx, image.id)
        self.assert_unchanged(image)

    def test_of_several_deletes_exactly_one_wins(self):
        """IMAGE-DELETE-2: the others find no image."""
        image = self.stored(status='active')
        results = self.race(*[lambda: self.driver.image_delete(self.owner, image.id)] * 4)
        self.assert_one_winner(results, errors.ImageNotFound)

    def test_of_protecting_and_deleting_at_once_one_wins(self):
        """IMAGE-DELETE-2: whoever sets protected in time wins; never both."""
        for _ in range(5):
            image = self.stored()
            protect, delete = self.race(lambda i=image: self.change(i.id, protected=True),
                                        lambda i=image: self.driver.image_delete(self.owner, i.id))
            if isinstance(protect, Image):
                self.assertIsInstance(delete, errors.ProtectedImage)
            else:
                self.assertIsInstance(protect, errors.ImageNotFound)
                self.assertIsInstance(delete, Image)

    def test_an_upload_outlives_the_deletion_of_its_image(self):
        """IMAGE-DELETE-3: recovery can still find what it must clear."""
        image, upload = self.begun()
        self.driver.image_delete(self.owner, image.id)
        self.assertEqual(upload, self.driver.upload_of_image(image.id))

    # --- restore -------------------------------------------------------------------------------------------

    def test_restore_brings_everything_back(self):
        """IMAGE-RESTORE-2: attributes, properties, tags, locations in their order, members; as asked."""
        image = self.driver.image_create(self.admin, dataclasses.replace(self.full_image(), protected=False))
        self.driver.image_delete(self.owner, image.id)
        back = self.driver.image_restore(self.owner, image.id, 'deactivated')
        self.assert_same_image(dataclasses.replace(image, status='deactivated', version=back.version,
                                                   updated_at=back.updated_at), back)
        self.assert_unchanged(back)

    def test_restore_brings_the_members_back(self):
        """IMAGE-RESTORE-2: exactly those that it had when it was deleted, as they were; none removed before."""
        image = self.stored()
        for member in ('m1', 'm2', 'm3'):
            self.driver.member_add(self.owner, image.id, member)
        self.driver.member_update(self.owner, image.id, 'm2', 'accepted')
        self.driver.member_remove(self.owner, image.id, 'm1')
        before = self.driver.member_list(self.owner, image.id)
        self.driver.image_delete(self.owner, image.id)
        self.driver.image_restore(self.owner, image.id, 'active')
        self.assertEqual(before, self.driver.member_list(self.owner, image.id))

    def test_a_restored_image_is_found_again(self):
        """IMAGE-RESTORE-2: by list and usage, and its locations are not to be cleared any more."""
        image = self.stored(status='active', size=10, locations=(Location('mem://1', 's'),))
        self.driver.image_delete(self.owner, image.id, status='pending_delete')
        self.driver.image_restore(self.owner, image.id, 'active')
        self.assertEqual([image.id], [found.id for found in self.driver.image_list(self.owner, ImageQuery())])
        self.assertEqual(10, self.driver.usage(self.owner.project_id).stored_bytes)
        self.assertEqual([], self.driver.locations_pending_delete(0))

    def test_a_restored_image_can_be_deleted_again(self):
        """IMAGE-RESTORE-2: the second deletion finds its locations like the first."""
        image = self.stored(status='active', locations=(Location('mem://1', 's'),))
        self.driver.image_delete(self.owner, image.id)
        self.driver.image_restore(self.owner, image.id, 'active')
        self.driver.image_delete(self.owner, image.id)
        self.assertEqual(1, len(self.driver.locations_pending_delete(0)))

    def test_restore_brings_no_location_back_that_had_been_given_up_before(self):
        """IMAGE-RESTORE-2: it is still to be cleared, and has no part in the image."""
        image = self.stored(status='active', locations=(Location('mem://1', 's'), Location('mem://2', 's')))
        kept = self.driver.locations_set(self.owner, image.id, image.locations[1:])
        self.driver.image_delete(self.owner, image.id)
        back = self.driver.image_restore(self.owner, image.id, 'active')
        self.assertEqual(kept.locations, back.locations)
        self.assert_unchanged(back)
        self.assertEqual([image.locations[0].id], [place.id for _, place in self.driver.locations_pending_delete(0)])

    def test_restore_brings_staged_locations_back_as_such(self):
        """IMAGE-RESTORE-2: found by location_staged again, and no longer to be cleared."""
        image = self.staged('mem://s1')
        before = self.driver.location_staged(image.id)
        self.driver.image_delete(self.owner, image.id)
        back = self.driver.image_restore(self.owner, image.id, 'uploading')
        self.assertEqual((before, ()), (self.driver.location_staged(image.id), back.locations))
        self.assertEqual([], self.driver.locations_pending_delete(0))

    def test_an_image_can_be_restored_though_a_copy_that_it_gave_up_is_gone(self):
        """IMAGE-RESTORE-2: what was forgotten before or after the deletion had no part in it."""
        for forgotten_first in (True, False):
            image = self.stored(status='active', locations=(Location('mem://1', 's'), Location('mem://2', 's')))
            self.driver.locations_set(self.owner, image.id, image.locations[1:])
            steps = [lambda i=image: self.driver.location_forget(i.locations[0].id),
                     lambda i=image: self.driver.image_delete(self.owner, i.id)]
            for step in steps if forgotten_first else reversed(steps):
                step()
            back = self.driver.image_restore(self.owner, image.id, 'active')
            self.assertEqual(image.locations[1:], back.locations)

    def test_restore_of_a_live_or_absent_image_is_not_found(self):
        """IMAGE-RESTORE-1: there is no deleted image of that id."""
        image = self.stored()
        for image_id in (image.id, str(uuid.uuid4())):
            self.assertRaises(errors.ImageNotFound, self.driver.image_restore, self.admin, image_id, 'active')
        self.assert_unchanged(image)

    def test_an_image_that_lost_a_copy_cannot_be_restored(self):
        """IMAGE-RESTORE-1: location_forget was called for one of two locations; the image stays deleted."""
        gone = self.deleted(locations=(Location('mem://1', 's'), Location('mem://2', 's')))
        self.driver.location_forget(gone.locations[0].id)
        self.assertRaises(errors.ImageNotFound, self.driver.image_restore, self.admin, gone.id, 'active')
        self.assertRaises(errors.ImageNotFound, self.driver.image_get, self.admin, gone.id)
