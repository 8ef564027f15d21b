"""The suite for import methods catches real faults: each broken one fails exactly the clause that it breaks."""

import os
import unittest
import uuid

from glancelike import plugin
from glancelike.compliance.import_method import ImportMethodSuite
from glancelike.compliance.requires import clauses_of
from tests import base
from tests.broken import import_methods as methods

BROKEN = {
    methods.LooksForTheFile: {'METHOD-1'},
    methods.KeepsTheToken: {'METHOD-1'},
    methods.KeepsATuple: {'METHOD-1'},
    methods.StumblesOverNumbers: {'METHOD-2'},
    methods.NamesNoField: {'METHOD-2'},
    methods.RemembersInMemory: {'METHOD-3'},
    methods.GoesOnWhereItWas: {'METHOD-3'},
    methods.GuessesTheSize: {'METHOD-3'},
    methods.CallsMissingUnavailable: {'METHOD-4'},
    methods.CallsTroubleBad: {'METHOD-4'},
    methods.RaisesItsOwn: {'METHOD-4'},
    methods.GivesOnePiece: {'METHOD-5'},
    methods.GivesEmptyPieces: {'METHOD-5'},
    methods.ChecksOnce: {'METHOD-5'},
    methods.HidesTheEnd: {'METHOD-5'},
    methods.LeaksFiles: {'METHOD-5'},
    methods.CountsNothing: {'METHOD-5'},
    methods.CountsTheLimitAsTooMuch: {'METHOD-5'},
    methods.LogsThePassword: {'METHOD-6'},
    methods.TellsTheToken: {'METHOD-6'},
    methods.WaitsForEver: {'METHOD-7'},
    methods.FactsOfPython: {'METHOD-8'},
    methods.TellsThePassword: {'METHOD-8'},
}


def suite_for(kind: type[methods.ShelfMethod]) -> type[unittest.TestCase]:
    """The suite on that method, with every hook that a folder allows."""
    class Case(ImportMethodSuite, base.TestCase):

        end_seconds = 3

        def make_method(self):
            return kind(plugin.options_for(kind, shelf_folder=str(self.tmp)))

        def request(self, name):
            return {'name': 'shelf', 'file': name}

        def make_request(self, data):
            path = self.tmp / f'{uuid.uuid4()}.img'
            path.write_bytes(data)
            return self.request(path.name)

        def missing_request(self):
            return self.request('missing')

        def dead_request(self):
            os.symlink('dead', self.tmp / 'dead')  # leads to itself
            return self.request('dead')

        def broken_request(self, data):
            if kind is not methods.RaisesItsOwn:
                return None
            (self.tmp / 'broken').write_bytes(data)
            return self.request('broken')

        def silent_request(self):
            os.mkfifo(self.tmp / 'silent')
            self.addCleanup(self.let_go)
            return self.request('silent')

        def let_go(self):
            """Whoever still waits for the FIFO may end."""
            os.close(os.open(self.tmp / 'silent', os.O_RDWR | os.O_NONBLOCK))

        def wrong_requests(self):
            yield {'name': 'shelf'}, 'file'
            yield self.request('a/b'), 'file'

        def secrets(self):
            return ['pa55word']

    return Case


def broken_clauses(kind: type[methods.ShelfMethod]) -> set[str]:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(suite_for(kind)).run(result)
    return {clause for test, _ in result.failures + result.errors for clause in clauses_of(test)}


class BrokenImportMethodsTest(base.TestCase):

    def test_every_broken_one_is_expected_to_break_something(self):
        made = {kind for kind in vars(methods).values() if isinstance(kind, type)
                and issubclass(kind, methods.ShelfMethod) and kind is not methods.ShelfMethod}
        self.assertEqual(made, set(BROKEN))

    def test_the_method_that_they_are_made_from_breaks_nothing(self):
        self.assertEqual(set(), broken_clauses(methods.ShelfMethod))


def _add(kind, clauses):
    def test(self):
        self.assertEqual(clauses, broken_clauses(kind))
    setattr(BrokenImportMethodsTest, f'test_{kind.__name__}_fails_exactly_{"_and_".join(sorted(clauses))}', test)


for _kind, _clauses in BROKEN.items():
    _add(_kind, _clauses)
