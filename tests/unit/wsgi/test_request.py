"""Request: hostile input is a 4xx error raised on purpose."""

from glancelike import errors
from glancelike.wsgi import request
from tests import base

LIMIT = 1000


def of(body=b'', **keywords):
    return request.Request.blank('/v2/images', body=body, **keywords)


class TestJsonDocument(base.TestCase):

    def refused(self, body, error=errors.InvalidBody):
        return self.assertRaises(error, of(body, method='POST').json_document, LIMIT)

    def test_an_object_comes_back_as_it_was(self):
        self.assertEqual({'a': ['\N{GRINNING FACE}', 1, 1.5, None, True]},
                         of(b'{"a": ["\\ud83d\\ude00", 1, 1.5, null, true]}', method='POST').json_document(LIMIT))

    def test_a_document_of_exactly_the_limit_is_read(self):
        body = b'["' + b'x' * (LIMIT - 4) + b'"]'
        self.assertEqual(LIMIT, len(body))
        of(body, method='POST').json_document(LIMIT)

    def test_a_longer_document_is_refused_by_its_declared_length(self):
        self.refused(b'["' + b'x' * (LIMIT - 3) + b'"]', errors.LimitExceeded)

    def test_a_longer_chunked_document_is_refused_while_it_is_read(self):
        req = of(b'["' + b'x' * LIMIT * 3 + b'"]', method='POST')
        req.environ['HTTP_TRANSFER_ENCODING'] = 'chunked'
        self.assertRaises(errors.LimitExceeded, req.json_document, LIMIT)

    def test_no_body_is_refused(self):
        self.refused(b'')

    def test_a_scalar_is_refused(self):
        for body in (b'1', b'"x"', b'null', b'true'):
            self.refused(body)

    def test_malformed_json_is_refused(self):
        for body in (b'{', b'{"a":}', b"{'a': 1}", b'\xff\xfe', b'{"a": "\xff"}', b'[1,]', b'\xef\xbb\xbf[]'):
            self.refused(body)

    def test_numbers_that_are_no_json_are_refused(self):
        for body in (b'[NaN]', b'[Infinity]', b'[-Infinity]', b'[1e999]'):
            self.refused(body)

    def test_a_number_of_thousands_of_digits_is_refused(self):
        req = of(b'[' + b'9' * 5000 + b']', method='POST')
        self.assertRaises(errors.InvalidBody, req.json_document, 10_000)

    def test_deep_nesting_is_refused(self):
        self.refused(b'[' * 40 + b']' * 40)
        req = of(b'[' * 200_000, method='POST')
        self.assertRaises(errors.InvalidBody, req.json_document, 2**20)

    def test_characters_that_databases_cannot_keep_are_refused(self):
        for body in (b'{"a": "x\\u0000"}', b'{"\\u0000": 1}', b'{"a": "\\ud800"}', b'[["\\udfff"]]'):
            self.refused(body, errors.Invalid)


class TestQueryAndPath(base.TestCase):

    def test_repeated_and_empty_parameters_are_kept_in_order(self):
        req = request.Request.blank('/?tag=a&x=&tag=b')
        self.assertEqual([('tag', 'a'), ('x', ''), ('tag', 'b')], req.parameters())

    def test_octets_that_are_no_utf8_are_refused(self):
        self.assertRaises(errors.Invalid, request.Request.blank('/?name=%ff').parameters)
        req = request.Request.blank('/')
        req.environ['PATH_INFO'] = '/images/\xff'
        self.assertRaises(errors.Invalid, req.path_text)

    def test_control_characters_in_the_path_are_refused(self):
        for octet in ('\x00', '\n', '\r', '\x7f'):
            req = request.Request.blank('/')
            req.environ['PATH_INFO'] = f'/images/a{octet}'
            self.assertRaises(errors.Invalid, req.path_text)

    def test_too_many_parameters_are_refused(self):
        req = request.Request.blank('/?' + '&'.join(f'a{n}=1' for n in range(request.MAX_PARAMETERS + 1)))
        self.assertRaises(errors.Invalid, req.parameters)

    def test_an_odd_host_header_is_not_echoed(self):
        req = request.Request.blank('/')
        req.environ['HTTP_HOST'] = 'evil.example/<script>'
        self.assertEqual('http://localhost', req.host_base())


class TestHeaders(base.TestCase):

    def test_lengths_that_are_no_numbers_are_refused(self):
        for value in ('-1', '1.5', 'x', '\u0663', '9' * 30, '1e3', '0x10'):
            self.assertRaises(errors.Invalid, request.whole_number, value, 'Content-Length')

    def test_a_body_is_seen_by_length_or_chunks(self):
        self.assertFalse(of().has_body())
        self.assertTrue(of(b'x').has_body())
        req = of()
        req.environ['HTTP_TRANSFER_ENCODING'] = 'chunked'
        self.assertTrue(req.has_body())

    def test_accepts_only_what_is_named(self):
        for accept, expected in (('application/json', True), ('text/html, application/json;q=0.1', True),
                                 ('*/*', False), ('', False), ('application/json;q=0', False),
                                 ('application/json;q=0.0', False), ('application/*', False)):
            self.assertEqual(expected, of(headers={'Accept': accept}).accepts('application/json'), accept)

    def test_printable_keeps_to_one_line_and_a_length(self):
        self.assertEqual('a\N{REPLACEMENT CHARACTER}b', request.printable('a\nb'))
        self.assertEqual('x' * 100 + '...', request.printable('x' * 1000))
