"""Every option is read by something, and each stands in one place."""

import ast
import collections
import pathlib

import glancelike
from glancelike import loading
from glancelike.conf import obsolete
from tests import base

ROOT = pathlib.Path(glancelike.__file__).parent
#: Where options are only defined or listed, not read.
_NOT_READERS = ('conf',)


def names_read():
    """Attribute names and text constants of the whole source outside of definitions: how options are read here."""
    names = collections.Counter()
    for path in ROOT.rglob('*.py'):
        if path.relative_to(ROOT).parts[0] in _NOT_READERS:
            continue
        tree = ast.parse(path.read_text())
        defined = {id(call.args[0]) for call in ast.walk(tree) if isinstance(call, ast.Call) and call.args
                   and isinstance(call.func, ast.Attribute) and call.func.attr.endswith('Opt')}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                names[node.attr] += 1
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in defined:
                names[node.value] += 1
    return names


def ours():
    """(group, option, of a driver) of everything that this package defines."""
    for group, options in loading.conf_groups():
        for option in options:
            yield group, option, False
    for namespace in loading.NAMESPACES.values():
        for one in loading.installed(namespace):
            if one.package == 'glancelike' and one.error is None:
                found = loading.driver_class(namespace, one.name)
                for option in getattr(found, 'OPTIONS', ()):
                    yield getattr(found, 'OPTION_GROUP', 'glance_store'), option, True


class OptionsTest(base.TestCase):

    def test_every_option_is_read_somewhere(self):
        read = names_read()
        self.assertEqual([], sorted(f'[{group}] {option.name}' for group, option, _ in ours()
                                    if not read[option.dest]))

    def test_no_option_is_defined_twice(self):
        seen = collections.Counter((group, option.dest) for group, option, _ in set(ours()))
        self.assertEqual([], sorted(name for name, count in seen.items() if count > 1))

    def test_no_option_is_known_and_obsolete_at_once(self):
        both = []
        for group, option, _ in ours():
            reasons = obsolete.REASONS.get(group, {})
            both += [f'[{group}] {option.name}'] if option.dest in reasons or '*' in reasons else []
            for old in option.deprecated_opts:
                old_reasons = obsolete.REASONS.get(old.group or group, {})
                name = (old.name or option.name).replace('-', '_')
                both += [f'[{old.group or group}] {name}'] if name in old_reasons else []
        self.assertEqual([], both)

    def test_files_of_options_hold_options_and_nothing_else(self):
        for path in (ROOT / 'conf').glob('*.py'):
            if path.name in ('__init__.py', 'obsolete.py'):
                continue
            statements = ast.parse(path.read_text()).body
            wrong = [type(node).__name__ for node in statements
                     if not isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign)
                     and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
            self.assertEqual([], wrong, path.name)
