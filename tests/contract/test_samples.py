"""The samples in etc/ are what the generators make of the source; ``tox -e genconfig,genpolicy`` writes them again."""

import os
import pathlib
import subprocess
import sys

from oslo_config import cfg

from glancelike import config, loading
from tests import base

ROOT = pathlib.Path(__file__).parents[2]


class SamplesTest(base.TestCase):

    def generate(self, program, settings, *arguments):
        path = self.tmp / 'generated'
        command = [os.path.join(os.path.dirname(sys.executable), program), '--config-file',
                   str(ROOT / 'etc/generator' / settings), '--output-file', str(path), *arguments]
        done = subprocess.run(command, cwd=self.tmp, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual(0, done.returncode, done.stderr)
        return path.read_text()

    def ours(self, text):
        """The part of each group that comes from glancelike; what libraries add changes with their versions."""
        parts, group, source = {}, '', ''
        for line in text.splitlines():
            if line.startswith('['):
                group, source = line, ''
            elif line.startswith('# From '):
                source = line
            elif source == '# From glancelike':
                parts.setdefault(group, []).append(line)
        return {group: '\n'.join(lines).strip() for group, lines in parts.items()}

    def test_the_sample_configuration_is_up_to_date(self):
        foreign = sorted({one.package for namespace in loading.NAMESPACES.values()
                          for one in loading.installed(namespace, load=False)} - {'glancelike'})
        if foreign:
            self.skipTest(f'drivers of {", ".join(foreign)} are installed here and would be in the sample')
        committed = self.ours((ROOT / 'etc/glance.conf.sample').read_text())
        generated = self.ours(self.generate('oslo-config-generator', 'glance.conf'))
        self.assertEqual(sorted(generated), sorted(committed))
        for group, text in generated.items():
            self.assertEqual(text, committed[group], f'{group} of etc/glance.conf.sample: run tox -e genconfig')

    def test_the_sample_configuration_has_every_option(self):
        sample = (ROOT / 'etc/glance.conf.sample').read_text()
        missing = []
        for group, options in loading.list_options():
            section = sample.partition(f'\n[{group}]\n' if group != 'DEFAULT' else '[DEFAULT]\n')[2].partition('\n[')[0]
            missing += [f'[{group}] {option.name}' for option in options
                        if f'\n#{option.name} =' not in section and not _foreign(option)]
        self.assertEqual([], missing)

    def test_the_sample_configuration_can_be_read_as_it_is(self):
        conf = config.load('glance-api', ['--config-file', str(ROOT / 'etc/glance.conf.sample')])
        self.assertEqual([], config.warn_without_effect(conf))

    def test_uncommented_values_of_the_sample_are_values(self):
        """Every ``#name = value`` of ours is one that the option takes, so that removing the ``#`` breaks nothing."""
        lines = []
        for group, text in self.ours((ROOT / 'etc/glance.conf.sample').read_text()).items():
            lines += [group, *(line[1:] for line in text.splitlines()
                               if line[:1] == '#' and line[1:2].isalpha() and not line.endswith('<None>'))]
        path = self.tmp / 'all.conf'
        path.write_text('\n'.join(lines) + '\n')
        config.load('glance-api', ['--config-file', str(path)])

    def test_no_sample_names_the_machine_that_made_it(self):
        for name in ('glance.conf.sample', 'policy.yaml'):
            text = (ROOT / 'etc' / name).read_text()
            for word in (str(ROOT), os.path.expanduser('~') + '/', sys.prefix, os.uname().nodename + '.'):
                self.assertNotIn(word, text, name)

    def test_the_sample_policy_is_up_to_date(self):
        self.assertEqual(self.generate('oslopolicy-sample-generator', 'policy.conf'),
                         (ROOT / 'etc/policy.yaml').read_text(), 'run tox -e genpolicy')

    def test_the_rules_in_force_can_be_asked_for(self):
        """``oslopolicy-policy-generator`` merges a policy file with the defaults."""
        policy = self.tmp / 'policy.yaml'
        policy.write_text('"delete_image": "role:admin"\n')
        (self.tmp / 'glance.conf').write_text(f'[oslo_policy]\npolicy_file = {policy}\n')
        merged = self.run_policy('oslopolicy-policy-generator')
        self.assertIn('"delete_image": "role:admin"', merged)
        self.assertIn('"get_images": "rule:context_is_admin', merged)

    def test_redundant_rules_of_a_policy_file_can_be_listed(self):
        policy = self.tmp / 'policy.yaml'
        policy.write_text('"publicize_image": "rule:context_is_admin"\n"delete_image": "role:admin"\n')
        (self.tmp / 'glance.conf').write_text(f'[oslo_policy]\npolicy_file = {policy}\n')
        redundant = self.run_policy('oslopolicy-list-redundant')
        self.assertIn('publicize_image', redundant)
        self.assertNotIn('delete_image', redundant)

    def run_policy(self, program):
        done = subprocess.run([os.path.join(os.path.dirname(sys.executable), program), '--namespace', 'glancelike',
                               '--config-file', str(self.tmp / 'glance.conf')], cwd=self.tmp,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout


def _foreign(option: cfg.Opt) -> bool:
    """Is it an option of a driver that another package has installed here?"""
    return any(option in getattr(loading.driver_class(namespace, one.name), 'OPTIONS', ())
               for namespace in loading.NAMESPACES.values() for one in loading.installed(namespace)
               if one.package != 'glancelike' and one.error is None)
