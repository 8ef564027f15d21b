"""Real nodes of the service that are killed, paused and cut off, and clients that upload as slowly as a test wants."""

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any

from tests import base, servers
from tests.servers.glance_api import BUNDLED, GlanceApi
from tests.servers.process import wait_until

MIB = 2**20
CHUNK_BYTES = 2**16
#: Longer than any recovery here takes; the default lease of 60 s would not end within it.
RECOVERY_SECONDS = 40


class NodesTestCase(base.TestCase):
    """Nodes on one database and one store of files.

    :cvar server: the kind of server that the nodes run under
    """

    server = BUNDLED

    def setUp(self):
        super().setUp()
        self.folder = self.tmp / 'images'

    def database(self) -> str:
        """URL of the database that all nodes share."""
        return f'sqlite:///{self.tmp}/glance.sqlite'

    def node(self, **options: Any) -> GlanceApi:
        """A node that runs, with options of [DEFAULT]."""
        config: Mapping[str, Mapping[str, Any]] = {
            'DEFAULT': {'recovery_interval_seconds': 1, **options},
            'database': {'connection': self.database()},
            'glance_store': {'filesystem_store_datadir': str(self.folder)}}
        return servers.use(self, GlanceApi(config, server=self.server))

    # --- what a client does ---------------------------------------------------------------------------------------

    def request(self, node, method, path, body=None, content_type='application/json'):
        """(status, body) of one request."""
        connection = http.client.HTTPConnection('127.0.0.1', node.port, timeout=60)
        try:
            connection.request(method, path, body, {'Content-Type': content_type} if body is not None else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def new_image(self, node) -> str:
        status, body = self.request(node, 'POST', '/v2/images',
                                    json.dumps({'disk_format': 'raw', 'container_format': 'bare'}))
        self.assertEqual(201, status)
        return json.loads(body)['id']

    def image(self, node, image_id) -> dict:
        status, body = self.request(node, 'GET', f'/v2/images/{image_id}')
        self.assertEqual(200, status)
        return json.loads(body)

    def put(self, node, image_id, data):
        return self.request(node, 'PUT', f'/v2/images/{image_id}/file', data, 'application/octet-stream')[0]

    def slow_upload(self, node, image_id, **options) -> 'SlowUpload':
        """An upload that has begun: the image is saving and its first bytes are in the store."""
        of_others = self.parts()
        upload = SlowUpload(node.port, image_id, **options)
        self.addCleanup(upload.vanish)
        upload.send(4 * MIB)
        wait_until(lambda: any(path.stat().st_size for path in self.parts() if path not in of_others), 30,
                   'the first bytes in the store')
        self.assertEqual('saving', self.image(node, image_id)['status'])
        return upload

    # --- what is seen ---------------------------------------------------------------------------------------------

    def files(self):
        return sorted(path.name for path in self.folder.iterdir())

    def parts(self):
        return list(self.folder.glob('.*.part'))

    def wait_undone(self, node, image_id, seconds=RECOVERY_SECONDS):
        """The image can be uploaded again, and no byte of it is left."""
        wait_until(lambda: self.image(node, image_id)['status'] == 'queued' and not self.files(), seconds,
                   f'image {image_id} to be queued without bytes')
        found = self.image(node, image_id)
        self.assertEqual([None] * 4, [found[name] for name in ('size', 'virtual_size', 'checksum', 'os_hash_value')])

    def assert_can_be_uploaded(self, node, image_id, data=b'again' * 100_000):
        self.assertEqual(204, self.put(node, image_id, data))
        self.assert_holds(node, image_id, data)

    def assert_holds(self, node, image_id, data):
        self.assertEqual('active', self.image(node, image_id)['status'])
        status, found = self.request(node, 'GET', f'/v2/images/{image_id}/file')
        self.assertEqual((200, len(data)), (status, len(found)))
        self.assertTrue(data == found, 'other bytes came back')
        self.assertEqual([image_id], self.files())


class SlowUpload:
    """One PUT of an image's data, sent in parts when the test says so.

    :param length: announced in Content-Length; None sends it chunked
    """

    def __init__(self, port: int, image_id: str, length: int | None = None):
        self._socket = socket.create_connection(('127.0.0.1', port), timeout=60)
        self._chunked = length is None
        framing = 'Transfer-Encoding: chunked' if length is None else f'Content-Length: {length}'
        self._socket.sendall(f'PUT /v2/images/{image_id}/file HTTP/1.1\r\nHost: 127.0.0.1\r\n{framing}\r\n'
                             'Content-Type: application/octet-stream\r\n\r\n'.encode())
        self.sent = b''

    def send(self, length: int) -> None:
        """The next bytes, a multiple of CHUNK_BYTES."""
        data = bytes(range(256)) * (length // 256)
        self.sent += data
        if self._chunked:  # in chunks as clients send them; uWSGI takes none of more than 1 MiB
            data = b''.join(b'%x\r\n%s\r\n' % (CHUNK_BYTES, data[start:start + CHUNK_BYTES])
                            for start in range(0, length, CHUNK_BYTES))
        self._socket.sendall(data)

    def end(self) -> None:
        """No more bytes."""
        if self._chunked:
            self._socket.sendall(b'0\r\n\r\n')

    def status(self) -> int:
        """End the body; the status of the answer."""
        self.end()
        answer = http.client.HTTPResponse(self._socket, method='PUT')
        answer.begin()
        answer.read()
        return answer.status

    def vanish(self) -> None:
        """Be gone."""
        self._socket.close()
