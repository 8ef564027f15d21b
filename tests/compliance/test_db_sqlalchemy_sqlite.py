"""The sqlalchemy driver on Sqlite, held to the database contract."""

from tests import base
from tests.compliance.sqlalchemy_case import SqlalchemySuite
from tests.servers import databases


class SqliteTest(SqlalchemySuite, databases.Sqlite, base.TestCase):
    """Every clause on Sqlite."""
