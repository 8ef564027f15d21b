"""ImagePolicy, held to glancelike's contract of import plugins, and to its own rules."""

import struct
import tempfile

import testtools
from glancelike_image_policy.policy import ImagePolicy

from glancelike import plugin
from glancelike.compliance.import_plugin import ImportPluginSuite, Sample

RULES = """
[small disks]
max_virtual_gib = 10
disk_formats = qcow2
[say what it is]
disk_formats = vdi
required_properties = os_distro
except_roles = builder
[no vmdk]
disk_formats = vmdk
refuse = yes
"""


def qcow2(gib):
    """The beginning of an image with a disk of so many GiB."""
    return struct.pack('>4sIQIIQ', b'QFI\xfb', 3, 0, 0, 16, gib * 2**30).ljust(512, b'\0')


class WithRules:

    def make_plugin(self, rules=RULES):
        opened = tempfile.NamedTemporaryFile('w', suffix='.ini')
        self.addCleanup(opened.close)
        opened.write(rules)
        opened.flush()
        return ImagePolicy(plugin.options_for(ImagePolicy, rules_file=opened.name))


class ImagePolicyTest(WithRules, ImportPluginSuite, testtools.TestCase):
    """Every clause."""

    def refused_samples(self):
        return [Sample('a large disk', qcow2(11), 'qcow2'), Sample('no property', b'data', 'vdi'),
                Sample('a vmdk', b'data', 'vmdk')]


class RulesTest(WithRules, testtools.TestCase):

    def process(self, data, disk_format, properties=None, roles=(), **values):
        image = plugin.Image('x', disk_format=disk_format, container_format='bare', properties=properties or {})
        job = plugin.ImportJob(image, tempfile.gettempdir(), caller=plugin.Caller(roles=frozenset(roles)))
        content = plugin.Content(chunks=[data], head=data, disk_format=disk_format, container_format='bare')
        return content, self.make_plugin(**values).process(job, content)

    def assertPasses(self, *args, **values):
        given, made = self.process(*args, **values)
        self.assertIs(given, made)

    def assertRefused(self, said, *args, **values):
        error = self.assertRaises(plugin.errors.ImportRejected, self.process, *args, **values)
        self.assertIn(said, str(error))

    def test_a_disk_may_be_as_large_as_the_rule_says(self):
        self.assertPasses(qcow2(10), 'qcow2')
        self.assertRefused('up to 10 GiB are accepted (rule "small disks")', qcow2(11), 'qcow2')

    def test_a_property_is_asked_for(self):
        self.assertRefused('os_distro', b'data', 'vdi')
        self.assertPasses(b'data', 'vdi', properties={'os_distro': 'plan9'})

    def test_who_has_the_role_is_not_asked(self):
        self.assertPasses(b'data', 'vdi', roles=['builder'])

    def test_a_format_can_be_refused(self):
        self.assertRefused('no vmdk', b'data', 'vmdk')

    def test_rules_that_cannot_be_stop_the_start(self):
        for rules in ('no section', '[a]\nmax_virtual_gib = much\n', '[a]\nmax_size = 5\n', '[a]\nrefuse = perhaps\n'):
            self.assertRaises(plugin.errors.ConfigurationError, self.make_plugin, rules)
        self.assertRaises(plugin.errors.ConfigurationError, ImagePolicy,
                          plugin.options_for(ImagePolicy, rules_file='/nowhere/rules.ini'))
