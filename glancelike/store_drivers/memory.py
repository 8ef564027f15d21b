"""Images in the memory of this process: for trying things out, for tests, and to be read.

This is the contract of ``base.py`` in its shortest honest form; a new driver can start from a copy. What is
kept is gone when the process ends, and each process has its own: with more than one worker use another store.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from oslo_config import cfg

from glancelike.plugin import ADD, DELETE, DISCARD, FREE_SPACE, NAMES, RANDOM_READ, READ, Stored, StoreDriver, errors

_PIECE_BYTES = 4 * 2**20
_URL = re.compile(r'memory://(?P<image_id>[A-Za-z0-9._-]{1,200})')


class MemoryStore(StoreDriver):
    """Images in a dictionary, by URL ``memory://<image id>``."""

    SCHEMES = ('memory',)
    CAPABILITIES = frozenset({ADD, DELETE, READ, RANDOM_READ, NAMES, DISCARD, FREE_SPACE})
    OPTIONS = (
        cfg.IntOpt('memory_store_max_bytes', default=2**30, min=1, help="""
Most bytes that all images of the store, those being uploaded included, take together. Unit: bytes."""),
    )

    def __init__(self, store_id: str, options: Any):
        super().__init__(store_id, options)
        self._lock = threading.Lock()  # guards the two below; never held while chunks are asked for
        self._objects: dict[str, bytes] = {}
        self._taken_bytes = 0

    def add(self, image_id: str, chunks: Iterable[bytes], size: int | None) -> Stored:
        url = self.url_for(image_id)
        if url in self._objects:
            raise errors.ObjectExists(store=self.id, image_id=image_id)
        parts: list[bytes] = []
        received = 0
        try:
            for chunk in chunks:
                self._take(len(chunk))
                received += len(chunk)
                parts.append(bytes(chunk))
                if size is not None and received > size:
                    break
            if size is not None and received != size:
                raise errors.SizeMismatch(declared=size, received=received)
            data = b''.join(parts)
            with self._lock:
                if url in self._objects:
                    raise errors.ObjectExists(store=self.id, image_id=image_id)
                self._objects[url] = data
        except BaseException:
            self._take(-received)
            raise
        return Stored(url, received)

    def get(self, url: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        data = self._object(url)
        end = len(data) if length is None else min(offset + length, len(data))
        return (data[start:min(start + _PIECE_BYTES, end)] for start in range(offset, end, _PIECE_BYTES))

    def size(self, url: str) -> int:
        return len(self._object(url))

    def delete(self, url: str) -> None:
        with self._lock:
            self._taken_bytes -= len(self._object(url))
            del self._objects[url]

    def url_for(self, image_id: str) -> str:
        url = f'memory://{image_id}'
        if not _URL.fullmatch(url):
            raise errors.BadStoreUrl(store=self.id)
        return url

    def discard(self, image_id: str) -> None:
        try:
            self.delete(self.url_for(image_id))
        except errors.ObjectNotFound:
            pass  # an add that ended in whatever way has taken its parts with it

    def free_bytes(self) -> int:
        return max(self.options.memory_store_max_bytes - self._taken_bytes, 0)

    def facts(self) -> Mapping[str, Any]:
        return {'max_bytes': self.options.memory_store_max_bytes}

    def _object(self, url: str) -> bytes:
        if not _URL.fullmatch(url):
            raise errors.BadStoreUrl(store=self.id)
        try:
            return self._objects[url]
        except KeyError:
            raise errors.ObjectNotFound(store=self.id) from None

    def _take(self, size: int) -> None:
        """Count *size* bytes more as taken; a negative number gives bytes back."""
        with self._lock:
            if size > 0 and size > self.free_bytes():
                raise errors.StoreFull(store=self.id)
            self._taken_bytes += size

    @classmethod
    def for_compliance(cls, folder: str, max_bytes: int | None = None) -> Mapping[str, Any] | None:
        return {'memory_store_max_bytes': max_bytes} if max_bytes else {}
