"""Which steps of a task are done, for the worker that goes on with it: taskflow's persistence in an SQL database.

The tables (``logbooks``, ``flowdetails``, ``atomdetails``), their names and transactions are taskflow's. They may stand
in the database of the images: taskflow's migrations note their version in a table of their own
(``taskflow_alembic_version``), since ours have ``alembic_version``.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from taskflow import exceptions as taskflow_errors
from taskflow import states
from taskflow.persistence import models
from taskflow.persistence.backends import impl_sqlalchemy
from taskflow.persistence.backends.sqlalchemy import migration

from glancelike import errors

LOG = logging.getLogger(__name__)

VERSION_TABLE = 'taskflow_alembic_version'
#: SQL without a named Python driver means the one that the package's extras install.
DRIVERS = {'mysql': 'mysql+pymysql', 'mariadb': 'mariadb+pymysql', 'postgresql': 'postgresql+psycopg2',
           'postgres': 'postgresql+psycopg2'}
_CONNECT = {'sqlite': {'timeout': 30}, 'postgresql': {'connect_timeout': 5}, 'mysql': {'connect_timeout': 5},
            'mariadb': {'connect_timeout': 5}}
_ON_THE_WAY = (states.PENDING, states.RUNNING, states.SUCCESS)
_LOCK = 'glancelike_taskflow'
_LOCK_KEY = 7303014812  # any number that no other user of this database's advisory locks takes
_LOCK_SECONDS = 300
#: How long a database may be away before the work on a task is left: it is then gone on with later.
PATIENCE_SECONDS = 30


class FlowBook:
    """One book for each task that is unfinished, named by its id.

    :param connection: SQLAlchemy URL of the database
    :param patience_seconds: how long a call tries again while the database does not answer
    :raises ConfigurationError: the URL cannot be used; the message does not show it
    """

    def __init__(self, connection: str, patience_seconds: float = PATIENCE_SECONDS):
        self._url = _url(connection)
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._backend: _Backend | None = None

    def detail(self, task_id: str, lease_id: str) -> tuple[Any, models.LogBook, models.FlowDetail]:
        """(backend, book, flow detail) of the task, for ``taskflow.engines.load``; made at first use.

        Each lease has a flow detail of its own. It begins with the steps that the one before has done. That one is
        removed: a process that was only silent, and took for dead, finds nothing to write to when it wakes up. Of a
        flow in which a step failed or was undone nothing is kept: it begins anew.

        :param lease_id: that under which the task is done now
        :raises DatabaseUnavailable: the database does not answer, or refuses us
        """
        with self._asking() as backend, contextlib.closing(backend.get_connection()) as connection:
            try:
                book = connection.get_logbook(task_id)
            except taskflow_errors.NotFound:
                book = None
            if book is None or book.find(_flow_id(lease_id)) is None:
                new = models.LogBook(task_id, uuid=task_id)
                new.add(_continued(task_id, lease_id, book))
                if book is not None:
                    with contextlib.suppress(taskflow_errors.NotFound):
                        connection.destroy_logbook(task_id)  # who dies here leaves a task that begins anew
                connection.save_logbook(new)
                book = connection.get_logbook(task_id)
            return backend, book, book.find(_flow_id(lease_id))

    def forget(self, task_id: str) -> None:
        """Remove the task's book. Unknown ones are no error; what cannot be removed now is by ``sweep``."""
        try:
            self._remove(task_id)
        except errors.DatabaseUnavailable:
            LOG.warning('The finished steps of task %s stay noted for now.', task_id)

    def sweep(self, is_unfinished: Callable[[str], bool]) -> int:
        """Remove the books of tasks that have ended; how many there were.

        :param is_unfinished: of a task id
        :raises DatabaseUnavailable: as ``detail``
        """
        with self._asking() as backend, contextlib.closing(backend.get_connection()) as connection:
            names = [book.uuid for book in connection.get_logbooks(lazy=True)]
        over = [name for name in names if not is_unfinished(name)]
        for name in over:
            self._remove(name)
        return len(over)

    def close(self) -> None:
        """End the connections."""
        with self._lock:
            if self._backend is not None:
                self._backend.engine.dispose()
                self._backend = None

    def _remove(self, task_id: str) -> None:
        with self._asking() as backend, contextlib.closing(backend.get_connection()) as connection, \
                contextlib.suppress(taskflow_errors.NotFound):
            connection.destroy_logbook(task_id)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[_Backend]:
        try:
            yield self._connected()
        except (taskflow_errors.StorageFailure, sa.exc.SQLAlchemyError) as error:
            LOG.warning('The database of [jobboard] persistence_connection does not answer: %s', _kind(error))
            raise errors.DatabaseUnavailable() from error

    def _connected(self) -> _Backend:
        with self._lock:
            if self._backend is None:
                backend = _Backend(_engine(self._url), self._patience_seconds)
                try:
                    _make_tables(backend.engine)
                except BaseException:
                    backend.engine.dispose()
                    raise
                self._backend = backend
            return self._backend


class _Backend(impl_sqlalchemy.SQLAlchemyBackend):
    """taskflow's, which tries again while the database does not answer: all of its writes say what shall be so, and
    may come twice. Without this, a step that was done would count as failed because it could not be noted."""

    def __init__(self, engine: sa.Engine, patience_seconds: float):
        super().__init__({'connection': ''}, engine=engine)
        self._validated = True  # by the first statement
        self._patience_seconds = patience_seconds

    def get_connection(self) -> _Connection:
        """A connection that is patient."""
        return _Connection(super().get_connection(), self._patience_seconds)


class _Connection:
    """Calls of a connection, tried again while the database does not answer."""

    def __init__(self, connection: Any, patience_seconds: float):
        self._connection = connection
        self._patience_seconds = patience_seconds

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connection, name)
        return functools.partial(self._call, found) if callable(found) else found

    def _call(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        end, wait = time.monotonic() + self._patience_seconds, 0.05
        while True:
            try:
                return call(*args, **options)
            except (taskflow_errors.StorageFailure, sa.exc.SQLAlchemyError) as error:
                if time.monotonic() + wait > end:
                    raise errors.DatabaseUnavailable() from error
                LOG.warning('Steps of a task cannot be noted now (%s); trying again.', _kind(error))
                time.sleep(wait)
                wait = min(wait * 2, 5)


def _flow_id(lease_id: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f'flow of {lease_id}'))


def _continued(task_id: str, lease_id: str, book: models.LogBook | None) -> models.FlowDetail:
    """A flow detail with those steps as done that are done in the book."""
    made = models.FlowDetail(task_id, uuid=_flow_id(lease_id))
    steps = [step for former in book or () for step in former]
    if all(step.state in (None, *_ON_THE_WAY) for step in steps):
        for step in steps:
            if step.state == states.SUCCESS:
                copied = type(step)(step.name, uuid=str(uuid.uuid4()))
                made.add(copied.update(step))
    return made


def _kind(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__  # texts may show statements and addresses


def _url(connection: str) -> sa.URL:
    try:
        url = sa.make_url(connection)
        url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
        if url.get_backend_name() == 'sqlite' and (not url.database or ':memory:' in url.database):
            raise errors.ConfigurationError('[jobboard] persistence_connection must name a file.')
        url.get_dialect().import_dbapi()
        return url
    except (sa.exc.ArgumentError, ValueError):
        raise errors.ConfigurationError('[jobboard] persistence_connection is no SQLAlchemy URL.') from None
    except (ImportError, sa.exc.NoSuchModuleError):
        raise errors.ConfigurationError(
            "[jobboard] persistence_connection: the database's Python driver is not installed.") from None


def _engine(url: sa.URL) -> sa.Engine:
    kind = url.get_backend_name()
    pool = {'poolclass': sa.NullPool} if kind == 'sqlite' else {
        'pool_size': 2, 'max_overflow': -1, 'pool_recycle': 3600, 'pool_pre_ping': True,
        'isolation_level': 'READ COMMITTED'}
    # Libraries log errors with what SQLAlchemy says in them: parameters would tell where data are.
    engine = sa.create_engine(url, connect_args=_CONNECT.get(kind, {}), hide_parameters=True, **pool)
    if kind == 'sqlite':
        event.listen(engine, 'connect', _cascade)
    return engine


def _cascade(connection: Any, _record: Any) -> None:
    """Rows that belong to a book go with it; SQLite does that only when told."""
    connection.execute('PRAGMA foreign_keys = ON')


def _make_tables(engine: sa.Engine) -> None:
    """Bring taskflow's tables up to date with taskflow's own migrations."""
    if engine.dialect.name == 'sqlite':  # for which taskflow has no migrations
        tables = sa.MetaData()
        impl_sqlalchemy.tables.fetch(tables)
        with engine.connect() as connection:
            connection.exec_driver_sql('BEGIN IMMEDIATE')  # of several processes one looks and makes at a time
            tables.create_all(connection)
            connection.commit()
        return
    config = Config(os.path.join(os.path.dirname(migration.__file__), 'alembic', 'alembic.ini'))
    config.set_main_option('script_location', str(Path(migration.__file__).with_name('alembic')).replace('%', '%%'))
    script = ScriptDirectory.from_config(config)
    with engine.connect() as connection:
        if _version(connection) == script.get_current_head():
            return
    with _alone(engine) as connection:
        if _version(connection) == script.get_current_head():
            return
        LOG.info("Bringing taskflow's tables up to date.")
        config.attributes['connection'] = connection
        with EnvironmentContext(
                config, script, fn=lambda revision, _context: script._upgrade_revs('head', revision),
                destination_rev='head', version_table=VERSION_TABLE):
            script.run_env()
        connection.commit()


def _version(connection: sa.Connection) -> str | None:
    found = MigrationContext.configure(connection, opts={'version_table': VERSION_TABLE}).get_current_revision()
    connection.rollback()
    return found


@contextlib.contextmanager
def _alone(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection, while no other process changes the tables."""
    postgresql = engine.dialect.name == 'postgresql'
    take, leave = ((sa.func.pg_advisory_lock(_LOCK_KEY), sa.func.pg_advisory_unlock(_LOCK_KEY)) if postgresql else
                   (sa.func.get_lock(_LOCK, _LOCK_SECONDS), sa.func.release_lock(_LOCK)))
    with engine.connect() as locking, engine.connect() as connection:
        locking = locking.execution_options(isolation_level='AUTOCOMMIT')
        if locking.execute(sa.select(take)).scalar() == 0:
            raise sa.exc.OperationalError('get_lock', None, TimeoutError('another process changes the tables'))
        try:
            yield connection
        finally:
            locking.execute(sa.select(leave))
