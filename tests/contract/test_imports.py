"""Who may import whom: the table of docs/contributors/architecture.rst, read with ast."""

import ast
import pathlib
import sys

import testtools

import glancelike

ROOT = pathlib.Path(glancelike.__file__).parent
STDLIB = sys.stdlib_module_names


def modules():
    """(dotted name, path) of every module of the package."""
    for path in sorted(ROOT.rglob('*.py')):
        parts = ('glancelike', *path.relative_to(ROOT).with_suffix('').parts)
        yield '.'.join(parts[:-1] if parts[-1] == '__init__' else parts), path


def imports(path):
    """(dotted name, only for type checkers) of every import in the file, wherever it stands."""
    tree = ast.parse(path.read_text())
    typing_only = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == 'TYPE_CHECKING':
            typing_only.update(id(inner) for inner in ast.walk(node))
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                yield f'{node.module}.{alias.name}'


def below(name, *packages):
    return any(name == package or name.startswith(package + '.') for package in packages)


G = 'glancelike'
VALUES = (f'{G}.model', f'{G}.errors', f'{G}.context')
CONTRACTS = (f'{G}.store_drivers.base', f'{G}.db_drivers.base', f'{G}.db_drivers.query', f'{G}.db_drivers.visibility',
             f'{G}.property_protections.base', f'{G}.location_strategies.base', f'{G}.tasks.base',
             f'{G}.tasks.import_methods.base', f'{G}.tasks.import_plugins.base', f'{G}.plugin')
NETWORK_MAY = (f'{G}.errors', f'{G}.network', 'oslo_config')
CORE_MAY = (*VALUES, *CONTRACTS, f'{G}.core', f'{G}.policies.enforcer', f'{G}.notifications.events',
            f'{G}.store_drivers.stores', f'{G}.store_drivers.checked')
DRIVER_FOLDERS = ('store_drivers', 'db_drivers', 'property_protections', 'location_strategies')
NOT_DRIVERS = ('base', 'query', 'visibility', 'wire', 'checked', 'stores')


def drivers():
    """(dotted name, path, own folder) of every module of a driver."""
    for name, path in modules():
        parts = name.split('.')
        if len(parts) >= 3 and parts[1] in DRIVER_FOLDERS and parts[2] not in NOT_DRIVERS:
            yield name, path, '.'.join(parts[:3] if path.parent.name != parts[1] else parts[:2])
        if below(name, f'{G}.tasks.import_methods', f'{G}.tasks.import_plugins') and parts[3:] not in ([], ['base']):
            yield name, path, '.'.join(parts[:4])


class ImportTest(testtools.TestCase):

    def hold(self, offenders):
        self.assertEqual([], sorted(offenders))

    def test_drivers_import_plugin_and_their_own_folder_only(self):
        self.hold(f'{name} imports {found}' for name, path, folder in drivers() for found in imports(path)
                  if below(found, G) and not below(found, f'{G}.plugin', folder))

    def test_a_driver_in_one_folder_imports_no_other_driver(self):
        names = {name for name, _path, _folder in drivers()}
        self.hold(f'{name} imports {found}' for name, path in modules() for found in imports(path)
                  if any(below(found, driver) for driver in names)
                  and not any(below(name, folder) for driver, _p, folder in drivers() if below(found, driver))
                  and name != f'{G}.cmd.manage' and name != f'{G}.cmd.status')

    def test_values_import_the_standard_library_only(self):
        self.hold(f'{name} imports {found}' for name, path in modules() if below(name, *VALUES)
                  for found in imports(path) if found.split('.')[0] not in STDLIB and not below(found, *VALUES))

    def test_the_network_code_imports_errors_and_options_only(self):
        self.hold(f'{name} imports {found}' for name, path in modules() if below(name, f'{G}.network')
                  for found in imports(path) if found.split('.')[0] not in STDLIB and not below(found, *NETWORK_MAY))

    def test_core_imports_contracts_policy_events_and_stores_only(self):
        self.hold(f'{name} imports {found}' for name, path in modules() if below(name, f'{G}.core')
                  for found in imports(path) if below(found, G) and not below(found, *CORE_MAY))

    def test_core_knows_no_http_no_sql_and_no_server(self):
        self.hold(f'{name} imports {found}' for name, path in modules() if below(name, f'{G}.core')
                  for found in imports(path)
                  if found.split('.')[0] in ('webob', 'routes', 'sqlalchemy', 'eventlet', 'paste', 'oslo_config'))

    def test_eventlet_is_imported_by_the_server_only(self):
        self.hold(f'{name} imports {found}' for name, path in modules() for found in imports(path)
                  if found.split('.')[0] in ('eventlet', 'greenlet') and name != f'{G}.wsgi.server')

    def test_stevedore_is_imported_by_loading_only(self):
        self.hold(f'{name} imports {found}' for name, path in modules() for found in imports(path)
                  if found.split('.')[0] == 'stevedore' and name != f'{G}.loading')

    def test_nobody_imports_app_or_cmd(self):
        self.hold(f'{name} imports {found}' for name, path in modules() for found in imports(path)
                  if below(found, f'{G}.cmd') or below(found, f'{G}.app')
                  if not below(name, f'{G}.cmd') and name not in (f'{G}.wsgi_app', f'{G}.app'))

    def test_the_http_machinery_knows_nothing_of_images(self):
        self.hold(f'{name} imports {found}' for name, path in modules() if below(name, f'{G}.wsgi')
                  for found in imports(path)
                  if below(found, G) and not below(found, f'{G}.wsgi', f'{G}.errors', f'{G}.context',
                                                   f'{G}.core.threads'))

    def test_compliance_imports_testtools_and_plugin_only(self):
        self.hold(f'{name} imports {found}' for name, path in modules() if below(name, f'{G}.compliance')
                  and name != f'{G}.compliance.installed' for found in imports(path)
                  if not below(found, f'{G}.plugin', f'{G}.compliance', 'testtools')
                  and found.split('.')[0] not in STDLIB)

    def test_api_versions_do_not_import_each_other(self):
        self.hold(f'{name} imports {found}' for name, path in modules() for found in imports(path)
                  if (below(name, f'{G}.api.v1') and below(found, f'{G}.api.v2'))
                  or (below(name, f'{G}.api.v2') and below(found, f'{G}.api.v1')))

    def test_only_faults_speaks_webob_exceptions(self):
        self.hold(f'{name} imports {found}' for name, path in modules() for found in imports(path)
                  if below(found, 'webob.exc') and name != f'{G}.wsgi.faults')
