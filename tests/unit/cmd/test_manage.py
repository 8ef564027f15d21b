"""glance-manage on a real file, its exit codes and old spellings."""

import contextlib
import io
import uuid

from glancelike.cmd import manage
from glancelike.plugin import Image, RequestContext
from tests import base
from tests.servers import databases

ADMIN = RequestContext(user_id='administrator', is_admin=True)


class ManageTest(base.TestCase):
    """Each test has a glance.conf and a database file of its own."""

    def setUp(self):
        super().setUp()
        self.url = f'sqlite:///{self.tmp / "glance.sqlite"}'
        self.write(f'[database]\nconnection = {self.url}\nmax_retries = 0\n')

    def write(self, text):
        self.conf = self.tmp / 'glance.conf'
        self.conf.write_text(text)

    def run_manage(self, *words):
        """(exit code, standard output, standard error) of one call."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = manage.main(['--config-file', str(self.conf), *words])
            except SystemExit as end:
                code = end.code
        return code, out.getvalue(), err.getvalue()

    def test_the_phases_of_an_upgrade_one_by_one(self):
        for words, code in ((['check'], 3), (['migrate'], 1), (['contract'], 1), (['expand'], 0), (['check'], 5),
                            (['migrate'], 0), (['contract'], 0), (['check'], 0)):
            self.assertEqual(code, self.run_manage('db', *words)[0], words)

    def test_sync_does_all_phases_and_may_be_repeated(self):
        for _ in range(2):
            self.assertEqual(0, self.run_manage('db', 'sync')[0])
        self.assertEqual(0, self.run_manage('db', 'check')[0])

    def test_old_spellings_work(self):
        self.assertIn('no version\n', self.run_manage('db_version')[1])
        self.assertEqual(0, self.run_manage('db_sync')[0])
        self.assertEqual(0, self.run_manage('db_check')[0])
        self.assertIn('g2026_1_expand03', self.run_manage('db_version')[1])

    def test_versions_can_be_named_both_ways(self):
        self.assertEqual(0, self.run_manage('db', 'upgrade', '--version', 'g2026_1_expand03')[0])
        self.assertEqual(5, self.run_manage('db', 'check')[0])
        self.assertEqual(0, self.run_manage('db', 'sync', 'heads')[0])
        self.assertEqual(0, self.run_manage('db', 'version_control', 'heads')[0])
        code, _, told = self.run_manage('db', 'upgrade', 'unknown-one')
        self.assertEqual((1, True), (code, told.startswith('ERROR: ')))

    def test_purge_removes_what_was_deleted_and_counts_it(self):
        self.run_manage('db', 'sync')
        driver = databases.driver(self.url)
        self.addCleanup(driver.close)
        image = Image(id=str(uuid.uuid4()), properties={'a': '1', 'b': '2'}, tags=frozenset('t'))
        driver.image_create(ADMIN, image)
        driver.image_delete(ADMIN, image.id)
        self.assertIn('image_properties: 0 rows removed', self.run_manage('db', 'purge')[1])
        code, told, _ = self.run_manage('db', 'purge', '--age_in_days', '0', '--max_rows', '1')
        self.assertEqual((0, True), (code, 'image_properties: 1 rows removed' in told))
        told = self.run_manage('db', 'purge_images_table', '--age_in_days', '0', '--max_rows', '-1')[1]
        self.assertIn('images: 1 rows removed', told)
        self.assertEqual(image.id, driver.image_create(ADMIN, image).id)

    def test_wrong_numbers_are_refused(self):
        for words in (['--age_in_days', '-1'], ['--age_in_days', '99999'], ['--age_in_days', 'x'],
                      ['--max_rows', '0'], ['--max_rows', '-2']):
            self.assertEqual(2, self.run_manage('db', 'purge', *words)[0], words)

    def test_a_missing_or_unknown_command_is_refused(self):
        for words in ([], ['db'], ['db', 'frobnicate']):
            self.assertNotEqual(0, self.run_manage(*words)[0], words)

    def test_help_and_version_need_no_database(self):
        self.write('')
        self.assertEqual(0, self.run_manage('--help')[0])
        self.assertEqual(0, self.run_manage('--version')[0])

    def test_another_driver_has_no_tables(self):
        self.write('[DEFAULT]\ndata_api = simple\n')
        code, _, told = self.run_manage('db', 'sync')
        self.assertEqual((1, True), (code, 'data_api = sqlalchemy' in told))

    def test_an_address_that_cannot_work_is_told(self):
        for address, words in ((f'sqlite:///{self.tmp}/missing/file.sqlite', 'cannot work'), ('', 'set connection')):
            self.write(f'[database]\nconnection = {address}\nmax_retries = 0\n')
            code, _, told = self.run_manage('db', 'sync')
            self.assertEqual((1, True), (code, words in told), told)

    def test_the_historical_name_of_the_address_works(self):
        self.write(f'[DEFAULT]\nsql_connection = {self.url}\n')
        self.assertEqual(0, self.run_manage('db', 'sync')[0])
