"""Start and state, rules for every method, refusals, and what a store tells of itself."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Mapping

from glancelike.compliance.requires import refuses, requires
from glancelike.compliance.store.case import StoreCase
from glancelike.compliance.store.chunks import ANSWER_SECONDS, MIB, close, error_of, in_turn, random_bytes, together
from glancelike.plugin import (
    ADD,
    DELETE,
    DISCARD,
    FREE_SPACE,
    LIST_UNFINISHED,
    LOCAL_FILE,
    NAMES,
    PERSISTENT,
    RANDOM_READ,
    READ,
    SHARE,
    Stored,
    StoreDriver,
    errors,
)


class MannersSuite(StoreCase):
    """Clauses INIT, CHECK, ALL, FREE, SHARE, FACTS."""

    # --- start and state --------------------------------------------------------------------------------------------

    def test_the_driver_names_schemes_and_capabilities_of_the_contract(self):
        """INIT-1: SCHEMES and CAPABILITIES are of the contract, and the constructor came to an end."""
        known = {ADD, DELETE, READ, RANDOM_READ, LOCAL_FILE, NAMES, DISCARD, LIST_UNFINISHED, FREE_SPACE, SHARE,
                 PERSISTENT}
        self.assertEqual(set(), set(self.store.CAPABILITIES) - known, 'unknown capabilities')
        self.assertTrue(self.store.SCHEMES)

    def test_options_that_cannot_work_are_refused_by_the_constructor(self):
        """INIT-1: the constructor raises ConfigurationError for options that cannot work."""
        cases = self.impossible_options()
        if not cases:
            self.skipTest('impossible_options() is not given')
        for options in cases:
            self.assert_raises(errors.ConfigurationError, lambda options=options: type(self.store)('bad', options))

    def test_check_of_a_working_store_raises_nothing(self):
        """CHECK-1: a store that works says so."""
        self.assertIsNone(self.store.check())

    def test_check_of_a_dead_store_raises_unavailable(self):
        """CHECK-1: a store that does not answer is StoreUnavailable."""
        store = self.optional(self.make_dead_store(), 'make_dead_store')
        if type(store).check is StoreDriver.check:
            self.skipTest(f'{self.driver_name} has nothing to check')
        self.assert_raises(errors.StoreUnavailable, store.check, 'check of a dead store')

    def test_reading_from_a_dead_store_raises_unavailable(self):
        """ALL-4, ALL-6: a store that does not answer is StoreUnavailable, and that within a minute."""
        url = self.url_of_nothing()
        store = self.optional(self.make_dead_store(), 'make_dead_store')
        started = time.monotonic()
        error = self.assert_raises(errors.StoreUnavailable, lambda: self.read(self._url_in(store, url), store=store))
        self.assertTrue(error.retryable)
        self.assertLess(time.monotonic() - started, ANSWER_SECONDS)

    def _url_in(self, store: StoreDriver, otherwise: str) -> str:
        return (self.missing_url(store)
                or (store.url_for(self.image_id) if NAMES in store.CAPABILITIES else otherwise))

    # --- every method -----------------------------------------------------------------------------------------------

    def test_an_error_names_the_store(self):
        """ALL-1: errors carry store=self.id."""
        url = self.url_of_nothing()
        error = self.assert_raises(errors.StoreError, lambda: self.read(url))
        self.assertEqual(self.store.id, error.facts.get('store'))

    def test_no_error_repeats_a_credential_of_a_url(self):
        """ALL-2: the password in a URL appears in no error."""
        for scheme in self.store.SCHEMES:
            url = f'{scheme}://user:pa55word@127.0.0.1:9/nothing'
            for name, call in self.uses_of(url).items():
                error = self.assert_raises(errors.StoreError, call, name)
                self.assertNotIn('pa55word', f'{error} {error.text} {error.facts} {error!r}', f'in the error of {name}')

    def test_no_secret_option_shows_anywhere(self):
        """ALL-2: values of secret options are in no error, URL, metadata or fact."""
        secrets = [str(getattr(self.store.options, option.dest)) for option in self.store.OPTIONS
                   if option.secret and getattr(self.store.options, option.dest)]
        if not secrets:
            self.skipTest(f'{self.driver_name} was given no secret option')
        shown = [repr(self.store.facts())]
        if ADD in self.claimed:
            stored = self.add([b'x'], 1)
            shown.append(f'{stored.url} {stored.metadata} {error_of(lambda: self.add([b"x"], 1))}')
        shown += [error_of(call) for call in self.uses_of(self.url_of_nothing()).values()]
        for secret in secrets:
            self.assertNotIn(secret, ' '.join(shown))

    @requires(ADD)
    def test_images_added_at_the_same_time_do_not_mix(self):
        """ALL-3: adds in several threads, their chunks taking turns."""
        turn = threading.Barrier(3)
        images = {letter: str(uuid.uuid4()) for letter in 'abc'}

        def add(letter: str) -> Stored:
            chunks = in_turn([letter.encode() * 32768] * 8, turn)
            return self.add(chunks, 8 * 32768, image_id=images[letter])

        for letter, stored in zip('abc', together([lambda one=one: add(one) for one in 'abc']), strict=True):
            self.assertIsInstance(stored, Stored)
            self.assert_same(letter.encode() * 8 * 32768, self.read(stored.url), f'image {letter}')

    def test_objects_read_at_the_same_time_do_not_mix(self):
        """ALL-3: two objects read in turns, and one object read twice in turns."""
        data = [random_bytes(5 * MIB, 1), random_bytes(5 * MIB, 2)]
        urls = [self.object_of(one) for one in data]
        for first, second in ((0, 1), (0, 0)):
            readers = [self.store.get(urls[first]), self.store.get(urls[second])]
            got: list[list[bytes]] = [[], []]
            open_ones = [0, 1]
            while open_ones:
                for number in list(open_ones):
                    piece = next(iter(readers[number]), None)
                    if piece is None:
                        open_ones.remove(number)
                    else:
                        got[number].append(piece)
            for reader in readers:
                close(reader)
            self.assert_same(data[first], b''.join(got[0]))
            self.assert_same(data[second], b''.join(got[1]))

    def test_many_threads_use_the_store_at_once(self):
        """ALL-3: eight threads, each with an object of its own."""
        def work(number: int) -> bytes:
            data = random_bytes(1000 + number, number)
            url = self.object_of(data)
            same = self.read(url) == data
            if DELETE in self.claimed:
                self.store.delete(url)
            return same

        self.object_of(b'x')  # skips here where there is no way to have an object
        results = together([lambda number=number: work(number) for number in range(8)])
        self.assertEqual([True] * 8, results)

    # --- refusals ---------------------------------------------------------------------------------------------------

    @refuses(ADD)
    def test_add_is_refused_where_it_is_not_claimed(self):
        """ALL-5: StoreReadOnly."""
        self.assert_raises(errors.StoreReadOnly, lambda: self.store.add(self.image_id, [b'x'], 1), 'add')

    @refuses(DELETE)
    def test_delete_is_refused_where_it_is_not_claimed(self):
        """ALL-5: StoreReadOnly."""
        url = self.object_of(b'x')
        self.assert_raises(errors.StoreReadOnly, lambda: self.store.delete(url), 'delete')
        self.assert_same(b'x', self.read(url))

    @refuses(LOCAL_FILE)
    def test_local_file_is_refused_where_it_is_not_claimed(self):
        """ALL-5: OperationNotSupported."""
        url = self.object_of(b'x')
        self.assert_raises(errors.OperationNotSupported, lambda: self.store.local_file(url), 'local_file')

    @refuses(NAMES)
    def test_url_for_is_refused_where_it_is_not_claimed(self):
        """ALL-5: OperationNotSupported."""
        self.assert_raises(errors.OperationNotSupported, lambda: self.store.url_for(self.image_id), 'url_for')

    @refuses(DISCARD)
    def test_discard_is_refused_where_it_is_not_claimed(self):
        """ALL-5: OperationNotSupported."""
        self.assert_raises(errors.OperationNotSupported, lambda: self.store.discard(self.image_id), 'discard')

    @refuses(LIST_UNFINISHED)
    def test_unfinished_is_refused_where_it_is_not_claimed(self):
        """ALL-5: OperationNotSupported."""
        self.assert_raises(errors.OperationNotSupported, lambda: list(self.store.unfinished()), 'unfinished')

    @refuses(FREE_SPACE)
    def test_free_bytes_is_refused_where_it_is_not_claimed(self):
        """ALL-5: OperationNotSupported."""
        self.assert_raises(errors.OperationNotSupported, self.store.free_bytes, 'free_bytes')

    @refuses(SHARE)
    def test_share_is_refused_where_it_is_not_claimed(self):
        """ALL-5: OperationNotSupported."""
        url = self.object_of(b'x')
        self.assert_raises(errors.OperationNotSupported, lambda: self.store.share(url, ['project']), 'share')

    @refuses(RANDOM_READ)
    def test_ranges_are_refused_where_they_are_not_claimed(self):
        """GET-3: OperationNotSupported for any offset or length."""
        url = self.object_of(b'abcdef')
        for part in ((1, None), (0, 3), (2, 2)):
            self.assert_raises(errors.OperationNotSupported, lambda part=part: self.read(url, *part), f'get{part}')

    # --- the rest ---------------------------------------------------------------------------------------------------

    @requires(FREE_SPACE)
    def test_free_bytes_is_a_number_of_bytes(self):
        """FREE-1: a whole number of 0 or more."""
        free = self.store.free_bytes()
        self.assertIsInstance(free, int)
        self.assertGreaterEqual(free, 0)

    @requires(FREE_SPACE, ADD)
    def test_free_bytes_of_a_small_store_are_few(self):
        """FREE-1: about what can still be added."""
        store = self.watched(self.optional(self.make_small_store(), 'make_small_store'))
        self.assertLess(store.free_bytes(), 16 * MIB)

    @requires(SHARE, ADD)
    def test_share_sets_the_readers(self):
        """SHARE-1: exactly these projects; a missing object is ObjectNotFound."""
        url = self.object_of(b'x')
        for readers in (['p1', 'p2'], ['p2'], []):
            self.store.share(url, readers)
            told = self.readers_of(self.store, url)
            if told is not None:
                self.assertEqual(set(readers), told)
        missing = self.url_of_nothing()
        self.assert_raises(errors.ObjectNotFound, lambda: self.store.share(missing, ['p1']), 'share')

    def test_facts_are_json_able(self):
        """FACTS-1: a JSON object."""
        facts = self.store.facts()
        self.assertIsInstance(facts, Mapping)
        self.assertEqual(dict(facts), json.loads(json.dumps(dict(facts))))
