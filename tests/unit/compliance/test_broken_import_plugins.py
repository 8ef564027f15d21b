"""The suite for import plugins catches real faults: each broken one fails exactly its clause."""

import unittest

from glancelike import plugin
from glancelike.compliance.import_plugin import ImportPluginSuite, Sample
from glancelike.compliance.requires import clauses_of
from tests import base
from tests.broken import import_plugins

EXPECTED = {
    import_plugins.SaysTheSizeOfTheHead: {'PLUGIN-1'},
    import_plugins.SaysAnotherFormat: {'PLUGIN-1'},
    import_plugins.ForgetsProperties: {'PLUGIN-1'},
    import_plugins.EndsWithAnEmptyPiece: {'PLUGIN-1'},
    import_plugins.RefusesInItsOwnWords: {'PLUGIN-2'},
    import_plugins.StumblesOverNothing: {'PLUGIN-2'},
    import_plugins.NamesTheFolder: {'PLUGIN-2'},
    import_plugins.BlamesTheImageForItsSource: {'PLUGIN-2'},
    import_plugins.HoldsEverything: {'PLUGIN-3'},
    import_plugins.LeavesTheSourceOpen: {'PLUGIN-3'},
    import_plugins.NeverLooks: {'PLUGIN-4'},
    import_plugins.CallsTheEndARefusal: {'PLUGIN-4'},
    import_plugins.LeavesAFileBehind: {'PLUGIN-5'},
    import_plugins.WritesIntoTheGivenFile: {'PLUGIN-5'},
    import_plugins.LeavesAChild: {'PLUGIN-5'},
    import_plugins.PutsTheResultElsewhere: {'PLUGIN-5'},
    import_plugins.KnowsNoBound: {'PLUGIN-6'},
    import_plugins.NoticesTheBoundLate: {'PLUGIN-6'},
    import_plugins.WorksByItself: {'PLUGIN-7'},
    import_plugins.WaitsByItself: {'PLUGIN-7'},
    import_plugins.NumbersImages: {'PLUGIN-8'},
    import_plugins.ShowsAPath: {'PLUGIN-9'},
    import_plugins.ShowsASecret: {'PLUGIN-9'},
    import_plugins.GivesFactsThatAreNoJson: {'PLUGIN-9'},
}


def broken_clauses(kind):
    """The clauses that the failing tests quote."""
    case = type('Certified', (ImportPluginSuite, unittest.TestCase), {
        'make_plugin': lambda self: kind(plugin.options_for(kind)),
        'refused_samples': lambda self: [Sample('a virus', b'VIRUS' * 1000)],
        'secrets': lambda self: [kind.secret],
    })
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    return {clause for test, _ in result.failures + result.errors for clause in clauses_of(test)}


class BrokenImportPluginsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.addCleanup(self.end_children)

    def end_children(self):
        left = import_plugins.LeavesAChild.left
        while left:
            process = left.pop()
            process.kill()
            process.wait()

    def test_every_broken_one_is_expected_to_break_something(self):
        made = {kind for kind in vars(import_plugins).values()
                if isinstance(kind, type) and issubclass(kind, import_plugins.Turn)}
        self.assertEqual(made - {import_plugins.Turn}, set(EXPECTED))

    def test_the_plugin_that_they_are_made_from_breaks_nothing(self):
        self.assertEqual(set(), broken_clauses(import_plugins.Turn))


def _add(kind, clauses):
    def test(self):
        self.assertEqual(clauses, broken_clauses(kind))
    setattr(BrokenImportPluginsTest, f'test_{kind.__name__}_fails_exactly_{"_and_".join(sorted(clauses))}', test)


for _kind, _clauses in EXPECTED.items():
    _add(_kind, _clauses)
