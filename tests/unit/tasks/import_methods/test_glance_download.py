"""glance-download: which service is asked, what is taken over, and where the token does not go."""

import hashlib
import json

from glancelike import plugin
from glancelike.compliance.import_method import SuiteJob
from glancelike.compliance.web_server import WebServer
from glancelike.plugin import errors
from glancelike.tasks.import_methods.glance_download import GlanceDownload
from tests import base

ID = '6f7e5d4c-3b2a-4190-8f7e-5d4c3b2a1908'
DATA = bytes(range(256)) * 40
TOKEN = 'gAAAAAB-the-token'
DOCUMENT = {
    'id': ID, 'status': 'active', 'size': len(DATA), 'disk_format': 'qcow2', 'container_format': 'bare',
    'os_hash_algo': 'sha512', 'os_hash_value': hashlib.sha512(DATA).hexdigest(), 'checksum': 'x', 'name': 'far',
    'hw_disk_bus': 'virtio', 'trait:HW_X': 'required', 'os_type': 'linux', 'os_distro': 'debian', 'kernel_id': ID,
    'hw_number': 5, 'os_glance_stage_host': 'x', 'owner': 'somebody', 'visibility': 'private'}


class GlanceDownloadTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.without_proxies()
        self.web = WebServer()
        self.addCleanup(self.web.stop)
        self.serve()

    def serve(self, data=DATA, **changes):
        self.web.objects[f'/v2/images/{ID}'] = json.dumps({**DOCUMENT, **changes}).encode()
        self.web.objects[f'/v2/images/{ID}/file'] = data

    def method(self, **options):
        return GlanceDownload(plugin.options_for(GlanceDownload, **{
            'download_timeout': 2, 'download_retries': 0, 'download_longest_pause': 0, **options}))

    def context(self, *endpoints, token=TOKEN):
        endpoints = endpoints or ({'region': 'west', 'publicURL': self.web.url('')},)
        return plugin.RequestContext(token=token, service_catalog=(
            {'type': 'compute', 'endpoints': [{'region': 'west', 'publicURL': 'http://nova'}]},
            {'type': 'image', 'endpoints': list(endpoints)}))

    def check(self, ctx=None, **values):
        return self.method().check(ctx or self.context(), {
            'name': 'glance-download', 'glance_region': 'west', 'glance_image_id': ID, **values})

    def open(self, ctx=None, **options):
        ctx = ctx or self.context()
        method, given = self.method(**options), self.check(ctx)
        return method.open(SuiteJob(str(self.tmp), input=given, secret=method.secret(ctx, given)))

    def test_formats_and_chosen_properties_come_with_the_data(self):
        content = self.open()
        self.assertEqual(DATA, b''.join(content.chunks))
        self.assertEqual(('qcow2', 'bare', len(DATA)), (content.disk_format, content.container_format, content.size))
        self.assertEqual({'hw_disk_bus': 'virtio', 'trait:HW_X': 'required', 'os_type': 'linux', 'os_distro': 'debian'},
                         dict(content.properties))

    def test_the_operator_chooses_which_properties(self):
        content = self.open(extra_properties=["['kernel_", ' os_glance]'])
        self.assertEqual({'kernel_id': ID}, dict(content.properties))
        self.assertEqual({}, dict(self.open(extra_properties=[]).properties))

    def test_the_token_is_sent_and_stands_nowhere(self):
        list(self.open().chunks)
        self.assertEqual([TOKEN, TOKEN], [headers.get('X-Auth-Token') for _method, _path, headers in self.web.seen])
        self.assertNotIn(TOKEN, json.dumps(self.check()))

    def test_catalogs_of_both_shapes_are_understood(self):
        for endpoint in ({'region': 'west', 'internalURL': 'http://far/image/v2/', 'publicURL': 'http://no'},
                         {'region': 'RegionOne', 'region_id': 'west', 'interface': 'internal', 'url': 'http://far/image'}):
            given = self.check(self.context({'region': 'east', 'internalURL': 'http://no'}, endpoint),
                               glance_service_interface='internal')
            self.assertEqual({'glance_region': 'west', 'glance_image_id': ID, 'glance_service_interface': 'internal',
                              'endpoint': 'http://far/image'}, given)

    def test_a_catalog_without_that_service_is_told(self):
        for endpoint in ({'region': 'east', 'publicURL': 'http://x'}, {'region': 'west', 'adminURL': 'http://x'},
                         {'region': 'west', 'publicURL': None}, {}, None, 'x'):
            error = self.assertRaises(errors.BadSource, self.open, self.context(endpoint))
            self.assertIn('in that region', str(error))

    def test_an_interface_that_there_is_not_is_none_of_the_catalog(self):
        self.assertIsNone(self.check(glance_service_interface='secret')['endpoint'])
        self.assertRaises(errors.Invalid, self.check, glance_service_interface=5)

    def test_an_endpoint_that_is_no_url_is_bad(self):
        for url in ('ftp://x', 'x', 'http://user:pw@far/', 'http://far/?a=b'):
            error = self.assertRaises(errors.BadSource, self.check, self.context({'region': 'west', 'publicURL': url}))
            self.assertNotIn('pw', str(error))

    def test_without_a_usable_token_nothing_can_be_asked(self):
        for token in (None, '', 'a\r\nb'):
            self.assertRaises(errors.Invalid, self.check, self.context(token=token))

    def test_an_image_that_is_not_active_is_bad(self):
        self.serve(status='queued')
        self.assertIn('not active', str(self.assertRaises(errors.BadSource, self.open)))

    def test_what_is_no_image_service_is_bad(self):
        for body in (b'<html>', b'[]', b'"x"', b'\xff', b'[' * 100_000, b'{"a": "' + b'x' * (5 * 2**20) + b'"}'):
            self.web.objects[f'/v2/images/{ID}'] = body
            self.assertRaises(errors.BadSource, self.open)

    def test_answers_of_the_other_service_are_told(self):
        for status, error in ((401, errors.BadSource), (403, errors.BadSource), (404, errors.BadSource),
                              (503, errors.SourceUnavailable)):
            self.web.statuses[f'/v2/images/{ID}'] = status
            self.assertRaises(error, self.open)
        self.web.statuses.clear()
        self.web.statuses[f'/v2/images/{ID}/file'] = 204
        self.assertRaises(errors.BadSource, self.open)

    def test_other_data_than_the_image_says_are_refused(self):
        self.serve(b'y' * len(DATA))
        self.assertRaises(errors.HashMismatch, list, self.open().chunks)
        self.serve(b'y')
        self.assertRaises(errors.BadSource, self.open)

    def test_where_the_hash_is_of_an_unknown_kind_the_checksum_counts(self):
        self.serve(os_hash_algo='tiger', checksum=hashlib.md5(DATA).hexdigest())
        self.assertEqual(DATA, b''.join(self.open().chunks))
        self.serve(os_hash_algo='tiger', checksum='0' * 32)
        self.assertRaises(errors.HashMismatch, list, self.open().chunks)
        self.serve(os_hash_algo=None, os_hash_value=None, checksum=None)
        self.assertEqual(DATA, b''.join(self.open().chunks))

    def test_a_redirect_away_is_not_followed_and_gets_no_token(self):
        other = WebServer()
        self.addCleanup(other.stop)
        for path in (f'/v2/images/{ID}', f'/v2/images/{ID}/file'):
            self.web.redirects = {path: (307, other.url(path))}
            self.assertIn('redirects', str(self.assertRaises(errors.BadSource, self.open)))
        self.assertEqual([], other.seen)

    def test_a_redirect_within_the_service_is_followed(self):
        self.web.redirects[f'/v2/images/{ID}/file'] = (307, '/elsewhere')
        self.web.objects['/elsewhere'] = DATA
        self.assertEqual(DATA, b''.join(self.open().chunks))

    def test_no_error_carries_the_token(self):
        self.web.statuses[f'/v2/images/{ID}/file'] = 401
        error = self.assertRaises(errors.BadSource, self.open)
        self.assertNotIn(TOKEN, f'{error} {error!r} {error.facts}')
