"""The sqlalchemy driver on PostgreSQL, held to the database contract."""

from tests import base
from tests.compliance.sqlalchemy_case import SqlalchemySuite
from tests.servers import databases


class PostgreSQLTest(SqlalchemySuite, databases.OnPostgreSQL, base.TestCase):
    """Every clause on PostgreSQL."""
