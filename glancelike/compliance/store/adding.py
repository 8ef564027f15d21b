"""Adding images."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from typing import Any

from glancelike.compliance.requires import requires
from glancelike.compliance.store.case import StoreCase
from glancelike.compliance.store.chunks import (
    MIB,
    TURN_SECONDS,
    ChunksBroke,
    breaking,
    cut,
    in_turn,
    keep,
    random_bytes,
    together,
)
from glancelike.plugin import ADD, PERSISTENT, Stored, errors


class AddingSuite(StoreCase):
    """Clauses ADD and PREFIX."""

    # --- add --------------------------------------------------------------------------------------------------------

    @requires(ADD, PERSISTENT)
    def test_an_added_image_is_there_after_a_restart(self):
        """ADD-1: complete and readable by a driver made later."""
        stored = self.add([b'kept'], 4)
        self.assert_same(b'kept', self.read(stored.url, store=self.reopen(self.store)))

    @requires(ADD)
    def test_an_added_image_is_readable_at_once(self):
        """ADD-1: complete when add has returned."""
        self.assert_same(b'now', self.read(self.add([b'now'], 3).url))

    @requires(ADD)
    def test_a_second_add_of_an_image_is_refused_and_the_first_object_stays(self):
        """ADD-2: ObjectExists; the earlier object stays as it was."""
        stored = self.add([b'first'], 5)
        for size in (6, None):
            self.assert_raises(errors.ObjectExists, lambda size=size: self.add([b'second'], size), 'the second add')
        self.assert_same(b'first', self.read(stored.url))

    @requires(ADD)
    def test_of_two_adds_of_one_image_at_once_exactly_one_wins(self):
        """ADD-2: the other raises ObjectExists, and the object is the winner's, whole."""
        turn = threading.Barrier(2)
        images = [b'a' * 32768, b'b' * 32768]
        results = together([lambda one=one: self.add(in_turn([one] * 4, turn), 4 * 32768) for one in images])
        won = [number for number, result in enumerate(results) if isinstance(result, Stored)]
        lost = [result for result in results if isinstance(result, errors.ObjectExists)]
        self.assertEqual((1, 1), (len(won), len(lost)), f'results were {results!r:.300}')
        self.assert_same(images[won[0]] * 4, self.read(results[won[0]].url))

    @requires(ADD)
    def test_a_full_store_keeps_nothing_of_the_image(self):
        """ADD-3: StoreFull, of known and of unknown size; afterwards a smaller image can be added."""
        store = self.watched(self.optional(self.make_small_store(), 'make_small_store'))
        for size in (None, 16 * MIB):
            image_id = str(uuid.uuid4())
            before = self.leftovers(store)
            chunks = [b'f' * 65536] * 256
            self.assert_raises(errors.StoreFull,
                               lambda size=size, image_id=image_id, chunks=chunks:
                               self.add(chunks, size, image_id=image_id, store=store), 'an add of 16 MiB')
            self.assert_nothing_of(image_id, before, store)

    @requires(ADD)
    def test_an_exception_out_of_the_chunks_passes_and_leaves_nothing(self):
        """ADD-4: the very exception comes out, whatever its class; nothing of the image stays."""
        for broke in (ChunksBroke('the client is gone'), OSError(28, 'not the disk of this store'),
                      errors.ClientDisconnected()):
            for chunks in ([], [b'c' * 65536] * 3):
                image_id = str(uuid.uuid4())
                before = self.leftovers(self.store)
                got = self.assert_raises(
                    Exception, lambda broke=broke, chunks=chunks, image_id=image_id:
                    self.add(breaking(chunks, broke), None, image_id=image_id), 'an add with broken chunks')
                self.assertIs(broke, got, 'another exception took the place of the one out of the chunks')
                self.assert_nothing_of(image_id, before, self.store)

    @requires(ADD)
    def test_half_an_object_is_never_seen(self):
        """ADD-5: while an image is being added nobody reads it, and nobody is told that it exists."""
        url = self.url_to_come(self.image_id)
        seen: dict[str, Any] = {}

        def chunks() -> Iterator[bytes]:
            yield b'h' * 65536
            yield b'h' * 65536
            reader = threading.Thread(target=keep(seen, 'read', lambda: self.read(url)), daemon=True)
            rival = threading.Thread(target=keep(seen, 'add', lambda: self.add([b'r'], 1)), daemon=True)
            for thread in (reader, rival):
                thread.start()
                thread.join(TURN_SECONDS)  # a driver may make others wait until the add is done
            seen['early'] = dict(seen)
            yield b'h' * 65536

        try:
            self.add(chunks(), 3 * 65536)
        except errors.ObjectExists:
            self.assertIsInstance(seen['add'], Stored, 'both adds of one image failed')
        early = seen['early']
        if 'read' in early:
            self.assertIsInstance(early['read'], errors.StoreError, 'a reader saw an object that is not complete')
        if 'add' in early:
            self.assertNotIsInstance(early['add'], errors.ObjectExists, 'half an image counted as an object')

    @requires(ADD)
    def test_chunks_of_any_size_are_kept_in_order(self):
        """ADD-6: odd sizes, single bytes, and the largest chunk that there is."""
        data = random_bytes(5 * MIB, 6)
        for sizes in ((1, 2, 3, 5, 7, 11, 4095, 4096, 4097, 65535, 65537), (4 * MIB,), (1048573,)):
            chunks = list(cut(data, sizes))
            for size in (len(data), None):
                stored = self.add(iter(chunks), size, image_id=str(uuid.uuid4()))
                self.assert_same(data, self.read(stored.url), f'an image in chunks of {sizes}')
                self.delete_if_possible(stored.url)

    @requires(ADD)
    def test_an_image_of_no_bytes_is_an_object_of_size_zero(self):
        """ADD-6: no chunks at all, with size 0 and with unknown size."""
        for size in (0, None):
            stored = self.add([], size, image_id=str(uuid.uuid4()))
            self.assertEqual((0, 0), (stored.size, self.store.size(stored.url)))
            self.assert_same(b'', self.read(stored.url))

    @requires(ADD)
    def test_another_number_of_bytes_than_announced_keeps_nothing(self):
        """ADD-7: SizeMismatch for fewer and for more bytes."""
        for size in (0, 65535, 65537, 10 * 65536):
            image_id = str(uuid.uuid4())
            before = self.leftovers(self.store)
            self.assert_raises(errors.SizeMismatch,
                               lambda size=size, image_id=image_id:
                               self.add([b's' * 65536], size, image_id=image_id), f'65536 B announced as {size}')
            self.assert_nothing_of(image_id, before, self.store)

    @requires(ADD)
    def test_add_tells_url_size_and_metadata(self):
        """ADD-8: the scheme is SCHEMES[0], the size what was stored, the metadata JSON-able."""
        for size in (70001, None):
            stored = self.add([b'm' * 70001], size, image_id=str(uuid.uuid4()))
            self.assertEqual(70001, stored.size)
            self.assertEqual(self.store.SCHEMES[0], stored.url.partition('://')[0])
            self.assertEqual(stored.metadata, json.loads(json.dumps(dict(stored.metadata))))

    @requires(ADD)
    def test_the_url_begins_with_a_prefix_of_the_store(self):
        """PREFIX-1: url_prefixes() fits what add gives."""
        url = self.add([b'x'], 1).url
        self.assertTrue(any(url.startswith(prefix) for prefix in self.store.url_prefixes()), 'no prefix fits')
