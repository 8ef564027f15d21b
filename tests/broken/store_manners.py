"""Store drivers with bad manners: state, errors, refusals. Each in one way that has happened to somebody."""

import pathlib

from glancelike.plugin import FREE_SPACE, NAMES, errors
from tests.broken.store_shelf import ShelfStore


class NamesNoStore(ShelfStore):
    """ALL-1: the error does not say which store."""

    def missing(self):
        error = super().missing()
        error.facts.clear()
        return error


class TellsThePassword(ShelfStore):
    """ALL-2: a helpful message with the whole URL in it."""

    def path(self, url):
        try:
            return super().path(url)
        except errors.BadStoreUrl:
            raise errors.BadStoreUrl(f'cannot use {url}', store=self.id) from None


class SharesOneHandle(ShelfStore):
    """ALL-3: one open file for all readers of an object."""

    def __init__(self, store_id, options):
        super().__init__(store_id, options)
        self.handles = {}

    def get(self, url, offset=0, length=None):
        path, size = self.path(url), self.size(url)
        if size < 5 * 2**20:
            return super().get(url, offset, length)
        handle = self.handles.setdefault(path, super().opened(url))
        handle.seek(offset)

        def pieces():
            while piece := handle.read(2**20):
                yield piece
        return pieces()

    def delete(self, url):
        super().delete(url)
        if self.path(url) in self.handles:
            self.handles.pop(self.path(url)).close()


class CallsDeadMissing(ShelfStore):
    """ALL-4: an unmounted disk looks like a deleted image, which recovery then forgets."""

    def missing(self):
        return errors.ObjectNotFound(store=self.id)


class DoesMoreThanItClaims(ShelfStore):
    """ALL-5: an operation that is not claimed works all the same."""

    CAPABILITIES = ShelfStore.CAPABILITIES - {FREE_SPACE}


class RefusesWithAnotherError(ShelfStore):
    """ALL-5: NotImplementedError where the contract has an error of its own."""

    CAPABILITIES = ShelfStore.CAPABILITIES - {NAMES}

    def url_for(self, image_id):
        return f'shelf://{image_id}'


class TakesImpossibleOptions(ShelfStore):
    """INIT-1: finds out at the first request that it has no folder."""

    def __init__(self, store_id, options):
        if options.shelf_folder:
            super().__init__(store_id, options)


class AlwaysFine(ShelfStore):
    """CHECK-1: says that it works without looking."""

    def check(self):
        return None


class AnotherPrefix(ShelfStore):
    """PREFIX-1: names the URLs of another release."""

    def url_prefixes(self):
        return ['rack://']


class FreeGigabytes(ShelfStore):
    """FREE-1: not bytes."""

    def free_bytes(self):
        return self.room() / 2**30


class FactsOfPython(ShelfStore):
    """FACTS-1: a value that JSON does not know."""

    def facts(self):
        return {'folder': pathlib.Path(self.folder)}
