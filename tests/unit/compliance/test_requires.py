"""The marks of a test: needed capabilities, refused capabilities, and quoted clauses."""

import unittest

from glancelike.compliance.requires import clauses_in, clauses_of, refuses, requires
from tests import base


class _Suite(unittest.TestCase):
    """A little suite for a driver that claims ADD only."""

    claimed = frozenset({'add'})
    driver_name = 'TinyStore'

    @requires('add')
    def test_add(self):
        """ADD-1: claimed."""

    @requires('add', 'random_read')
    def test_read(self):
        """GET-3, GET-4: not claimed as a whole."""

    @refuses('delete')
    def test_delete(self):
        """ALL-5: not claimed, so refused."""

    @refuses('add')
    def test_no_add(self):
        """ALL-5: claimed."""

    def test_without_clause(self):
        """This text speaks of ADD-1: but does not begin with it."""


class RequiresTest(base.TestCase):
    """What runs, what is skipped, and what a certificate can read."""

    def outcome(self, name):
        result = unittest.TestResult()
        _Suite(name).run(result)
        self.assertEqual([], result.errors + result.failures)
        return [reason for _, reason in result.skipped]

    def test_a_test_of_a_claimed_capability_runs(self):
        self.assertEqual([], self.outcome('test_add'))

    def test_a_test_of_a_capability_that_is_not_claimed_is_skipped_and_says_so(self):
        self.assertEqual(['TinyStore does not claim RANDOM_READ'], self.outcome('test_read'))

    def test_a_test_of_a_refusal_runs_for_what_is_not_claimed(self):
        self.assertEqual([], self.outcome('test_delete'))

    def test_a_test_of_a_refusal_is_skipped_for_what_is_claimed(self):
        self.assertEqual(['TinyStore claims ADD'], self.outcome('test_no_add'))

    def test_the_marks_can_be_read(self):
        self.assertEqual({'add', 'random_read'}, _Suite.test_read.requires)
        self.assertEqual('delete', _Suite.test_delete.refuses)

    def test_clauses_are_read_from_a_test_case_and_from_a_function(self):
        self.assertEqual(('GET-3', 'GET-4'), clauses_of(_Suite('test_read')))
        self.assertEqual(('ADD-1',), clauses_of(_Suite.test_add))

    def test_a_test_whose_docstring_begins_otherwise_quotes_nothing(self):
        self.assertEqual((), clauses_of(_Suite.test_without_clause))
        self.assertEqual((), clauses_of(lambda self: None))

    def test_a_clause_is_defined_where_it_begins_a_line_before_two_blanks(self):
        self.assertEqual(('FORM-1', 'FORM-2', 'FORM-3'), clauses_in(_contract))


def _contract():
    """FORM-1  The first.

    FORM-2  The second; FORM-9  is a mention, and so is UTF-8.
    FORM-8 with one blank is none either; FORM-1  again is the same.
        FORM-3  The third.
    """
