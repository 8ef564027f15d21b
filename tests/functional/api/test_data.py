"""Image data through the whole service, once for each database and store driver."""

import hashlib
import io
import struct

from glancelike.wsgi.request import Request
from tests.functional import app
from tests.functional.app import ADMIN, OTHER, replace

DATA = bytes(range(256)) * 100


def qcow2(backing: bytes = b'') -> bytes:
    """A small qcow2 header (version 2) of a disk of 1 MiB; *backing* names a backing file."""
    offset = 72 if backing else 0
    header = struct.pack('>4sIQIIQIIQQIIQ', b'QFI\xfb', 2, offset, len(backing), 16, 2**20, 0, 1, 3 * 65536, 65536, 1,
                         0, 0)
    return (header + backing).ljust(4 * 65536, b'\0')


class DataTests:

    def test_what_was_uploaded_comes_back_with_its_hashes(self):
        image = self.active(DATA)
        self.assertEqual(('active', len(DATA), hashlib.md5(DATA).hexdigest(), 'sha512', app.sha512(DATA)),
                         tuple(image[name] for name in ('status', 'size', 'checksum', 'os_hash_algo',
                                                        'os_hash_value')))
        got = self.ask(image['file'], status=200)
        self.assertEqual(DATA, got.body)
        self.assertEqual((app.OCTETS, str(len(DATA)), image['checksum'], 'bytes'), tuple(
            got.headers[name] for name in ('Content-Type', 'Content-Length', 'Content-MD5', 'Accept-Ranges')))

    def test_a_chunked_body_of_unknown_length_is_stored(self):
        image = self.create()
        req = Request.blank(image['file'], method='PUT', headers={'Content-Type': app.OCTETS, **app.OWNER})
        req.environ.pop('CONTENT_LENGTH', None)
        req.environ.update({'HTTP_TRANSFER_ENCODING': 'chunked', 'wsgi.input': io.BytesIO(DATA),
                            'wsgi.input_terminated': True})
        self.assertEqual(204, req.get_response(self.app).status_int)
        self.assertEqual(DATA, self.ask(image['file']).body)

    def test_an_image_without_data_gives_204(self):
        self.assertEqual(b'', self.ask(self.create()['file'], status=204).body)

    def test_ranges(self):
        path = self.active(DATA)['file']
        size = len(DATA)
        for header, first, last in (('bytes=0-0', 0, 0), ('bytes=5-9', 5, 9), ('bytes=5-', 5, size - 1),
                                    ('bytes=-5', size - 5, size - 1), (f'bytes=5-{size * 2}', 5, size - 1),
                                    (f'bytes=-{size * 2}', 0, size - 1), ('BYTES = 1-2', 1, 2)):
            got = self.ask(path, Range=header, status=206)
            self.assertEqual(DATA[first:last + 1], got.body, header)
            self.assertEqual((f'bytes {first}-{last}/{size}', str(last - first + 1)),
                             (got.headers['Content-Range'], got.headers['Content-Length']))

    def test_a_legacy_content_range_request_is_understood(self):
        path = self.active(DATA)['file']
        got = self.ask(path, Content_Range='bytes 5-9/*', status=206)
        self.assertEqual(DATA[5:10], got.body)

    def test_ranges_outside_are_416_and_told_the_size(self):
        path = self.active(DATA)['file']
        for header in (f'bytes={len(DATA)}-', 'bytes=-0', 'bytes=999999999999-'):
            self.assertEqual(f'bytes */{len(DATA)}', self.ask(path, Range=header, status=416).headers['Content-Range'])

    def test_malformed_ranges_are_416_and_several_400(self):
        path = self.active(DATA)['file']
        for header in ('bytes=', 'bytes=-', 'bytes=a-b', 'lines=1-2', 'bytes=9-5', 'bytes=1-2-3', 'bytes',
                       'bytes=' + '9' * 5000 + '-', 'bytes=\u0663-'.encode().decode('latin-1')):
            self.ask(path, Range=header, status=416)
        self.ask(path, Range='bytes=1-2,5-6', status=400)

    def test_if_range_decides_between_part_and_whole(self):
        path = self.active(DATA)['file']
        etag = self.ask(path).headers['ETag']
        self.assertEqual(DATA[:5], self.ask(path, Range='bytes=0-4', If_Range=etag, status=206).body)
        self.assertEqual(DATA, self.ask(path, Range='bytes=0-4', If_Range='"other"', status=200).body)

    def test_data_that_the_client_has_already_are_not_sent(self):
        path = self.active(DATA)['file']
        etag = self.ask(path).headers['ETag']
        self.assertEqual(b'', self.ask(path, If_None_Match=etag, status=304).body)

    def test_head_of_the_data_has_the_headers_of_get(self):
        path = self.active(DATA)['file']
        got, head = self.ask(path), self.ask(path, 'HEAD', status=200)
        self.assertEqual(b'', head.body)
        for name in ('Content-Length', 'Content-Type', 'Content-MD5', 'ETag', 'Accept-Ranges'):
            self.assertEqual(got.headers[name], head.headers[name])
        self.assertEqual('3', self.ask(path, 'HEAD', Range='bytes=1-3', status=206).headers['Content-Length'])

    def test_another_content_type_is_415(self):
        image = self.create()
        for content_type in ('application/json', '', 'text/plain'):
            self.upload(image['id'], b'x', status=415, Content_Type=content_type)

    def test_a_wrong_size_is_400_and_leaves_the_image_as_it_was(self):
        image = self.create()
        self.upload(image['id'], b'12345', status=400, X_OpenStack_Image_Size='4')
        self.upload(image['id'], b'12345', status=400, X_OpenStack_Image_Size='6')
        self.assertEqual(('queued', None), tuple(self.show(image['id'])[name] for name in ('status', 'size')))
        self.upload(image['id'], b'12345', X_OpenStack_Image_Size='5')

    def test_a_size_that_is_no_number_is_400(self):
        image = self.create()
        for size in ('-1', 'x', '1.0', '9' * 40):
            self.upload(image['id'], b'1', status=400, X_OpenStack_Image_Size=size)

    def test_formats_must_be_set_before_data_come(self):
        image = self.create(disk_format=None)
        self.upload(image['id'], b'x', status=400)

    def test_a_second_upload_is_409(self):
        image = self.active()
        self.upload(image['id'], b'x', status=409)

    def test_an_unknown_store_is_400(self):
        image = self.create()
        self.upload(image['id'], b'x', status=400, X_Image_Meta_Store='nowhere')
        self.ask(f"{self.active()['file']}?prefer=nowhere", status=400)
        self.ask(f"{self.active()['file']}?prefer=,", status=400)

    def test_peer_defect_4_refused_content_leaves_nothing_behind(self):
        image = self.create(disk_format='qcow2')
        before = self.show(image['id'])
        self.upload(image['id'], b'this is no qcow2' * 100, status=415)
        after = self.show(image['id'])
        for name in ('status', 'size', 'virtual_size', 'checksum', 'os_hash_algo', 'os_hash_value'):
            self.assertEqual(before[name], after[name], name)
        self.upload(image['id'], qcow2())
        self.assertEqual(('active', 2**20), tuple(self.show(image['id'])[n] for n in ('status', 'virtual_size')))

    def test_a_qcow2_with_a_backing_file_is_refused(self):
        image = self.create(disk_format='qcow2')
        answer = self.upload(image['id'], qcow2(b'/etc/shadow'), status=415)
        self.assertNotIn('shadow', answer.text)
        self.assertEqual('queued', self.show(image['id'])['status'])

    def test_deactivated_data_are_for_administrators(self):
        image = self.active(DATA)
        path = f"/v2/images/{image['id']}"
        self.ask(f'{path}/actions/deactivate', 'POST', status=204)
        self.ask(f'{path}/actions/deactivate', 'POST', status=204)
        self.assertEqual('deactivated', self.show(image['id'])['status'])
        self.ask(image['file'], status=403)
        self.assertEqual(DATA, self.ask(image['file'], ctx=ADMIN, status=200).body)
        self.ask(f'{path}/actions/reactivate', 'POST', status=204)
        self.ask(f'{path}/actions/reactivate', 'POST', status=204)
        self.assertEqual(DATA, self.ask(image['file'], status=200).body)
        queued = self.create()
        for action in ('deactivate', 'reactivate'):
            self.ask(f"/v2/images/{queued['id']}/actions/{action}", 'POST', status=403)

    def test_deleted_data_are_gone(self):
        image = self.active(DATA)
        self.ask(f"/v2/images/{image['id']}", 'DELETE', status=204)
        self.ask(image['file'], status=404)

    def test_others_cannot_download_what_they_cannot_see(self):
        image = self.active(DATA, visibility='private')
        self.ask(image['file'], ctx=OTHER, status=404)
        self.patch(image['id'], replace('/visibility', 'community'))
        self.assertEqual(DATA, self.ask(image['file'], ctx=OTHER, status=200).body)

    def test_locations_are_not_shown_by_default(self):
        image = self.active(DATA)
        self.assertEqual(set(), {'locations', 'direct_url', 'stores'} & set(image))


class TestSimple(DataTests, app.AppTestCase):
    backend = app.SIMPLE


class TestSqlite(DataTests, app.AppTestCase):
    backend = app.SQLITE

    def test_lost_bytes_are_404_and_not_an_image_without_data(self):
        image = self.active(DATA)
        for path in (self.tmp / 'images').rglob(f"*{image['id']}*"):
            path.unlink()
        self.ask(image['file'], Accept='application/json', status=404)


class TestSeveralStores(app.AppTestCase):
    backend = app.SQLITE_SEVERAL_STORES
    options = {'DEFAULT': {'show_image_direct_url': True, 'show_multiple_locations': True}}

    def test_a_create_names_the_stores(self):
        answer = self.ask('/v2/images', 'POST', document={'name': 'x'}, status=201)
        self.assertEqual('fast,cold,web', answer.headers['OpenStack-image-store-ids'])

    def test_the_wanted_store_has_the_data(self):
        image = self.create()
        self.upload(image['id'], DATA, X_Image_Meta_Store='cold')
        shown = self.show(image['id'])
        self.assertEqual('cold', shown['stores'])
        self.assertEqual('cold', shown['locations'][0]['metadata']['store'])
        self.assertEqual(shown['locations'][0]['url'], shown['direct_url'])
        self.assertEqual(DATA, self.ask(f"{image['file']}?prefer=fast,cold", status=200).body)

    def test_the_default_store_has_data_of_uploads_that_name_none(self):
        self.assertEqual('fast', self.active(DATA)['stores'])

    def test_a_store_that_takes_nothing_is_410(self):
        self.upload(self.create()['id'], DATA, status=410, X_Image_Meta_Store='web')

    def test_the_stores_are_told(self):
        self.assertEqual({'stores': [{'id': 'fast', 'description': 'quick one', 'default': 'true'}, {'id': 'cold'},
                                     {'id': 'web', 'read-only': 'true'}]},
                         self.ask('/v2/info/stores', status=200).json)

    def test_peer_defect_7_the_details_of_any_driver_are_for_administrators(self):
        self.ask('/v2/info/stores/detail', status=403)
        stores = self.ask('/v2/info/stores/detail', ctx=ADMIN, status=200).json['stores']
        self.assertEqual([('fast', 'file', 2), ('cold', 'file', 1), ('web', 'http', 0)],
                         [(one['id'], one['type'], one['weight']) for one in stores])

    def test_the_version_list_tells_of_several_stores(self):
        ids = [one['id'] for one in self.ask('/versions').json['versions']]
        self.assertEqual(set(), {'v2.8', 'v2.10', 'v2.11', 'v2.15'} - set(ids))

    def test_locations_of_a_deactivated_image_are_hidden(self):
        image = self.active(DATA)
        self.ask(f"/v2/images/{image['id']}/actions/deactivate", 'POST', status=204)
        shown = self.show(image['id'])
        self.assertEqual(([], False, False), (shown['locations'], 'direct_url' in shown, 'stores' in shown))
        self.assertIn('direct_url', self.show(image['id'], ADMIN))
