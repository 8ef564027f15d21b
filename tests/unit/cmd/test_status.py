"""glance-status upgrade check: what it finds, as a table, as JSON, as an exit code."""

import contextlib
import io
import json
import sys

from glancelike.cmd import status
from tests import base
from tests.servers import databases


class StatusTest(base.TestCase):
    """Each test has a glance.conf, a database file and a store folder of its own."""

    def setUp(self):
        super().setUp()
        (self.tmp / 'images').mkdir()
        self.url = f'sqlite:///{self.tmp / "glance.sqlite"}'

    def check(self, *, conf='', database='', synced=True, words=('upgrade', 'check', '--json')):
        """(exit code, result by name of the check, standard output)."""
        if synced:
            driver = databases.driver(self.url)
            driver.create_schema()
            driver.close()
        path = self.tmp / 'glance.conf'
        path.write_text(f'[DEFAULT]\n{conf}\n[glance_store]\nfilesystem_store_datadir = {self.tmp}/images\n'
                        f'[database]\nmax_retries = 0\nconnection = {self.url}\n{database}\n')
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            try:
                code = status.main(['--config-file', str(path), *words])
            except SystemExit as end:
                code = end.code
        text = out.getvalue()
        found = {one['check']: one for line in text.splitlines() if line.startswith('{')  # the log may come before
                 for one in json.loads(line)['checks']}
        return code, found, text

    def test_a_deployment_that_is_ready(self):
        code, found, _ = self.check()
        self.assertEqual((0, {0}), (code, {one['result'] for one in found.values()}), found)

    def test_the_table_names_every_check(self):
        code, _, text = self.check(words=('upgrade', 'check'))
        self.assertEqual(0, code)
        for name in ('Database', 'Policy file', 'Stores', 'Options'):
            self.assertIn(f'Check: {name}', text)

    def test_missing_tables_are_a_failure(self):
        code, found, _ = self.check(synced=False)
        self.assertEqual((2, 2), (code, found['Database']['result']))
        self.assertIn('glance-manage db sync', found['Database']['details'])

    def test_a_json_policy_file_is_a_warning(self):
        (self.tmp / 'policy.json').write_text('{}')
        for conf in ('', f'[oslo_policy]\npolicy_file = {self.tmp}/policy.json'):
            code, found, _ = self.check(conf=conf)
            self.assertEqual((1, 1), (code, found['Policy file']['result']), conf)

    def test_an_option_without_effect_is_a_warning(self):
        code, found, _ = self.check(conf='frobnicate = 1')
        self.assertEqual((1, 1), (code, found['Options']['result']))
        self.assertIn('frobnicate', found['Options']['details'])

    def test_a_store_that_cannot_be_built_is_a_failure(self):
        code, found, _ = self.check(conf='known_stores = no-such-store')
        self.assertEqual((2, 2), (code, found['Stores']['result']))

    def test_a_store_whose_driver_fails_is_a_warning(self):
        (self.tmp / 'failing_store.py').write_text(
            "from glancelike.plugin import StoreDriver\nclass Store(StoreDriver):\n    SCHEMES = ('failing',)\n"
            "    def check(self):\n        raise KeyError('boom')\n")
        sys.path.insert(0, str(self.tmp))
        self.addCleanup(sys.path.remove, str(self.tmp))
        self.addCleanup(sys.modules.pop, 'failing_store', None)
        code, found, _ = self.check(conf='known_stores = failing_store.Store\ndefault_store = failing')
        self.assertEqual((1, 1), (code, found['Stores']['result']))
        self.assertIn("KeyError: 'boom'", found['Stores']['details'])

    def test_a_missing_command_is_refused(self):
        for words in ((), ('upgrade',), ('upgrade', 'frobnicate')):
            self.assertNotEqual(0, self.check(words=words)[0], words)
