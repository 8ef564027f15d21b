"""Store drivers that are wrong in removing and in naming, each in one way that has happened to somebody."""

import os

from glancelike.plugin import Stored, errors
from tests.broken.store_shelf import ShelfStore


class ReadsTheDeleted(ShelfStore):
    """DELETE-1: a read cache outlives the object."""

    def __init__(self, store_id, options):
        super().__init__(store_id, options)
        self.read_before = {}

    def get(self, url, offset=0, length=None):
        if url in self.read_before and not offset and length is None:
            return iter([self.read_before[url]])
        pieces = super().get(url, offset, length)
        if self.size(url) < 100 and not offset and length is None:
            self.read_before[url] = b''.join(pieces)
            return iter([self.read_before[url]])
        return pieces

    def discard(self, image_id):
        self.read_before.pop(self.url_for(image_id), None)
        super().discard(image_id)


class DeletesNothingSilently(ShelfStore):
    """DELETE-2: a missing object is as good as a deleted one."""

    def delete(self, url):
        try:
            super().delete(url)
        except errors.ObjectNotFound:
            pass


class NamesAnotherUrl(ShelfStore):
    """NAMES-1: add adds a suffix that url_for does not know."""

    def add(self, image_id, chunks, size):
        stored = super().add(image_id, chunks, size)
        return Stored(stored.url + '.img', stored.size)

    def path(self, url):
        return super().path(url.removesuffix('.img'))


class CannotDiscardNothing(ShelfStore):
    """DISCARD-1: recovery stops at an image of which nothing is there."""

    def discard(self, image_id):
        if not any(name.partition('~')[0] == image_id for name in os.listdir(self.folder)):
            raise errors.ObjectNotFound(store=self.id)
        super().discard(image_id)


class DiscardsEverythingUnfinished(ShelfStore):
    """DISCARD-2: sweeps away what others are writing."""

    def discard(self, image_id):
        for name in os.listdir(self.folder):
            if '~' in name or name == image_id:
                os.unlink(os.path.join(self.folder, name))


class ListsFileNames(ShelfStore):
    """UNFINISHED-1: names its own temporary files instead of images."""

    def unfinished(self):
        return iter([name for name in os.listdir(self.folder) if '~' in name])
