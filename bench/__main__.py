"""Measure the service on this machine; print a table and write JSON. See README.rst."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from bench import data, images, imports, latency, lists, nodes, report
from bench.api import Api
from bench.databases import Databases
from bench.samples import OURS, PEER, Samples
from bench.server import IDENTITY, Server
from bench.transfers import MIB, Content

SMALL_IMAGES = 1000
QUICK = {'repeats': 1, 'seconds': 0.3, 'images': 1500, 'count': 40, 'listed': 100, 'mib': 8, 'slow': 10}


def main() -> int:
    arguments = _parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the servers end with us
    folder = Path(tempfile.mkdtemp(prefix='glancelike-bench-', dir=arguments.folder))
    keep = Path(arguments.keep) if arguments.keep else folder
    keep.mkdir(parents=True, exist_ok=True)
    databases = Databases(arguments.database, keep, bool(arguments.keep))
    samples = Samples(arguments.only)
    try:
        _measure(arguments, folder, databases, samples)
    finally:
        databases.drop()
        shutil.rmtree(folder)
    found = report.make(samples, {name: value for name, value in vars(arguments).items()
                                  if name not in ('json', 'folder', 'database', 'against_header')})
    earlier = json.loads(Path(arguments.compare).read_text()) if arguments.compare else None
    print(report.markdown(found) if arguments.markdown else report.table(found, earlier))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=2) + '\n')
    return 1 if samples.faults else 0


def _measure(given: argparse.Namespace, folder: Path, databases: Databases, samples: Samples) -> None:
    """One after the other, each beside its limit; the two servers of a comparison in turn."""
    database = databases.url(SMALL_IMAGES, 'small')
    content, repeats = Content(given.mib * MIB), given.repeats
    with samples.stage('start'):
        nodes.starts(samples, folder, database, given.workers, repeats)
    with Api(folder / 'api', database, given.workers, database_pid=given.database_pid) as api:
        servers: dict[str, Server] = {OURS: api}
        if given.against:
            servers[PEER] = Server(given.against, [given.against_pid, *given.against_database_pid]
                                   if given.against_pid else [], given.against_header or IDENTITY)
        for who, server in servers.items():
            nodes.memory(samples, who, server, 'idle')
        with samples.stage('lists'):
            _lists(given, folder, databases, samples, api)
            lists.measure_pair(samples, servers, given.listed, given.seconds, repeats)
        with samples.stage('images'):
            images.measure(samples, servers, given.count, given.clients, given.writers, given.seconds, repeats)
        with samples.stage('data'):
            data.measure(samples, servers, content, folder, repeats)
            nodes.memory_of_uploads(samples, servers, content)
        with samples.stage('imports'):
            imports.measure(samples, servers, content, repeats)
        with samples.stage('latency'):
            latency.measure(samples, servers, given.slow, 3 * given.seconds, repeats)  # enough for a p99
        for who, server in servers.items():
            nodes.memory(samples, who, server, 'end')
        if given.against:
            images.clear(servers[PEER])  # what a failure has left there
    with samples.stage('sha256'), tempfile.TemporaryDirectory(prefix='glancelike-bench-', dir=given.tmpfs) as store:
        nodes.modern_hash(samples, folder, database, given.workers, content, Path(store), repeats)
    with samples.stage('other web servers'):
        nodes.foreign(samples, folder, database, given.workers, content, repeats)


def _lists(given: argparse.Namespace, folder: Path, databases: Databases, samples: Samples, small: Api) -> None:
    """On the small catalogue, and on a large one that has a node of its own."""
    if not samples.want(*(f'{which}.{case}' for which in (lists.SMALL, lists.LARGE) for case in lists.CASES)):
        return
    counts = {lists.SMALL: SMALL_IMAGES, lists.LARGE: given.images}
    with contextlib.ExitStack() as stack:
        large = None
        if given.images:
            large = stack.enter_context(Api(folder / 'large', databases.url(given.images, 'large'), given.workers,
                                            database_pid=given.database_pid))
        lists.measure(samples, small, large, counts, given.seconds, given.repeats)
        if large:
            nodes.memory(samples, OURS, large, 'lists')


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='python -m bench', description=__doc__)
    add = parser.add_argument
    add('--only', action='append', default=[], metavar='PATTERN', help='metrics to measure (shell pattern; repeatable)')
    add('--quick', action='store_true', help='everything once and small: does it run at all')
    add('--repeats', type=int, default=3, help='samples of each metric; the figure is their median (3)')
    add('--seconds', type=float, default=2, help='how long requests are sent in a sample (2)')
    add('--clients', type=int, default=16, help='connections of get (16)')
    add('--writers', type=int, default=1, help='connections of create, patch, delete (1)')
    add('--count', type=int, default=500, help='images made, changed and removed in a sample (500)')
    add('--images', type=int, default=100_000, help='images of the large catalogue (100000); 0: none')
    add('--listed', type=int, default=SMALL_IMAGES, help='images that a project makes for list20 and list100 (1000)')
    add('--mib', type=int, default=256, help='MiB of the image that is uploaded (256)')
    add('--slow', type=int, default=200, help='clients that dribble (200)')
    add('--workers', type=int, default=2, help='processes of the server (2)')
    add('--database', default='sqlite', help='sqlite, or the URL of a database on a server on which more can be made')
    add('--database-pid', type=int, help="the database server's first process, whose CPU is counted too")
    add('--folder', help='where databases and images are for the time being (the temporary folder)')
    add('--keep', metavar='FOLDER', help='leave the catalogues, SQLite files there, for the next run')
    add('--tmpfs', default='/dev/shm', help='store of upload.sha256 (/dev/shm)')
    add('--against', metavar='URL', help='another Image v2 server, asked the same in turn')
    add('--against-pid', type=int, help='its first process')
    add('--against-database-pid', type=int, action='append', default=[], help="its database's first process")
    add('--against-header', action='append', metavar='"NAME: VALUE"',
        help='headers of its callers instead of those of a trusted proxy; {project} and {roles} are filled in')
    add('--json', metavar='FILE', help='write the report there')
    add('--compare', metavar='FILE', help='an earlier report: print ratios to it')
    add('--markdown', action='store_true', help='print rows for RESULTS.md instead of the table')
    arguments = parser.parse_args()
    if arguments.quick:
        vars(arguments).update(QUICK)
    return arguments


if __name__ == '__main__':
    sys.exit(main())
