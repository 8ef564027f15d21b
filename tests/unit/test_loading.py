"""Drivers by name: found, missing, broken, doubled; stores in the short and in the long form."""

import sys

from stevedore import ExtensionManager

from glancelike import config, errors, loading
from glancelike.plugin import StoreDriver
from tests import base

STORES = loading.NAMESPACES['store']
MODULE = '''
from glancelike.plugin import StoreDriver
from oslo_config import cfg
class Store(StoreDriver):
    SCHEMES = ('{scheme}',)
    OPTIONS = (cfg.StrOpt('{scheme}_path', default='nowhere', help='Where.'),
               cfg.IntOpt('{scheme}_room', min=1, default=5, help='How much.'))
'''


class LoadingTest(base.TestCase):

    def package(self, name, entry_points, **modules):
        """Put an installed-looking package on sys.path: its metadata and its modules."""
        folder = self.tmp / f'site-{name}'
        info = folder / f'{name}-1.5.dist-info'
        info.mkdir(parents=True)
        (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n')
        (info / 'entry_points.txt').write_text(entry_points)
        for module, text in modules.items():
            (folder / f'{module}.py').write_text(text)
            self.addCleanup(sys.modules.pop, module, None)
        sys.path.insert(0, str(folder))
        self.addCleanup(sys.path.remove, str(folder))
        # stevedore remembers what was installed when this process first asked.
        ExtensionManager.ENTRY_POINT_CACHE.clear()
        self.addCleanup(ExtensionManager.ENTRY_POINT_CACHE.clear)

    def conf(self, text):
        path = self.tmp / 'glance.conf'
        path.write_text(text)
        return config.load('glance-api', ['--config-file', str(path)])

    def refused(self, call, *args, **kwargs):
        return str(self.assertRaises(errors.ConfigurationError, call, *args, **kwargs))

    def test_a_driver_of_another_package_is_found_by_name(self):
        self.package('acme', f'[{STORES}]\ntape = acme_tape:Store\n', acme_tape=MODULE.format(scheme='tape'))
        self.assertEqual(('tape',), loading.driver_class(STORES, 'tape').SCHEMES)

    def test_a_missing_driver_is_told_with_option_file_namespace_and_what_is_installed(self):
        message = self.refused(loading.driver_class, STORES, 'tape', option='known_stores', files=['/etc/glance.conf'])
        for part in ('known_stores', '/etc/glance.conf', STORES, "'tape'", 'is not installed',
                     'filesystem (glancelike '):
            self.assertIn(part, message)

    def test_a_broken_driver_is_told_with_its_package_and_the_reason(self):
        self.package('acme', f'[{STORES}]\ntape = acme_broken:Store\n', acme_broken='import no_such_sdk\n')
        message = self.refused(loading.driver_class, STORES, 'tape')
        self.assertIn('acme 1.5', message)
        self.assertIn("No module named 'no_such_sdk'", message)

    def test_a_doubled_driver_is_told_with_both_packages(self):
        self.package('acme', f'[{STORES}]\ntape = acme_tape:Store\n', acme_tape=MODULE.format(scheme='tape'))
        self.package('copycat', f'[{STORES}]\ntape = copy_tape:Store\n', copy_tape=MODULE.format(scheme='tape'))
        message = self.refused(loading.driver_class, STORES, 'tape')
        self.assertIn('acme 1.5', message)
        self.assertIn('copycat 1.5', message)

    def test_an_entry_point_of_the_wrong_kind_is_refused(self):
        self.package('acme', f'[{STORES}]\ntape = acme_wrong:Thing\n', acme_wrong='class Thing:\n    pass\n')
        self.assertIn('StoreDriver', self.refused(loading.driver_class, STORES, 'tape'))

    def test_a_listing_shows_broken_drivers_with_the_reason(self):
        self.package('acme', f'[{STORES}]\ntape = acme_broken:Store\n', acme_broken='1 / 0\n')
        found = {one.name: one for one in loading.installed(STORES)}
        self.assertEqual('ZeroDivisionError: division by zero', found['tape'].error)
        self.assertEqual(('acme', '1.5'), (found['tape'].package, found['tape'].version))
        self.assertIsNone(found['memory'].error)

    def test_a_dotted_path_names_a_class(self):
        self.package('acme', '', acme_tape=MODULE.format(scheme='tape'))
        self.assertTrue(issubclass(loading.driver_class(STORES, 'acme_tape.Store'), StoreDriver))
        self.assertTrue(issubclass(loading.driver_class(STORES, 'acme_tape:Store'), StoreDriver))

    def test_a_dotted_module_is_asked_for_its_class_driver(self):
        self.package('acme', '', acme_db='from glancelike.plugin import DbDriver\nclass Driver(DbDriver):\n    pass\n')
        self.package('other', '', emptydb='')
        sys.path.insert(0, str(self.tmp))
        self.addCleanup(sys.path.remove, str(self.tmp))
        (self.tmp / 'pkg').mkdir()
        (self.tmp / 'pkg' / '__init__.py').write_text('')
        (self.tmp / 'pkg' / 'db.py').write_text('from acme_db import Driver\n')
        (self.tmp / 'pkg' / 'none.py').write_text('')
        self.assertEqual('Driver', loading.driver_class(loading.NAMESPACES['db'], 'pkg.db').__name__)
        self.assertIn('no class Driver', self.refused(loading.driver_class, loading.NAMESPACES['db'], 'pkg.none'))

    def test_a_dotted_path_that_leads_nowhere_is_told(self):
        self.assertIn('no_such_package', self.refused(loading.driver_class, STORES, 'no_such_package.store.Store'))

    def test_historical_names_mean_ours(self):
        ours = loading.driver_class(STORES, 'filesystem')
        for name in ('file', 'glance.store.filesystem.Store', 'glance_store._drivers.filesystem.Store'):
            self.assertIs(ours, loading.driver_class(STORES, name))
        db = loading.NAMESPACES['db']
        self.assertIs(loading.driver_class(db, 'simple'), loading.driver_class(db, 'glance.db.simple.api'))
        self.assertIs(loading.driver_class(db, 'sqlalchemy'), loading.driver_class(db, 'glance.db.sqlalchemy.api'))

    def test_the_short_form_becomes_the_long_one(self):
        conf = self.conf('[DEFAULT]\nknown_stores =\n    glance.store.filesystem.Store,\n    memory,\n'
                         'default_store = file\n')
        found = loading.store_configs(conf)
        self.assertEqual([('file', True), ('memory', False), ('os_glance_staging_store', False)],
                         [(one.id, one.is_default) for one in found])

    def test_options_of_the_short_form_stand_in_their_group_or_in_default(self):
        for group in ('glance_store', 'DEFAULT'):
            conf = self.conf(f'[{group}]\nmemory_store_max_bytes = 1234\n[DEFAULT]\nknown_stores = memory\n'
                             'default_store = memory\n')
            (found,) = loading.store_configs(conf)
            self.assertEqual(1234, loading.store_driver(conf, found).options.memory_store_max_bytes)

    def test_a_default_store_that_no_store_handles_stops_the_start(self):
        conf = self.conf('[DEFAULT]\nknown_stores = memory\ndefault_store = swift\n')
        self.assertIn("no store handles 'swift'", self.refused(loading.store_configs, conf))

    def test_two_stores_of_one_driver_have_a_group_each(self):
        conf = self.conf('[DEFAULT]\nenabled_backends = fast:memory, cold:memory\n'
                         '[glance_store]\ndefault_backend = cold\n'
                         '[backend_defaults]\nmemory_store_max_bytes = 7000\n'
                         '[fast]\nmemory_store_max_bytes = 5000\nweight = 3\nstore_description = quick\n')
        fast, cold = loading.store_configs(conf)
        self.assertEqual(('fast', 3, 'quick', False), (fast.id, fast.weight, fast.description, fast.is_default))
        self.assertTrue(cold.is_default)
        self.assertEqual(5000, loading.store_driver(conf, fast).options.memory_store_max_bytes)
        self.assertEqual(7000, loading.store_driver(conf, cold).options.memory_store_max_bytes)

    def test_the_long_form_needs_a_default_backend_of_its_own(self):
        for line in ('', 'default_backend = other\n'):
            conf = self.conf(f'[DEFAULT]\nenabled_backends = fast:memory\n[glance_store]\n{line}')
            self.assertIn('default_backend', self.refused(loading.store_configs, conf))

    def test_reserved_ids_are_refused(self):
        conf = self.conf('[DEFAULT]\nenabled_backends = os_glance_mine:memory\n')
        self.assertIn('os_glance_mine', self.refused(loading.store_configs, conf))

    def test_the_reserved_staging_store_is_no_ordinary_store(self):
        conf = self.conf('[DEFAULT]\nenabled_backends = fast:memory\n[glance_store]\ndefault_backend = fast\n'
                         f'[os_glance_staging_store]\nfilesystem_store_datadir = {self.tmp}/staging\n')
        staging = loading.store_configs(conf)[-1]
        self.assertEqual(('os_glance_staging_store', True, False), (staging.id, staging.reserved, staging.is_default))

    def test_a_value_out_of_range_names_the_option_and_the_store(self):
        self.package('acme', f'[{STORES}]\ntape = acme_tape:Store\n', acme_tape=MODULE.format(scheme='tape'))
        conf = self.conf('[DEFAULT]\nenabled_backends = vault:tape\n[glance_store]\ndefault_backend = vault\n'
                         '[vault]\ntape_room = 0\n')
        (vault,) = loading.store_configs(conf)
        self.assertIn('tape_room', self.refused(loading.store_driver, conf, vault))

    def test_a_value_that_mentions_an_unknown_option_stops_the_start_and_says_how_a_dollar_is_written(self):
        message = self.refused(self.conf, '[DEFAULT]\npublic_endpoint = http://$host/\n')
        for part in ('[DEFAULT] public_endpoint', 'glance.conf', '$host', '$$'):
            self.assertIn(part, message)

    def test_so_does_one_in_an_option_of_a_driver(self):
        conf = self.conf('[database]\nconnection = mysql+pymysql://glance:pa$word@db/glance\n')
        message = self.refused(loading.load_db_driver, conf)
        self.assertIn('[database] connection', message)
        self.assertNotIn('glance:pa', message)

    def test_a_wrong_value_is_told_with_its_group_and_file(self):
        conf = self.conf('[DEFAULT]\nenabled_backends = fast:memory\n[glance_store]\ndefault_backend = fast\n'
                         '[fast]\nweight = much\n')
        message = self.refused(loading.store_configs, conf)
        self.assertIn(f'[fast] weight: Value for option weight from {self.tmp}/glance.conf is not valid', message)

    def test_the_group_of_everything_is_no_store(self):
        conf = self.conf('[DEFAULT]\nenabled_backends = DEFAULT:memory\n[glance_store]\ndefault_backend = DEFAULT\n')
        self.assertIn('DEFAULT cannot be the id of a store', self.refused(loading.store_configs, conf))

    def test_a_constructor_that_raises_anything_stops_the_start_and_names_the_store(self):
        self.package('acme', f'[{STORES}]\ntape = acme_tape:Broken\n', acme_tape=MODULE.format(scheme='tape') + """
class Broken(Store):
    def __init__(self, store_id, options):
        raise KeyError('boom')
""")
        conf = self.conf('[DEFAULT]\nknown_stores = tape\ndefault_store = tape\n')
        (tape,) = loading.store_configs(conf)
        message = self.refused(loading.store_driver, conf, tape)
        for part in ("store 'tape'", 'acme_tape.Broken', "KeyError: 'boom'"):
            self.assertIn(part, message)

    def test_a_module_that_ends_the_process_while_it_is_imported_is_a_broken_driver(self):
        self.package('acme', f'[{STORES}]\ntape = acme_exit:Store\n', acme_exit='import sys; sys.exit(3)\n')
        self.assertIn('SystemExit: 3', self.refused(loading.driver_class, STORES, 'tape'))
        self.assertIn('SystemExit: 3', [one.error for one in loading.installed(STORES)])

    def test_two_drivers_with_one_option_in_one_group_are_told(self):
        other = MODULE.format(scheme='disk').replace("IntOpt('disk_room', min=1, default=5", "StrOpt('tape_room'")
        self.package('acme', f'[{STORES}]\ntape = acme_tape:Store\ndisk = acme_disk:Store\n',
                     acme_tape=MODULE.format(scheme='tape'), acme_disk=other)
        conf = self.conf('[DEFAULT]\nknown_stores = tape, disk\ndefault_store = tape\n')
        tape, disk = loading.store_configs(conf)
        loading.store_driver(conf, tape)
        self.assertIn('tape_room', self.refused(loading.store_driver, conf, disk))

    def test_schemes_and_options_of_the_wrong_kind_are_refused(self):
        for wrong in ("SCHEMES = 'tape'", 'OPTIONS = None'):
            self.package(f'acme{len(wrong)}', '', **{f'acme_{len(wrong)}':
                         MODULE.format(scheme='tape') + f'class Wrong(Store):\n    {wrong}\n'})
            message = self.refused(loading.driver_class, STORES, f'acme_{len(wrong)}.Wrong')
            self.assertIn(f'whose {wrong.partition(" ")[0]} is no tuple', message)
