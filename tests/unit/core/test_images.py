"""Image records: made, read, deactivated, tagged."""

import uuid

from testtools.matchers import Equals, Is

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.core import query as core_query
from glancelike.core.quotas import Quotas
from tests.unit.core.built import ADMIN, ANONYMOUS, FRIEND, OWNER, STRANGER, CoreTestCase, member_of

ID = '7a0c1d9e-2f9b-4d0b-9a59-6d7f2f6f3c11'


class CreateTest(CoreTestCase):

    def create(self, ctx=OWNER, image_id=None, attributes=None, properties=None, tags=()):
        return self.images.create(ctx, image_id, attributes or {}, properties or {}, tags)

    def refused(self, error, *args, **fields):
        caught = self.assertRaises(error, self.create, *args, **fields)
        self.assertThat(self.db.image_list(ADMIN, core_query.parse((), default_limit=9, max_limit=9).query), Equals([]))
        self.assertThat(self.events.types, Equals([]))
        return str(caught)

    def test_a_new_image_is_queued_shared_and_the_callers(self):
        image = self.create()
        self.assertThat((image.status, image.visibility, image.owner, image.size, image.version),
                        Equals(('queued', 'shared', 'owner', None, 1)))
        self.assertThat(str(uuid.UUID(image.id)), Equals(image.id))

    def test_attributes_properties_and_tags_are_stored(self):
        given = {'name': 'ü😀', 'visibility': 'private', 'protected': True, 'os_hidden': True, 'disk_format': 'qcow2',
                 'container_format': 'bare', 'min_disk': 3, 'min_ram': 2**31 - 1}
        image = self.stored(self.create(attributes=given, properties={'a': 'b', 'n': None}, tags=['x', 'y', 'x']).id)
        self.assertThat({name: getattr(image, name) for name in given}, Equals(given))
        self.assertThat(dict(image.properties), Equals({'a': 'b', 'n': ''}))
        self.assertThat(image.tags, Equals(frozenset('xy')))

    def test_creation_is_told(self):
        image = self.create()
        self.assertThat([(kind, payload['id']) for kind, payload in self.events.sent],
                        Equals([('image.create', image.id)]))

    def test_the_client_may_choose_the_id(self):
        self.assertThat(self.create(image_id=ID).id, Equals(ID))
        self.assertRaises(errors.ImageExists, self.create, image_id=ID)

    def test_an_id_that_is_no_uuid_is_refused(self):
        for value in ('', 'x', ID + '\n', ID.replace('-', ''), '{' + ID + '}', 7, ID[:-1] + 'g'):
            self.refused(errors.Invalid, image_id=value)

    def test_the_own_project_may_be_named_as_owner(self):
        self.assertThat(self.create(attributes={'owner': 'owner'}).owner, Equals('owner'))

    def test_another_owner_is_for_administrators(self):
        self.refused(errors.Forbidden, attributes={'owner': 'friend'})
        self.refused(errors.Forbidden, attributes={'owner': None})
        self.assertThat(self.create(ADMIN, attributes={'owner': 'friend'}).owner, Equals('friend'))

    def test_a_caller_without_project_makes_no_image(self):
        self.refused(errors.Forbidden, RequestContext(user_id='u', roles=frozenset({'member'})))

    def test_an_administrator_without_project_may(self):
        self.assertThat(self.create(RequestContext(user_id='u', is_admin=True, roles=frozenset({'admin'}))).owner,
                        Is(None))

    def test_a_read_only_caller_makes_no_image(self):
        self.refused(errors.ReadOnlyContext, ANONYMOUS)
        self.refused(errors.ReadOnlyContext, self.read_only(ADMIN))

    def test_the_policy_add_image_decides(self):
        self.refused(errors.Forbidden, RequestContext(project_id='owner', roles=frozenset({'reader'})))

    def test_the_policy_add_image_sees_the_new_image(self):
        self.build(policy='add_image: "\'good\':%(name)s"')
        self.refused(errors.Forbidden, attributes={'name': 'bad'})
        self.create(attributes={'name': 'good'})

    def test_publicizing_needs_its_policy(self):
        self.refused(errors.Forbidden, attributes={'visibility': 'public'})
        self.assertThat(self.create(ADMIN, attributes={'visibility': 'public'}).visibility, Equals('public'))

    def test_communitizing_needs_its_policy(self):
        self.assertThat(self.create(attributes={'visibility': 'community'}).visibility, Equals('community'))
        self.build(policy='communitize_image: "!"')
        self.assertRaises(errors.Forbidden, self.create, attributes={'visibility': 'community'})

    def test_read_only_and_reserved_names_are_refused(self):
        for name in ('status', 'size', 'virtual_size', 'checksum', 'os_hash_algo', 'os_hash_value', 'created_at',
                     'updated_at', 'id', 'self', 'file', 'schema', 'direct_url', 'location', 'deleted', 'deleted_at'):
            self.refused(errors.ReservedAttribute, attributes={name: 'x'})
            self.refused(errors.ReservedAttribute, properties={name: 'x'})
        for name in ('os_glance_x', 'os_glance', 'owner', 'tags', 'locations', 'name'):
            self.refused(errors.ReservedAttribute, properties={name: 'x'})

    def test_values_of_the_wrong_kind_are_refused(self):
        wrong = {'name': (5, 'x' * 256, 'a\x00', '\ud800'), 'owner': (5, 'x' * 256), 'visibility': ('x', None, 1, []),
                 'protected': ('true', 1, None), 'os_hidden': (0, 'no'), 'disk_format': ('floppy', 5, ''),
                 'container_format': ('box', [], {}), 'min_disk': (-1, 2**31, '1', 1.0, True, None),
                 'min_ram': (-1, 2**31)}
        for name, values in wrong.items():
            for value in values:
                self.refused(errors.Invalid, ADMIN, attributes={name: value})

    def test_properties_are_texts_within_bounds(self):
        for name, value in (('a', 5), ('a', True), ('a', []), ('a', 'x' * 65_536), ('a', 'ä' * 40_000), ('a', '\x00'),
                            ('x' * 256, 'v'), ('', 'v'), ('\ud800', 'v'), (5, 'v')):
            self.refused(errors.Invalid, properties={name: value})
        self.create(properties={'x' * 255: 'x' * 65_535})

    def test_tags_are_texts_within_bounds(self):
        for tag in (5, 'x' * 256, '\x00', None):
            self.refused(errors.Invalid, tags=[tag])
        self.create(tags=['x' * 255, ''])

    def test_quotas_of_tags_and_properties_hold(self):
        self.build(quotas=Quotas(tags=2, properties=2))
        self.refused(errors.QuotaExceeded, tags='abc')
        self.refused(errors.QuotaExceeded, properties=dict.fromkeys('abc', ''))
        self.create(tags='aba', properties=dict.fromkeys('ab', ''))

    def test_a_negative_quota_is_none(self):
        self.build(quotas=Quotas(tags=-1, properties=-1))
        self.create(tags=map(str, range(500)), properties={str(number): '' for number in range(500)})

    def test_protected_properties_need_the_create_permission(self):
        self.build(rules={'kernel_id': {'create': ['nova'], 'read': ['member']}})
        self.assertIn('kernel_id', self.refused(errors.ProtectedProperty, properties={'kernel_id': 'x'}))
        self.assertThat(self.create(member_of('owner', 'nova'), properties={'kernel_id': 'x'}).properties,
                        Equals({'kernel_id': 'x'}))

    def test_the_creator_sees_only_what_it_may_read(self):
        self.build(rules={'secret': {'create': ['member'], 'read': ['nova']}})
        image = self.create(properties={'secret': 'x', 'open': 'y'})
        self.assertThat(dict(image.properties), Equals({'open': 'y'}))
        self.assertThat(dict(self.stored(image.id).properties), Equals({'secret': 'x', 'open': 'y'}))


class GetTest(CoreTestCase):

    def test_owner_and_administrator_see_a_private_image_others_do_not(self):
        image = self.new_image(visibility='private')
        for ctx in (OWNER, ADMIN):
            self.assertThat(self.images.get(ctx, image.id).id, Equals(image.id))
        for ctx in (STRANGER, ANONYMOUS):
            self.assertRaises(errors.ImageNotFound, self.images.get, ctx, image.id)

    def test_what_the_policy_hides_is_not_found(self):
        image = self.new_image(visibility='public')
        self.build(policy='get_image: "role:auditor"')
        self.assertRaises(errors.ImageNotFound, self.images.get, STRANGER, image.id)
        self.assertThat(self.images.get(member_of('x', 'auditor'), image.id).id, Equals(image.id))

    def test_what_can_be_no_id_is_not_found(self):
        for image_id in ('', 'x', '../etc', 'a\x00b', '\ud800', 'x' * 5000):
            self.assertRaises(errors.ImageNotFound, self.images.get, ADMIN, image_id)

    def test_hidden_properties_are_left_out_and_stay_stored(self):
        image = self.new_image(ADMIN, {'a': '1', 'secret': '2'}, visibility='public')
        self.build(rules={'secret': {'read': ['admin']}})
        self.assertThat(dict(self.images.get(OWNER, image.id).properties), Equals({'a': '1'}))
        self.assertThat(dict(self.images.get(ADMIN, image.id).properties), Equals({'a': '1', 'secret': '2'}))


class DeactivateTest(CoreTestCase):

    def setUp(self):
        super().setUp()
        self.image = self.new_image(disk_format='raw', container_format='bare')

    def test_active_becomes_deactivated_and_back(self):
        self.activate(self.image.id, 'fast')
        self.images.deactivate(OWNER, self.image.id)
        self.assertThat(self.stored(self.image.id).status, Equals('deactivated'))
        self.images.reactivate(OWNER, self.image.id)
        self.assertThat(self.stored(self.image.id).status, Equals('active'))
        self.assertThat(self.events.types, Equals(['image.create', 'image.update', 'image.update']))

    def test_again_is_no_error_and_no_change(self):
        self.activate(self.image.id, 'fast')
        self.images.reactivate(OWNER, self.image.id)
        self.images.deactivate(OWNER, self.image.id)
        version = self.stored(self.image.id).version
        self.images.deactivate(OWNER, self.image.id)
        self.assertThat(self.stored(self.image.id).version, Equals(version))

    def test_other_statuses_are_forbidden(self):
        for act in (self.images.deactivate, self.images.reactivate):
            self.assertIn('queued', str(self.assertRaises(errors.Forbidden, act, ADMIN, self.image.id)))

    def test_policy_and_read_only_hold(self):
        self.activate(self.image.id, 'fast')
        self.assertRaises(errors.ImageNotFound, self.images.deactivate, STRANGER, self.image.id)
        self.assertRaises(errors.ReadOnlyContext, self.images.deactivate, self.read_only(ADMIN), self.image.id)
        self.build(policy='deactivate: "rule:context_is_admin"')
        self.assertRaises(errors.Forbidden, self.images.deactivate, OWNER, self.image.id)


class TagTest(CoreTestCase):

    def setUp(self):
        super().setUp()
        self.image = self.new_image(tags=['a'])
        self.events.sent.clear()

    def test_adding_is_idempotent(self):
        self.images.tag_add(OWNER, self.image.id, '😀')
        self.images.tag_add(OWNER, self.image.id, '😀')
        self.assertThat(self.stored(self.image.id).tags, Equals(frozenset({'a', '😀'})))
        self.assertThat(self.events.types, Equals(['image.update']))

    def test_removing_an_absent_tag_is_not_found(self):
        self.images.tag_remove(OWNER, self.image.id, 'a')
        for tag in ('a', 'x' * 300, '\x00', '\ud800'):
            self.assertRaises(errors.TagNotFound, self.images.tag_remove, OWNER, self.image.id, tag)

    def test_bad_tags_are_invalid(self):
        for tag in ('x' * 256, '\x00', '\ud800'):
            self.assertRaises(errors.Invalid, self.images.tag_add, OWNER, self.image.id, tag)

    def test_the_quota_holds(self):
        self.build(quotas=Quotas(tags=2))
        self.images.tag_add(OWNER, self.image.id, 'b')
        self.assertRaises(errors.QuotaExceeded, self.images.tag_add, OWNER, self.image.id, 'c')
        self.images.tag_add(OWNER, self.image.id, 'b')

    def test_others_may_not(self):
        self.db.member_add(OWNER, self.image.id, 'friend')
        for act in (self.images.tag_add, self.images.tag_remove):
            self.assertRaises(errors.ImageNotFound, act, STRANGER, self.image.id, 'a')
            self.assertRaises(errors.Forbidden, act, FRIEND, self.image.id, 'a')
            self.assertRaises(errors.ReadOnlyContext, act, self.read_only(OWNER), self.image.id, 'a')
