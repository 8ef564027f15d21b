"""Pipelines: every flavor of the shipped paste file, and a paste file as operators of Glance 33 have it."""

from tests.functional import app
from tests.functional.app import NOBODY, OWNER

GLANCE_33 = """
[composite:glance-api]
paste.composite_factory = glance.api:root_app_factory
/: api
/healthcheck: healthcheck

[pipeline:api]
pipeline = cors http_proxy_to_wsgi versionnegotiation osprofiler unauthenticated-context cache cachemanage rootapp

[composite:glance-api-trusted-auth]
paste.composite_factory = glance.api:root_app_factory
/: api-trusted
/healthcheck: healthcheck

[pipeline:api-trusted]
pipeline = cors http_proxy_to_wsgi versionnegotiation gzip context rootapp

[pipeline:glance-api-older]
pipeline = healthcheck-filter versionnegotiation context rootapp

[composite:rootapp]
paste.composite_factory = glance.api:root_app_factory
/: apiversions
/v2: apiv2app

[app:apiversions]
paste.app_factory = glance.api.versions:create_resource

[app:apiv2app]
paste.app_factory = glance.api.v2.router:API.factory

[app:healthcheck]
paste.app_factory = oslo_middleware:Healthcheck.app_factory
backends = disable_by_file
disable_by_file_path = /nowhere/healthcheck_disable

[filter:healthcheck-filter]
paste.filter_factory = oslo_middleware:Healthcheck.factory

[filter:versionnegotiation]
paste.filter_factory = glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory

[filter:cache]
paste.filter_factory = glance.api.middleware.cache:CacheFilter.factory

[filter:cachemanage]
paste.filter_factory = glance.api.middleware.cache_manage:CacheManageFilter.factory

[filter:context]
paste.filter_factory = glance.api.middleware.context:ContextMiddleware.factory

[filter:unauthenticated-context]
paste.filter_factory = glance.api.middleware.context:UnauthenticatedContextMiddleware.factory

[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
delay_auth_decision = true

[filter:gzip]
paste.filter_factory = glance.api.middleware.gzip:GzipMiddleware.factory

[filter:osprofiler]
paste.filter_factory = osprofiler.web:WsgiMiddleware.factory

[filter:cors]
paste.filter_factory =  oslo_middleware.cors:filter_factory
oslo_config_project = glance
oslo_config_program = glance-api

[filter:http_proxy_to_wsgi]
paste.filter_factory = oslo_middleware:HTTPProxyToWSGI.factory
"""


class TestShipped(app.AppTestCase):

    def test_every_flavor_serves(self):
        for flavor in ('', 'caching', 'cachemanagement', 'trusted-auth'):
            self.flavor = flavor
            self.app = self.load()
            self.ask('/v2/images', ctx=OWNER, status=200)
            self.ask('/healthcheck', ctx=NOBODY, status=200)
            self.ask('/', ctx=NOBODY, status=300)

    def test_a_flavor_with_cache_says_once_that_there_is_none(self):
        self.flavor = 'caching'
        with self.assertLogs('glancelike', 'WARNING') as logged:
            self.load()
        self.assertEqual(1, len([line for line in logged.output if 'cache' in line]), logged.output)

    def test_forged_identity_headers_mean_nothing_with_keystone(self):
        self.options = {'keystone_authtoken': {'auth_type': 'password', 'auth_url': 'http://127.0.0.1:9',
                                               'username': 'glance', 'password': 'x', 'project_name': 'service',
                                               'user_domain_id': 'default', 'project_domain_id': 'default',
                                               'www_authenticate_uri': 'http://keystone.example'}}
        for flavor in ('keystone', 'keystone+caching', 'keystone+cachemanagement'):
            self.flavor = flavor
            self.app = self.load()
            answer = self.ask('/v2/images', ctx=OWNER, status=401)
            self.assertIn('http://keystone.example', answer.headers['WWW-Authenticate'])
            self.assertIn('X-Openstack-Request-Id', answer.headers)
            self.ask('/versions', ctx=NOBODY, status=200)

    def test_a_token_that_nobody_can_check_is_no_wrong_token(self):
        self.options = {'keystone_authtoken': {'auth_type': 'password', 'auth_url': 'http://127.0.0.1:9',
                                               'username': 'glance', 'password': 'x', 'project_name': 'service',
                                               'user_domain_id': 'default', 'project_domain_id': 'default',
                                               'http_request_max_retries': 0}}
        self.flavor = 'keystone'
        self.app = self.load()
        answer = self.ask('/v2/images', ctx={'X-Auth-Token': 'any'}, status=503)
        self.assertIn('Keystone does not answer', answer.text)
        self.assertIn('Retry-After', answer.headers)


class TestGlance33(app.AppTestCase):
    options = {'paste_deploy': {'config_file': '{tmp}/glance-api-paste.ini'}}

    def load(self):
        (self.tmp / 'glance-api-paste.ini').write_text(GLANCE_33)
        return super().load()

    def test_its_paste_file_works_as_it_is(self):
        for flavor, ctx in (('', NOBODY), ('trusted-auth', OWNER), ('older', OWNER)):
            self.flavor = flavor
            self.app = self.load()
            image = self.create(ctx, name='x' * 200)
            answer = self.ask(f"/v2/images/{image['id']}", ctx=ctx, status=200)
            self.assertEqual('x' * 200, answer.json['name'])
            self.ask('/healthcheck', ctx=NOBODY, status=200)
            self.ask('/', ctx=NOBODY, status=300)

    def test_answers_have_a_request_id_there_too(self):
        self.flavor = 'trusted-auth'
        self.app = self.load()
        for path in ('/', '/v2/images', '/v2/nothing'):
            self.assertIn('X-Openstack-Request-Id', self.ask(path).headers, path)


class TestCors(app.AppTestCase):
    options = {'cors': {'allowed_origin': 'https://ui.example'}}

    def test_a_preflight_is_answered_without_a_token(self):
        answer = self.ask('/v2/images', 'OPTIONS', ctx=NOBODY, status=200, Origin='https://ui.example',
                          Access_Control_Request_Method='POST', Access_Control_Request_Headers='x-auth-token')
        self.assertEqual('https://ui.example', answer.headers['Access-Control-Allow-Origin'])

    def test_peer_defect_8_the_headers_of_the_api_are_exposed(self):
        answer = self.ask('/v2/images', 'POST', document={}, Origin='https://ui.example', status=201)
        exposed = answer.headers['Access-Control-Expose-Headers'].lower()
        for name in ('openstack-image-store-ids', 'openstack-image-import-methods', 'x-openstack-request-id'):
            self.assertIn(name, exposed)


class TestServiceRoles(app.AppTestCase):
    options = {'DEFAULT': {'property_protection_file': '{tmp}/rules.conf'}}

    def load(self):
        every = '\n'.join(f'{action} = {{0}}' for action in ('create', 'read', 'update', 'delete'))
        (self.tmp / 'rules.conf').write_text(f"[^secret$]\n{every.format('service')}\n[.*]\n{every.format('@')}\n")
        return super().load()

    def test_peer_defect_9_service_roles_do_not_stay_with_the_caller(self):
        service = app.identity('owner-project', 'member', 'reader', service_roles='service')
        image = self.create(service, secret='x')
        for _ in range(3):
            self.assertEqual('x', self.show(image['id'], service)['secret'])
            self.assertNotIn('secret', self.show(image['id'], OWNER))
        self.assertEqual([], self.names('secret=x'))
        self.assertEqual(['an image'], self.names('secret=x', service))
        self.patch(image['id'], app.replace('/name', 'renamed'))
        self.assertEqual('x', self.show(image['id'], service)['secret'])
        self.patch(image['id'], app.replace('/secret', 'y'), status=409)
        self.patch(image['id'], app.add('/secret', 'y'), status=403)
