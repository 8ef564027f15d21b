"""Heads of requests, parsed as strictly as RFC 9112 wants."""

from testtools.matchers import Equals, Is

from glancelike.wsgi import http1
from tests import base


def parse(text, max_line_bytes=16384):
    return http1.parse(text.replace('\n', '\r\n').encode('latin-1') + b'\r\n\r\n', max_line_bytes)


class HeadTest(base.TestCase):

    def assertRefused(self, status, text, **options):
        error = self.assertRaises(http1.BadRequest, parse, text, **options)
        self.assertThat(error.status, Equals(status), error.reason)
        self.assertIn(status, http1.REASONS)

    def test_a_plain_request_is_taken_apart(self):
        head = parse('GET /v2/images%2Fa?x=%20&y HTTP/1.1\nHost: h\nX-Auth-Token:  abc \nAccept: a\nAccept: b')
        self.assertThat((head.method, head.path, head.raw_path, head.query, head.http11),
                        Equals(('GET', '/v2/images/a', '/v2/images%2Fa', 'x=%20&y', True)))
        self.assertThat(head.headers, Equals({'HOST': 'h', 'X_AUTH_TOKEN': 'abc', 'ACCEPT': 'a,b'}))
        self.assertThat(head.length, Equals(0))

    def test_a_path_of_utf8_is_given_as_its_bytes(self):
        self.assertThat(parse('GET /%E2%98%83 HTTP/1.1\nHost: h').path.encode('latin-1').decode(), Equals('/☃'))

    def test_an_absolute_target_gives_its_path(self):
        head = parse('GET http://other:80/v2?a=b HTTP/1.1\nHost: h')
        self.assertThat((head.path, head.query), Equals(('/v2', 'a=b')))
        self.assertThat(parse('GET http://other HTTP/1.1\nHost: h').path, Equals('/'))

    def test_a_body_is_as_long_as_declared_or_chunked(self):
        self.assertThat(parse('PUT / HTTP/1.1\nHost: h\nContent-Length: 12').length, Equals(12))
        self.assertThat(parse('PUT / HTTP/1.1\nHost: h\nTransfer-Encoding: Chunked').length, Is(None))

    def test_two_ways_to_frame_a_body_are_refused(self):
        for lines in ('Content-Length: 5\nTransfer-Encoding: chunked', 'Transfer-Encoding: chunked\nContent-Length: 5',
                      'Content-Length: 5\nContent-Length: 6', 'Content-Length: 5\nContent-Length: 5',
                      'Content-Length: 5, 5', 'Transfer-Encoding: chunked\nTransfer-Encoding: chunked'):
            self.assertRefused(400, f'PUT / HTTP/1.1\nHost: h\n{lines}')

    def test_lengths_that_are_no_numbers_are_refused(self):
        for value in ('-1', '+1', '1_0', '0x10', '1.0', 'abc', '', '9' * 30, '１'.encode().decode('latin-1')):
            self.assertRefused(400, f'PUT / HTTP/1.1\nHost: h\nContent-Length: {value}')

    def test_other_codings_are_not_implemented(self):
        for value in ('gzip, chunked', 'identity', 'chunked, chunked', 'xchunked', ''):
            self.assertRefused(501, f'PUT / HTTP/1.1\nHost: h\nTransfer-Encoding: {value}')
        self.assertRefused(400, 'PUT / HTTP/1.0\nTransfer-Encoding: chunked')

    def test_request_lines_that_are_none_are_refused(self):
        for line in ('', 'GET', 'GET /', 'GET / HTTP/1.1 x', 'GET  / HTTP/1.1', 'G@T / HTTP/1.1', 'GET /a\tb HTTP/1.1',
                     'GET / http/1.1', 'GET / HTTP/11', 'GET /\x00 HTTP/1.1', 'CONNECT h:80 HTTP/1.1',
                     'GET * HTTP/1.1', 'GET x HTTP/1.1', '\x16\x03\x01 / HTTP/1.1'):
            self.assertRefused(400, f'{line}\nHost: h')

    def test_other_versions_are_refused_by_their_own_status(self):
        self.assertRefused(505, 'PRI * HTTP/2.0')
        self.assertRefused(505, 'GET / HTTP/0.9')

    def test_header_lines_that_are_none_are_refused(self):
        for line in ('Name', 'Na me: x', 'Name : x', ' Name: x', ': x', 'Na\xe9: x', 'A: b\n folded', 'A: \x00',
                     'A: b\x7f', 'Host: second', 'A: b\rX: y'):
            self.assertRefused(400, f'GET / HTTP/1.1\nHost: h\n{line}')

    def test_a_host_is_needed_with_http_1_1(self):
        self.assertRefused(400, 'GET / HTTP/1.1')
        self.assertThat(parse('GET / HTTP/1.0').http11, Is(False))

    def test_bare_line_feeds_are_refused(self):
        error = self.assertRaises(http1.BadRequest, http1.parse, b'GET / HTTP/1.1\nHost: h\r\n\r\n', 1000)
        self.assertThat(error.status, Equals(400))

    def test_names_with_an_underscore_cannot_pass_for_others(self):
        self.assertNotIn('X_ROLES', parse('GET / HTTP/1.1\nHost: h\nX_Roles: admin').headers)

    def test_what_is_too_long_is_refused_by_its_own_status(self):
        self.assertRefused(414, f'GET /{"a" * 1100} HTTP/1.1\nHost: h', max_line_bytes=1024)
        self.assertRefused(431, f'GET / HTTP/1.1\nHost: h\nA: {"a" * 1100}', max_line_bytes=1024)
        self.assertRefused(431, 'GET / HTTP/1.1\nHost: h' + '\nA: b' * 300)

    def test_expectations(self):
        self.assertThat(parse('PUT / HTTP/1.1\nHost: h\nExpect: 100-Continue').expects_continue, Is(True))
        self.assertRefused(417, 'PUT / HTTP/1.1\nHost: h\nExpect: tea')

    def test_who_wants_to_keep_the_connection(self):
        for text, wanted in (('GET / HTTP/1.1\nHost: h', True), ('GET / HTTP/1.1\nHost: h\nConnection: Close', False),
                             ('GET / HTTP/1.0', False), ('GET / HTTP/1.0\nConnection: Keep-Alive', True)):
            self.assertThat(parse(text).wants_keepalive, Is(wanted), text)


class ChunkSizeTest(base.TestCase):

    def test_sizes_are_hexadecimal_digits_and_perhaps_an_extension(self):
        for line, size in ((b'0\r\n', 0), (b'1a\r\n', 26), (b'FF;name=value\r\n', 255), (b'5 \r\n', 5)):
            self.assertThat(http1.chunk_size(line), Equals(size))

    def test_everything_else_is_no_size(self):
        for line in (b'\r\n', b'-1\r\n', b'0x5\r\n', b'+5\r\n', b'5\n', b'5', b'1_0\r\n', b'g\r\n', b' 5\r\n',
                     b'f' * 16 + b'\r\n', b'5;a\rb\r\n'):
            self.assertThat(http1.chunk_size(line), Is(None), line)
