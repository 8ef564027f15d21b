"""Every entry point of setup.cfg loads, is of its kind, and keeps to the rules for its kind."""

import configparser
import importlib.metadata
import inspect
import pathlib

from oslo_config import cfg
from oslo_policy import policy

from glancelike import loading
from tests import base

SETUP = pathlib.Path(__file__).parents[2] / 'setup.cfg'


def entry_points():
    """(namespace, entry point) as setup.cfg has them, installed or not."""
    parser = configparser.ConfigParser(delimiters=('=',))
    parser.optionxform = str
    parser.read(SETUP)
    for namespace, text in parser['options.entry_points'].items():
        for line in text.strip().splitlines():
            name, _, target = line.partition('=')
            yield namespace, importlib.metadata.EntryPoint(name.strip(), target.strip(), namespace)


class EntryPointsTest(base.TestCase):

    def of(self, namespace):
        found = [one for group, one in entry_points() if group == namespace]
        self.assertNotEqual([], found, namespace)
        return found

    def test_every_entry_point_loads(self):
        broken = []
        for namespace, one in entry_points():
            try:
                self.assertTrue(callable(one.load()))
            except Exception as error:  # any: this is what the test is about
                broken.append(f'{namespace} {one.name}: {error!r}')
        self.assertEqual([], broken)

    def test_every_driver_is_of_its_kind(self):
        for namespace in loading.NAMESPACES.values():
            for one in self.of(namespace):
                self.assertIsNone(loading._load_error(namespace, one), f'{namespace} {one.name}')

    def test_what_is_installed_is_what_setup_cfg_says(self):
        """An old installation hides a new entry point: ``pip install -e .`` again."""
        for namespace in loading.NAMESPACES.values():
            installed = {(one.name, one.target) for one in loading.installed(namespace, load=False)
                         if one.package == 'glancelike'}
            self.assertEqual({(one.name, one.value) for one in self.of(namespace)}, installed)

    def test_every_driver_has_a_class_docstring(self):
        for namespace in loading.NAMESPACES.values():
            for one in self.of(namespace):
                self.assertTrue(vars(one.load())['__doc__'], f'{namespace} {one.name}')

    def test_every_driver_implements_what_its_contract_leaves_open(self):
        """A method of the contract that only raises NotImplementedError is one that each driver must have."""
        for namespace in loading.NAMESPACES.values():
            contract = loading._BASES[namespace]
            left_open = [name for name, method in inspect.getmembers(contract, inspect.isfunction)
                         if inspect.getsource(method).rstrip().endswith('raise NotImplementedError')]
            for one in self.of(namespace):
                found = one.load()
                self.assertEqual([], [name for name in left_open if getattr(found, name) is getattr(contract, name)],
                                 f'{namespace} {one.name}')

    def test_options_of_drivers_are_options_with_a_help_text(self):
        for namespace in loading.NAMESPACES.values():
            for one in self.of(namespace):
                for option in getattr(one.load(), 'OPTIONS', ()):
                    self.assertIsInstance(option, cfg.Opt)
                    self.assertTrue(option.help and len(option.help) > 15, f'{one.name}: {option.name}')

    def test_programs_take_a_command_line_and_return_a_code(self):
        for one in self.of('console_scripts'):
            main = one.load()
            self.assertEqual('main', main.__name__)
            self.assertTrue(one.module.startswith('glancelike.cmd.'), one.value)
            required = [parameter for parameter in inspect.signature(main).parameters.values()
                        if parameter.default is inspect.Parameter.empty]
            self.assertEqual([], required, one.name)

    def test_the_generators_get_what_they_want(self):
        (options,) = self.of('oslo.config.opts')
        self.assertIn('DEFAULT', dict(options.load()()))
        (rules,) = self.of('oslo.policy.policies')
        self.assertIsInstance(rules.load()()[0], policy.RuleDefault)
        (enforcer,) = self.of('oslo.policy.enforcer')
        self.assertIsInstance(enforcer.load()(), policy.Enforcer)
