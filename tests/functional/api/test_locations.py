"""Locations over the API, on each database driver: set, hashed, listed, patched, removed from one store."""

import hashlib
import json
import random
import threading

from glancelike.compliance.web_server import WebServer
from tests.functional import app
from tests.functional.app import ADMIN, NOBODY, OTHER, OWNER, PATCH_V20, add, identity, remove, replace
from tests.servers.process import wait_until

DATA = b'data that are elsewhere' * 1000
SHA512 = hashlib.sha512(DATA).hexdigest()
HASHES = {'os_hash_algo': 'sha512', 'os_hash_value': SHA512}
#: A service acting for the owner, and one for itself.
SERVICE = identity('owner-project', 'member', 'reader', service_roles='service')
STANDALONE_SERVICE = identity('services', 'service')

FILTER = {'allowed_hosts': '127.0.0.1', 'allowed_ports': ''}
WEB = {'http_store_allow_private': True, 'http_store_timeout': 5}
SIMPLE = {'DEFAULT': {'data_api': 'simple', 'known_stores': 'memory,http', 'default_store': 'memory'},
          'glance_store': WEB, 'import_filtering_opts': FILTER}
SQLITE = {**app.SQLITE_SEVERAL_STORES, 'web': WEB, 'import_filtering_opts': FILTER}


class LocationsCase(app.AppTestCase):
    options = {'DEFAULT': {'show_multiple_locations': True, 'http_retries': 0}}

    def setUp(self):
        super().setUp()
        self.web = WebServer()
        self.addCleanup(self.web.stop)

    def load(self):
        made = super().load()
        self.addCleanup(made.services.executor.stop, 20)  # before the folder of the test goes
        return made

    def url(self, data=DATA):
        return self.web.url(self.web.put(data))

    def location(self, url=None, metadata=None, **more):
        return {'url': url or self.url(), 'metadata': metadata or {}, **more}

    def post(self, image, url=None, hashes=None, ctx=OWNER, status=202, **more):
        document = {'url': url or self.url(), **({'validation_data': hashes} if hashes is not None else {}), **more}
        return self.ask(f'/v2/images/{image["id"]}/locations', 'POST', ctx=ctx, document=document, status=status)

    def locations(self, image, ctx=ADMIN, status=200):
        answer = self.ask(f'/v2/images/{image["id"]}/locations', ctx=ctx, status=status)
        return answer.json if status == 200 else None

    def wait_hashed(self, image):
        wait_until(lambda: self.show(image['id'])['os_hash_value'], 20, 'the image to be hashed')
        return self.show(image['id'])

    def data(self, image):
        return self.ask(f'/v2/images/{image["id"]}/file', status=200).body


class Setting:

    def test_a_location_is_set_hashed_and_read(self):
        image = self.create()
        answer = self.post(image)
        self.assertEqual((b'', '0'), (answer.body, answer.headers['Content-Length']))
        self.assertEqual(('active', len(DATA)), (self.show(image['id'])['status'], self.show(image['id'])['size']))
        shown = self.wait_hashed(image)
        self.assertEqual(('sha512', SHA512, hashlib.md5(DATA).hexdigest(), len(DATA)), (
            shown['os_hash_algo'], shown['os_hash_value'], shown['checksum'], shown['virtual_size']))
        self.assertEqual(DATA, self.data(image))
        [task] = self.ask(f'/v2/images/{image["id"]}/tasks', status=200).json['tasks']
        wait_until(lambda: self.ask(f'/v2/images/{image["id"]}/tasks').json['tasks'][0]['status'] == 'success', 20,
                   'the task to end')
        self.assertEqual('location_import', task['type'])

    def test_an_announced_hash_is_compared(self):
        image, other = self.create(), self.create()
        self.post(image, hashes=HASHES)
        wait_until(lambda: self.show(image['id'])['status'] == 'active', 20, 'the image to be active')
        self.assertEqual(SHA512, self.show(image['id'])['os_hash_value'])
        self.post(other, hashes={**HASHES, 'os_hash_value': 'a' * 128})
        wait_until(lambda: self.show(other['id'])['status'] == 'queued', 20, 'the image to be queued')
        self.assertEqual((None, None), (self.show(other['id'])['size'], self.show(other['id'])['os_hash_value']))
        self.assertEqual([], self.locations(other))
        [task] = self.ask(f'/v2/images/{other["id"]}/tasks').json['tasks']
        self.assertIn('another sha512', task['message'])
        self.assertNotIn('http://', str(task))
        self.post(other, hashes=HASHES)

    def test_hashing_is_cancelled(self):
        image, path, ended, gets = self.create(), self.web.put(DATA), threading.Event(), []
        self.addCleanup(ended.set)

        def answer(handler):
            """All at once to whoever looks first, a byte now and then to whoever hashes."""
            handler.send_response(200)
            handler.send_header('Content-Length', str(len(DATA)))
            handler.end_headers()
            if handler.command != 'GET':
                return
            gets.append(path)
            try:
                if len(gets) == 1:
                    handler.wfile.write(DATA)
                while len(gets) > 1 and not ended.wait(0.05):
                    handler.wfile.write(b'x')
            except OSError:
                handler.close_connection = True
        self.web.handlers[path] = answer
        self.post(image, self.web.url(path), HASHES)
        wait_until(lambda: len(gets) == 2, 20, 'the hashing to begin')
        self.ask(f'/v2/images/{image["id"]}/import', 'DELETE', status=202)
        wait_until(lambda: self.show(image['id'])['status'] == 'queued', 20, 'the image to be queued')
        [task] = self.ask(f'/v2/images/{image["id"]}/tasks').json['tasks']
        self.assertEqual(('failure', 'The task was cancelled.'), (task['status'], task['message']))

    def test_an_image_is_deleted_while_it_is_hashed(self):
        image = self.create()
        self.post(image, hashes=HASHES)
        self.ask(f'/v2/images/{image["id"]}', 'DELETE', status=204)
        self.assertEqual(1, len(self.web.objects))
        self.ask(f'/v2/images/{image["id"]}', status=404)

    def test_empty_validation_data_are_none(self):
        image = self.create()
        self.post(image, hashes={})
        self.wait_hashed(image)

    def test_bodies_of_another_form_are_refused(self):
        image = self.create()
        for document in ({}, {'url': 5}, {'url': ''}, {'url': 'x' * 256}, {'url': self.url(), 'metadata': {}}, [], [{}],
                         {'url': self.url(), 'validation_data': None}, {'url': self.url(), 'validation_data': 'x'},
                         {'url': self.url(), 'validation_data': {'os_hash_algo': 'sha512'}},
                         {'url': self.url(), 'validation_data': {**HASHES, 'checksum': 'a' * 32}},
                         {'url': self.url(), 'validation_data': {**HASHES, 'os_hash_value': 'a' * 127}},
                         {'url': self.url(), 'validation_data': {**HASHES, 'os_hash_algo': 'x' * 65}}):
            self.ask(f'/v2/images/{image["id"]}/locations', 'POST', document=document, status=400)
        self.ask(f'/v2/images/{image["id"]}/locations', 'POST', b'', status=400)
        self.assertEqual('queued', self.show(image['id'])['status'])

    def test_who_may_and_what(self):
        image = self.create()
        self.post(image, ctx=OTHER, status=404)
        self.post(image, ctx=NOBODY, status=401)
        self.post(image, 'file:///etc/passwd', status=400)
        self.post(image, 'file:///etc/passwd', ctx=ADMIN, status=400)
        self.post(image, 'gopher://x/y', status=400)
        self.post(image, self.url().replace('http://', 'http://me:secret@'), status=400)
        self.post(self.create(disk_format=None), status=400)
        self.post({'id': 'nope'}, status=404)
        self.post(image, ctx=SERVICE)
        self.post(image, status=409)
        self.assertIn('queued', self.post(self.active(), status=409).text)

    def test_the_operators_filter_counts(self):
        self.options = {**self.options, 'import_filtering_opts': {'allowed_hosts': '', 'allowed_ports': '80'}}
        self.app = self.load()
        self.post(self.create(), status=400)

    def test_without_hashing_what_is_announced_is_believed(self):
        self.options = {'DEFAULT': {**self.options['DEFAULT'], 'do_secure_hash': False}}
        self.app = self.load()
        image = self.create()
        self.post(image, hashes={'os_hash_algo': 'sha256', 'os_hash_value': 'AB' * 32})
        shown = self.show(image['id'])
        self.assertEqual(('active', 'sha256', 'ab' * 32, len(DATA)), (
            shown['status'], shown['os_hash_algo'], shown['os_hash_value'], shown['size']))

    def test_quotas_answer_413(self):
        self.options = {'DEFAULT': {**self.options['DEFAULT'], 'image_location_quota': 1,
                                    'user_storage_quota': f'{len(DATA)}'}}
        self.app = self.load()
        image = self.create()
        self.post(image)
        self.wait_hashed(image)
        self.patch(image['id'], add('/locations/-', self.location()), status=413)
        self.post(self.create(), status=413)


class Listing:

    def test_services_see_an_array(self):
        image, url = self.create(), self.url()
        self.post(image, url)
        [shown] = self.locations(image)
        self.assertEqual((url, {'metadata', 'url'}), (shown['url'], set(shown)))
        self.assertEqual([shown], self.locations(image, SERVICE))
        self.locations(image, OWNER, 403)
        self.locations(image, OTHER, 404)
        self.locations(image, STANDALONE_SERVICE, 404)  # it does not see the image
        self.ask(f'/v2/images/{image["id"]}/actions/deactivate', 'POST', status=204)
        self.assertEqual(([], [shown]), (self.locations(image, SERVICE), self.locations(image)))
        self.assertEqual([], self.locations(self.create()))


class Patching:

    def test_add_replace_and_remove(self):
        image, first, second = self.create(), self.url(), self.url()
        shown = self.patch(image['id'], add('/locations/-', self.location(first, {'a': 'b'}))).json
        self.assertEqual(('active', len(DATA), [first]),
                         (shown['status'], shown['size'], [one['url'] for one in shown['locations']]))
        self.assertEqual('b', shown['locations'][0]['metadata']['a'])
        shown = self.patch(image['id'], {'add': '/locations/0', 'value': self.location(second)},
                           media_type=PATCH_V20).json
        self.assertEqual([second, first], [one['url'] for one in shown['locations']])
        turned = [{**one, 'metadata': {**one['metadata'], 'n': 'x'}} for one in shown['locations'][::-1]]
        answer = self.patch(image['id'], replace('/locations', turned))
        self.assertEqual(turned, answer.json['locations'])
        self.assertEqual(turned, self.show(image['id'])['locations'])
        self.patch(image['id'], remove('/locations/0'), status=403)
        answer = self.patch(image['id'], remove('/locations/0'), replace('/name', 'new'), ctx=ADMIN,
                            If_Match=answer.headers['ETag'])
        self.assertEqual(('new', [second]), (answer.json['name'], [one['url'] for one in answer.json['locations']]))
        again = self.ask(f'/v2/images/{image["id"]}')
        self.assertEqual(answer.headers['ETag'], again.headers['ETag'])
        self.patch(image['id'], remove('/locations/0'), ctx=ADMIN, status=403)
        self.assertEqual(2, len(self.web.objects))

    def test_a_large_change_is_done_whole_or_not_at_all(self):
        image = self.create(disk_format=None)
        steps = [replace('/disk_format', 'raw'), add('/locations/-', self.location()), replace('/name', 'n'),
                 add('/tags', ['t']), add('/p', 'v')]
        self.patch(image['id'], *steps, add('/locations/9', self.location()), status=400)
        self.assertEqual(image, self.show(image['id']))
        shown = self.patch(image['id'], *steps).json
        self.assertEqual(('active', 'raw', 'n', ['t'], 'v'), tuple(
            shown[name] for name in ('status', 'disk_format', 'name', 'tags', 'p')))

    def test_hashes_are_kept_and_compared(self):
        image = self.create()
        data = {**HASHES, 'checksum': '1' * 32}
        shown = self.patch(image['id'], add('/locations/-', self.location(validation_data=data))).json
        self.assertEqual(data, {name: shown[name] for name in data})
        self.assertNotIn('validation_data', shown['locations'][0])
        self.patch(image['id'], add('/locations/-', self.location(validation_data=data)))
        self.patch(image['id'], add('/locations/-', self.location(validation_data={**data, 'checksum': '2' * 32})),
                   status=409)

    def test_the_form_is_checked(self):
        image = self.create()
        value = self.location()
        for step in (add('/locations', value), add('/locations', [value]), add('/locations/x', value),
                     add('/locations/-1', value), add('/locations/01', value), add('/locations/1', value),
                     add('/locations/0/url', 'x'), replace('/locations/0', value), replace('/locations', value),
                     replace('/locations', 'x'), remove('/locations'), remove('/locations/-'), remove('/locations/x'),
                     add('/locations/-', value['url']), add('/locations/-', {'url': value['url']}),
                     add('/locations/-', {'metadata': {}}), add('/locations/-', [value]),
                     add('/locations/-', {**value, 'url': 'x' * 256}), add('/locations/-', {**value, 'metadata': 'x'}),
                     add('/locations/-', {**value, 'validation_data': {}}), {'op': 'add', 'path': '/locations/-'},
                     add('/locations/-', {**value, 'url': 'file:///etc/passwd'})):
            self.patch(image['id'], step, status=400, ctx=ADMIN)
        self.patch(image['id'], remove('/locations/0'), status=409, ctx=ADMIN)
        self.patch(image['id'], replace('/locations', []), status=403)
        self.assertEqual(image, self.show(image['id']))

    def test_switched_off_they_cannot_be_patched(self):
        self.options = {}
        self.app = self.load()
        image = self.create()
        for step in (add('/locations/-', self.location()), replace('/locations', []), remove('/locations/0')):
            self.patch(image['id'], step, status=403, ctx=ADMIN)
        self.post(image)

    def test_a_dead_location_is_passed_over(self):
        image, first = self.create(), self.web.put(DATA)
        self.patch(image['id'], add('/locations/-', self.location(self.web.url(first))))
        self.patch(image['id'], add('/locations/-', self.location()))
        del self.web.objects[first]
        self.assertEqual(DATA, self.data(image))
        self.web.objects.clear()
        answer = self.ask(f'/v2/images/{image["id"]}/file', status=404, Accept='application/json')
        self.assertEqual('object_not_found', answer.json['error']['code'])


class SimpleSettingTest(Setting, Listing, LocationsCase):
    backend = SIMPLE


class SimplePatchingTest(Patching, LocationsCase):
    backend = SIMPLE

    def test_a_single_store_has_no_path(self):
        self.ask(f'/v2/stores/memory/{self.active()["id"]}', 'DELETE', ctx=ADMIN, status=404)


class HostileTest(LocationsCase):
    """Whatever is sent is answered with a status that says what is wrong."""

    backend = SIMPLE
    VALUES = (None, True, 0, -1, 1.5, '', 'x', '\u0661', '\U0001f40d', 'http://', 'http://[', 'http://[::1]:x/',
              'x' * 300, [], [[]], {}, {'url': None}, {'url': 'http://127.0.0.1:1/', 'metadata': {}},
              {'url': '%', 'metadata': {'a': []}}, {'url': 'memory://..', 'metadata': {}},
              {'url': 'http://a\\b/', 'metadata': {}}, {'url': 'http://a/', 'metadata': {'store': []}},
              {'url': 'memory://x', 'metadata': {'store': 'memory'}})

    def test_patches(self):
        chance, image = random.Random(4), self.create()
        ends = ('-', '0', '1', '999999', '--', 'x', '~0', '\u0661', '0/url')
        paths = ['/locations', *(f'/locations/{end}' for end in ends)]
        for _ in range(300):
            steps = [{'op': chance.choice(('add', 'replace', 'remove')), 'path': chance.choice(paths),
                      'value': chance.choice((*self.VALUES, [chance.choice(self.VALUES)]))}
                     for _ in range(chance.randint(1, 3))]
            answer = self.patch(image['id'], *steps, status=None, ctx=ADMIN)
            self.assertIn(answer.status_int, (400, 403, 409), steps)
        self.assertEqual(image, self.show(image['id']))

    def test_posts(self):
        image = self.create()
        for value in self.VALUES:
            for document in (value, {'url': value}, {'url': 'http://127.0.0.1:1/', 'validation_data': value},
                             {'url': 'http://127.0.0.1:1/', 'validation_data': {'os_hash_algo': value,
                                                                                'os_hash_value': value}}):
                self.ask(f'/v2/images/{image["id"]}/locations', 'POST', json.dumps(document).encode(), ctx=ADMIN,
                         status=400)
        self.assertEqual(image, self.show(image['id']))


class SqliteSettingTest(Setting, Listing, LocationsCase):
    backend = SQLITE


class SqlitePatchingTest(Patching, LocationsCase):
    backend = SQLITE

    def test_the_store_is_in_the_metadata(self):
        image = self.active(DATA)
        [own] = image['locations']
        self.assertEqual('fast', own['metadata']['store'])
        shown = self.patch(image['id'], add('/locations/-', self.location(metadata={'store': 'web', 'x': 'y'}))).json
        self.assertEqual(['fast', 'web'], [one['metadata']['store'] for one in shown['locations']])
        self.assertEqual('fast,web', shown['stores'])
        self.patch(image['id'], add('/locations/-', self.location(metadata={'store': 'cold'})), status=400)
        self.patch(image['id'], replace('/locations', shown['locations'][::-1]))
        self.assertEqual(shown['locations'][::-1], self.locations(image))

    def test_the_copy_in_one_store_is_removed(self):
        image = self.active(DATA)
        path, file = f'/v2/stores/fast/{image["id"]}', self.tmp / 'fast' / image['id']
        self.ask(path, 'DELETE', ctx=ADMIN, status=403)
        self.patch(image['id'], add('/locations/-', self.location()))
        self.ask(path, 'DELETE', status=403)
        self.ask(path, 'DELETE', ctx=OTHER, status=404)
        for other in ('cold', 'nope'):
            self.ask(f'/v2/stores/{other}/{image["id"]}', 'DELETE', ctx=ADMIN, status=404)
        self.ask('/v2/stores/fast/nope', 'DELETE', ctx=ADMIN, status=404)
        self.assertTrue(file.exists())
        self.ask(path, 'DELETE', ctx=ADMIN, status=204)
        self.assertFalse(file.exists())
        self.assertEqual(DATA, self.data(image))
        self.assertEqual('web', self.show(image['id'])['stores'])
        self.ask(f'/v2/stores/web/{image["id"]}', 'DELETE', ctx=ADMIN, status=403)
        self.ask(f'/v2/stores/web/{self.create()["id"]}', 'DELETE', ctx=ADMIN, status=409)
        self.ask(path, 'GET', ctx=ADMIN, status=405)

    def test_an_image_deactivated_keeps_its_copies(self):
        image = self.active(DATA)
        self.patch(image['id'], add('/locations/-', self.location()))
        self.ask(f'/v2/images/{image["id"]}/actions/deactivate', 'POST', status=204)
        self.ask(f'/v2/stores/fast/{image["id"]}', 'DELETE', ctx=ADMIN, status=409)

    def test_removing_a_location_removes_the_file(self):
        image = self.active(DATA)
        self.patch(image['id'], add('/locations/-', self.location()))
        self.patch(image['id'], remove('/locations/0'), ctx=ADMIN)
        self.assertFalse((self.tmp / 'fast' / image['id']).exists())
