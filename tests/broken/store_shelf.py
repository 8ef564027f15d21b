"""An honest store driver of its own make, from which the broken ones next to it are bent.

It shares nothing with the drivers of glancelike. The suite holds it whole, so what a bent one fails is its fault.
"""

import os
import re
import uuid

from oslo_config import cfg

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
    Stored,
    StoreDriver,
    errors,
)

_URL = re.compile(r'shelf://([0-9a-z][0-9a-z.-]*)')


class ShelfStore(StoreDriver):
    """Each image a file ``<image id>`` in one folder; unfinished ones are ``<image id>~<random>``."""

    SCHEMES = ('shelf',)
    CAPABILITIES = frozenset({ADD, DELETE, READ, RANDOM_READ, LOCAL_FILE, NAMES, DISCARD, LIST_UNFINISHED, FREE_SPACE,
                              PERSISTENT})
    OPTIONS = (
        cfg.StrOpt('shelf_folder', help='Where the images are.'),
        cfg.IntOpt('shelf_max_bytes', default=2**30, help='Most bytes kept.'),
        cfg.StrOpt('shelf_key', default='open-sesame', secret=True, help='A secret, for nothing.'),
    )

    def __init__(self, store_id, options):
        super().__init__(store_id, options)
        if not options.shelf_folder:
            raise errors.ConfigurationError(reason='shelf_folder is not set')
        self.folder = options.shelf_folder
        os.makedirs(self.folder, exist_ok=True)

    def check(self):
        if not os.path.isdir(self.folder):
            raise errors.StoreUnavailable(store=self.id)

    def add(self, image_id, chunks, size):
        final = self.path(self.url_for(image_id))
        if os.path.exists(final):
            raise errors.ObjectExists(store=self.id, image_id=image_id)
        part = f'{final}~{uuid.uuid4().hex}'
        try:
            with open(part, 'xb') as file:
                received = self.write(file, chunks, size)
            self.publish(part, final, image_id)
        finally:
            self.clean(part)
        return Stored(self.url_for(image_id), received)

    def write(self, file, chunks, size):
        for chunk in chunks:
            self.need_room(len(chunk))
            file.write(chunk)
            file.flush()
        self.compare(size, file.tell())
        return file.tell()

    def need_room(self, size):
        if size > self.room():
            raise errors.StoreFull(store=self.id)

    def compare(self, size, received):
        if size is not None and size != received:
            raise errors.SizeMismatch(declared=size, received=received)

    def publish(self, part, final, image_id):
        try:
            os.link(part, final)
        except FileExistsError:
            raise errors.ObjectExists(store=self.id, image_id=image_id) from None

    def clean(self, part):
        if os.path.exists(part):
            os.unlink(part)

    def get(self, url, offset=0, length=None):
        file = self.opened(url)
        file.seek(offset)
        return self.pieces(file, length)

    def pieces(self, file, length):
        with file:
            while length is None or length > 0:
                piece = file.read(2**20 if length is None else min(length, 2**20))
                if not piece:
                    return
                length = None if length is None else length - len(piece)
                yield piece

    def opened(self, url):
        path = self.path(url)
        try:
            return open(path, 'rb')
        except FileNotFoundError:
            raise self.missing() from None

    def missing(self):
        if not os.path.isdir(self.folder):
            return errors.StoreUnavailable(store=self.id)
        return errors.ObjectNotFound(store=self.id)

    def local_file(self, url):
        self.size(url)
        return self.path(url)

    def size(self, url):
        try:
            return os.path.getsize(self.path(url))
        except FileNotFoundError:
            raise self.missing() from None

    def delete(self, url):
        try:
            os.unlink(self.path(url))
        except FileNotFoundError:
            raise self.missing() from None

    def url_for(self, image_id):
        return f'shelf://{image_id}'

    def path(self, url):
        found = _URL.fullmatch(url)
        if not found:
            raise errors.BadStoreUrl(store=self.id)
        return os.path.join(self.folder, found[1])

    def discard(self, image_id):
        for name in os.listdir(self.folder):
            if name.partition('~')[0] == image_id:
                os.unlink(os.path.join(self.folder, name))

    def unfinished(self):
        return iter([name.partition('~')[0] for name in os.listdir(self.folder) if '~' in name])

    def room(self):
        used = 0
        for name in os.listdir(self.folder):
            try:
                used += os.path.getsize(os.path.join(self.folder, name))
            except FileNotFoundError:
                pass  # finished or removed meanwhile
        return max(self.options.shelf_max_bytes - used, 0)

    def free_bytes(self):
        return self.room()

    def facts(self):
        return {'folder': self.folder}
