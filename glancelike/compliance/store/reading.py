"""Reading objects."""

from __future__ import annotations

import os
import stat
import threading
import time
import uuid

from glancelike.compliance.requires import refuses, requires
from glancelike.compliance.store.case import StoreCase
from glancelike.compliance.store.chunks import MAX_PIECE_BYTES, MIB, close, open_files, random_bytes
from glancelike.plugin import ADD, LOCAL_FILE, RANDOM_READ, errors


class ReadingSuite(StoreCase):
    """Clauses GET, LOCAL, SIZE."""

    # --- get, size, local_file -------------------------------------------------------------------------------------

    def test_get_gives_exactly_the_bytes_of_the_object(self):
        """GET-1: whole objects of several sizes, each read twice."""
        for length in (1, 4095, 65536, 65537, 3 * MIB + 1):
            data = random_bytes(length, length)
            url = self.object_of(data)
            for _ in range(2):
                self.assert_same(data, self.read(url), f'an object of {length} B')

    @refuses(ADD)
    def test_get_of_an_empty_object_gives_nothing(self):
        """GET-1: an object of 0 bytes that others put there."""
        self.assert_same(b'', self.read(self.object_of(b'')))

    def test_get_itself_raises_what_is_known_at_once(self):
        """GET-1: the call raises, not the first next()."""
        url = self.url_of_nothing()
        pieces = []

        def call() -> str:
            pieces.append(self.store.get(url))
            return 'an iterator'

        try:
            self.assert_raises(errors.StoreError, call, 'get')
        finally:
            for one in pieces:
                close(one)

    def test_get_of_a_missing_object_raises_not_found(self):
        """GET-2: ObjectNotFound."""
        url = self.url_of_nothing()
        self.assert_raises(errors.ObjectNotFound, lambda: self.read(url), 'get')

    @requires(RANDOM_READ)
    def test_ranges_are_exact(self):
        """GET-3: length bytes from offset; less only where the object ends."""
        data = random_bytes(200_001, 3)
        url = self.object_of(data)
        for offset, length in ((0, 1), (0, 200_001), (1, 1), (65535, 2), (65536, 65536), (0, 0), (100, 0),
                               (200_000, 1), (199_999, None), (1, None), (0, 10**12), (200_000, 100), (77, 131_072)):
            end = None if length is None else offset + length
            self.assert_same(data[offset:end], self.read(url, offset, length), f'get({offset}, {length})')

    @requires(RANDOM_READ)
    def test_a_range_past_the_end_is_empty(self):
        """GET-3: an offset at or past the end gives nothing."""
        url = self.object_of(b'0123456789')
        for offset, length in ((10, None), (10, 5), (11, 1), (10**12, None)):
            self.assert_same(b'', self.read(url, offset, length), f'get({offset}, {length})')

    def test_closing_early_gives_everything_up(self):
        """GET-4: iterators closed before the end, some before the beginning, hold no file and no connection."""
        if not os.path.isdir('/proc/self/fd'):
            self.skipTest('open files cannot be counted here')
        url = self.object_of(random_bytes(6 * MIB, 4)[:4 * MIB])
        close(self.store.get(url))  # whatever is opened once and kept
        before = open_files()
        kept = []
        for number in range(24):
            pieces = self.store.get(url)
            if number % 2:
                next(iter(pieces))
            close(pieces)
            kept.append(pieces)  # closing must do it, not the garbage collector
        deadline = time.monotonic() + 10
        while open_files() > before + 4 and time.monotonic() < deadline:
            threading.Event().wait(0.05)  # the other end of a connection may still be closing
        self.assertLessEqual(open_files(), before + 4, '24 closed iterators still hold files')

    def test_urls_that_lead_elsewhere_are_refused(self):
        """GET-5: BadStoreUrl for what this driver never made; nothing outside of the store is read or removed."""
        folder = self.new_folder()
        victim = os.path.join(folder, str(uuid.uuid4()))
        with open(victim, 'wb') as file:
            file.write(b'not of the store')
        inside = self.url_of_nothing().rpartition('/')[0]
        leading_out = [f'{scheme}://{victim}' for scheme in self.store.SCHEMES]
        leading_out += [inside + '/..' * 24 + victim, inside + '/%2e%2e' * 24 + victim,
                        inside + '/' + '%2e%2e%2f' * 24 + victim.lstrip('/').replace('/', '%2f')]
        for url in leading_out:
            for name, call in self.uses_of(url).items():
                self.assert_raises((errors.BadStoreUrl, errors.ObjectNotFound), call, f'{name} out of the store')
        self.assertTrue(os.path.exists(victim), 'a file outside of the store was removed')
        for url in ('', 'no url', '/', 'no-such-scheme://host/object', *self.foreign_urls(self.store)):
            for name, call in self.uses_of(url).items():
                self.assert_raises(errors.BadStoreUrl, call, f'{name} of a foreign URL')

    def test_pieces_are_of_1_byte_to_4_mib(self):
        """GET-6: every piece is bytes of that length."""
        data = b'p' * MAX_PIECE_BYTES
        if ADD in self.claimed:
            url = self.add([data, data, b'p'], 2 * len(data) + 1).url
        else:
            url = self.object_of(data + data + b'p')
        pieces = self.store.get(url)
        sizes = set()
        try:
            for piece in pieces:
                self.assertIsInstance(piece, bytes)
                sizes.add(len(piece))
        finally:
            close(pieces)
        self.assertTrue(min(sizes) >= 1 and max(sizes) <= MAX_PIECE_BYTES, f'pieces of {min(sizes)} to {max(sizes)} B')

    @requires(LOCAL_FILE)
    def test_the_local_file_is_the_object(self):
        """LOCAL-1: absolute path of a regular file with exactly the object's bytes."""
        for length in (1, 100_003):
            data = random_bytes(length, length)
            path = self.store.local_file(self.object_of(data))
            self.assertTrue(os.path.isabs(path))
            self.assertTrue(stat.S_ISREG(os.lstat(path).st_mode))
            with open(path, 'rb') as file:
                self.assert_same(data, file.read(), 'the local file')

    @requires(LOCAL_FILE)
    def test_the_local_file_of_a_missing_object_raises_not_found(self):
        """LOCAL-1: ObjectNotFound."""
        url = self.url_of_nothing()
        self.assert_raises(errors.ObjectNotFound, lambda: self.store.local_file(url), 'local_file')

    def test_size_is_the_length_of_the_object(self):
        """SIZE-1: in bytes."""
        for length in (1, 65537):
            self.assertEqual(length, self.store.size(self.object_of(b'z' * length)))

    def test_size_of_a_missing_object_raises_not_found(self):
        """SIZE-1: ObjectNotFound."""
        url = self.url_of_nothing()
        self.assert_raises(errors.ObjectNotFound, lambda: self.store.size(url), 'size')
