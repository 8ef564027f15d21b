"""Projects take turns."""

from testtools.matchers import Equals, Is

from glancelike.tasks.turns import Turns
from tests import base


class TurnsTest(base.TestCase):

    def begun(self, turns, waiting, count):
        """The owners of the next *count* tasks when all in *waiting* have something waiting all the time."""
        order = []
        for _ in range(count):
            owner = turns.next(waiting)
            turns.begin(owner)
            order.append(owner)
        return order

    def test_owners_alternate(self):
        self.assertThat(self.begun(Turns(6), ['many', 'few'], 4), Equals(['many', 'few', 'many', 'few']))

    def test_the_last_quarter_of_the_places_is_for_owners_who_have_nothing_running(self):
        turns = Turns(8)
        self.begun(turns, ['many'], 6)
        self.assertThat(turns.next(['many']), Equals(False))
        self.assertThat(self.begun(turns, ['many', 'new'], 1), Equals(['new']))
        self.assertThat(turns.next(['many', 'new']), Equals(False))

    def test_a_newcomer_comes_before_those_who_had_their_turn(self):
        turns = Turns(4)
        self.begun(turns, ['many'], 3)
        self.assertThat(turns.next(['many', 'new']), Equals('new'))

    def test_after_a_task_ended_the_one_who_waited_longest_is_next(self):
        turns = Turns(2)
        self.begun(turns, ['a', 'b'], 2)
        turns.end('a')
        turns.end('b')
        self.assertThat(turns.next(['b', 'a']), Equals('a'))

    def test_nobody_begins_when_all_places_are_taken(self):
        turns = Turns(2)
        self.begun(turns, ['a'], 2)
        self.assertThat(turns.next(['b']), Is(False))
        self.assertThat(turns.free, Equals(0))

    def test_an_owner_keeps_to_its_own_bound(self):
        turns = Turns(5, 2)
        self.begun(turns, ['a'], 2)
        self.assertThat(turns.next(['a']), Is(False))
        self.assertThat(turns.next(['a', 'b']), Equals('b'))

    def test_tasks_of_nobody_take_turns_too(self):
        turns = Turns(2)
        self.assertThat(self.begun(turns, ['a', None], 2), Equals(['a', None]))

    def test_owners_that_are_gone_are_forgotten(self):
        turns = Turns(1)
        for number in range(5000):
            turns.begin(f'owner {number}')
            turns.end(f'owner {number}')
        self.assertTrue(len(turns._last) <= 1001)
