"""Resource and Router: which action, what is refused before it, how its result is written."""

import json

import webob

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.wsgi.request import CONTEXT_KEY, Request
from glancelike.wsgi.resource import Resource, header_value, reply
from glancelike.wsgi.router import JSON, RAW, Route, Router
from tests import base


class Notes:
    def show(self, req, name):
        return {'name': name}

    def create(self, req, document):
        return reply(document, 201, {'Location': '/x', 'Left-Out': None})

    def remove(self, req, name):
        return None

    def raw(self, req, name):
        return webob.Response(body=req.data().read(100))

    def fail(self, req):
        raise errors.ImageNotFound(image_id='i')

    def crash(self, req):
        raise KeyError('secret')


class TestResource(base.TestCase):

    def setUp(self):
        super().setUp()
        notes = Notes()
        self.app = Resource([
            Route('GET', '/notes/{name}', notes.show), Route('POST', '/notes', notes.create, JSON),
            Route('DELETE', '/notes/{name}', notes.remove), Route('PUT', '/notes/{name}', notes.raw, RAW),
            Route('GET', '/fail', notes.fail), Route('GET', '/crash', notes.crash)], 1000)

    def ask(self, path, method='GET', body=b'', ctx=None, **headers):
        req = Request.blank(path, method=method, body=body, headers=headers)
        req.environ[CONTEXT_KEY] = ctx or RequestContext(project_id='p')
        return req.get_response(self.app)

    def test_a_dict_becomes_json(self):
        got = self.ask('/notes/caf%C3%A9')
        self.assertEqual((200, 'application/json'), (got.status_int, got.headers['Content-Type']))
        self.assertEqual({'name': 'caf\xe9'}, got.json)

    def test_none_becomes_204_without_a_body(self):
        got = self.ask('/notes/a', 'DELETE')
        self.assertEqual((204, b''), (got.status_int, got.body))

    def test_a_response_is_passed_on(self):
        got = self.ask('/notes', 'POST', b'{"a": 1}')
        self.assertEqual((201, {'a': 1}), (got.status_int, got.json))
        self.assertEqual('http://localhost/x', got.headers['Location'])
        self.assertNotIn('Left-Out', got.headers)

    def test_head_answers_like_get_without_the_body(self):
        got = self.ask('/notes/a', 'HEAD')
        self.assertEqual((200, b'', str(len(json.dumps({'name': 'a'})))),
                         (got.status_int, got.body, got.headers['Content-Length']))

    def test_options_names_the_methods(self):
        self.assertEqual((200, 'GET, HEAD, PUT, DELETE, OPTIONS'),
                         (self.ask('/notes/a', 'OPTIONS').status_int, self.ask('/notes/a', 'OPTIONS').headers['Allow']))

    def test_an_unknown_path_is_404(self):
        for path in ('/', '/nothing', '/notes/', '/notes/a/b', '//notes/a'):
            self.assertEqual(404, self.ask(path).status_int, path)

    def test_the_longer_fixed_beginning_is_asked_first(self):
        notes = Notes()
        router = Router([Route('GET', '/{what}/{name}', notes.fail), Route('GET', '/notes/{name}', notes.show)])
        route, names = router.match('GET', '/notes/a')
        self.assertEqual((notes.show, {'name': 'a'}), (route.action, names))
        self.assertEqual({'what': 'other', 'name': 'a'}, router.match('GET', '/other/a')[1])

    def test_a_wrong_method_is_405_and_an_unknown_one_501(self):
        got = self.ask('/notes/a', 'PATCH')
        self.assertEqual((405, 'GET, HEAD, PUT, DELETE'), (got.status_int, got.headers['Allow']))
        self.assertEqual(501, self.ask('/notes/a', 'BREW').status_int)

    def test_a_body_where_none_belongs_is_400(self):
        self.assertEqual(400, self.ask('/notes/a', 'DELETE', b'x').status_int)

    def test_a_read_only_caller_changes_nothing(self):
        ctx = RequestContext(read_only=True)
        self.assertEqual(200, self.ask('/notes/a', ctx=ctx).status_int)
        for method in ('POST', 'DELETE', 'PUT'):
            self.assertEqual(403, self.ask('/notes' if method == 'POST' else '/notes/a', method, ctx=ctx).status_int)

    def test_an_error_raised_on_purpose_is_told(self):
        got = self.ask('/fail', Accept='application/json')
        self.assertEqual((404, 'image_not_found'), (got.status_int, got.json['error']['code']))

    def test_a_crash_is_500_without_details(self):
        got = self.ask('/crash')
        self.assertEqual(500, got.status_int)
        self.assertNotIn('secret', got.text)

    def test_a_header_value_cannot_end_its_line(self):
        self.assertEqual('a b?', header_value('a\r\nb\N{GRINNING FACE}'))
