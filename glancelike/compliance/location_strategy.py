"""The suite for location strategies: every clause of ``glancelike/location_strategies/base.py``.

::

    class NearestTest(LocationStrategySuite, testtools.TestCase):
        def make_strategy(self, weights):
            return Nearest(plugin.options_for(Nearest), weights)
"""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from glancelike.plugin import Location, LocationStrategy

WEIGHTS: Mapping[str, int] = MappingProxyType({'fast': 10, 'cold': -5, 'spare': 0, 'other': 0})


def _location(number: int, url: str, store: str | None) -> Location:
    return Location(url, store=store, metadata={'number': number}, id=number)


_LOCATIONS = tuple(_location(number, url, store) for number, (url, store) in enumerate((
    ('file:///spare/a', 'spare'), ('file:///fast/a', 'fast'), ('http://web/a', 'other'), ('file:///cold/a', 'cold'),
    ('rbd://pool/a', None), ('swift+https://user@host/c/a', 'removed'), ('file:///spare/b', 'spare'),
    ('http://web/b', 'other'), ('file:///fast/b', 'fast'))))

_ODD = tuple(_location(100 + number, url, store) for number, (url, store) in enumerate((
    ('', None), ('no scheme', ''), (':', 'fast'), ('FILE:///x', 'FAST'), ('x' * 10_000, 'nowhere'), ('🦊://a', '🦊'))))


class LocationStrategySuite:
    """Mix into ``testtools.TestCase`` or ``unittest.TestCase``."""

    # --- what the author gives ---------------------------------------------------------------------------------

    def make_strategy(self, weights: Mapping[str, int]) -> LocationStrategy:
        """A strategy that has a preference among some of the places that the suite uses, or none at all.

        :param weights: weight of each configured store by its id
        """
        raise NotImplementedError('give make_strategy()')

    # --- the tests ---------------------------------------------------------------------------------------------

    def _samples(self) -> list[tuple[Location, ...]]:
        shuffled = [tuple(random.Random(seed).sample(_LOCATIONS, count)) for seed, count in enumerate((2, 3, 5, 9, 9))]
        return [(), _LOCATIONS[:1], _LOCATIONS, _LOCATIONS[::-1], *shuffled]

    def _ids(self, locations: Sequence[Location]) -> list[int | None]:
        return [one.id for one in locations]

    def test_every_location_comes_back_once(self):
        """ORDER-1: none is lost, invented or doubled, also where the store is not configured any more."""
        strategy = self.make_strategy(dict(WEIGHTS))
        for given in self._samples():
            found = strategy.ordered(given)
            self.assertEqual(sorted(self._ids(given)), sorted(self._ids(found)))

    def test_the_locations_are_those_that_were_given(self):
        """ORDER-1: the values are not replaced by other ones."""
        strategy = self.make_strategy(dict(WEIGHTS))
        given = {one.id: one for one in _LOCATIONS}
        self.assertEqual([], [one.id for one in strategy.ordered(_LOCATIONS) if one != given.get(one.id)])

    def test_two_equal_copies_are_two(self):
        """ORDER-1: the same place listed twice comes back twice."""
        strategy = self.make_strategy(dict(WEIGHTS))
        self.assertEqual(2, len(strategy.ordered([_LOCATIONS[0], _LOCATIONS[0]])))

    def test_without_a_preference_the_given_order_stays(self):
        """ORDER-2: two locations that keep their order, whichever comes first, keep it in every list."""
        strategy = self.make_strategy(dict(WEIGHTS))
        for given in self._samples():
            place = {one.id: number for number, one in enumerate(strategy.ordered(given))}
            for one, other in itertools.combinations(given, 2):
                if self._indifferent(strategy, one, other) and place.keys() >= {one.id, other.id}:
                    self.assertLess(place[one.id], place[other.id], f'{one.url} was given before {other.url}')

    def test_copies_of_which_nothing_differs_keep_their_order(self):
        """ORDER-2: there can be no preference among copies in one place."""
        strategy = self.make_strategy(dict(WEIGHTS))
        for first in _LOCATIONS:
            given = [Location(first.url, store=first.store, id=number) for number in (3, 1, 2)]
            found = self._ids(strategy.ordered(given))
            self.assertEqual([one for one in (3, 1, 2) if one in found], found)

    def test_what_is_in_order_stays_in_order(self):
        """ORDER-2: ordering twice is ordering once."""
        strategy = self.make_strategy(dict(WEIGHTS))
        for given in self._samples():
            once = strategy.ordered(given)
            self.assertEqual(self._ids(once), self._ids(strategy.ordered(once)))

    def test_the_given_list_is_left_alone(self):
        """ORDER-3: neither the list nor a location in it is changed, and the result is another list."""
        strategy = self.make_strategy(dict(WEIGHTS))
        given = list(_LOCATIONS)
        before = copy.deepcopy(given)
        found = strategy.ordered(given)
        found.append(None)
        self.assertEqual(before, given)

    def test_the_weights_are_left_alone(self):
        """ORDER-3: they belong to the service."""
        weights = dict(WEIGHTS)
        self.make_strategy(weights).ordered(_LOCATIONS + _ODD)
        self.assertEqual(dict(WEIGHTS), weights)

    def test_no_location_makes_it_raise(self):
        """ORDER-3: also not a URL without a scheme, or a store that nobody knows."""
        for weights in (dict(WEIGHTS), {}):
            strategy = self.make_strategy(weights)
            for one in _ODD:
                strategy.ordered((one,))
            strategy.ordered(_ODD + _LOCATIONS)

    def _indifferent(self, strategy: LocationStrategy, one: Location, other: Location) -> bool:
        return (self._ids(strategy.ordered((one, other))) == [one.id, other.id]
                and self._ids(strategy.ordered((other, one))) == [other.id, one.id])
