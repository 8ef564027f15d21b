"""Connections and transactions: one engine for each process, and calls that are tried again when that is safe.

``Database.read`` and ``Database.write`` run a function on a connection, as one transaction. What may be tried
again, and how often:

==========================================  ==================================================================
deadlock, lock or serialization conflict    the database undid everything: again, after a short random wait
connection lost before the commit was sent  nothing was committed: again, at once and then with growing waits
connection lost during the commit           unknown: ``settled`` looks whether the commit arrived, and only
                                            when it did not the work is done again
==========================================  ==================================================================
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from oslo_db import exception as db_exception
from oslo_db.sqlalchemy import exc_filters
from sqlalchemy import event

from glancelike.db_drivers.sqlalchemy import sqlite
from glancelike.plugin import errors

LOG = logging.getLogger(__name__)

T = TypeVar('T')

#: SQL without a named Python driver means the one that the package's extras install.
DRIVERS = {'mysql': 'mysql+pymysql', 'mariadb': 'mariadb+pymysql', 'postgresql': 'postgresql+psycopg2',
           'postgres': 'postgresql+psycopg2', 'sqlite': 'sqlite'}
EXTRAS = {'postgresql': 'postgresql', 'mysql': 'mysql', 'mariadb': 'mysql'}
CONNECT_SECONDS = 5
#: How long a statement waits for another transaction's locks (SQLite: sqlite.BUSY_SECONDS). Ours hold locks for
#: milliseconds; longer means a client that vanished and whose server has not noticed.
LOCK_SECONDS = 10
_LOCK_TIMEOUTS = {'postgresql': f"SET SESSION lock_timeout = '{LOCK_SECONDS}s'",
                  'mysql': f'SET SESSION innodb_lock_wait_timeout = {LOCK_SECONDS}'}
#: libpq gives a dead peer up after 30 + 3 * 10 s instead of two hours.
_KEEPALIVE = {'keepalives_idle': '30', 'keepalives_interval': '10', 'keepalives_count': '3'}
#: Serialization failure, deadlock, lock not available (PostgreSQL manual, appendix A).
_POSTGRESQL_CONFLICTS = ('40001', '40P01', '55P03')
#: What a server says to a user or a database that it does not know; the answer will not change by waiting.
_REFUSALS = ('authentication failed', 'no pg_hba.conf entry', 'role "', '(1044,', '(1045,', '(1049,',
             'file is not a database')
_DEADLOCK_WAIT_SECONDS = 0.02


class _Conflict(Exception):
    """The database undid the transaction because of another one."""


class _Lost(Exception):
    """The connection broke, or could not be made; nothing of this try was committed."""


class _Unknown(Exception):
    """The connection broke while the commit was under way."""


_AGAIN = (_Conflict, _Lost, _Unknown)


def read_url(options: Any) -> sa.URL:
    """The address of the database.

    :raises ConfigurationError: missing, malformed, of a kind that this driver does not know, or its Python
        driver is not installed. The message never shows the address: it holds a password.
    """
    if not options.connection:
        raise errors.ConfigurationError(
            'data_api = sqlalchemy needs the address of a database: set connection in the group [database], for '
            'instance connection = sqlite:////var/lib/glance/glance.sqlite')
    try:
        url = sa.make_url(options.connection)
        if options.connection_parameters:
            url = url.update_query_string(options.connection_parameters, append=True)
        url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
        kind = url.get_backend_name()
    except (sa.exc.ArgumentError, ValueError):
        raise errors.ConfigurationError('connection in the group [database] is no SQLAlchemy URL.') from None
    if kind not in DRIVERS:
        raise errors.ConfigurationError(f"connection in the group [database]: no support for '{kind}'; use sqlite, "
                                        'postgresql+psycopg2 or mysql+pymysql.')
    if kind == 'sqlite' and (not url.database or ':memory:' in url.database or url.query.get('mode') == 'memory'):
        raise errors.ConfigurationError(
            'connection in the group [database] names no file; a database in memory cannot be shared by threads. '
            'Name a file, or use data_api = simple.')
    try:
        url.get_dialect().import_dbapi()
    except (ImportError, sa.exc.NoSuchModuleError) as error:
        extra = f'; pip install glancelike[{EXTRAS[kind]}]' if kind in EXTRAS else ''
        raise errors.ConfigurationError(
            f"connection in the group [database]: the Python driver of '{url.drivername}' is not "
            f'installed{extra}.') from error
    return url


def create_engine(url: sa.URL, options: Any) -> sa.Engine:
    """An engine that connects at first use and raises oslo.db's errors."""
    kind = url.get_backend_name()
    if kind == 'sqlite':
        engine = sqlite.create_engine(url, idle=options.max_pool_size, synchronous=options.sqlite_synchronous,
                                      recycle_seconds=options.connection_recycle_time)
        exc_filters.register_engine(engine)
        return engine
    from oslo_db.sqlalchemy import engines  # brings SQLAlchemy's ORM: 0.1 s and 6 MiB, which SQLite does without
    wanted = {'connect_timeout': str(CONNECT_SECONDS), **(_KEEPALIVE if kind == 'postgresql' else {})}
    url = url.update_query_dict({name: value for name, value in wanted.items() if name not in url.query})
    if kind != 'postgresql':
        url = url.update_query_dict({'charset': 'utf8mb4'})  # "utf8" is MySQL's word for three bytes a character

    def make(url: sa.URL, **arguments: Any) -> tuple[sa.Engine, sa.Engine]:
        # A ping before each use costs a round trip; a stale connection shows at the first statement, and the
        # call is then tried again on a new one.
        engine = sa.create_engine(url, **(arguments | {'pool_pre_ping': False}))
        event.listen(engine, 'connect', bound_lock_waits)
        if url.get_driver_name() == 'psycopg2':
            engine.dialect.reset_isolation_level = _reset_isolation
            event.listen(engine, 'checkin', _drop_closed)
        return engine, engine

    def bound_lock_waits(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_LOCK_TIMEOUTS['postgresql' if kind == 'postgresql' else 'mysql'])
        connection.commit()

    return engines.create_engine(
        url, max_pool_size=options.max_pool_size, max_overflow=options.max_overflow,
        pool_timeout=options.pool_timeout, connection_recycle_time=options.connection_recycle_time,
        mysql_sql_mode=options.mysql_sql_mode or None, mysql_wsrep_sync_wait=options.mysql_wsrep_sync_wait,
        connection_trace=options.connection_trace, connection_debug=options.connection_debug,
        max_retries=0, thread_checkin=False, _engine_target=make)


def _reset_isolation(connection: Any) -> None:
    """Set a psycopg2 connection back to what the server's default is, on its way into the pool.

    SQLAlchemy 2.0 names the level instead. psycopg2 then sends a SET each time that AUTOCOMMIT ends: a round trip for
    each read; and when that fails the error is psycopg2's own, and the connection never comes back into the pool.
    """
    if not connection.closed:
        connection.set_session(isolation_level='DEFAULT', autocommit=False)


def _drop_closed(connection: Any, record: Any) -> None:
    """Let the pool open a new connection in place of one that is closed."""
    if connection is not None and connection.closed:
        record.invalidate()


class _Waits:
    """How long to wait before the next try, within the bounds of the options."""

    def __init__(self, options: Any):
        self._options = options
        self._deadline = time.monotonic() + options.db_call_seconds
        self._tries = self._losses = self._conflicts = 0

    def before_retry(self, error: Exception) -> bool:
        """Wait; False when it is time to give up."""
        options = self._options
        lost = not isinstance(error, _Conflict)
        if lost and not options.use_db_reconnect or self._tries == options.db_max_retries:
            return False
        self._tries += 1
        seconds = self._after_loss() if lost else self._after_conflict()
        if time.monotonic() + seconds > self._deadline:
            return False
        if seconds:
            time.sleep(seconds)
        return True

    def _after_loss(self) -> float:
        self._losses += 1
        if self._losses == 1:
            return 0  # a connection that a restarted server had closed: a new one works at once
        growth = 2 ** (self._losses - 2) if self._options.db_inc_retry_interval else 1
        return min(self._options.db_retry_interval * growth, self._options.db_max_retry_interval)

    def _after_conflict(self) -> float:
        self._conflicts += 1
        return random.uniform(0, min(_DEADLOCK_WAIT_SECONDS * 2 ** self._conflicts, 1))


class Database:
    """The database that the options name.

    :ivar kind: ``sqlite``, ``postgresql`` or ``mysql`` (MariaDB too)
    """

    def __init__(self, options: Any):
        self._options = options
        self._url = read_url(options)
        self._engines: dict[int, sa.Engine] = {}
        name = self._url.get_backend_name()
        self.kind = 'mysql' if name == 'mariadb' else name

    @property
    def engine(self) -> sa.Engine:
        """This process's engine.

        A forked process makes its own. Its parent's stays in the dict on purpose: were it collected, its
        connections would be closed, and closing an inherited one disturbs the parent (SQLite drops locks).
        """
        pid = os.getpid()
        engine = self._engines.get(pid)
        if engine is None:
            engine = self._engines.setdefault(pid, create_engine(self._url, self._options))
        return engine

    def close(self) -> None:
        """Close this process's connections; the next call opens new ones."""
        engine = self._engines.pop(os.getpid(), None)
        if engine is not None:
            engine.dispose()

    def read(self, work: Callable[[sa.Connection], T], *, snapshot: bool = False, retry: bool = True) -> T:
        """What *work* returns.

        :param snapshot: *work* sends several statements, which must see one state of the database
        :raises DatabaseUnavailable: no answer within the bounds of the options
        """
        isolation = 'REPEATABLE READ' if snapshot else 'AUTOCOMMIT'
        waits = None
        while True:
            try:
                with self._connection('snapshot' if snapshot else 'read') as connection, _translated():
                    if self.kind == 'postgresql':
                        connection = connection.execution_options(isolation_level=isolation)
                    return work(connection)
            except _AGAIN as error:
                waits = waits or _Waits(self._options)
                if not retry or not waits.before_retry(error):
                    raise _given_up(error) from error

    def rows(self, select: sa.SelectBase, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """All rows of one statement that a module keeps; for few rows, and often.

        :raises DatabaseUnavailable: as ``read``
        """
        if self.kind == 'sqlite':
            try:
                return sqlite.rows(self.engine, select, parameters)
            except sqlite.FAILURES as error:
                LOG.debug('A read failed; the long way follows, which knows what to do: %s', _cause(error))
        return self.read(lambda connection: connection.execute(select, parameters).all())

    def write(self, work: Callable[[sa.Connection], T],
              settled: Callable[[sa.Connection, T], bool] | None = None) -> T:
        """What *work* returns, once its changes are committed.

        *work* begins with a statement that locks what it will change (on MySQL the snapshot of a transaction is
        taken at its first plain SELECT, which must come after the lock).

        :param settled: asked in a new transaction when a commit got no answer: (connection, what work had
            returned) -> was it committed? None when doing the work again gives the same result anyway.
        :raises DatabaseUnavailable: no answer within the bounds of the options, or *settled* cannot tell
        """
        unknown: list[T] = []

        def attempt() -> T:
            with self._connection('write') as connection:
                with _translated():
                    transaction = connection.begin()
                    try:
                        if unknown and settled is not None and settled(connection, unknown[0]):
                            transaction.rollback()
                            return unknown[0]
                        unknown.clear()
                        result = work(connection)
                    except BaseException:
                        transaction.rollback()
                        raise
                try:
                    with _translated():
                        transaction.commit()
                except (_Lost, errors.DatabaseUnavailable) as error:
                    unknown.append(result)
                    raise _Unknown from error
                return result
        waits = _Waits(self._options)
        while True:
            try:
                return attempt()
            except _AGAIN as error:
                if not waits.before_retry(error):
                    raise _given_up(error) from error

    @contextlib.contextmanager
    def direct(self, mode: str) -> Iterator[sa.Connection]:
        """A connection for work on the tables themselves, which is never tried again.

        :param mode: 'read', or 'write' when the caller begins a transaction
        :raises DatabaseUnavailable: no answer
        """
        try:
            with self._connection(mode) as connection, _translated():
                yield connection
        except (_Conflict, _Lost) as error:
            raise errors.DatabaseUnavailable(f'The database does not answer: {_cause(error)}') from error

    def ping(self) -> None:
        """:raises DatabaseUnavailable: no answer now"""
        def one(connection: sa.Connection) -> None:
            connection.exec_driver_sql('SELECT 1')
        try:
            self.read(one, retry=False)
        except errors.DatabaseUnavailable:
            self.read(one, retry=False)  # the first try may have met a connection that a restart had closed

    def wait_until_up(self) -> None:
        """Wait for the database as long as a starting program may.

        :raises DatabaseUnavailable: it did not come up
        :raises ConfigurationError: it answers that there is no such database, or no such user
        """
        tries = 0
        while True:
            try:
                with self._connection('read'):
                    return
            except _Lost as error:
                cause = _cause(error)
                if _will_never_work(error):
                    raise errors.ConfigurationError(
                        f'connection in the group [database] cannot work: {cause}') from error
                if tries == self._options.max_retries:
                    raise errors.DatabaseUnavailable(f'The database does not answer: {cause}') from error
            tries += 1
            LOG.warning('The database does not answer; trying again in %d s: %s', self._options.retry_interval, cause)
            time.sleep(self._options.retry_interval)

    @contextlib.contextmanager
    def _connection(self, mode: str) -> Iterator[sa.Connection]:
        try:
            connection = self.engine.connect()
        except (sa.exc.DBAPIError, sa.exc.TimeoutError, db_exception.DBError) as error:
            raise _Lost from error
        try:
            yield connection.execution_options(glancelike_mode=mode)
        finally:
            _give_back(connection)


def _give_back(connection: sa.Connection) -> None:
    """Return it to the pool. What was read or committed on it counts, also when it is lost by now: then the rollback
    that ends a read fails, and the connection is thrown away."""
    try:
        connection.close()
    except (sa.exc.DBAPIError, db_exception.DBError) as error:
        LOG.debug('A connection was lost after its last answer: %s', _cause(error))
        with contextlib.suppress(sa.exc.SQLAlchemyError, db_exception.DBError):
            connection.invalidate()
        with contextlib.suppress(sa.exc.SQLAlchemyError, db_exception.DBError):
            connection.close()


def _given_up(error: Exception) -> errors.DatabaseUnavailable:
    LOG.warning('Gave up a database call: %s', _cause(error))
    return errors.DatabaseUnavailable()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn errors of the libraries into ours; those that mean a fault of this program pass unchanged."""
    try:
        yield
    except db_exception.DBDeadlock as error:
        raise _Conflict from error
    except (db_exception.DBConnectionError, db_exception.DBNonExistentDatabase) as error:
        raise _Lost from error
    except (db_exception.DBDataError, db_exception.DBInvalidUnicodeParameter) as error:
        raise errors.Invalid(reason='A value is too long, out of range or not text for the database.') from error
    except db_exception.DBError as error:
        if isinstance(error.inner_exception, (sa.exc.DataError, ValueError, OverflowError)):
            raise errors.Invalid(reason='A value is too long, out of range or not text for the database.') from error
        raise
    except sa.exc.OperationalError as error:
        if _is_conflict(error):
            raise _Conflict from error
        LOG.warning('The database refused a statement: %s', _cause(error))
        raise errors.DatabaseUnavailable() from error


def _is_conflict(error: sa.exc.OperationalError) -> bool:
    return (getattr(error.orig, 'pgcode', None) in _POSTGRESQL_CONFLICTS
            or 'database is locked' in str(error.orig) or 'database table is locked' in str(error.orig))


def _will_never_work(error: _Lost) -> bool:
    return (isinstance(error.__cause__, db_exception.DBNonExistentDatabase)
            or any(words in _cause(error) for words in _REFUSALS))


def _cause(error: BaseException) -> str:
    """The database's own words, without statement and values."""
    while error.__cause__ is not None:
        error = error.__cause__
    inner = getattr(error, 'inner_exception', None) or error
    return str(getattr(inner, 'orig', None) or inner).strip()
