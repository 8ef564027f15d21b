"""The packages under ``examples/``, installed in a clean virtual environment and certified there.

What a driver author does: install glancelike, install the package, run the suite, ask ``glance-drivers``.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import base

CHECKOUT = Path(__file__).resolve().parents[3]
EXAMPLES = ('glancelike-ramfs', 'glancelike-jsondb', 'glancelike-project-tags', 'glancelike-mirror-download',
            'glancelike-image-policy')
INSTALL_SECONDS = 900
RUN_SECONDS = 300
# What an installation needs; the checkout itself may hold virtual environments and data.
SOURCES = ('glancelike', 'setup.cfg', 'pyproject.toml', 'README.rst', 'LICENSE', 'examples')


class ExamplesTest(base.TestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = Path(tempfile.mkdtemp(prefix='glancelike-examples-'))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        source = cls.folder / 'source'
        for name in SOURCES:
            origin, copy = CHECKOUT / name, source / name
            if origin.is_dir():
                unwanted = shutil.ignore_patterns('__pycache__', '*.egg-info', '.tox', 'build')
                shutil.copytree(origin, copy, ignore=unwanted)
            else:
                copy.parent.mkdir(exist_ok=True)
                shutil.copy(origin, copy)
        cls.source = source
        cls.bin = cls.folder / 'venv' / 'bin'
        cls.run_command(INSTALL_SECONDS, sys.executable, '-m', 'venv', cls.folder / 'venv')
        # Together, so that pip does not look for glancelike on an index.
        cls.run_command(INSTALL_SECONDS, cls.bin / 'pip', 'install', '--quiet', '--disable-pip-version-check',
                        source, *(source / 'examples' / name for name in EXAMPLES))

    @classmethod
    def run_command(cls, seconds, *command, cwd=None):
        """The command's output. :raises AssertionError: it failed; the message ends with what it said"""
        environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
        done = subprocess.run([str(one) for one in command], cwd=cwd or cls.folder, env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds)
        if done.returncode != 0:
            raise AssertionError(f'{command} exited with {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}')
        return done.stdout

    def suite_of(self, example):
        """Run the package's own compliance test; what unittest printed."""
        return self.run_command(RUN_SECONDS, self.bin / 'python', '-m', 'testtools.run', 'tests.test_compliance',
                                cwd=self.source / 'examples' / example)

    def test_the_store_driver_holds_the_contract(self):
        self.assertRegex(self.suite_of('glancelike-ramfs'), r'Ran [1-9]\d* tests')

    def test_the_database_driver_holds_the_contract(self):
        self.assertRegex(self.suite_of('glancelike-jsondb'), r'Ran [1-9]\d\d tests')

    def test_the_property_policy_holds_the_contract(self):
        self.assertRegex(self.suite_of('glancelike-project-tags'), r'Ran [1-9]\d* tests')

    def test_the_import_method_holds_the_contract(self):
        self.assertRegex(self.suite_of('glancelike-mirror-download'), r'Ran [1-9]\d* tests')

    def test_the_import_plugin_holds_the_contract(self):
        self.assertRegex(self.suite_of('glancelike-image-policy'), r'Ran [1-9]\d* tests')

    def test_the_installed_drivers_are_listed_with_their_packages(self):
        found = json.loads(self.run_command(RUN_SECONDS, self.bin / 'glance-drivers', 'list', '--json'))
        packages = {(one['name'], one['package']): one['error'] for one in found}
        for name, package in (('ramfs', 'glancelike-ramfs'), ('jsondb', 'glancelike-jsondb'),
                              ('filesystem', 'glancelike'), ('image_policy', 'glancelike-image-policy')):
            self.assertIsNone(packages[name, package])

    def test_the_installed_drivers_get_their_certificate(self):
        for kind, name in (('store', 'ramfs'), ('store', 'filesystem'), ('db', 'jsondb'), ('db', 'simple'),
                           ('import-plugin', 'image_policy'), ('import-method', 'web-download')):
            certificate = self.run_command(RUN_SECONDS, self.bin / 'glance-drivers', 'check', kind, name)
            self.assertIn('held', certificate)
            self.assertNotRegex(certificate, r'(?m)\bFAILED\b')
