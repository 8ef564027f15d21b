"""A PostgreSQL server of the test process's own."""

import os
import shutil
import signal
import time
from pathlib import Path

import fixtures
import sqlalchemy

from tests.servers.process import CannotRun, NotReady, Process, drop_folder, free_port, make_folder, run

USER = 'postgres'  # of the operating system (initdb refuses root) and of the database
START_SECONDS = 60
# Without fsync a power cut may lose data; a killed server loses none, since a commit waits until the kernel
# has it.
OPTIONS = {'listen_addresses': '127.0.0.1', 'unix_socket_directories': '', 'max_connections': '200',
           'fsync': 'off', 'full_page_writes': 'off'}


def _program(name: str) -> Path:
    """Return the newest installed PostgreSQL program *name*; Debian keeps them out of the search path."""
    found = sorted(Path('/usr/lib/postgresql').glob(f'*/bin/{name}'), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which(name)
    if found:
        return found[-1]
    if on_path:
        return Path(on_path)
    raise CannotRun(f'the program {name} of PostgreSQL is not installed')


class PostgreSQL(fixtures.Fixture):
    """Started by ``setUp``, gone with all its databases after ``cleanUp``."""

    def _setUp(self):
        initdb, self._postgres = _program('initdb'), _program('postgres')
        self._user = USER if os.geteuid() == 0 else None
        self.port = free_port()
        self.folder = make_folder('postgresql')
        self.addCleanup(drop_folder, self.folder)
        if self._user:
            shutil.chown(self.folder, self._user, self._user)
        self._data = self.folder / 'data'
        run([initdb, '-D', self._data, '-A', 'trust', '-U', USER, '--no-sync', '-E', 'UTF8',
             '--locale=C.UTF-8'], log=self.folder / 'initdb.log', user=self._user, cwd=self.folder)
        self.process = None
        self.addCleanup(self.stop)
        self.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> None:
        """Start the server on its port and data, and wait until it answers.

        After ``kill`` the former server's children may hold its shared memory for a moment; the new one
        refuses to start until they are gone, so that refusal alone is tried again.
        """
        deadline = time.monotonic() + START_SECONDS
        while True:
            log = self.folder / f'server-{time.monotonic_ns()}.log'
            self.process = Process(
                [self._postgres, '-D', self._data, '-p', str(self.port),
                 *(part for name, value in OPTIONS.items() for part in ('-c', f'{name}={value}'))],
                log, user=self._user, cwd=self.folder)
            try:
                self.process.wait_ready(self._answers, START_SECONDS, f'PostgreSQL on port {self.port}')
                return
            except NotReady:
                busy = 'shared memory block' in self.process.log_text()
                self.process.kill9()
                if not busy or time.monotonic() > deadline:
                    raise

    def stop(self) -> None:
        """Stop the server cleanly, cutting the connections it has; its data stay."""
        if self.process and self.process.alive():
            self.process.terminate(number=signal.SIGINT)  # "fast shutdown" in PostgreSQL's words

    def kill(self) -> None:
        """Kill the server as a crash would; its data stay."""
        self.process.kill9()

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database of this server."""
        return f'postgresql+psycopg2://{USER}@127.0.0.1:{self.port}/{database}'

    def create_database(self, name: str) -> str:
        """Make an empty database, in place of any of that name, and return its SQLAlchemy URL."""
        self.drop_database(name)
        self._execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database if it exists, cutting the connections it has."""
        self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _answers(self) -> bool:
        try:
            self._execute('SELECT 1')
        except sqlalchemy.exc.OperationalError:
            return False
        return True

    def _execute(self, statement: str) -> None:
        engine = sqlalchemy.create_engine(self.url('postgres'), isolation_level='AUTOCOMMIT',
                                          poolclass=sqlalchemy.NullPool, connect_args={'connect_timeout': 5})
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
