"""OpenStack's own tests of the Images API, against the service as a real process with a real Keystone."""

from tests import base, servers
from tests.servers.glance_api import GlanceApi
from tests.servers.process import CannotRun
from tests.servers.tempest import Tempest

# What this service cannot do yet, in the words of Tempest's [image-feature-enabled].
FEATURES = {'api_v2': True, 'os_glance_reserved': True, 'import_image': False, 'manage_locations': False,
            'image_conversion': False, 'do_secure_hash': False, 'http_store_enabled': False,
            'store_weight_enabled': False}
STORES = {'DEFAULT': {'enabled_backends': 'fast:filesystem,cold:filesystem', 'known_stores': None,
                      'default_store': None},
          'glance_store': {'default_backend': 'fast'}}
# Tests of what does not exist yet and that no feature switch leaves out: tasks, the cache, metadata definitions.
ABSENT = r'ImageTaskCreate|test_image_caching|[Mm]etadef|MetadataSchemaTest'


class TempestTest(base.TestCase):
    """Every test of images in Tempest and in glance-tempest-plugin that fits what this version can do."""

    def run_tempest(self, tests, options=None, **features):
        """Outcome of a run against a node of its own."""
        keystone = servers.need(self, 'keystone')
        folders = {store: {'filesystem_store_datadir': str(self.tmp / store)} for store in ('fast', 'cold')}
        api = self.useFixture(GlanceApi({**STORES, **folders, 'keystone_authtoken': keystone.authtoken(),
                                         **(options or {})}, flavor='keystone'))
        keystone.create_endpoint(api.url)
        try:
            tempest = Tempest(keystone, self.tmp, {**FEATURES, **features})
        except CannotRun as error:
            servers.refuse(self, f'Tempest cannot run here: {error}')
        outcome = tempest.run(tests, ABSENT)
        self.assertEqual([], sorted(outcome.failed), outcome.failures())
        self.assertNotIn('Traceback', api.log_text())
        return outcome

    def test_the_image_tests_of_tempest_pass(self):
        outcome = self.run_tempest(r'^tempest\.api\.image\.')
        self.assertGreaterEqual(len(outcome.passed), 30, outcome)

    def test_the_list_tests_of_tempest_pass(self):
        """They upload bytes that are not what they are said to be."""
        outcome = self.run_tempest(r'^tempest\.api\.image\.v2\.test_images\.ListUserImagesTest',
                                   {'image_format': {'require_image_format_match': False}},
                                   image_format_enforcement=False)
        self.assertGreaterEqual(len(outcome.passed), 17, outcome)

    def test_the_role_tests_of_glance_tempest_plugin_pass(self):
        outcome = self.run_tempest(r'^glance_tempest_plugin\.tests\.rbac\.v2\.test_project_\w+\.Image')
        self.assertGreaterEqual(len(outcome.passed), 42, outcome)
