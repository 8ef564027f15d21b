"""Removing objects, naming them, and clearing up after others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from glancelike.compliance.requires import requires
from glancelike.compliance.store.case import StoreCase
from glancelike.compliance.store.chunks import TURN_SECONDS, keep
from glancelike.plugin import ADD, DELETE, DISCARD, LIST_UNFINISHED, NAMES, errors


class RemovingSuite(StoreCase):
    """Clauses DELETE, NAMES, DISCARD, UNFINISHED."""

    # --- delete -----------------------------------------------------------------------------------------------------

    @requires(ADD, DELETE)
    def test_a_deleted_object_is_gone_and_can_be_added_again(self):
        """DELETE-1: not read, not measured; the same image can be added."""
        stored = self.add([b'old'], 3)
        self.assert_same(b'old', self.read(stored.url))
        self.store.delete(stored.url)
        self.assert_raises(errors.ObjectNotFound, lambda: self.read(stored.url), 'get after delete')
        self.assert_raises(errors.ObjectNotFound, lambda: self.store.size(stored.url), 'size after delete')
        self.assert_same(b'new', self.read(self.add([b'new'], 3).url))

    @requires(DELETE)
    def test_delete_of_a_missing_object_raises_not_found(self):
        """DELETE-2: ObjectNotFound."""
        url = self.url_of_nothing()
        self.assert_raises(errors.ObjectNotFound, lambda: self.store.delete(url), 'delete')

    @requires(ADD, DELETE)
    def test_an_object_in_use_stays(self):
        """DELETE-3: ObjectInUse."""
        url = self.object_of(b'used')
        if not self.make_in_use(self.store, url):
            self.skipTest('make_in_use() is not given')
        self.assert_raises(errors.ObjectInUse, lambda: self.store.delete(url), 'delete')
        self.assert_same(b'used', self.read(url))

    # --- names, leftovers -------------------------------------------------------------------------------------------

    @requires(NAMES, ADD)
    def test_url_for_tells_the_url_before_the_bytes_are_there(self):
        """NAMES-1: what add returns later, and what another driver with the same options says."""
        url = self.store.url_for(self.image_id)
        self.assertEqual(url, type(self.store)(self.store.id, self.store.options).url_for(self.image_id))
        self.assertEqual(url, self.add([b'x'], 1).url)

    @requires(DISCARD, ADD)
    def test_discard_removes_a_finished_object(self):
        """DISCARD-1: the image can be added again."""
        url = self.add([b'old'], 3).url
        self.store.discard(self.image_id)
        self.assert_raises(errors.ObjectNotFound, lambda: self.read(url), 'get after discard')
        self.assert_same(b'new', self.read(self.add([b'new'], 3).url))

    @requires(DISCARD)
    def test_discard_of_nothing_is_no_error(self):
        """DISCARD-1: twice, even."""
        self.assertIsNone(self.store.discard(self.image_id))
        self.assertIsNone(self.store.discard(self.image_id))

    @requires(DISCARD, ADD)
    def test_discard_clears_what_a_killed_add_has_left(self):
        """DISCARD-1: the process was killed in the middle; after discard nothing is left."""
        before = self.leftovers(self.store)
        self.interrupted_add(self.store, self.image_id)
        self.store.discard(self.image_id)
        self.assert_nothing_of(self.image_id, before, self.store)

    @requires(DISCARD, ADD)
    def test_discard_leaves_other_images_alone(self):
        """DISCARD-2: neither objects nor adds in progress of other images suffer."""
        other = self.object_of(b'other')
        near = self.image_id[:-1] + ('0' if self.image_id[-1] != '0' else '1')

        def chunks() -> Iterator[bytes]:
            yield b'n' * 65536
            discarding = threading.Thread(target=self.store.discard, args=(self.image_id,), daemon=True)
            discarding.start()
            discarding.join(TURN_SECONDS)
            yield b'n' * 65536

        self.add([b'x'], 1)
        stored = self.add(chunks(), 2 * 65536, image_id=near)
        self.assert_same(b'n' * 2 * 65536, self.read(stored.url), 'an image that was being added')
        self.assert_same(b'other', self.read(other), 'another image')

    @requires(LIST_UNFINISHED, ADD)
    def test_unfinished_names_the_images_being_added(self):
        """UNFINISHED-1: while they are being added, not before and not after."""
        seen: dict[str, Any] = {}

        def chunks() -> Iterator[bytes]:
            yield b'u' * 65536
            looking = threading.Thread(target=keep(seen, 'ids', lambda: list(self.store.unfinished())), daemon=True)
            looking.start()
            looking.join(TURN_SECONDS)
            yield b'u'

        self.assertNotIn(self.image_id, list(self.store.unfinished()))
        self.add(chunks(), None)
        self.assertIn(self.image_id, seen.get('ids', []))
        self.assertNotIn(self.image_id, list(self.store.unfinished()))

    @requires(LIST_UNFINISHED, DISCARD, ADD)
    def test_unfinished_names_what_a_killed_add_has_left(self):
        """UNFINISHED-1: until it is discarded."""
        before = self.leftovers(self.store)
        self.interrupted_add(self.store, self.image_id)
        left = before is not None and set(self.leftovers(self.store)) - set(before)
        named = list(self.store.unfinished())
        self.store.discard(self.image_id)
        if left:
            self.assertIn(self.image_id, named)
        self.assertNotIn(self.image_id, list(self.store.unfinished()))
