"""Store drivers that are wrong in reading, each in one way that has happened to somebody."""

import os
import urllib.parse

from glancelike.plugin import errors
from tests.broken.store_shelf import ShelfStore


class RaisesLate(ShelfStore):
    """GET-1: get is a generator, so a missing object is noticed after the headers were sent."""

    def get(self, url, offset=0, length=None):
        yield from super().get(url, offset, length)


class LosesTheTail(ShelfStore):
    """GET-1: gives whole blocks only."""

    def get(self, url, offset=0, length=None):
        if length is None and offset == 0 and self.size(url) > 65536:
            length = self.size(url) // 65536 * 65536
        return super().get(url, offset, length)


class KnowsOnlyItsOwn(ShelfStore):
    """GET-2: takes the URL of an object that it has not seen for malformed."""

    def __init__(self, store_id, options):
        super().__init__(store_id, options)
        self.seen = set()

    def publish(self, part, final, image_id):
        super().publish(part, final, image_id)
        self.seen.add(final)

    def get(self, url, offset=0, length=None):
        if self.path(url) not in self.seen and not os.path.exists(self.path(url)) and os.path.isdir(self.folder):
            raise errors.BadStoreUrl(store=self.id)
        return super().get(url, offset, length)


class GivesOneByteMore(ShelfStore):
    """GET-3: takes the end of a range as included."""

    def get(self, url, offset=0, length=None):
        return super().get(url, offset, length + 1 if length else length)


class LeaksFiles(ShelfStore):
    """GET-4: closes the file only at the end of the object."""

    def get(self, url, offset=0, length=None):
        path, size = self.path(url), self.size(url)
        left = size - offset if length is None else min(length, size - offset)
        fd = os.open(path, os.O_RDONLY)

        def pieces(at, left):
            while left > 0:
                piece = os.pread(fd, min(left, 2**20), at)
                yield piece
                at, left = at + len(piece), left - len(piece)
            os.close(fd)
        return pieces(offset, left)


class LeadsOut(ShelfStore):
    """GET-5: joins what the URL says to the folder."""

    def path(self, url):
        scheme, found, rest = url.partition('://')
        if scheme != 'shelf' or not rest or any(character in rest for character in '\n?'):
            raise errors.BadStoreUrl(store=self.id)
        return os.path.join(self.folder, urllib.parse.unquote(rest))


class GivesOnePiece(ShelfStore):
    """GET-6: the whole object at once."""

    def pieces(self, file, length):
        with file:
            data = file.read()[:length]
            if data:
                yield data


class MeasuresBlocks(ShelfStore):
    """SIZE-1: what the disk uses is not how long the object is."""

    def size(self, url):
        return -(-super().size(url) // 512) * 512


class NamesARelativePath(ShelfStore):
    """LOCAL-1: a path that means something else in another working directory."""

    def local_file(self, url):
        return os.path.relpath(super().local_file(url))
