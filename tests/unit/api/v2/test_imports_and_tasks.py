"""What the calls of import and tasks read from a request and answer; the rules behind them are recorded only."""

import dataclasses
import datetime
import json
import types

from glancelike import errors
from glancelike.api.v2 import tasks as task_api
from glancelike.api.v2 import views
from glancelike.api.v2.discovery import ImportInfoController
from glancelike.api.v2.image_import import MOST_ASKED_BYTES, ImageImportController, ImageStageController
from glancelike.api.v2.router import import_table
from glancelike.api.v2.tasks import TasksController
from glancelike.context import RequestContext
from glancelike.core.imports import ImportOrder
from glancelike.model.image import Image, ImportState
from glancelike.model.task import FAILURE, IMPORT, PROCESSING, SUCCESS, Task, TaskQuery
from glancelike.wsgi.request import CONTEXT_KEY, Request
from glancelike.wsgi.resource import Resource
from glancelike.wsgi.router import JSON, Route
from tests import base

NOON = datetime.datetime(2026, 1, 2, 12, 0, 0, 999, tzinfo=datetime.UTC)
CTX = RequestContext(user_id='u', project_id='p')
DONE = Task('t', IMPORT, SUCCESS, owner='p', user_id='u', request_id='req-1', image_id='i', input={'a': 1},
            result={'image_id': 'i'}, created_at=NOON, updated_at=NOON, expires_at=NOON)
RUNNING = Task('r', IMPORT, PROCESSING, step='store fast', bytes_done=2**20, bytes_total=10 * 2**20, rate=5,
               created_at=NOON, updated_at=NOON)


class Imports:
    """Stands for ImportService."""

    def __init__(self):
        self.begun, self.cancelled = [], []
        told = types.SimpleNamespace(facts=lambda: {'fact': 1})
        self.methods = {'glance-direct': told, 'web-download': told}
        self.plugins = {'second': told, 'first': told}

    def begin(self, ctx, image_id, order):
        self.begun.append((ctx, image_id, order))

    def cancel(self, ctx, image_id):
        self.cancelled.append((ctx, image_id))


class Staging:
    """Stands for StagingService."""

    def __init__(self):
        self.staged = []

    def stage(self, ctx, image_id, body, size):
        self.staged.append((image_id, body.read(), size))


class Tasks:
    """Stands for TaskService."""

    def __init__(self, *found):
        self.found, self.asked = list(found), []

    def create(self, ctx, task_type, given):
        self.asked.append((task_type, given))
        return DONE

    def list(self, ctx, query):
        self.asked.append(query)
        return self.found[:query.limit]

    def get(self, ctx, task_id):
        return DONE

    def of_image(self, ctx, image_id):
        return self.found


class ResourceCase(base.TestCase):

    def ask(self, method, path, document=None, body=b'', status=None, **headers):
        if document is not None:
            body = json.dumps(document).encode()
        req = Request.blank(path, method=method, body=body, environ={CONTEXT_KEY: CTX})
        req.headers.update({name.replace('_', '-'): value for name, value in headers.items()})
        answer = req.get_response(self.app)
        if status is not None:
            self.assertEqual(status, answer.status_int, answer.text)
        return answer


class TestImportCalls(ResourceCase):

    def setUp(self):
        super().setUp()
        self.imports = Imports()
        self.staging = Staging()
        self.build()

    def build(self, several_stores=True, can_stage=True):
        store = types.SimpleNamespace(id='fast', description='quick', is_default=True, read_only=False)
        info = ImportInfoController(self.imports, stores=[store] if several_stores else (), disk_formats=['raw'],
                                    container_formats=['bare'], max_bytes=7, can_stage=can_stage)
        self.app = Resource(import_table(ImageImportController(self.imports, several_stores=several_stores), info,
                                         ImageStageController(self.staging) if can_stage else None), 2**20)

    def order(self, document, **headers):
        answer = self.ask('POST', '/images/i/import', {'method': {'name': 'web-download'}, **document}, status=202,
                          **headers)
        self.assertEqual((b'', '0'), (answer.body, answer.headers['Content-Length']))
        ctx, image_id, order = self.imports.begun.pop()
        self.assertEqual((CTX, 'i'), (ctx, image_id))
        return order

    def test_keys_of_the_method_are_passed_on_as_given(self):
        order = self.order({'method': {'name': 'web-download', 'uri': 'http://x/', 'more': [1, None]}})
        self.assertEqual(ImportOrder('web-download', {'uri': 'http://x/', 'more': [1, None]}), order)

    def test_stores_and_flags(self):
        self.assertEqual(('b', 'a'), self.order({'stores': ['b', 'a']}).stores)
        order = self.order({'all_stores': True, 'all_stores_must_succeed': False})
        self.assertEqual(((), True, False), (order.stores, order.all_stores, order.all_stores_must_succeed))

    def test_the_header_names_the_store_where_the_body_does_not(self):
        self.assertEqual(('a',), self.order({}, X_Image_Meta_Store='a').stores)
        self.assertEqual(('a',), self.order({'stores': ['a']}, X_Image_Meta_Store='a').stores)  # openstacksdk
        self.assertEqual((), self.order({}, X_Image_Meta_Store='').stores)

    def test_a_header_that_contradicts_the_body_is_refused(self):
        for document in ({'all_stores': True}, {'stores': ['b']}, {'stores': ['a', 'b']}):
            self.ask('POST', '/images/i/import', {'method': {'name': 'x'}, **document}, status=400,
                     X_Image_Meta_Store='a')

    def test_with_a_single_store_what_is_said_of_stores_is_put_aside(self):
        self.build(several_stores=False)
        for document in ({'all_stores': True}, {'stores': ['b']}, {'all_stores': True, 'stores': ['b']}):
            order = self.order(document, X_Image_Meta_Store='a')
            self.assertEqual(((), False), (order.stores, order.all_stores))

    def test_documents_of_another_form_are_refused(self):
        named = {'name': 'x'}
        for document in (
                {}, [], {'method': None}, {'method': 'x'}, {'method': {}}, {'method': {'name': None}},
                {'method': {'name': ''}}, {'method': {'name': ['x']}}, {'method': {'name': 'x' * 256}},
                {'method': {'name': 'x', 'uri': 'u' * MOST_ASKED_BYTES}},
                *({'method': named, 'stores': bad} for bad in (
                    None, 'a', {}, [], [1], [None], [''], ['a' * 256], [['a']], ['a'] * 65)),
                *({'method': named, name: bad} for bad in (None, 0, 1, 'true', [], {})
                  for name in ('all_stores', 'all_stores_must_succeed'))):
            self.ask('POST', '/images/i/import', document, status=400)
        self.ask('POST', '/images/i/import', body=b'', status=400)
        self.assertEqual([], self.imports.begun)

    def test_an_import_is_cancelled_with_delete(self):
        self.ask('DELETE', '/images/i/import', status=202)
        self.assertEqual([(CTX, 'i')], self.imports.cancelled)
        self.ask('DELETE', '/images/i/import', body=b'{}', status=400)

    def test_other_methods_are_405(self):
        for path, allowed in (('/images/i/import', 'POST, DELETE'), ('/images/i/stage', 'PUT'),
                              ('/info/import', 'GET, HEAD')):
            for method in {'GET', 'PUT', 'POST', 'PATCH', 'DELETE'} - set(allowed.split(', ')):
                self.assertEqual(allowed, self.ask(method, path, status=405).headers['Allow'])

    def test_staged_data_are_octets_of_an_announced_size(self):
        octets = {'Content_Type': 'application/octet-stream'}
        self.ask('PUT', '/images/i/stage', body=b'data', status=204, **octets)
        self.ask('PUT', '/images/i/stage', body=b'data', status=204, X_OpenStack_Image_Size='9', **octets)
        self.assertEqual([('i', b'data', 4), ('i', b'data', 9)], self.staging.staged)
        self.ask('PUT', '/images/i/stage', body=b'data', status=400, X_OpenStack_Image_Size='-1', **octets)
        for media_type in ('application/json', 'text/plain', ''):
            self.ask('PUT', '/images/i/stage', body=b'data', status=415, Content_Type=media_type)
        self.assertEqual(2, len(self.staging.staged))

    def test_without_staging_there_is_no_such_path(self):
        self.build(can_stage=False)
        self.ask('PUT', '/images/i/stage', body=b'data', status=404, Content_Type='application/octet-stream')

    def test_discovery_tells_everything_in_one_shape(self):
        told = self.ask('GET', '/info/import', status=200).json
        for name, one in told.items():
            self.assertEqual({'description', 'type', 'value'}, set(one), name)
            kind = {'array': list, 'object': dict, 'integer': int, 'boolean': bool}[one['type']]
            self.assertIs(kind, type(one['value']), name)
        self.assertEqual({
            'import-methods': ['glance-direct', 'web-download'],
            'import-method-details': {'glance-direct': {'fact': 1}, 'web-download': {'fact': 1}},
            'import-plugins': [{'name': 'second', 'details': {'fact': 1}}, {'name': 'first', 'details': {'fact': 1}}],
            'disk-formats': ['raw'], 'container-formats': ['bare'], 'max-bytes': 7, 'staging': True,
            'stores': [{'id': 'fast', 'description': 'quick', 'default': 'true'}], 'export-methods': [],
        }, {name: one['value'] for name, one in told.items()})
        self.ask('GET', '/info/import', body=b'{}', status=400)


class TestTaskCalls(ResourceCase):

    def setUp(self):
        super().setUp()
        self.build(DONE, RUNNING)

    def build(self, *found):
        self.tasks = Tasks(*found)
        made = TasksController(self.tasks, default_limit=2, max_limit=3)
        self.app = Resource([
            Route('GET', '/tasks', made.index), Route('POST', '/tasks', made.create, JSON),
            Route('GET', '/tasks/{task_id}', made.show), Route('GET', '/images/{image_id}/tasks', made.of_image),
        ], 2**20)

    def test_a_task_is_made(self):
        answer = self.ask('POST', '/tasks', {'type': 'import', 'input': {'import_from': 'http://x/'}}, status=201)
        self.assertEqual('http://localhost/v2/tasks/t', answer.headers['Location'])
        self.assertEqual(('t', '/v2/tasks/t'), (answer.json['id'], answer.json['self']))
        self.assertEqual([('import', {'import_from': 'http://x/'})], self.tasks.asked)

    def test_documents_of_another_form_are_refused(self):
        for document in ({}, [], {'type': 'import'}, {'input': {}}, {'type': 1, 'input': {}},
                         {'type': 'import', 'input': []}, {'type': 'import', 'input': None},
                         {'type': 'x' * 256, 'input': {}},
                         {'type': 'import', 'input': {'import_from': 'x' * MOST_ASKED_BYTES}}):
            self.ask('POST', '/tasks', document, status=400)
        self.assertEqual([], self.tasks.asked)

    def test_tasks_cannot_be_deleted(self):
        self.assertEqual('GET, HEAD', self.ask('DELETE', '/tasks/t', status=405).headers['Allow'])

    def test_a_page_has_a_link_to_the_next_when_there_is_one(self):
        tasks = [dataclasses.replace(DONE, id=f't{number}') for number in range(4)]
        self.build(*tasks)
        page = self.ask('GET', '/tasks?status=success&limit=2&marker=m', status=200).json
        self.assertEqual(['t0', 't1'], [one['id'] for one in page['tasks']])
        self.assertEqual(('/v2/tasks?status=success&limit=2', '/v2/tasks?status=success&limit=2&marker=t1',
                          '/v2/schemas/tasks'), (page['first'], page['next'], page['schema']))
        self.build(*tasks[:3])
        self.assertNotIn('next', self.ask('GET', '/tasks?limit=99', status=200).json)
        self.assertEqual(4, self.tasks.asked[0].limit)  # the most, and one to see whether there is more
        page = self.ask('GET', '/tasks?limit=0', status=200).json
        self.assertEqual(([], False), (page['tasks'], 'next' in page))

    def test_rows_of_a_list_lack_what_is_long(self):
        for row in self.ask('GET', '/tasks', status=200).json['tasks']:
            self.assertEqual(set(), {'input', 'result', 'message'} & set(row))

    def test_the_query_string(self):
        def parsed(*parameters):
            return task_api.parse(parameters, default_limit=25, max_limit=100)
        self.assertEqual(TaskQuery(limit=25), parsed())
        self.assertEqual(
            TaskQuery('failure', 'api_image_import', 'i', ('status', 'asc'), 'm', 9),
            parsed(('status', 'failure'), ('type', 'api_image_import'), ('image_id', 'i'), ('sort_key', 'status'),
                   ('sort_dir', 'asc'), ('marker', 'm'), ('limit', '9')))
        for error, parameters in (
                (errors.InvalidFilter, {'owner': 'p', 'status': 'done', 'type': 'export', 'image_id': 'x' * 37}),
                (errors.InvalidSort, {'sort_key': 'message', 'sort_dir': 'up'}),
                (errors.InvalidLimit, {'limit': '-1'}), (errors.InvalidMarker, {'marker': 'x' * 37})):
            for one in parameters.items():
                self.assertRaises(error, parsed, one)

    def test_tasks_of_an_image_are_shown_whole_and_without_links(self):
        done, running = self.ask('GET', '/images/i/tasks', status=200).json['tasks']
        self.assertEqual({'image_id': 'i'}, done['result'])
        self.assertEqual(('req-1', 'u', False, None, 'i'),
                         tuple(done[name] for name in ('request_id', 'user_id', 'deleted', 'deleted_at', 'image_id')))
        self.assertEqual(set(), {'self', 'schema'} & set(done))


class TestTaskDocuments(base.TestCase):

    def test_progress_is_shown_until_the_end(self):
        self.assertEqual({'step': 'store fast', 'bytes_done': 2**20, 'bytes_total': 10 * 2**20, 'bytes_per_second': 5},
                         views.task(RUNNING)['progress'])
        self.assertNotIn('progress', views.task(DONE))

    def test_clients_that_know_no_progress_read_it_in_the_message(self):
        def message(**fields):
            return views.task(dataclasses.replace(RUNNING, **fields))['message']
        self.assertEqual('store fast: 1.0 of 10.0 MiB', message())
        self.assertEqual('fetch: 1.0 MiB', message(step='fetch', bytes_total=None))
        self.assertEqual('', message(step=''))
        self.assertEqual('The task is being cancelled.', message(cancelled=True))
        self.assertEqual('a warning', message(message='a warning'))
        self.assertEqual('', message(status=FAILURE))

    def test_no_document_tells_what_is_for_the_service_alone(self):
        secret = dataclasses.replace(RUNNING, secret='sealed', caller={'roles': ['admin']})
        for document in (views.task(secret), *views.image_tasks([secret])['tasks'],
                         *views.task_list([secret], [], None)['tasks']):
            self.assertEqual(set(), {'secret', 'caller', 'cancelled'} & set(document))

    def test_a_time_that_is_not_set_is_null(self):
        self.assertIsNone(views.task(RUNNING)['expires_at'])
        self.assertEqual('2026-01-02T12:00:00Z', views.task(DONE)['expires_at'])


class TestImportStateOfImages(base.TestCase):

    def shown(self, state, several_stores=True, **properties):
        image = Image('i', created_at=NOON, updated_at=NOON, import_state=state, properties=properties)
        document = views.ImageView(lambda ctx, image: [], several_stores=several_stores).document(CTX, image)
        return {name: value for name, value in document.items() if name.startswith('os_glance')}

    def test_an_image_that_was_never_imported_shows_nothing(self):
        self.assertEqual({}, self.shown(None))

    def test_an_import_under_way_names_its_task_and_what_is_left_to_do(self):
        self.assertEqual({'os_glance_import_task': 't', 'os_glance_importing_to_stores': 'a,b',
                          'os_glance_failed_import': 'c'}, self.shown(ImportState('t', ('a', 'b'), ('c',))))

    def test_after_it_the_lists_stay_and_are_empty(self):
        self.assertEqual({'os_glance_importing_to_stores': '', 'os_glance_failed_import': ''},
                         self.shown(ImportState()))

    def test_with_a_single_store_only_the_task_is_named(self):
        self.assertEqual({'os_glance_import_task': 't'}, self.shown(ImportState('t', ('file',)), False))

    def test_properties_of_these_names_in_an_old_database_are_not_shown(self):
        self.assertEqual({}, self.shown(None, os_glance_import_task='old', os_glance_importing_to_stores='x',
                                        os_glance_failed_import='y', os_glance_stage_host='z'))
