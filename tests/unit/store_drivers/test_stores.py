"""The configured stores, by name and by location."""

from glancelike import errors, plugin
from glancelike.core.threads import NativeThreads
from glancelike.model.image import Location
from glancelike.store_drivers.filesystem import FilesystemStore
from glancelike.store_drivers.http import HttpStore
from glancelike.store_drivers.memory import MemoryStore
from glancelike.store_drivers.stores import Stores, StoreSpec
from tests import base


class Case(base.TestCase):

    def files(self, store_id, folder=None, **spec):
        driver = FilesystemStore(store_id, plugin.options_for(
            FilesystemStore, filesystem_store_datadir=str(self.tmp / (folder or store_id))))
        return StoreSpec(store_id, driver, driver_name='filesystem', **spec)

    def memory(self, store_id, **spec):
        return StoreSpec(store_id, MemoryStore(store_id, plugin.options_for(MemoryStore)), driver_name='memory', **spec)

    def web(self):
        return StoreSpec('web', HttpStore('web', plugin.options_for(HttpStore)), driver_name='http')

    def stores(self, *specs):
        return Stores(specs, NativeThreads())


class StoresTest(Case):

    def test_stores_are_found_by_id(self):
        stores = self.stores(self.files('fast', is_default=True, weight=5, description='SSD'), self.web())
        fast = stores.get('fast')
        self.assertEqual(('fast', 5, 'SSD', False, True, 'filesystem'),
                         (fast.id, fast.weight, fast.description, fast.read_only, fast.is_default, fast.driver_name))
        self.assertTrue(stores.get('web').read_only)
        self.assertIs(fast, stores.default)
        self.assertEqual({'fast': 5, 'web': 0}, stores.weights)
        self.assertEqual(['fast', 'web'], [one.id for one in stores.all()])

    def test_an_unknown_id_raises(self):
        self.assertRaises(errors.UnknownStore, self.stores(self.memory('m', is_default=True)).get, 'n')

    def test_the_reserved_store_is_kept_apart(self):
        stores = self.stores(self.files('fast', is_default=True), self.files('os_glance_staging_store', reserved=True))
        self.assertEqual(['fast'], [one.id for one in stores.all()])
        self.assertNotIn('os_glance_staging_store', stores.weights)
        self.assertRaises(errors.UnknownStore, stores.get, 'os_glance_staging_store')
        self.assertEqual('os_glance_staging_store', stores.reserved('os_glance_staging_store').id)
        self.assertIsNone(stores.reserved('fast'))

    def test_impossible_sets_of_stores_stop_the_start(self):
        for specs in ([], [self.memory('a')], [self.memory('a', is_default=True), self.memory('b', is_default=True)],
                      [self.memory('a', is_default=True), self.memory('a')],
                      [self.memory('a', is_default=True, reserved=True)]):
            self.assertRaises(errors.ConfigurationError, self.stores, *specs)


class LocationTest(Case):

    def test_a_location_that_names_its_store_belongs_to_it(self):
        stores = self.stores(self.files('a', is_default=True), self.files('b'))
        self.assertEqual('b', stores.for_location(Location(f'file://{self.tmp}/a/x', 'b')).id)

    def test_a_location_without_a_store_belongs_to_the_longest_prefix(self):
        stores = self.stores(self.files('wide', '.', is_default=True), self.files('deep', 'deep'), self.web())
        for url, wanted in ((f'file://{self.tmp}/x', 'wide'), (f'file://{self.tmp}/deep/x', 'deep'),
                            ('https://example.org/x', 'web')):
            self.assertEqual(wanted, stores.for_location(Location(url)).id)
            self.assertEqual(wanted, stores.for_location(Location(url, 'renamed since')).id)

    def test_a_directory_whose_name_begins_alike_is_another(self):
        stores = self.stores(self.files('images', is_default=True))
        self.assertRaises(errors.UnknownStore, stores.for_location, Location(f'file://{self.tmp}/images2/x'))

    def test_among_equals_the_default_store_serves(self):
        stores = self.stores(self.memory('a'), self.memory('b', is_default=True), self.memory('c'))
        self.assertEqual('b', stores.for_location(Location('memory://x')).id)

    def test_a_location_that_nobody_serves_raises_without_showing_it(self):
        stores = self.stores(self.memory('a', is_default=True))
        error = self.assertRaises(errors.UnknownStore, stores.for_location, Location('swift://user:pa55word@host/x'))
        self.assertNotIn('pa55word', f'{error} {error.facts}')


class StartTest(Case):

    def test_a_store_that_does_not_answer_is_served_as_down(self):
        spec = self.files('fast', is_default=True)
        (self.tmp / 'fast').rmdir()
        stores = self.stores(spec, self.memory('m'))
        stores.start_check()
        self.assertEqual(('down', 'up'), (stores.state('fast'), stores.state('m')))
        self.assertRaises(errors.StoreUnavailable, stores.default.add, 'x', [b'x'], 1)

    def test_a_store_that_will_never_work_stops_the_start(self):
        spec = self.memory('m', is_default=True)
        spec.driver.check = lambda: (_ for _ in ()).throw(errors.ConfigurationError(reason='no such bucket'))
        error = self.assertRaises(errors.ConfigurationError, self.stores(spec).start_check)
        self.assertIn("store 'm' (driver memory)", str(error))
        self.assertIn('no such bucket', str(error))

    def test_a_driver_that_fails_in_check_is_down(self):
        spec = self.memory('m', is_default=True)
        spec.driver.check = lambda: 1 / 0
        stores = self.stores(spec)
        stores.start_check()
        self.assertEqual('down', stores.state('m'))
