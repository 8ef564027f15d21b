"""What the tests of the bundled server share: the example as a process, and clients on raw sockets."""

import http.client
import os
import socket
import sys
from pathlib import Path

from tests import base
from tests.servers import process

CHECKOUT = Path(__file__).parents[3]
WAIT_SECONDS = 20


class ServerCase(base.TestCase):
    """A test with the example application under the bundled server.

    ``self.start(workers=2, greeting='hi')`` starts it; options of the group [test] are those of the example.
    """

    TEST_OPTIONS = ('greeting', 'start', 'file', 'database', 'duties')

    def setUp(self):
        super().setUp()
        self.port = process.free_port()
        self.log = self.tmp / 'server.log'
        self.config = self.tmp / 'example.conf'
        self.server = None

    def configure(self, **options):
        self.options = {**getattr(self, 'options', {'bind_host': '127.0.0.1', 'bind_port': self.port, 'workers': 0}),
                        **options}
        test = {name: self.options[name] for name in self.options if name in self.TEST_OPTIONS}
        lines = ['[DEFAULT]', *(f'{name} = {value}' for name, value in self.options.items() if name not in test),
                 '[test]', *(f'{name} = {value}' for name, value in test.items())]
        self.config.write_text('\n'.join(lines) + '\n')

    def launch(self, **options):
        """Start the program and do not wait."""
        self.configure(**options)
        self.server = process.Process(
            [sys.executable, '-m', 'tests.functional.real.server_example', self.config], self.log, cwd=CHECKOUT,
            env={'PYTHONPATH': str(CHECKOUT), 'PYTHONUNBUFFERED': '1'})
        self.addCleanup(self.server.kill9)

    def start(self, **options):
        """Start the program and wait until it listens and its log says that it serves."""
        self.launch(**options)
        self.server.wait_ready(lambda: self.log_count('serving on') >= max(self.options['workers'], 1)
                               and process.port_answers(self.port), WAIT_SECONDS, 'the example to serve')

    def log_text(self):
        return self.server.log_text()

    def log_count(self, text):
        return self.log_text().count(text)

    def wait_log(self, text, count=1):
        process.wait_until(lambda: self.log_count(text) >= count, WAIT_SECONDS, f'{text!r} in the log')

    def connection(self, port=None):
        connection = http.client.HTTPConnection('127.0.0.1', port or self.port, timeout=WAIT_SECONDS)
        self.addCleanup(connection.close)
        return connection

    def get(self, path='/', port=None):
        """The text of one answer, on a connection of its own."""
        connection = self.connection(port)
        connection.request('GET', path, headers={'Connection': 'close'})
        with connection.getresponse() as response:
            return response.read().decode()

    def socket(self):
        sock = socket.create_connection(('127.0.0.1', self.port), timeout=WAIT_SECONDS)
        self.addCleanup(sock.close)
        return sock

    def children(self):
        """Process ids of the workers."""
        text = Path(f'/proc/{self.server.pid}/task/{self.server.pid}/children').read_text()
        return sorted(int(pid) for pid in text.split())

    def group_is_empty(self):
        """Has every process of the server ended?"""
        for stat in Path('/proc').glob('[0-9]*/stat'):
            try:
                state, _, group = stat.read_text().rpartition(')')[2].split()[:3]
            except OSError:
                continue  # ended meanwhile
            if int(group) == self.server.pid and state not in 'ZX':
                return False
        return True

    def signal_group(self, number):
        os.killpg(self.server.pid, number)
