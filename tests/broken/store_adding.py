"""Store drivers that are wrong in ``add``, each in one way that has happened to somebody."""

import os

from glancelike.plugin import LOCAL_FILE, Stored, StoreDriver, errors
from tests.broken.store_shelf import ShelfStore


class ForgetsAtRestart(ShelfStore):
    """ADD-1: what add confirmed is in a write-back cache that dies with the process."""

    CAPABILITIES = ShelfStore.CAPABILITIES - {LOCAL_FILE}
    local_file = StoreDriver.local_file

    def __init__(self, store_id, options):
        super().__init__(store_id, options)
        self.cache = {}

    def publish(self, part, final, image_id):
        with open(part, 'rb') as file:
            data = file.read()
        os.truncate(part, len(data) // 2)  # the rest is to be written "later"
        super().publish(part, final, image_id)
        self.cache[final] = data

    def get(self, url, offset=0, length=None):
        data = self.cache.get(self.path(url))
        if data is None or not os.path.exists(self.path(url)):
            return super().get(url, offset, length)
        wanted = data[offset:None if length is None else offset + length]
        return (wanted[start:start + 2**20] for start in range(0, len(wanted), 2**20))

    def size(self, url):
        size = super().size(url)
        return len(self.cache.get(self.path(url), b'x' * size))


class AcceptsDuplicates(ShelfStore):
    """ADD-2: the last one to finish overwrites."""

    def add(self, image_id, chunks, size):
        part = f'{self.path(self.url_for(image_id))}~new'
        part += os.urandom(8).hex()
        try:
            with open(part, 'xb') as file:
                received = self.write(file, chunks, size)
            os.replace(part, self.path(self.url_for(image_id)))
        finally:
            self.clean(part)
        return Stored(self.url_for(image_id), received)


class KeepsBytesWhenFull(ShelfStore):
    """ADD-3: gives up when the disk is full, and leaves the disk full."""

    full = False

    def need_room(self, size):
        try:
            super().need_room(size)
        except errors.StoreFull:
            self.full = True
            raise

    def clean(self, part):
        if not self.full:
            super().clean(part)
        self.full = False


class KeepsBytesOfBrokenUploads(ShelfStore):
    """ADD-4: cleans up after its own errors only."""

    def add(self, image_id, chunks, size):
        final = self.path(self.url_for(image_id))
        if os.path.exists(final):
            raise errors.ObjectExists(store=self.id, image_id=image_id)
        part = f'{final}~{os.urandom(8).hex()}'
        try:
            with open(part, 'xb') as file:
                received = self.write(file, chunks, size)
            self.publish(part, final, image_id)
        except (errors.StoreError, errors.SizeMismatch):
            self.clean(part)
            raise
        self.clean(part)
        return Stored(self.url_for(image_id), received)


class HidesTheErrorOfTheClient(ShelfStore):
    """ADD-4: takes a client that went away for a broken disk."""

    def add(self, image_id, chunks, size):
        try:
            return super().add(image_id, chunks, size)
        except OSError as error:
            raise errors.StoreUnavailable(store=self.id) from error


class ShowsHalfAnObject(ShelfStore):
    """ADD-5: writes under the final name from the start."""

    def add(self, image_id, chunks, size):
        final = self.path(self.url_for(image_id))
        try:
            file = open(final, 'xb')
        except FileExistsError:
            raise errors.ObjectExists(store=self.id, image_id=image_id) from None
        try:
            with file, open(f'{final}~', 'wb'):  # a mark that it is unfinished
                received = self.write(file, chunks, size)
        except BaseException:
            os.unlink(final)
            raise
        finally:
            os.unlink(f'{final}~')
        return Stored(self.url_for(image_id), received)


class LosesTheOrder(ShelfStore):
    """ADD-6: gathers small chunks in a buffer and writes large ones past it."""

    def write(self, file, chunks, size):
        gathered = b''
        for chunk in chunks:
            self.need_room(len(chunk))
            if len(chunk) < 1000:
                gathered += chunk
            else:
                file.write(chunk)
                file.flush()
        file.write(gathered)
        self.compare(size, file.tell())
        return file.tell()


class RefusesEmptyImages(ShelfStore):
    """ADD-6: takes an upload of nothing for a mistake."""

    def compare(self, size, received):
        super().compare(size, received)
        if not received and size is not None:
            raise errors.SizeMismatch(declared=1, received=0)


class BelievesTheSize(ShelfStore):
    """ADD-7: does not compare what came with what was announced."""

    def compare(self, size, received):
        pass


class TellsTheAnnouncedSize(ShelfStore):
    """ADD-8: returns the announced size, 0 when none was announced."""

    def add(self, image_id, chunks, size):
        return Stored(super().add(image_id, chunks, size).url, size or 0)
