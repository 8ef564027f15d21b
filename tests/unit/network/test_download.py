"""A download comes to its end over connections that break, and never joins two files."""

import email.utils
import hashlib
import re
import socket
import threading
import time

from glancelike.compliance.import_method import SuiteJob, sample
from glancelike.compliance.web_server import WebServer
from glancelike.network import AddressGuard, Download, Failures, Limits, Proxies, Requests, tls_context
from glancelike.plugin import errors
from tests import base

MIB = 2**20
DATA = sample(5 * MIB + 123)
OTHER = sample(len(DATA), 2)


class Source:
    """A handler for WebServer that serves *data* and breaks off after *cut* bytes of each answer.

    :ivar cuts: for each answer the bytes after which it breaks off; afterwards *cut* counts
    :ivar length: tell it; else the body is chunked
    :ivar hang_up: before the last chunk of a chunked body
    """

    def __init__(self, data, cut=None, etag=None, modified=None, ranges=True, length=True, cuts=(),
                 hang_up=False):
        self.data, self.cut, self.etag, self.modified = data, cut, etag, modified
        self.ranges, self.length, self.cuts, self.hang_up = ranges, length, list(cuts), hang_up

    def __call__(self, handler):
        data, etag = self.data, self.etag
        asked = re.fullmatch(r'bytes=(\d+)-', handler.headers.get('Range', ''))
        condition = handler.headers.get('If-Range')
        first = int(asked[1]) if asked and self.ranges and condition in (None, etag, self.modified) else None
        if first is not None and first >= len(data):
            handler.send_response(416)
            handler.send_header('Content-Range', f'bytes */{len(data)}')
            handler.send_header('Content-Length', '0')
            handler.end_headers()
            return
        handler.send_response(200 if first is None else 206)
        if first is not None:
            handler.send_header('Content-Range', f'bytes {first}-{len(data) - 1}/{len(data)}')
        for name, value in (('ETag', etag), ('Last-Modified', self.modified)):
            if value:
                handler.send_header(name, value)
        rest = data[first or 0:]
        if self.length:
            handler.send_header('Content-Length', str(len(rest)))
        else:
            handler.send_header('Transfer-Encoding', 'chunked')
        handler.end_headers()
        cut = self.cuts.pop(0) if self.cuts else self.cut
        part = rest if cut is None else rest[:cut]
        handler.close_connection = True
        if self.length:
            handler.wfile.write(part)
            return
        for start in range(0, len(part), MIB):
            handler.wfile.write(b'%x\r\n%b\r\n' % (len(part[start:start + MIB]), part[start:start + MIB]))
        if len(part) == len(rest) and not self.hang_up:
            handler.wfile.write(b'0\r\n\r\n')


class Case(base.TestCase):

    def setUp(self):
        super().setUp()
        self.web = WebServer()
        self.addCleanup(self.web.stop)
        self.job = SuiteJob(str(self.tmp))

    def download(self, source, headers=None, **values):
        self.web.handlers['/image'] = source
        return self.download_from(self.web.url('/image'), **values)

    def download_from(self, url, digest=None, secrets=None, **limits):
        failures = Failures()
        requests = Requests(failures, AddressGuard(failures, allow_all=True), tls_context(None, ''), Proxies({}, ''))
        limits = Limits(**{'stall_seconds': 2, 'retries': 2, 'longest_pause_seconds': 0, **limits})
        return Download(requests, url, self.job, limits, digest=digest, secrets=secrets)

    def read(self, source, **values):
        download = self.download(source, **values)
        download.start()
        return b''.join(download.chunks())

    def comes(self, source, data=DATA, **values):
        self.assertTrue(self.read(source, **values) == data, 'other bytes came')

    def fails(self, error, source, **values):
        return str(self.assertRaises(error, self.read, source, **values))

    def asked(self, name):
        return [headers.get(name) for _method, _path, headers in self.web.seen]


class ResumeTest(Case):

    def test_a_source_that_drops_the_connection_each_10_mib_is_read_to_its_end(self):
        data = sample(64 * MIB)
        self.comes(Source(data, cut=10 * MIB, etag='"1"'), data, retries=0)
        self.assertEqual([None] + [f'bytes={number * 10 * MIB}-' for number in range(1, 7)], self.asked('Range'))
        self.assertEqual([None] + ['"1"'] * 6, self.asked('If-Range'))

    def test_without_a_validator_the_last_bytes_are_compared(self):
        self.comes(Source(DATA, cut=2 * MIB))
        self.assertEqual(f'bytes={2 * MIB - 2**16}-', self.asked('Range')[1])
        self.assertEqual([None] * len(self.web.seen), self.asked('If-Range'))

    def test_an_old_last_modified_is_a_validator_and_a_fresh_one_is_none(self):
        old, fresh = (email.utils.formatdate(time.time() - age, usegmt=True) for age in (3600, 0))
        self.comes(Source(DATA, cut=2 * MIB, modified=old))
        self.assertEqual(old, self.asked('If-Range')[1])
        self.web.seen.clear()
        self.comes(Source(DATA, cut=2 * MIB, modified=fresh))
        self.assertIsNone(self.asked('If-Range')[1])

    def test_a_weak_etag_is_no_validator(self):
        self.comes(Source(DATA, cut=2 * MIB, etag='W/"1"'))
        self.assertIsNone(self.asked('If-Range')[1])

    def test_a_server_without_ranges_is_read_from_the_beginning(self):
        for etag in (None, '"1"'):
            self.comes(Source(DATA, cuts=[2 * MIB, 4 * MIB], etag=etag, ranges=False))

    def test_a_chunked_body_is_taken_up_again(self):
        self.comes(Source(DATA, cut=2 * MIB, length=False))

    def test_a_chunked_body_that_breaks_behind_its_last_byte_is_complete(self):
        for etag in (None, '"1"'):
            self.comes(Source(DATA, etag=etag, length=False, hang_up=True, ranges=True))

    def test_a_break_before_the_first_byte_is_no_trouble(self):
        self.comes(Source(DATA, cuts=[0, 0]))

    def test_small_steps_are_counted_as_tries(self):
        self.fails(errors.SourceUnavailable, Source(DATA, cut=1000, etag='"1"'))
        self.assertEqual(3, len(self.web.seen))

    def test_trouble_of_the_server_may_pass(self):
        for status in (408, 429, 500, 502, 503, 504):
            answers = [status, None]

            def answer(handler, answers=answers):
                status = answers.pop(0)
                if status is None:
                    return Source(DATA)(handler)
                handler.send_response(status)
                handler.send_header('Retry-After', '99999')
                handler.send_header('Content-Length', '0')
                handler.end_headers()

            self.comes(answer)

    def test_what_is_refused_is_not_asked_for_again(self):
        for status in (400, 401, 403, 404, 410, 204, 304, 501):
            self.web.seen.clear()
            self.web.statuses['/refused'] = status
            self.assertRaises(errors.BadSource, self.download_from(self.web.url('/refused')).start)
            self.assertEqual(1, len(self.web.seen))

    def test_a_refusal_in_the_middle_ends_it(self):
        source = Source(DATA, cut=2 * MIB, etag='"1"')

        def answer(handler):
            if 'Range' in handler.headers:
                handler.send_error(403)
            else:
                source(handler)

        self.fails(errors.BadSource, answer)


class ChangedSourceTest(Case):

    def changing(self, source, **changes):
        """A source that becomes another one after its first answer."""
        def answer(handler):
            source(handler)
            for name, value in changes.items():
                setattr(source, name, value)
        return answer

    def test_another_etag_is_another_file(self):
        source = Source(DATA, cut=2 * MIB, etag='"1"')
        self.assertIn('changed', self.fails(errors.BadSource, self.changing(source, data=OTHER, etag='"2"')))

    def test_another_etag_of_a_server_without_ranges_is_another_file(self):
        source = Source(DATA, cut=2 * MIB, etag='"1"', ranges=False)
        self.fails(errors.BadSource, self.changing(source, data=OTHER, etag='"2"'))

    def test_another_length_is_another_file(self):
        for changes in ({'data': DATA + b'x'}, {'data': DATA[:-1]}, {'data': DATA[:MIB]}, {'data': b'x'}):
            self.fails(errors.BadSource, self.changing(Source(DATA, cut=2 * MIB), **changes))
            self.fails(errors.BadSource, self.changing(Source(DATA, cut=2 * MIB, ranges=False), **changes))

    def test_other_bytes_of_the_same_length_are_noticed_without_a_validator(self):
        for ranges in (True, False):
            source = Source(DATA, cut=2 * MIB, ranges=ranges)
            self.fails(errors.BadSource, self.changing(source, data=OTHER))

    def test_an_etag_that_is_not_there_any_more_vouches_for_nothing(self):
        source = Source(DATA, cut=2 * MIB, etag='"1"', ranges=False)
        self.fails(errors.BadSource, self.changing(source, data=OTHER, etag=None))

    def test_mirrors_with_different_etags_do_where_the_hash_decides(self):
        digest = ('sha256', hashlib.sha256(DATA).hexdigest())
        for ranges in (True, False):
            source = Source(DATA, cuts=[2 * MIB], etag='"1"', ranges=ranges)
            self.comes(self.changing(source, etag='"2"'), digest=digest)
            source = Source(DATA, cuts=[2 * MIB], etag='"1"', ranges=ranges)
            self.fails(errors.HashMismatch, self.changing(source, data=OTHER, etag='"2"'), digest=digest)

    def test_a_length_that_was_told_is_kept_to(self):
        source = Source(DATA, cuts=[0])
        self.fails(errors.BadSource, self.changing(source, data=OTHER + b'x'))


class LyingSourceTest(Case):

    def head(self, *headers, body=b'', endless=False):
        def answer(handler):
            handler.send_response(200)
            for name, value in headers:
                handler.send_header(name, value)
            handler.end_headers()
            handler.close_connection = True
            try:
                handler.wfile.write(body)
                while endless:
                    handler.wfile.write(bytes(MIB))
            except OSError:
                pass
        return answer

    def test_a_length_that_is_never_reached_is_no_short_image(self):
        self.fails(errors.SourceUnavailable, self.head(('Content-Length', '1000'), body=b'x' * 400))

    def test_a_length_that_the_server_takes_back_is_another_file(self):
        source = Source(b'x' * 400, etag='"1"')
        honest, self.lies = source, 1

        def answer(handler):
            if self.lies:
                self.lies = 0
                return self.head(('Content-Length', '1000'), ('ETag', '"1"'), body=b'x' * 400)(handler)
            return honest(handler)

        self.fails(errors.BadSource, answer)

    def test_bytes_behind_the_announced_length_are_not_taken(self):
        self.comes(self.head(('Content-Length', '10'), body=DATA), DATA[:10])

    def test_an_announced_length_that_is_too_much_is_refused_before_a_byte_is_read(self):
        self.job.max_bytes = 1000
        download = self.download(self.head(('Content-Length', '1001'), endless=True))
        self.assertRaises(errors.ImageTooLarge, download.start)

    def test_an_endless_body_ends_at_the_limit(self):
        self.job.max_bytes, given = 5 * MIB + 1, 0
        for headers in ((), (('Content-Length', 'many'),), (('Content-Length', '-1'),)):
            download, given = self.download(self.head(*headers, endless=True)), 0
            try:
                download.start()
                for piece in download.chunks():
                    given += len(piece)
            except errors.ImageTooLarge:
                self.assertTrue(given <= self.job.max_bytes)
            else:
                self.fail('an endless body came to an end')

    def test_an_encoded_body_is_refused(self):
        for header in (('Content-Encoding', 'gzip'), ('Content-Encoding', 'br'),
                       ('Transfer-Encoding', 'gzip, chunked')):
            self.fails(errors.BadSource, self.head(header, body=b'\x1f\x8b'))
        self.assertEqual({'identity'}, set(self.asked('Accept-Encoding')))

    def test_the_encoding_identity_is_none(self):
        self.comes(self.head(('Content-Encoding', 'identity'), ('Content-Length', '3'), body=b'abc'), b'abc')

    def test_another_range_than_the_one_asked_for_is_not_used(self):
        source = Source(DATA, cuts=[2 * MIB], etag='"1"')

        def answer(handler):
            if 'Range' not in handler.headers:
                return source(handler)
            handler.send_response(206)
            handler.send_header('Content-Range', f'bytes 0-{len(DATA) - 1}/{len(DATA)}')
            handler.send_header('Content-Length', str(len(DATA)))
            handler.end_headers()
            handler.wfile.write(DATA)

        self.comes(answer)
        self.assertEqual([None, f'bytes={2 * MIB}-', None], self.asked('Range'))

    def test_a_server_that_refuses_the_range_is_read_from_the_beginning(self):
        for told in (f'bytes */{len(DATA)}', 'bytes */*', ''):
            source = Source(DATA, cuts=[2 * MIB], etag='"1"')

            def answer(handler, source=source, told=told):
                if 'Range' not in handler.headers:
                    return source(handler)
                handler.send_response(416)
                handler.send_header('Content-Range', told)
                handler.send_header('Content-Length', '0')
                handler.end_headers()

            self.comes(answer)

    def test_a_part_that_nobody_asked_for_is_refused(self):
        def answer(handler):
            handler.send_response(206)
            handler.send_header('Content-Range', 'bytes 0-2/3')
            handler.send_header('Content-Length', '3')
            handler.end_headers()
            handler.wfile.write(b'abc')

        self.fails(errors.BadSource, answer)

    def test_a_wrong_hash_is_told_before_the_chunks_end(self):
        download = self.download(Source(DATA), digest=('sha256', '0' * 64))
        download.start()
        given = []
        error = self.assertRaises(errors.HashMismatch, given.extend, download.chunks())
        self.assertIn('sha256', str(error))
        self.assertTrue(b''.join(given) == DATA)


class SlowSourceTest(Case):
    """A source that sends a byte now and then, against the deadline."""

    def dribble(self, answer):
        """A server that sends these bytes one by one, for as long as the other side listens."""
        listening = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(listening.close)
        stop = threading.Event()
        self.addCleanup(stop.set)

        def serve():
            while not stop.is_set():
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    try:
                        connection.recv(2**16)
                        for byte in answer:
                            connection.sendall(bytes([byte]))
                            if stop.wait(0.02):
                                return
                    except OSError:
                        pass

        threading.Thread(target=serve, daemon=True).start()
        return f'http://127.0.0.1:{listening.getsockname()[1]}/x'

    def read_url(self, url, **limits):
        download = self.download_from(url, **limits)
        download.start()
        return b''.join(download.chunks())

    def test_a_body_that_dribbles_ends_at_the_deadline(self):
        url = self.dribble(b'HTTP/1.1 200 OK\r\n\r\n' + b'x' * 100_000)
        error = self.assertRaises(errors.SourceUnavailable, self.read_url, url, deadline_seconds=1)
        self.assertIn('download_deadline', str(error))

    def test_a_head_that_dribbles_ends_at_the_stall_time(self):
        url = self.dribble(b'HTTP/1.1 200 OK\r\n' + b'X-Header: x\r\n' * 100_000)
        error = self.assertRaises(errors.SourceUnavailable, self.read_url, url, stall_seconds=0.5, retries=0)
        self.assertIn('too long', str(error))

    def test_a_tls_handshake_that_never_comes_ends_at_the_stall_time(self):
        url = self.dribble(b'\x16\x03\x03\x40\x00' + b'\x02' * 100_000).replace('http:', 'https:')
        self.assertRaises(errors.SourceUnavailable, self.read_url, url, stall_seconds=0.5, retries=0)

    def test_tries_end_at_the_deadline(self):
        self.web.statuses['/x'] = 503
        error = self.assertRaises(errors.SourceUnavailable, self.read_url, self.web.url('/x'), retries=1000,
                                  longest_pause_seconds=60, deadline_seconds=1)
        self.assertIn('download_deadline', str(error))

    def test_an_end_that_is_asked_for_in_a_wait_is_noticed(self):
        end = errors.TaskCancelled()
        silent = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(silent.close)
        for url, limits in ((f'http://127.0.0.1:{silent.getsockname()[1]}/', {'stall_seconds': 3600}),
                            (self.web.url('/x'), {'retries': 1000, 'longest_pause_seconds': 3600})):
            self.web.statuses['/x'] = 503
            self.job.end_with = None
            threading.Timer(0.2, setattr, (self.job, 'end_with', end)).start()
            self.assertIs(end, self.assertRaises(errors.TaskCancelled, self.read_url, url, **limits))


class SecretsTest(Case):

    def test_secret_headers_go_to_the_origin_of_the_url_only(self):
        other = WebServer()
        self.addCleanup(other.stop)
        other.redirects['/back'] = (302, self.web.url('/image'))
        self.web.handlers['/image'] = Source(DATA)
        self.web.redirects['/start'] = (302, other.url('/back'))
        download = self.download_from(self.web.url('/start'), secrets={'X-Key': 'secret'})
        download.start()
        self.assertTrue(b''.join(download.chunks()) == DATA)
        self.assertEqual(['secret', 'secret'], self.asked('X-Key'))
        self.assertNotIn('X-Key', other.seen[0][2])
