"""A configuration directory of Glance 33, as an operator has it, with our servers started on it."""

import hashlib
import os
import re
import subprocess
import sys

import requests
from testtools.matchers import Contains, HasLength, Not

from tests import base, servers
from tests.servers.glance_api import BUNDLED, GUNICORN, GlanceApi, config_text
from tests.servers.process import drop_folder, environment, free_port, make_folder, run
from tests.servers.venvs import CHECKOUT

MANAGE = 'import sys; sys.argv[0] = "glance-manage"; from glancelike.cmd.manage import main; sys.exit(main())'

# Groups of glance-api.conf that must count. {folder} is where the data are.
HONOURED = {
    'DEFAULT': {
        'public_endpoint': 'http://images.example.org', 'limit_param_default': 2, 'api_limit_max': 3,
        'image_size_cap': 4_000_000, 'image_tag_quota': 2, 'image_property_quota': 3, 'image_member_quota': 1,
        'image_location_quota': 10,
        'user_storage_quota': '20MB', 'hashing_algorithm': 'sha256', 'show_image_direct_url': True,
        'enabled_backends': ['fast:file', 'cold:file'], 'log_file': '{folder}/api.log', 'use_stderr': True,
        'allow_anonymous_access': False, 'max_request_id_length': 64, 'default_publisher_id': 'image.here',
        'disabled_notifications': ['image.create'],
        'property_protection_file': 'property-protections-roles.conf', 'property_protection_rule_format': 'roles'},
    'database': {'connection': 'sqlite:///{folder}/glance.sqlite', 'max_retries': 3, 'max_pool_size': 5,
                 'connection_recycle_time': 280},
    'paste_deploy': {'flavor': 'keystone'},
    'glance_store': {'default_backend': 'fast'},
    'backend_defaults': {'filesystem_store_file_perm': 640},
    'fast': {'filesystem_store_datadir': '{folder}/fast', 'store_description': 'quick disks', 'weight': 10},
    'cold': {'filesystem_store_datadir': '{folder}/cold', 'store_description': 'large disks'},
    'os_glance_staging_store': {'filesystem_store_datadir': '{folder}/staging'},
    'oslo_policy': {'policy_file': 'policy.yaml', 'enforce_scope': True, 'enforce_new_defaults': True},
    'oslo_middleware': {'enable_proxy_headers_parsing': True},
    'oslo_messaging_notifications': {'driver': 'log'},
    'image_format': {'disk_formats': ['raw', 'qcow2', 'iso'], 'container_formats': ['bare', 'ovf'],
                     'vmdk_allowed_types': ['streamOptimized'], 'require_image_format_match': True},
    'cors': {'allowed_origin': 'https://horizon.example.org', 'max_age': 3600},
    'healthcheck': {'detailed': False},
}

# Options that cannot mean anything here, or not yet: each is named in one warning.
WITHOUT_EFFECT = {
    'DEFAULT': {
        'worker_self_reference_url': 'http://node1.example.org:9292', 'digest_algorithm': 'sha256',
        'image_cache_dir': '/var/lib/glance/image-cache', 'image_cache_driver': 'centralized_db',
        'image_cache_max_size': 10737418240, 'image_cache_stall_time': 86400, 'delayed_delete': False,
        'scrub_time': 0, 'scrub_pool_size': 1, 'wakeup_time': 300, 'pydev_worker_debug_port': 5678},
    'wsgi': {'task_pool_threads': 16, 'python_interpreter': '/usr/bin/python3'},
    'taskflow_executor': {'engine_mode': 'parallel'},
    'profiler': {'enabled': False, 'hmac_keys': 'SECRET_KEY'},
    'oslo_reports': {'file_event_handler': '/var/lib/glance/report'},
    'oslo_concurrency': {'lock_path': '/var/lib/glance/locks'},
}

# glance-image-import.conf, the file beside it; options of a plugin or method that is not in use are warned about.
NOT_IN_USE = {
    'inject_metadata_properties': {'ignore_user_roles': 'admin', 'inject': '"source":"import"'},
    'image_conversion': {'output_format': 'raw'},
    'glance_download_properties': {'extra_properties': 'hw_,trait:'},
}
IMPORT = {
    'DEFAULT': {'enabled_import_methods': '[glance-direct,web-download,copy-image]', 'do_secure_hash': True,
                'http_retries': 3},
    'task': {'task_time_to_live': 48, 'task_executor': 'taskflow'},
    'taskflow_executor': {'max_workers': 10},
    'image_import_opts': {'image_import_plugins': '[no_op]'},
    'import_filtering_opts': {'allowed_schemes': '[http,https]', 'allowed_ports': '[80,443]',
                              'disallowed_hosts': '[]'},
}

PROTECTIONS = '[^secret_.*]\ncreate = admin\nread = admin\nupdate = admin\ndelete = admin\n' \
              '[.*]\ncreate = @\nread = @\nupdate = @\ndelete = @\n'
POLICY = '"communitize_image": "role:admin"\n'

FILTERS = {
    'versionnegotiation': 'glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory',
    'context': 'glance.api.middleware.context:ContextMiddleware.factory',
    'unauthenticated-context': 'glance.api.middleware.context:UnauthenticatedContextMiddleware.factory',
    'cache': 'glance.api.middleware.cache:CacheFilter.factory',
    'cachemanage': 'glance.api.middleware.cache_manage:CacheManageFilter.factory',
    'gzip': 'glance.api.middleware.gzip:GzipMiddleware.factory',
    'authtoken': 'keystonemiddleware.auth_token:filter_factory',
    'osprofiler': 'osprofiler.web:WsgiMiddleware.factory',
    'cors': 'oslo_middleware.cors:filter_factory',
    'http_proxy_to_wsgi': 'oslo_middleware:HTTPProxyToWSGI.factory',
}
# The rest of a filter's section in the file that Glance ships.
FILTER_OPTIONS = {'authtoken': {'delay_auth_decision': 'true'},
                  'osprofiler': {'hmac_keys': 'SECRET_KEY', 'enabled': 'yes'},
                  'cors': {'oslo_config_project': 'glance', 'oslo_config_program': 'glance-api'}}
FLAVORS = {
    '': 'unauthenticated-context', '-caching': 'unauthenticated-context cache',
    '-cachemanagement': 'unauthenticated-context cache cachemanage', '-keystone': 'authtoken context',
    '-keystone+caching': 'authtoken context cache', '-keystone+cachemanagement': 'authtoken context cache cachemanage',
}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def paste_text():
    """A paste file with the sections and class paths of Glance's."""
    options = {}
    for flavor, filters in FLAVORS.items():
        options[f'composite:glance-api{flavor}'] = {
            'paste.composite_factory': 'glance.api:root_app_factory', '/': f'api{flavor}',
            '/healthcheck': 'healthcheck'}
        options[f'pipeline:api{flavor}'] = {
            'pipeline': f'cors http_proxy_to_wsgi versionnegotiation osprofiler {filters} rootapp'}
    options['composite:rootapp'] = {'paste.composite_factory': 'glance.api:root_app_factory', '/': 'apiversions',
                                    '/v2': 'apiv2app'}
    options['app:apiversions'] = {'paste.app_factory': 'glance.api.versions:create_resource'}
    options['app:apiv2app'] = {'paste.app_factory': 'glance.api.v2.router:API.factory'}
    options['app:healthcheck'] = {'paste.app_factory': 'oslo_middleware:Healthcheck.app_factory',
                                  'backends': 'disable_by_file', 'disable_by_file_path': '/etc/glance/healthcheck_off'}
    for name, factory in FILTERS.items():
        options[f'filter:{name}'] = {'paste.filter_factory': factory, **FILTER_OPTIONS.get(name, {})}
    lines = []
    for section, values in options.items():
        lines += [f'[{section}]', *(f'{name} {":" if name.startswith("/") else "="} {value}'
                                    for name, value in values.items())]
    return '\n'.join(lines) + '\n'


class Node(GlanceApi):
    """A node that is told nothing but where its configuration directory is."""

    def _command_line(self):
        command = super()._command_line()
        if '--config-file' in command:
            at = command.index('--config-file')
            del command[at:at + 2]
        return command


class GlanceDirectory(base.TestCase):
    """A Glance 33 configuration directory in ``self.etc``, data in ``self.folder``.

    :cvar flavor: of the paste file
    """

    flavor = 'keystone'

    def setUp(self):
        super().setUp()
        self.keystone = servers.need(self, 'keystone')
        self.keystone.create_user('owner', 'one')
        self.keystone.create_user('other', 'two')
        self.folder = make_folder('operator')
        self.addCleanup(drop_folder, self.folder)
        self.etc = self.folder / 'etc'
        self.etc.mkdir()
        self.port = free_port()
        self.write_directory()
        run([sys.executable, '-c', MANAGE, 'db', 'sync'], log=self.folder / 'manage.log', cwd=CHECKOUT,
            env={'OS_GLANCE_CONFIG_DIR': str(self.etc), 'PYTHONPATH': str(CHECKOUT)})
        self.http = requests.Session()
        self.http.trust_env = False
        self.addCleanup(self.http.close)

    def write_directory(self):
        groups = {}
        for part in (HONOURED, WITHOUT_EFFECT, {'keystone_authtoken': self.keystone.authtoken()},
                     {'DEFAULT': {'bind_host': '127.0.0.1', 'bind_port': self.port, 'workers': 0},
                      'paste_deploy': {'flavor': self.flavor}}):
            for group, options in part.items():
                groups.setdefault(group, {}).update({
                    name: value.replace('{folder}', str(self.folder)) if isinstance(value, str) else value
                    for name, value in options.items()})
        (self.etc / 'glance-api.conf').write_text(config_text(groups))
        (self.etc / 'glance-image-import.conf').write_text(config_text(IMPORT | NOT_IN_USE))
        (self.etc / 'glance-api-paste.ini').write_text(paste_text())
        (self.etc / 'policy.yaml').write_text(POLICY)
        (self.etc / 'property-protections-roles.conf').write_text(PROTECTIONS)

    def start(self, server):
        return self.useFixture(Node(server=server, port=self.port, env={'OS_GLANCE_CONFIG_DIR': str(self.etc)}))

    def ask(self, method, path, token=None, status=None, **request):
        headers = {**({'X-Auth-Token': token} if token else {}), **request.pop('headers', {})}
        answer = self.http.request(method, f'http://127.0.0.1:{self.port}{path}', headers=headers, timeout=60,
                                   allow_redirects=False, **request)
        if status is not None:
            self.assertEqual(status, answer.status_code, f'{method} {path}: {answer.text[:500]}')
        return answer

    def create(self, token, status=201, **fields):
        return self.ask('POST', '/v2/images', token, status, json={
            'name': 'an image', 'disk_format': 'raw', 'container_format': 'bare', **fields}).json()

    def upload(self, image, token, data, status=204, **headers):
        self.ask('PUT', f'/v2/images/{image["id"]}/file', token, status, data=data, headers={
            'Content-Type': 'application/octet-stream', **{name.replace('_', '-'): value
                                                           for name, value in headers.items()}})


class ServedMixin:
    """What every server does with the directory."""

    SERVER = ''

    def setUp(self):
        super().setUp()
        self.api = self.start(self.SERVER)
        self.owner = self.keystone.token('owner', 'one')

    def test_images_are_kept_in_the_configured_stores(self):
        data = os.urandom(300_000)
        for store, wanted in ((None, 'fast'), ('cold', 'cold')):
            image = self.create(self.owner)
            self.upload(image, self.owner, data, **({'X_Image_Meta_Store': store} if store else {}))
            shown = self.ask('GET', f'/v2/images/{image["id"]}', self.owner, 200).json()
            self.assertEqual(('active', wanted, 'sha256', sha256(data)), tuple(
                shown[name] for name in ('status', 'stores', 'os_hash_algo', 'os_hash_value')))
            file = self.folder / wanted / image['id']
            self.assertEqual((f'file://{file}', sha256(data), 0o640), (
                shown['direct_url'], sha256(file.read_bytes()), file.stat().st_mode & 0o777))
            again = self.ask('GET', f'/v2/images/{image["id"]}/file', self.owner, 200).content
            self.assertEqual(sha256(data), sha256(again))
        found = self.ask('GET', '/v2/info/stores', self.owner, 200).json()['stores']
        self.assertEqual([('fast', 'quick disks', 'true'), ('cold', 'large disks', None)],
                         [(one['id'], one['description'], one.get('default')) for one in found])

    def test_limits_formats_rules_and_protections_count(self):
        for number in range(3):
            self.create(self.owner, name=f'image {number}')
        self.assertThat(self.ask('GET', '/v2/images', self.owner, 200).json()['images'], HasLength(2))
        self.assertThat(self.ask('GET', '/v2/images?limit=10', self.owner, 200).json()['images'], HasLength(3))
        self.ask('POST', '/v2/images', self.owner, 400, json={'name': 'x', 'disk_format': 'vmdk'})
        self.ask('POST', '/v2/images', self.owner, 413, json={'tags': ['a', 'b', 'c']})
        self.ask('POST', '/v2/images', self.owner, 413, json={'a': '1', 'b': '2', 'c': '3', 'd': '4'})
        self.upload(self.create(self.owner), self.owner, b'x' * 4_000_001, 413)
        self.ask('POST', '/v2/images', self.owner, 403, json={'visibility': 'community'})  # policy.yaml
        self.ask('POST', '/v2/images', self.owner, 403, json={'secret_thing': 'x'})  # property protections
        self.ask('POST', '/v2/images', self.keystone.token('admin', 'admin'), 201, json={'secret_thing': 'x'})

    def test_tokens_are_asked_of_keystone(self):
        image = self.create(self.owner, visibility='private')
        self.ask('GET', f'/v2/images/{image["id"]}', self.keystone.token('other', 'two'), 404)
        refused = self.ask('GET', '/v2/images', status=401)
        self.assertThat(refused.headers['WWW-Authenticate'], Contains(self.keystone.auth_url))

    def test_what_is_beside_the_images_api_answers(self):
        versions = self.ask('GET', '/', status=300).json()['versions']
        self.assertEqual({'http://images.example.org/v2/'}, {one['links'][0]['href'] for one in versions})
        self.assertEqual('OK', self.ask('GET', '/healthcheck', status=200).text)
        preflight = self.ask('OPTIONS', '/v2/images', status=200, headers={
            'Origin': 'https://horizon.example.org', 'Access-Control-Request-Method': 'PUT'})
        self.assertEqual(('https://horizon.example.org', '3600'), tuple(
            preflight.headers[f'Access-Control-{name}'] for name in ('Allow-Origin', 'Max-Age')))
        stranger = self.ask('OPTIONS', '/v2/images', headers={
            'Origin': 'https://else.example.org', 'Access-Control-Request-Method': 'PUT'})
        self.assertNotIn('Access-Control-Allow-Origin', stranger.headers)

    def test_each_option_without_effect_is_named_in_one_warning_and_no_other_is(self):
        self.ask('GET', '/', status=300)
        wanted = sorted((group, name) for part in (WITHOUT_EFFECT, NOT_IN_USE)
                        for group, options in part.items() for name in options)
        for text in (self.api.log_text(), (self.folder / 'api.log').read_text()):
            self.assertEqual(wanted, sorted(re.findall(r'WARNING .*\[(\w+)\] (\w+) in \S+ has no effect', text)))
            self.assertEqual([], re.findall(r'is not known to any part.*', text))
            self.assertThat(re.findall(r'WARNING .*Profiling is not part', text), HasLength(1))
            self.assertThat(text, Not(Contains('Traceback')))
            self.assertThat(text, Not(Contains('Deprecat')))


class BundledServerTest(ServedMixin, GlanceDirectory):
    """``glance-api`` without any argument."""

    SERVER = BUNDLED

    def test_notifications_go_to_the_log_but_the_disabled_ones(self):
        self.upload(self.create(self.owner), self.owner, b'data')
        self.assertThat(self.api.log_text(), Contains('image.activate'))
        self.assertThat(self.api.log_text(), Not(Contains('image.create')))


class GunicornTest(ServedMixin, GlanceDirectory):
    """``gunicorn glancelike.wsgi_app:application``."""

    SERVER = GUNICORN


class CachingFlavorTest(GlanceDirectory):
    """The flavor of an operator who had the image cache on."""

    flavor = 'keystone+cachemanagement'

    def test_it_serves_without_a_cache_and_says_so(self):
        api = self.start(BUNDLED)
        token = self.keystone.token('owner', 'one')
        image = self.create(token)
        self.upload(image, token, b'data')
        self.assertEqual(b'data', self.ask('GET', f'/v2/images/{image["id"]}/file', token, 200).content)
        for capability in ('The image cache', 'The management of the image cache'):
            self.assertThat(re.findall(f'WARNING .*{capability} is not part of this version', api.log_text()),
                            HasLength(1))


class OtherProgramsTest(GlanceDirectory):
    """Commands that an operator runs beside the service, with the same directory."""

    def command(self, module, *arguments):
        """Exit code and output of one of our programs."""
        code = f'import sys; from glancelike.cmd.{module} import main; sys.exit(main())'
        done = subprocess.run([sys.executable, '-c', code, *arguments], cwd=CHECKOUT, capture_output=True, text=True,
                              timeout=120, env=environment({'OS_GLANCE_CONFIG_DIR': str(self.etc),
                                                            'PYTHONPATH': str(CHECKOUT)}))
        return done.returncode, done.stdout + done.stderr

    def test_they_find_it(self):
        code, text = self.command('manage', 'db', 'check')
        self.assertEqual(0, code, text)
        code, text = self.command('status', 'upgrade', 'check')
        self.assertEqual(1, code, text)  # "warnings": the options without effect
        self.assertThat(text, Contains('image_cache_dir'))
        self.assertThat(text, Not(Contains('Failure')))
        code, text = self.command('drivers', 'list')
        self.assertEqual(0, code, text)
