"""The sample rules files: Compute, the owner and a stranger at the five properties by which an image boots."""

import pathlib

from oslo_config import cfg

from glancelike import errors, loading
from glancelike.core.protections import Protections
from glancelike.model.image import Image, ImageChanges
from glancelike.plugin import RequestContext
from glancelike.policies.enforcer import Enforcer
from tests import base

ETC = pathlib.Path(__file__).parents[3] / 'etc'
NAMES = ('block_device_mapping', 'kernel_id', 'ramdisk_id', 'instance_uuid', 'image_type')
OWNER = RequestContext(user_id='mia', project_id='films', roles=frozenset({'member', 'reader'}))
STRANGER = RequestContext(user_id='rob', project_id='books', roles=frozenset({'member', 'reader'}))
#: Compute acts with the owner's token and its own service token beside it.
NOVA = RequestContext(user_id='mia', project_id='films', roles=frozenset({'member', 'reader'}),
                      service_roles=frozenset({'service'}))
ADMIN = RequestContext(user_id='root', project_id='ops', roles=frozenset({'admin'}), is_admin=True)
IMAGE = Image('i', owner='films', properties=dict.fromkeys(NAMES, 'set by compute') | {'colour': 'red'})


class SampleFiles:

    rule_format = ''

    def setUp(self):
        super().setUp()
        conf = cfg.ConfigOpts()
        conf([], project='glance', default_config_files=[])
        conf.register_opts([cfg.StrOpt('property_protection_rule_format', default=self.rule_format)])
        path = ETC / f'property-protections-{self.rule_format}.conf'
        self.protections = Protections(
            loading.load_property_protection(conf, str(path), Enforcer(conf).allowed))

    def refused(self, call, *args):
        self.assertRaises(errors.ProtectedProperty, call, *args)

    def test_compute_sets_changes_and_removes_them(self):
        for ctx in (NOVA, ADMIN):
            self.protections.check_create(ctx, NAMES)
            self.protections.check_changes(ctx, IMAGE, ImageChanges(set_properties={'kernel_id': 'k'}))
            self.protections.check_changes(ctx, IMAGE, ImageChanges(remove_properties=frozenset(NAMES)))

    def test_the_owner_and_a_stranger_do_not(self):
        for ctx in (OWNER, STRANGER):
            for name in NAMES:
                self.refused(self.protections.check_create, ctx, [name])
                self.refused(self.protections.check_changes, ctx, IMAGE, ImageChanges(set_properties={name: 'mine'}))
                self.refused(self.protections.check_changes, ctx, IMAGE,
                             ImageChanges(remove_properties=frozenset({name})))

    def test_everybody_reads_them(self):
        for ctx in (NOVA, OWNER, STRANGER, ADMIN, RequestContext(read_only=True)):
            self.assertEqual(IMAGE.properties, self.protections.readable(ctx, IMAGE).properties)

    def test_all_other_properties_are_free(self):
        self.protections.check_create(OWNER, ['colour', 'kernel_id_old', 'my_image_type'])
        self.protections.check_changes(OWNER, IMAGE, ImageChanges(set_properties={'colour': 'blue'}))
        self.protections.check_changes(OWNER, IMAGE, ImageChanges(remove_properties=frozenset({'colour'})))


class RolesSampleTest(SampleFiles, base.TestCase):
    rule_format = 'roles'


class PoliciesSampleTest(SampleFiles, base.TestCase):
    rule_format = 'policies'
