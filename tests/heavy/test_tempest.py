"""OpenStack's own tests of the Images API, against the service as real processes with a real Keystone."""

import subprocess

from glancelike.compliance.web_server import WebServer
from tests import base, servers
from tests.servers.glance_api import GlanceApi
from tests.servers.process import CannotRun
from tests.servers.tempest import Outcome, Tempest

# What this service can do, in the words of Tempest's [image-feature-enabled].
FEATURES = {'api_v2': True, 'os_glance_reserved': True, 'import_image': True, 'manage_locations': False,
            'image_conversion': False, 'do_secure_hash': True, 'http_store_enabled': True,
            'store_weight_enabled': False}
# Tests of what does not exist yet and that no feature switch leaves out: the cache, metadata definitions.
ABSENT = r'test_image_caching|[Mm]etadef|MetadataSchemaTest'
REMOTE = 'image_remote'  # service type of the second node
MIB = 2**20


class TempestCase(base.TestCase):
    """Two nodes on one PostgreSQL, with a Keystone and a web server.

    Stores: two of files, and ``web``, which reads from the web server.
    """

    STORES = ('fast', 'cold')

    def setUp(self):
        super().setUp()
        self.keystone = servers.need(self, 'keystone')
        self.web = WebServer()
        self.addCleanup(self.web.stop)
        disk = self.tmp / 'disk.qcow2'
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', str(disk), '8M'], check=True)
        self.web.objects['/disk.qcow2'] = disk.read_bytes()

    def options(self, database):
        backends = [*(f'{store}:filesystem' for store in self.STORES), 'web:http']
        return {
            'DEFAULT': {'enabled_backends': backends, 'known_stores': None, 'default_store': None,
                        'enabled_import_methods': ['glance-direct', 'web-download', 'copy-image', 'glance-download']},
            'database': {'connection': database},
            'glance_store': {'default_backend': self.STORES[0]},
            **{store: {'filesystem_store_datadir': str(self.tmp / store)} for store in self.STORES},
            'web': {'http_store_allow_private': True},
            'import_filtering_opts': {'allowed_hosts': ['127.0.0.1'], 'allowed_ports': [self.web.port]},
            'keystone_authtoken': self.keystone.authtoken(),
        }

    def run_tempest(self, tests: str, options=None, image=None, available=(), **features) -> Outcome:
        """Outcome of a run against nodes of its own; none of its tests may fail.

        :param options: of glance.conf, on top of those above
        :param image: see Tempest
        :param features: on top of FEATURES
        """
        postgresql = servers.need(self, 'postgresql')
        database = postgresql.create_database('tempest')
        self.addCleanup(postgresql.drop_database, 'tempest')
        config = self.options(str(database))
        for group, values in (options or {}).items():
            config[group] = {**config.get(group, {}), **values}
        nodes = [self.useFixture(GlanceApi(config, flavor='keystone')) for _ in range(2)]
        self.keystone.create_endpoint(nodes[0].url)
        self.keystone.create_endpoint(nodes[1].url, REMOTE, REMOTE)
        try:
            tempest = Tempest(self.keystone, self.tmp, {**FEATURES, **features}, {
                'http_image': self.web.url('/disk.qcow2'), 'http_qcow2_image': self.web.url('/disk.qcow2'),
                'alternate_image_endpoint': REMOTE, **(image or {})}, available)
        except CannotRun as error:
            servers.refuse(self, f'Tempest cannot run here: {error}')
        outcome = tempest.run(tests, ABSENT)
        self.assertEqual([], sorted(outcome.failed), outcome.failures())
        for node in nodes:
            self.assertNotIn('Traceback', node.log_text())
        return outcome


class TempestTest(TempestCase):
    def test_the_image_tests_of_tempest_pass(self):
        outcome = self.run_tempest(r'^tempest\.api\.image\.')
        self.assertGreaterEqual(len(outcome.passed), 30, outcome)

    def test_the_location_tests_of_tempest_pass(self):
        outcome = self.run_tempest(r'ImageLocation|[Ll]ocation', manage_locations=True, options={
            'DEFAULT': {'show_multiple_locations': True, 'show_image_direct_url': True}})
        self.assertGreaterEqual(len(outcome.passed), 8, outcome)

    def test_the_location_tests_of_tempest_pass_without_hashing(self):
        outcome = self.run_tempest(r'LocationImport', do_secure_hash=False,
                                   options={'DEFAULT': {'do_secure_hash': False}})
        self.assertGreaterEqual(len(outcome.passed), 2, outcome)
