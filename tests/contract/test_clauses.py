"""Every numbered clause of a contract is quoted by a test of its suite, and no test quotes one that is not there."""

import importlib
import inspect
import pkgutil

from glancelike.compliance.requires import clauses_in, clauses_of
from glancelike.db_drivers.base import DbDriver
from tests import base


def _modules(name: str) -> list:
    """The module, and those in it where it is a package."""
    module = importlib.import_module(name)
    inside = pkgutil.iter_modules(module.__path__, f'{name}.') if hasattr(module, '__path__') else ()
    return [module, *(importlib.import_module(found.name) for found in inside)]


def _tests(suite: str) -> dict:
    """The test functions of all classes in the suite, by ``Class.name``."""
    return {f'{kind.__name__}.{name}': test
            for module in _modules(suite) for _, kind in inspect.getmembers(module, inspect.isclass)
            for name, test in inspect.getmembers(kind, inspect.isfunction) if name.startswith('test')}


class ClausesTest(base.TestCase):
    """Contract and suite, side by side."""

    def compare(self, contract: str, suite: str) -> None:
        defined = clauses_in(importlib.import_module(contract))
        tests = _tests(suite)
        quoted = {name: clauses_of(test) for name, test in tests.items()}
        self.assertNotEqual((), defined, f'no clauses were found in {contract}')
        self.assertEqual([], [name for name, ids in quoted.items() if not ids], 'tests that quote no clause')
        self.assertEqual([], sorted(set(defined) - {one for ids in quoted.values() for one in ids}), 'untested clauses')
        self.assertEqual([], sorted({one for ids in quoted.values() for one in ids} - set(defined)), 'unknown clauses')

    def test_every_clause_of_the_database_contract_is_tested(self):
        self.compare('glancelike.db_drivers.base', 'glancelike.compliance.db')

    def test_every_clause_of_the_store_contract_is_tested(self):
        self.compare('glancelike.store_drivers.base', 'glancelike.compliance.store')

    def test_every_clause_of_the_property_protection_contract_is_tested(self):
        self.compare('glancelike.property_protections.base', 'glancelike.compliance.property_policy')

    def test_every_clause_of_the_location_strategy_contract_is_tested(self):
        self.compare('glancelike.location_strategies.base', 'glancelike.compliance.location_strategy')

    def test_every_clause_of_the_import_plugin_contract_is_tested(self):
        self.compare('glancelike.tasks.import_plugins.base', 'glancelike.compliance.import_plugin')

    def test_every_clause_of_the_import_method_contract_is_tested(self):
        self.compare('glancelike.tasks.import_methods.base', 'glancelike.compliance.import_method')

    def test_every_method_of_the_database_contract_names_a_clause(self):
        """A method without a numbered rule is one that nobody can be held to."""
        self.assertEqual([], [name for name, method in vars(DbDriver).items()
                              if inspect.isfunction(method) and not name.startswith('_')
                              and not clauses_in(method)])
