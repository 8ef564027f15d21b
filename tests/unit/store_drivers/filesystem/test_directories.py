"""The limit on hanging file operations."""

from glancelike.plugin import errors
from glancelike.store_drivers.filesystem.directories import HangLimit
from tests import base


class HangLimitTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.now = 0.0

    def limit(self, seconds=10, operations=4, percent=50):
        return HangLimit('files', seconds, operations, percent, clock=lambda: self.now)

    def test_operations_are_refused_while_too_many_hang(self):
        limit = self.limit()
        with limit.running(), limit.running():
            self.now = 11
            with self.assertRaisesRegex(errors.StoreUnavailable, 'files'):
                limit.running().__enter__()
        with limit.running():
            pass

    def test_many_quick_operations_are_no_trouble(self):
        limit = self.limit()
        with limit.running(), limit.running(), limit.running(), limit.running(), limit.running():
            self.now = 9

    def test_one_hanging_operation_below_the_threshold_is_borne(self):
        limit = self.limit()
        with limit.running():
            self.now = 1000
            with limit.running():
                pass

    def test_zero_seconds_is_no_limit(self):
        limit = self.limit(seconds=0)
        with limit.running(), limit.running(), limit.running():
            self.now = 10**6
            with limit.running():
                pass
