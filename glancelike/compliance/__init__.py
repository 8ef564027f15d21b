"""Suites that hold a driver to its contract, clause by clause; shipped so that any author can run them.

A suite is a mixin, not named ``Test...``: it is collected only where an author mixes it into a test case::

    class RamfsTest(StoreSuite, testtools.TestCase):
        def make_store(self):
            return RamfsStore('ram', plugin.options_for(RamfsStore))

Each test's docstring begins with the clauses that it holds the driver to (``ADD-3: ...``); see ``requires``.
"""
