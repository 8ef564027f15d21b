"""The code of the driver pages works as written: each page's files are written down and their suite is run."""

import os
import pathlib
import re
import subprocess
import sys
import textwrap

from tests import base

PAGES = pathlib.Path(__file__).parents[2] / 'docs/drivers'
_BLOCK = re.compile(r'^\.\. code-block:: \w+\n   :caption: (?P<path>\S+)\n\n(?P<text>(?:(?:   .*)?\n)+)', re.MULTILINE)


def files_of(page: str) -> dict[str, str]:
    """Path and text of every captioned block of the page."""
    text = (PAGES / page).read_text()
    return {match['path']: textwrap.dedent(match['text']).strip() + '\n' for match in _BLOCK.finditer(text)}


class DriverPagesTest(base.TestCase):

    def run_page(self, page):
        """Write down the page's files and run their suite."""
        files = files_of(page)
        self.assertTrue({'setup.cfg', 'tox.ini', 'pyproject.toml', 'tests/test_compliance.py'} <= set(files), files)
        for path, text in files.items():
            target = self.tmp / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        root = str(PAGES.parents[1])
        done = subprocess.run(
            [sys.executable, '-m', 'testtools.run', 'tests.test_compliance'], cwd=self.tmp, capture_output=True,
            text=True, env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(self.tmp), root])})
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r'Ran [1-9]\d* tests')

    def test_the_store_driver_of_the_page_is_certified(self):
        self.run_page('store.rst')

    def test_the_property_protection_of_the_page_is_certified(self):
        self.run_page('property.rst')

    def test_the_import_method_of_the_page_is_certified(self):
        self.run_page('import.rst')

    def test_the_import_plugin_of_the_page_is_certified(self):
        self.run_page('import_plugin.rst')
