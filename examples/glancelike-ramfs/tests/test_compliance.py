"""RamfsStore, held to glancelike's store contract."""

import testtools
from glancelike_ramfs.store import RamfsStore

from glancelike import plugin
from glancelike.compliance.store import StoreSuite


class RamfsTest(StoreSuite, testtools.TestCase):
    """Every clause that the driver claims, and the refusal of the others."""

    def make_store(self):
        return RamfsStore('ram', plugin.options_for(RamfsStore))

    def make_small_store(self):
        return RamfsStore('ram', plugin.options_for(RamfsStore, ramfs_max_bytes=2**20))
