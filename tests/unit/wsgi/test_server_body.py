"""BodyReader over what servers offer, and LocalFileBody."""

import io
import os

from testtools.matchers import Equals, Is

from glancelike import errors
from glancelike.wsgi.body import DROP_BYTES, BodyReader, LocalFileBody
from tests import base


class Failing:
    """An input that gives some bytes and then fails as a server would."""

    def __init__(self, content, error):
        self._content, self._error = io.BytesIO(content), error

    def read(self, size):
        data = self._content.read(size)
        if not data:
            raise self._error
        return data


def reader(source, length=None):
    environ = {'wsgi.input': source}
    if length is None:
        environ['HTTP_TRANSFER_ENCODING'] = 'chunked'
    else:
        environ['CONTENT_LENGTH'] = str(length)
    return BodyReader(environ)


class BodyReaderTest(base.TestCase):

    def test_never_more_than_the_declared_bytes_are_read(self):
        body = reader(io.BytesIO(b'abcNEXT'), 3)
        self.assertThat((body.read(100), body.read(100), body.length), Equals((b'abc', b'', 0)))

    def test_a_chunked_body_is_read_to_its_end(self):
        body = reader(io.BytesIO(b'abcdef'))
        self.assertThat([body.read(4), body.read(4), body.read(4)], Equals([b'abcd', b'ef', b'']))

    def test_a_negative_size_reads_all(self):
        self.assertThat(reader(io.BytesIO(b'abc'), 3).read(), Equals(b'abc'))

    def test_an_input_that_ends_early_is_a_disconnected_client(self):
        body = reader(io.BytesIO(b'ab'), 3)
        self.assertThat(body.read(10), Equals(b'ab'))
        self.assertRaises(errors.ClientDisconnected, body.read, 10)

    def test_errors_of_servers_are_a_disconnected_client(self):
        for error in (OSError('gone'), ValueError('chunk'), EOFError()):
            body = reader(Failing(b'ab', error))
            body.read(10)
            self.assertRaises(errors.ClientDisconnected, body.read, 10)

    def test_dropping_takes_the_unread_rest_and_bears_a_client_that_is_gone(self):
        source = io.BytesIO(b'x' * 100 + b'NEXT')
        body = reader(source, 100)
        body.read(10)
        body.drop()
        self.assertThat((body.length, source.read()), Equals((0, b'NEXT')))
        for error in (OSError('gone'), Exception('chunk size')):
            reader(Failing(b'ab', error)).drop()

    def test_dropping_has_a_limit(self):
        source = io.BytesIO(bytes(2 * DROP_BYTES))
        reader(source, 2 * DROP_BYTES).drop()
        self.assertThat(source.tell(), Equals(DROP_BYTES))

    def test_dropping_invites_no_client_that_waits_to_be_asked(self):
        environ = {'wsgi.input': io.BytesIO(b'abc'), 'CONTENT_LENGTH': '3', 'HTTP_EXPECT': '100-continue'}
        BodyReader(environ).drop()
        self.assertThat(environ['wsgi.input'].tell(), Equals(0))
        asked = BodyReader(environ)
        asked.read(1)
        asked.drop()
        self.assertThat(environ['wsgi.input'].tell(), Equals(3))

    def test_any_other_error_of_a_server_is_an_invalid_body(self):
        self.assertRaises(errors.InvalidBody, reader(Failing(b'', Exception('chunk size'))).read, 10)

    def test_our_own_errors_pass_unchanged(self):
        error = errors.InvalidBody(reason='x')
        self.assertThat(self.assertRaises(errors.InvalidBody, reader(Failing(b'', error)).read, 1), Is(error))

    def test_no_body_is_an_empty_one(self):
        self.assertThat(BodyReader({'wsgi.input': io.BytesIO(b'NEXT')}).read(10), Equals(b''))

    def test_a_length_that_is_no_number_is_refused_where_the_body_is_read(self):
        self.assertRaises(errors.InvalidBody, reader(io.BytesIO(b'abc'), 'x').read, 1)

    def test_an_unknown_transfer_coding_is_not_taken_for_an_empty_body(self):
        for coding in ('gzip', 'gzip, chunked', 'chunked, gzip', 'identity', 'xchunked'):
            body = BodyReader({'wsgi.input': io.BytesIO(b'abc'), 'HTTP_TRANSFER_ENCODING': coding})
            self.assertRaises(errors.InvalidBody, body.read, 1)

    def test_a_reader_in_place_of_the_input_can_be_read_through_another(self):
        environ = {'wsgi.input': io.BytesIO(b'abc'), 'CONTENT_LENGTH': '3'}
        environ['wsgi.input'] = BodyReader(environ)
        self.assertThat(BodyReader(environ).read(), Equals(b'abc'))

    def test_a_buffer_can_be_filled(self):
        body, buffer = reader(io.BytesIO(b'abcdef'), 6), bytearray(4)
        self.assertThat((body.readinto(buffer), bytes(buffer)), Equals((4, b'abcd')))
        self.assertThat((body.readinto(buffer), bytes(buffer[:2]), body.readinto(buffer)), Equals((2, b'ef', 0)))

    def test_lines_can_be_read(self):
        self.assertThat(list(reader(io.BytesIO(b'a\nb'), 3)), Equals([b'a\n', b'b']))


class LocalFileBodyTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.content = os.urandom(2_500_000)
        (self.tmp / 'file').write_bytes(self.content)
        self.path = str(self.tmp / 'file')

    def body(self, offset=0, length=2_500_000, **options):
        body = LocalFileBody(self.path, offset, length, **options)
        self.addCleanup(body.close)
        return body

    def test_iterating_gives_exactly_the_part(self):
        for offset, length in ((0, 2_500_000), (10, 20), (1_000_000, 1_500_000), (7, 0)):
            self.assertTrue(b''.join(self.body(offset, length)) == self.content[offset:offset + length])

    def test_a_missing_file_is_an_error_at_once(self):
        self.assertRaises(FileNotFoundError, LocalFileBody, self.path + 'x', 0, 1)

    def test_a_deleted_file_is_still_sent(self):
        body = self.body()
        os.unlink(self.path)
        self.assertTrue(b''.join(body) == self.content)

    def test_closing_tells_the_bytes_sent_once(self):
        told = []
        body = self.body(on_close=told.append)
        next(iter(body))
        body.close()
        body.close()
        self.assertThat(told, Equals([1 << 20]))

    def test_a_file_that_became_shorter_is_an_error(self):
        body = self.body()
        os.truncate(self.path, 10)
        self.assertThat(len(body.read()), Equals(10))
        self.assertRaises(OSError, body.read)

    def test_a_server_with_a_file_wrapper_gets_the_file_at_the_position_of_the_part(self):
        environ = {'wsgi.file_wrapper': lambda file, size: ('wrapped', file)}
        part = self.body(1, 10)
        self.assertThat(part.for_server(environ), Equals(('wrapped', part)))
        self.assertThat(os.lseek(part.fileno(), 0, os.SEEK_CUR), Equals(1))

    def test_the_file_wrapper_of_uwsgi_gets_whole_files_only(self):
        environ = {'wsgi.file_wrapper': lambda file, size: ('wrapped', file), 'uwsgi.version': b'2'}
        whole, part = self.body(), self.body(1, 10)
        self.assertThat(whole.for_server(environ), Equals(('wrapped', whole)))
        self.assertThat(part.for_server(environ), Is(part))

    def test_a_server_without_a_file_wrapper_gets_the_body(self):
        whole = self.body()
        self.assertThat(whole.for_server({}), Is(whole))
