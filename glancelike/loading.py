"""Drivers by name: the only module that knows stevedore.

Strict on purpose. stevedore's NamedExtensionManager skips a driver that fails to import, only warns about a
missing name and gives a doubled name to the last one found; here each of the three stops the start with a
message that names the option, the file, the namespace, the name asked for, the names installed and who
supplies them.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.metadata
import logging
import os
import pkgutil
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from oslo_config import cfg
from stevedore import DriverManager, ExtensionManager

from glancelike import conf as conf_package
from glancelike import errors
from glancelike.conf import stores as store_conf
from glancelike.context import RequestContext
from glancelike.db_drivers.base import DbDriver
from glancelike.location_strategies.base import LocationStrategy
from glancelike.notifications.base import NotificationDriver
from glancelike.plugin import Options
from glancelike.property_protections.base import PolicyCheck, PropertyProtection
from glancelike.store_drivers.base import StoreDriver
from glancelike.tasks.import_methods.base import OWN, ImportMethod
from glancelike.tasks.import_plugins.base import ImportPlugin

LOG = logging.getLogger(__name__)

#: Kind of driver -> namespace of its entry points.
NAMESPACES: Mapping[str, str] = {
    'store': 'glancelike.store_drivers',
    'db': 'glancelike.db_drivers',
    'property': 'glancelike.property_protections',
    'location_strategy': 'glancelike.location_strategies',
    'notification': 'glancelike.notification_drivers',
    'import_method': 'glancelike.import_methods',
    'import_plugin': 'glancelike.import_plugins',
}

#: Names that earlier releases used, by namespace.
_OLD_STORES = ('filesystem', 'http', 'rbd', 's3', 'swift', 'cinder', 'vmware')
ALIASES: Mapping[str, Mapping[str, str]] = {
    'glancelike.store_drivers': {
        'file': 'filesystem', 'https': 'http', 'vsphere': 'vmware',
        'glance.store.vmware_datastore.Store': 'vmware', 'glance_store._drivers.vmware_datastore.Store': 'vmware',
        **{f'glance.store.{name}.Store': name for name in _OLD_STORES},
        **{f'glance_store._drivers.{name}.Store': name for name in _OLD_STORES},
    },
    'glancelike.db_drivers': {
        'glance.db.sqlalchemy.api': 'sqlalchemy',
        'glance.db.simple.api': 'simple',
        'glance.db.registry.api': 'registry',
    },
    'glancelike.location_strategies': {
        'location_order_strategy': 'location_order', 'store_type_strategy': 'store_type',
    },
    'glancelike.notification_drivers': {
        'default': 'noop', 'logging': 'log',
    },
}

RESERVED_PREFIX = 'os_glance_'
STAGING_STORE = 'os_glance_staging_store'
TASKS_STORE = 'os_glance_tasks_store'
#: The import method whose rules of URLs those of locations are held to.
URL_FILTER = 'web-download'


@dataclasses.dataclass(frozen=True, slots=True)
class Installed:
    """One entry point of a namespace.

    :ivar package: name of the distribution that supplies it, with ``version``
    :ivar target: ``module:Class`` as the entry point says
    :ivar error: why it cannot be loaded, or None; only filled by ``installed(..., load=True)``
    """

    name: str
    namespace: str
    package: str
    version: str
    target: str
    error: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class StoreConfig:
    """One store as configured, in the long form whatever the operator wrote.

    :ivar groups: option groups in which the driver's options are looked up, first set one wins
    :ivar origin: the option that asked for this store, for messages
    :ivar given: values of options that stand in no group, because other options imply them
    :ivar implied: nobody asked for it; it may be left out where it cannot work
    """

    id: str
    driver_name: str
    groups: tuple[str, ...]
    is_default: bool
    description: str | None = None
    weight: int = 0
    reserved: bool = False
    origin: str = 'enabled_backends'
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    implied: bool = False


# --- entry points ------------------------------------------------------------------------------------------


def installed(namespace: str, *, load: bool = True) -> list[Installed]:
    """Every entry point of the namespace, by name; with *load*, broken ones carry the reason in ``error``."""
    found: dict[tuple[str, str, str], Installed] = {}
    for package, version, entry in _entry_points(_import_path()):
        # One package seen through two paths (an editable install and its folder) is one package.
        key = (entry.name, package, entry.value)
        if entry.group == namespace and key not in found:
            error = _load_error(namespace, entry) if load else None
            found[key] = Installed(entry.name, namespace, package, version, entry.value, error)
    return sorted(found.values(), key=lambda one: (one.name, one.package))


# Reading what 150 packages supply takes 20 ms, and a start asks for about ten drivers: so it is read once. stevedore is
# told, because its own reading takes 150 ms wherever it has no cache file yet or may not write one, and oslo.policy
# and oslo.middleware ask it, too.
@functools.lru_cache(maxsize=1)
def _entry_points(_path: tuple[tuple[str, int], ...]) -> list[tuple[str, str, importlib.metadata.EntryPoint]]:
    """(package, version, entry point) of all our namespaces, in the order of the import path."""
    found = []
    groups: dict[str, dict[importlib.metadata.EntryPoint, None]] = {}
    for distribution in importlib.metadata.distributions():
        entries = distribution.entry_points
        for entry in entries:
            groups.setdefault(entry.group, {})[entry] = None
        if any(entry.group in NAMESPACES.values() for entry in entries):
            package = (distribution.metadata['Name'] or '?').replace('_', '-').lower()
            found += [(package, distribution.version, entry) for entry in entries if entry.group in NAMESPACES.values()]
    ExtensionManager.ENTRY_POINT_CACHE.update({group: list(entries) for group, entries in groups.items()})
    return found


def _import_path() -> tuple[tuple[str, int], ...]:
    """Changes when a package is installed or removed."""
    return tuple((folder, os.stat(folder or '.').st_mtime_ns) for folder in sys.path if os.path.exists(folder or '.'))


def _load_error(namespace: str, entry: importlib.metadata.EntryPoint) -> str | None:
    try:
        _accept(namespace, entry.name, entry.load())
    except (Exception, SystemExit) as error:  # a driver's module may raise anything while it is imported
        return _reason(error)
    return None


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, errors.ConfigurationError) else f'{type(error).__name__}: {error}'


def driver_class(namespace: str, name: str, *, option: str | None = None, files: Sequence[str] = ()) -> type:
    """The class of the driver with that name or dotted path.

    :param option: the option that asked for it, for the message
    :param files: the configuration files that were read, for the message
    :raises DriverLoadError: missing, broken or doubled
    """
    asked = name
    name = ALIASES.get(namespace, {}).get(name, name)
    candidates = [one for one in installed(namespace, load=False) if one.name == name]
    if not candidates and ('.' in name or ':' in name):
        return _dotted(namespace, asked, name, option, files)
    if not candidates:
        raise _error(namespace, asked, 'is not installed', option, files)
    if len(candidates) > 1:
        packages = ', '.join(f'{one.package} {one.version}' for one in candidates)
        raise _error(namespace, asked, f'is supplied more than once, by {packages}; remove all but one', option, files)

    def broken(error: BaseException) -> errors.DriverLoadError:
        return _error(namespace, asked, f'cannot be loaded from {candidates[0].package} {candidates[0].version}: '
                      f'{_reason(error)}', option, files)

    def on_failure(_manager: Any, _entry: Any, error: BaseException) -> None:
        raise broken(error) from error

    try:
        manager = DriverManager(namespace, name, invoke_on_load=False, on_load_failure_callback=on_failure,
                                warn_on_missing_entrypoint=False)
    except SystemExit as error:  # of the driver's module; stevedore lets it pass
        raise broken(error) from error
    try:
        return _accept(namespace, asked, manager.driver)
    except errors.ConfigurationError as error:
        raise _error(namespace, asked, str(error), option, files) from error


def _dotted(namespace: str, asked: str, path: str, option: str | None, files: Sequence[str]) -> type:
    """A class by ``package.module.Class`` (or ``package.module:Class``), or a module with a class ``Driver``."""
    module_name, _, attribute = path.replace(':', '.').rpartition('.')
    try:
        try:
            found = getattr(importlib.import_module(module_name), attribute, None)
        except ModuleNotFoundError as error:
            if error.name is None or not (path + '.').startswith(error.name + '.'):
                raise  # the module is there, something that it imports is not
            found = None
        if found is None:
            found = importlib.import_module(path)
        if not isinstance(found, type):
            found = getattr(found, 'Driver', None)
        if found is None:
            raise errors.ConfigurationError('the module has no class Driver')
        return _accept(namespace, asked, found)
    except (Exception, SystemExit) as error:  # a driver's module may raise anything while it is imported
        raise _error(namespace, asked, f'cannot be loaded: {_reason(error)}', option, files) from error


_BASES: Mapping[str, type] = {
    'glancelike.store_drivers': StoreDriver,
    'glancelike.db_drivers': DbDriver,
    'glancelike.property_protections': PropertyProtection,
    'glancelike.location_strategies': LocationStrategy,
    'glancelike.notification_drivers': NotificationDriver,
    'glancelike.import_methods': ImportMethod,
    'glancelike.import_plugins': ImportPlugin,
}


def _accept(namespace: str, name: str, found: Any) -> type:
    base = _BASES.get(namespace)
    if not isinstance(found, type):
        raise errors.ConfigurationError('names no class')
    if base is not None and not issubclass(found, base):
        raise errors.ConfigurationError(f'names {found.__module__}.{found.__qualname__}, which is no {base.__name__}')
    if base is StoreDriver and (not found.SCHEMES or isinstance(found.SCHEMES, str)):
        raise errors.ConfigurationError(f'names {found.__qualname__}, whose SCHEMES is no tuple of URL schemes')
    if base is ImportMethod and found.SOURCE == OWN and found.open is ImportMethod.open:
        raise errors.ConfigurationError(f'names {found.__qualname__}, whose SOURCE is OWN and which has no open()')
    if not isinstance(getattr(found, 'OPTIONS', ()), list | tuple):
        raise errors.ConfigurationError(f'names {found.__qualname__}, whose OPTIONS is no tuple of options')
    return found


def _error(namespace: str, name: str, what: str, option: str | None, files: Sequence[str]) -> errors.DriverLoadError:
    names = '; '.join(f'{one.name} ({one.package} {one.version})' for one in installed(namespace, load=False))
    asked = f'{option} in {", ".join(files)}: ' if option and files else f'{option}: ' if option else ''
    return errors.DriverLoadError(
        f"{asked}driver '{name}' of {namespace} {what}. Installed: {names or 'none'}.")


#: How oslo.config's messages name the file of a value.
_LOCATION = re.compile(r"LocationInfo\(.*?detail='([^']*)'\)")


# --- option values -----------------------------------------------------------------------------------------


def options_of(conf: cfg.ConfigOpts, cls: type, groups: Sequence[str]) -> Options:
    """Values of the driver's OPTIONS: from the first of *groups* that sets one, else its default.

    :raises ConfigurationError: a value is of the wrong type or out of range (names option and group); the class
        has options that cannot be
    """
    try:
        for group in groups:
            conf.register_opts(cls.OPTIONS, group=None if group == 'DEFAULT' else group)
    except cfg.DuplicateOptError as error:
        raise errors.ConfigurationError(
            f'the driver {cls.__module__}.{cls.__qualname__} has an option {error.opt_name} in the group '
            f'[{group}], and so has something else that is in use.') from error
    return Options(**{option.dest: value_of(conf, option.dest, groups) for option in cls.OPTIONS})


def value_of(conf: cfg.ConfigOpts, name: str, groups: Sequence[str]) -> Any:
    """The option's value in the first group where the operator set it; else the default of the first group."""
    group = groups[0]
    try:
        for group in groups:
            where = conf.get_location(name, group=None if group == 'DEFAULT' else group)
            if where is not None and where.location.is_user_controlled:
                return conf[name] if group == 'DEFAULT' else conf[group][name]
        group = groups[0]
        return conf[name] if group == 'DEFAULT' else conf[group][name]
    except cfg.NoSuchOptError as error:
        raise errors.ConfigurationError(
            f'[{group}] {name} in {", ".join(files_of(conf))}: it mentions ${error.opt_name}, which is no option of '
            '[DEFAULT]; a $ that means itself is written $$.') from error
    except (cfg.Error, ValueError) as error:
        text = _LOCATION.sub(r'\1', str(error))
        raise errors.ConfigurationError(f'[{group}] {name}: {text}') from error


def files_of(conf: cfg.ConfigOpts) -> list[str]:
    """The configuration files that were read, for messages."""
    return [str(name) for name in (conf.config_file or [])]


# --- stores ------------------------------------------------------------------------------------------------


def store_configs(conf: cfg.ConfigOpts) -> list[StoreConfig]:
    """The stores to build. The short form (``known_stores``) becomes the long one here, and nothing that
    comes after knows which was used.

    :raises ConfigurationError: no default store, reserved ids, doubled stores
    """
    if conf.enabled_backends:
        return _long_form(conf)
    option, names = 'known_stores', conf.known_stores
    if conf.glance_store.stores is not None:
        option, names = '[glance_store] stores', conf.glance_store.stores
    wanted = conf.glance_store.default_store or conf.default_store
    configs, schemes = [], {}
    for name in names:
        if not name:
            continue
        cls = driver_class(NAMESPACES['store'], name, option=option, files=files_of(conf))
        store_id = cls.SCHEMES[0]
        if store_id in schemes.values():
            raise errors.ConfigurationError(
                f"{option} in {', '.join(files_of(conf))}: driver '{name}' claims the URL scheme {store_id}, which "
                'another driver of the list claims already. Use enabled_backends to have two stores of one driver.')
        schemes.update({known: store_id for known in (name, store_id, *cls.SCHEMES)})
        configs.append(StoreConfig(store_id, name, ('glance_store', 'DEFAULT'), False, origin=option))
    aliased = ALIASES[NAMESPACES['store']].get(wanted, wanted)
    default = schemes.get(wanted) or schemes.get(aliased)
    if default is None:
        raise errors.ConfigurationError(
            f"default_store in {', '.join(files_of(conf))}: no store handles '{wanted}'. "
            f"{option} has: {', '.join(sorted(schemes)) or 'nothing'}.")
    configs = [dataclasses.replace(one, is_default=one.id == default) for one in configs]
    if conf.staging.store:
        raise errors.ConfigurationError(
            f"[staging] store in {', '.join(files_of(conf))}: it names one of enabled_backends, which is not set.")
    return configs + _staging(conf, configs)


def _long_form(conf: cfg.ConfigOpts) -> list[StoreConfig]:
    files = ', '.join(files_of(conf))
    reserved = [store_id for store_id in conf.enabled_backends if store_id.startswith(RESERVED_PREFIX)]
    if reserved:
        raise errors.ConfigurationError(
            f'enabled_backends in {files}: {", ".join(reserved)}: ids that begin with {RESERVED_PREFIX} are reserved.')
    if 'DEFAULT' in conf.enabled_backends:
        raise errors.ConfigurationError(
            f'enabled_backends in {files}: DEFAULT cannot be the id of a store: its group is that of all the service.')
    default = conf.glance_store.default_backend
    if default not in conf.enabled_backends:
        raise errors.ConfigurationError(
            f"[glance_store] default_backend in {files} is '{default or ''}'; it must name one of enabled_backends: "
            f'{", ".join(conf.enabled_backends)}.')
    configs = []
    for store_id, driver_name in conf.enabled_backends.items():
        conf.register_opts(store_conf.STORE_GROUP_OPTIONS, group=store_id)
        configs.append(StoreConfig(
            store_id, driver_name, (store_id, 'backend_defaults'), store_id == default,
            description=conf[store_id].store_description, weight=value_of(conf, 'weight', (store_id,))))
    if not conf.staging.store:
        return configs + _staging(conf, configs)
    if conf.staging.store not in conf.enabled_backends or conf.staging.store == default:
        raise errors.ConfigurationError(
            f"[staging] store in {files} is '{conf.staging.store}'; it must name one of enabled_backends other than "
            f'default_backend: {", ".join(name for name in conf.enabled_backends if name != default)}.')
    return [dataclasses.replace(one, reserved=one.id == conf.staging.store) for one in configs]


def _staging(conf: cfg.ConfigOpts, configs: Sequence[StoreConfig]) -> list[StoreConfig]:
    """The reserved store for staged data where no configured store serves as it; see the option node_staging_uri."""
    if STAGING_STORE in conf.list_all_sections():
        return [StoreConfig(STAGING_STORE, 'filesystem', (STAGING_STORE,), False, reserved=True, origin=STAGING_STORE)]
    config = StoreConfig(STAGING_STORE, 'filesystem', (STAGING_STORE,), False, reserved=True,
                         origin='node_staging_uri')
    if conf.node_staging_uri:
        scheme, _, path = conf.node_staging_uri.partition('://')
        if scheme != 'file' or not os.path.isabs(path):
            raise errors.ConfigurationError(
                f"node_staging_uri in {', '.join(files_of(conf))} is '{conf.node_staging_uri}'; it must be of the form "
                'file:///directory.')
        return [dataclasses.replace(config, given={'filesystem_store_datadir': path.rstrip('/') or '/'})]
    default = next(one for one in configs if one.is_default)
    if ALIASES[NAMESPACES['store']].get(default.driver_name, default.driver_name) != 'filesystem':
        return []
    options = options_of(conf, driver_class(NAMESPACES['store'], 'filesystem'), default.groups)
    directory = (options.filesystem_store_datadirs or [options.filesystem_store_datadir])[0].partition(':')[0]
    beside = os.path.join(os.path.dirname(os.path.abspath(directory)), STAGING_STORE)
    return [dataclasses.replace(config, given={'filesystem_store_datadir': beside}, implied=True)]


def work_directory(conf: cfg.ConfigOpts, staging: StoreConfig | None) -> str:
    """Where tasks keep files; see the option ``[task] work_dir``."""
    if conf.task.work_dir:
        return os.path.abspath(conf.task.work_dir)
    filesystem = driver_class(NAMESPACES['store'], 'filesystem')
    if TASKS_STORE in conf.list_all_sections():
        return os.path.abspath(options_of(conf, filesystem, (TASKS_STORE,)).filesystem_store_datadir)
    if staging is not None and staging.driver_name == 'filesystem':
        directory = staging.given.get('filesystem_store_datadir')
        if directory is None:
            directory = options_of(conf, filesystem, staging.groups).filesystem_store_datadir
        if directory:
            return os.path.join(os.path.dirname(os.path.abspath(directory)), TASKS_STORE)
    return os.path.join(tempfile.gettempdir(), f'glancelike-{os.getuid()}-{TASKS_STORE}')


def store_driver(conf: cfg.ConfigOpts, config: StoreConfig) -> StoreDriver:
    """Build the driver of one configured store.

    :raises ConfigurationError: no such driver, or its options cannot work
    """
    files = files_of(conf)
    cls = driver_class(NAMESPACES['store'], config.driver_name, option=config.origin, files=files)
    what = f"store '{config.id}' (driver {config.driver_name}, group [{config.groups[0]}] in {', '.join(files)})"
    options = options_of(conf, cls, config.groups)
    if config.given:
        options = Options(**(vars(options) | dict(config.given)))
    try:
        return _built(cls, config.id, options)
    except errors.ConfigurationError as error:
        raise errors.ConfigurationError(f'{what} cannot be used: {error}') from error


def _built(cls: type, *args: Any) -> Any:
    """``cls(*args)``. :raises ConfigurationError: its constructor raised something"""
    try:
        return cls(*args)
    except errors.ConfigurationError:
        raise
    except Exception as error:  # a driver's constructor may raise anything
        LOG.debug('%s.%s cannot be made', cls.__module__, cls.__qualname__, exc_info=error)
        raise errors.ConfigurationError(
            f'the driver {cls.__module__}.{cls.__qualname__} cannot be made: {_reason(error)}') from error


# --- the other kinds ---------------------------------------------------------------------------------------


def load_db_driver(conf: cfg.ConfigOpts) -> DbDriver:
    """The database driver that ``data_api`` names."""
    cls = driver_class(NAMESPACES['db'], conf.data_api, option='data_api', files=files_of(conf))
    return _built(cls, options_of(conf, cls, (cls.OPTION_GROUP,)))


def load_property_protection(conf: cfg.ConfigOpts, rules_file: str, check_policy: PolicyCheck) -> PropertyProtection:
    """The property protection that ``property_protection_rule_format`` names, over *rules_file*."""
    cls = driver_class(NAMESPACES['property'], conf.property_protection_rule_format,
                       option='property_protection_rule_format', files=files_of(conf))
    values = {option.dest: getattr(options_of(conf, cls, ('DEFAULT',)), option.dest) for option in cls.OPTIONS}
    return _built(cls, Options(**values, property_protection_file=rules_file), check_policy)


def load_location_strategy(conf: cfg.ConfigOpts, weights: Mapping[str, int]) -> LocationStrategy:
    """The strategy that ``location_strategy`` names."""
    cls = driver_class(NAMESPACES['location_strategy'], conf.location_strategy, option='location_strategy',
                       files=files_of(conf))
    return _built(cls, options_of(conf, cls, (cls.OPTION_GROUP,)), weights)


def load_notification_driver(conf: cfg.ConfigOpts, name: str) -> NotificationDriver:
    """The notification driver of that name (``messagingv2`` and ``routing`` are oslo.messaging's own names)."""
    entry = 'messaging' if name in ('messagingv2', 'routing') else name
    cls = driver_class(NAMESPACES['notification'], entry, option='[oslo_messaging_notifications] driver',
                       files=files_of(conf))
    return _built(cls, conf, conf.default_publisher_id, name)


def load_import_methods(conf: cfg.ConfigOpts) -> dict[str, ImportMethod]:
    """The import methods that ``enabled_import_methods`` names, by name, in its order."""
    return _load_named(conf, 'import_method', conf.enabled_import_methods, 'enabled_import_methods')


def load_url_filter(conf: cfg.ConfigOpts) -> Callable[[str], Any]:
    """A function that raises BadSource for what ``[import_filtering_opts]`` refuses, whether or not users may import by
    ``web-download``, which reads those options."""
    method = _load_named(conf, 'import_method', [URL_FILTER], 'the filter of location URLs')[URL_FILTER]
    return lambda url: method.check(RequestContext(), {'uri': url})


def load_import_plugins(conf: cfg.ConfigOpts) -> dict[str, ImportPlugin]:
    """The import plugins that ``[image_import_opts] image_import_plugins`` names, by name, in its order."""
    return _load_named(conf, 'import_plugin', conf.image_import_opts.image_import_plugins,
                       '[image_import_opts] image_import_plugins')


def _load_named(conf: cfg.ConfigOpts, kind: str, names: Iterable[str], option: str) -> dict[str, Any]:
    loaded = {}
    for name in _plain_names(names):
        cls = driver_class(NAMESPACES[kind], name, option=option, files=files_of(conf))
        loaded[name] = _built(cls, options_of(conf, cls, (cls.OPTION_GROUP,)))
    return loaded


def _plain_names(names: Iterable[str]) -> list[str]:
    """Without the brackets and quotation marks that lists had in earlier releases."""
    plain = (name.strip().strip('[]').strip().strip('\'"') for name in names)
    return list(dict.fromkeys(name for name in plain if name))


def register_driver_options(conf: cfg.ConfigOpts) -> None:
    """Make the options of the configured drivers known to *conf*, and check their values; build nothing.

    :raises ConfigurationError: as when they are built
    """
    files = files_of(conf)
    db = driver_class(NAMESPACES['db'], conf.data_api, option='data_api', files=files)
    options_of(conf, db, (db.OPTION_GROUP,))
    for one in store_configs(conf):
        cls = driver_class(NAMESPACES['store'], one.driver_name, option=one.origin, files=files)
        options_of(conf, cls, one.groups)
    strategy = driver_class(NAMESPACES['location_strategy'], conf.location_strategy, option='location_strategy',
                            files=files)
    options_of(conf, strategy, (strategy.OPTION_GROUP,))
    for kind, names, option in (
            ('import_method', conf.enabled_import_methods, 'enabled_import_methods'),
            ('import_plugin', conf.image_import_opts.image_import_plugins, '[image_import_opts] image_import_plugins')):
        wanted = [*(names if conf.enable_image_import else ()), *([URL_FILTER] if kind == 'import_method' else [])]
        for name in _plain_names(wanted):
            cls = driver_class(NAMESPACES[kind], name, option=option, files=files)
            options_of(conf, cls, (cls.OPTION_GROUP,))
    if conf.property_protection_file:
        protection = driver_class(NAMESPACES['property'], conf.property_protection_rule_format,
                                  option='property_protection_rule_format', files=files)
        options_of(conf, protection, ('DEFAULT',))


# --- options for the sample and for registration -------------------------------------------------------------


def conf_groups() -> Iterable[tuple[str, Sequence[cfg.Opt]]]:
    """(group, options) of every file in ``glancelike.conf``."""
    for module in sorted(pkgutil.iter_modules(conf_package.__path__), key=lambda one: one.name):
        groups = getattr(importlib.import_module(f'{conf_package.__name__}.{module.name}'), 'GROUPS', {})
        yield from groups.items()


def list_options() -> list[tuple[str, list[cfg.Opt]]]:
    """Everything that glance.conf may hold, installed drivers included: for oslo-config-generator."""
    groups: dict[str, dict[str, cfg.Opt]] = {}
    for group, options in conf_groups():
        groups.setdefault(group, {}).update({option.dest: option for option in options})
    for kind, namespace in NAMESPACES.items():
        for one in installed(namespace):
            if one.error is None:
                cls = driver_class(namespace, one.name)
                group = 'glance_store' if kind == 'store' else getattr(cls, 'OPTION_GROUP', 'DEFAULT')
                groups.setdefault(group, {}).update({option.dest: option for option in getattr(cls, 'OPTIONS', ())})
    return [(group, list(options.values())) for group, options in groups.items()]
