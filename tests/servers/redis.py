"""A Redis server of the test process's own; it keeps nothing on disk, so a killed one comes back empty."""

import shutil
import socket

import fixtures

from tests.servers.process import CannotRun, Process, drop_folder, free_port, make_folder

START_SECONDS = 30


class Redis(fixtures.Fixture):
    """Started by ``setUp``, gone after ``cleanUp``.

    :param password: what clients must send; '' for nothing
    """

    def __init__(self, password: str = ''):
        self.password = password

    def _setUp(self):
        self._program = shutil.which('redis-server')
        if not self._program:
            raise CannotRun('the program redis-server is not installed')
        self.port = free_port()
        self.folder = make_folder('redis')
        self.addCleanup(drop_folder, self.folder)
        self.process = None
        self.addCleanup(self.stop)
        self.start()

    @property
    def host(self) -> str:
        """Where it answers, as ``[jobboard] hosts`` has it."""
        return f'127.0.0.1:{self.port}'

    def start(self) -> None:
        """Start the server on its port, and wait until it answers. It holds nothing."""
        secret = ['--requirepass', self.password] if self.password else []
        self.process = Process(
            [self._program, '--port', str(self.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no',
             '--daemonize', 'no', '--dir', self.folder, *secret], self.folder / 'server.log', cwd=self.folder)
        self.process.wait_ready(self._answers, START_SECONDS, f'Redis on port {self.port}')

    def stop(self) -> None:
        """Stop the server; what it held is gone."""
        if self.process and self.process.alive():
            self.process.terminate()

    def kill(self) -> None:
        """Kill the server as a crash would; what it held is gone."""
        self.process.kill9()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(('127.0.0.1', self.port), timeout=1) as one:
                one.sendall(b'PING\r\n')
                return one.recv(64).startswith((b'+PONG', b'-NOAUTH'))
        except OSError:
            return False
