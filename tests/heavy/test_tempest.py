"""OpenStack's own tests of the Images API, against the service as real processes with a real Keystone."""

import json
import subprocess

from testtools.content import text_content

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
# These need two stores that can be written.
COPIES = r'ImportCopyImagesTest|test_delete_image_from_specific_store'
REMOTE = 'image_remote'  # service type of the second node
WEB = 'web:http'
METHODS = ['glance-direct', 'web-download', 'copy-image', 'glance-download']


class TempestCase(base.TestCase):
    """Two nodes with one PostgreSQL and a Keystone, and a web server."""

    def setUp(self):
        super().setUp()
        self.keystone = servers.need(self, 'keystone')
        self.web = WebServer()
        self.addCleanup(self.web.stop)
        self.web.objects['/disk.qcow2'] = self.make_disk('qcow2').read_bytes()

    def make_disk(self, fmt, *options):
        disk = self.tmp / f'disk.{fmt}'
        try:
            subprocess.run(['qemu-img', 'create', '-q', '-f', fmt, *options, disk, '8M'], check=True)
        except FileNotFoundError:
            self.skipTest('qemu-img is not installed')
        return disk

    def options(self, stores, database):
        """:param stores: the stores of files. Tempest takes it that images are in stores in alphabetical order."""
        options = {
            'DEFAULT': {'enabled_import_methods': METHODS},
            'database': {'connection': database},
            # Tempest serves data on a port of its own choice, and waits a minute for what cannot be had.
            'import_filtering_opts': {'allowed_networks': '0.0.0.0/0', 'allowed_ports': '', 'download_retries': 0},
            'keystone_authtoken': self.keystone.authtoken(),
        }
        if not stores:
            return options | {
                'DEFAULT': {'enabled_import_methods': METHODS, 'known_stores': ['filesystem', 'http']},
                'glance_store': {'filesystem_store_datadir': str(self.tmp / 'one'), 'http_store_allow_private': True}}
        options['DEFAULT'] |= {'enabled_backends': [*(f'{store}:filesystem' for store in stores), WEB],
                               'known_stores': None, 'default_store': None}
        return options | {
            'glance_store': {'default_backend': stores[0]},
            **{store: {'filesystem_store_datadir': str(self.tmp / store), 'weight': 10 - number}
               for number, store in enumerate(stores)},
            'web': {'http_store_allow_private': True},
        }

    def run_tempest(self, tests: str, stores=('fast', 'slow'), options=None, image=None, available=(), exclude=(),
                    **features) -> Outcome:
        """Outcome of a run against nodes of its own; none of its tests may fail.

        :param stores: those of files; there is also one, ``web``, which reads from web servers. None: a service as it
            was before it could have several
        :param options: of glance.conf, on top of those above
        :param image, available: see Tempest
        :param features: on top of FEATURES
        """
        postgresql = servers.need(self, 'postgresql')
        database = postgresql.create_database('tempest')
        self.addCleanup(postgresql.drop_database, 'tempest')
        config = self.options(stores, str(database))
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
        outcome = tempest.run(tests, '|'.join([ABSENT, *exclude]))
        self.addDetail('outcome', text_content(json.dumps(
            {'passed': outcome.passed, 'skipped': outcome.skipped}, indent=1)))
        self.assertEqual([], sorted(outcome.failed), outcome.failures())
        for node in nodes:
            self.assertNotIn('Traceback', node.log_text())
        return outcome


class TempestTest(TempestCase):
    """Every test of images in Tempest and in glance-tempest-plugin that fits what this version can do."""

    def test_the_image_tests_of_tempest_pass(self):
        """With one store of files: an import into the default store is expected in all stores that can be written."""
        outcome = self.run_tempest(r'^tempest\.api\.image\.', ['fast'], exclude=[COPIES])
        self.assertGreaterEqual(len(outcome.passed), 45, outcome)

    def test_the_tests_of_several_stores_pass(self):
        outcome = self.run_tempest(r'MultiStores|MultistoreLocation|StoreWeight|ImportCopyImages',
                                   store_weight_enabled=True)
        self.assertGreaterEqual(len(outcome.passed), 6, outcome)

    def test_the_tests_of_locations_pass_with_a_single_store(self):
        outcome = self.run_tempest(r'^tempest\.api\.image\..*LocationImportTest', ())
        self.assertGreaterEqual(len(outcome.passed), 1, outcome)

    def test_the_tests_of_locations_pass(self):
        outcome = self.run_tempest(r'^tempest\.api\.image\..*ImageLocations', options={
            'DEFAULT': {'show_multiple_locations': True, 'show_image_direct_url': True}}, manage_locations=True)
        self.assertGreaterEqual(len(outcome.passed), 8, outcome)

    def test_the_tests_of_locations_without_hashes_pass(self):
        outcome = self.run_tempest(r'^tempest\.api\.image\..*LocationImport', options={
            'DEFAULT': {'do_secure_hash': False}}, do_secure_hash=False)
        self.assertGreaterEqual(len(outcome.passed), 2, outcome)

    def test_the_tests_of_formats_pass(self):
        """They are tests of Nova too, and run where it is said to be there; those that use it skip by themselves."""
        listed = [{'name': 'qcow2', 'format': 'qcow2', 'usable': True, 'filename': self.make_disk('qcow2').name}]
        for fmt, options in (('vmdk', ['-o', 'subformat=streamOptimized']), ('vdi', []), ('vhdx', []), ('raw', [])):
            disk = self.make_disk(fmt, *options)
            listed.append({'name': fmt, 'format': fmt, 'usable': True, 'filename': disk.name})
        backed = self.tmp / 'backed.qcow2'
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', self.tmp / 'disk.qcow2', '-F', 'qcow2',
                        backed], check=True)
        listed.append({'name': 'backed', 'format': 'qcow2', 'usable': False, 'filename': backed.name})
        manifest = self.tmp / 'manifest.yaml'
        manifest.write_text(json.dumps({'images': listed}))
        outcome = self.run_tempest(
            r'^tempest\.api\.image\.v2\.test_images_formats', ['fast'], {
                'image_import_opts': {'image_import_plugins': ['image_conversion']}},
            {'images_manifest_file': str(manifest)}, ('nova',), image_conversion=True)
        self.assertGreaterEqual(len(outcome.passed), 10, outcome)

    def test_the_list_tests_of_tempest_pass(self):
        """They upload bytes that are not what they are said to be."""
        outcome = self.run_tempest(r'^tempest\.api\.image\.v2\.test_images\.ListUserImagesTest', options={
            'image_format': {'require_image_format_match': False}}, image_format_enforcement=False)
        self.assertGreaterEqual(len(outcome.passed), 17, outcome)

    def test_the_role_tests_of_glance_tempest_plugin_pass(self):
        outcome = self.run_tempest(r'^glance_tempest_plugin\.tests\.rbac\.v2\.test_project_\w+\.Image')
        self.assertGreaterEqual(len(outcome.passed), 42, outcome)
