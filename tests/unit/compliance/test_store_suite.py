"""The store suite speaks of every clause, and skips with a reason."""

import unittest

from glancelike import plugin
from glancelike.compliance.requires import clauses_in, clauses_of
from glancelike.compliance.store import StoreSuite
from glancelike.store_drivers import base as contract
from tests import base


class Bare(plugin.StoreDriver):
    """Claims nothing but READ, and has nothing to read."""

    SCHEMES = ('bare',)

    def get(self, url, offset=0, length=None):
        raise self._missing(url)

    def size(self, url):
        raise self._missing(url)

    def _missing(self, url):
        kind = plugin.errors.ObjectNotFound if url.startswith('bare://') else plugin.errors.BadStoreUrl
        return kind(store=self.id)


def bare_suite():
    class BareSuite(StoreSuite, unittest.TestCase):

        def make_store(self):
            return Bare('bare', plugin.options_for(Bare))

    return unittest.defaultTestLoader.loadTestsFromTestCase(BareSuite)


class StoreSuiteTest(base.TestCase):

    def test_every_clause_of_the_contract_has_a_test(self):
        tested = {clause for name in dir(StoreSuite) if name.startswith('test_')
                  for clause in clauses_of(getattr(StoreSuite, name))}
        self.assertEqual(set(clauses_in(contract)), tested)

    def test_every_test_names_its_clause(self):
        silent = [name for name in dir(StoreSuite) if name.startswith('test_')
                  and not clauses_of(getattr(StoreSuite, name))]
        self.assertEqual([], silent)

    def test_a_suite_is_collected_only_where_it_is_mixed_in(self):
        self.assertFalse(issubclass(StoreSuite, unittest.TestCase))

    def test_what_cannot_be_tested_is_skipped_with_a_reason(self):
        result = unittest.TestResult()
        bare_suite().run(result)
        self.assertEqual([], result.failures + result.errors)
        reasons = {reason for _, reason in result.skipped}
        self.assertIn('Bare does not claim ADD', reasons)
        self.assertIn('put_object() is not given', reasons)
        self.assertTrue(all(reasons))
