"""What each strategy prefers; that it keeps its contract is the business of tests/compliance."""

from glancelike import plugin
from glancelike.location_strategies.location_order import LocationOrder
from glancelike.location_strategies.store_type import StoreType
from glancelike.location_strategies.weight import Weight
from glancelike.model.image import Location
from tests import base

FILE = Location('file:///a', store='slow', id=1)
WEB = Location('https://web/a', store='web', id=2)
RBD = Location('rbd://pool/a', store='fast', id=3)
SWIFT = Location('swift+https://host/c/a', store='far', id=4)
VSPHERE = Location('vsphere://host/a', store=None, id=5)
ALL = (FILE, WEB, RBD, SWIFT, VSPHERE)


class StrategiesTest(base.TestCase):

    def by_type(self, *preference):
        strategy = StoreType(plugin.options_for(StoreType, store_type_preference=list(preference)), {})
        return [one.id for one in strategy.ordered(ALL)]

    def test_location_order_keeps_the_stored_order(self):
        self.assertEqual(list(ALL), LocationOrder(plugin.options_for(LocationOrder), {'fast': 9}).ordered(ALL))

    def test_weight_takes_the_heavier_store_first_and_counts_unknown_ones_as_0(self):
        strategy = Weight(plugin.options_for(Weight), {'fast': 10, 'web': -1, 'far': 10})
        self.assertEqual([3, 4, 1, 5, 2], [one.id for one in strategy.ordered(ALL)])

    def test_store_type_takes_listed_kinds_in_their_order_and_the_others_after_them(self):
        self.assertEqual([3, 1, 2, 4, 5], self.by_type('rbd', 'file'))

    def test_store_type_without_a_list_keeps_the_stored_order(self):
        self.assertEqual([1, 2, 3, 4, 5], self.by_type())

    def test_operators_names_stand_for_their_url_schemes(self):
        self.assertEqual([2, 4, 5, 1, 3], self.by_type('http', 'swift', 'vmware', 'filesystem'))

    def test_a_scheme_that_nobody_knows_may_be_listed(self):
        self.assertEqual([5, 1, 2, 3, 4], self.by_type(' vsphere ', 'tape'))

    def test_upper_case_in_the_list_or_the_url_is_the_same(self):
        strategy = StoreType(plugin.options_for(StoreType, store_type_preference=['RBD']), {})
        shouting = Location('RBD://pool/a', id=9)
        self.assertEqual([9, 1], [one.id for one in strategy.ordered((FILE, shouting))])
