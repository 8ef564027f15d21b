"""The import methods that fetch are held to their contract, against real web servers."""

import hashlib
import json
import socket
import uuid

from glancelike import plugin
from glancelike.compliance.import_method import ImportMethodSuite
from glancelike.compliance.web_server import WebServer
from glancelike.tasks.import_methods.glance_download import GlanceDownload
from glancelike.tasks.import_methods.web_download import WebDownload
from tests import base

QUICK = {'download_timeout': 1, 'download_retries': 1, 'download_longest_pause': 0}
CREDENTIALS = """
[vendor]
hosts = 127.0.0.1
user = cloud
password = pa55word
allow_http = true
"""


def closed_port():
    with socket.create_server(('127.0.0.1', 0)) as listening:
        return listening.getsockname()[1]


def break_off_after(data, size):
    """A handler that announces all of *data* and sends the first *size* bytes."""
    def answer(handler):
        handler.send_response(200)
        handler.send_header('Content-Length', str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[:size])
        handler.close_connection = True
    return answer


class WebCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.without_proxies()
        self.web = WebServer()
        self.addCleanup(self.web.stop)
        self.silent = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(self.silent.close)

    def silent_port(self):
        return self.silent.getsockname()[1]


class WebDownloadTest(ImportMethodSuite, WebCase):

    def make_method(self):
        return WebDownload(plugin.options_for(
            WebDownload, allowed_networks=['127.0.0.0/8'], allowed_ports=[], **QUICK))

    def request(self, uri):
        return {'name': 'web-download', 'uri': uri}

    def make_request(self, data):
        return self.request(self.web.url(self.web.put(data)))

    def missing_request(self):
        return self.request(self.web.url('/nothing'))

    def dead_request(self):
        return self.request(f'http://127.0.0.1:{closed_port()}/x')

    def broken_request(self, data):
        self.web.handlers['/broken'] = break_off_after(data, len(data) // 2)
        return self.request(self.web.url('/broken'))

    def silent_request(self):
        return self.request(f'http://127.0.0.1:{self.silent_port()}/x')

    def wrong_requests(self):
        good = self.web.url('/x')
        for uri in ('ftp://127.0.0.1/x', 'http:///x', '/x', 'http://10.0.0.1/x', 'http://user:pw@example.org/x'):
            yield self.request(uri), 'uri'
        yield {'name': 'web-download'}, 'uri'
        yield {**self.request(good), 'checksum': 'sha256:abc'}, 'checksum'
        yield {**self.request(good), 'credentials': 'nobody'}, 'credentials'
        yield {**self.request(good), 'check_sum': 'sha256:abc'}, 'check_sum'


class WebDownloadWithEverythingTest(WebDownloadTest):
    """With a checksum, with credentials, and from a server that knows no ranges."""

    def make_method(self):
        path = self.tmp / 'credentials'
        path.write_text(CREDENTIALS)
        return WebDownload(plugin.options_for(
            WebDownload, allowed_hosts=['127.0.0.1'], allowed_ports=[], web_download_credentials_file=str(path),
            **QUICK))

    def make_request(self, data):
        self.web.ranges = False
        path = self.web.put(data)
        self.web.passwords[path] = 'cloud:pa55word'
        return {**self.request(self.web.url(path)), 'checksum': f'sha256:{hashlib.sha256(data).hexdigest()}',
                'credentials': 'vendor'}

    def make_context(self):
        return plugin.RequestContext(user_id='suite', project_id='suite', token='token-that-is-not-needed')

    def secrets(self):
        return ['pa55word', 'Y2xvdWQ6cGE1NXdvcmQ=']


class GlanceDownloadTest(ImportMethodSuite, WebCase):
    """Against a web server with the two answers of an image service that are needed."""

    def make_method(self):
        return GlanceDownload(plugin.options_for(GlanceDownload, **QUICK))

    def make_context(self):
        def image_service(region, port):
            return {'region': region, 'publicURL': f'http://127.0.0.1:{port}/image/v2/'}

        endpoints = [image_service('west', self.web.port), image_service('silent', self.silent_port()),
                     image_service('dead', closed_port())]
        return plugin.RequestContext(
            user_id='suite', project_id='suite', roles=frozenset({'member'}), token='token-of-the-caller',
            service_catalog=({'type': 'compute', 'endpoints': []}, {'type': 'image', 'endpoints': endpoints}))

    def request(self, region='west', image_id=None):
        return {'name': 'glance-download', 'glance_region': region, 'glance_image_id': image_id or str(uuid.uuid4())}

    def make_request(self, data, **values):
        request = self.request()
        path = f'/image/v2/images/{request["glance_image_id"]}'
        self.web.objects[path] = json.dumps({
            'id': request['glance_image_id'], 'status': 'active', 'size': len(data), 'disk_format': 'raw',
            'container_format': 'bare', 'os_hash_algo': 'sha512', 'os_hash_value': hashlib.sha512(data).hexdigest(),
            'hw_disk_bus': 'virtio', 'secret_note': 'x', **values}).encode()
        self.web.objects[f'{path}/file'] = data
        return request

    def missing_request(self):
        return self.request()

    def dead_request(self):
        return self.request('dead')

    def silent_request(self):
        return self.request('silent')

    def broken_request(self, data):
        request = self.make_request(data)
        self.web.handlers[f'/image/v2/images/{request["glance_image_id"]}/file'] = break_off_after(data, 1000)
        return request

    def wrong_requests(self):
        yield {'name': 'glance-download', 'glance_region': 'west'}, 'glance_image_id'
        yield {**self.request(), 'glance_image_id': '../x'}, 'glance_image_id'
        yield {**self.request(), 'glance_region': ''}, 'glance_region'
        yield {**self.request(), 'glance_service_interface': 5}, 'glance_service_interface'
        yield {**self.request(), 'uri': 'http://x/'}, 'uri'


del WebCase
