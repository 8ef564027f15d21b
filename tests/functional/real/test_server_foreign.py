"""ForeignServer and BodyReader under uWSGI and gunicorn: whole uploads, chunked ones, and clients that vanish."""

import hashlib
import json
import os
import socket
import sys
import urllib.request

from testtools.matchers import Equals, HasLength, MatchesRegex

from tests.functional.real.server_case import CHECKOUT, WAIT_SECONDS, ServerCase
from tests.servers import glance_api, process

APPLICATION = 'tests.functional.real.server_foreign_example:application'


class ForeignMixin:

    KEEPS_CONNECTIONS = True
    NAME = ''

    def start_foreign(self, **options):
        self.configure(**options)
        self.server = process.Process(self.command(), self.log, cwd=CHECKOUT, env={
            'PYTHONPATH': str(CHECKOUT), 'PYTHONUNBUFFERED': '1', 'EXAMPLE_CONFIG': str(self.config)})
        self.addCleanup(self.server.kill9)
        self.server.wait_ready(lambda: process.port_answers(self.port), WAIT_SECONDS, 'the server')

    def upload(self, body, chunked):
        connection = self.connection()
        pieces = iter([body[:7], body[7:500_000], body[500_000:]])
        connection.request('PUT', '/put', pieces if chunked else body, encode_chunked=chunked,
                           headers={'Transfer-Encoding': 'chunked'} if chunked else {})
        return connection.getresponse().read().decode()

    def test_plain_and_chunked_uploads_arrive_whole(self):
        self.start_foreign()
        for size in (8, 4096, 600_000, 1_400_000):
            body = os.urandom(size)
            wanted = f'{size} {hashlib.md5(body).hexdigest()}'
            self.assertThat(self.upload(body, chunked=False), Equals(wanted))
            self.assertThat(self.upload(body, chunked=True), Equals(wanted))
        self.assertThat(self.upload(b'', chunked=False), Equals(f'0 {hashlib.md5().hexdigest()}'))

    def vanish(self, sent):
        outcome = self.tmp / 'outcome'
        outcome.unlink(missing_ok=True)
        with self.socket() as client:
            client.sendall(sent)
        process.wait_until(lambda: outcome.exists() and outcome.read_text(), WAIT_SECONDS, 'the application to end')
        return outcome.read_text()

    def test_a_client_that_vanishes_is_never_taken_for_a_short_body(self):
        self.start_foreign(file=self.tmp / 'outcome')
        head = b'PUT /vanish HTTP/1.1\r\nHost: h\r\n'
        for rest in (b'Content-Length: 5000\r\n\r\n', b'Content-Length: 5000\r\n\r\n' + b'x' * 1500,
                     b'Transfer-Encoding: chunked\r\n\r\n', b'Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n',
                     b'Transfer-Encoding: chunked\r\n\r\n1388\r\n' + b'x' * 1500,
                     b'Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n5'):
            self.assertThat(self.vanish(head + rest), MatchesRegex('ClientDisconnected'), rest[:60])
        self.assertThat(self.vanish(head + b'Content-Length: 2000\r\n\r\n' + b'x' * 2000), Equals('complete 2000'))

    def test_headers_that_say_nothing_certain_of_the_body_make_no_empty_image(self):
        api = self.useFixture(glance_api.GlanceApi(server=self.NAME))
        asked = urllib.request.Request(f'{api.url}/v2/images', b'{"disk_format": "raw", "container_format": "bare"}')
        with urllib.request.urlopen(asked, timeout=WAIT_SECONDS) as answer:
            image = json.load(answer)
        for header in (b'Content-Length: abc', b'Content-Length: -5', b'Transfer-Encoding: gzip'):
            with socket.create_connection(('127.0.0.1', api.port), timeout=WAIT_SECONDS) as client:
                client.sendall(f'PUT {image["file"]} HTTP/1.1\r\nHost: h\r\n'.encode() + header
                               + b'\r\nContent-Type: application/octet-stream\r\n\r\n')
                self.assertIn(client.recv(4096).split()[1], (b'400', b'501'), header)
            with urllib.request.urlopen(api.url + image['self'], timeout=WAIT_SECONDS) as answer:
                self.assertThat(json.load(answer)['status'], Equals('queued'))

    def test_a_refused_upload_is_answered_and_the_next_request_too(self):
        """What was not read of a body would otherwise reset the connection, often before the answer is read."""
        self.start_foreign()
        connection = self.connection()
        for size in (100, 70_000, 3_000_000) * 5:
            body = os.urandom(size)
            for chunked in (False, True):
                pieces = (body[at:at + 65536] for at in range(0, size, 65536))
                connection.request('PUT', '/refuse', pieces if chunked else body, encode_chunked=chunked,
                                   headers={'Transfer-Encoding': 'chunked'} if chunked else {})
                with connection.getresponse() as response:
                    self.assertThat((response.status, response.read()), Equals((413, b'too large')), size)
                if not self.KEEPS_CONNECTIONS:
                    connection = self.connection()
                connection.request('GET', '/')
                with connection.getresponse() as response:
                    self.assertThat(response.read(), Equals(b'hello'))
                if not self.KEEPS_CONNECTIONS:
                    connection = self.connection()

    def test_whole_files_and_parts_are_delivered(self):
        file, content = self.tmp / 'file', os.urandom(3_000_000)
        file.write_bytes(content)
        self.start_foreign(file=file)
        for query, wanted in (('', content), ('?1000-2000000', content[1000:2_001_000])):
            connection = self.connection()
            connection.request('GET', '/file' + query)
            self.assertTrue(connection.getresponse().read() == wanted, query)

    def test_each_process_starts_its_duties_once(self):
        duties = self.tmp / 'duties'
        self.start_foreign(duties=duties)
        for _ in range(20):
            self.get()
        pids = duties.read_text().split()
        self.assertThat(set(pids), HasLength(len(pids)))


class UwsgiTest(ForeignMixin, ServerCase):

    NAME = glance_api.UWSGI
    MORE = ('--lazy-apps',)
    KEEPS_CONNECTIONS = False  # and does not say so; the HTTP router of uWSGI, or a proxy, does better

    def command(self):
        return [glance_api.uwsgi_program(), '--http-socket', f'127.0.0.1:{self.port}', '--module',
                APPLICATION, '--need-app', '--master', '--die-on-term', '--enable-threads', '--processes', '2',
                '--threads', '2', '--virtualenv', sys.prefix, '--socket-timeout', '300', *self.MORE]

    def test_duties_start_without_a_request(self):
        duties = self.tmp / 'duties'
        self.start_foreign(duties=duties)
        process.wait_until(lambda: duties.exists() and len(duties.read_text().split()) == 2, WAIT_SECONDS, 'duties')


class UwsgiForkTest(UwsgiTest):
    """The application is loaded once and then forked."""

    MORE = ()


class GunicornTest(ForeignMixin, ServerCase):

    NAME = glance_api.GUNICORN
    MORE = ()

    def command(self):
        return [sys.executable, '-m', 'gunicorn', '--no-control-socket', '-b', f'127.0.0.1:{self.port}', '-w', '2',
                '--threads', '4', '-k', 'gthread', '--timeout', '300', *self.MORE, APPLICATION]


    def test_broken_chunks_are_an_invalid_body(self):
        self.start_foreign(file=self.tmp / 'outcome')
        self.assertThat(self.vanish(b'PUT /vanish HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'),
                        Equals('InvalidBody 0'))


class GunicornPreloadTest(GunicornTest):
    """The application is loaded once and then forked."""

    MORE = ('--preload',)
