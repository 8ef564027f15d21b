"""Finding glance.conf, reading it, and naming what in it has no effect."""

import os

from glancelike import config, errors, loading
from glancelike.policies.enforcer import Enforcer
from tests import base


class ConfigTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.addCleanup(os.chdir, os.getcwd())
        self.home = self.tmp / 'home'
        self.here = self.tmp / 'here'
        self.home.mkdir()
        self.here.mkdir()
        os.chdir(self.here)
        old = os.environ.get('HOME')
        os.environ['HOME'] = str(self.home)
        self.addCleanup(os.environ.__setitem__, 'HOME', old)

    def write(self, path, text='[DEFAULT]\n'):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def test_no_file_anywhere_is_the_error_that_the_manual_shows(self):
        error = self.assertRaises(errors.ConfigurationError, config.load, 'glance-api', [], environ={})
        self.assertEqual('Unable to locate any configuration file. Cannot load application glance-api', str(error))

    def test_the_program_in_the_message_is_the_one_that_asks(self):
        error = self.assertRaises(errors.ConfigurationError, config.load, 'glance-manage', [], environ={})
        self.assertIn('Cannot load application glance-manage', str(error))

    def test_the_current_directory_comes_before_the_home_directory(self):
        self.write(self.home / 'glance.conf', '[DEFAULT]\ndata_api = far\n')
        self.write(self.here / 'glance.conf', '[DEFAULT]\ndata_api = near\n')
        self.assertEqual('near', config.load('glance-api', [], environ={}).data_api)

    def test_the_hidden_folder_of_the_home_directory_is_searched(self):
        self.write(self.home / '.glance' / 'glance.conf', '[DEFAULT]\ndata_api = hidden\n')
        self.assertEqual('hidden', config.load('glance-api', [], environ={}).data_api)

    def test_the_programs_own_file_comes_before_glance_conf(self):
        self.write(self.here / 'glance.conf', '[DEFAULT]\ndata_api = shared\n')
        self.write(self.here / 'glance-manage.conf', '[DEFAULT]\ndata_api = own\n')
        self.assertEqual('own', config.load('glance-manage', [], environ={}).data_api)
        self.assertEqual('shared', config.load('glance-api', [], environ={}).data_api)

    def test_the_environment_wins_over_the_search_list(self):
        self.write(self.here / 'glance.conf', '[DEFAULT]\ndata_api = here\n')
        folder = self.tmp / 'etc'
        self.write(folder / 'glance-api.conf', '[DEFAULT]\ndata_api = etc\n')
        self.assertEqual('etc', config.load('glance-api', [], environ={'OS_GLANCE_CONFIG_DIR': str(folder)}).data_api)

    def test_the_command_line_wins_over_the_environment(self):
        folder = self.tmp / 'etc'
        self.write(folder / 'glance-api.conf', '[DEFAULT]\ndata_api = etc\n')
        named = self.write(self.tmp / 'named.conf', '[DEFAULT]\ndata_api = named\n')
        conf = config.load('glance-api', ['--config-file', named], environ={'OS_GLANCE_CONFIG_DIR': str(folder)})
        self.assertEqual('named', conf.data_api)

    def test_the_import_file_of_glance_is_read_before_its_main_file(self):
        folder = self.tmp / 'etc'
        self.write(folder / 'glance-api.conf', '[DEFAULT]\ndata_api = main\n')
        self.write(folder / 'glance-image-import.conf', '[DEFAULT]\ndata_api = import\ndefault_store = http\n')
        conf = config.load('glance-api', [], environ={'OS_GLANCE_CONFIG_DIR': str(folder)})
        self.assertEqual(('main', 'http'), (conf.data_api, conf.default_store))

    def test_a_server_takes_its_file_as_the_first_argument(self):
        named = self.write(self.tmp / 'named.conf', '[DEFAULT]\ndata_api = named\n')
        conf = config.load('glance-api', [named, '--debug'], positional_file=True, environ={})
        self.assertEqual(('named', True), (conf.data_api, conf.debug))

    def test_a_positional_file_that_is_not_there_is_named(self):
        error = self.assertRaises(errors.ConfigurationError, config.load, 'glance-api', ['nowhere.conf'],
                                  positional_file=True, environ={})
        self.assertIn('nowhere.conf', str(error))

    def test_a_value_of_the_wrong_type_names_the_option(self):
        named = self.write(self.tmp / 'named.conf', '[DEFAULT]\ndb_auto_create = perhaps\n')
        error = self.assertRaises(errors.ConfigurationError, config.load, 'glance-api', ['--config-file', named])
        self.assertIn('db_auto_create', str(error))

    def test_a_malformed_file_is_named(self):
        named = self.write(self.tmp / 'named.conf', 'nonsense\n')
        error = self.assertRaises(errors.ConfigurationError, config.load, 'glance-api', ['--config-file', named])
        self.assertIn('named.conf', str(error))

    def test_an_unknown_option_an_obsolete_one_and_a_future_one_are_each_warned_about_once(self):
        named = self.write(self.tmp / 'named.conf',
                           '[DEFAULT]\nknwon_stores = http\ndigest_algorithm = sha256\ndata_api = simple\n'
                           '[image_conversion]\noutput_format = raw\n'
                           '[keystone_authtoken]\nwhatever = 1\n')
        conf = config.load('glance-api', ['--config-file', named])
        warnings = config.warn_without_effect(conf)
        self.assertEqual(3, len(warnings), warnings)
        self.assertIn('[DEFAULT] knwon_stores', warnings[0])
        self.assertIn('[DEFAULT] digest_algorithm', warnings[1])
        self.assertIn('[image_conversion] output_format', warnings[2])
        self.assertIn(named, warnings[0])

    def test_an_option_that_another_one_overrides_is_warned_about(self):
        for text, expected in (
                ('[DEFAULT]\nenabled_backends = a:memory\nknown_stores = http\ndefault_store = http\n'
                 '[glance_store]\nstores = http\ndefault_store = http\ndefault_backend = a\n',
                 ['known_stores', 'default_store', 'stores', 'default_store']),
                ('[DEFAULT]\nknown_stores = http\n[glance_store]\nstores = memory\ndefault_store = memory\n'
                 'default_backend = a\n', ['known_stores', 'default_backend']),
                ('[DEFAULT]\nuser_storage_quota = 1GB\nuse_keystone_limits = true\n', ['user_storage_quota']),
                ('[DEFAULT]\nuser_storage_quota = 1GB\nknown_stores = memory\ndefault_store = memory\n', [])):
            conf = config.load('glance-api', ['--config-file', self.write(self.tmp / 'named.conf', text)])
            warnings = config.warn_without_effect(conf)
            self.assertEqual(expected, [one.split()[1] for one in warnings], warnings)

    def test_older_policy_defaults_are_asked_for_in_vain(self):
        for value, expected in (('true', []), ('false', ['enforce_new_defaults'])):
            named = self.write(self.tmp / 'named.conf', f'[oslo_policy]\nenforce_new_defaults = {value}\n')
            conf = config.load('glance-api', ['--config-file', named])
            Enforcer(conf)  # registers the options of oslo.policy
            self.assertEqual(expected, [one.split()[1] for one in config.warn_without_effect(conf)])

    def test_a_file_beside_the_main_one_is_found(self):
        named = self.write(self.tmp / 'etc' / 'named.conf')
        rules = self.write(self.tmp / 'etc' / 'rules.conf')
        conf = config.load('glance-api', ['--config-file', named])
        self.assertEqual(rules, config.beside(conf, 'rules.conf'))
        self.assertIsNone(config.beside(conf, 'nothing.conf'))

    def test_help_needs_no_file(self):
        self.assertRaises(SystemExit, config.load, 'glance-api', ['--help'], environ={})

    def test_every_option_of_the_conf_files_has_a_help_text(self):
        for group, options in loading.conf_groups():
            for option in options:
                self.assertTrue(option.help and len(option.help) > 20, f'[{group}] {option.name}')
        self.assertGreater(len(list(loading.conf_groups())), 3)
