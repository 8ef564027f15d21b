"""The location strategies of this tree are held to their contract."""

from glancelike import plugin
from glancelike.compliance.location_strategy import LocationStrategySuite
from glancelike.location_strategies.location_order import LocationOrder
from glancelike.location_strategies.store_type import StoreType
from glancelike.location_strategies.weight import Weight
from tests import base


class LocationOrderTest(LocationStrategySuite, base.TestCase):
    def make_strategy(self, weights):
        return LocationOrder(plugin.options_for(LocationOrder), weights)


class WeightTest(LocationStrategySuite, base.TestCase):
    def make_strategy(self, weights):
        return Weight(plugin.options_for(Weight), weights)


class StoreTypeTest(LocationStrategySuite, base.TestCase):
    def make_strategy(self, weights):
        return StoreType(plugin.options_for(StoreType, store_type_preference=['rbd', 'http', 'swift']), weights)


class StoreTypeWithoutPreferenceTest(LocationStrategySuite, base.TestCase):
    def make_strategy(self, weights):
        return StoreType(plugin.options_for(StoreType), weights)
