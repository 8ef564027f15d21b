"""What goes wrong while the node lives on: clients that vanish, full disks, races, a database that stops."""

import subprocess
import threading

from glancelike.db_drivers.sqlalchemy.driver import SqlalchemyDriver
from glancelike.plugin import options_for
from tests import servers
from tests.functional.crash.nodes import MIB, NodesTestCase
from tests.servers.glance_api import GUNICORN, UWSGI
from tests.servers.process import wait_until


class Undone:
    """The same under each server."""

    def test_a_client_that_vanishes_in_a_chunked_body(self):
        self.check_vanished(length=None)

    def test_a_client_that_vanishes_in_a_body_of_known_length(self):
        self.check_vanished(length=100 * MIB)

    def check_vanished(self, length):
        node = self.node()
        image_id = self.new_image(node)
        self.slow_upload(node, image_id, length=length).vanish()
        self.wait_undone(node, image_id)
        self.assert_can_be_uploaded(node, image_id)

    def test_two_uploads_to_one_image(self):
        node, other = self.node(), self.node()
        image_id = self.new_image(node)
        first = self.slow_upload(node, image_id)
        self.assertEqual([409, 409], [self.put(one, image_id, b'second') for one in (node, other)])
        first.send(MIB)
        self.assertEqual(204, first.status())
        self.assert_holds(other, image_id, first.sent)

    def test_many_uploads_to_one_image_at_once(self):
        nodes = [self.node(), self.node()]
        image_id = self.new_image(nodes[0])
        statuses, start = [], threading.Barrier(6, timeout=60)

        def put(number):
            start.wait()
            statuses.append((self.put(nodes[number % 2], image_id, bytes([number]) * MIB), number))
        clients = [threading.Thread(target=put, args=(number,)) for number in range(6)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        self.assertEqual([204] + [409] * 5, sorted(status for status, _ in statuses))
        winner = next(number for status, number in statuses if status == 204)
        self.assert_holds(nodes[0], image_id, bytes([winner]) * MIB)

    def test_delete_during_an_upload(self):
        node, other = self.node(), self.node()
        image_id = self.new_image(node)
        upload = self.slow_upload(node, image_id)
        self.assertEqual(204, self.request(other, 'DELETE', f'/v2/images/{image_id}')[0])
        upload.send(MIB)
        self.assertEqual(410, upload.status())
        wait_until(lambda: not self.files(), 30, 'the bytes to be removed')
        self.assertEqual(404, self.request(node, 'GET', f'/v2/images/{image_id}')[0])

    def test_a_full_disk(self):
        self.folder.mkdir()
        self.mount_small_disk()
        node = self.node()
        image_id = self.new_image(node)
        self.check_full(lambda: self.put(node, image_id, b'x' * 32 * MIB))
        self.wait_undone(node, image_id, seconds=5)
        upload = self.slow_upload(node, image_id)  # chunked: nobody knows beforehand that it will not fit

        def go_on():
            upload.send(32 * MIB)
            return upload.status()
        self.check_full(go_on)
        self.wait_undone(node, image_id, seconds=5)
        self.assert_can_be_uploaded(node, image_id)

    def check_full(self, send):
        try:
            self.assertEqual(413, send())
        except OSError as error:
            # gunicorn and uWSGI hang up after an answer for which they have not read the whole body.
            self.assertIsInstance(error, (BrokenPipeError, ConnectionResetError))

    def mount_small_disk(self):
        mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', str(self.folder)],
                                 capture_output=True, text=True, check=False)
        if mounted.returncode:
            servers.refuse(self, f'a small file system cannot be mounted here: {mounted.stderr.strip()}')
        self.addCleanup(subprocess.run, ['umount', str(self.folder)], check=True)


class BundledTest(Undone, NodesTestCase):
    pass


class GunicornTest(Undone, NodesTestCase):
    server = GUNICORN


class UwsgiTest(Undone, NodesTestCase):
    server = UWSGI


class DatabaseStops:
    """The database goes away during an upload and comes back.

    :cvar database_server: which of ``tests.servers``
    """

    database_server = 'postgresql'

    def setUp(self):
        super().setUp()
        self.running = servers.need(self, self.database_server)
        self._url = self.running.create_database('stops')
        self.addCleanup(self.start_database)

    def database(self):
        return self._url

    def start_database(self):
        if not self.running.process.alive():
            self.running.start()

    def test_stopped_at_commit(self):
        node = self.node()
        image_id = self.new_image(node)
        upload = self.slow_upload(node, image_id)
        self.running.stop()
        self.assertEqual(503, upload.status())
        self.start_database()
        self.wait_undone(node, image_id)
        self.assert_can_be_uploaded(node, image_id)

    def test_gone_for_longer_than_a_lease_during_an_upload(self):
        node, other = (self.node(upload_lease_seconds=3, upload_heartbeat_seconds=1) for _ in range(2))
        image_id = self.new_image(node)
        upload = self.slow_upload(node, image_id)
        self.running.stop()
        logged = len(node.log_text())
        for one in (node, other):
            wait_until(lambda one=one: one.log_text().count('Recovery waits for the database') > 3, 60,
                       'recovery to miss the database')
        self.assertTrue(len(node.log_text()) > logged)
        self.start_database()
        db = SqlalchemyDriver(options_for(SqlalchemyDriver, connection=self.database()))
        self.addCleanup(db.close)
        first = db.upload_of_image(image_id)
        wait_until(lambda: (db.upload_of_image(image_id).heartbeat_at - first.heartbeat_at).total_seconds() > 6, 60,
                   'the upload to be renewed for two more leases')
        self.assertEqual(first.id, db.upload_of_image(image_id).id)
        upload.send(MIB)
        self.assertEqual(204, upload.status())
        self.assert_holds(other, image_id, upload.sent)


class BundledDatabaseStopsTest(DatabaseStops, NodesTestCase):
    pass


class GunicornDatabaseStopsTest(DatabaseStops, NodesTestCase):
    server = GUNICORN


class BundledMariadbStopsTest(DatabaseStops, NodesTestCase):
    database_server = 'mariadb'
