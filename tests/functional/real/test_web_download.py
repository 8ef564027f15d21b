"""web-download and glance-download through the bundled server, which has one thread for everything but the waiting."""

import hashlib
import http.client
import json
import socket

from glancelike import plugin
from glancelike.compliance.import_method import SuiteJob, sample
from glancelike.compliance.web_server import WebServer
from glancelike.tasks.import_methods.glance_download import GlanceDownload
from tests import base
from tests.servers.glance_api import GlanceApi
from tests.servers.process import wait_until
from tests.unit.network.test_download import Source

MIB = 2**20
DATA = sample(35 * MIB)
OPTIONS = {'import_filtering_opts': {'allowed_networks': '127.0.0.0/8', 'allowed_ports': ''}}


class WebDownloadTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.web = WebServer()
        self.addCleanup(self.web.stop)
        self.api = self.useFixture(GlanceApi(OPTIONS, env={'http_proxy': None, 'https_proxy': None}))

    def ask(self, method, path, document=None, body=None, kind='application/json'):
        connection = http.client.HTTPConnection('127.0.0.1', self.api.port, timeout=30)
        self.addCleanup(connection.close)
        body = json.dumps(document) if document is not None else body
        connection.request(method, path, body, {'Content-Type': kind} if body is not None else {})
        answer = connection.getresponse()
        text = answer.read()
        self.assertTrue(answer.status < 400, f'{answer.status}: {text[:500]}')
        return text

    def image(self):
        return json.loads(self.ask('POST', '/v2/images', {'disk_format': 'raw', 'container_format': 'bare'}))['id']

    def begin(self, uri, **more):
        image_id = self.image()
        self.ask('POST', f'/v2/images/{image_id}/import', {'method': {'name': 'web-download', 'uri': uri, **more}})
        return image_id

    def ended(self, image_id):
        """The newest task of the image once it has ended, and the image."""
        def task():
            found = json.loads(self.ask('GET', f'/v2/images/{image_id}/tasks'))['tasks'][0]
            return found if found['status'] in ('success', 'failure') else None
        return wait_until(task, 60, 'the import to end'), json.loads(self.ask('GET', f'/v2/images/{image_id}'))

    def test_a_source_that_drops_the_connection_each_10_mib(self):
        self.web.handlers['/image'] = Source(DATA, cut=10 * MIB, etag='"1"')
        digest = hashlib.sha256(DATA).hexdigest()
        task, image = self.ended(self.begin(self.web.url('/image'), checksum=f'sha256:{digest}'))
        self.assertEqual(('success', 'active', len(DATA)), (task['status'], image['status'], image['size']))
        self.assertEqual(hashlib.sha512(DATA).hexdigest(), image['os_hash_value'])
        self.assertEqual(4, len(self.web.seen))

    def test_another_checksum_leaves_the_image_queued_and_no_bytes(self):
        uri = self.web.url(self.web.put(DATA))
        task, image = self.ended(self.begin(uri, checksum='sha256:' + '0' * 64))
        self.assertEqual(('failure', 'queued'), (task['status'], image['status']))
        self.assertIn('sha256', task['message'])
        self.assertEqual([], [path for path in (self.api.folder / 'images').rglob('*') if path.is_file()])

    def test_others_are_served_while_sources_say_nothing_and_a_cancelled_one_ends(self):
        silent = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(silent.close)
        begun = [self.begin(f'http://127.0.0.1:{silent.getsockname()[1]}/') for _ in range(3)]
        for _ in range(20):
            self.ask('GET', '/v2/images')
        for image_id in begun:
            self.ask('DELETE', f'/v2/images/{image_id}/import')
        for image_id in begun:
            task, image = self.ended(image_id)
            self.assertEqual(('failure', 'queued'), (task['status'], image['status']))

    def test_an_image_of_another_service_is_downloaded(self):
        image_id = self.image()
        self.ask('PUT', f'/v2/images/{image_id}/file', body=DATA, kind='application/octet-stream')
        ctx = plugin.RequestContext(token='t0ken', service_catalog=(
            {'type': 'image', 'endpoints': [{'region': 'west', 'publicURL': self.api.url}]},))
        method = GlanceDownload(plugin.options_for(GlanceDownload))
        given = method.check(ctx, {'glance_region': 'west', 'glance_image_id': image_id})
        content = method.open(SuiteJob(str(self.tmp), input=given, secret=method.secret(ctx, given)))
        self.assertEqual(('raw', 'bare', len(DATA)), (content.disk_format, content.container_format, content.size))
        self.assertTrue(b''.join(content.chunks) == DATA)
