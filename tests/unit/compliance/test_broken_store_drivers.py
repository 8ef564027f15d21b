"""The store suite catches real faults: each broken driver fails exactly the clause that it breaks."""

import os
import shutil
import unittest

from glancelike import plugin
from glancelike.compliance.requires import clauses_of
from glancelike.compliance.store import StoreSuite
from tests import base
from tests.broken import store_adding as adding
from tests.broken import store_manners as manners
from tests.broken import store_reading as reading
from tests.broken import store_removing as removing
from tests.broken.store_shelf import ShelfStore

#: Driver -> the clauses that the failing tests name.
BROKEN = {
    adding.ForgetsAtRestart: {'ADD-1'},
    adding.AcceptsDuplicates: {'ADD-2'},
    adding.KeepsBytesWhenFull: {'ADD-3'},
    adding.KeepsBytesOfBrokenUploads: {'ADD-4'},
    adding.HidesTheErrorOfTheClient: {'ADD-4'},
    adding.ShowsHalfAnObject: {'ADD-5'},
    adding.LosesTheOrder: {'ADD-6'},
    adding.RefusesEmptyImages: {'ADD-6'},
    adding.BelievesTheSize: {'ADD-7'},
    adding.TellsTheAnnouncedSize: {'ADD-8'},
    reading.RaisesLate: {'GET-1'},
    reading.LosesTheTail: {'GET-1'},
    reading.KnowsOnlyItsOwn: {'GET-2'},
    reading.GivesOneByteMore: {'GET-3'},
    reading.LeaksFiles: {'GET-4'},
    reading.LeadsOut: {'GET-5'},
    reading.GivesOnePiece: {'GET-6'},
    reading.MeasuresBlocks: {'SIZE-1'},
    reading.NamesARelativePath: {'LOCAL-1'},
    removing.ReadsTheDeleted: {'DELETE-1'},
    removing.DeletesNothingSilently: {'DELETE-2'},
    removing.NamesAnotherUrl: {'NAMES-1'},
    removing.CannotDiscardNothing: {'DISCARD-1'},
    removing.DiscardsEverythingUnfinished: {'DISCARD-2'},
    removing.ListsFileNames: {'UNFINISHED-1'},
    manners.NamesNoStore: {'ALL-1'},
    manners.TellsThePassword: {'ALL-2'},
    manners.SharesOneHandle: {'ALL-3'},
    manners.CallsDeadMissing: {'ALL-4', 'ALL-6'},  # one test holds both
    manners.DoesMoreThanItClaims: {'ALL-5'},
    manners.RefusesWithAnotherError: {'ALL-5'},
    manners.TakesImpossibleOptions: {'INIT-1'},
    manners.AlwaysFine: {'CHECK-1'},
    manners.AnotherPrefix: {'PREFIX-1'},
    manners.FreeGigabytes: {'FREE-1'},
    manners.FactsOfPython: {'FACTS-1'},
}


def suite_for(driver: type[ShelfStore]) -> type[unittest.TestCase]:
    """The suite on that driver, with every hook that a folder allows."""
    class Case(StoreSuite, base.TestCase):

        def make_store(self, folder='shelf', **more):
            return driver('shelf', plugin.options_for(driver, shelf_folder=str(self.tmp / folder), **more))

        def make_small_store(self):
            return self.make_store('small', shelf_max_bytes=2**20)

        def make_dead_store(self):
            store = self.make_store('dead')
            shutil.rmtree(store.folder)
            return store

        def leftovers(self, store):
            return os.listdir(store.folder) if os.path.isdir(store.folder) else None

        def impossible_options(self):
            return [plugin.options_for(driver)]

    return Case


def failures_of(driver: type[ShelfStore]) -> dict[str, str]:
    """Clause -> what its test said, for each clause that does not hold."""
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(suite_for(driver)).run(result)
    return {clause: text for test, text in result.failures + result.errors for clause in clauses_of(test)}


class BrokenStoreDriverTest(base.TestCase):

    def test_the_honest_driver_holds_every_clause(self):
        self.assertEqual({}, failures_of(ShelfStore))


def _test_of(driver, clauses):
    def test(self):
        found = failures_of(driver)
        self.assertEqual(clauses, set(found), '\n'.join(found.values()))
    test.__doc__ = driver.__doc__
    return test


for _driver, _clauses in BROKEN.items():
    setattr(BrokenStoreDriverTest, f'test_{_driver.__name__}_fails_{"_".join(sorted(_clauses))}',
            _test_of(_driver, _clauses))
