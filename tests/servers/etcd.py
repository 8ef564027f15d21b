"""An etcd server of the test process's own."""

import shutil

import fixtures
import requests

from tests.servers.process import CannotRun, Process, drop_folder, free_port, make_folder

START_SECONDS = 30


class Etcd(fixtures.Fixture):
    """Started by ``setUp``, gone after ``cleanUp``."""

    def _setUp(self):
        self._program = shutil.which('etcd')
        if not self._program:
            raise CannotRun('the program etcd is not installed')
        self.port, self._peer_port = free_port(), free_port()
        self.folder = make_folder('etcd')
        self.addCleanup(drop_folder, self.folder)
        self._http = requests.Session()
        self._http.trust_env = False
        self.addCleanup(self._http.close)
        self.process = None
        self.addCleanup(self.stop)
        self.start()

    @property
    def host(self) -> str:
        """Where it answers, as ``[jobboard] hosts`` has it."""
        return f'127.0.0.1:{self.port}'

    def start(self) -> None:
        """Start the server on its ports and data, and wait until it answers."""
        mine, peers = f'http://127.0.0.1:{self.port}', f'http://127.0.0.1:{self._peer_port}'
        self.process = Process(
            [self._program, '--data-dir', self.folder / 'data', '--listen-client-urls', mine,
             '--advertise-client-urls', mine, '--listen-peer-urls', peers, '--initial-advertise-peer-urls', peers,
             '--initial-cluster', f'default={peers}'], self.folder / 'server.log', cwd=self.folder)
        self.process.wait_ready(self._answers, START_SECONDS, f'etcd on port {self.port}')

    def stop(self) -> None:
        """Stop the server; its data stay."""
        if self.process and self.process.alive():
            self.process.terminate()

    def kill(self) -> None:
        """Kill the server as a crash would; its data stay until ``wipe``."""
        self.process.kill9()

    def wipe(self) -> None:
        """Lose all data of the stopped server."""
        shutil.rmtree(self.folder / 'data', ignore_errors=True)

    def _answers(self) -> bool:
        try:
            return self._http.get(f'http://127.0.0.1:{self.port}/health', timeout=2).json().get('health') == 'true'
        except (requests.RequestException, ValueError):
            return False
