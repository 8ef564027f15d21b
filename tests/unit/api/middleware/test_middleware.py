"""The filters in front of the API, each over a small application of its own."""

import gzip as gzip_module
import json
import types

import webob
from oslo_config import cfg
from testtools.matchers import MatchesRegex

from glancelike import errors
from glancelike.api import versions
from glancelike.api.middleware import (
    absent,
    context,
    cors,
    gzip,
    healthcheck,
    http_proxy_to_wsgi,
    request_id,
    request_log,
    version_negotiation,
)
from glancelike.conf import api as api_options
from glancelike.conf import stores as store_options
from glancelike.wsgi.request import CONTEXT_KEY, Request
from tests import base


def conf(**values):
    made = cfg.ConfigOpts()
    made.register_opts(api_options.OPTIONS)
    made.register_opts(store_options.DEFAULT_OPTIONS)
    made([], project='glance', default_config_files=[], default_config_dirs=[])
    for name, value in values.items():
        made.set_override(name, value)
    return made


class Database:
    def __init__(self, up=True):
        self.up = up

    def ping(self):
        if not self.up:
            raise errors.DatabaseUnavailable()


class Store:
    def __init__(self, store_id, up=True, read_only=False):
        self.id, self.up = store_id, up
        self.read_only = read_only

    def check(self):
        if not self.up:
            raise errors.StoreUnavailable(store=self.id)


def global_conf(stores=(), database=None, methods=None, **values):
    imports = None if methods is None else types.SimpleNamespace(methods=dict.fromkeys(methods))
    enforcer = types.SimpleNamespace(context_is_admin=lambda ctx: 'admin' in ctx.roles)
    return {'glancelike.services': types.SimpleNamespace(
        conf=conf(**values), enforcer=enforcer, db=database or Database(), imports=imports,
        stores=types.SimpleNamespace(all=lambda: list(stores)))}


def echo(environ, start_response):
    """Shows path and context."""
    ctx = environ.get(CONTEXT_KEY)
    shown = {'path': environ['PATH_INFO']}
    if ctx:
        shown.update(user=ctx.user_id, project=ctx.project_id, roles=sorted(ctx.roles), admin=ctx.is_admin,
                     read_only=ctx.read_only, service_roles=sorted(ctx.service_roles), request_id=ctx.request_id)
    return webob.Response(json_body=shown)(environ, start_response)


def ask(app, path='/', method='GET', **headers):
    return Request.blank(path, method=method, headers={k.replace('_', '-'): v for k, v in headers.items()}
                         ).get_response(app)


class TestRequestId(base.TestCase):

    def app(self, inner=echo, **values):
        return request_id.filter_factory(global_conf(**values))(inner)

    def test_every_answer_has_one(self):
        self.assertThat(ask(self.app()).headers['X-Openstack-Request-Id'], MatchesRegex('req-[0-9a-f-]{36}$'))

    def test_an_id_of_the_caller_is_taken_over_with_its_prefix(self):
        for given, expected in (('req-abc', 'req-abc'), ('abc', 'req-abc')):
            self.assertEqual(expected, ask(self.app(), X_Openstack_Request_Id=given).headers['X-Openstack-Request-Id'])

    def test_odd_characters_are_not_taken_over(self):
        for given in ('a b', 'a\tb', '<x>', 'caf\xe9'):
            got = ask(self.app(), X_Openstack_Request_Id=given).headers['X-Openstack-Request-Id']
            self.assertThat(got, MatchesRegex('req-[0-9a-f-]{36}$'))

    def test_peer_defect_6_a_long_id_is_refused(self):
        got = ask(self.app(), X_Openstack_Request_Id='x' * 65)
        self.assertEqual(431, got.status_int)
        self.assertThat(got.headers['X-Openstack-Request-Id'], MatchesRegex('req-[0-9a-f-]{36}$'))
        self.assertEqual(200, ask(self.app(), X_Openstack_Request_Id='x' * 64).status_int)
        self.assertEqual(431, ask(self.app(max_request_id_length=3), X_Openstack_Request_Id='abcd').status_int)

    def test_an_exception_of_the_pipeline_becomes_a_500_without_details(self):
        def crash(environ, start_response):
            raise RuntimeError('/etc/secret')
        got = ask(self.app(crash))
        self.assertEqual(500, got.status_int)
        self.assertNotIn('secret', got.text)
        self.assertIn(got.headers['X-Openstack-Request-Id'], got.text)

    def test_twice_is_once(self):
        got = ask(request_id.RequestId(self.app(), 64))
        self.assertEqual(1, len(got.headers.getall('X-Openstack-Request-Id')))


class TestContext(base.TestCase):

    def ask(self, anonymous=False, **headers):
        app = request_id.RequestId(
            context.filter_factory(global_conf(allow_anonymous_access=anonymous))(echo), 64)
        return ask(app, **headers)

    def test_a_confirmed_identity(self):
        got = self.ask(X_Identity_Status='Confirmed', X_User_Id='u', X_Project_Id='p', X_Roles=' Member , READER,')
        self.assertEqual({'user': 'u', 'project': 'p', 'roles': ['member', 'reader'], 'admin': False,
                          'read_only': False, 'service_roles': [], 'path': '/',
                          'request_id': got.headers['X-Openstack-Request-Id']}, got.json)

    def test_older_header_names(self):
        got = self.ask(X_Identity_Status='Confirmed', X_User='u', X_Tenant_Id='p', X_Role='admin').json
        self.assertEqual(('u', 'p', True), (got['user'], got['project'], got['admin']))

    def test_no_confirmed_identity_is_401(self):
        for headers in ({}, {'X_Identity_Status': 'Invalid', 'X_User_Id': 'u', 'X_Roles': 'admin'},
                        {'X_Identity_Status': 'confirmed'}):
            self.assertEqual(401, self.ask(**headers).status_int)

    def test_an_anonymous_caller_may_only_read(self):
        got = self.ask(anonymous=True, X_User_Id='u', X_Project_Id='p', X_Roles='admin').json
        self.assertEqual((None, None, [], False, True),
                         (got['user'], got['project'], got['roles'], got['admin'], got['read_only']))

    def test_service_roles_count_with_a_confirmed_service_token_only(self):
        headers = {'X_Identity_Status': 'Confirmed', 'X_Service_Roles': 'Service'}
        self.assertEqual([], self.ask(**headers).json['service_roles'])
        self.assertEqual(['service'],
                         self.ask(X_Service_Identity_Status='Confirmed', **headers).json['service_roles'])

    def test_a_catalog_that_is_no_json_is_400(self):
        for catalog in ('{', '{}', '"x"', '[' * 100_000):
            self.assertEqual(400, self.ask(X_Identity_Status='Confirmed', X_Service_Catalog=catalog).status_int)
        self.assertEqual(200, self.ask(X_Identity_Status='Confirmed', X_Service_Catalog='[{}]').status_int)

    def test_names_in_utf8_are_read_as_such(self):
        wire = 'pr\xf6j'.encode().decode('latin-1')
        self.assertEqual('pr\xf6j', self.ask(X_Identity_Status='Confirmed', X_Project_Id=wire).json['project'])

    def test_without_authentication_everybody_is_admin_of_one_project(self):
        app = context.unauthenticated_filter_factory(global_conf(unauthenticated_project='ours'))(echo)
        got = ask(app, X_Project_Id='other', X_Roles='nobody').json
        self.assertEqual(('ours', True), (got['project'], got['admin']))


class TestVersions(base.TestCase):

    def app(self, **values):
        return version_negotiation.filter_factory(global_conf(**values))(echo)

    def ids(self, **values):
        return [one['id'] for one in ask(self.app(**values), '/versions').json['versions']]

    def test_the_root_and_unknown_beginnings_get_300_and_the_list(self):
        for path in ('/', '/images', '/v1/images', '/v3', '/v2.99/images', '/v2.14/images', '/va.1', '/v10',
                     '/V2/images'):
            got = ask(self.app(), path)
            self.assertEqual((300, 'application/json'), (got.status_int, got.headers['Content-Type']), path)

    def test_versions_is_200(self):
        for path in ('/versions', '/versions/', '/versions/x'):
            self.assertEqual(200, ask(self.app(), path).status_int)

    def test_a_known_version_goes_on_as_v2(self):
        for path in ('/v2/images', '/v2.0/images', '/v2.7/images'):
            self.assertEqual('/v2/images', ask(self.app(), path).json['path'])

    def test_accept_names_the_version_of_a_path_without_one(self):
        for version in ('v2', 'v2.0', 'v2.7'):
            got = ask(self.app(), '/images', Accept=f'application/vnd.openstack.images-{version}')
            self.assertEqual('/v2/images', got.json['path'])
        for accept in ('application/vnd.openstack.images-v10', 'application/vnd.openstack.compute-v2'):
            self.assertEqual(300, ask(self.app(), '/images', Accept=accept).status_int)

    def test_only_what_exists_is_listed_and_the_newest_is_current(self):
        always = {'v2.17', 'v2.13', 'v2.12', 'v2.9', 'v2.7', 'v2.5', 'v2.4', 'v2.3', 'v2.2', 'v2.1', 'v2.0'}
        several = {'enabled_backends': {'fast': 'filesystem'}}
        for more, given in (
                (set(), {}), ({'v2.6'}, {'methods': ['copy-image']}), ({'v2.8', 'v2.15'}, several),
                ({'v2.6', 'v2.8', 'v2.15'}, {'methods': ['web-download'], **several}),
                ({'v2.6', 'v2.8', 'v2.10', 'v2.11', 'v2.15'}, {'methods': ['copy-image'], **several})):
            listed = self.ids(**given)
            self.assertEqual(always | more, set(listed))
            self.assertEqual(sorted(listed, key=lambda one: -int(one.removeprefix('v2.'))), listed)
        statuses = [one['status'] for one in ask(self.app(), '/').json['versions']]
        self.assertEqual(['CURRENT'] + ['SUPPORTED'] * 10, statuses)

    def test_links_begin_with_the_public_endpoint_or_the_callers_host(self):
        def href(**values):
            return ask(self.app(**values), '/').json['versions'][0]['links'][0]['href']
        self.assertEqual('http://localhost/v2/', href())
        self.assertEqual('https://images.example/v2/', href(public_endpoint='https://images.example/'))

    def test_a_composite_sends_v2_to_its_slash(self):
        app = versions.PathMap({'/': echo, '/v2': echo})
        got = ask(app, '/v2')
        self.assertEqual((302, 'http://localhost/v2/'), (got.status_int, got.headers['Location']))
        self.assertEqual('/images', ask(app, '/v2/images').json['path'])
        self.assertEqual('/v2x', ask(app, '/v2x').json['path'])
        self.assertEqual(404, ask(versions.PathMap({'/v2': echo}), '/other').status_int)


class TestGzip(base.TestCase):

    def app(self, body, content_type='application/json', etag='"x"'):
        def inner(environ, start_response):
            return webob.Response(body=body, content_type=content_type, headerlist=[
                ('Content-Type', content_type), ('ETag', etag)])(environ, start_response)
        return gzip.filter_factory({})(inner)

    def test_long_json_is_compressed_for_those_who_accept_it(self):
        body = json.dumps({'a': 'x' * 5000}).encode()
        got = ask(self.app(body), Accept_Encoding='deflate, gzip')
        self.assertEqual(('gzip', body, 'W/"x"'), (got.headers['Content-Encoding'],
                                                   gzip_module.decompress(got.body), got.headers['ETag']))
        for accept in ('', 'gzip;q=0', 'identity'):
            self.assertEqual(body, ask(self.app(body), Accept_Encoding=accept).body)

    def test_data_and_short_answers_stay_as_they_are(self):
        self.assertEqual(b'x' * 5000, ask(self.app(b'x' * 5000, 'application/octet-stream'),
                                          Accept_Encoding='gzip').body)
        self.assertEqual(b'{}', ask(self.app(b'{}'), Accept_Encoding='gzip').body)


class TestHealthcheck(base.TestCase):

    def ask(self, path='/healthcheck', accept='text/plain', stores=None, database=None, **local):
        app = healthcheck.filter_factory(global_conf(stores or [Store('a')], database), **local)(echo)
        return ask(app, path, Accept=accept)

    def test_all_well_is_200_ok(self):
        got = self.ask()
        self.assertEqual((200, 'OK'), (got.status_int, got.text))

    def test_a_database_that_does_not_answer_is_503(self):
        got = self.ask(database=Database(up=False))
        self.assertEqual((503, 'database does not answer'), (got.status_int, got.text))

    def test_one_store_of_two_down_is_told_but_healthy(self):
        got = self.ask(stores=(Store('a'), Store('b', up=False)))
        self.assertEqual((200, 'OK\nstore b down'), (got.status_int, got.text))

    def test_a_read_only_store_that_is_up_does_not_make_up_for_the_others(self):
        got = self.ask(stores=(Store('a', up=False), Store('web', read_only=True)))
        self.assertEqual((503, 'store a down'), (got.status_int, got.text))

    def test_no_store_up_is_503(self):
        self.assertEqual(503, self.ask(stores=(Store('a', up=False), Store('b', up=False))).status_int)

    def test_json_has_the_reasons(self):
        got = self.ask(accept='application/json', stores=(Store('a'), Store('b', up=False)))
        self.assertEqual(['OK', 'store b down'], got.json['reasons'])
        detailed = self.ask(accept='application/json', detailed='true').json
        self.assertIn('database answers', [one['details'] for one in detailed['reasons']])

    def test_a_file_disables_it(self):
        path = self.tmp / 'down'
        local = {'backends': 'disable_by_file', 'disable_by_file_path': str(path)}
        self.assertEqual(200, self.ask(**local).status_int)
        path.touch()
        self.assertEqual(503, self.ask(**local).status_int)

    def test_other_paths_go_on(self):
        self.assertEqual('/v2/images', self.ask('/v2/images').json['path'])

    def test_as_an_application_it_answers(self):
        app = healthcheck.app_factory(global_conf([Store('a')]))
        self.assertEqual(200, ask(app, '/').status_int)
        self.assertEqual(b'', ask(app, '/', 'HEAD').body)


class TestOthers(base.TestCase):

    def test_peer_defect_8_cors_exposes_the_headers_of_this_api(self):
        made = global_conf()
        app_factory = cors.filter_factory(made)
        made['glancelike.services'].conf.set_override('allowed_origin', ['https://ui.example'], group='cors')
        got = ask(app_factory(echo), Origin='https://ui.example')
        self.assertEqual('https://ui.example', got.headers['Access-Control-Allow-Origin'])
        exposed = {one.lower() for one in got.headers['Access-Control-Expose-Headers'].split(',')}
        for name in ('openstack-image-store-ids', 'openstack-image-import-methods', 'x-openstack-request-id', 'etag'):
            self.assertIn(name, exposed)

    def test_cors_answers_a_preflight(self):
        made = global_conf()
        app_factory = cors.filter_factory(made, oslo_config_project='glance')
        made['glancelike.services'].conf.set_override('allowed_origin', ['https://ui.example'], group='cors')
        got = ask(app_factory(echo), method='OPTIONS', Origin='https://ui.example',
                  Access_Control_Request_Method='PUT', Access_Control_Request_Headers='x-image-meta-store')
        self.assertEqual('PUT', got.headers['Access-Control-Allow-Methods'])

    def test_proxy_headers_are_believed_by_option_only(self):
        made = global_conf()

        def href():
            app = http_proxy_to_wsgi.filter_factory(made)(version_negotiation.filter_factory(made)(echo))
            return ask(app, X_Forwarded_Proto='https', X_Forwarded_Host='x.example').json['versions'][0]['links'][0]
        self.assertEqual('http://localhost/v2/', href()['href'])
        made['glancelike.services'].conf.set_override('enable_proxy_headers_parsing', True, group='oslo_middleware')
        self.assertEqual('https://x.example/v2/', href()['href'])

    def test_the_request_log_has_one_line_on_which_nobody_can_forge_another(self):
        app = request_log.filter_factory({})(echo)
        with self.assertLogs(request_log.LOG, 'INFO') as logged:
            req = Request.blank('/v2/images')
            req.environ['PATH_INFO'] = '/v2/a\nINFO forged'
            req.get_response(app)
        self.assertEqual(1, len(logged.output))
        self.assertNotIn('\n', logged.output[0])
        self.assertIn('200', logged.output[0])

    def test_an_absent_capability_passes_through_with_one_warning(self):
        with self.assertLogs(absent.LOG, 'WARNING') as logged:
            app = absent.filter_factory({}, capability='the image cache')(echo)
        self.assertIs(echo, app)
        self.assertEqual(1, len(logged.output))
