"""faults: every error class to its status, and what a person or a program reads."""

import inspect
import json
import re

from testtools.matchers import Contains, Not, StartsWith

from glancelike import errors
from glancelike.wsgi import faults
from glancelike.wsgi.request import REQUEST_ID_KEY, Request
from tests import base


def answer(error, accept='*/*', method='GET'):
    req = Request.blank('/v2/images/x', method=method, headers={'Accept': accept})
    req.environ[REQUEST_ID_KEY] = 'req-1'
    return faults.response(req, error)


class TestStatus(base.TestCase):

    def test_statuses(self):
        for error, status in (
                (errors.InvalidFilter(reason='x'), 400), (errors.SizeMismatch(declared=1, received=2), 400),
                (errors.NotAuthenticated(), 401), (errors.ProtectedImage(image_id='x'), 403),
                (errors.ImageNotFound(image_id='x'), 404), (errors.VersionConflict(image_id='x'), 409),
                (errors.ImageGone(image_id='x'), 410), (errors.PreconditionFailed(image_id='x'), 412),
                (errors.ImageTooLarge(limit=1), 413), (errors.FormatMismatch(declared='a', found='b'), 415),
                (errors.RangeNotSatisfiable(range='x', size=1), 416), (errors.DatabaseUnavailable(), 503),
                (errors.ObjectNotFound(store='a'), 404), (errors.ObjectExists(store='a', image_id='x'), 409),
                (errors.StoreReadOnly(store='a'), 410), (errors.StoreFull(store='a'), 413),
                (errors.ObjectInUse(store='a'), 409), (errors.StoreUnavailable(store='a'), 503),
                (errors.StoreForbidden(store='a'), 503), (errors.OperationNotSupported(store='a', operation='x'), 400),
                (ValueError('x'), 500)):
            self.assertEqual(status, faults.status_of(error), error)

    def test_every_error_has_a_status_that_http_knows(self):
        for _, cls in inspect.getmembers(errors, inspect.isclass):
            if issubclass(cls, errors.GlanceError):
                self.assertIn(faults.status_of(cls('x')), faults.status_reasons)


class TestBody(base.TestCase):

    def test_json_is_for_those_who_name_it(self):
        got = answer(errors.ImageNotFound(image_id='i'), 'application/json')
        self.assertEqual({'error': {'code': 'image_not_found', 'title': 'Not Found', 'status': 404,
                                    'message': 'No image found with ID i.', 'request_id': 'req-1'}},
                         json.loads(got.body))
        self.assertEqual('application/json', got.headers['Content-Type'])

    def test_any_type_gets_html_of_which_clients_make_one_line(self):
        got = answer(errors.ReservedAttribute(name='id'), '*/*')
        lines = [re.sub('<.+?>', '', line.strip()) for line in got.text.splitlines()]
        self.assertEqual(['403 Forbidden', "Attribute 'id' is read-only or reserved."],
                         list(dict.fromkeys(line for line in lines if line)))

    def test_who_accepts_neither_gets_text(self):
        for accept in ('', 'image/png'):
            got = answer(errors.ImageNotFound(image_id='i'), accept)
            self.assertEqual('404 Not Found\n\nNo image found with ID i.\n', got.text)
            self.assertThat(got.headers['Content-Type'], StartsWith('text/plain'))

    def test_html_is_escaped(self):
        got = answer(errors.Invalid(reason='<script>'), 'text/html')
        self.assertThat(got.text, Contains('&lt;script&gt;'))
        self.assertThat(got.text, Not(Contains('<script>')))

    def test_an_unexpected_error_tells_nothing_but_the_request_id(self):
        for accept in ('application/json', 'text/html', '*/*'):
            got = answer(RuntimeError('/etc/secret password'), accept)
            self.assertEqual(500, got.status_int)
            self.assertThat(got.text, Not(Contains('secret')))
            self.assertThat(got.text, Contains('req-1'))

    def test_a_configuration_error_at_run_time_tells_nothing(self):
        got = answer(errors.ConfigurationError(reason='/etc/glance/secret'))
        self.assertEqual(500, got.status_int)
        self.assertThat(got.text, Not(Contains('secret')))

    def test_text_that_is_no_unicode_does_no_harm(self):
        for accept in ('application/json', 'text/html', '*/*'):
            self.assertEqual(400, answer(errors.Invalid(reason='\ud800'), accept).status_int)


class TestHeaders(base.TestCase):

    def test_405_names_what_is_allowed(self):
        self.assertEqual('GET', answer(faults.MethodNotAllowed(method='PUT', allowed='GET')).headers['Allow'])

    def test_415_of_a_patch_names_the_types(self):
        got = answer(errors.UnsupportedMediaType(given='a/b', accepted='c/d, e/f'), method='PATCH')
        self.assertEqual('c/d, e/f', got.headers['Accept-Patch'])
        got = answer(errors.UnsupportedMediaType(given='a/b', accepted='c/d'), method='PUT')
        self.assertNotIn('Accept-Patch', got.headers)

    def test_416_tells_the_size(self):
        got = answer(errors.RangeNotSatisfiable(range='bytes=9-', size=5))
        self.assertEqual('bytes */5', got.headers['Content-Range'])

    def test_503_tells_when_to_come_back(self):
        self.assertEqual('5', answer(errors.StoreUnavailable(store='a')).headers['Retry-After'])
