"""Malformed and hostile requests by the hundred: never a 5xx, and nothing of our inside in an answer."""

import io
import json
import random
import re

from glancelike.wsgi.request import Request
from tests.functional import app
from tests.functional.app import ADMIN, OCTETS, OWNER, PATCH_V20, PATCH_V21

#: What no body and no header may hold: traces, paths of files, SQL, names of our modules.
INSIDE = re.compile(r'Traceback|File "|\.py\b|/site-packages|glancelike\.|sqlite|SELECT |INSERT |/tmp/|/root'
                    r'|/etc/glance', re.IGNORECASE)

METHODS = ('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'BREW', 'get', 'G\xe9T', 'A' * 500)
PIECES = ('images', 'members', 'file', 'tags', 'actions', 'deactivate', 'schemas', 'image', 'info', 'stores', 'usage',
          'detail', 'stage', 'import', 'tasks', 'export', 'locations', '..', '.', '', '\x00', '%00', '\xff\xfe',
          '\xc3\xa9', "' OR 1=1 --", '<script>', '\r\nX-Evil: 1', 'a' * 3000, '\xf0\x9f\x98\x80', '\xed\xa0\x80',
          '{image_id}', '*', '\\', '%2e%2e', 'null', '-1', '~', '\x7f')
TEXTS = ('', 'x', '\x00', '\xff', '%00', '%ff', '%f0%9f%98%80', 'in:', 'in:"', 'in:a,"', 'eq:', 'gt:', 'lt:2020',
         'nope:x', 'gt:9999-99-99', 'gte:0000-00-00T00:00:00Z', 'lt:9999-12-31T23:59:59Z',
         'eq:0001-01-01T00:00:00+14:00',
         '-1', '9' * 30, '1e5', '0x1', 'NaN', 'true', 'TRUE', '%', '_', '\\', "'", '"', ';', '%C2%A0', 'a' * 5000,
         '[]', '{}',
         '%E2%80%AE', '٣', 'prefix:%', 'contains:', 'contains:%_\\')
NAMES = ('name', 'status', 'size', 'size_min', 'size_max', 'min_ram', 'min_disk_max', 'created_at', 'updated_at',
         'visibility', 'member_status', 'owner', 'protected', 'os_hidden', 'tag', 'limit', 'marker', 'sort',
         'sort_key',
         'sort_dir', 'changes-since', 'deleted', 'id', 'checksum', 'virtual_size_min', 'with_count', 'x_min', '',
         '\x00', '%00', 'prefer', 'properties', 'locations', 'version', '__class__', 'self', 'tags', 'file',
         'deleted_at')
VALUES = (None, True, 1, -1, 2**31, 2**63, 10**400, 1.5, '', 'x', '\x00', '\ud800', '\U0001f600', 'x' * 300,
          'x' * 70_000, [], {}, [None], ['x' * 300], {'a': {}}, [[]], ['\x00'], 'public', 'active', '2020')
FIELDS = ('id', 'name', 'visibility', 'protected', 'os_hidden', 'owner', 'tags', 'min_disk', 'min_ram', 'disk_format',
          'container_format', 'locations', 'status', 'size', 'kernel_id', 'architecture', 'foo', '', '\x00', '\ud800',
          'x' * 300, '__proto__', 'os_glance_x', 'self', 'member')
BODIES = (b'', b'{', b'[', b'null', b'1', b'"x"', b'{"a":NaN}', b'[' * 100_000, b'\xff' * 10, b'{}' * 3,
          b'{"a":' * 5000, b'\x00', b'{"name": "\\ud800"}', b'{"name": "\\u0000"}', b'[{}]', b'[null]',
          b'{"member": {}}', b'9' * 10_000, b'[' + b'9' * 10_000 + b']', b'{"name": "' + b'x' * 2_000_000 + b'"}')
RANGES = ('bytes=0-', 'bytes=-', 'bytes=5-1', 'bytes=0-0,1-1', 'bytes=' + '9' * 400, 'x', '\xff',
          'bytes=-99999999999999999', 'bytes 0-1/2', 'bytes */5', 'bytes=0-18446744073709551616', '', 'bytes=\u00b2-')
HEADERS = ('Range', 'Content-Range', 'If-Match', 'If-None-Match', 'If-Range', 'Content-Type', 'Accept',
           'Content-Length', 'Transfer-Encoding', 'X-OpenStack-Image-Size', 'X-Image-Meta-Store',
           'X-OpenStack-Request-ID', 'Host', 'Accept-Language', 'Accept-Encoding', 'X-Roles', 'X-Project-Id',
           'X-User-Id', 'X-Service-Catalog',
           'X-Forwarded-Host', 'Origin', 'Expect', 'Cookie', 'Authorization', 'Forwarded', 'X-Auth-Token')
HEADER_VALUES = (*RANGES, '*', '"x"', 'W/"', '"', ',' * 500, 'application/json', 'text/html', '*/*;q=x', ';;;=',
                 'application/vnd.openstack.images-v2.99', '-1', '1e9', 'chunked', 'x' * 9000, '[', '\xe9',
                 'gzip;q=2',
                 'http://evil.example', PATCH_V21, OCTETS + ';x', 'member, \xff')


class HostileTests:

    def setUp(self):
        super().setUp()
        self.random = random.Random(20261121)  # the same requests in every run
        self.image = self.active(b'0123456789', ctx=ADMIN, name='target', visibility='public', foo='bar')
        self.path = f"/v2/images/{self.image['id']}"

    def pick(self, *choices):
        return self.random.choice(choices[0] if len(choices) == 1 else choices)

    def send(self, method='GET', path='/v2/images', query='', body=b'', headers=None, ctx=ADMIN):
        """One request of any octets at all, and what must hold of every answer."""
        req = Request.blank('/')
        environ = req.environ
        environ.update({'REQUEST_METHOD': method, 'PATH_INFO': path, 'QUERY_STRING': query,
                        'wsgi.input': io.BytesIO(body), 'CONTENT_LENGTH': str(len(body))})
        for name, value in {**ctx, **(headers or {})}.items():
            key = name.upper().replace('-', '_')
            environ[key if key in ('CONTENT_TYPE', 'CONTENT_LENGTH') else f'HTTP_{key}'] = value
        sent = {}

        def start_response(status, answered, exc_info=None):
            sent.update(status=status, headers=answered)

        pieces = self.app(environ, start_response)
        try:
            text = b''.join(pieces).decode('utf-8', 'replace')
        finally:
            getattr(pieces, 'close', lambda: None)()
        told = (f'{method[:20]!r} {path[:200]!r}?{query[:200]!r} {headers} {body[:200]!r}: '
                f'{sent["status"]} {text[:300]!r}')
        status = int(sent['status'][:3])
        self.assertTrue(status < 500 or status == 501, told)
        if status >= 400:
            self.assertIsNone(INSIDE.search(text), told)
        for name, value in sent['headers']:
            self.assertNotRegex(name + value, '[\x00-\x1f\x7f]')
            value.encode('latin-1')
            self.assertIsNone(INSIDE.search(value), told)
        if not path.startswith('/healthcheck'):
            self.assertIn('x-openstack-request-id', {name.lower() for name, _ in sent['headers']}, told)
        return status

    def test_paths_and_methods(self):
        for _ in range(600):
            path = '/' + '/'.join(self.pick(PIECES) for _ in range(self.random.randint(0, 6)))
            prefix = self.pick('', '/v2', '/v2', '/v2/images', self.path, '/v1', '/v2.0', '/healthcheck', '/versions')
            self.send(self.pick(METHODS), prefix + path, body=self.pick(b'', b'', b'{}', b'x'),
                      headers=self.pick({}, {'Accept': 'application/json'}, {'Accept': 'text/html'}))

    def test_filters(self):
        for name in NAMES:
            for value in TEXTS:
                self.send(query=f'{name}={value}')
        for _ in range(300):
            query = '&'.join(f'{self.pick(NAMES)}{self.pick("=", "=", "")}{self.pick(TEXTS)}'
                             for _ in range(self.random.randint(1, 8)))
            self.send(query=query, ctx=self.pick(ADMIN, OWNER))
        self.send(query='&' * 5000)
        self.send(query='a=1&' * 5000)
        self.send(query='tag=x&' * 900)
        self.send(query='name=in:' + ','.join('x' * 10 for _ in range(5000)))

    def test_documents_of_new_images(self):
        for field in FIELDS:
            for value in VALUES:
                document = {field: value}
                self.send('POST', body=json.dumps(document).encode())
        for body in BODIES:
            for path in ('/v2/images', self.path, f'{self.path}/members', f'{self.path}/members/x',
                         f'{self.path}/file'):
                self.send(self.pick('POST', 'PUT', 'PATCH'), path, body=body,
                          headers={'Content-Type': self.pick('application/json', PATCH_V21, '')})

    def test_documents_of_imports_and_tasks(self):
        self.path = self.create(ADMIN)['self']
        good = {'method': {'name': 'web-download', 'uri': 'http://127.0.0.1:1/'}, 'stores': ['a'], 'all_stores': False,
                'all_stores_must_succeed': True, 'type': 'import',
                'input': {'import_from': 'http://127.0.0.1:1/', 'import_from_format': 'raw',
                          'image_properties': {'name': 'x'}}}
        for name in ('', *good):
            for value in (*VALUES, *self.random.sample(TEXTS, 6)):
                self.send_both({**good, name: value})
        for outer, names in (('method', ('name', 'uri', 'checksum', 'credentials', 'glance_region', 'glance_image_id')),
                             ('input', good['input'])):
            for name in names:
                for value in (*VALUES, *self.random.sample(TEXTS, 6)):
                    self.send_both({**good, outer: {**good[outer], name: value}})
        for name in FIELDS:
            for value in VALUES:
                document = {**good, 'input': {**good['input'], 'image_properties': {name: value}}}
                self.send('POST', '/v2/tasks', body=json.dumps(document).encode())
        for body in BODIES:
            for path in (f'{self.path}/import', f'{self.path}/stage', '/v2/tasks'):
                self.send(self.pick('POST', 'PUT', 'DELETE'), path, body=body, headers={'Content-Type': OCTETS})

    def send_both(self, document):
        body = json.dumps(document).encode()
        self.send('POST', f'{self.path}/import', body=body)
        self.send('POST', '/v2/tasks', body=body)

    def test_filters_of_tasks(self):
        for name in ('type', 'status', 'image_id', 'sort_key', 'sort_dir', 'limit', 'marker', *NAMES):
            for value in TEXTS:
                self.send(path='/v2/tasks', query=f'{name}={value}')

    def test_patches(self):
        paths = [f'/{field}' for field in FIELDS] + ['', '/', '//', '/~', '/~2', '/a/b', '/locations/-', '/locations/0',
                                                     '/tags/-', None, 1, [], '/foo/', '/\x00', '/' + 'x' * 3000]
        for path in paths:
            for value in VALUES:
                for op in ('add', 'replace', 'remove', 'test', None):
                    self.send('PATCH', self.path, headers={'Content-Type': PATCH_V21},
                              body=json.dumps([{'op': op, 'path': path, 'value': value}]).encode())
            self.send('PATCH', self.path, headers={'Content-Type': PATCH_V20},
                      body=json.dumps([{self.pick('add', 'replace', 'remove', 'copy'): path,
                                        'value': self.pick(VALUES)}]).encode())
        for body in BODIES:
            self.send('PATCH', self.path, headers={'Content-Type': PATCH_V21}, body=body)

    def test_headers(self):
        for name in HEADERS:
            for value in HEADER_VALUES:
                self.send(self.pick('GET', 'HEAD'), self.pick(self.path, f'{self.path}/file', '/v2/images', '/'),
                          headers={name: value})
                self.send(self.pick('PUT', 'DELETE'), self.pick(f'{self.path}/file', f'{self.path}/tags/x'),
                          headers={'Content-Type': OCTETS, name: value}, body=self.pick(b'', b'x'))

    def test_uploads(self):
        for _ in range(60):
            image = self.create(ADMIN, disk_format=self.pick(
                'raw', 'qcow2', 'vmdk', 'vhdx', 'vdi', 'iso', 'ami', 'ploop'))
            magic = self.pick(b'', b'QFI\xfb', b'KDMV', b'vhdxfile', b'conectix', b'<<< Oracle VM VirtualBox',
                              b'# Disk Descri', b'\x7fELF', b'EFI PART')
            data = magic + self.random.randbytes(self.random.randint(0, 3000))
            self.send('PUT', f"/v2/images/{image['id']}/file", body=data, headers={
                'Content-Type': OCTETS, **self.pick({}, {'X-OpenStack-Image-Size': str(len(data))},
                                                    {'X-OpenStack-Image-Size': '1'}, {'X-Image-Meta-Store': '../x'})})

    def test_a_body_that_breaks_off_is_no_server_error(self):
        image = self.create(ADMIN)
        self.assertEqual(400, self.send('PUT', f"/v2/images/{image['id']}/file", body=b'12345',
                                        headers={'Content-Type': OCTETS, 'Content-Length': '10'}))
        self.assertEqual('queued', self.show(image['id'], ADMIN)['status'])
        self.assertEqual(400, self.send('POST', body=b'{}', headers={'Content-Length': '10'}))


class TestSimple(HostileTests, app.AppTestCase):
    backend = app.SIMPLE


class TestSqlite(HostileTests, app.AppTestCase):
    backend = app.SQLITE
