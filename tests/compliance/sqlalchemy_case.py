"""What the suites of the sqlalchemy driver have in common on every database."""

from glancelike.compliance.db import DbSuite
from tests.servers import databases


class SqlalchemySuite(DbSuite):
    """Every clause on ``sqlalchemy``; mix it with one of ``tests.servers.databases``."""

    def make_driver(self):
        return databases.driver(self.empty_url())

    def reopen(self, driver):
        return type(driver)(driver.options)

    def make_bare_driver(self):
        return databases.driver(self.new_url())

    def make_unreachable_driver(self):
        return databases.driver(self.dead_url(), **databases.PATIENCE)
