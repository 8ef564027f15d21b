"""``glance-worker`` as a real process, with the configuration file of a node."""

import os
import sys

import fixtures

from tests.servers.glance_api import GlanceApi
from tests.servers.process import Process
from tests.servers.venvs import CHECKOUT

START_SECONDS = 60
PROGRAM = 'import sys; sys.argv[0] = "glance-worker"; from glancelike.cmd.worker import main; sys.exit(main())'


class GlanceWorker(fixtures.Fixture):
    """A worker beside a node: ``self.useFixture(GlanceWorker(api))``. ``setUp`` returns when it looks for tasks.

    :param api: whose glance.conf it reads
    :param arguments: more of the command line
    :param start: False leaves it down until ``start()``
    """

    def __init__(self, api: GlanceApi, *arguments: str, start: bool = True):
        self._api, self._arguments, self._start = api, arguments, start

    def _setUp(self):
        self.log = self._api.folder / f'worker-{id(self)}.log'
        self.process = None
        self.addCleanup(self._kill)
        if self._start:
            self.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> None:
        """Start it, and wait until it looks for tasks."""
        before = self.log_text().count('Looking for tasks')
        self.process = Process(
            [sys.executable, '-c', PROGRAM, '--config-file', self._api.config_file, *self._arguments], self.log,
            cwd=CHECKOUT, env={
                'PYTHONPATH': os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get('PYTHONPATH')])),
                'PYTHONUNBUFFERED': '1', 'OS_GLANCE_CONFIG_DIR': str(self._api.folder)})
        self.process.wait_ready(lambda: self.log_text().count('Looking for tasks') > before, START_SECONDS,
                                'glance-worker looks for tasks')

    def terminate(self, seconds: float = 60) -> int:
        """Stop it as an operator would (SIGTERM); return its exit code."""
        return self.process.terminate(seconds)

    def kill9(self) -> int:
        """Kill it, as a power cut would; return the exit code."""
        return self.process.kill9()

    def log_text(self) -> str:
        """Return all it has written so far, over restarts too."""
        return self.log.read_text(errors='replace') if self.log.exists() else ''

    def _kill(self) -> None:
        if self.process and self.process.alive():
            self.process.kill9()
