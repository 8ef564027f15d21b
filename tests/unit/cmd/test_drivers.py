"""glance-drivers as an operator and an author call it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import glancelike
from tests import base

ROOT = Path(glancelike.__file__).parent.parent


class Case(base.TestCase):

    def run_it(self, *arguments):
        """(exit code, standard output, standard error); packages in self.tmp are installed for it."""
        done = subprocess.run(
            [sys.executable, '-m', 'glancelike.cmd.drivers', *arguments], capture_output=True, text=True, check=False,
            cwd=self.tmp, env=os.environ | {'PYTHONPATH': f'{ROOT}{os.pathsep}{self.tmp}'})
        self.assertNotIn('Traceback', done.stderr)
        return done.returncode, done.stdout, done.stderr

    def install(self, name, entry_points):
        """A distribution that supplies these entry points."""
        folder = self.tmp / f'{name}-3.1.dist-info'
        folder.mkdir()
        (folder / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: 3.1\n')
        (folder / 'entry_points.txt').write_text(entry_points)


class ListTest(Case):

    def test_every_driver_of_every_namespace_is_listed(self):
        code, text, _ = self.run_it('list')
        self.assertEqual(0, code)
        for word in ('glancelike.store_drivers', 'filesystem', 'glancelike.db_drivers', 'sqlalchemy',
                     'glancelike.property_protections', 'roles', 'location_order', 'noop',
                     'glancelike.import_methods', 'web-download', 'glancelike.import_plugins', 'image_conversion'):
            self.assertIn(word, text)

    def test_a_broken_driver_is_listed_with_the_reason(self):
        (self.tmp / 'broken_driver.py').write_text('import no_such_module_at_all\n')
        self.install('acme-stores', '[glancelike.store_drivers]\nacme = broken_driver:Store\nother = json:loads\n')
        code, text, _ = self.run_it('list')
        self.assertEqual(1, code)
        self.assertIn('acme-stores 3.1', text)
        self.assertIn("BROKEN: ModuleNotFoundError: No module named 'no_such_module_at_all'", text)
        self.assertIn('BROKEN: names no class', text)

    def test_the_list_is_there_as_json(self):
        code, text, _ = self.run_it('list', '--json')
        found = {(one['namespace'], one['name']): one for one in json.loads(text)}
        self.assertEqual('glancelike', found['glancelike.store_drivers', 'memory']['package'])
        self.assertIsNone(found['glancelike.store_drivers', 'memory']['error'])


class CheckTest(Case):

    def test_an_honest_driver_gets_a_certificate(self):
        code, text, _ = self.run_it('check', 'store', 'memory')
        self.assertEqual(0, code, text)
        self.assertRegex(text, r'ADD-2 +held')
        self.assertIn('HOLDS every clause that was tested', text)

    def test_import_methods_and_plugins_can_be_checked(self):
        code, text, _ = self.run_it('check', 'import-plugin', 'no_op')
        self.assertEqual(0, code, text)
        self.assertIn('HOLDS every clause that was tested', text)
        code, _, text = self.run_it('check', 'import-method', 'glance-direct')
        self.assertEqual(1, code)
        self.assertIn('ERROR: driver \'glance-direct\' fetches nothing', text)

    def test_a_broken_driver_is_told_and_the_exit_code_is_1(self):
        code, text, _ = self.run_it('check', 'store', 'tests.broken.store_trial.TrialStore')
        self.assertEqual(1, code)
        self.assertRegex(text, r'GET-3 +failed')
        self.assertIn('ranges are exact: get(0, 1) has 2 B instead of 1 B', text)

    def test_the_certificate_is_there_as_json(self):
        code, text, _ = self.run_it('check', 'store', 'memory', '--json')
        certificate = json.loads(text)
        self.assertEqual((True, 'held'), (certificate['holds'], certificate['clauses']['GET-1']))

    def test_a_driver_that_is_not_there_is_an_error_in_one_line(self):
        code, _, text = self.run_it('check', 'store', 'floppy')
        self.assertEqual(1, code)
        self.assertIn("ERROR: driver 'floppy' of glancelike.store_drivers is not installed", text)

    def test_a_store_without_a_file_is_an_error(self):
        code, _, text = self.run_it('check', 'store', 'memory', '--store', 'fast')
        self.assertEqual((1, 'ERROR: --store needs --config-file.\n'), (code, text))
