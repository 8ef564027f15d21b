"""The sqlalchemy driver on MariaDB, held to the database contract."""

from tests import base
from tests.compliance.sqlalchemy_case import SqlalchemySuite
from tests.servers import databases


class MariaDBTest(SqlalchemySuite, databases.OnMariaDB, base.TestCase):
    """Every clause on MariaDB."""
