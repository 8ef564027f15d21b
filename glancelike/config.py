"""One glance.conf for every program: finding it, reading it, and telling what in it has no effect.

Order of precedence: ``--config-file``/``--config-dir`` (or, for a server, a configuration file as the first
positional argument); the directory that ``OS_GLANCE_CONFIG_DIR`` names; the first directory of the search list
``.``, ``~/.glance``, ``~/``, ``/etc/glance/``, ``/etc`` that holds ``<program>.conf``, ``glance.conf`` or
``glance-api.conf``. Beside ``glance-api.conf``, ``glance-image-import.conf`` is read first, as Glance does.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Iterable, Mapping, Sequence

from oslo_config import cfg
from oslo_log import log as oslo_log

from glancelike import errors, loading
from glancelike.conf import obsolete

LOG = logging.getLogger(__name__)

SEARCH_LIST = ('.', '~/.glance', '~/', '/etc/glance/', '/etc')
IMPORT_FILE = 'glance-image-import.conf'
#: Programs that log to standard output when no log file is set.
SERVERS = ('glance-api', 'glance-worker')

#: Groups whose options belong to libraries; unknown names in them are the library's business.
_LIBRARY_GROUPS = ('oslo_', 'keystone', 'service_user', 'cors', 'barbican', 'vault', 'key_manager', 'healthcheck',
                   'cache', 'audit_')

#: Options of [DEFAULT] that oslo.messaging reads from the same files, where a messaging driver is in use.
_MESSAGING_OPTIONS = ('transport_url', 'control_exchange', 'rpc_conn_pool_size', 'conn_pool_min_size', 'conn_pool_ttl',
                      'executor_thread_pool_size', 'rpc_response_timeout', 'rpc_ping_enabled')


def version() -> str:
    """The version of the installed package."""
    from importlib import metadata
    return metadata.version('glancelike')


def load(prog: str, argv: Sequence[str] | None = None, *, cli_opts: Iterable[cfg.Opt] = (),
         positional_file: bool = False, required: bool = True,
         environ: Mapping[str, str] | None = None) -> cfg.ConfigOpts:
    """Read the configuration of *prog* and set up logging.

    :param argv: the arguments after the program's name; None reads none (a WSGI host's argv is not ours)
    :param cli_opts: further command-line options of the program
    :param positional_file: take an existing file named by the first argument as the configuration file
    :param required: raise when no file is found; else go on with defaults
    :raises ConfigurationError: no file found, a file is malformed, or a value is of the wrong type
    """
    environ = os.environ if environ is None else environ
    argv = list(argv or ())
    if positional_file and argv and not argv[0].startswith('-'):
        if not os.path.isfile(argv[0]):
            raise errors.ConfigurationError(f"Configuration file '{argv[0]}' does not exist.")
        argv[:1] = ['--config-file', argv[0]]
    conf = cfg.ConfigOpts()
    oslo_log.register_options(conf)
    oslo_log.set_defaults(default_log_levels=[*oslo_log.get_default_log_levels(), 'alembic=WARN'])
    conf.register_cli_opt(cfg.BoolOpt('verbose', short='v', default=False,
                                      help='Accepted for old scripts: INFO is logged anyway.'))
    conf.register_cli_opts(list(cli_opts))
    for group, options in loading.conf_groups():
        conf.register_opts(options, group=None if group == 'DEFAULT' else group)
    found = [] if _names_config(argv) else find_files(prog, environ)
    if not found and not _names_config(argv) and required and not _asks_for_help(argv):
        raise errors.ConfigurationError(
            f'Unable to locate any configuration file. Cannot load application {prog}')
    try:
        conf(argv, project='glance', prog=prog, version=version(), default_config_files=found,
             default_config_dirs=[], use_env=False)
    except (cfg.Error, ValueError) as error:
        raise errors.ConfigurationError(str(error)) from error
    _check_values(conf)
    if prog not in SERVERS:
        conf.set_default('use_stderr', True)  # a command's standard output is its answer
    try:
        oslo_log.setup(conf, 'glance', version())
    except Exception as error:  # oslo.log raises several kinds for an unusable log file, facility or file format
        raise errors.ConfigurationError(f'Logging cannot be set up: {error}') from error
    return conf


def find_files(prog: str, environ: Mapping[str, str]) -> list[str]:
    """The configuration files when the command line names none, in the order in which they are read."""
    directory = environ.get('OS_GLANCE_CONFIG_DIR')
    for folder in [directory] if directory else SEARCH_LIST:
        folder = os.path.abspath(os.path.expanduser(folder))
        for name in dict.fromkeys((f'{prog}.conf', 'glance.conf', 'glance-api.conf')):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                beside = os.path.join(folder, IMPORT_FILE)
                return [beside, path] if os.path.isfile(beside) else [path]
    return []


def main_file(conf: cfg.ConfigOpts) -> str | None:
    """The file that other files (paste, policy, rules) are looked for beside: the last one read."""
    files = loading.files_of(conf)
    if files:
        return files[-1]
    directories = getattr(conf, 'config_dir', None) or []
    return os.path.join(directories[0], 'glance.conf') if directories else None


def beside(conf: cfg.ConfigOpts, name: str) -> str | None:
    """Absolute path of an existing file: *name* as it is, beside the main file, or in the search list."""
    main = main_file(conf)
    folders = [os.path.dirname(os.path.abspath(main))] if main else []
    folders += [os.path.abspath(os.path.expanduser(folder)) for folder in SEARCH_LIST]
    for path in [name] if os.path.isabs(name) else [os.path.join(folder, name) for folder in folders]:
        if os.path.isfile(path):
            return path
    return None


def _names_config(argv: Sequence[str]) -> bool:
    return any(one.split('=')[0] in ('--config-file', '--config-dir') for one in argv)


def _asks_for_help(argv: Sequence[str]) -> bool:
    return any(one in ('-h', '--help', '--version') for one in argv)


def _check_values(conf: cfg.ConfigOpts) -> None:
    """Read every registered value once, so that a wrong one stops the start and not a request."""
    for group, options in loading.conf_groups():
        for option in options:
            loading.value_of(conf, option.dest, (group,))


def warn_without_effect(conf: cfg.ConfigOpts) -> list[str]:
    """Warn once of each option in the files that has no effect; returns the warnings.

    Call it when everything that registers options (drivers included) has done so.
    """
    warnings = []
    # Everything installed, in use or not; read only where a file has an option that nothing in use knows, because it
    # takes the import of every driver there is.
    unused = functools.cache(lambda: {
        (group, option.dest) for group, options in loading.list_options() for option in options})
    stores = set(conf.enabled_backends) | {'glance_store', 'backend_defaults', loading.STAGING_STORE}
    overridden = _overridden(conf)
    messaging = any(name not in ('', 'noop', 'log') for name in conf.oslo_messaging_notifications.driver)
    for path in _all_files(conf):
        for group, options in _sections(path).items():
            reasons = obsolete.REASONS.get(group, {})
            for name in options:
                name = name.replace('-', '_')
                if messaging and group == 'DEFAULT' and name in _MESSAGING_OPTIONS:
                    continue
                if name in reasons or '*' in reasons:
                    warnings.append(f'[{group}] {name} in {path} has no effect: {reasons.get(name) or reasons["*"]}.')
                elif (group, name) in overridden:
                    warnings.append(f'[{group}] {name} in {path} has no effect: {overridden[group, name]}.')
                elif _known(conf, group, name) or (group not in stores and group.startswith(_LIBRARY_GROUPS)):
                    continue
                elif (group, name) in unused():
                    warnings.append(f'[{group}] {name} in {path} has no effect: it belongs to a driver that is not in '
                                    'use.')
                else:
                    warnings.append(f'[{group}] {name} in {path} is not known to any part of this service '
                                    'and has no effect.')
    for warning in dict.fromkeys(warnings):
        LOG.warning('%s', warning)
    return list(dict.fromkeys(warnings))


def _overridden(conf: cfg.ConfigOpts) -> Mapping[tuple[str, str], str]:
    """(group, option) -> why another option's value makes this one meaningless."""
    reasons = {}
    if conf.enabled_backends:
        for one in (('DEFAULT', 'known_stores'), ('DEFAULT', 'default_store'),
                    ('glance_store', 'stores'), ('glance_store', 'default_store')):
            reasons[one] = 'enabled_backends and default_backend say which stores there are'
    else:
        reasons['glance_store', 'default_backend'] = 'enabled_backends is not set'
        if conf.glance_store.stores is not None:
            reasons['DEFAULT', 'known_stores'] = '[glance_store] stores is set, too'
        if conf.glance_store.default_store is not None:
            reasons['DEFAULT', 'default_store'] = '[glance_store] default_store is set, too'
    if conf.use_keystone_limits:
        reasons['DEFAULT', 'user_storage_quota'] = 'use_keystone_limits is true'
    if 'enforce_new_defaults' in conf.oslo_policy and not conf.oslo_policy.enforce_new_defaults:
        reasons['oslo_policy', 'enforce_new_defaults'] = 'no policy rule here has an older default'
    return reasons


def _known(conf: cfg.ConfigOpts, group: str, name: str) -> bool:
    registered = conf._opts if group == 'DEFAULT' else getattr(conf._groups.get(group), '_opts', None)
    if registered is None:
        return group in ('DEFAULT',)
    if name in registered:
        return True
    names = {old.name.replace('-', '_')
             for one in registered.values() for old in one['opt'].deprecated_opts if old.name}
    if group == 'DEFAULT':  # an option that moved from here to a group of its own
        for other in conf._groups.values():
            for one in other._opts.values():
                names.update((old.name or one['opt'].name).replace('-', '_') for old in one['opt'].deprecated_opts
                             if old.group in (None, 'DEFAULT'))
    return name in names


def _all_files(conf: cfg.ConfigOpts) -> list[str]:
    paths = list(loading.files_of(conf))
    for directory in conf.config_dir or []:
        paths += sorted(os.path.join(directory, name) for name in os.listdir(directory) if name.endswith('.conf'))
    return paths


def _sections(path: str) -> Mapping[str, Mapping[str, list[str]]]:
    sections: dict[str, dict[str, list[str]]] = {}
    cfg.ConfigParser(path, sections).parse()
    return sections


def exit_with(error: errors.ConfigurationError) -> int:
    """Print *error* as every program does and return the exit status."""
    print(f'ERROR: {error}', file=sys.stderr)
    return 1
