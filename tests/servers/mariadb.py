"""A MariaDB server of the test process's own."""

import os
import shutil

import fixtures
import sqlalchemy

from tests.servers.process import CannotRun, Process, drop_folder, free_port, make_folder, run

SYSTEM_USER = 'mysql'  # mariadbd refuses to run as root unless told a user
USER, PASSWORD = 'glance', 'glance'
START_SECONDS = 60


def _program(*names: str) -> str:
    for name in names:
        found = shutil.which(name) or shutil.which(name, path='/usr/sbin:/usr/libexec:/usr/local/sbin')
        if found:
            return found
    raise CannotRun(f'the program {names[0]} of MariaDB is not installed')


class MariaDB(fixtures.Fixture):
    """Started by ``setUp``, gone with all its databases after ``cleanUp``."""

    def _setUp(self):
        install, self._mariadbd = _program('mariadb-install-db', 'mysql_install_db'), _program('mariadbd')
        self._as_user = [f'--user={SYSTEM_USER}'] if os.geteuid() == 0 else []
        self.port = free_port()
        self.folder = make_folder('mariadb')
        self.addCleanup(drop_folder, self.folder)
        if self._as_user:
            shutil.chown(self.folder, SYSTEM_USER, SYSTEM_USER)
        self._data = self.folder / 'data'
        run([install, '--no-defaults', *self._as_user, f'--datadir={self._data}',
             '--auth-root-authentication-method=normal', '--skip-test-db'], log=self.folder / 'install.log',
            env=self._temporary())
        users = self.folder / 'users.sql'
        users.write_text(f"CREATE USER IF NOT EXISTS {USER}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
                         f"GRANT ALL ON *.* TO {USER}@'127.0.0.1';\n")
        self.process = None
        self.addCleanup(self.stop)
        self.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> None:
        """Start the server on its port and data, and wait until it answers."""
        self.process = Process(
            [self._mariadbd, '--no-defaults', *self._as_user, f'--datadir={self._data}',
             f'--port={self.port}', '--bind-address=127.0.0.1', '--skip-name-resolve',
             f'--socket={self.folder}/s', f'--pid-file={self.folder}/pid',
             f'--init-file={self.folder}/users.sql',
             # A killed server keeps every commit; only a power cut loses some.
             '--innodb-flush-log-at-trx-commit=2', '--innodb-buffer-pool-size=64M',
             '--skip-log-bin', '--max-connections=200'],
            self.folder / 'server.log', env=self._temporary())
        self.process.wait_ready(self._answers, START_SECONDS, f'MariaDB on port {self.port}')

    def _temporary(self) -> dict[str, str]:
        # Names of temporary tables hold a process id; in /tmp one meets what another server, killed, has left.
        return {'TMPDIR': str(self.folder)}

    def stop(self) -> None:
        """Stop the server cleanly; its data stay."""
        if self.process and self.process.alive():
            self.process.terminate()

    def kill(self) -> None:
        """Kill the server as a crash would; its data stay."""
        self.process.kill9()

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database of this server."""
        return f'mysql+pymysql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}?charset=utf8mb4'

    def create_database(self, name: str) -> str:
        """Make an empty database, in place of any of that name, and return its SQLAlchemy URL."""
        self.drop_database(name)
        self._execute(f'CREATE DATABASE `{name}` CHARACTER SET utf8mb4')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database if it exists."""
        self._execute(f'DROP DATABASE IF EXISTS `{name}`')

    def _answers(self) -> bool:
        try:
            self._execute('SELECT 1')
        except sqlalchemy.exc.OperationalError:
            return False
        return True

    def _execute(self, statement: str) -> None:
        engine = sqlalchemy.create_engine(self.url(''), isolation_level='AUTOCOMMIT',
                                          poolclass=sqlalchemy.NullPool, connect_args={'connect_timeout': 5})
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
