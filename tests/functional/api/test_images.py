"""Images through the whole service, once for each database driver."""

import uuid

from testtools.matchers import ContainsDict, Equals, MatchesRegex

from tests.functional import app
from tests.functional.app import ADMIN, NOBODY, OTHER, add, remove, replace


class ImageTests:

    def test_a_new_image_has_the_documented_fields(self):
        answer = self.ask('/v2/images', 'POST', document={'name': 'x', 'my_property': 'y', 'tags': ['t']}, status=201)
        image = answer.json
        self.assertThat(image, ContainsDict({
            'name': Equals('x'), 'my_property': Equals('y'), 'tags': Equals(['t']), 'status': Equals('queued'),
            'visibility': Equals('shared'), 'owner': Equals('owner-project'), 'size': Equals(None),
            'virtual_size': Equals(None), 'checksum': Equals(None), 'os_hash_algo': Equals(None),
            'os_hash_value': Equals(None), 'protected': Equals(False), 'os_hidden': Equals(False),
            'min_disk': Equals(0), 'min_ram': Equals(0), 'disk_format': Equals(None),
            'container_format': Equals(None), 'schema': Equals('/v2/schemas/image'),
            'self': Equals(f"/v2/images/{image['id']}"), 'file': Equals(f"/v2/images/{image['id']}/file"),
            'created_at': MatchesRegex(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$'),
            'updated_at': Equals(image['created_at'])}))
        self.assertEqual(f"http://localhost/v2/images/{image['id']}", answer.headers['Location'])
        self.assertEqual(image, self.show(image['id']))

    def test_the_client_may_choose_the_id_once(self):
        chosen = str(uuid.uuid4())
        self.assertEqual(chosen, self.create(id=chosen)['id'])
        self.ask('/v2/images', 'POST', document={'id': chosen}, status=409)
        self.ask(f'/v2/images/{chosen}', 'DELETE', status=204)
        self.ask('/v2/images', 'POST', document={'id': chosen}, status=409)

    def test_bad_documents_are_400(self):
        for document in ([], {'id': 'x'}, {'id': f'{uuid.uuid4()}\n'}, {'name': 1}, {'name': 'x' * 256}, {'x': 1},
                         {'x' * 256: 'y'}, {'min_ram': -1}, {'min_disk': 2**31}, {'min_disk': True}, {'tags': 'x'},
                         {'tags': ['x' * 256]}, {'visibility': 'secret'}, {'disk_format': 'zip'}, {'protected': 'no'},
                         {'x': 'y' * 65536}, {'os_hidden': None}, {'owner': 5}):
            self.ask('/v2/images', 'POST', document=document, status=400)

    def test_names_that_callers_do_not_set_are_403(self):
        for name in ('status', 'size', 'checksum', 'created_at', 'self', 'file', 'schema', 'direct_url', 'deleted',
                     'deleted_at', 'location', 'locations', 'os_hash_value', 'os_glance_foo', 'stores'):
            self.ask('/v2/images', 'POST', document={name: 'x'}, status=403)

    def test_an_owner_of_another_project_is_for_administrators(self):
        self.ask('/v2/images', 'POST', document={'owner': 'other-project'}, status=403)
        self.assertEqual('other-project', self.create(ADMIN, owner='other-project')['owner'])

    def test_all_of_unicode_is_kept(self):
        text = 'caf\xe9 \N{GRINNING FACE} \u0645\u0631\u062d\u0628\u0627'
        image = self.create(name=text, prop=text, tags=[text], **{text: 'x'})
        self.assertEqual((text, text, [text], 'x'),
                         tuple(self.show(image['id'])[name] for name in ('name', 'prop', 'tags', text)))

    def test_an_invisible_image_is_404_whatever_is_asked(self):
        image = self.create(visibility='private')
        path = f"/v2/images/{image['id']}"
        for method, where in (('GET', ''), ('HEAD', ''), ('DELETE', ''), ('GET', '/file'), ('GET', '/members'),
                              ('POST', '/actions/deactivate'), ('PUT', '/tags/x'), ('DELETE', '/tags/x')):
            self.ask(path + where, method, ctx=OTHER, status=404)
        self.patch(image['id'], replace('/name', 'x'), ctx=OTHER, status=404)
        self.upload(image['id'], b'x', ctx=OTHER, status=404)

    def test_what_may_be_seen_but_not_changed_is_403(self):
        image = self.create(ADMIN, visibility='public')
        self.assertEqual(image['id'], self.show(image['id'], OTHER)['id'])
        self.patch(image['id'], replace('/name', 'x'), ctx=OTHER, status=403)
        self.ask(f"/v2/images/{image['id']}", 'DELETE', ctx=OTHER, status=403)
        self.ask('/v2/images', 'POST', document={'visibility': 'public'}, status=403)

    def test_a_patch_changes_what_it_names_only(self):
        image = self.create(a='1', b='2', tags=['t'])
        changed = self.patch(image['id'], replace('/name', 'new'), replace('/a', '9'), remove('/b'), add('/c', '3'),
                             replace('/tags', ['u']), add('/min_disk', 5), replace('/os_hidden', True)).json
        self.assertThat(changed, ContainsDict({
            'name': Equals('new'), 'a': Equals('9'), 'c': Equals('3'), 'tags': Equals(['u']), 'min_disk': Equals(5),
            'os_hidden': Equals(True), 'disk_format': Equals('raw')}))
        self.assertNotIn('b', changed)
        self.assertEqual(changed, self.show(image['id']))

    def test_patch_errors_have_their_statuses_and_change_nothing(self):
        image = self.create(a='1')
        for step, status in ((replace('/zzz', 'x'), 409), (remove('/zzz'), 409), (remove('/name'), 403),
                             (replace('/status', 'active'), 403), (add('/locations/-', {'url': 'x'}), 403),
                             (replace('/locations', []), 403), ({'op': 'test', 'path': '/a', 'value': '1'}, 400),
                             (replace('a', 'x'), 400), (replace('/owner', 'x'), 403), (replace('/a', 1), 400),
                             (replace('/visibility', 'public'), 403)):
            self.patch(image['id'], replace('/a', '2'), step, status=status)
        self.assertEqual(image, self.show(image['id']))

    def test_an_empty_patch_is_200(self):
        image = self.create()
        self.assertEqual(image, self.patch(image['id']).json)

    def test_a_patch_of_another_type_is_415_and_told_the_right_ones(self):
        image = self.create()
        answer = self.patch(image['id'], replace('/name', 'x'), media_type='application/json-patch+json', status=415)
        self.assertEqual({app.PATCH_V20, app.PATCH_V21}, set(answer.headers['Accept-Patch'].split(', ')))
        self.patch(image['id'], {'replace': '/name', 'value': 'x'}, media_type=app.PATCH_V20)

    def test_formats_are_fixed_once_there_are_data(self):
        image = self.active()
        self.patch(image['id'], replace('/disk_format', 'qcow2'), status=403)

    def test_a_protected_image_is_not_deleted(self):
        image = self.create(protected=True)
        self.ask(f"/v2/images/{image['id']}", 'DELETE', status=403)
        self.patch(image['id'], replace('/protected', False))
        self.ask(f"/v2/images/{image['id']}", 'DELETE', status=204)
        self.ask(f"/v2/images/{image['id']}", status=404)
        self.ask(f"/v2/images/{image['id']}", 'DELETE', status=404)

    def test_etag_changes_with_every_change_and_guards_reads_and_writes(self):
        image = self.create()
        path = f"/v2/images/{image['id']}"
        first = self.ask(path).headers['ETag']
        self.assertEqual(b'', self.ask(path, If_None_Match=first, status=304).body)
        second = self.patch(image['id'], replace('/name', 'b'), If_Match=first).headers['ETag']
        self.assertNotEqual(first, second)
        self.patch(image['id'], replace('/name', 'c'), If_Match=first, status=412)
        self.ask(path, 'DELETE', If_Match=first, status=412)
        self.ask(path, If_None_Match=first, status=200)
        self.assertEqual('b', self.show(image['id'])['name'])
        self.ask(path, 'DELETE', If_Match=f'{first}, {second}', status=204)

    def test_head_of_an_image_has_the_headers_of_get(self):
        image = self.create()
        path = f"/v2/images/{image['id']}"
        got, head = self.ask(path), self.ask(path, 'HEAD')
        self.assertEqual((200, b''), (head.status_int, head.body))
        for name in ('Content-Length', 'Content-Type', 'ETag'):
            self.assertEqual(got.headers[name], head.headers[name])

    def test_tags_are_added_and_removed(self):
        image = self.create()
        path = f"/v2/images/{image['id']}/tags"
        self.ask(f'{path}/blue', 'PUT', status=204)
        self.ask(f'{path}/blue', 'PUT', status=204)
        self.assertEqual(['blue'], self.show(image['id'])['tags'])
        self.ask(f'{path}/blue', 'DELETE', status=204)
        self.ask(f'{path}/blue', 'DELETE', status=404)
        self.ask(f'{path}/{"x" * 256}', 'PUT', status=400)

    def test_a_body_where_none_belongs_is_400(self):
        image = self.create()
        path = f"/v2/images/{image['id']}"
        for method, where in (('GET', ''), ('DELETE', ''), ('POST', '/actions/deactivate'), ('PUT', '/tags/x')):
            self.ask(path + where, method, b'x', status=400)

    def test_capabilities_that_are_not_here_are_404(self):
        image = self.create()
        path = f"/v2/images/{image['id']}"
        self.ask(f'{path}/export', 'POST', status=404)
        for where in ('/v2/cache', '/v2/metadefs/namespaces', '/v2/info/export'):
            self.ask(where, status=404)

    def test_an_unauthenticated_caller_gets_401_but_the_version_list(self):
        self.ask('/v2/images', ctx=NOBODY, status=401)
        self.ask('/v2/images', 'POST', ctx=NOBODY, document={}, status=401)
        self.ask('/versions', ctx=NOBODY, status=200)
        self.ask('/', ctx=NOBODY, status=300)
        self.ask('/healthcheck', ctx=NOBODY, status=200)

    def test_every_answer_has_a_request_id(self):
        for path in ('/', '/versions', '/v2/images', '/v2/nothing', '/v2/images/x', '/v2'):
            self.assertIn('X-Openstack-Request-Id', self.ask(path).headers, path)
        self.assertIn('X-Openstack-Request-Id', self.ask('/v2/images', ctx=NOBODY).headers)

    def test_errors_are_json_for_those_who_name_it(self):
        answer = self.ask('/v2/images/x', Accept='application/json', status=404)
        self.assertEqual(('image_not_found', 404, answer.headers['X-Openstack-Request-Id']),
                         tuple(answer.json['error'][name] for name in ('code', 'status', 'request_id')))

    def test_schemas_are_published(self):
        for name in ('image', 'images', 'member', 'members'):
            self.assertEqual(name, self.ask(f'/v2/schemas/{name}', status=200).json['name'])
        image = self.ask('/v2/schemas/image').json['properties']
        self.assertIs(False, image['kernel_id']['is_base'])
        self.assertIs(True, image['checksum']['readOnly'])

    def test_a_property_of_the_schema_file_may_be_null(self):
        image = self.create(kernel_id=None)
        self.assertIsNone(self.show(image['id'])['kernel_id'])

    def test_usage_is_empty_without_unified_limits(self):
        self.assertEqual({'usage': {}}, self.ask('/v2/info/usage', status=200).json)


class TestSimple(ImageTests, app.AppTestCase):
    backend = app.SIMPLE


class TestSqlite(ImageTests, app.AppTestCase):
    backend = app.SQLITE


class TestAnonymous(app.AppTestCase):
    options = {'DEFAULT': {'allow_anonymous_access': True}}

    def test_an_anonymous_caller_sees_public_images_and_changes_nothing(self):
        self.create(name='mine')
        image = self.create(ADMIN, name='public', visibility='public')
        self.assertEqual(['public'], self.names(ctx=NOBODY))
        self.ask('/v2/images', 'POST', ctx=NOBODY, document={}, status=403)
        self.ask(f"/v2/images/{image['id']}", 'DELETE', ctx=NOBODY, status=403)


class TestWithoutAuthentication(app.AppTestCase):
    flavor = ''

    def test_everybody_is_administrator_of_one_project(self):
        image = self.create(NOBODY, visibility='public')
        self.assertEqual('admin', image['owner'])


class TestStrictProperties(app.AppTestCase):
    options = {'DEFAULT': {'allow_additional_image_properties': False}}

    def test_properties_that_no_schema_knows_are_400(self):
        self.ask('/v2/images', 'POST', document={'my_own': 'x'}, status=400)
        image = self.create(os_distro='debian')
        self.patch(image['id'], add('/my_own', 'x'), status=400)


class TestPoliciesHide(app.AppTestCase):
    """Peer defect 3: a page whose rows a policy removes must not end the walk."""

    backend = app.SQLITE
    options = {'oslo_policy': {'policy_file': '{tmp}/policy.yaml'}}

    def load(self):
        (self.tmp / 'policy.yaml').write_text('"get_image": "\'seen\':%(name)s or role:admin"\n')
        return super().load()

    def test_peer_defect_3_a_walk_meets_every_image_that_the_policy_allows(self):
        for number in range(12):
            self.create(name='seen' if number in (0, 6, 11) else f'hidden {number}')
        self.assertEqual(['seen'] * 3, self.walk('/v2/images?limit=1'))
        self.assertEqual(['seen'] * 3, self.walk('/v2/images?limit=2'))
