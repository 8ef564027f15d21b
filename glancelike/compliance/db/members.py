"""Members: with whom a shared image is shared."""

from __future__ import annotations

import datetime
import uuid

from glancelike.compliance.db.case import DbCase, caller
from glancelike.plugin import Image, ImageQuery, errors


class MemberSuite(DbCase):
    """MEMBER-1 to MEMBER-8."""

    def shared_with(self, **statuses: str) -> Image:
        """A shared image with a member for each keyword, in that status."""
        image = self.stored(visibility='shared')
        for member, status in statuses.items():
            self.driver.member_add(self.owner, image.id, member, status=status)
        return image

    def names(self, ctx, image) -> list[str]:
        return [member.member for member in self.driver.member_list(ctx, image.id)]

    # --- add -----------------------------------------------------------------------------------------------

    def test_an_added_member_is_as_asked_for(self):
        """MEMBER-1: a new membership, pending unless said otherwise."""
        image = self.stored()
        plain = self.driver.member_add(self.owner, image.id, 'm1')
        special = self.driver.member_add(self.owner, image.id, 'm2', can_share=True, status='accepted')
        self.assertEqual((image.id, 'm1', 'pending', False),
                         (plain.image_id, plain.member, plain.status, plain.can_share))
        self.assertEqual(('accepted', True), (special.status, special.can_share))
        self.assertEqual([plain, special], self.driver.member_list(self.owner, image.id))

    def test_a_new_member_has_both_times(self):
        """ALL-5: created_at and updated_at, aware and UTC."""
        member = self.driver.member_add(self.owner, self.stored().id, 'm')
        self.assertEqual(member.created_at, member.updated_at)
        self.assertEqual(datetime.timedelta(0), member.created_at.utcoffset())

    def test_adding_a_member_twice_is_refused(self):
        """MEMBER-1: MemberExists; the membership stays as it was."""
        image = self.shared_with(m='accepted')
        before = self.driver.member_get(self.owner, image.id, 'm')
        self.assertRaises(errors.MemberExists, self.driver.member_add, self.owner, image.id, 'm',
                          can_share=True)
        self.assertEqual([before], self.driver.member_list(self.owner, image.id))

    def test_a_removed_member_may_come_back_as_new(self):
        """MEMBER-1: status, times and place in the order are those of a new membership."""
        image = self.shared_with(m1='rejected', m2='accepted')
        before = self.driver.member_get(self.owner, image.id, 'm1')
        self.driver.member_remove(self.owner, image.id, 'm1')
        again = self.driver.member_add(self.owner, image.id, 'm1')
        self.assertEqual('pending', again.status)
        self.assertEqual(again, self.driver.member_get(self.owner, image.id, 'm1'))
        self.assertGreater(again.created_at, before.created_at)
        self.assertEqual(['m2', 'm1'], self.names(self.owner, image))

    def test_of_several_that_add_one_member_one_wins(self):
        """MEMBER-1: also when they come at once."""
        image = self.stored()
        results = self.race(*[lambda: self.driver.member_add(self.owner, image.id, 'm')] * 4)
        self.assert_one_winner(results, errors.MemberExists)
        self.assertEqual(['m'], self.names(self.owner, image))

    def test_names_of_members_are_compared_byte_for_byte(self):
        """ALL-4: case, blanks and accents make different members."""
        names = ['m', 'M', 'm ', 'ḿ', 'm\u0301', '🐧' * 255]
        image = self.stored()
        for name in names:
            self.driver.member_add(self.owner, image.id, name)
        self.assertEqual(names, self.names(self.owner, image))

    def test_a_member_too_many_is_refused(self):
        """MEMBER-2: QuotaExceeded, whatever the statuses; *at_most* members are not too many."""
        image = self.shared_with(m1='pending', m2='rejected')
        self.assertRaises(errors.QuotaExceeded, self.driver.member_add, self.owner, image.id, 'm3', at_most=2)
        self.assertEqual(['m1', 'm2'], self.names(self.owner, image))
        self.driver.member_add(self.owner, image.id, 'm3', at_most=3)
        self.assertEqual(['m1', 'm2', 'm3'], self.names(self.owner, image))

    def test_callers_at_once_do_not_pass_the_limit_of_members(self):
        """MEMBER-2: exact also for callers at once."""
        for _ in range(3):
            image = self.shared_with(m='accepted')
            self.race(*(lambda n=n, image=image: self.driver.member_add(
                self.owner, image.id, f'm{n}', at_most=3) for n in range(5)))
            self.assertEqual(3, len(self.names(self.owner, image)))

    def test_sharing_an_image_that_cannot_be_read_is_not_found(self):
        """MEMBER-3: absent, deleted, or of a stranger."""
        image = self.stored(visibility='private')
        for ctx, image_id in ((self.admin, str(uuid.uuid4())), (self.admin, self.deleted().id),
                              (self.stranger, image.id)):
            self.assertRaises(errors.ImageNotFound, self.driver.member_add, ctx, image_id, 'm')
        self.assertEqual([], self.names(self.admin, image))

    def test_member_methods_leave_the_image_as_it_is(self):
        """IMAGE-UPDATE-2: version and updated_at belong to the image document, members do not."""
        image = self.shared_with(m='pending')
        self.driver.member_update(self.owner, image.id, 'm', 'accepted')
        self.driver.member_remove(self.owner, image.id, 'm')
        self.assert_unchanged(image)

    # --- get and list --------------------------------------------------------------------------------------

    def test_owner_administrator_and_the_member_itself_see_a_membership(self):
        """MEMBER-4: whatever its status."""
        image = self.shared_with(pending='pending', accepted='accepted', rejected='rejected')
        for name in ('pending', 'accepted', 'rejected'):
            for ctx in (self.owner, self.admin, caller(name)):
                found = self.driver.member_get(ctx, image.id, name)
                self.assertEqual((image.id, name, name), (found.image_id, found.member, found.status))

    def test_others_do_not_see_a_membership(self):
        """MEMBER-4: not another member, a stranger, a caller without project; on a public image neither."""
        for shown in ('shared', 'public'):
            image = self.stored(visibility=shown)
            for name in ('m1', 'm2'):
                self.driver.member_add(self.owner, image.id, name, status='accepted')
            for ctx in (caller('m2'), self.stranger, caller(None)):
                self.assertRaises(errors.MemberNotFound, self.driver.member_get, ctx, image.id, 'm1')

    def test_an_absent_membership_is_not_found(self):
        """MEMBER-4: never added, or no such image."""
        image = self.shared_with(m='accepted')
        for image_id, member in ((image.id, 'x'), (str(uuid.uuid4()), 'm')):
            self.assertRaises(errors.MemberNotFound, self.driver.member_get, self.admin, image_id, member)

    def test_owner_and_administrator_list_all_members_in_the_order_of_joining(self):
        """MEMBER-5: neither name nor status changes the order."""
        image = self.shared_with(z='accepted', a='rejected', m='pending')
        self.driver.member_update(self.owner, image.id, 'z', 'pending')
        for ctx in (self.owner, self.admin):
            self.assertEqual(['z', 'a', 'm'], self.names(ctx, image))

    def test_a_member_lists_only_itself(self):
        """MEMBER-5: a rejected one too, so that it can change its mind."""
        image = self.shared_with(pending='pending', accepted='accepted', rejected='rejected')
        for name in ('pending', 'accepted', 'rejected'):
            self.assertEqual([name], self.names(caller(name), image))

    def test_others_list_no_members(self):
        """MEMBER-5: a stranger, a caller without project, and anybody for an absent image."""
        image = self.shared_with(m='accepted')
        for ctx in (self.stranger, caller(None)):
            self.assertEqual([], self.names(ctx, image))
        self.assertEqual([], self.driver.member_list(self.admin, str(uuid.uuid4())))

    def test_an_image_without_owner_has_no_owner_who_lists(self):
        """MEMBER-5: no project is not the same as the owner None."""
        image = self.stored(owner=None, visibility='shared')
        self.driver.member_add(self.admin, image.id, 'm')
        self.assertEqual([], self.names(caller(None), image))

    # --- update and remove ---------------------------------------------------------------------------------

    def test_a_member_changes_its_status(self):
        """MEMBER-6: the status is the new one, updated_at moves, nothing else."""
        image = self.shared_with(m='pending', other='pending')
        before = self.driver.member_get(self.owner, image.id, 'm')
        after = self.driver.member_update(caller('m'), image.id, 'm', 'accepted')
        self.assertEqual(('accepted', before.created_at), (after.status, after.created_at))
        self.assertGreater(after.updated_at, before.updated_at)
        self.assertEqual(['accepted', 'pending'],
                         [member.status for member in self.driver.member_list(self.owner, image.id)])

    def test_a_rejected_member_can_accept_again(self):
        """MEMBER-6: it reads the image no more, but its membership is still its own."""
        image = self.shared_with(m='rejected')
        self.driver.member_update(caller('m'), image.id, 'm', 'accepted')
        self.assertEqual('accepted', self.driver.member_status(image.id, 'm'))

    def test_update_of_an_absent_member_is_not_found(self):
        """MEMBER-6: MemberNotFound; ImageNotFound where the image is absent or deleted."""
        image, gone = self.shared_with(m='accepted'), self.deleted()
        self.assertRaises(errors.MemberNotFound, self.driver.member_update, self.owner, image.id, 'x',
                          'accepted')
        for image_id in (gone.id, str(uuid.uuid4())):
            self.assertRaises(errors.ImageNotFound, self.driver.member_update, self.admin, image_id, 'm',
                              'accepted')

    def test_a_removed_member_is_a_member_no_more(self):
        """MEMBER-7: found by no method, counted by no limit; the others stay."""
        image = self.shared_with(m1='accepted', m2='accepted')
        self.driver.member_remove(self.owner, image.id, 'm1')
        self.assertEqual(['m2'], self.names(self.owner, image))
        self.assertIsNone(self.driver.member_status(image.id, 'm1'))
        self.assertRaises(errors.MemberNotFound, self.driver.member_get, self.owner, image.id, 'm1')
        self.assertRaises(errors.MemberNotFound, self.driver.member_update, self.owner, image.id, 'm1', 'pending')
        self.driver.member_add(self.owner, image.id, 'm3', at_most=2)

    def test_a_removed_member_sees_what_one_sees_that_never_was_a_member(self):
        """MEMBER-7: by get and by list."""
        image = self.shared_with(m='accepted')
        self.driver.member_remove(self.owner, image.id, 'm')
        self.assertEqual(self.sees(self.stranger, image), self.sees(caller('m'), image))

    def sees(self, ctx, image) -> tuple[bool, bool]:
        """By get, by list."""
        listed = image.id in [found.id for found in self.driver.image_list(ctx, ImageQuery())]
        try:
            return self.driver.image_get(ctx, image.id).id == image.id, listed
        except errors.ImageNotFound:
            return False, listed

    def test_a_rejected_member_can_leave(self):
        """MEMBER-7: nobody is asked for permission here."""
        image = self.shared_with(m='rejected')
        self.driver.member_remove(caller('m'), image.id, 'm')
        self.assertEqual([], self.names(self.owner, image))

    def test_removing_an_absent_member_is_not_found(self):
        """MEMBER-7: MemberNotFound, also the second time; ImageNotFound for an absent or deleted image."""
        image, gone = self.shared_with(m='accepted'), self.deleted()
        self.driver.member_remove(self.owner, image.id, 'm')
        self.assertRaises(errors.MemberNotFound, self.driver.member_remove, self.owner, image.id, 'm')
        for image_id in (gone.id, str(uuid.uuid4())):
            self.assertRaises(errors.ImageNotFound, self.driver.member_remove, self.admin, image_id, 'm')

    def test_the_status_of_a_membership_is_told_without_a_caller(self):
        """MEMBER-8: the status, or None for no such membership or image."""
        image = self.shared_with(m='rejected', n='accepted')
        self.assertEqual(['rejected', 'accepted', None],
                         [self.driver.member_status(image.id, name) for name in ('m', 'n', 'x')])
        self.assertIsNone(self.driver.member_status(str(uuid.uuid4()), 'm'))
