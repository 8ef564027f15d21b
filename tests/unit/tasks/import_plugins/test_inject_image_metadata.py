"""Properties of the operator: who gets them, and which cannot be."""

import dataclasses

from oslo_config import cfg

from glancelike import errors, plugin
from glancelike.tasks.import_plugins.inject_image_metadata import InjectImageMetadata
from tests import base
from tests.unit.tasks.import_plugins import jobs


class InjectTest(base.TestCase):

    def properties(self, caller=None, given=None, **options):
        made = InjectImageMetadata(plugin.options_for(InjectImageMetadata, **options))
        content = dataclasses.replace(jobs.stream(b'x'), properties=given or {})
        return dict(made.process(jobs.job_in(self.tmp, caller=caller), content).properties)

    def test_properties_are_added_and_replace_those_of_the_same_name(self):
        self.assertEqual({'a': '1', 'b': '2', 'c': '3'},
                         self.properties(inject={'a': '1', 'b': '2'}, given={'b': 'old', 'c': '3'}))

    def test_an_importer_with_an_ignored_role_gets_none(self):
        for caller, ignored, expected in (
                (plugin.Caller(roles=frozenset({'admin', 'member'})), ['admin'], {}),
                (plugin.Caller(is_admin=True), ['admin'], {}),
                (plugin.Caller(roles=frozenset({'builder'})), ['Builder '], {}),
                (plugin.Caller(roles=frozenset({'member'})), ['admin'], {'a': '1'}),
                (plugin.Caller(is_admin=True), [], {'a': '1'})):
            self.assertEqual(expected, self.properties(caller, inject={'a': '1'}, ignore_user_roles=ignored))

    def test_names_of_the_service_are_left_out(self):
        given = {'os_glance_import_task': 'x', 'OS_GLANCE_x': 'y', 'a': '1'}
        self.assertEqual({'a': '1'}, self.properties(inject=given))

    def test_a_name_that_no_property_can_have_stops_the_start(self):
        for name in ('status', 'owner', 'self', '', 'x' * 256):
            error = self.assertRaises(errors.ConfigurationError, self.properties, inject={name: 'x'})
            self.assertIn('[inject_metadata_properties] inject', str(error))

    def test_quotes_of_the_old_sample_files_are_no_part_of_a_property(self):
        (self.tmp / 'x.conf').write_text('[inject_metadata_properties]\ninject = "a":"1 2", "b":"x:y",c:3\n')
        conf = cfg.ConfigOpts()
        conf.register_opts(InjectImageMetadata.OPTIONS, group=InjectImageMetadata.OPTION_GROUP)
        conf(['--config-file', str(self.tmp / 'x.conf')], project='x')
        given = conf[InjectImageMetadata.OPTION_GROUP].inject
        self.assertEqual({'a': '1 2', 'b': 'x:y', 'c': '3'}, self.properties(inject=given))
