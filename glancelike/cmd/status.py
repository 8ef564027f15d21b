"""glance-status: is this deployment ready for this release?

``glance-status upgrade check`` prints a table. Exit codes: 0 ready, 1 something deserves a look, 2 it would not work,
255 the check itself could not run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck
from oslo_upgradecheck.upgradecheck import Code, Result

from glancelike import config, errors, loading
from glancelike.db_drivers.sqlalchemy.driver import SqlalchemyDriver
from glancelike.db_drivers.sqlalchemy.schema import CONTRACT
from glancelike.policies.enforcer import Enforcer

CANNOT_RUN = 255


class Checks(upgradecheck.UpgradeCommands):
    """The checks, in the order of the table.

    :param conf: the configuration as read
    """

    def __init__(self, conf: cfg.ConfigOpts):
        super().__init__()
        self._conf = conf

    def database(self) -> Result:
        """Are the tables those of this release?"""
        try:
            driver = loading.load_db_driver(self._conf)
            try:
                driver.check_schema()
                if isinstance(driver, SqlalchemyDriver) and (
                        driver.schema.lacks_data() or driver.schema.lacks(CONTRACT)):
                    return Result(Code.WARNING, 'The upgrade of the tables is not finished: glance-manage db check '
                                                'says what comes next.')
            finally:
                driver.close()
        except errors.GlanceError as error:
            return Result(Code.FAILURE, str(error))
        return Result(Code.SUCCESS)

    def policy_file(self) -> Result:
        """Can the policy file be used, and is it YAML?"""
        try:
            Enforcer(self._conf)
        except errors.GlanceError as error:
            return Result(Code.FAILURE, str(error))
        path = self._conf.find_file(self._conf.oslo_policy.policy_file)
        if path is not None and os.path.splitext(path)[1].lower() == '.json':
            return Result(Code.WARNING, f'{path} is JSON, which is deprecated: convert it with '
                                        'oslopolicy-convert-json-to-yaml and set [oslo_policy] policy_file.')
        forgotten = self._conf.find_file('policy.json') if path is None else None
        if forgotten is not None:
            return Result(Code.WARNING, f'{forgotten} is not read: [oslo_policy] policy_file is '
                                        f'{self._conf.oslo_policy.policy_file}, and there is no such file.')
        return Result(Code.SUCCESS)

    def stores(self) -> Result:
        """Can every configured store be built, and is it there?"""
        try:
            drivers = [loading.store_driver(self._conf, one) for one in loading.store_configs(self._conf)]
        except errors.GlanceError as error:
            return Result(Code.FAILURE, str(error))
        down = []
        for driver in drivers:
            try:
                driver.check()
            except errors.ConfigurationError as error:
                return Result(Code.FAILURE, f'Store {driver.id}: {error}')
            except errors.GlanceError as error:
                down.append(f'{driver.id}: {error}')
            except Exception as error:  # a driver may raise anything
                down.append(f'{driver.id}: its driver failed: {type(error).__name__}: {error}')
        return Result(Code.WARNING, ' '.join(down)) if down else Result(Code.SUCCESS)

    def options(self) -> Result:
        """Has every option in the files an effect? (Last: the other checks register what drivers know.)"""
        warnings = config.warn_without_effect(self._conf)
        return Result(Code.WARNING, ' '.join(warnings)) if warnings else Result(Code.SUCCESS)

    _upgrade_checks = (('Database', database), ('Policy file', policy_file), ('Stores', stores),
                       ('Options', options))


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit code.

    :param argv: arguments after the program's name; None: those of the process
    """
    command = cfg.SubCommandOpt('command', title='Commands', help='What to do.', handler=_add_commands)
    try:
        conf = config.load('glance-status', sys.argv[1:] if argv is None else argv, cli_opts=[command])
        if not hasattr(conf.command, 'check'):
            raise errors.ConfigurationError('name a command: glance-status upgrade check')
        upgradecheck.CONF = conf  # where the library looks for --json
        return int(Checks(conf).check())
    except errors.GlanceError as error:
        print(f'ERROR: {error}', file=sys.stderr)
        return CANNOT_RUN


def _add_commands(subparsers: Any) -> None:
    nested = subparsers.add_parser('upgrade', help='upgrades').add_subparsers(title='Commands', required=True)
    check = nested.add_parser('check', help='tell whether this release can take over')
    check.add_argument('--json', action='store_true', help='print JSON instead of a table')
    check.set_defaults(check=True)


if __name__ == '__main__':
    sys.exit(main())
