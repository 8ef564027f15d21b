"""The in-memory database driver, held to the database contract."""

from glancelike import plugin
from glancelike.compliance.db import DbSuite
from glancelike.db_drivers.simple.driver import SimpleDriver
from tests import base


class SimpleDbTest(DbSuite, base.TestCase):
    """Every clause on ``simple``."""

    def make_driver(self):
        return SimpleDriver(plugin.options_for(SimpleDriver))
