"""Sharing: who may add, see, accept, leave."""

from testtools.matchers import Equals

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.core.quotas import Quotas
from glancelike.model.image import ImageChanges
from tests.unit.core.built import ADMIN, ANONYMOUS, FRIEND, OWNER, STRANGER, CoreTestCase, member_of

OTHER = member_of('other')


class MemberTestCase(CoreTestCase):

    def setUp(self):
        super().setUp()
        self.image = self.new_image()
        self.image_id = self.image.id
        self.events.sent.clear()

    def share(self, *projects, status='pending'):
        for project in projects:
            self.members.add(OWNER, self.image_id, project)
            if status != 'pending':
                self.members.update(member_of(project), self.image_id, project, status)
        self.events.sent.clear()

    def of(self, ctx):
        return [one.member for one in self.members.list(ctx, self.image_id)]

    def unshare(self, visibility='public'):
        self.db.image_update(ADMIN, self.image_id, ImageChanges({'visibility': visibility}))


class AddTest(MemberTestCase):

    def test_a_new_member_is_pending_and_told_of(self):
        added = self.members.add(OWNER, self.image_id, 'friend')
        self.assertThat((added.image_id, added.member, added.status), Equals((self.image_id, 'friend', 'pending')))
        self.assertThat([(kind, payload['member_id']) for kind, payload in self.events.sent],
                        Equals([('image.member.create', 'friend')]))

    def test_administrators_may_add_too(self):
        self.members.add(ADMIN, self.image_id, 'friend')
        self.assertThat(self.of(ADMIN), Equals(['friend']))

    def test_twice_is_a_conflict(self):
        self.share('friend')
        self.assertRaises(errors.MemberExists, self.members.add, OWNER, self.image_id, 'friend')

    def test_a_removed_member_may_come_back_as_pending(self):
        self.share('friend', status='accepted')
        self.members.remove(OWNER, self.image_id, 'friend')
        self.assertThat(self.members.add(OWNER, self.image_id, 'friend').status, Equals('pending'))

    def test_the_quota_holds(self):
        self.build(quotas=Quotas(members=1))
        self.share('friend')
        self.assertRaises(errors.QuotaExceeded, self.members.add, OWNER, self.image_id, 'other')
        self.build(quotas=Quotas(members=-1))
        self.share('other')

    def test_what_is_no_project_id_is_refused(self):
        for member in ('', ' ', None, 5, [], 'x' * 256, 'a\x00', '\ud800'):
            self.assertRaises(errors.Invalid, self.members.add, OWNER, self.image_id, member)

    def test_only_shared_images_have_members(self):
        for visibility in ('public', 'private', 'community'):
            self.unshare(visibility)
            self.assertRaises(errors.NotShared, self.members.add, OWNER, self.image_id, 'friend')

    def test_others_may_not_share(self):
        self.assertRaises(errors.ImageNotFound, self.members.add, STRANGER, self.image_id, 'stranger')
        self.share('friend')
        self.assertRaises(errors.Forbidden, self.members.add, FRIEND, self.image_id, 'other')
        self.assertRaises(errors.ReadOnlyContext, self.members.add, self.read_only(OWNER), self.image_id, 'other')
        self.build(policy='add_member: "rule:context_is_admin"')
        self.assertRaises(errors.Forbidden, self.members.add, OWNER, self.image_id, 'other')


class LookTest(MemberTestCase):

    def setUp(self):
        super().setUp()
        self.share('friend', 'other')

    def test_owner_and_administrator_see_all_in_the_order_of_joining(self):
        self.assertThat((self.of(OWNER), self.of(ADMIN)), Equals((['friend', 'other'],) * 2))

    def test_a_member_sees_only_itself(self):
        self.assertThat(self.of(FRIEND), Equals(['friend']))
        self.assertThat(self.members.get(FRIEND, self.image_id, 'friend').member, Equals('friend'))
        self.assertRaises(errors.MemberNotFound, self.members.get, FRIEND, self.image_id, 'other')

    def test_strangers_find_no_image(self):
        for ctx in (STRANGER, ANONYMOUS):
            self.assertRaises(errors.ImageNotFound, self.members.list, ctx, self.image_id)
            self.assertRaises(errors.ImageNotFound, self.members.get, ctx, self.image_id, 'friend')

    def test_absent_members_are_not_found(self):
        for member in ('nobody', '', 'x' * 999, 'a\x00', '\ud800'):
            self.assertRaises(errors.MemberNotFound, self.members.get, OWNER, self.image_id, member)

    def test_an_image_that_is_not_shared_has_no_members_to_look_at(self):
        self.unshare()
        for ctx in (OWNER, FRIEND, STRANGER):
            self.assertRaises(errors.NotShared, self.members.list, ctx, self.image_id)
            self.assertRaises(errors.MemberNotFound, self.members.get, ctx, self.image_id, 'friend')

    def test_policies_are_asked(self):
        self.build(policy='get_members: "rule:context_is_admin"')
        self.assertRaises(errors.Forbidden, self.members.list, OWNER, self.image_id)
        self.build(policy='get_member: "\'other\':%(member_id)s"')
        self.assertThat(self.of(OWNER), Equals(['other']))
        self.assertRaises(errors.MemberNotFound, self.members.get, OWNER, self.image_id, 'friend')

    def test_ids_that_can_be_none_are_not_found(self):
        for image_id in ('', 'x' * 500, '\x00', '\ud800'):
            self.assertRaises(errors.ImageNotFound, self.members.list, FRIEND, image_id)


class UpdateTest(MemberTestCase):

    def setUp(self):
        super().setUp()
        self.share('friend')

    def test_the_member_accepts_rejects_and_resets(self):
        for status in ('accepted', 'rejected', 'accepted', 'rejected', 'pending'):
            self.assertThat(self.members.update(FRIEND, self.image_id, 'friend', status).status, Equals(status))
        self.assertThat(self.events.types, Equals(['image.member.update'] * 5))

    def test_the_owner_may_not(self):
        self.assertRaises(errors.Forbidden, self.members.update, OWNER, self.image_id, 'friend', 'accepted')
        self.assertThat(self.members.update(ADMIN, self.image_id, 'friend', 'accepted').status, Equals('accepted'))

    def test_other_statuses_are_invalid(self):
        for status in ('', 'Accepted', None, 5, 'deleted'):
            self.assertRaises(errors.Invalid, self.members.update, FRIEND, self.image_id, 'friend', status)

    def test_who_is_no_member_finds_nothing(self):
        self.assertRaises(errors.ImageNotFound, self.members.update, STRANGER, self.image_id, 'friend', 'accepted')
        self.assertRaises(errors.ImageNotFound, self.members.update, STRANGER, self.image_id, 'stranger', 'accepted')
        self.assertRaises(errors.MemberNotFound, self.members.update, OWNER, self.image_id, 'nobody', 'accepted')
        self.share('other')
        self.assertRaises(errors.MemberNotFound, self.members.update, FRIEND, self.image_id, 'other', 'accepted')

    def test_read_only_callers_and_unshared_images_are_refused(self):
        self.assertRaises(errors.ReadOnlyContext, self.members.update, self.read_only(FRIEND), self.image_id, 'friend',
                          'accepted')
        self.unshare()
        self.assertRaises(errors.NotShared, self.members.update, FRIEND, self.image_id, 'friend', 'accepted')


class RejectedTest(MemberTestCase):
    """A member that rejected reads the image no more, and can still change its mind or leave."""

    def setUp(self):
        super().setUp()
        self.share('friend', status='rejected')

    def test_it_does_not_read_the_image(self):
        self.assertRaises(errors.ImageNotFound, self.images.get, FRIEND, self.image_id)

    def test_it_sees_its_membership(self):
        self.assertThat(self.members.get(FRIEND, self.image_id, 'friend').status, Equals('rejected'))
        self.assertThat(self.of(FRIEND), Equals(['friend']))

    def test_it_may_accept_after_all(self):
        self.members.update(FRIEND, self.image_id, 'friend', 'accepted')
        self.assertThat(self.images.get(FRIEND, self.image_id).id, Equals(self.image_id))

    def test_it_may_leave(self):
        self.members.remove(FRIEND, self.image_id, 'friend')
        self.assertThat(self.of(OWNER), Equals([]))

    def test_it_learns_nothing_of_an_image_that_is_not_shared_any_more(self):
        self.unshare('private')
        self.assertRaises(errors.ImageNotFound, self.members.list, FRIEND, self.image_id)
        self.assertRaises(errors.ImageNotFound, self.members.update, FRIEND, self.image_id, 'friend', 'accepted')

    def test_a_deleted_image_is_not_found(self):
        self.images.delete(OWNER, self.image_id)
        self.assertRaises(errors.ImageNotFound, self.members.get, FRIEND, self.image_id, 'friend')
        self.assertRaises(errors.ImageNotFound, self.members.remove, FRIEND, self.image_id, 'friend')


class RemoveTest(MemberTestCase):

    def setUp(self):
        super().setUp()
        self.share('friend', 'other', status='accepted')

    def test_the_owner_removes_a_member(self):
        self.members.remove(OWNER, self.image_id, 'friend')
        self.assertThat(self.of(OWNER), Equals(['other']))
        self.assertThat([(kind, payload['member_id'], payload['deleted']) for kind, payload in self.events.sent],
                        Equals([('image.member.delete', 'friend', True)]))
        self.assertRaises(errors.ImageNotFound, self.images.get, FRIEND, self.image_id)

    def test_a_member_leaves(self):
        self.members.remove(FRIEND, self.image_id, 'friend')
        self.assertThat(self.of(OWNER), Equals(['other']))

    def test_a_member_leaves_although_an_older_policy_file_says_owner_only(self):
        self.build(policy='delete_member: "role:member and project_id:%(project_id)s"')
        self.members.remove(FRIEND, self.image_id, 'friend')
        self.assertThat(self.of(OWNER), Equals(['other']))

    def test_who_may_not_answer_for_its_project_may_not_leave_for_it(self):
        reader = RequestContext(user_id='u', project_id='friend', roles=frozenset({'reader'}))
        self.assertRaises(errors.Forbidden, self.members.remove, reader, self.image_id, 'friend')

    def test_a_member_does_not_remove_others_and_does_not_learn_who_they_are(self):
        for member in ('other', 'nobody'):
            self.assertRaises(errors.Forbidden, self.members.remove, FRIEND, self.image_id, member)

    def test_absent_members_are_not_found(self):
        self.assertRaises(errors.MemberNotFound, self.members.remove, OWNER, self.image_id, 'nobody')
        self.assertRaises(errors.MemberNotFound, self.members.remove, OWNER, self.image_id, 'a\x00')

    def test_strangers_read_only_callers_and_unshared_images_are_refused(self):
        self.assertRaises(errors.ImageNotFound, self.members.remove, STRANGER, self.image_id, 'friend')
        self.assertRaises(errors.ReadOnlyContext, self.members.remove, self.read_only(OWNER), self.image_id, 'friend')
        self.unshare()
        self.assertRaises(errors.NotShared, self.members.remove, OWNER, self.image_id, 'friend')
