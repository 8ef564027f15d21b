"""A ZooKeeper server of the test process's own, from Debian's package and a Java that is there."""

import shutil
import socket
from pathlib import Path

import fixtures

from tests.servers.process import CannotRun, Process, drop_folder, free_port, make_folder

START_SECONDS = 60
JARS = Path('/usr/share/java')
#: Names of the libraries that the server needs, as Debian calls them.
NEEDED = ('zookeeper*', 'slf4j-api', 'slf4j-simple', 'netty*', 'metrics-core', 'snappy-java', 'commons-io')
MAIN = 'org.apache.zookeeper.server.quorum.QuorumPeerMain'
#: ``srvr`` asks whether it serves; a session ends between 2 and 20 ticks after its client fell silent.
CONF = """\
tickTime=500
initLimit=5
syncLimit=2
dataDir={folder}/data
clientPort={port}
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=srvr
"""


class ZooKeeper(fixtures.Fixture):
    """Started by ``setUp``, gone after ``cleanUp``."""

    def _setUp(self):
        self._java = shutil.which('java')
        jars = sorted({str(jar) for name in NEEDED for jar in JARS.glob(f'{name}.jar')})
        if not self._java or not any('zookeeper' in jar for jar in jars):
            raise CannotRun('the packages zookeeper and default-jre-headless are not installed')
        self._jars = ':'.join(jars)
        self.port = free_port()
        self.folder = make_folder('zookeeper')
        self.addCleanup(drop_folder, self.folder)
        (self.folder / 'data').mkdir()
        (self.folder / 'zoo.cfg').write_text(CONF.format(folder=self.folder, port=self.port))
        self.process = None
        self.addCleanup(self.stop)
        self.start()

    @property
    def host(self) -> str:
        """Where it answers, as ``[jobboard] hosts`` has it."""
        return f'127.0.0.1:{self.port}'

    def start(self) -> None:
        """Start the server on its port and data, and wait until it serves."""
        self.process = Process(
            [self._java, '-Xmx128m', '-XX:TieredStopAtLevel=1', '-cp', self._jars, MAIN, self.folder / 'zoo.cfg'],
            self.folder / 'server.log', cwd=self.folder)
        self.process.wait_ready(self._answers, START_SECONDS, f'ZooKeeper on port {self.port}')

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
        (self.folder / 'data').mkdir()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(('127.0.0.1', self.port), timeout=1) as one:
                one.sendall(b'srvr')
                return b'Mode:' in one.recv(4096)
        except OSError:
            return False
