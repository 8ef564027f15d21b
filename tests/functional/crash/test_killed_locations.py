"""kill -9 while a location is hashed, and between the row of a location that goes and its bytes."""

import hashlib
import json
import threading

from glancelike.compliance.web_server import WebServer
from glancelike.db_drivers.sqlalchemy.driver import SqlalchemyDriver
from glancelike.plugin import options_for
from tests import servers
from tests.functional.crash.nodes import MIB, NodesTestCase
from tests.servers.glance_api import GlanceApi
from tests.servers.process import wait_until
from tests.unit.core.built import ADMIN

DATA = bytes(range(256)) * (4 * MIB // 256)
SHA512 = hashlib.sha512(DATA).hexdigest()
PATCH = 'application/openstack-images-v2.1-json-patch'


class LocationsTestCase(NodesTestCase):

    def setUp(self):
        super().setUp()
        self.web = WebServer()
        self.addCleanup(self.web.stop)

    def node(self):
        return servers.use(self, GlanceApi({
            'DEFAULT': {'recovery_interval_seconds': 1, 'show_multiple_locations': True,
                        'known_stores': 'filesystem,http'},
            'database': {'connection': self.database()},
            'glance_store': {'filesystem_store_datadir': str(self.folder), 'http_store_allow_private': True},
            'import_filtering_opts': {'allowed_hosts': '127.0.0.1', 'allowed_ports': ''}}, server=self.server))

    def holding(self):
        """A path that gives half of DATA, and the rest when the event is set; when it is asked for the second time it
        tells so. The first two requests look at length and beginning only."""
        path, go_on, begun = self.web.put(DATA), threading.Event(), threading.Event()
        self.addCleanup(go_on.set)
        gets = []

        def answer(handler):
            handler.send_response(200)
            handler.send_header('Content-Length', str(len(DATA)))
            handler.end_headers()
            if handler.command != 'GET':
                return
            gets.append(path)
            try:
                handler.wfile.write(DATA[:2 * MIB])
                if len(gets) > 1:
                    begun.set()
                    go_on.wait()
                handler.wfile.write(DATA[2 * MIB:])
            except OSError:
                handler.close_connection = True
        self.web.handlers[path] = answer
        return self.web.url(path), begun, go_on

    def post(self, node, image_id, url, hashes=None):
        body = {'url': url, 'validation_data': hashes or {}}
        status, text = self.request(node, 'POST', f'/v2/images/{image_id}/locations', json.dumps(body))
        self.assertEqual(202, status, text)


class HashingTest(LocationsTestCase):

    def killed_while_hashing(self, hashes=None):
        node = self.node()
        image_id = self.new_image(node)
        url, begun, go_on = self.holding()
        self.post(node, image_id, url, hashes)
        self.assertTrue(begun.wait(60), 'nobody hashes')
        node.kill9()
        go_on.set()
        node.start()
        return node, image_id

    def test_the_hash_is_computed_after_all(self):
        node, image_id = self.killed_while_hashing()
        self.assertEqual('active', self.image(node, image_id)['status'])
        wait_until(lambda: self.image(node, image_id)['os_hash_value'] == SHA512, 60, 'the hash')

    def test_an_announced_hash_is_compared_after_all(self):
        node, image_id = self.killed_while_hashing({'os_hash_algo': 'sha512', 'os_hash_value': SHA512})
        wait_until(lambda: self.image(node, image_id)['status'] == 'active', 60, 'the image to be active')
        self.assertEqual(SHA512, self.image(node, image_id)['os_hash_value'])

    def test_a_wrong_one_sets_the_image_back_after_all(self):
        node, image_id = self.killed_while_hashing({'os_hash_algo': 'sha512', 'os_hash_value': 'a' * 128})
        wait_until(lambda: self.image(node, image_id)['status'] == 'queued', 60, 'the image to be queued')
        self.assertEqual(204, self.put(node, image_id, DATA))
        self.assert_holds(node, image_id, DATA)


class RemovalTest(LocationsTestCase):
    """The row is pending_delete, the bytes are there, and the process is dead."""

    def test_the_bytes_go_after_all_and_the_image_stays(self):
        node = self.node()
        image_id = self.new_image(node)
        self.assertEqual(204, self.put(node, image_id, DATA))
        step = [{'op': 'add', 'path': '/locations/-',
                 'value': {'url': self.web.url(self.web.put(DATA)), 'metadata': {}}}]
        self.assertEqual(200, self.request(node, 'PATCH', f'/v2/images/{image_id}', json.dumps(step), PATCH)[0])
        node.kill9()
        database = SqlalchemyDriver(options_for(SqlalchemyDriver, connection=self.database()))
        self.addCleanup(database.close)
        image = database.image_get(ADMIN, image_id)
        database.locations_set(ADMIN, image_id, image.locations[1:])  # what a process did that died then
        self.assertEqual([image_id], self.files())
        node.start()
        wait_until(lambda: not self.files(), 60, 'the bytes to be removed')
        status, found = self.request(node, 'GET', f'/v2/images/{image_id}/file')
        self.assertEqual((200, True), (status, found == DATA))
        wait_until(lambda: not database.locations_pending_delete(0), 60, 'the row to be forgotten')
