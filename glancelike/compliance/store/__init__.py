"""The suite for store drivers: every clause of ``glancelike/store_drivers/base.py``.

An author mixes it into a test case and gives ``make_store``; the other hooks (the first methods of
``case.StoreCase``) make more of the suite run, and what is not given is skipped with a reason::

    class RamfsTest(StoreSuite, testtools.TestCase):
        def make_store(self):
            return RamfsStore('ram', plugin.options_for(RamfsStore))

The suite writes images of at most 9 MiB, removes what it wrote, and fails where something stays behind.
"""

from glancelike.compliance.store.adding import AddingSuite
from glancelike.compliance.store.manners import MannersSuite
from glancelike.compliance.store.reading import ReadingSuite
from glancelike.compliance.store.removing import RemovingSuite

__all__ = ['AddingSuite', 'MannersSuite', 'ReadingSuite', 'RemovingSuite', 'StoreSuite']


class StoreSuite(AddingSuite, ReadingSuite, RemovingSuite, MannersSuite):
    """Everything that the contract says; mix into ``testtools.TestCase`` or ``unittest.TestCase``."""
