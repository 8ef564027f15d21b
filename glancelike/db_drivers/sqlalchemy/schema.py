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

import sqlalchemy as sa
from alembic import command
from alembic import config as alembic_config
from alembic import util as alembic_util
from alembic.script import ScriptDirectory, revision

from glancelike.db_drivers.sqlalchemy.engine import Database
from glancelike.plugin import errors

EXPAND, CONTRACT = 'expand', 'contract'
_VERSIONS = sa.table('alembic_version', sa.column('version_num'))  # alembic's own table
_FOLDER = Path(__file__).with_name('migrations')
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

    def wanted(self, branch: str) -> str:
        """The newest version of a branch."""
        return self._scripts().get_revision(f'{branch}@head').revision

    def lacks(self, branch: str) -> bool:
        """Does the database lack the newest version of a branch?

        :raises ConfigurationError: the database has versions that this release does not know
        """
        return self.wanted(branch) not in self._applied()

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
        if self.heads() and not (self.lacks(EXPAND) or self.lacks_data() or self.lacks(CONTRACT)):
            return
        with self._locked() as connection:
            self._upgrade(connection, f'{EXPAND}@head')
            self._migrate(connection)
            self._upgrade(connection, f'{CONTRACT}@head')

    def upgrade(self, version: str = 'heads') -> None:
        """Run the migrations up to a version.

        :raises ConfigurationError: no such version
        """
        with self._locked() as connection:
            self._upgrade(connection, version)

    def migrate(self) -> int:
        """Run the migrations of data; return how many rows they changed."""
        with self._locked() as connection:
            return self._migrate(connection)

    def stamp(self, version: str = 'heads') -> None:
        """Declare that the database is at a version, without looking.

        :raises ConfigurationError: no such version
        """
        with self._locked() as connection, _named():
            command.stamp(self._config(connection), version)

    # --- inside ------------------------------------------------------------------------------------------

    def _config(self, connection: sa.Connection | None = None) -> alembic_config.Config:
        config = alembic_config.Config()
        config.set_main_option('script_location', str(_FOLDER).replace('%', '%%'))
        config.attributes['connection'] = connection
        return config

    def _scripts(self) -> ScriptDirectory:
        return ScriptDirectory.from_config(self._config())

    def _applied(self) -> set[str]:
        """Every version that the database has gone through."""
        heads, scripts = self.heads(), self._scripts()
        if not heads:
            return set()
        with _named():
            return {one.revision for one in scripts.iterate_revisions(heads, 'base', implicit_base=True)}

    def _upgrade(self, connection: sa.Connection, version: str) -> None:
        with _named():
            command.upgrade(self._config(connection), version)

    def _migrate(self, connection: sa.Connection) -> int:
        return sum(migration.migrate(connection) for migration in self._data_migrations())

    def _data_migrations(self) -> Sequence:
        """Modules of ``migrations/data`` with ``pending(connection)`` and ``migrate(connection)``, in order."""
        names = sorted(path.stem for path in (_FOLDER / 'data').glob('[0-9a-z]*.py'))
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


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Turn alembic's complaints about versions into ours."""
    try:
        yield
    except (alembic_util.CommandError, revision.RevisionError) as error:
        raise errors.ConfigurationError(
            f'The version of the tables is not one of this release: {error}. The database belongs to a newer release '
            'or to another program.') from error
