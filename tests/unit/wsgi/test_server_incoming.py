"""Bodies out of a socket that delivers them in parts of any size."""

import random

from testtools.matchers import Equals, Is

from glancelike import errors
from glancelike.wsgi.incoming import Incoming, RequestBody
from tests import base

DATA = bytes(range(256)) * 512


class Parts:
    """A socket from which so many bytes come at once, in turn."""

    def __init__(self, content, counts):
        self._content, self._counts, self._turn = content, counts, 0

    def recv(self, size):
        count = min(size, self._counts[self._turn % len(self._counts)])
        self._turn += 1
        part, self._content = self._content[:count], self._content[count:]
        return part


def chunked(data, sizes):
    parts, at, turn = [], 0, 0
    while at < len(data):
        part = data[at:at + sizes[turn % len(sizes)]]
        parts.append(b'%x;name=value\r\n%s\r\n' % (len(part), part))
        at, turn = at + len(part), turn + 1
    return b''.join(parts) + b'0\r\nTrailer: t\r\n\r\n'


def read_all(body, size):
    pieces = list(iter(lambda: body.read(size), b''))
    return b''.join(pieces), {len(piece) for piece in pieces[:-1]}


class ChunkedBodyTest(base.TestCase):
    def test_chunks_and_parts_of_any_size_make_the_same_bytes_and_leave_the_next_request(self):
        sizes = random.Random(5)
        for _ in range(40):
            wire = chunked(DATA, [sizes.randint(1, 5000) for _ in range(9)]) + b'GET /next'
            incoming = Incoming(Parts(wire, [sizes.randint(1, 9000) for _ in range(9)]))
            body = RequestBody(incoming, None, None)
            wanted = sizes.randint(1, 50000)
            self.assertEqual((DATA, {wanted}), read_all(body, wanted))
            self.assertThat((body.ended, body.broken), Equals((True, False)))
            while not incoming.rest.endswith(b'next'):
                self.assertTrue(incoming.more())
            self.assertThat(incoming.rest, Equals(b'GET /next'))

    def test_bytes_that_came_with_the_head_are_part_of_it(self):
        incoming = Incoming(Parts(b'', [1]))
        incoming.rest = chunked(b'abc', [1]) + b'GET'
        body = RequestBody(incoming, None, None)
        self.assertThat((body.read(), incoming.rest), Equals((b'abc', b'GET')))

    def test_a_size_line_that_does_not_end_is_refused(self):
        body = RequestBody(Incoming(Parts(b'1' * 100000, [1000])), None, None)
        self.assertRaises(errors.InvalidBody, body.read, 10)
        self.assertThat(body.broken, Is(True))

    def test_a_stream_that_ends_within_the_body_is_client_disconnected(self):
        wire = chunked(b'abcdef', [3])
        for cut in range(len(wire)):
            body = RequestBody(Incoming(Parts(wire[:cut], [4])), None, None)
            self.assertRaises(errors.ClientDisconnected, body.read, 100)
            self.assertThat(body.broken, Is(True))


class LengthBodyTest(base.TestCase):
    def test_a_buffer_is_filled_and_the_end_is_zero(self):
        body, buffer = RequestBody(Incoming(Parts(b'abcdefNEXT', [2])), 6, None), bytearray(4)
        self.assertThat((body.readinto(buffer), bytes(buffer)), Equals((4, b'abcd')))
        self.assertThat((body.readinto(buffer), bytes(buffer[:2]), body.readinto(buffer)), Equals((2, b'ef', 0)))
