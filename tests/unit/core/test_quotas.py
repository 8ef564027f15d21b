"""Quotas, and what of them is Keystone's."""

from unittest import mock

from oslo_config import cfg
from testtools.matchers import Equals, Is

from glancelike import errors
from glancelike.core import quotas
from glancelike.core.quotas import Quotas
from glancelike.core.unified_limits import KeystoneLimits
from glancelike.model.upload import Usage
from tests import base
from tests.unit.core.built import ADMIN, OWNER, CoreTestCase


class StorageBytesTest(base.TestCase):

    def test_units_are_powers_of_1024(self):
        for text, size in (('1', 1), ('7B', 7), ('2KB', 2048), ('3MB', 3 * 2**20), ('4GB', 4 * 2**30), ('1TB', 2**40),
                           (' 5 GB ', 5 * 2**30), ('1tb', 2**40)):
            self.assertThat(quotas.storage_bytes(text), Equals(size))

    def test_0_is_no_quota(self):
        for text in ('0', '0GB', '00'):
            self.assertThat(quotas.storage_bytes(text), Is(None))

    def test_other_forms_stop_the_start_and_name_the_option(self):
        for text in ('', 'GB', '1.5GB', '-1', '1PB', '1G', '1 000', '٣', '1GBs'):
            self.assertIn('user_storage_quota', str(self.assertRaises(errors.ConfigurationError,
                                                                      quotas.storage_bytes, text)))


class QuotasTest(base.TestCase):
    CHECKS = ('check_tags', 'check_properties', 'check_members', 'check_locations')

    def test_the_limit_itself_is_allowed(self):
        held = Quotas(tags=3, properties=3, members=3, locations=3)
        for name in self.CHECKS:
            getattr(held, name)(3)
            self.assertRaises(errors.QuotaExceeded, getattr(held, name), 4)

    def test_negative_is_no_limit_and_0_is_none_at_all(self):
        for name in self.CHECKS:
            getattr(Quotas(tags=-1, properties=-5, members=-1, locations=-1), name)(10**6)
            self.assertRaises(errors.QuotaExceeded,
                              getattr(Quotas(tags=0, properties=0, members=0, locations=0), name), 1)

    def test_what_shrinks_or_stays_is_allowed_above_the_limit(self):
        held = Quotas(tags=3)
        held.check_tags(4, 5)
        held.check_tags(5, 5)
        self.assertRaises(errors.QuotaExceeded, held.check_tags, 6, 5)

    def test_storage_is_limited_as_configured(self):
        self.assertThat(Quotas(storage=7).storage_limit(OWNER, 'owner'), Equals(7))
        self.assertThat(Quotas().storage_limit(OWNER, 'owner'), Is(None))

    def test_without_unified_limits_there_is_no_usage_to_tell(self):
        self.assertThat(Quotas(storage=7).usage(OWNER), Equals({}))


class Limits:
    """Unified limits from a dict, in place of Keystone's."""

    def __init__(self, limits, usage):
        self.limits, self.held, self.enforced = limits, usage, []

    def enforce(self, project_id, deltas):
        self.enforced.append((project_id, dict(deltas)))
        for name, delta in deltas.items():
            if 0 <= self.limits[name] < self.held[name] + delta:
                raise errors.QuotaExceeded(resource=name, limit=self.limits[name], wanted=self.held[name] + delta)

    def of(self, project_id):
        return {name: (self.limits[name], self.held[name]) for name in quotas.RESOURCES}


class UnifiedQuotasTest(CoreTestCase):

    def setUp(self):
        super().setUp()
        self.limits = Limits(dict.fromkeys(quotas.RESOURCES, 2), dict.fromkeys(quotas.RESOURCES, 1))
        self.quotas = Quotas(storage=7, unified=self.limits)
        self.build(quotas=self.quotas)

    def test_a_new_image_counts_against_its_owner(self):
        self.images.create(ADMIN, None, {'owner': 'friend'}, {}, ())
        self.assertThat(self.limits.enforced, Equals([('friend', {'image_count_total': 1})]))

    def test_one_image_too_many_is_refused(self):
        self.limits.held['image_count_total'] = 2
        self.assertRaises(errors.QuotaExceeded, self.images.create, OWNER, None, {}, {}, ())

    def test_an_image_of_nobody_counts_against_nobody(self):
        self.images.create(ADMIN, None, {'owner': None}, {}, ())
        self.assertThat(self.limits.enforced, Equals([('admins', {'image_count_total': 1})]))

    def test_an_upload_too_many_is_refused(self):
        self.quotas.check_new_upload(OWNER)
        self.limits.held['image_count_uploading'] = 2
        self.assertRaises(errors.QuotaExceeded, self.quotas.check_new_upload, ADMIN, 'owner')

    def test_the_storage_limit_is_keystones_in_bytes(self):
        self.assertThat(self.quotas.storage_limit(OWNER, 'owner'), Equals(2 * 2**20))
        self.limits.limits['image_size_total'] = -1
        self.assertThat(self.quotas.storage_limit(OWNER, 'owner'), Is(None))
        self.assertThat(self.quotas.storage_limit(ADMIN, None), Is(None))

    def test_usage_is_told_as_glance_tells_it(self):
        self.assertThat(self.quotas.usage(OWNER), Equals(
            {name: {'usage': 1, 'limit': 2} for name in ('image_size_total', 'image_stage_total', 'image_count_total',
                                                         'image_count_uploading')}))


class KeystoneLimitsTest(base.TestCase):
    """What can be said without a Keystone; with one: tests/functional/real/test_unified_limits.py."""

    def conf(self, text):
        path = self.tmp / 'glance.conf'
        path.write_text(f'[oslo_limit]\n{text}\n')
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[str(path)], default_config_dirs=[])
        return conf

    def refused(self, text):
        return str(self.assertRaises(errors.ConfigurationError, KeystoneLimits, self.conf(text), lambda owner: Usage()))

    def test_a_group_without_log_in_stops_the_start(self):
        self.assertIn('auth_type', self.refused('endpoint_id = e'))

    def test_a_group_without_endpoint_stops_the_start(self):
        self.assertIn('endpoint_id', self.refused('auth_type = password'))

    def test_a_missing_library_stops_the_start(self):
        with mock.patch.dict('sys.modules', {'oslo_limit': None}):
            self.assertIn('glancelike[limits]', self.refused('endpoint_id = e'))

    def test_a_keystone_that_is_down_does_not_stop_the_start_and_is_unavailable_later(self):
        limits = KeystoneLimits(self.conf(
            'auth_type = password\nauth_url = http://127.0.0.1:9/v3\nusername = u\npassword = p\n'
            'user_domain_id = default\nsystem_scope = all\nendpoint_id = e'), lambda owner: Usage())
        self.assertRaises(errors.ServiceUnavailable, limits.enforce, 'project', {'image_count_total': 1})
