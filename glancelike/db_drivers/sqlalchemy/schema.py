"""The tables' versions, kept by alembic in two branches.

``expand`` adds what a new release needs and what an old one can live with; *migrations of data* fill it while the
service runs; ``contract`` removes what only old releases needed. An upgrade without downtime runs them one by one
(``glance-manage db expand``, restart into the new release, ``db migrate``, ``db contract``); ``sync`` runs all.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import sqlalchemy as sa

from glancelike.db_drivers.sqlalchemy.engine import Database
from glancelike.plugin import errors

EXPAND, CONTRACT = 'expand', 'contract'
#: What ``heads`` answers once every migration of this release was run.
CURRENT = ('g2026_1_contract02', 'g2026_1_expand03')
_VERSIONS = sa.table('alembic_version', sa.column('version_num'))  # alembic's own table
_LOCK_NAME = 'glancelike_schema'
_LOCK_KEY = 7303014811  # any number that no other user of this database's advisory locks takes
_LOCK_SECONDS = 300


class Schema:
    """Versions of the tables: what they are, what they should be, and how to get there."""

    def __init__(self, database: Database):
        self._database = database

    # --- what is there -----------------------------------------------------------------------------------

    def heads(self) -> tuple[str, ...]:
        """The versions that the database has, one of each branch; empty when it has none."""
        with self._database.direct('read') as connection:
            if not sa.inspect(connection).has_table(_VERSIONS.name):
                return ()
            return tuple(sorted(connection.execute(sa.select(_VERSIONS.c.version_num)).scalars()))

    def lacks(self, branch: str) -> bool:
        """Does the database lack the newest version of a branch?

        :raises ConfigurationError: the database has versions that this release does not know
        """
        heads = self.heads()
        return heads != CURRENT and _scripts().newest(branch) not in _scripts().applied(heads)

    def lacks_data(self) -> bool:
        """Is a migration of data still to be done?"""
        with self._database.direct('read') as connection:
            return any(migration.pending(connection) for migration in self._data_migrations())

    def check(self) -> None:
        """:raises ConfigurationError: the tables are missing, too old or too new"""
        if not self.heads():
            raise errors.ConfigurationError(
                'The database has no tables of this service: run glance-manage db sync, or set db_auto_create = True.')
        if self.lacks(EXPAND):
            raise errors.ConfigurationError(
                'The tables are those of an earlier release: run glance-manage db sync, or glance-manage db expand '
                'when services of that release still run.')

    # --- getting there -----------------------------------------------------------------------------------

    def sync(self) -> None:
        """Everything: expand, migrate data, contract. In an up-to-date database nothing changes."""
        heads = self.heads()
        if heads == CURRENT:  # a contraction comes after the migrations of data
            return
        if heads and not (self.lacks(EXPAND) or self.lacks_data() or self.lacks(CONTRACT)):
            return
        with self._locked() as connection:
            scripts = _scripts()
            scripts.upgrade(connection, f'{EXPAND}@head')
            self._migrate(connection)
            scripts.upgrade(connection, f'{CONTRACT}@head')

    def upgrade(self, version: str = 'heads') -> None:
        """Run the migrations up to a version.

        :raises ConfigurationError: no such version
        """
        with self._locked() as connection:
            _scripts().upgrade(connection, version)

    def migrate(self) -> int:
        """Run the migrations of data; return how many rows they changed."""
        with self._locked() as connection:
            return self._migrate(connection)

    def stamp(self, version: str = 'heads') -> None:
        """Declare that the database is at a version, without looking.

        :raises ConfigurationError: no such version
        """
        with self._locked() as connection:
            _scripts().stamp(connection, version)

    # --- inside ------------------------------------------------------------------------------------------

    def _migrate(self, connection: sa.Connection) -> int:
        return sum(migration.migrate(connection) for migration in self._data_migrations())

    def _data_migrations(self) -> Sequence:
        """Modules of ``migrations/data`` with ``pending(connection)`` and ``migrate(connection)``, in order."""
        folder = Path(__file__).with_name('migrations') / 'data'
        names = sorted(path.stem for path in folder.glob('[0-9a-z]*.py'))
        return [importlib.import_module(f'{__package__}.migrations.data.{name}') for name in names]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[sa.Connection]:
        """A connection on which the schema may be changed, by nobody else at the time.

        Everything is one transaction on SQLite and PostgreSQL. MySQL commits every CREATE by itself, so the
        migrations are written to be run again over a half-done one.
        """
        kind = self._database.kind
        with self._database.direct('write') as connection, connection.begin():
            if kind == 'postgresql':
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_KEY)))
            elif kind == 'mysql':
                taken = connection.execute(sa.select(sa.func.get_lock(_LOCK_NAME, _LOCK_SECONDS))).scalar()
                if taken != 1:
                    raise errors.DatabaseUnavailable('Another process is changing the tables; try again later.')
            try:
                yield connection
            finally:
                if kind == 'mysql':
                    connection.execute(sa.select(sa.func.release_lock(_LOCK_NAME)))


def _scripts() -> ModuleType:
    """The migrations. Imported where one is needed: alembic takes as long as all of SQLAlchemy (0.1 s and 10 MiB),
    and a service whose tables are current has no use for it."""
    from glancelike.db_drivers.sqlalchemy import scripts
    return scripts
