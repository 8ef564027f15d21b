"""Keystone's unified limits hold images back, through the real oslo.limit and a real Keystone."""

from oslo_config import cfg
from testtools.matchers import Equals

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.core.quotas import RESOURCES, Quotas
from glancelike.core.unified_limits import KeystoneLimits
from glancelike.model.upload import Usage
from tests import base, servers


class UnifiedLimitsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.keystone = servers.need(self, 'keystone')
        endpoint = self.keystone.create_endpoint('http://127.0.0.1:1')
        for number, resource in enumerate(RESOURCES, start=1):
            self.keystone.register_limit(resource, number)
        self.project_id = self.keystone.create_project('limited')
        self.held = Usage()
        self.quotas = Quotas(unified=KeystoneLimits(self.conf(endpoint), lambda project_id: self.held))
        self.ctx = RequestContext(project_id=self.project_id)

    def conf(self, endpoint):
        path = self.tmp / 'glance.conf'
        options = '\n'.join(f'{name} = {value}' for name, value in self.keystone.limit_options(endpoint).items())
        path.write_text(f'[oslo_limit]\n{options}\n')
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[str(path)], default_config_dirs=[])
        return conf

    def own_limit(self, limit):
        self.addCleanup(self.keystone.drop_limit, self.keystone.set_limit('limited', 'image_size_total', limit))

    def test_registered_limits_and_usage_are_told(self):
        self.held = Usage(stored_bytes=5 * 2**20 + 1, staged_bytes=6 * 2**20, images=7, uploading=8)
        self.assertThat(self.quotas.usage(self.ctx), Equals({
            'image_size_total': {'usage': 5, 'limit': 1}, 'image_stage_total': {'usage': 6, 'limit': 2},
            'image_count_total': {'usage': 7, 'limit': 3}, 'image_count_uploading': {'usage': 8, 'limit': 4}}))

    def test_the_last_image_within_the_limit_is_allowed_and_the_next_refused(self):
        self.held = Usage(images=2)
        self.quotas.check_new_image(self.ctx)
        self.held = Usage(images=3)
        refusal = self.assertRaises(errors.QuotaExceeded, self.quotas.check_new_image, self.ctx)
        self.assertThat(refusal.facts, Equals({'resource': 'image_count_total', 'limit': 3, 'wanted': 4}))

    def test_uploads_at_the_same_time_are_limited(self):
        self.held = Usage(uploading=4)
        self.assertRaises(errors.QuotaExceeded, self.quotas.check_new_upload, self.ctx)

    def test_a_limit_of_the_project_counts_from_the_next_question_on(self):
        self.assertThat(self.quotas.storage_limit(self.ctx, self.project_id), Equals(2**20))
        self.own_limit(50)
        self.assertThat(self.quotas.storage_limit(self.ctx, self.project_id), Equals(50 * 2**20))

    def test_a_limit_of_minus_one_is_none(self):
        self.own_limit(-1)
        self.assertThat(self.quotas.storage_limit(self.ctx, self.project_id), Equals(None))

    def test_an_error_of_our_own_database_comes_out_as_it_is(self):
        def down(project_id):
            raise errors.DatabaseUnavailable()
        self.quotas = Quotas(unified=KeystoneLimits(
            self.conf(self.keystone.create_endpoint('http://127.0.0.1:1')), down))
        self.assertRaises(errors.DatabaseUnavailable, self.quotas.check_new_image, self.ctx)

    def test_a_keystone_that_went_away_is_unavailable_and_comes_back(self):
        self.quotas.check_new_image(self.ctx)
        self.keystone.stop()
        try:
            self.assertRaises(errors.ServiceUnavailable, self.quotas.check_new_image, self.ctx)
        finally:
            self.keystone.start()
        self.quotas.check_new_image(self.ctx)
