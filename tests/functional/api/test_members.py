"""Members of images: who shares, who accepts, who sees what then."""

from tests.functional import app
from tests.functional.app import ADMIN, OTHER, OWNER, THIRD

PROJECT = OTHER['X-Project-Id']


class MemberTests:

    def setUp(self):
        super().setUp()
        self.image = self.active(b'data')
        self.path = f"/v2/images/{self.image['id']}/members"

    def share(self, status=200):
        return self.ask(self.path, 'POST', document={'member': PROJECT}, status=status)

    def become(self, wanted, ctx=OTHER, status=200):
        return self.ask(f'{self.path}/{PROJECT}', 'PUT', ctx=ctx, document={'status': wanted}, status=status)

    def test_a_new_member_is_pending(self):
        member = self.share().json
        self.assertEqual((PROJECT, self.image['id'], 'pending', '/v2/schemas/member'), tuple(
            member[name] for name in ('member_id', 'image_id', 'status', 'schema')))
        self.assertEqual([member], self.ask(self.path, status=200).json['members'])
        self.assertEqual(member, self.ask(f'{self.path}/{PROJECT}', status=200).json)

    def test_the_member_decides_what_it_lists(self):
        self.assertEqual([], self.names(ctx=OTHER))
        self.share()
        self.assertEqual([], self.names(ctx=OTHER))
        self.assertEqual(['an image'], self.names('member_status=pending', OTHER))
        self.become('accepted')
        self.assertEqual(['an image'], self.names(ctx=OTHER))
        self.assertEqual(b'data', self.ask(self.image['file'], ctx=OTHER, status=200).body)

    def test_peer_defect_5_a_rejected_member_no_longer_reads(self):
        self.share()
        self.become('accepted')
        self.become('rejected')
        self.ask(f"/v2/images/{self.image['id']}", ctx=OTHER, status=404)
        self.ask(self.image['file'], ctx=OTHER, status=404)
        self.become('accepted')
        self.ask(f"/v2/images/{self.image['id']}", ctx=OTHER, status=200)

    def test_a_list_of_rejected_shares_has_all_its_pages(self):
        paths = [self.path, *(f"/v2/images/{self.create()['id']}/members" for _ in range(2))]
        for path in paths:
            self.ask(path, 'POST', document={'member': PROJECT}, status=200)
            self.ask(f'{path}/{PROJECT}', 'PUT', ctx=OTHER, document={'status': 'rejected'}, status=200)
        self.assertEqual(3, len(self.walk('/v2/images?member_status=rejected&limit=1', OTHER)))

    def test_a_member_may_leave(self):
        self.share()
        self.ask(f'{self.path}/{PROJECT}', 'DELETE', ctx=OTHER, status=204)
        self.assertEqual([], self.ask(self.path).json['members'])

    def test_the_owner_removes_a_member(self):
        self.share()
        self.ask(f'{self.path}/{PROJECT}', 'DELETE', status=204)
        self.ask(f'{self.path}/{PROJECT}', 'DELETE', status=404)
        self.ask(f"/v2/images/{self.image['id']}", ctx=OTHER, status=404)

    def test_the_owner_does_not_decide_for_the_member(self):
        self.share()
        self.become('accepted', ctx=OWNER, status=403)
        self.become('accepted', ctx=ADMIN)

    def test_twice_is_409_and_bad_documents_are_400(self):
        self.share()
        self.share(status=409)
        for document in ({}, [], {'member': ''}, {'member': 1}, {'member': 'x' * 256}, {'member': None}):
            self.ask(self.path, 'POST', document=document, status=400)
        for document in ({}, [], {'status': 'maybe'}, {'status': 1}, {'status': None}):
            self.ask(f'{self.path}/{PROJECT}', 'PUT', ctx=OTHER, document=document, status=400)

    def test_a_stranger_sees_nothing(self):
        self.share()
        for method, path in (('GET', self.path), ('GET', f'{self.path}/{PROJECT}'),
                             ('DELETE', f'{self.path}/{PROJECT}')):
            self.ask(path, method, ctx=THIRD, status=404)

    def test_a_member_sees_only_itself(self):
        self.share()
        self.ask(self.path, 'POST', document={'member': 'third-project'}, status=200)
        self.assertEqual([PROJECT], [one['member_id'] for one in self.ask(self.path, ctx=OTHER).json['members']])
        self.ask(f'{self.path}/third-project', ctx=OTHER, status=404)

    def test_only_shared_images_have_members(self):
        private = self.create(visibility='private')
        path = f"/v2/images/{private['id']}/members"
        self.ask(path, status=403)
        self.ask(path, 'POST', document={'member': PROJECT}, status=403)


class TestSimple(MemberTests, app.AppTestCase):
    backend = app.SIMPLE


class TestSqlite(MemberTests, app.AppTestCase):
    backend = app.SQLITE
