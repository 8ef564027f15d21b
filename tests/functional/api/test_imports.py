"""Image import and tasks: what clients of Glance send, and what they wait for."""

import threading

from glancelike.compliance.web_server import WebServer
from tests.functional import app
from tests.functional.app import ADMIN, NOBODY, OCTETS, OTHER, OWNER, THIRD, replace, sha512
from tests.servers.process import wait_until

DATA = b'the data of an image' * 5000
SECONDS = 60


class ImportCase(app.AppTestCase):
    """A service that may download from this machine."""

    options = {'import_filtering_opts': {'allowed_networks': '127.0.0.0/8', 'allowed_ports': ''}}

    def stage(self, image, data=DATA, ctx=OWNER, status=204, **headers):
        return self.ask(f"/v2/images/{image['id']}/stage", 'PUT', data, ctx=ctx, status=status,
                        **{'Content_Type': OCTETS, **headers})

    def begin(self, image, name='glance-direct', ctx=OWNER, status=202, headers=(), body=(), **method):
        return self.ask(f"/v2/images/{image['id']}/import", 'POST', ctx=ctx, status=status,
                        document={'method': {'name': name, **method}, **dict(body)}, **dict(headers))

    def cancel(self, image, ctx=OWNER, status=202):
        return self.ask(f"/v2/images/{image['id']}/import", 'DELETE', ctx=ctx, status=status)

    def tasks(self, image, ctx=OWNER):
        return self.ask(f"/v2/images/{image['id']}/tasks", ctx=ctx, status=200).json['tasks']

    def ended(self, image):
        """The newest task of the image, once it has ended, and the image as it is then."""
        def newest():
            [task, *_] = self.tasks(image)
            return task['status'] in ('success', 'failure') and task
        return wait_until(newest, SECONDS, f"the task of image {image['id']}"), self.show(image['id'])

    def web(self):
        server = WebServer()
        self.addCleanup(server.stop)
        return server

    def slow(self):
        """A URL that gives its first half, and the rest when the event is set."""
        server, go_on = self.web(), threading.Event()
        self.addCleanup(go_on.set)

        def half(handler):
            handler.send_response(200)
            handler.send_header('Content-Length', str(len(DATA)))
            handler.end_headers()
            handler.wfile.write(DATA[:len(DATA) // 2])
            go_on.wait(SECONDS)
            handler.wfile.write(DATA[len(DATA) // 2:])
        server.handlers['/slow'] = half
        return server.url('/slow'), go_on


class ImportTests:

    def test_staged_data_are_imported(self):
        image = self.create()
        self.stage(image)
        self.assertEqual(('uploading', len(DATA)), tuple(self.show(image['id'])[name] for name in ('status', 'size')))
        answer = self.begin(image)
        task, shown = self.ended(image)
        self.assertEqual(('active', len(DATA), sha512(DATA)),
                         tuple(shown[name] for name in ('status', 'size', 'os_hash_value')), task)
        self.assertEqual(DATA, self.ask(shown['file']).body)
        self.assertEqual(('success', answer.headers['X-OpenStack-Request-Id'], image['id'], {'image_id': image['id']}),
                         tuple(task[name] for name in ('status', 'request_id', 'image_id', 'result')))
        self.assertEqual('glance-direct', task['input']['import_req']['method']['name'])
        self.assertNotIn('os_glance_import_task', shown)

    def test_a_file_on_the_web_is_imported(self):
        image, server = self.create(), self.web()
        self.begin(image, 'web-download', uri=server.url(server.put(DATA)))
        task, shown = self.ended(image)
        self.assertEqual(('active', sha512(DATA)), (shown['status'], shown['os_hash_value']), task)

    def test_data_in_chunks_are_staged(self):
        image = self.create()
        self.stage(image, X_OpenStack_Image_Size=str(len(DATA)))
        self.stage(self.create(), X_OpenStack_Image_Size='1', status=400)
        self.begin(image)
        self.assertEqual('active', self.ended(image)[1]['status'])

    def test_what_cannot_be_staged(self):
        image = self.create()
        self.stage(image, status=415, Content_Type='application/json')
        self.stage(image, ctx=OTHER, status=404)
        self.stage({'id': 'nothing'}, status=404)
        self.stage(image)
        self.stage(image, status=409)
        self.stage(self.active(DATA), status=409)

    def test_formats_can_be_set_until_the_import(self):
        image = self.create(disk_format=None, container_format=None)
        self.stage(image)
        self.begin(image, status=409)
        self.patch(image['id'], replace('/disk_format', 'raw'), replace('/container_format', 'bare'))
        self.begin(image)
        self.assertEqual(('active', 'raw'), tuple(self.ended(image)[1][name] for name in ('status', 'disk_format')))

    def test_refused_imports(self):
        queued, active = self.create(), self.active(DATA)
        url = 'http://127.0.0.1/x'
        for image, name, status, method in (
                (queued, 'glance-direct', 409, {}), (active, 'glance-direct', 409, {}),
                (active, 'web-download', 409, {'uri': url}), (queued, 'nothing', 400, {}),
                (queued, 'web-download', 400, {}), (queued, 'web-download', 400, {'uri': 'ftp://x/y'}),
                (queued, 'web-download', 400, {'uri': 'http://10.0.0.1/'}),
                (self.create(disk_format=None), 'web-download', 409, {'uri': url}),
                ({'id': '0' * 36}, 'glance-direct', 404, {})):
            self.begin(image, name, status=status, **method)
        self.begin(queued, 'web-download', OTHER, 404, uri=url)
        self.begin(queued, 'web-download', NOBODY, 401, uri=url)
        public = self.create(visibility='community')
        self.begin(public, 'web-download', OTHER, 403, uri=url)
        self.assertEqual(['queued', 'active'], [self.show(one['id'])['status'] for one in (queued, active)])
        self.assertEqual([], self.tasks(queued))

    def test_a_failed_import_leaves_the_image_queued_and_says_why(self):
        image, server = self.create(), self.web()
        self.begin(image, 'web-download', uri=server.url('/absent'))
        task, shown = self.ended(image)
        self.assertEqual(('failure', 'queued', None), (task['status'], shown['status'], shown['size']))
        self.assertIn('404', task['message'])
        self.assertIsNotNone(task['expires_at'])
        self.upload(image['id'], DATA)

    def test_an_import_under_way_shows_its_progress_and_is_cancelled(self):
        image, (url, _) = self.create(), self.slow()
        self.cancel(image, status=409)
        self.begin(image, 'web-download', uri=url)
        shown = self.show(image['id'])
        [task] = self.tasks(image)
        self.assertEqual(('importing', task['id']), (shown['status'], shown['os_glance_import_task']))
        self.assertEqual({'step', 'bytes_done', 'bytes_total', 'bytes_per_second'}, set(task['progress']))
        wait_until(lambda: self.tasks(image)[0]['progress']['step'], SECONDS, 'the first step')
        self.begin(image, 'web-download', status=409, uri=url)
        self.stage(image, status=409)
        self.patch(image['id'], replace('/disk_format', 'qcow2'), status=403)
        self.cancel(image, OTHER, status=404)
        self.cancel(image)
        task, shown = self.ended(image)
        self.assertEqual(('failure', 'The task was cancelled.', 'queued'),
                         (task['status'], task['message'], shown['status']))
        self.assertNotIn('progress', task)
        self.cancel(image, status=409)
        self.upload(image['id'], DATA)

    def test_an_image_deleted_during_its_import_is_gone(self):
        image, (url, go_on) = self.create(), self.slow()
        self.begin(image, 'web-download', uri=url)
        self.ask(f"/v2/images/{image['id']}", 'DELETE', status=204)
        go_on.set()
        wait_until(lambda: not any('progress' in one for one in self.ask('/v2/tasks', ctx=ADMIN).json['tasks']),
                   SECONDS, 'the end of the task')
        self.ask(f"/v2/images/{image['id']}", status=404)
        self.ask(f"/v2/images/{image['id']}/tasks", status=404)

    def test_staged_data_go_with_their_image(self):
        image = self.create()
        self.stage(image)
        self.ask(f"/v2/images/{image['id']}", 'DELETE', status=204)
        self.ask(f"/v2/images/{image['id']}", status=404)

    def test_the_methods_are_told_at_creation_and_by_discovery(self):
        created = self.ask('/v2/images', 'POST', document={}, status=201)
        told = self.ask('/v2/info/import', status=200).json
        methods = told['import-methods']
        self.assertEqual('array', methods['type'])
        self.assertEqual(','.join(methods['value']), created.headers['OpenStack-image-import-methods'])
        self.assertEqual(['glance-direct', 'web-download'], methods['value'][:2])
        self.assertEqual(set(methods['value']), set(told['import-method-details']['value']))
        self.assertEqual((True, 2**40), (told['staging']['value'], told['max-bytes']['value']))
        self.assertIn('qcow2', told['disk-formats']['value'])
        self.ask('/v2/info/import', body=b'{}', status=400)
        self.assertEqual('GET, HEAD', self.ask('/v2/info/import', 'POST', status=405).headers['Allow'])


class TaskTests:

    def imported(self, count=1):
        """Ids of tasks that ended, in the order in which they were made."""
        server, ids = self.web(), []
        for number in range(count):
            image = self.create()
            self.begin(image, 'web-download', uri=server.url(server.put(DATA) if number % 2 == 0 else '/absent'))
            ids.append(self.ended(image)[0]['id'])
        return ids

    def test_tasks_are_listed_in_pages(self):
        ids = self.imported(3)
        found, path = [], '/v2/tasks?limit=2&sort_key=created_at&sort_dir=asc'
        while path:
            page = self.ask(path, ctx=ADMIN, status=200).json
            found += [one['id'] for one in page['tasks']]
            path = page.get('next')
        self.assertEqual(ids, found)
        self.assertEqual('/v2/tasks?limit=2&sort_key=created_at&sort_dir=asc', page['first'])

        def listed(query):
            return [one['id'] for one in self.ask(f'/v2/tasks?{query}', ctx=ADMIN, status=200).json['tasks']]
        self.assertEqual([ids[1]], listed('status=failure'))
        self.assertEqual(ids[::-1], listed('type=api_image_import'))
        self.assertEqual([], listed('type=import'))
        for key in ('id', 'type', 'status', 'created_at', 'updated_at', 'expires_at'):
            self.assertEqual(3, len(listed(f'sort_key={key}')), key)
        for query in ('status=x', 'type=x', 'sort_key=input', 'sort_dir=x', 'limit=-1', 'limit=x', 'marker=nothing',
                      'marker=%00', 'owner=x', 'image_id='):
            self.ask(f'/v2/tasks?{query}', ctx=ADMIN, status=400)

    def test_one_task_is_shown(self):
        [task_id] = self.imported()
        task = self.ask(f'/v2/tasks/{task_id}', ctx=ADMIN, status=200).json
        self.assertEqual(
            {'id', 'type', 'status', 'owner', 'image_id', 'user_id', 'request_id', 'input', 'result', 'message',
             'created_at', 'updated_at', 'expires_at', 'self', 'schema'}, set(task))
        self.assertEqual(('owner-project', 'someone', 'success'), (task['owner'], task['user_id'], task['status']))
        self.assertEqual('GET, HEAD', self.ask(f'/v2/tasks/{task_id}', 'DELETE', ctx=ADMIN,
                                               status=405).headers['Allow'])
        for task_id in ('nothing', '%00', 'x' * 300):
            self.ask(f'/v2/tasks/{task_id}', ctx=ADMIN, status=404)

    def test_the_api_is_for_administrators(self):
        [task_id] = self.imported()
        self.ask('/v2/tasks', status=403)
        self.ask(f'/v2/tasks/{task_id}', status=403)
        self.ask('/v2/tasks', 'POST', document={'type': 'import', 'input': {}}, status=403)
        self.ask('/v2/tasks', ctx=NOBODY, status=401)

    def test_tasks_of_an_image_are_for_those_who_see_it(self):
        server, image = self.web(), self.create(visibility='community')
        self.begin(image, 'web-download', uri=server.url('/absent'))
        self.ended(image)
        self.begin(image, 'web-download', ctx=ADMIN, uri=server.url(server.put(DATA)))
        self.ended(image)
        self.assertEqual(['success', 'failure'], [one['status'] for one in self.tasks(image)])
        self.assertEqual(2, len(self.tasks(image, ADMIN)))
        self.assertEqual([], self.tasks(image, THIRD))
        self.patch(image['id'], replace('/visibility', 'private'))
        self.ask(f"/v2/images/{image['id']}/tasks", ctx=THIRD, status=404)

    def test_the_deprecated_form_makes_image_and_task(self):
        server = self.web()
        answer = self.ask('/v2/tasks', 'POST', ctx=ADMIN, status=201, document={'type': 'import', 'input': {
            'import_from': server.url(server.put(DATA)), 'import_from_format': 'raw',
            'image_properties': {'name': 'made by a task', 'visibility': 'public', 'tags': ['t'], 'own': 'x'}}})
        self.assertTrue(answer.headers['Location'].endswith(f"/v2/tasks/{answer.json['id']}"))
        self.assertIsNotNone(answer.json['created_at'])

        def ended():
            task = self.ask(f"/v2/tasks/{answer.json['id']}", ctx=ADMIN, status=200).json
            return task['status'] in ('success', 'failure') and task
        task = wait_until(ended, SECONDS, 'the task')
        self.assertEqual('success', task['status'], task)
        image = self.show(task['result']['image_id'], ADMIN)
        self.assertEqual(('active', 'made by a task', 'raw', 'public', ['t'], 'x'), tuple(
            image[name] for name in ('status', 'name', 'disk_format', 'visibility', 'tags', 'own')))

    def test_a_task_that_cannot_work_fails_at_once_or_is_refused(self):
        for given in ({'import_from': 'ftp://x/y'},
                      {'import_from': 'ftp://x/y', 'image_properties': {'protected': True}},
                      {'import_from': 'http://127.0.0.1/', 'image_properties': {'size': 1}}):
            task = self.ask('/v2/tasks', 'POST', ctx=ADMIN, status=201,
                            document={'type': 'import', 'input': given}).json
            self.assertEqual('failure', task['status'])
            self.assertNotEqual('', task['message'])
        self.assertEqual([], self.names(ctx=ADMIN))
        for document in ({'type': 'export', 'input': {}}, {'type': 'import', 'input': {}}, {'type': 'import'}, {}, [],
                         {'type': 'import', 'input': {'import_from': 1}},
                         {'type': 'import', 'input': {'import_from': 'http://x/', 'image_properties': []}},
                         {'type': 'import', 'input': {'import_from': 'http://x/', 'image_properties': {'tags': 'a'}}}):
            self.ask('/v2/tasks', 'POST', ctx=ADMIN, document=document, status=400)

    def test_schemas(self):
        task = self.ask('/v2/schemas/task', status=200).json
        self.assertIn('import', task['properties']['type']['enum'])
        rows = self.ask('/v2/schemas/tasks', status=200).json['properties']['tasks']['items']['properties']
        self.assertEqual({'input', 'result', 'message'}, set(task['properties']) - set(rows))


class TestSimpleImports(ImportTests, ImportCase):
    backend = {'DEFAULT': {**app.SIMPLE['DEFAULT'], 'node_staging_uri': 'file://{tmp}/staging'}}


class TestSqliteImports(ImportTests, ImportCase):
    backend = app.SQLITE


class TestSimpleTasks(TaskTests, ImportCase):
    backend = app.SIMPLE


class TestSqliteTasks(TaskTests, ImportCase):
    backend = app.SQLITE


class TestSeveralStores(ImportCase):
    """Imports into several stores, and copies."""

    backend = app.SQLITE_SEVERAL_STORES

    def imported(self, **body):
        image = self.create()
        self.stage(image)
        self.begin(image, body=body)
        return self.ended(image)[1]

    def test_every_store_that_takes_images(self):
        shown = self.imported(all_stores=True)  # what Tempest sends by default
        self.assertEqual('cold,fast', shown['stores'])
        self.assertEqual(('', ''), (shown['os_glance_importing_to_stores'], shown['os_glance_failed_import']))

    def test_named_stores_and_the_default(self):
        self.assertEqual('cold', self.imported(stores=['cold'])['stores'])
        self.assertEqual('fast', self.imported()['stores'])
        image = self.create()
        self.stage(image)
        self.begin(image, headers={'X_Image_Meta_Store': 'cold'})
        self.assertEqual('cold', self.ended(image)[1]['stores'])

    def test_what_is_wrong_with_stores(self):
        image = self.create()
        self.stage(image)
        self.begin(image, status=400, body={'all_stores': True, 'stores': ['fast']})
        self.begin(image, status=400, body={'all_stores': True}, headers={'X_Image_Meta_Store': 'fast'})
        self.begin(image, status=400, body={'stores': ['fast', 'fast']})
        self.begin(image, status=409, body={'stores': ['nothing']})
        self.begin(image, status=410, body={'stores': ['web']})
        self.assertEqual('uploading', self.show(image['id'])['status'])

    def test_an_image_shows_where_it_is_still_to_go(self):
        image, (url, go_on) = self.create(), self.slow()
        self.begin(image, 'web-download', body={'stores': ['cold', 'fast']}, uri=url)
        shown = self.show(image['id'])
        self.assertEqual(('cold,fast', ''),
                         (shown['os_glance_importing_to_stores'], shown['os_glance_failed_import']))
        go_on.set()
        self.assertEqual('cold,fast', self.ended(image)[1]['stores'])

    def test_copies_are_for_administrators(self):
        image = self.active(DATA)
        self.begin(image, 'copy-image', status=403, body={'stores': ['cold']})
        self.begin(image, 'copy-image', ADMIN, 400)
        self.begin(image, 'copy-image', ADMIN, 400, body={'stores': ['fast']})
        self.begin(image, 'copy-image', ADMIN, body={'stores': ['cold']})
        task, shown = self.ended(image)
        self.assertEqual(('cold,fast', 'active', ''), tuple(
            shown[name] for name in ('stores', 'status', 'os_glance_importing_to_stores')), task)
        self.begin(image, 'copy-image', ADMIN, body={'all_stores': True})  # nothing is left to do
        self.assertEqual('success', self.ended(image)[0]['status'])

    def test_discovery_tells_the_stores(self):
        told = self.ask('/v2/info/import', status=200).json
        self.assertEqual(['fast', 'cold', 'web'], [one['id'] for one in told['stores']['value']])
        self.assertIn('copy-image', told['import-methods']['value'])


class TestImportOff(app.AppTestCase):
    options = {'DEFAULT': {'enable_image_import': False}}

    def test_its_paths_and_headers_are_not_there(self):
        created = self.ask('/v2/images', 'POST', document={}, status=201)
        self.assertNotIn('OpenStack-image-import-methods', created.headers)
        path = created.json['self']
        for method, where in (('PUT', f'{path}/stage'), ('POST', f'{path}/import'), ('DELETE', f'{path}/import'),
                              ('GET', '/v2/info/import')):
            self.ask(where, method, status=404, Content_Type=OCTETS)
        self.assertNotIn('v2.6', [one['id'] for one in self.ask('/versions').json['versions']])
        self.assertEqual([], self.ask(f'{path}/tasks', status=200).json['tasks'])

    def test_a_task_says_that_no_method_can_be_used(self):
        task = self.ask('/v2/tasks', 'POST', ctx=ADMIN, status=201, document={'type': 'import', 'input': {
            'import_from': 'http://x/', 'import_from_format': 'raw'}}).json
        self.assertEqual(('failure', 'No import method can be used here.'), (task['status'], task['message']))
        self.assertEqual([], self.names(ctx=ADMIN))


class TestReadOnlyStores(ImportCase):
    """No store takes images."""

    backend = {'DEFAULT': {'db_auto_create': True, 'enabled_backends': 'web:http'},
               'database': {'connection': 'sqlite:///{tmp}/glance.sqlite'},
               'glance_store': {'default_backend': 'web'}}

    def test_an_import_to_all_stores_is_refused_when_none_takes_images(self):
        image = self.create()
        self.begin(image, 'web-download', uri='http://127.0.0.1/', body={'all_stores': True}, status=410)
        self.assertEqual([], self.tasks(image))


class TestNoStaging(app.AppTestCase):
    """The only store keeps its data in memory, so that there is no place beside it."""

    def test_data_cannot_be_staged_and_discovery_says_so(self):
        image = self.create()
        self.ask(f"/v2/images/{image['id']}/stage", 'PUT', b'x', status=404, Content_Type=OCTETS)
        told = self.ask('/v2/info/import', status=200).json
        self.assertEqual((False, ['web-download']), (told['staging']['value'], told['import-methods']['value']))


class TestUploadRestricted(ImportCase):
    """Upload for administrators, import for everybody: point 1 of what import was made for."""

    backend = app.SQLITE
    options = {'oslo_policy': {'policy_file': '{tmp}/policy.yaml'}}

    def load(self):
        (self.tmp / 'policy.yaml').write_text('upload_image: "rule:context_is_admin"\n')
        return super().load()

    def test_a_member_imports_what_it_may_not_upload(self):
        image = self.create()
        self.upload(image['id'], DATA, status=403)
        self.stage(image)
        self.begin(image)
        self.assertEqual('active', self.ended(image)[1]['status'])
