"""Uploads: who may write an image's bytes, and what is reserved for them meanwhile."""

from __future__ import annotations

import dataclasses
import uuid

from glancelike.compliance.db.case import DbCase
from glancelike.plugin import Image, ImageChanges, Location, errors

STORED = ImageChanges({'status': 'active', 'size': 10, 'checksum': 'c' * 32, 'os_hash_algo': 'sha512',
                       'os_hash_value': 'd' * 128, 'virtual_size': 20})
PLACE = Location('mem://1', 'store-1', {'n': 1})


class UploadSuite(DbCase):
    """UPLOAD-1 to UPLOAD-14."""

    def begin(self, image: Image, **fields) -> Image:
        return self.driver.upload_begin(self.owner, self.lease(image, **fields))

    def reserved(self, owner: str = 'owner-project') -> int:
        return self.driver.usage(owner).reserved_bytes

    # --- begin ---------------------------------------------------------------------------------------------

    def test_begin_moves_the_image_and_stores_the_lease(self):
        """UPLOAD-1: the image is saving, the lease as given, its times set."""
        image = self.stored(properties={'p': '1'}, tags=frozenset({'t'}))
        lease = self.lease(image, reserved=7)
        begun = self.driver.upload_begin(self.owner, lease)
        self.assert_same_image(dataclasses.replace(image, status='saving', version=begun.version,
                                                   updated_at=begun.updated_at), begun)
        self.assert_unchanged(begun)
        found = self.driver.upload_of_image(image.id)
        self.assertEqual(dataclasses.replace(lease, started_at=found.started_at, heartbeat_at=found.heartbeat_at),
                         found)
        self.assertEqual(found.started_at, found.heartbeat_at)

    def test_begin_may_start_from_and_lead_to_other_statuses(self):
        """UPLOAD-1: from_status and to_status are the caller's."""
        image = self.stored(status='importing')
        begun = self.driver.upload_begin(self.owner, self.lease(image), from_status='importing',
                                         to_status='uploading')
        self.assertEqual('uploading', begun.status)

    def test_begin_from_another_status_changes_nothing(self):
        """UPLOAD-1: StatusConflict; the image and its version stay, there is no lease."""
        image = self.stored(status='active')
        self.assertRaises(errors.StatusConflict, self.begin, image)
        self.assert_unchanged(image)
        self.assertIsNone(self.driver.upload_of_image(image.id))

    def test_of_several_uploads_of_one_image_one_begins(self):
        """UPLOAD-1: the lease is the winner's."""
        for _ in range(3):
            image = self.stored()
            leases = [self.lease(image) for _ in range(5)]
            results = self.race(*(lambda lease=lease: self.driver.upload_begin(self.owner, lease)
                                  for lease in leases))
            self.assert_one_winner(results, errors.StatusConflict)
            winner = next(lease for lease, result in zip(leases, results, strict=True)
                          if isinstance(result, Image))
            self.assertEqual(winner.id, self.driver.upload_of_image(image.id).id)

    def test_begin_on_what_cannot_be_read_is_not_found(self):
        """UPLOAD-2: absent, deleted, or of a stranger; there is no lease."""
        image = self.stored(visibility='private')
        for ctx, target in ((self.admin, Image(id=str(uuid.uuid4()))), (self.admin, self.deleted()),
                            (self.stranger, image)):
            self.assertRaises(errors.ImageNotFound, self.driver.upload_begin, ctx, self.lease(target))
            self.assertIsNone(self.driver.upload_of_image(target.id))

    def test_begin_waits_until_the_earlier_upload_is_settled(self):
        """UPLOAD-3: StatusConflict although the image is queued again; then, settled, it begins."""
        image, upload = self.begun()
        queued = self.change(image.id, status='queued')
        self.assertRaises(errors.StatusConflict, self.begin, queued)
        self.assertEqual(upload, self.driver.upload_of_image(image.id))
        self.assert_unchanged(queued)
        self.driver.upload_abort(upload.id)
        self.assertEqual('saving', self.begin(queued).status)

    # --- heartbeat -----------------------------------------------------------------------------------------

    def test_a_heartbeat_renews_the_lease(self):
        """UPLOAD-4: heartbeat_at moves, nothing else."""
        image, upload = self.begun()
        self.assertIs(True, self.driver.upload_heartbeat(upload.id))
        after = self.driver.upload_of_image(image.id)
        self.assertGreater(after.heartbeat_at, upload.heartbeat_at)
        self.assertEqual(dataclasses.replace(upload, heartbeat_at=after.heartbeat_at), after)

    def test_a_lease_that_is_settled_cannot_be_renewed(self):
        """UPLOAD-4: False after finish, after abort, after a take-over, and for an unknown id."""
        finished, aborted, taken = (self.begun()[1] for _ in range(3))
        self.driver.upload_finish(self.owner, finished.id, STORED, [PLACE])
        self.driver.upload_abort(aborted.id)
        self.driver.upload_take_over(taken, str(uuid.uuid4()), 'node-2')
        for upload_id in (finished.id, aborted.id, taken.id, str(uuid.uuid4())):
            self.assertIs(False, self.driver.upload_heartbeat(upload_id))

    # --- reserve -------------------------------------------------------------------------------------------

    def test_a_reservation_is_a_total_and_not_added_up(self):
        """UPLOAD-5: reserving 10, then 30, then 20 bytes leaves 20 reserved."""
        _, upload = self.begun()
        for size in (10, 30, 20):
            self.driver.upload_reserve(upload.id, size, 100)
            self.assertEqual(size, self.reserved())

    def test_a_reservation_up_to_the_limit_is_made_and_one_byte_more_is_not(self):
        """UPLOAD-5: the limit itself is not too much; a refused reservation stays as it was."""
        _, upload = self.begun()
        self.driver.upload_reserve(upload.id, 100, 100)
        self.assertRaises(errors.QuotaExceeded, self.driver.upload_reserve, upload.id, 101, 100)
        self.assertEqual(100, self.reserved())

    def test_without_a_limit_anything_is_reserved(self):
        """UPLOAD-5: limit None."""
        _, upload = self.begun()
        self.driver.upload_reserve(upload.id, 2**62, None)
        self.assertEqual(2**62, self.reserved())

    def test_what_is_stored_counts_against_the_limit_once_for_each_location(self):
        """UPLOAD-5: 30 bytes in two places leave 40 of 100; deleted images and other owners take nothing."""
        self.stored(status='active', size=30, locations=(PLACE, PLACE))
        self.deleted(status='pending_delete', size=1000, locations=(PLACE,))
        self.stored(owner='another', size=1000, locations=(PLACE,))
        _, upload = self.begun()
        self.assertRaises(errors.QuotaExceeded, self.driver.upload_reserve, upload.id, 41, 100)
        self.driver.upload_reserve(upload.id, 40, 100)

    def test_reservations_of_other_uploads_count_against_the_limit(self):
        """UPLOAD-5: those of the same owner, not those of others."""
        (_, first), (_, second) = self.begun(), self.begun()
        _, foreign = self.begun(owner='another')
        self.driver.upload_reserve(foreign.id, 1000, None)
        self.driver.upload_reserve(first.id, 60, 100)
        self.assertRaises(errors.QuotaExceeded, self.driver.upload_reserve, second.id, 41, 100)
        self.driver.upload_reserve(second.id, 40, 100)
        self.assertEqual(100, self.reserved())

    def test_callers_at_once_do_not_pass_the_limit_of_bytes(self):
        """UPLOAD-5: of five reservations of 10 bytes exactly three fit into 35."""
        for n in range(3):
            owner = f'owner-{n}'
            uploads = [self.begun(owner=owner)[1] for _ in range(5)]
            results = self.race(*(lambda upload=upload: self.driver.upload_reserve(upload.id, 10, 35)
                                  for upload in uploads))
            self.assertEqual((3, 30), (results.count(None), self.reserved(owner)), results)

    def test_a_reservation_without_the_lease_is_refused(self):
        """UPLOAD-6: StatusConflict after abort, take-over, and for an unknown id."""
        aborted, taken = (self.begun()[1] for _ in range(2))
        self.driver.upload_abort(aborted.id)
        self.driver.upload_take_over(taken, str(uuid.uuid4()), 'node-2')
        for upload_id in (aborted.id, taken.id, str(uuid.uuid4())):
            self.assertRaises(errors.StatusConflict, self.driver.upload_reserve, upload_id, 1, None)
        self.assertEqual(0, self.reserved())

    def test_the_cost_of_a_reservation_does_not_grow_with_the_images_of_the_owner(self):
        """UPLOAD-7: no statement for each image."""
        _, upload = self.begun()
        self.assert_cost_of_many_images(lambda: self.driver.upload_reserve(upload.id, 1, 10**6))

    # --- finish --------------------------------------------------------------------------------------------

    def test_finish_stores_changes_and_locations_and_ends_the_lease(self):
        """UPLOAD-14: all of it is there at once, after the locations that the image had."""
        image = self.stored(locations=(Location('mem://0', 's'),), properties={'p': '1'})
        self.begin(image, reserved=50)
        upload = self.driver.upload_of_image(image.id)
        done = self.driver.upload_finish(self.owner, upload.id, STORED, [PLACE, Location('mem://2', None)])
        self.assert_unchanged(done)
        self.assertEqual(['mem://0', 'mem://1', 'mem://2'], [place.url for place in done.locations])
        self.assertEqual(('active', 10, 20, 'c' * 32), (done.status, done.size, done.virtual_size, done.checksum))
        self.assertEqual({'p': '1'}, dict(done.properties))
        self.assertIsNone(self.driver.upload_of_image(image.id))
        self.assertEqual((20 + 10, 0), (self.driver.usage(image.owner).stored_bytes, self.reserved()))

    def test_finish_grows_the_version(self):
        """IMAGE-UPDATE-2: upload_begin and upload_finish do as updates do."""
        image, upload = self.begun()
        done = self.driver.upload_finish(self.owner, upload.id, STORED, [PLACE])
        self.assertEqual((2, 3), (image.version, done.version))
        self.assertGreater(done.updated_at, image.updated_at)

    def test_finish_does_not_ask_whether_the_caller_still_reads_the_image(self):
        """UPLOAD-14: the right to read was asked for at the beginning."""
        image, upload = self.begun()
        self.change(image.id, owner='another', visibility='private')
        self.assertEqual('active', self.driver.upload_finish(self.owner, upload.id, STORED, [PLACE]).status)

    def test_finish_without_the_lease_changes_nothing(self):
        """UPLOAD-8: StatusConflict after a take-over and for an unknown id."""
        image, upload = self.begun()
        self.driver.upload_take_over(upload, str(uuid.uuid4()), 'node-2')
        for upload_id in (upload.id, str(uuid.uuid4())):
            self.assertRaises(errors.StatusConflict, self.driver.upload_finish, self.owner, upload_id, STORED,
                              [PLACE])
        self.assert_unchanged(image)

    def test_finish_from_another_status_changes_nothing(self):
        """UPLOAD-8: StatusConflict; no location, and the Upload stays."""
        image, upload = self.begun()
        queued = self.change(image.id, status='queued')
        self.assertRaises(errors.StatusConflict, self.driver.upload_finish, self.owner, upload.id, STORED, [PLACE])
        self.assert_unchanged(queued)
        self.assertEqual(upload, self.driver.upload_of_image(image.id))

    def test_of_finish_and_abort_at_once_one_wins(self):
        """UPLOAD-8: either the image is active, or it is queued and has no location."""
        for _ in range(5):
            image, upload = self.begun()
            finished, aborted = self.race(
                lambda u=upload: self.driver.upload_finish(self.owner, u.id, STORED, [PLACE]),
                lambda u=upload: self.driver.upload_abort(u.id))
            found = self.get(image.id)
            if isinstance(finished, Image):
                self.assertEqual((False, 'active', 1), (aborted, found.status, len(found.locations)))
            else:
                self.assertIsInstance(finished, errors.StatusConflict)
                self.assertEqual((True, 'queued', 0), (aborted, found.status, len(found.locations)))

    def test_finish_of_a_deleted_image_says_so(self):
        """UPLOAD-9: ImageGone; the Upload stays for recovery, no location is left."""
        image, upload = self.begun()
        self.driver.image_delete(self.owner, image.id)
        self.assertRaises(errors.ImageGone, self.driver.upload_finish, self.owner, upload.id, STORED, [PLACE])
        self.assertEqual(upload, self.driver.upload_of_image(image.id))
        self.assertEqual([], self.driver.locations_pending_delete(0))

    # --- abort ---------------------------------------------------------------------------------------------

    def test_abort_sends_the_image_back_and_clears_what_the_upload_told(self):
        """UPLOAD-10: queued, without size, virtual_size, checksum and hashes; the rest stays."""
        image, upload = self.begun()
        told = {'size': 10, 'virtual_size': 20, 'checksum': 'c' * 32, 'os_hash_algo': 'a', 'os_hash_value': 'd'}
        before = self.change(image.id, name='n', **told)
        self.assertIs(True, self.driver.upload_abort(upload.id))
        after = self.get(image.id)
        self.assert_same_image(dataclasses.replace(before, status='queued', version=after.version,
                                                   updated_at=after.updated_at, **dict.fromkeys(told)), after)

    def test_abort_grows_the_version(self):
        """IMAGE-UPDATE-2: an upload_abort that changes the image does as updates do."""
        image, upload = self.begun()
        self.driver.upload_abort(upload.id)
        after = self.get(image.id)
        self.assertEqual((2, 3), (image.version, after.version))
        self.assertGreater(after.updated_at, image.updated_at)

    def test_abort_ends_lease_and_reservation(self):
        """UPLOAD-10: nothing of the upload is left."""
        image, upload = self.begun(reserved=50)
        self.driver.upload_abort(upload.id)
        self.assertIsNone(self.driver.upload_of_image(image.id))
        self.assertEqual(0, self.reserved())

    def test_abort_may_lead_to_another_status(self):
        """UPLOAD-10: to_status is the caller's, and the upload's own status is the one that begin gave."""
        image = self.stored()
        self.driver.upload_begin(self.owner, self.lease(image), to_status='uploading')
        self.driver.upload_abort(self.driver.upload_of_image(image.id).id, to_status='killed')
        self.assertEqual('killed', self.get(image.id).status)

    def test_abort_to_another_status_than_queued_clears_nothing(self):
        """UPLOAD-10: an image that had its data before goes on with them."""
        told = {'size': 10, 'virtual_size': 20, 'checksum': 'c' * 32, 'os_hash_algo': 'a', 'os_hash_value': 'd'}
        image = self.stored(status='active', **told)
        upload = self.lease(image)
        self.driver.upload_begin(self.owner, upload, from_status='active', to_status='active')
        self.driver.upload_abort(upload.id, to_status='active')
        found = self.get(image.id)
        self.assertEqual(('active', told), (found.status, {field: getattr(found, field) for field in told}))

    def test_abort_without_the_lease_changes_nothing(self):
        """UPLOAD-10: False the second time, after a take-over, and for an unknown id."""
        image, upload = self.begun()
        self.driver.upload_take_over(upload, str(uuid.uuid4()), 'node-2')
        for upload_id in (upload.id, str(uuid.uuid4())):
            self.assertIs(False, self.driver.upload_abort(upload_id))
        self.assert_unchanged(image)
        self.assertIsNotNone(self.driver.upload_of_image(image.id))

    def test_abort_leaves_an_image_that_somebody_moved_on(self):
        """UPLOAD-10: only an image still in the upload's status goes back; the lease ends all the same."""
        image, upload = self.begun()
        moved = self.change(image.id, status='deactivated', size=5)
        self.assertIs(True, self.driver.upload_abort(upload.id))
        self.assert_unchanged(moved)
        self.assertIsNone(self.driver.upload_of_image(image.id))

    def test_abort_leaves_a_deleted_image_deleted(self):
        """UPLOAD-10: the lease and the reservation end."""
        image, upload = self.begun(reserved=50)
        self.driver.image_delete(self.owner, image.id)
        self.assertIs(True, self.driver.upload_abort(upload.id))
        self.assertRaises(errors.ImageNotFound, self.get, image.id)
        self.assertEqual((None, 0), (self.driver.upload_of_image(image.id), self.reserved()))

    # --- expiry and take-over ------------------------------------------------------------------------------

    def test_expired_uploads_come_oldest_first(self):
        """UPLOAD-11: by heartbeat, at most *limit*; those of deleted images too."""
        uploads = [self.begun()[1] for _ in range(4)]
        self.driver.image_delete(self.owner, uploads[1].image_id)
        self.driver.upload_heartbeat(uploads[0].id)
        wanted = [uploads[n].id for n in (1, 2, 3, 0)]
        self.assertEqual(wanted, [upload.id for upload in self.driver.uploads_expired(0)])
        self.assertEqual(wanted[:2], [upload.id for upload in self.driver.uploads_expired(0, limit=2)])

    def test_an_upload_with_a_fresh_heartbeat_is_not_expired(self):
        """UPLOAD-11: nor is a settled one."""
        _, upload = self.begun()
        self.assertEqual([], self.driver.uploads_expired(3600))
        self.driver.upload_abort(upload.id)
        self.assertEqual([], self.driver.uploads_expired(0))

    def test_an_expired_upload_is_told_whole(self):
        """UPLOAD-11: the same value that upload_of_image gives."""
        _, upload = self.begun(reserved=3)
        self.assertEqual([upload], self.driver.uploads_expired(0))

    def test_a_take_over_makes_the_lease_ours(self):
        """UPLOAD-12: new id, new node, fresh heartbeat; image, store, url, owner and reservation stay."""
        image, upload = self.begun(reserved=5)
        new_id = str(uuid.uuid4())
        self.assertIs(True, self.driver.upload_take_over(upload, new_id, 'node-2'))
        taken = self.driver.upload_of_image(image.id)
        self.assertEqual(dataclasses.replace(upload, id=new_id, node='node-2', heartbeat_at=taken.heartbeat_at),
                         taken)
        self.assertGreater(taken.heartbeat_at, upload.heartbeat_at)
        self.assertIs(True, self.driver.upload_heartbeat(new_id))

    def test_a_taken_over_upload_can_be_aborted(self):
        """UPLOAD-12: with the new id the image goes back to queued."""
        image, upload = self.begun()
        new_id = str(uuid.uuid4())
        self.driver.upload_take_over(upload, new_id, 'node-2')
        self.assertIs(True, self.driver.upload_abort(new_id))
        self.assertEqual('queued', self.get(image.id).status)

    def test_a_lease_that_was_renewed_meanwhile_is_not_taken_over(self):
        """UPLOAD-12: False after a heartbeat, a take-over or the end; the lease stays its holder's."""
        (image, renewed), (_, taken), (_, settled) = (self.begun() for _ in range(3))
        self.driver.upload_heartbeat(renewed.id)
        self.driver.upload_take_over(taken, str(uuid.uuid4()), 'node-2')
        self.driver.upload_abort(settled.id)
        for upload in (renewed, taken, settled):
            self.assertIs(False, self.driver.upload_take_over(upload, str(uuid.uuid4()), 'node-3'))
        self.assertEqual(renewed.id, self.driver.upload_of_image(image.id).id)

    def test_of_several_nodes_exactly_one_takes_over(self):
        """UPLOAD-12: the lease is the winner's."""
        for _ in range(3):
            image, upload = self.begun()
            results = self.race(*(lambda n=n, upload=upload: self.driver.upload_take_over(
                upload, f'{n}{upload.id[1:]}', f'node-{n}') for n in range(5)))
            self.assertEqual([False] * 4 + [True], sorted(results))
            self.assertEqual(f'node-{results.index(True)}', self.driver.upload_of_image(image.id).node)

    def test_an_image_without_upload_has_none(self):
        """UPLOAD-13: None before the beginning, after the end, and for an absent image; not another's."""
        (image, upload), other = self.begun(), self.stored()
        self.assertEqual(upload, self.driver.upload_of_image(image.id))
        self.driver.upload_finish(self.owner, upload.id, STORED, [PLACE])
        for image_id in (other.id, image.id, str(uuid.uuid4())):
            self.assertIsNone(self.driver.upload_of_image(image_id))
