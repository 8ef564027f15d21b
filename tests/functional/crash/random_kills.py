"""Many imports, and somebody who kills one thing after another meanwhile."""

import http.client
import random
import threading
import time

import redis
from testtools.content import text_content

from tests import servers
from tests.functional.crash.imports_case import ImportsTestCase, WorkersCase, payload
from tests.functional.crash.nodes import MIB
from tests.servers.process import wait_until

ORDERS = (
    {'stores': ('fast',)},
    {'stores': ('fast', 'cold')},
    {'stores': ('cold', 'fast'), 'must_succeed': False},
    {'stores': ('cold',)},
)


class RandomKills:
    """``imports`` of 1 MiB to 4 MiB, staged or from the web; about one is ordered each ``seconds_apart``.

    :cvar pauses: shortest and longest time between two kills
    """

    imports = 25
    seconds_apart = 0.7
    pauses = (1.0, 5.0)
    mib_per_second = 8

    def check_random_kills(self, nodes, victims):
        """
        :param nodes: clients talk to any of them that answers
        :param victims: name -> (kill, start again)
        """
        seed = random.randrange(2**32)
        chance = random.Random(seed)
        killed = []
        self.addDetail('seed', text_content(f'seed {seed}'))
        over = threading.Event()
        killer = threading.Thread(target=self._kill_until, args=(over, random.Random(chance.random()), victims, killed))
        killer.start()
        try:
            for number in range(self.imports):
                self._order(nodes, chance, number)
                time.sleep(chance.uniform(0, 2 * self.seconds_apart))
        finally:
            over.set()
            killer.join()
        self.addDetail('killed', text_content('\n'.join(killed)))
        for node in nodes:
            wait_until(node.answers, 60, 'the node to answer')
        self.wait_tasks()
        for node in nodes:  # what was given up just now is left alone for a minute by all but those that start
            node.kill9()
            node.start()
        active = self.assert_settled(nodes[0])
        self.addDetail('outcome', text_content(f'{active} of {len(self.expected)} active, {len(killed)} kills'))
        self.assertTrue(active)

    def wait_tasks(self):
        """Wait until no task is under way."""
        statement = "SELECT id, status, step FROM tasks WHERE status NOT IN ('success', 'failure')"
        wait_until(lambda: not self.rows(statement), 150, 'all tasks to end')

    @staticmethod
    def _kill_until(over, chance, victims, killed):
        began = time.monotonic()
        while not over.wait(chance.uniform(*RandomKills.pauses)):
            name = chance.choice(list(victims))
            kill, start = victims[name]
            kill()
            over.wait(chance.uniform(0, 2))
            killed.append(f'{time.monotonic() - began:.1f} s: {name}')
            start()

    def _order(self, nodes, chance, number):
        """One import, by a client that tries again until it is told that it was accepted, or that it was already."""
        data = payload(number, chance.choice((1, 2, 4)) * MIB)
        order, staged = chance.choice(ORDERS), chance.random() < 0.5
        image_id = self._patiently(lambda node: self.new(node, data), nodes, chance)
        # An image that was made though nobody was told stays queued: that is no import.
        if staged:
            self._patiently(lambda node: self._stage_once(node, image_id, data), nodes, chance)
            self._patiently(lambda node: self._import_once(node, image_id, **order), nodes, chance)
        else:
            url = self.source(data)
            self._patiently(lambda node: self._import_once(node, image_id, 'web-download', uri=url, **order), nodes,
                            chance)

    def _stage_once(self, node, image_id, data):
        if self.image(node, image_id)['status'] == 'queued':
            self.stage(node, image_id, data)
        self.assertEqual('uploading', self.image(node, image_id)['status'])

    def _import_once(self, node, image_id, *args, **order):
        if self.image(node, image_id)['status'] in ('queued', 'uploading'):
            self.import_(node, image_id, *args, **order)

    @staticmethod
    def _patiently(call, nodes, chance):
        end = time.monotonic() + 90
        while True:
            try:
                return call(chance.choice(nodes))
            except (OSError, http.client.HTTPException, AssertionError):  # killed, or 503, or still being cleared up
                if time.monotonic() > end:
                    raise
                time.sleep(0.3)


class LocalRandomKills(RandomKills, ImportsTestCase):
    """Two nodes that do their tasks themselves, on SQLite."""

    def check(self):
        nodes = [self.node(max_bytes_per_second=self.mib_per_second * MIB) for _ in range(2)]
        self.check_random_kills(nodes, {f'node {number}': (node.kill9, node.start)
                                        for number, node in enumerate(nodes)})


class WorkersRandomKills(RandomKills, WorkersCase):
    """A node, three workers, Redis and a database: each of them is killed.

    :cvar database_server: of ``tests.servers``
    """

    database_server = 'postgresql'

    def setUp(self):
        super().setUp()
        self.running = servers.need(self, self.database_server)
        self._url = self.running.create_database('randomkills')
        self.addCleanup(self.start_database)

    def database(self):
        return self._url

    def start_database(self):
        if not self.running.process.alive():
            self.running.start()

    def check(self):
        node = self.node(max_bytes_per_second=self.mib_per_second * MIB)
        workers = [self.worker(node) for _ in range(3)]
        self.check_random_kills([node], {
            'node': (node.kill9, node.start), 'board': (self.board.kill, self.board.start),
            'database': (self.running.kill, self.running.start),
            **{f'worker {number}': (one.kill9, one.start) for number, one in enumerate(workers)}})
        wait_until(lambda: not self.jobs(), 60, 'the job board to be empty')

    def jobs(self):
        """What is on the board."""
        client = redis.Redis(port=self.board.port)
        listings = [key for key in client.keys() if key.endswith(b'listings')]
        return [job for key in listings for job in client.hkeys(key)]
