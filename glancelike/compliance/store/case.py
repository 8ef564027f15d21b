"""What every part of the store suite starts from: hooks for the author, objects, comparisons."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from glancelike.compliance.store.chunks import close, killed_after
from glancelike.plugin import (
    ADD,
    DELETE,
    LIST_UNFINISHED,
    LOCAL_FILE,
    NAMES,
    READ,
    Stored,
    StoreDriver,
    errors,
)


class StoreCase:
    """Hooks for the author, then helpers for the tests. A mixin; give ``make_store`` at least."""

    # --- what the author gives ------------------------------------------------------------------------------------

    def make_store(self) -> StoreDriver:
        """A driver on a store that holds nothing; called once for each test."""
        raise NotImplementedError('give make_store()')

    def make_small_store(self) -> StoreDriver | None:
        """The same with room for about 1 MiB (at least 64 KiB, less than 16 MiB)."""

    def make_dead_store(self) -> StoreDriver | None:
        """A driver whose store does not answer (a closed port, a directory that is gone)."""

    def reopen(self, store: StoreDriver) -> StoreDriver:
        """With PERSISTENT: another driver on the same data, as after a restart."""
        return type(store)(store.id, store.options)

    def put_object(self, store: StoreDriver, data: bytes) -> str | None:
        """For a store without ADD: put the bytes there by other means and return the URL."""

    def missing_url(self, store: StoreDriver) -> str | None:
        """For a store without ADD and NAMES: a URL of the right form under which there is nothing."""

    def foreign_urls(self, store: StoreDriver) -> Sequence[str]:
        """More URLs that the driver must refuse as BadStoreUrl: another host, another directory."""
        return ()

    def impossible_options(self) -> Sequence[Any]:
        """Options (as the constructor takes them) that can never work."""
        return ()

    def make_in_use(self, store: StoreDriver, url: str) -> bool:
        """Make something depend on the object; True when that was done."""
        return False

    def readers_of(self, store: StoreDriver, url: str) -> set[str] | None:
        """With SHARE: the projects that the store itself says may read the object."""

    def leftovers(self, store: StoreDriver) -> Sequence[str] | None:
        """Everything that the store holds now, objects and temporary parts; None where nobody can tell."""

    def interrupted_add(self, store: StoreDriver, image_id: str) -> None:
        """An add whose process is killed in the middle. Done here in a forked child with a driver of its own."""
        child = os.fork()
        if not child:
            try:
                own = self.reopen(store)
                own.add(image_id, killed_after([b'k' * 65536] * 4), None)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            self.fail('the add in the child process ended before it read all its chunks')

    # --- the frame of each test -----------------------------------------------------------------------------------

    def setUp(self) -> None:
        super().setUp()
        self._urls: list[tuple[StoreDriver, str]] = []
        self._stores: list[StoreDriver] = []
        self.image_id = str(uuid.uuid4())
        self.store = self.watched(self.make_store())

    @property
    def claimed(self) -> frozenset[str]:
        return frozenset(self.store.CAPABILITIES) | {READ}

    @property
    def driver_name(self) -> str:
        return type(self.store).__name__

    def watched(self, store: StoreDriver) -> StoreDriver:
        self._stores.append(store)
        self.addCleanup(self._check_clean, store)
        return store

    def optional(self, store: StoreDriver | None, hook: str) -> StoreDriver:
        if store is None:
            self.skipTest(f'{hook}() is not given')
        return store

    def _check_clean(self, store: StoreDriver) -> None:
        """Remove what the test added; nothing may stay behind."""
        for _, url in [one for one in self._urls if one[0] is store]:
            with contextlib.suppress(errors.ObjectNotFound, errors.StoreReadOnly):
                store.delete(url)
        left = self.leftovers(store)
        if left and DELETE in store.CAPABILITIES:
            self.fail(f'the test left behind: {", ".join(sorted(left))}')

    def add(self, chunks: Iterable[bytes], size: int | None = None, *, image_id: str | None = None,
            store: StoreDriver | None = None) -> Stored:
        store = store or self.store
        stored = store.add(image_id or self.image_id, chunks, size)
        self._urls.append((store, stored.url))
        return stored

    def object_of(self, data: bytes) -> str:
        """URL of a new object with these bytes, added in one chunk (or put there, where the store has no ADD)."""
        if ADD in self.claimed:
            return self.add([data] if data else [], len(data), image_id=str(uuid.uuid4())).url
        url = self.put_object(self.store, data)
        if url is None:
            self.skipTest('put_object() is not given')
        return url

    def url_of_nothing(self) -> str:
        """A URL of the right form under which there is nothing."""
        given = self.missing_url(self.store)
        if given is not None:
            return given
        if NAMES in self.claimed:
            return self.store.url_for(str(uuid.uuid4()))
        if not {ADD, DELETE} <= self.claimed:
            self.skipTest('missing_url() is not given')
        url = self.object_of(b'x')
        self.store.delete(url)
        return url

    def url_to_come(self, image_id: str) -> str:
        """The URL that an add of this image will most likely give."""
        if NAMES in self.claimed:
            return self.store.url_for(image_id)
        url = self.object_of(b'x')
        if DELETE not in self.claimed:
            self.skipTest(f'{self.driver_name} claims neither NAMES nor DELETE')
        self.store.delete(url)
        url = self.add([b'x'], 1, image_id=image_id).url
        self.store.delete(url)
        return url

    def read(self, url: str, *part: int | None, store: StoreDriver | None = None) -> bytes:
        pieces = (store or self.store).get(url, *part)
        try:
            return b''.join(pieces)
        finally:
            close(pieces)

    def assert_raises(self, wanted: type | tuple[type, ...], call: Callable[[], Any], what: str = '') -> Any:
        try:
            got = call()
        except wanted as error:
            return error
        names = ' or '.join(one.__name__ for one in (wanted if isinstance(wanted, tuple) else (wanted,)))
        self.fail(f'{what or "the call"} should raise {names}, and gave {got!r:.200}')

    def assert_same(self, wanted: bytes, got: bytes, what: str = 'the object') -> None:
        """Bytes compared, and described, not printed."""
        if wanted != got:
            pairs = enumerate(zip(wanted, got, strict=False))
            first = next((place for place, (one, other) in pairs if one != other), min(len(wanted), len(got)))
            self.fail(f'{what} has {len(got)} B instead of {len(wanted)} B, and differs from byte {first} on')

    def assert_nothing_of(self, image_id: str, before: Sequence[str] | None, store: StoreDriver) -> None:
        """A failed add left nothing, and the same image can be added now."""
        if before is not None:
            new = sorted(set(self.leftovers(store)) - set(before))
            self.assertEqual([], new, 'the failed add left something behind')
        if LIST_UNFINISHED in self.claimed:
            self.assertNotIn(image_id, list(store.unfinished()))
        if NAMES in self.claimed:
            self.assert_raises(errors.StoreError, lambda: self.read(store.url_for(image_id), store=store),
                               'reading after the failed add')
        again = self.add([b'again'], 5, image_id=image_id, store=store)
        self.assert_same(b'again', self.read(again.url, store=store), 'the image added again')

    def uses_of(self, url: str) -> dict[str, Callable[[], Any]]:
        """Each claimed operation on the URL."""
        uses: dict[str, Callable[[], Any]] = {'get': lambda: self.read(url), 'size': lambda: self.store.size(url)}
        if LOCAL_FILE in self.claimed:
            uses['local_file'] = lambda: self.store.local_file(url)
        if DELETE in self.claimed:
            uses['delete'] = lambda: self.store.delete(url)
        return uses

    def delete_if_possible(self, url: str) -> None:
        if DELETE in self.claimed:
            self.store.delete(url)

    def new_folder(self) -> str:
        folder = tempfile.TemporaryDirectory(prefix='glancelike-compliance-')
        self.addCleanup(folder.cleanup)
        return folder.name
