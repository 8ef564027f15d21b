"""``glance-api`` posts, ``glance-worker`` processes do: real programs, a real job board, images that become active."""

import hashlib
import http.client
import json
import os
import signal
import socket

import sqlalchemy
from testtools.matchers import Contains, Equals, HasLength, Not

from tests import base, servers
from tests.servers.etcd import Etcd
from tests.servers.glance_api import GlanceApi
from tests.servers.glance_worker import GlanceWorker
from tests.servers.postgresql import PostgreSQL
from tests.servers.process import free_port, wait_until
from tests.servers.redis import Redis
from tests.servers.zookeeper import ZooKeeper

MIB = 2**20
SECONDS = 90
BACKENDS = {'redis': Redis, 'etcd': Etcd, 'zookeeper': ZooKeeper}


class WorkersTestCase(base.TestCase):
    """A node and a board; workers as the test wants them."""

    BACKEND = 'redis'

    def setUp(self):
        super().setUp()
        self.board = servers.use(self, BACKENDS[self.BACKEND]())

    def database(self):
        return f'sqlite:///{self.tmp}/glance.sqlite'

    def node(self, *, start=True, jobboard=None, **options):
        """A node that posts; *options* are of [task]."""
        config = {
            'DEFAULT': {'recovery_interval_seconds': 1, 'upload_lease_seconds': 6, 'upload_heartbeat_seconds': 1,
                        'node_staging_uri': f'file://{self.tmp}/staging'},
            'database': {'connection': self.database()},
            'glance_store': {'filesystem_store_datadir': str(self.tmp / 'images')},
            'task': {'task_executor': 'jobboard', 'work_dir': str(self.tmp / 'work'), **options},
            'taskflow_executor': {'max_workers': 4},
            'jobboard': {'backend': self.BACKEND, 'hosts': self.board.host, 'claim_seconds': 4, 'call_seconds': 3,
                         'look_seconds': 0.1, **(jobboard or {})},
        }
        return servers.use(self, GlanceApi(config, start=start))

    def worker(self, node, *arguments, start=True):
        return self.useFixture(GlanceWorker(node, *arguments, start=start))

    # --- what a client does -----------------------------------------------------------------------------------------

    def request(self, node, method, path, body=None, content_type='application/json', timeout=60, project='owner'):
        connection = http.client.HTTPConnection('127.0.0.1', node.port, timeout=timeout)
        try:
            connection.request(method, path, body, {'Content-Type': content_type, 'X-Project-Id': project,
                                                    'X-Roles': 'member,reader'})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def staged(self, node, data, project='owner'):
        """The id of a new image whose data are staged."""
        status, body = self.request(node, 'POST', '/v2/images', json.dumps(
            {'disk_format': 'raw', 'container_format': 'bare', 'name': 'n'}), project=project)
        self.assertEqual(201, status, body)
        image_id = json.loads(body)['id']
        status, body = self.request(node, 'PUT', f'/v2/images/{image_id}/stage', data, 'application/octet-stream',
                                    project=project)
        self.assertEqual(204, status, body)
        return image_id

    def begin(self, node, data, project='owner'):
        """The id of a new image whose import was accepted."""
        image_id = self.staged(node, data, project)
        status, body = self.request(node, 'POST', f'/v2/images/{image_id}/import',
                                    json.dumps({'method': {'name': 'glance-direct'}}), project=project)
        self.assertEqual(202, status, body)
        return image_id

    def image(self, node, image_id, project='owner'):
        status, body = self.request(node, 'GET', f'/v2/images/{image_id}', project=project)
        self.assertEqual(200, status, body)
        return json.loads(body)

    def wait_active(self, node, image_id, data, project='owner'):
        document = wait_until(
            lambda: (found := self.image(node, image_id, project))['status'] in ('active', 'queued') and found, SECONDS,
            f'the end of the import of {image_id}')
        self.assertThat(document['status'], Equals('active'))
        self.assertThat(document['os_hash_value'], Equals(hashlib.sha512(data).hexdigest()))

    def assert_clean(self, images):
        """As ``assert_nothing_else``, and no step is noted."""
        self.assert_nothing_else(images)
        for table in ('logbooks', 'flowdetails', 'atomdetails'):
            wait_until(lambda table=table: self.rows(f'SELECT uuid FROM {table}') == [], SECONDS, f'an empty {table}')

    def assert_nothing_else(self, images):
        """Stores and staging hold those images and nothing else; no task is unfinished."""
        wait_until(lambda: self.files('staging') == [] and self.files('work') == [], SECONDS, 'staging to be empty')
        self.assertThat(self.files('images'), Equals(sorted(images)))
        self.assertThat(self.rows("SELECT id FROM tasks WHERE status NOT IN ('success', 'failure')"), HasLength(0))

    def files(self, folder):
        return sorted(name for _path, _folders, names in os.walk(self.tmp / folder) for name in names)

    def rows(self, statement):
        engine = sqlalchemy.create_engine(self.database(), poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            return connection.exec_driver_sql(statement).fetchall()

    def is_begun(self, worker):
        text = worker.log_text()
        return 'begins' in text or 'is over' in text


class OneBoardMixin:
    """With each of the boards."""

    def test_a_worker_does_what_a_node_posts(self):
        node = self.node()
        self.worker(node)
        data = os.urandom(3 * MIB)
        image_id = self.begin(node, data)
        self.wait_active(node, image_id, data)
        self.assert_clean([image_id])

    def test_the_work_of_a_killed_worker_is_finished_by_another(self):
        node = self.node(max_bytes_per_second=MIB)
        first = self.worker(node)
        data = os.urandom(5 * MIB)
        image_id = self.begin(node, data)
        wait_until(lambda: self.is_begun(first) and self.files('images'), SECONDS, 'bytes in the store')
        first.kill9()
        self.assertThat(self.image(node, image_id)['status'], Equals('importing'))
        second = self.worker(node)
        self.wait_active(node, image_id, data)
        self.assertTrue(self.is_begun(second))
        self.assert_clean([image_id])

    def test_a_long_task_stays_with_its_worker_while_claims_expire(self):
        node = self.node(max_bytes_per_second=MIB)
        first = self.worker(node)
        data = os.urandom(10 * MIB)  # eight seconds and more: two claims of four seconds
        image_id = self.begin(node, data)
        wait_until(lambda: self.is_begun(first), SECONDS, 'the beginning')
        second = self.worker(node)
        self.wait_active(node, image_id, data)
        self.assertFalse(self.is_begun(second))
        self.assert_clean([image_id])

    def test_what_a_board_forgot_is_posted_again(self):
        node = self.node()
        data = os.urandom(MIB)
        image_id = self.begin(node, data)
        wait_until(lambda: 'is posted to the job board' in node.log_text(), SECONDS, 'the post')
        self.board.kill()
        getattr(self.board, 'wipe', lambda: None)()
        self.board.start()
        self.worker(node)
        self.wait_active(node, image_id, data)
        self.assert_clean([image_id])

    def test_a_board_that_says_nothing_holds_up_no_request(self):
        silent = socket.create_server(('127.0.0.1', free_port()))
        self.addCleanup(silent.close)
        silent.settimeout(SECONDS)
        node = self.node(jobboard={'hosts': f'127.0.0.1:{silent.getsockname()[1]}', 'call_seconds': 60})
        image_id = self.begin(node, b'data')
        caller, _address = silent.accept()
        self.addCleanup(caller.close)
        for _ in range(5):
            status, _body = self.request(node, 'GET', f'/v2/images/{image_id}', timeout=20)
            self.assertThat(status, Equals(200))
        self.begin(node, b'other data')


class RedisWorkersTest(OneBoardMixin, WorkersTestCase):

    def test_a_worker_that_is_told_to_stop_gives_its_work_back(self):
        node = self.node(max_bytes_per_second=2 * MIB)
        first = self.worker(node)
        data = os.urandom(6 * MIB)
        image_id = self.begin(node, data)
        wait_until(lambda: self.is_begun(first) and self.files('images'), SECONDS, 'bytes in the store')
        self.assertThat(first.terminate(), Equals(0))
        self.assertThat(self.rows('SELECT node FROM image_uploads'), Equals([('',)]))
        self.worker(node)
        self.wait_active(node, image_id, data)
        self.assert_clean([image_id])

    def test_drain_finishes_everything_and_ends(self):
        node = self.node()
        data = os.urandom(MIB)
        images = [self.begin(node, data) for _ in range(6)]
        wait_until(lambda: node.log_text().count('is posted to the job board') == 6, SECONDS, 'six posts')
        worker = self.worker(node, '--drain', '--workers', '2')
        self.assertThat(worker.process.wait(SECONDS), Equals(0))
        for image_id in images:
            self.assertThat(self.image(node, image_id)['status'], Equals('active'))
        self.assertThat(worker.log_text(), Contains('at most 2 at once'))
        self.assert_clean(images)

    def test_an_idle_worker_ends_at_once_and_by_either_signal(self):
        node = self.node()
        for number in (signal.SIGTERM, signal.SIGINT):
            worker = self.worker(node)
            self.assertThat(worker.process.terminate(SECONDS, number), Equals(0))

    def test_a_second_signal_ends_a_worker_that_waits_for_something(self):
        silent = socket.create_server(('127.0.0.1', free_port()))
        self.addCleanup(silent.close)
        silent.settimeout(SECONDS)
        node = self.node(jobboard={'hosts': f'127.0.0.1:{silent.getsockname()[1]}', 'call_seconds': 120,
                                   'stop_seconds': 120})
        worker = self.worker(node)
        caller, _address = silent.accept()
        self.addCleanup(caller.close)
        worker.process.send_signal(signal.SIGTERM)
        wait_until(lambda: 'Told to stop' in worker.log_text(), SECONDS, 'the first to arrive')

        def has_ended():
            worker.process.send_signal(signal.SIGTERM)
            return not worker.process.alive()
        wait_until(has_ended, SECONDS, 'the end')
        self.assertThat(worker.process.wait(SECONDS), Equals(-signal.SIGTERM))

    def test_the_loss_of_the_board_is_survived_by_everybody(self):
        node = self.node(max_bytes_per_second=2 * MIB)
        worker = self.worker(node)
        long = os.urandom(4 * MIB)
        images = [self.begin(node, long)]
        wait_until(lambda: self.is_begun(worker), SECONDS, 'the beginning')
        self.board.kill()
        short = os.urandom(1000)
        images.append(self.begin(node, short))
        self.wait_active(node, images[0], long)
        self.board.start()
        self.wait_active(node, images[1], short)
        self.assert_clean(images)

    def test_small_images_do_not_wait_for_a_large_one(self):
        node = self.node(max_bytes_per_second=MIB)
        workers = [self.worker(node) for _ in range(3)]
        large, small = os.urandom(100 * MIB), os.urandom(4 * 1024)
        first = self.begin(node, large, project='large')
        wait_until(lambda: any(self.is_begun(one) for one in workers), SECONDS, 'the large one to begin')
        images = [self.begin(node, small, project='small') for _ in range(50)]
        for image_id in images:
            self.wait_active(node, image_id, small, project='small')
        self.assertThat(self.image(node, first, 'large')['status'], Equals('importing'))
        self.assertThat([self.is_begun(one) for one in workers], Equals([True, True, True]))
        self.request(node, 'DELETE', f'/v2/images/{first}/import', project='large')
        wait_until(lambda: self.image(node, first, 'large')['status'] == 'queued', SECONDS, 'the end of the large one')
        self.assert_clean(images)

    def test_a_worker_without_a_job_board_says_what_to_set(self):
        node = self.node(task_executor='local', start=False)
        worker = self.worker(node, start=False)
        error = self.assertRaises(AssertionError, worker.start)
        self.assertThat(str(error), Contains('Set it to jobboard'))

    def test_a_worker_has_no_eventlet_in_it(self):
        node = self.node()
        worker = self.worker(node)
        with open(f'/proc/{worker.pid}/maps') as maps:
            self.assertThat(maps.read(), Not(Contains('greenlet')))
        self.assertThat(worker.log_text(), Not(Contains('ventlet')))


class LocalTest(WorkersTestCase):
    """Tasks in the API process."""

    def begun_node(self, data):
        node = self.node(task_executor='local', max_bytes_per_second=MIB)
        image_id = self.begin(node, data)
        wait_until(lambda: self.files('images'), SECONDS, 'bytes in the store')
        return node, image_id

    def test_a_node_that_is_stopped_gives_its_work_back_and_takes_it_up_again(self):
        data = os.urandom(5 * MIB)
        node, image_id = self.begun_node(data)
        self.assertThat(node.terminate(), Equals(0))
        self.assertThat(self.rows('SELECT node FROM image_uploads'), Equals([('',)]))
        node.start()
        self.wait_active(node, image_id, data)
        self.assert_nothing_else([image_id])

    def test_a_node_that_is_killed_takes_its_work_up_again(self):
        data = os.urandom(5 * MIB)
        node, image_id = self.begun_node(data)
        node.kill9()
        node.start()
        self.wait_active(node, image_id, data)
        self.assert_nothing_else([image_id])


class LostDatabaseTest(WorkersTestCase):
    """The database is killed while a worker works, and comes back with what it had."""

    def setUp(self):
        super().setUp()
        self.server = servers.use(self, PostgreSQL())
        self.url = self.server.create_database('glance')

    def database(self):
        return self.url

    def test_work_goes_on_when_the_database_is_back(self):
        node = self.node(max_bytes_per_second=MIB)
        worker = self.worker(node)
        data = os.urandom(6 * MIB)
        image_id = self.begin(node, data)
        wait_until(lambda: self.is_begun(worker) and self.files('images'), SECONDS, 'bytes in the store')
        self.server.kill()
        wait_until(lambda: self.request(node, 'GET', f'/v2/images/{image_id}')[0] == 503, SECONDS, 'the loss')
        wait_until(lambda: 'cannot be noted now' in worker.log_text(), SECONDS, 'a step that is done')
        self.server.start()
        wait_until(lambda: self.request(node, 'GET', f'/v2/images/{image_id}')[0] == 200, SECONDS, 'the database')
        self.wait_active(node, image_id, data)
        self.assert_clean([image_id])


class EtcdWorkersTest(OneBoardMixin, WorkersTestCase):
    BACKEND = 'etcd'


class ZooKeeperWorkersTest(OneBoardMixin, WorkersTestCase):
    BACKEND = 'zookeeper'
