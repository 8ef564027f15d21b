"""Database servers that all tests of one process share, and what a driver on them is made of."""

from __future__ import annotations

import functools
import uuid

import sqlalchemy

from glancelike import plugin
from glancelike.db_drivers.sqlalchemy import tables
from glancelike.db_drivers.sqlalchemy.driver import SqlalchemyDriver
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.servers.process import CannotRun, free_port

#: Tries of a driver on a database that does not answer are few: a test waits for them.
PATIENCE = {'max_retries': 0, 'db_call_seconds': 0.3}


@functools.cache
def postgresql() -> PostgreSQL:
    """A running PostgreSQL, started at first use and stopped when this process ends."""
    server = PostgreSQL()
    server.setUp()
    return server


@functools.cache
def mariadb() -> MariaDB:
    """A running MariaDB, started at first use and stopped when this process ends."""
    server = MariaDB()
    server.setUp()
    return server


@functools.cache
def _idle_databases(server: object) -> list[str]:
    """Addresses of databases of that server that nobody uses at the moment."""
    return []


def driver(url: str, **options) -> SqlalchemyDriver:
    """A driver on that database."""
    return SqlalchemyDriver(plugin.options_for(SqlalchemyDriver, **{'connection': url, **options}))


class Sqlite:
    """Mixin: databases in files of the test's folder."""

    def new_url(self) -> str:
        """The address of an empty database, gone after the test."""
        return f'sqlite:///{self.tmp / uuid.uuid4().hex}.sqlite'

    def empty_url(self) -> str:
        """The address of a database in which a driver will find no image; it may have the tables."""
        return self.new_url()

    def dead_url(self) -> str:
        """An address at which nothing answers."""
        return f'sqlite:///{self.tmp / "missing" / "folder.sqlite"}'


class _OnServer:
    """Mixin: databases of a server that the test process shares."""

    def new_url(self) -> str:
        server = self.server()
        name = f't{uuid.uuid4().hex}'
        url = server.create_database(name)
        self.addCleanup(server.drop_database, name)
        return url

    def empty_url(self) -> str:
        """The address of a database in which a driver will find no image; it may have the tables.

        Making tables takes a server longer than most tests, so databases are emptied and used again.
        """
        server = self.server()
        idle = _idle_databases(server)
        url = idle.pop() if idle else server.create_database(f't{uuid.uuid4().hex}')
        self.addCleanup(self._empty, idle, url)
        return url

    @staticmethod
    def _empty(idle: list[str], url: str) -> None:
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        present = sqlalchemy.inspect(engine).get_table_names()
        with engine.begin() as connection:
            for table in reversed(tables.METADATA.sorted_tables):
                if table.name in present:
                    connection.execute(table.delete())
        idle.append(url)

    def server(self):
        """The running server; the test is skipped where its programs are not installed."""
        try:
            return self._server()
        except CannotRun as reason:
            self.skipTest(str(reason))


class OnPostgreSQL(_OnServer):
    """Mixin: databases of a PostgreSQL server."""

    _server = staticmethod(postgresql)

    def dead_url(self) -> str:
        return f'postgresql+psycopg2://u:hidden-word@127.0.0.1:{free_port()}/none'


class OnMariaDB(_OnServer):
    """Mixin: databases of a MariaDB server."""

    _server = staticmethod(mariadb)

    def dead_url(self) -> str:
        return f'mysql+pymysql://u:hidden-word@127.0.0.1:{free_port()}/none'
