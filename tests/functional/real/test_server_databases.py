"""A slow database server holds up those who wait for it, and nobody else."""

import threading
import time

from testtools.matchers import Equals, LessThan

from tests import servers
from tests.functional.real.server_case import WAIT_SECONDS, ServerCase


class SlowDatabaseMixin:

    SERVER: str

    def setUp(self):
        super().setUp()
        database = servers.need(self, self.SERVER)
        url = database.create_database('slow_clients')
        self.addCleanup(database.drop_database, 'slow_clients')
        self.start(database=str(url))

    def test_others_are_served_while_queries_run_and_while_the_pool_is_empty(self):
        answers = []
        # The pool has five connections, so most of these wait for one.
        clients = [threading.Thread(target=lambda: answers.append(self.get('/query?0.4')), daemon=True)
                   for _ in range(20)]
        began = time.monotonic()
        for client in clients:
            client.start()
        while len(answers) < 10:
            asked = time.monotonic()
            self.assertThat(self.get(), Equals('hello'))
            self.assertThat(time.monotonic() - asked, LessThan(2.0))
        for client in clients:
            client.join(WAIT_SECONDS)
        self.assertThat(answers, Equals(['done'] * 20))
        self.assertThat(time.monotonic() - began, LessThan(20 * 0.4))


class PostgreSQLTest(SlowDatabaseMixin, ServerCase):
    SERVER = 'postgresql'


class MariaDBTest(SlowDatabaseMixin, ServerCase):
    SERVER = 'mariadb'
