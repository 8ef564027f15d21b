"""glance-drivers: which drivers are installed, and do they hold their contracts?"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence

from glancelike import errors, loading


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code.

    :returns: 0 all is well; 1 a driver is broken, does not hold its contract, or cannot be tried out
    """
    arguments = _parser().parse_args(sys.argv[1:] if argv is None else argv)
    try:
        return arguments.run(arguments)
    except errors.GlanceError as error:
        print(f'ERROR: {error}', file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='glance-drivers', description=__doc__.partition(': ')[2])
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    listing = commands.add_parser('list', help='show every installed driver of every kind, broken ones with the reason')
    listing.add_argument('--json', action='store_true', help='as a JSON list')
    listing.set_defaults(run=_list)
    check = commands.add_parser('check', help='run the compliance suite on an installed driver, print a certificate')
    kinds = check.add_subparsers(required=True, metavar='KIND')
    store = kinds.add_parser('store', help='a store driver')
    store.add_argument('--config-file', metavar='FILE',
                       help='try the store that this glance.conf has for the driver (trial images are written there '
                            'and removed); without it: a store in a temporary folder')
    store.add_argument('--store', metavar='ID', help='with --config-file: which store, where several use the driver')
    store.set_defaults(run=_check_store)
    db = kinds.add_parser('db', help='a database driver')
    db.add_argument('--url', help='an empty database, used and left empty; without it: one in a temporary folder')
    db.set_defaults(run=_check_db)
    protection = kinds.add_parser('property', help='a property protection')
    protection.set_defaults(run=_check_property)
    strategy = kinds.add_parser('location-strategy', help='a location strategy')
    strategy.set_defaults(run=_check_location_strategy)
    import_method = kinds.add_parser('import-method', help='an import method that fetches what a uri names')
    import_method.set_defaults(run=_check_import_method)
    import_plugin = kinds.add_parser('import-plugin', help='an import plugin')
    import_plugin.set_defaults(run=_check_import_plugin)
    for kind in (store, db, protection, strategy, import_method, import_plugin):
        kind.add_argument('name', metavar='NAME', help='of the driver, as in glance.conf')
        kind.add_argument('--json', action='store_true', help='the certificate as a JSON document')
    return parser


def _list(arguments: argparse.Namespace) -> int:
    found = [one for namespace in loading.NAMESPACES.values() for one in loading.installed(namespace)]
    if arguments.json:
        print(json.dumps([dataclasses.asdict(one) for one in found], indent=2))
    else:
        for namespace in loading.NAMESPACES.values():
            print(namespace)
            rows = [one for one in found if one.namespace == namespace]
            width = max((len(one.name) for one in rows), default=0)
            for one in rows:
                print(f'  {one.name:{width}}  {one.package} {one.version}  {one.target}')
                if one.error is not None:
                    print(f'  {"":{width}}  BROKEN: {one.error}')
    return int(any(one.error is not None for one in found))


def _check_store(arguments: argparse.Namespace) -> int:
    from glancelike import config
    from glancelike.compliance import installed
    conf = None
    if arguments.config_file:
        conf = config.load('glance-drivers', ['--config-file', arguments.config_file])
    elif arguments.store:
        raise errors.ConfigurationError('--store needs --config-file.')
    return _print(arguments, installed.check_store(arguments.name, conf=conf, store_id=arguments.store))


def _check_db(arguments: argparse.Namespace) -> int:
    from glancelike.compliance import installed
    return _print(arguments, installed.check_db(arguments.name, url=arguments.url))


def _check_property(arguments: argparse.Namespace) -> int:
    from glancelike.compliance import installed
    return _print(arguments, installed.check_property(arguments.name))


def _check_location_strategy(arguments: argparse.Namespace) -> int:
    from glancelike.compliance import installed
    return _print(arguments, installed.check_location_strategy(arguments.name))


def _check_import_method(arguments: argparse.Namespace) -> int:
    from glancelike.compliance import installed
    return _print(arguments, installed.check_import_method(arguments.name))


def _check_import_plugin(arguments: argparse.Namespace) -> int:
    from glancelike.compliance import installed
    return _print(arguments, installed.check_import_plugin(arguments.name))


def _print(arguments: argparse.Namespace, certificate) -> int:
    if arguments.json:
        clauses = {clause: certificate.outcome(clause) for clause in certificate.clauses}
        print(json.dumps(dataclasses.asdict(certificate) | {'clauses': clauses, 'holds': certificate.holds}, indent=2))
    else:
        print('\n'.join(certificate.lines()))
    return 0 if certificate.holds else 1


if __name__ == '__main__':
    sys.exit(main())
