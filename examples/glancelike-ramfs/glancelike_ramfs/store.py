"""Images in this process's memory. Of glancelike it imports ``glancelike.plugin`` only."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from oslo_config import cfg

from glancelike.plugin import ADD, DELETE, RANDOM_READ, READ, Stored, StoreDriver, errors

_PIECE_BYTES = 2**20


class RamfsStore(StoreDriver):
    """Images in this process's memory; gone when it stops."""

    SCHEMES = ('ramfs',)
    CAPABILITIES = frozenset({ADD, DELETE, READ, RANDOM_READ})  # the suite holds the driver to these
    OPTIONS = (cfg.IntOpt('ramfs_max_bytes', min=1, default=2**30, help='Most bytes kept.'),)

    def __init__(self, store_id: str, options: Any):
        super().__init__(store_id, options)
        self._lock = threading.Lock()  # never held while chunks are asked for: they may be slow to come
        self._images: dict[str, bytes] = {}

    def add(self, image_id: str, chunks: Iterable[bytes], size: int | None) -> Stored:
        """Keep the image until ``delete``.

        :param chunks: the image in order, each 1 B to 4 MiB, readable once
        :param size: length in bytes, or None while it is unknown
        :returns: where the object now is, and its length in bytes
        :raises ObjectExists: ADD-2; the earlier object stays as it was
        :raises StoreFull: ADD-3; nothing of this image is kept
        :raises SizeMismatch: ADD-7; nothing of this image is kept
        """
        data = bytearray()
        for chunk in chunks:  # what raises in here leaves nothing: the bytes are ours alone until the end
            data += chunk
            if len(data) > self._free_bytes():
                raise errors.StoreFull(store=self.id)
        if size is not None and len(data) != size:
            raise errors.SizeMismatch(declared=size, received=len(data))
        url = f'ramfs://{image_id}'
        with self._lock:
            if url in self._images:
                raise errors.ObjectExists(store=self.id, image_id=image_id)
            if len(data) > self._free_bytes():
                raise errors.StoreFull(store=self.id)
            self._images[url] = bytes(data)
        return Stored(url, len(data))

    def get(self, url: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes, or the part of them that is asked for, in pieces of 1 MiB.

        :raises ObjectNotFound, BadStoreUrl: raised here and not by the first ``next``
        """
        data = self._image(url)
        end = len(data) if length is None else min(offset + length, len(data))
        return (data[start:min(start + _PIECE_BYTES, end)] for start in range(offset, end, _PIECE_BYTES))

    def size(self, url: str) -> int:
        """Length in bytes. :raises ObjectNotFound, BadStoreUrl: as ``get``"""
        return len(self._image(url))

    def delete(self, url: str) -> None:
        """Forget the image. :raises ObjectNotFound, BadStoreUrl: as ``get``"""
        with self._lock:
            self._image(url)
            del self._images[url]

    def _image(self, url: str) -> bytes:
        if not url.startswith('ramfs://') or '/' in url[8:] or not url[8:]:
            raise errors.BadStoreUrl(store=self.id)
        try:
            return self._images[url]
        except KeyError:
            raise errors.ObjectNotFound(store=self.id) from None

    def _free_bytes(self) -> int:
        return self.options.ramfs_max_bytes - sum(map(len, list(self._images.values())))

    @classmethod
    def for_compliance(cls, folder: str, max_bytes: int | None = None) -> Mapping[str, Any]:
        """Options for ``glance-drivers check store ramfs``."""
        return {'ramfs_max_bytes': max_bytes} if max_bytes else {}
