"""The memory store is held to the store contract."""

from glancelike import plugin
from glancelike.compliance.store import StoreSuite
from glancelike.store_drivers.memory import MemoryStore
from tests import base


class MemoryStoreTest(StoreSuite, base.TestCase):

    def make_store(self):
        return MemoryStore('mem', plugin.options_for(MemoryStore))

    def make_small_store(self):
        return MemoryStore('mem', plugin.options_for(MemoryStore, memory_store_max_bytes=2**20))

    def foreign_urls(self, store):
        return ['memory://', 'memory://a/b', 'memory:///x']

    def leftovers(self, store):
        taken = store.options.memory_store_max_bytes - store.free_bytes()
        return [*store._objects, *([f'{taken} B'] if taken and not store._objects else [])]
