"""What the one wrapper round a store driver adds."""

import logging

from glancelike import errors
from glancelike.core.threads import NativeThreads
from glancelike.store_drivers import base as contract
from glancelike.store_drivers.checked import CheckedStore
from glancelike.store_drivers.memory import MemoryStore
from tests import base

MIB = 2**20


class Odd(contract.StoreDriver):
    """A driver whose methods are given by the test."""

    SCHEMES = ('odd',)
    CAPABILITIES = frozenset({contract.ADD, contract.DELETE, contract.READ})

    def __init__(self, **methods):
        super().__init__('odd', None)
        self.__dict__.update(methods)


class Case(base.TestCase):

    def setUp(self):
        super().setUp()
        self.now = 1000.0
        self.asked = 0

    def checked(self, driver=None, **methods):
        return CheckedStore(driver or Odd(**methods), NativeThreads(), clock=lambda: self.now, driver_name='odd')

    def dying(self, *answers):
        """A check() that raises each of *answers* in turn (None: all is well), and the last one for ever."""
        def check():
            answer = answers[min(self.asked, len(answers) - 1)]
            self.asked += 1
            if answer is not None:
                raise answer
        return check


class CapabilitiesTest(Case):

    def test_what_the_driver_does_not_claim_is_refused_even_where_it_would_work(self):
        everything = {name: lambda *_a, **_k: 'done' for name in
                      ('local_file', 'url_for', 'discard', 'unfinished', 'free_bytes', 'share')}
        store = self.checked(**everything)
        for call in (lambda: store.local_file('odd://x'), lambda: store.url_for('x'), lambda: store.discard('x'),
                     store.unfinished, store.free_bytes, lambda: store.share('odd://x', [])):
            self.assertRaises(errors.OperationNotSupported, call)

    def test_ranges_are_refused_without_random_read(self):
        store = self.checked(get=lambda url, offset=0, length=None: iter([b'x']))
        self.assertRaises(errors.OperationNotSupported, store.get, 'odd://x', 1)
        self.assertRaises(errors.OperationNotSupported, store.get, 'odd://x', 0, 1)
        self.assertEqual([b'x'], list(store.get('odd://x')))

    def test_a_store_without_add_is_read_only(self):
        driver = Odd(add=lambda *_: contract.Stored('odd://x', 0), delete=lambda _url: None)
        driver.CAPABILITIES = frozenset({contract.READ})
        store = self.checked(driver)
        self.assertTrue(store.read_only)
        self.assertRaises(errors.StoreReadOnly, store.add, 'x', [], 0)
        self.assertRaises(errors.StoreReadOnly, store.delete, 'odd://x')

    def test_a_relative_local_file_is_not_used(self):
        driver = Odd(local_file=lambda _url: 'relative')
        driver.CAPABILITIES = frozenset({contract.READ, contract.LOCAL_FILE})
        self.assertRaises(errors.StoreError, self.checked(driver).local_file, 'odd://x')


class ErrorsTest(Case):

    def setUp(self):
        super().setUp()
        self.logged = []
        handler = logging.Handler()
        handler.emit = lambda record: self.logged.append(record.getMessage())
        logger = logging.getLogger('glancelike.store_drivers.checked')
        logger.addHandler(handler)
        self.addCleanup(logger.removeHandler, handler)

    def failing(self, error):
        def fail(*_args):
            raise error
        return fail

    def test_an_unknown_exception_becomes_a_store_error_that_tells_nothing(self):
        secret = RuntimeError('cannot log in at https://admin:pa55word@10.0.0.1/')
        store = self.checked(size=self.failing(secret))
        error = self.assertRaises(errors.StoreError, store.size, 'odd://x')
        self.assertEqual('store_error', error.code)
        self.assertEqual('odd', error.facts['store'])
        self.assertNotIn('10.0.0.1', f'{error} {error.facts}')
        self.assertIsNone(error.__cause__)

    def test_the_log_tells_kind_place_and_text_without_the_password(self):
        store = self.checked(size=self.failing(RuntimeError('https://admin:pa55word@10.0.0.1/ said no')))
        self.assertRaises(errors.StoreError, store.size, 'odd://x')
        self.assertIn('RuntimeError', self.logged[0])
        self.assertIn('10.0.0.1/ said no', self.logged[0])
        self.assertIn('in fail', self.logged[0])
        self.assertNotIn('pa55word', self.logged[0])

    def test_errors_of_the_contract_pass_as_they_are(self):
        for wanted in (errors.ObjectNotFound(store='odd'), errors.BadStoreUrl(store='odd')):
            self.assertIs(wanted, self.assertRaises(
                type(wanted), self.checked(size=self.failing(wanted)).size, 'odd://x'))

    def test_an_exception_out_of_the_chunks_comes_back_whatever_the_driver_makes_of_it(self):
        gone = errors.ClientDisconnected()

        def chunks():
            yield b'x'
            raise gone

        def replaces(_id, pieces, _size):
            try:
                return contract.Stored('odd://x', len(b''.join(pieces)))
            except Exception:
                raise ValueError('something else') from None

        deleted = []

        def swallows(_id, pieces, _size):
            try:
                list(pieces)
            except Exception:
                return contract.Stored('odd://x', 1)

        for add in (replaces, swallows):
            store = self.checked(add=add, delete=deleted.append)
            self.assertIs(gone, self.assertRaises(errors.ClientDisconnected, store.add, 'x', chunks(), None))
        self.assertEqual(['odd://x'], deleted)
        self.assertEqual([], self.logged)

    def test_a_driver_that_loses_bytes_does_not_make_an_image(self):
        deleted = []
        store = self.checked(add=lambda _id, pieces, _size: contract.Stored('odd://x', len(b''.join(pieces)) - 1),
                             delete=deleted.append)
        self.assertRaises(errors.StoreError, store.add, 'x', [b'abc'], 3)
        self.assertEqual(['odd://x'], deleted)


class SizesTest(Case):

    def getting(self, *pieces):
        driver = Odd(get=lambda url, offset=0, length=None: iter(pieces))
        driver.CAPABILITIES |= {contract.RANDOM_READ}
        return self.checked(driver)

    def test_large_pieces_are_split_on_the_way_out(self):
        store = self.getting(b'x' * (9 * MIB), b'', b'y')
        self.assertEqual([4 * MIB, 4 * MIB, MIB, 1], [len(piece) for piece in store.get('odd://x')])

    def test_large_chunks_are_split_on_the_way_in(self):
        seen = []

        def add(_id, pieces, _size):
            seen.extend(len(piece) for piece in pieces)
            return contract.Stored('odd://x', sum(seen))

        self.checked(add=add).add('x', [b'x' * (5 * MIB), b'', b'y'], None)
        self.assertEqual([4 * MIB, MIB, 1], seen)

    def test_a_stream_that_is_too_short_raises_at_its_end(self):
        pieces = self.getting(b'abc').get('odd://x', object_bytes=4)
        self.assertEqual(b'abc', next(pieces))
        self.assertRaises(errors.StoreError, next, pieces)

    def test_a_stream_that_is_too_long_gives_nothing_beyond(self):
        pieces = self.getting(b'abc', b'de').get('odd://x', object_bytes=4)
        self.assertEqual(b'abc', next(pieces))
        self.assertRaises(errors.StoreError, next, pieces)

    def test_a_range_is_measured_too(self):
        for part, object_bytes in (((2, 3), 10), ((7, 5), 10), ((7, None), 10)):
            self.assertEqual([b'abc'], list(self.getting(b'abc').get('odd://x', *part, object_bytes=object_bytes)))
        self.assertRaises(errors.StoreError, list, self.getting(b'abc').get('odd://x', 2, 4, object_bytes=10))
        self.assertRaises(errors.StoreError, list, self.getting(b'abc').get('odd://x', 2, 2))

    def test_closing_closes_what_the_driver_gave_whether_it_was_read_or_not(self):
        class Pieces:
            closed = 0

            def __iter__(self):
                return self

            def __next__(self):
                return b'x'

            def close(self):
                self.closed += 1

        for read in (False, True):
            raw = Pieces()
            pieces = self.checked(get=lambda *_a, raw=raw: raw).get('odd://x')
            if read:
                next(pieces)
            pieces.close()
            pieces.close()
            self.assertGreaterEqual(raw.closed, 1)
            self.assertRaises(StopIteration, next, pieces)

    def test_an_error_in_the_middle_of_a_stream_closes_it(self):
        def pieces():
            try:
                yield b'x'
                raise OSError('disk')
            finally:
                closed.append(True)

        closed = []
        stream = self.checked(get=lambda *_a: pieces()).get('odd://x')
        self.assertEqual(b'x', next(stream))
        self.assertRaises(errors.StoreError, next, stream)
        self.assertEqual([True], closed)


class UpAndDownTest(Case):

    def test_a_store_that_is_down_is_refused_at_once_and_asked_again_later(self):
        gone = errors.StoreUnavailable(store='odd')
        store = self.checked(check=self.dying(gone, gone, None), size=lambda _url: 7)
        self.assertRaises(errors.StoreUnavailable, store.check)
        self.assertEqual('down', store.state)
        for _ in range(5):
            self.assertRaises(errors.StoreUnavailable, store.size, 'odd://x')
        self.assertEqual(1, self.asked)
        self.now += 1.0
        self.assertRaises(errors.StoreUnavailable, store.size, 'odd://x')
        self.assertEqual(2, self.asked)
        self.now += 1.9
        self.assertRaises(errors.StoreUnavailable, store.size, 'odd://x')
        self.assertEqual(2, self.asked)
        self.now += 0.2
        self.assertEqual(7, store.size('odd://x'))
        self.assertEqual('up', store.state)

    def test_the_wait_grows_to_half_a_minute(self):
        store = self.checked(check=self.dying(errors.StoreUnavailable(store='odd')))
        self.assertRaises(errors.StoreUnavailable, store.check)
        times = []
        for _ in range(1200):
            self.now += 0.25
            before = self.asked
            self.assertRaises(errors.StoreUnavailable, store.size, 'odd://x')
            if self.asked > before:
                times.append(self.now)
        waits = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
        self.assertEqual([2, 4, 8, 16, 30, 30], waits[:6])

    def test_an_operation_that_finds_the_store_dead_makes_the_next_one_ask(self):
        def size(_url):
            raise errors.StoreUnavailable(store='odd')

        store = self.checked(check=self.dying(None), size=size)
        self.assertRaises(errors.StoreUnavailable, store.size, 'odd://x')
        self.assertEqual(('up', 0), (store.state, self.asked))
        self.assertRaises(errors.StoreUnavailable, store.size, 'odd://x')
        self.assertEqual(('up', 1), (store.state, self.asked))

    def test_a_store_that_takes_no_data_for_now_goes_on_being_read(self):
        store = self.checked(check=self.dying(errors.StoreReadOnly(store='odd'), None), size=lambda _url: 7,
                             add=lambda _id, pieces, _size: contract.Stored('odd://x', len(b''.join(pieces))))
        self.assertRaises(errors.StoreReadOnly, store.check)
        self.assertEqual('read_only', store.state)
        self.assertEqual(7, store.size('odd://x'))
        self.assertRaises(errors.StoreReadOnly, store.add, 'x', [b'x'], 1)
        self.now += 1
        self.assertEqual(1, store.add('x', [b'x'], 1).size)

    def test_facts_are_told_by_a_store_that_is_down(self):
        store = self.checked(check=self.dying(errors.StoreUnavailable(store='odd')), facts=lambda: {'a': 1})
        self.assertRaises(errors.StoreUnavailable, store.check)
        self.assertEqual({'a': 1}, store.facts())


class RoundTripTest(Case):

    def test_a_driver_works_through_the_wrapper_as_without(self):
        from glancelike import plugin
        store = self.checked(MemoryStore('mem', plugin.options_for(MemoryStore)))
        stored = store.add('x', iter([b'abc', b'def']), 6)
        self.assertEqual(stored.url, store.url_for('x'))
        self.assertEqual([b'cd'], list(store.get(stored.url, 2, 2, object_bytes=6)))
        self.assertEqual(6, store.size(stored.url))
        store.discard('x')
        self.assertRaises(errors.ObjectNotFound, store.delete, stored.url)
