"""The database suite catches real faults: each broken driver fails exactly the clauses that it breaks."""

import unittest

from glancelike import plugin
from glancelike.compliance.db import DbSuite
from glancelike.compliance.requires import clauses_of
from glancelike.db_drivers.simple.driver import SimpleDriver
from tests import base
from tests.broken import db_images, db_imports, db_lists, db_members, db_tasks, db_uploads

MODULES = (db_images, db_imports, db_lists, db_members, db_tasks, db_uploads)

#: What each driver's fault breaks, by the contract's own numbers.
EXPECTED = {
    db_images.ForgetsVisibilityDriver: {'IMAGE-GET-2'},
    db_images.RejectedReadsDriver: {'IMAGE-GET-2'},
    db_images.ReusesIdsDriver: {'IMAGE-CREATE-2', 'PURGE-1'},
    db_images.OverwritesPropertiesDriver: {'IMAGE-UPDATE-1'},
    db_images.TwoWinnersDriver: {'IMAGE-UPDATE-5'},
    db_images.KeepsSizeDriver: {'IMAGE-UPDATE-7'},
    db_images.DeletesProtectedDriver: {'IMAGE-DELETE-2'},
    db_images.DeleteForgetsLocationsDriver: {'IMAGE-DELETE-1', 'IMAGE-RESTORE-2', 'LOCATION-1', 'LOCATION-2',
                                             'LOCATION-4', 'PURGE-1', 'UPLOAD-18'},
    db_images.RestoresWithoutTagsDriver: {'IMAGE-RESTORE-2'},
    db_images.TagsLeaveVersionDriver: {'TAG-4'},
    db_images.OneTagTooManyDriver: {'TAG-3'},
    db_images.LiveValuesDriver: {'ALL-2'},
    db_images.CutsTextDriver: {'ALL-8'},
    db_images.SecondsOnlyDriver: {'ALL-5'},
    db_lists.NullsLastDriver: {'IMAGE-LIST-2'},
    db_lists.MarkerOffByOneDriver: {'IMAGE-LIST-2'},
    db_lists.ListsHiddenDriver: {'IMAGE-LIST-1'},
    db_lists.ListsRejectedDriver: {'IMAGE-LIST-1'},
    db_lists.LowerNotCasefoldDriver: {'IMAGE-LIST-6'},
    db_lists.WildcardLeakDriver: {'IMAGE-LIST-6'},
    db_lists.AnyTagDriver: {'IMAGE-LIST-5'},
    db_lists.CountsThePageDriver: {'IMAGE-COUNT-1'},
    db_members.RemoveLeavesMemberDriver: {'MEMBER-1', 'MEMBER-7'},
    db_members.MembersSeeEachOtherDriver: {'MEMBER-4', 'MEMBER-5'},
    db_members.RejectedCannotReturnDriver: {'MEMBER-6'},
    db_members.SharesTwiceDriver: {'MEMBER-1'},
    db_members.OwnerlessIsMineDriver: {'MEMBER-5'},
    db_members.SilentAboutAbsentMembersDriver: {'MEMBER-7'},
    db_uploads.IgnoresReservationsDriver: {'UPLOAD-5'},
    db_uploads.ReservesTooLateDriver: {'UPLOAD-5'},
    db_uploads.TakenOverTwiceDriver: {'UPLOAD-12'},
    db_uploads.AbortLeavesSizeDriver: {'UPLOAD-10'},
    db_uploads.AbortMovesAnythingDriver: {'UPLOAD-10'},
    db_uploads.FinishesDeletedDriver: {'UPLOAD-9', 'UPLOAD-16'},
    db_uploads.ForgetsTheLeaseDriver: {'UPLOAD-3', 'UPLOAD-15'},
    db_uploads.ImmortalLeaseDriver: {'UPLOAD-4'},
    db_uploads.CountsImagesOfOthersDriver: {'USAGE-1'},
    db_uploads.PurgesLiveImagesDriver: {'PURGE-1'},
    db_uploads.PurgesWithBytesLeftDriver: {'PURGE-1'},
    db_uploads.PurgesChildrenLastDriver: {'PURGE-2'},
    db_tasks.LosesRequestIdsDriver: {'TASK-1'},
    db_tasks.OverwritesTasksDriver: {'TASK-2'},
    db_tasks.OwnerlessTasksForAllDriver: {'TASK-3'},
    db_tasks.BreaksTiesUpwardsDriver: {'TASK-4'},
    db_tasks.TakesForeignMarkersDriver: {'TASK-5'},
    db_tasks.KeepsTotalsDriver: {'TASK-6'},
    db_tasks.AbsentTasksConflictDriver: {'TASK-7'},
    db_tasks.RevivesTasksDriver: {'TASK-8'},
    db_tasks.TwoWorkersWinDriver: {'TASK-8'},
    db_tasks.KeepsTokensDriver: {'TASK-9'},
    db_tasks.NeverExpiresDriver: {'TASK-9', 'TASK-11'},
    db_tasks.TakesRunningTasksForOrphansDriver: {'TASK-10'},
    db_tasks.ExpiresWithoutLimitDriver: {'TASK-11'},
    db_imports.TaskWithoutLeaseDriver: {'UPLOAD-15'},
    db_imports.FinishesEndedTasksDriver: {'UPLOAD-16'},
    db_imports.KeepsReservationsDriver: {'UPLOAD-17'},
    db_imports.AbortLeavesStagedDriver: {'UPLOAD-18'},
    db_imports.AbortLosesChangesDriver: {'UPLOAD-19'},
    db_imports.ClearsCopiedImagesDriver: {'UPLOAD-10'},
    db_imports.DeleteForgetsStagedDriver: {'IMAGE-DELETE-1'},
    db_imports.RestoresGivenUpDriver: {'IMAGE-RESTORE-2', 'UPLOAD-18'},
    db_imports.MissesGivenUpDriver: {'IMAGE-RESTORE-2'},
    db_imports.GivenUpAtOnceDriver: {'LOCATION-1'},
    db_imports.ForgetsStagedDriver: {'LOCATION-2'},
    db_imports.OldestStagedDriver: {'LOCATION-3'},
    db_imports.KeepsTheOldOrderDriver: {'LOCATION-4'},
    db_imports.SetsDuringUploadsDriver: {'LOCATION-5'},
    db_imports.TakesAnyLocationIdDriver: {'LOCATION-5'},
    db_imports.CountsStagedTwiceDriver: {'USAGE-1'},
    db_imports.PurgesStagedDriver: {'PURGE-1'},
}


def broken_clauses(driver: type) -> set[str]:
    """Run the whole suite on the driver; the clauses that its failing tests quote."""
    class Certified(DbSuite, unittest.TestCase):
        def make_driver(self):
            return driver(plugin.options_for(driver))

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Certified).run(result)
    return {clause for test, _ in result.failures + result.errors for clause in clauses_of(test)}


class BrokenDbDriversTest(base.TestCase):
    """One test for each broken driver, made below."""

    def test_every_broken_driver_is_expected_to_break_something(self):
        drivers = {kind for module in MODULES for kind in vars(module).values()
                   if isinstance(kind, type) and issubclass(kind, SimpleDriver) and kind is not SimpleDriver}
        self.assertEqual(drivers, set(EXPECTED))
        self.assertTrue(all(EXPECTED.values()))

    def test_the_driver_that_they_are_made_from_breaks_nothing(self):
        self.assertEqual(set(), broken_clauses(SimpleDriver))


def _breaks(driver: type, clauses: set[str]):
    def test(self):
        self.assertEqual(clauses, broken_clauses(driver))
    test.__doc__ = driver.__doc__
    return test


for _driver, _clauses in EXPECTED.items():
    setattr(BrokenDbDriversTest, f'test_{_driver.__name__}_breaks_exactly_its_clauses', _breaks(_driver, _clauses))
