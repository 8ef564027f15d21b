"""The suites for protections and strategies catch real faults: each broken one fails exactly its clause."""

import os
import tempfile
import unittest

from glancelike import plugin
from glancelike.compliance.location_strategy import LocationStrategySuite
from glancelike.compliance.property_policy import EVERYONE, NOBODY, RuleTableSuite
from glancelike.compliance.requires import clauses_of
from tests import base
from tests.broken import protections, strategies

EXPECTED = {
    protections.CachesByProject: {'ALLOWS-1'},
    protections.StumblesOverEmptyName: {'ALLOWS-2'},
    protections.AllowsUnknownOperations: {'ALLOWS-2'},
    protections.ForgetsCase: {'ALLOWS-3'},
    protections.OpenByDefault: {'ALLOWS-4'},
    protections.RemembersTheCaller: {'ALLOWS-5'},
    protections.FindsErrorsLate: {'INIT-1'},
    protections.HidesTheLine: {'INIT-1'},
    protections.LastMatchWins: {'RULES-1'},
    protections.AnchoredPatterns: {'RULES-1'},
    protections.DeleteIsUpdate: {'RULES-2'},
    protections.AdministratorsAlways: {'RULES-3'},
    protections.EveryoneHasARole: {'RULES-3'},
    protections.UserRolesOnly: {'RULES-4'},
}

EXPECTED_STRATEGIES = {
    strategies.DropsUnknownStores: {'ORDER-1'},
    strategies.OneCopyIsEnough: {'ORDER-1'},
    strategies.TurnsEqualsRound: {'ORDER-2'},
    strategies.SortsInPlace: {'ORDER-3'},
    strategies.LearnsWeights: {'ORDER-3'},
    strategies.NeedsAKnownStore: {'ORDER-3'},
}


def certificate(suite, **hooks):
    """Run the suite with these hooks; the clauses that its failing tests quote."""
    case = type('Certified', (suite, unittest.TestCase), hooks)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    return {clause for test, _ in result.failures + result.errors for clause in clauses_of(test)}


def broken_protection_clauses(kind):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'rules')

        def make(text):
            with open(path, 'w', encoding='utf-8') as opened:
                opened.write(text)
            return kind(plugin.Options(property_protection_file=path), None)

        def line(pattern, rule):
            words = {EVERYONE: '*', NOBODY: '-'}
            return ' '.join([pattern, *(words.get(rule[action], rule[action]) for action in plugin.ACTIONS)]) + '\n'

        return certificate(
            RuleTableSuite,
            make_from_table=lambda self, table: make(''.join(line(*rule) for rule in table)),
            broken_rules=lambda self: [(lambda: make('^a * * * *\n[b * * * *\n'), path, 2)])


def broken_strategy_clauses(kind):
    return certificate(LocationStrategySuite,
                       make_strategy=lambda self, weights: kind(plugin.options_for(kind), weights))


def made_from(module, base_class):
    return {kind for kind in vars(module).values()
            if isinstance(kind, type) and issubclass(kind, base_class) and kind is not base_class}


class BrokenProtectionsTest(base.TestCase):

    def test_every_broken_one_is_expected_to_break_something(self):
        self.assertEqual(made_from(protections, protections.LinesProtection), set(EXPECTED))
        self.assertEqual(made_from(strategies, strategies.Heavy), set(EXPECTED_STRATEGIES))

    def test_the_protection_that_they_are_made_from_breaks_nothing(self):
        self.assertEqual(set(), broken_protection_clauses(protections.LinesProtection))

    def test_the_strategy_that_they_are_made_from_breaks_nothing(self):
        self.assertEqual(set(), broken_strategy_clauses(strategies.Heavy))


def _add(kind, clauses, run):
    def test(self):
        self.assertEqual(clauses, run(kind))
    setattr(BrokenProtectionsTest, f'test_{kind.__name__}_fails_exactly_{"_and_".join(sorted(clauses))}', test)


for _kind, _clauses in EXPECTED.items():
    _add(_kind, _clauses, broken_protection_clauses)
for _kind, _clauses in EXPECTED_STRATEGIES.items():
    _add(_kind, _clauses, broken_strategy_clauses)
