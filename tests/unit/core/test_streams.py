"""The body pipeline by itself, with a lease that only counts."""

import hashlib
import io
import threading

from glancelike import errors
from glancelike.core import streams
from glancelike.core.formats import FormatRules
from glancelike.core.streams import INLINE_BYTES, LAG_PIECES, PIECE_BYTES, Hashing, Intake
from glancelike.core.threads import NativeThreads
from tests import base
from tests.unit.core.data import Body, BytesTestCase

DATA = bytes(range(256)) * (5 * PIECE_BYTES // 512)  # 2.5 pieces


class QuietLease:
    def __init__(self):
        self.covered = []
        self.error = None

    def check(self):
        if self.error is not None:
            raise self.error

    def cover(self, received, *, more):
        self.covered.append((received, more))


class StreamsTestCase(BytesTestCase):
    def setUp(self):
        super().setUp()
        self.lease = QuietLease()
        self.threads = NativeThreads()

    def intake(self, body, declared=None, size_cap=2**40, algorithm='sha512', **options):
        body = io.BytesIO(body) if isinstance(body, bytes) else body
        return Intake(body, self.lease, self.threads, declared=declared, size_cap=size_cap, algorithm=algorithm,
                      **options)

    def failure(self, error, body, **options):
        return self.assertRaises(error, list, self.intake(body, **options))


class PiecesTest(StreamsTestCase):
    def test_pieces_are_large_whatever_the_network_delivers(self):
        body = Body(*(DATA[start:start + 1000] for start in range(0, len(DATA), 1000)))
        pieces = list(streams.read_pieces(body))
        self.assertEqual([PIECE_BYTES, PIECE_BYTES, PIECE_BYTES // 2], [len(piece) for piece, _ in pieces])
        self.assert_bytes(DATA, b''.join(piece for piece, _ in pieces))
        self.assertEqual([True, True, False], [more for _, more in pieces])

    def test_nothing_is_read_after_the_end(self):
        def never():
            raise AssertionError('read after the end')
        self.assertEqual([(b'abc', False)], list(streams.read_pieces(Body(b'abc', EndOnce(), never))))

    def test_a_broken_connection_is_client_disconnected_with_its_cause(self):
        cause = ConnectionResetError()
        for error in (cause, TimeoutError(), ValueError('bad chunk')):
            raised = self.failure(errors.ClientDisconnected, Body(b'x' * 10, error))
            self.assertIs(error, raised.__cause__)

    def test_client_disconnected_from_the_server_passes(self):
        error = errors.ClientDisconnected()
        self.assertIs(error, self.failure(errors.ClientDisconnected, Body(b'x', error)))


class EndOnce:
    """An empty read between parts."""

    def __len__(self):
        return 1

    def __getitem__(self, _):
        return b''


class IntakeTest(StreamsTestCase):
    def test_counts_and_hashes(self):
        intake = self.intake(DATA, declared=len(DATA))
        self.assert_bytes(DATA, b''.join(intake))
        self.assertTrue(intake.complete)
        self.assertEqual(len(DATA), intake.received)
        self.assertEqual(hashlib.md5(DATA).hexdigest(), intake.checksum)
        self.assertEqual(hashlib.sha512(DATA).hexdigest(), intake.hash_value)

    def test_every_algorithm_of_fixed_length(self):
        for name in ('md5', 'sha1', 'sha256', 'sha3_256', 'blake2b'):
            intake = self.intake(DATA, algorithm=name)
            list(intake)
            self.assertEqual(hashlib.new(name, DATA).hexdigest(), intake.hash_value)
            self.assertEqual(hashlib.md5(DATA).hexdigest(), intake.checksum)

    def test_the_legacy_checksum_can_be_left_out(self):
        for algorithm in ('sha256', 'md5'):
            intake = self.intake(DATA, algorithm=algorithm, checksum=False)
            list(intake)
            self.assertIsNone(intake.checksum)
            self.assertEqual(hashlib.new(algorithm, DATA).hexdigest(), intake.hash_value)

    def test_no_bytes_at_all(self):
        intake = self.intake(b'', declared=0)
        self.assertEqual([], list(intake))
        self.assertTrue(intake.complete)
        self.assertEqual(hashlib.md5(b'').hexdigest(), intake.checksum)

    def test_too_much_declared_is_refused_before_a_byte_is_read(self):
        self.assertRaises(errors.ImageTooLarge, self.intake, Body(AssertionError()), declared=11, size_cap=10)

    def test_too_much_undeclared_is_refused_when_it_comes(self):
        raised = self.failure(errors.ImageTooLarge, DATA, size_cap=PIECE_BYTES + 1)
        self.assertEqual(PIECE_BYTES + 1, raised.facts['limit'])

    def test_exactly_the_cap_passes(self):
        self.assert_bytes(DATA, b''.join(self.intake(DATA, size_cap=len(DATA))))

    def test_fewer_bytes_than_declared(self):
        raised = self.failure(errors.SizeMismatch, DATA, declared=len(DATA) + 1)
        self.assertEqual({'declared': len(DATA) + 1, 'received': len(DATA)}, raised.facts)

    def test_more_bytes_than_declared_are_refused_before_the_store_gets_them(self):
        handed_out = []
        intake = self.intake(DATA, declared=PIECE_BYTES)
        self.assertRaises(errors.SizeMismatch, lambda: handed_out.extend(intake))
        self.assertEqual(PIECE_BYTES, sum(map(len, handed_out)))
        self.assertFalse(intake.complete)

    def test_a_lost_lease_ends_the_stream(self):
        intake = iter(self.intake(DATA))
        next(intake)
        self.lease.error = errors.ImageGone(image_id='x')
        self.assertRaises(errors.ImageGone, next, intake)

    def test_a_lease_lost_during_the_last_piece_is_noticed(self):
        intake = iter(self.intake(b'short'))
        next(intake)
        self.lease.error = errors.StatusConflict('lost')
        self.assertRaises(errors.StatusConflict, next, intake)

    def test_the_reservation_covers_each_piece_before_it_goes_out(self):
        intake = iter(self.intake(DATA))
        next(intake)
        self.assertEqual([(PIECE_BYTES, True)], self.lease.covered)
        list(intake)
        self.assertEqual((len(DATA), False), self.lease.covered[-1])

    def test_format_errors_come_before_the_end(self):
        inspection = FormatRules().inspection('qcow2', 'bare')
        self.failure(errors.FormatMismatch, b'no qcow2', inspection=inspection)

    def test_virtual_size_is_told(self):
        intake = self.intake(DATA, inspection=FormatRules().inspection('raw', 'bare'))
        list(intake)
        self.assertEqual(len(DATA), intake.virtual_size)

    def test_a_verifier_sees_all_bytes_and_may_refuse_them(self):
        verifier = Refusing()
        self.failure(errors.SignatureInvalid, DATA, verifier=verifier)
        self.assert_bytes(DATA, b''.join(verifier.seen))

    def test_reading_again_begins_again_while_little_was_read(self):
        intake = self.intake(DATA)
        next(iter(intake))
        self.assertTrue(intake.rewindable)
        self.assert_bytes(DATA, b''.join(intake))
        self.assertEqual(hashlib.md5(DATA).hexdigest(), intake.checksum)

    def test_reading_again_is_not_offered_when_much_was_read(self):
        intake = self.intake(b'x' * (10 * PIECE_BYTES))
        reading = iter(intake)
        for _ in range(streams.REWIND_PIECES + 1):
            next(reading)
        self.assertFalse(intake.rewindable)


class Refusing:
    def __init__(self):
        self.seen = []

    def update(self, piece):
        self.seen.append(piece)

    def verify(self):
        raise errors.SignatureInvalid(reason='no')


class HashingTest(StreamsTestCase):
    def test_sinks_run_at_the_same_time_on_threads_of_their_own(self):
        meeting = threading.Barrier(2, timeout=30)
        hashing = Hashing(self.threads, [lambda piece: meeting.wait(), lambda piece: meeting.wait()])
        hashing.feed(b'x' * PIECE_BYTES)  # with one thread for both nobody would come to the meeting
        hashing.wait()

    def test_the_caller_goes_on_meanwhile(self):
        done = threading.Event()
        hashing = Hashing(self.threads, [lambda piece: done.wait(30)])
        hashing.feed(b'x' * PIECE_BYTES)
        done.set()
        hashing.wait()

    def test_pieces_reach_a_sink_in_their_order(self):
        seen = []
        hashing = Hashing(self.threads, [seen.append])
        pieces = [bytes([number]) * INLINE_BYTES for number in range(20)] + [b'short']
        for piece in pieces:
            hashing.feed(piece)
        hashing.wait()
        self.assertEqual(pieces, seen)

    def test_a_slow_sink_does_not_hold_up_the_other(self):
        go_on, all_seen, seen = threading.Event(), threading.Event(), []

        def quick(piece):
            seen.append(piece)
            if len(seen) == LAG_PIECES:
                all_seen.set()
        hashing = Hashing(self.threads, [lambda piece: go_on.wait(30), quick])
        for _ in range(LAG_PIECES):
            hashing.feed(b'x' * INLINE_BYTES)
        self.assertTrue(all_seen.wait(30))
        go_on.set()
        hashing.wait()

    def test_the_caller_waits_for_a_sink_that_is_too_far_behind(self):
        fed, seen = [], []

        def sink(piece):
            seen.append(len(fed))
        hashing = Hashing(self.threads, [sink])
        for number in range(50):
            hashing.feed(b'x' * INLINE_BYTES)
            fed.append(number)
            self.assertTrue(len(fed) - len(seen) <= LAG_PIECES, (len(fed), len(seen)))
        hashing.wait()

    def test_a_failure_of_a_sink_stops_the_feeding(self):
        def fails(piece):
            raise RuntimeError('sink')
        hashing = Hashing(self.threads, [fails])

        def feed_on():
            while True:
                hashing.feed(b'x' * PIECE_BYTES)
        self.assertRaises(RuntimeError, feed_on)

    def test_a_failure_of_a_sink_comes_out(self):
        def fails(piece):
            raise RuntimeError('sink')
        hashing = Hashing(self.threads, [fails])
        hashing.feed(b'x' * PIECE_BYTES)
        self.assertRaises(RuntimeError, hashing.wait)


class AlgorithmTest(base.TestCase):
    def test_known_algorithms_pass(self):
        for name in ('md5', 'sha256', 'sha512', 'blake2b'):
            streams.check_hashing_algorithm(name)

    def test_unknown_ones_and_those_without_a_length_stop_the_start(self):
        for name in ('sha513', '', 'shake_256'):
            raised = self.assertRaises(errors.ConfigurationError, streams.check_hashing_algorithm, name)
            self.assertIn('hashing_algorithm', str(raised))
