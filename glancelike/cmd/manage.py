"""glance-manage: make, upgrade and tidy the database.

Exit codes: 0 done; 1 it could not be done (``ERROR: ...`` on standard error says why); ``db check`` answers 0 nothing
to do, 3 run ``db expand``, 4 run ``db migrate``, 5 run ``db contract``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from oslo_config import cfg

from glancelike import config, errors, loading
from glancelike.db_drivers.sqlalchemy.driver import SqlalchemyDriver
from glancelike.db_drivers.sqlalchemy.schema import CONTRACT, EXPAND

EXPAND_NEEDED, MIGRATE_NEEDED, CONTRACT_NEEDED = 3, 4, 5
ALL_ROWS = -1


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit code.

    :param argv: arguments after the program's name; None: those of the process
    """
    command = cfg.SubCommandOpt('command', title='Commands', help='What to do.', handler=_add_commands)
    try:
        conf = config.load('glance-manage', sys.argv[1:] if argv is None else argv, cli_opts=[command])
        run = getattr(conf.command, 'run', None)
        if run is None:
            raise errors.ConfigurationError('name a command; glance-manage --help shows them')
        driver = _driver(conf)
        try:
            return run(driver, conf.command) or 0
        finally:
            driver.close()
    except errors.GlanceError as error:
        print(f'ERROR: {error}', file=sys.stderr)
        return 1


def _driver(conf: cfg.ConfigOpts) -> SqlalchemyDriver:
    driver = loading.load_db_driver(conf)
    if not isinstance(driver, SqlalchemyDriver):
        raise errors.ConfigurationError(
            f'glance-manage db works on the tables of data_api = sqlalchemy; data_api is {conf.data_api}, which has '
            'no such tables.')
    return driver


# --- the command line ----------------------------------------------------------------------------------------


def _add_commands(subparsers: Any) -> None:
    """``db sync`` and the rest; ``db_sync`` is the same under its old spelling."""
    nested = subparsers.add_parser('db', help='the database').add_subparsers(title='Commands', required=True)
    for name, (run, text, *arguments) in COMMANDS.items():
        for where, spelling in ((nested, name), (subparsers, f'db_{name}')):
            parser = where.add_parser(spelling, help=text if where is nested else f'the same as: db {name}',
                                      description=text)
            for add in arguments:
                add(parser)
            parser.set_defaults(run=run)


def _version_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--version', dest='to_version', metavar='VERSION', help='a version; the newest when not given')
    parser.add_argument('positional_version', nargs='?', metavar='VERSION', help=argparse.SUPPRESS)


def _purge_arguments(days: int) -> Callable[[argparse.ArgumentParser], None]:
    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument('--age_in_days', type=_age, default=days, metavar='DAYS',
                            help=f'what was deleted longer ago than this goes; {days} when not given')
        parser.add_argument('--max_rows', type=_row_count, default=100, metavar='ROWS',
                            help='at most so many rows go; 100 when not given, -1 for all')
    return add


def _age(text: str) -> int:
    days = int(text)
    if days < 0:
        raise argparse.ArgumentTypeError('must be 0 or more')
    if days * 86400 > time.time():
        raise argparse.ArgumentTypeError('must not lie before 1970')
    return days


def _row_count(text: str) -> int:
    rows = int(text)
    if rows != ALL_ROWS and rows < 1:
        raise argparse.ArgumentTypeError('must be 1 or more, or -1 for all')
    return rows


# --- the commands --------------------------------------------------------------------------------------------


def _version(driver: SqlalchemyDriver, _arguments: Any) -> None:
    print(' '.join(driver.schema.heads()) or 'no version')


def _check(driver: SqlalchemyDriver, _arguments: Any) -> int:
    schema = driver.schema
    for needed, phase, code in ((lambda: schema.lacks(EXPAND), 'expand', EXPAND_NEEDED),
                                (schema.lacks_data, 'migrate', MIGRATE_NEEDED),
                                (lambda: schema.lacks(CONTRACT), 'contract', CONTRACT_NEEDED)):
        if needed():
            print(f'The database is not up to date. Next: glance-manage db {phase}.')
            return code
    print('The database is up to date.')
    return 0


def _sync(driver: SqlalchemyDriver, arguments: Any) -> None:
    version = arguments.to_version or arguments.positional_version
    if version:
        driver.schema.upgrade(version)
    else:
        driver.create_schema()
    print(f'The database is at {" ".join(driver.schema.heads())}.')


def _upgrade(driver: SqlalchemyDriver, arguments: Any) -> None:
    driver.schema.upgrade(arguments.to_version or arguments.positional_version or 'heads')
    print(f'The database is at {" ".join(driver.schema.heads())}.')


def _version_control(driver: SqlalchemyDriver, arguments: Any) -> None:
    driver.schema.stamp(arguments.to_version or arguments.positional_version or 'heads')
    print(f'The database is marked as {" ".join(driver.schema.heads())}; its tables were not touched.')


def _expand(driver: SqlalchemyDriver, _arguments: Any) -> None:
    driver.schema.upgrade(f'{EXPAND}@head')
    print('Expanded. Next: glance-manage db migrate.')


def _migrate(driver: SqlalchemyDriver, _arguments: Any) -> None:
    if driver.schema.lacks(EXPAND):
        raise errors.ConfigurationError('Data can be migrated after glance-manage db expand.')
    print(f'{driver.schema.migrate()} rows migrated. Next: glance-manage db contract, when no service of the earlier '
          'release runs any more.')


def _contract(driver: SqlalchemyDriver, _arguments: Any) -> None:
    if driver.schema.lacks(EXPAND) or driver.schema.lacks_data():
        raise errors.ConfigurationError('The tables can be contracted after glance-manage db expand and db migrate.')
    driver.schema.upgrade(f'{CONTRACT}@head')
    print('Contracted.')


def _purge(driver: SqlalchemyDriver, arguments: Any) -> None:
    _print_counts(_purged(driver, arguments, images=False))


def _purge_images_table(driver: SqlalchemyDriver, arguments: Any) -> None:
    _print_counts(_purged(driver, arguments, images=True))


def _purged(driver: SqlalchemyDriver, arguments: Any, *, images: bool) -> dict[str, int]:
    driver.check_schema()
    most = None if arguments.max_rows == ALL_ROWS else arguments.max_rows
    return dict(driver.purge(arguments.age_in_days, most, images=images))


def _print_counts(counts: dict[str, int]) -> None:
    for table, count in counts.items():
        print(f'{table}: {count} rows removed')


#: name -> (function, help, functions that add arguments)
COMMANDS: dict[str, tuple] = {
    'sync': (_sync, 'make or upgrade all tables; services should not run meanwhile', _version_argument),
    'check': (_check, 'tell whether an upgrade is needed, and its next phase (exit code 3, 4 or 5)'),
    'version': (_version, 'show the version of the tables'),
    'upgrade': (_upgrade, 'upgrade the tables to a version', _version_argument),
    'version_control': (_version_control, 'mark the database as being at a version, without looking',
                        _version_argument),
    'expand': (_expand, 'first phase of an upgrade without downtime: add what the new release needs'),
    'migrate': (_migrate, 'second phase: move rows'),
    'contract': (_contract, 'third phase: remove what only the old release needed'),
    'purge': (_purge, 'remove rows of images deleted long ago, but not the image rows themselves',
              _purge_arguments(30)),
    'purge_images_table': (_purge_images_table, 'remove images deleted long ago wholly; their ids may then be used '
                                                'again, so do it only where nobody remembers them',
                           _purge_arguments(180)),
}


if __name__ == '__main__':
    sys.exit(main())
