"""JsonDbDriver, held to glancelike's database contract."""

import shutil
import tempfile

import testtools
from glancelike_jsondb.driver import JsonDbDriver

from glancelike import plugin
from glancelike.compliance.db import DbSuite


class JsonDbTest(DbSuite, testtools.TestCase):
    """Every clause, each test with a file of its own."""

    def make_driver(self):
        return self._driver('images.json')

    def reopen(self, driver):
        return JsonDbDriver(driver.options)

    def make_bare_driver(self):
        return self._driver('bare.json')

    def make_unreachable_driver(self):
        return self._driver('absent-folder/images.json')

    def setUp(self):
        self._folder = tempfile.mkdtemp(prefix='jsondb-')
        super().setUp()
        self.addCleanup(shutil.rmtree, self._folder)

    def _driver(self, name):
        return JsonDbDriver(plugin.options_for(JsonDbDriver, path=f'{self._folder}/{name}'))
