"""HttpConnection over a socket pair, on a native thread: what clients send and what they get."""

import logging
import os
import socket
import threading

import fixtures
from testtools.matchers import Contains, Equals, Is, MatchesRegex, Not, StartsWith

from glancelike import errors
from glancelike.core.threads import NativeThreads
from glancelike.wsgi.body import LocalFileBody
from glancelike.wsgi.connection import HttpConnection, HttpSettings
from tests import base

GET = b'GET / HTTP/1.1\r\nHost: h\r\n\r\n'
GET_CLOSE = b'GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n'
WAIT_SECONDS = 20


def echo(environ, start_response):
    body = environ['wsgi.input'].read()
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [body or b'nothing']


def put(body, *headers):
    lines = [b'PUT /x HTTP/1.1', b'Host: h', *headers]
    return b'\r\n'.join(lines) + b'\r\n\r\n' + body


class ConnectionCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.INFO))
        self.stopping = False

    def connect(self, application=echo, **settings):
        settings.setdefault('timeout', WAIT_SECONDS)
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        theirs.settimeout(WAIT_SECONDS)
        self.connection = HttpConnection(ours, ('192.0.2.1', 1234), HttpSettings(**settings), lambda: application,
                                         lambda: self.stopping, NativeThreads())
        self.thread = threading.Thread(target=self.connection.run, daemon=True)
        self.thread.start()
        self.addCleanup(self.thread.join, WAIT_SECONDS)
        self.addCleanup(theirs.close)
        return theirs

    def talk(self, sent, application=echo, **settings):
        """Send the bytes, end the sending side, return all that comes."""
        client = self.connect(application, **settings)
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        return self.rest(client)

    def rest(self, client):
        return b''.join(iter(lambda: client.recv(65536), b''))

    def assertNoTraceback(self):
        self.assertThat(self.log.output, Not(Contains('Traceback')))


class RequestTest(ConnectionCase):

    def test_several_requests_are_answered_on_one_connection(self):
        answer = self.talk(GET + put(b'abc', b'Content-Length: 3') + GET_CLOSE)
        self.assertThat(answer.count(b'HTTP/1.1 200 OK\r\n'), Equals(3))
        self.assertThat(answer, Contains(b'\r\n\r\nabcHTTP'))
        self.assertThat(answer, Contains(b'Connection: close\r\n'))

    def test_without_keepalive_each_answer_ends_the_connection(self):
        answer = self.talk(GET + GET, keepalive=False)
        self.assertThat(answer.count(b'HTTP/1.1 200'), Equals(1))
        self.assertThat(answer, Contains(b'Connection: close'))

    def test_a_request_may_come_byte_by_byte(self):
        client = self.connect()
        for byte in put(b'abc', b'Content-Length: 3', b'Connection: close'):
            client.sendall(bytes([byte]))
        self.assertThat(self.rest(client)[-3:], Equals(b'abc'))

    def test_empty_lines_before_a_request_are_skipped(self):
        self.assertThat(self.talk(b'\r\n\r\n' + GET_CLOSE), StartsWith(b'HTTP/1.1 200'))

    def test_the_environ_is_that_of_pep_3333(self):
        seen = {}

        def application(environ, start_response):
            seen.update(environ)
            return echo(environ, start_response)
        self.talk(b'GET /a%20b?c=d HTTP/1.1\r\nHost: h\r\nX-Auth-Token: t\r\nContent-Type: a/b\r\n'
                  b'Connection: close\r\n\r\n', application)
        wanted = {'REQUEST_METHOD': 'GET', 'PATH_INFO': '/a b', 'RAW_PATH_INFO': '/a%20b', 'QUERY_STRING': 'c=d',
                  'SERVER_PROTOCOL': 'HTTP/1.1', 'REMOTE_ADDR': '192.0.2.1', 'HTTP_HOST': 'h', 'HTTP_X_AUTH_TOKEN': 't',
                  'CONTENT_TYPE': 'a/b', 'wsgi.input_terminated': True, 'wsgi.url_scheme': 'http', 'SCRIPT_NAME': ''}
        self.assertThat({name: seen[name] for name in wanted}, Equals(wanted))

    def test_hostile_heads_get_a_clean_400(self):
        for sent in (b'GARBAGE\r\n\r\n', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', b'GET / HTTP/1.1\n\n',
                     b'GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n', put(b'', b'Content-Length: -1'),
                     put(b'0\r\n\r\n', b'Content-Length: 5', b'Transfer-Encoding: chunked')):
            answer = self.talk(sent)
            self.assertThat(answer, StartsWith(b'HTTP/1.1 400 Bad Request\r\n'), sent)
            self.assertThat(answer.count(b'HTTP/1.1 4'), Equals(1))
        self.assertNoTraceback()

    def test_lines_without_an_end_are_refused_before_they_fill_the_memory(self):
        self.assertThat(self.talk(b'GET /' + b'a' * 20000), StartsWith(b'HTTP/1.1 414'))
        self.assertThat(self.talk(GET[:-2] + b'A: ' + b'a' * 20000), StartsWith(b'HTTP/1.1 431'))
        self.assertThat(self.talk(GET[:-2] + b'A: b\r\n' * 30000), StartsWith(b'HTTP/1.1 431'))

    def test_a_client_that_is_silent_is_disconnected(self):
        client = self.connect(timeout=0.05)
        self.assertThat(self.rest(client), Equals(b''))

    def test_a_head_that_does_not_end_in_time_is_answered_408_however_it_dribbles(self):
        client = self.connect(timeout=0.3)
        client.sendall(b'GET / HTTP/1.1\r\n')
        ended = threading.Event()

        def dribble():
            try:
                while not ended.wait(0.05):
                    client.sendall(b'A: b\r\n')
            except OSError:
                pass
        thread = threading.Thread(target=dribble)
        thread.start()
        answer = client.recv(4096)
        ended.set()
        thread.join()
        self.assertThat(answer, StartsWith(b'HTTP/1.1 408'))

    def test_a_connection_without_a_request_is_no_error(self):
        self.assertThat(self.talk(b''), Equals(b''))
        self.assertThat(self.talk(b'GET / HT'), Equals(b''))
        self.assertNoTraceback()


class BodyTest(ConnectionCase):

    def test_a_chunked_body_is_read_to_its_end(self):
        sent = put(b'3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nTrailer: t\r\n\r\n', b'Transfer-Encoding: chunked')
        answer = self.talk(sent + GET_CLOSE)
        self.assertThat(answer, Contains(b'\r\n\r\nabcdHTTP/1.1 200'))

    def test_reads_of_every_size_give_the_same_bytes(self):
        content = os.urandom(100_000)
        for size in (1, 7, 1000, 65536, 1 << 20):
            for framed, header in ((content, b'Content-Length: 100000'),
                                   (b'%x\r\n%s\r\n' % (99_000, content[:99_000])
                                    + b'%x\r\n%s\r\n0\r\n\r\n' % (1000, content[99_000:]),
                                    b'Transfer-Encoding: chunked')):
                got = []

                def application(environ, start_response, size=size, got=got):
                    body = environ['wsgi.input']
                    buffer = bytearray(size)
                    while (piece := body.read(size)):
                        got.append(piece)
                        count = body.readinto(buffer)
                        got.append(bytes(buffer[:count]))
                    start_response('204 No Content', [])
                    return []
                answer = self.talk(put(framed, header) + GET_CLOSE, application)
                self.assertThat(b''.join(got) == content, Is(True))
                self.assertTrue(all(len(piece) == size for piece in got[:-2]))
                self.assertThat(answer.count(b'HTTP/1.1 204'), Equals(2))

    def test_lines_can_be_read(self):
        def application(environ, start_response):
            start_response('200 OK', [])
            return [repr(list(environ['wsgi.input'])).encode()]
        self.assertThat(self.talk(put(b'a\nbc\nd', b'Content-Length: 6'), application),
                        Contains(b"[b'a\\n', b'bc\\n', b'd']"))

    def test_broken_chunks_are_a_clean_400(self):
        for body in (b'zz\r\nabc\r\n', b'3\r\nabcd\r\n0\r\n\r\n', b'3\nabc\r\n', b'-3\r\nabc\r\n',
                     b'a' * 3000 + b'\r\n', b'0\r\n' + b'A: b\r\n' * 5000 + b'\r\n'):
            answer = self.talk(put(body, b'Transfer-Encoding: chunked') + GET)
            self.assertThat(answer, StartsWith(b'HTTP/1.1 400'), body[:30])
            self.assertThat(answer.count(b'HTTP/1.1'), Equals(1))
        self.assertNoTraceback()

    def test_a_client_that_vanishes_in_a_body_is_told_to_the_application(self):
        for sent in (put(b'abc', b'Content-Length: 10'), put(b'5\r\nab', b'Transfer-Encoding: chunked'),
                     put(b'2\r\nab\r\n', b'Transfer-Encoding: chunked'), put(b'2\r\nab', b'Transfer-Encoding: chunked'),
                     put(b'2', b'Transfer-Encoding: chunked'), put(b'0\r\n', b'Transfer-Encoding: chunked')):
            seen = []

            def application(environ, start_response, seen=seen):
                try:
                    return echo(environ, start_response)
                except errors.ClientDisconnected as error:
                    seen.append(error)
                    raise
            self.talk(sent, application)
            self.assertThat(len(seen), Equals(1), sent)
        self.assertNoTraceback()

    def test_a_client_that_stalls_in_a_body_is_told_to_the_application(self):
        seen = []

        def application(environ, start_response):
            try:
                return echo(environ, start_response)
            except errors.ClientDisconnected:
                seen.append(True)
                start_response('400 Bad Request', [])
                return [b'too slow']
        client = self.connect(application, timeout=0.1)
        client.sendall(put(b'abc', b'Content-Length: 10'))
        self.assertThat(self.rest(client), Contains(b'too slow'))
        self.assertThat(seen, Equals([True]))

    def test_100_continue_is_sent_when_the_body_is_wanted(self):
        client = self.connect()
        client.sendall(put(b'', b'Content-Length: 3', b'Expect: 100-continue', b'Connection: close'))
        self.assertThat(client.recv(100), Equals(b'HTTP/1.1 100 Continue\r\n\r\n'))
        client.sendall(b'abc')
        self.assertThat(self.rest(client)[-3:], Equals(b'abc'))

    def test_100_continue_is_not_sent_when_the_body_is_not_wanted(self):
        answer = self.talk(put(b'', b'Content-Length: 3', b'Expect: 100-continue'), refuse)
        self.assertThat(answer, StartsWith(b'HTTP/1.1 413'))
        self.assertThat(answer, Contains(b'Connection: close'))

    def test_a_small_unread_body_is_skipped_and_the_connection_kept(self):
        answer = self.talk(put(b'abc', b'Content-Length: 3') + GET_CLOSE, refuse)
        self.assertThat(answer.count(b'HTTP/1.1 413'), Equals(2))

    def test_the_client_sees_the_answer_although_it_still_sends_a_large_body(self):
        client = self.connect(refuse)
        client.sendall(put(b'', b'Content-Length: 10000000'))
        sent = threading.Thread(target=client.sendall, args=(b'x' * 10_000_000,))
        sent.start()
        answer = self.rest(client)
        sent.join(WAIT_SECONDS)
        self.assertThat(answer, StartsWith(b'HTTP/1.1 413'))

    def test_what_follows_an_unread_chunked_body_is_never_taken_for_a_request(self):
        answer = self.talk(put(GET, b'Transfer-Encoding: chunked'), refuse)
        self.assertThat(answer.count(b'HTTP/1.1'), Equals(1))


def refuse(environ, start_response):
    start_response('413 Payload Too Large', [('Content-Length', '3')])
    return [b'no\n']


class ResponseTest(ConnectionCase):

    def test_a_body_of_unknown_length_is_chunked(self):
        def application(environ, start_response):
            start_response('200 OK', [])
            yield b'abc'
            yield b''
            yield b'x' * 70000
        answer = self.talk(GET_CLOSE, application)
        self.assertThat(answer, Contains(b'Transfer-Encoding: chunked\r\n'))
        self.assertThat(answer.partition(b'\r\n\r\n')[2], Equals(
            b'3\r\nabc\r\n11170\r\n' + b'x' * 70000 + b'\r\n0\r\n\r\n'))

    def test_http_1_0_gets_the_end_of_the_connection_instead(self):
        def application(environ, start_response):
            start_response('200 OK', [])
            yield b'abc'
        answer = self.talk(b'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', application)
        self.assertThat(answer[-7:], Equals(b'\r\n\r\nabc'))
        self.assertThat(answer, Not(Contains(b'chunked')))

    def test_the_write_callable_works(self):
        def application(environ, start_response):
            start_response('200 OK', [])(b'ab')
            return [b'cd']
        self.assertThat(self.talk(GET_CLOSE, application), Contains(b'2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n'))

    def test_head_and_204_have_no_body(self):
        def application(environ, start_response):
            start_response('200 OK', [('Content-Length', '5')])
            return [b'hello']
        answer = self.talk(b'HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n', application)
        self.assertThat(answer, Contains(b'Content-Length: 5\r\n'))
        self.assertTrue(answer.endswith(b'\r\n\r\n'))

    def test_an_application_that_fails_is_a_500_without_its_traceback(self):
        def application(environ, start_response):
            raise KeyError('secret')
        answer = self.talk(GET, application)
        self.assertThat(answer, StartsWith(b'HTTP/1.1 500 Internal Server Error\r\n'))
        self.assertThat(answer, Not(Contains(b'secret')))
        self.assertThat(self.log.output, Contains('KeyError'))

    def test_an_application_that_fails_in_the_middle_cuts_the_connection(self):
        def application(environ, start_response):
            start_response('200 OK', [])
            yield b'abc'
            raise KeyError
        answer = self.talk(GET + GET, application)
        self.assertThat(answer.count(b'HTTP/1.1'), Equals(1))
        self.assertThat(answer, Not(Contains(b'0\r\n\r\n')))

    def test_headers_cannot_be_smuggled_into_an_answer(self):
        def application(environ, start_response):
            start_response('200 OK', [('X', 'a\r\nSet-Cookie: b')])
            return [b'']
        self.assertThat(self.talk(GET, application), StartsWith(b'HTTP/1.1 500'))

    def test_more_or_fewer_bytes_than_declared_end_the_connection(self):
        for length in (2, 9):
            def application(environ, start_response, length=length):
                start_response('200 OK', [('Content-Length', str(length))])
                return iter([b'abc', b'def'])
            answer = self.talk(GET + GET, application)
            self.assertThat(answer.count(b'HTTP/1.1'), Equals(1))
            self.assertThat(answer.partition(b'\r\n\r\n')[2], Equals(b'abcdef'[:length]))

    def test_the_result_is_closed_even_when_the_client_is_gone(self):
        closed = threading.Event()

        class Result:
            def __iter__(self):
                while True:
                    yield b'x' * 100_000

            def close(self):
                closed.set()

        def application(environ, start_response):
            start_response('200 OK', [])
            return Result()
        client = self.connect(application)
        client.sendall(GET)
        client.recv(1000)
        client.close()
        self.assertTrue(closed.wait(WAIT_SECONDS))
        self.assertNoTraceback()

    def test_a_stopping_server_ends_the_connection_with_its_answer(self):
        def application(environ, start_response):
            self.stopping = True
            return echo(environ, start_response)
        answer = self.talk(GET + GET, application)
        self.assertThat(answer.count(b'HTTP/1.1'), Equals(1))
        self.assertThat(answer, Contains(b'Connection: close'))

    def test_hanging_up_ends_an_idle_connection(self):
        client = self.connect()
        client.sendall(GET)
        client.recv(1000)
        self.connection.hang_up()
        self.assertThat(self.rest(client), Equals(b''))


class LocalFileTest(ConnectionCase):

    def setUp(self):
        super().setUp()
        self.content = os.urandom(3_000_000)
        self.path = str(self.tmp / 'file')
        (self.tmp / 'file').write_bytes(self.content)
        self.sent = []

    def application(self, offset, length):
        def application(environ, start_response):
            body = LocalFileBody(self.path, offset, length, on_close=self.sent.append)
            start_response('200 OK', [('Content-Length', str(length))])
            return body
        return application

    def test_part_of_a_file_is_sent_exactly(self):
        for offset, length in ((0, 3_000_000), (1, 10), (1_000_000, 1_500_001), (5, 0)):
            answer = self.talk(GET_CLOSE, self.application(offset, length))
            self.assertThat(answer.partition(b'\r\n\r\n')[2] == self.content[offset:offset + length], Is(True))
        self.assertThat(self.sent, Equals([3_000_000, 10, 1_500_001, 0]))

    def test_with_tls_the_same_bytes_go_through_the_socket(self):
        answer = self.talk(GET_CLOSE, self.application(7, 2_000_000), scheme='https')
        self.assertThat(answer.partition(b'\r\n\r\n')[2] == self.content[7:2_000_007], Is(True))

    def test_a_head_request_sends_none_of_it(self):
        answer = self.talk(GET_CLOSE.replace(b'GET', b'HEAD'), self.application(0, 3_000_000))
        self.assertTrue(answer.endswith(b'\r\n\r\n'))
        self.assertThat(self.sent, Equals([0]))

    def test_a_client_that_leaves_is_told_by_the_bytes_sent(self):
        client = self.connect(self.application(0, 3_000_000))
        client.sendall(GET)
        client.recv(1000)
        client.close()
        self.thread.join(WAIT_SECONDS)
        self.assertThat(len(self.sent), Equals(1))
        self.assertTrue(self.sent[0] < 3_000_000)
        self.assertNoTraceback()

    def test_a_client_that_takes_nothing_is_disconnected(self):
        self.connect(self.application(0, 3_000_000), timeout=0.1).sendall(GET)
        self.thread.join(WAIT_SECONDS)
        self.assertFalse(self.thread.is_alive())

    def test_a_file_that_became_shorter_cuts_the_connection(self):
        answer = self.talk(GET + GET, self.application(2_999_000, 2000))
        self.assertThat(len(answer.partition(b'\r\n\r\n')[2]), Equals(1000))


class AccessLogTest(ConnectionCase):

    def test_a_line_tells_who_asked_what_and_the_outcome(self):
        def application(environ, start_response):
            start_response('200 OK', [('X-Openstack-Request-Id', 'req-1')])
            return [b'abc']
        self.talk(b'GET /v2/images?limit=2&auth_token=hush&a=b HTTP/1.1\r\nHost: h\r\n\r\n', application)
        self.assertThat(self.log.output.strip(), MatchesRegex(
            r'192\.0\.2\.1 "GET /v2/images\?limit=2&auth_token=\*\*\*&a=b HTTP/1\.1" 200 3 \d+\.\d{6} req-1\Z'))

    def test_a_refused_request_is_logged_without_its_text(self):
        self.talk(b'EVIL\r\n\r\n')
        self.assertThat(self.log.output, Contains('"- - HTTP/1.1" 400'))
