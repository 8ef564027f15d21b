"""Measure the bundled server on this machine; print a table and write JSON. See README.rst."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from bench import limits, work
from bench.api import Api

#: metric -> (unit, the limit that stands beside it)
METRICS = {
    'start': ('s', 'python'), 'memory_idle': ('MiB', None),
    'create': ('requests/s', 'exchange'), 'create.cpu': ('ms/request', None),
    'get': ('requests/s', 'exchange'), 'get.cpu': ('ms/request', None),
    'list': ('requests/s', 'exchange'), 'list.cpu': ('ms/request', None),
    'upload': ('MB/s', 'slower hash'), 'upload.cpu': ('s/GiB', 'md5+sha512.cpu'),
    'download': ('MB/s', 'transfer'), 'download.cpu': ('s/GiB', None),
}
LIMITS = {'python': 's', 'exchange': 'requests/s', 'md5': 'MB/s', 'sha512': 'MB/s', 'slower hash': 'MB/s',
          'md5+sha512.cpu': 's/GiB', 'transfer': 'MB/s'}


def main() -> int:
    arguments = _parse()
    folder = Path(tempfile.mkdtemp(prefix='glancelike-bench-', dir=arguments.folder))
    samples: dict[str, list[float]] = {name: [] for name in (*METRICS, *LIMITS)}
    try:
        _measure(arguments, folder, samples)
    finally:
        shutil.rmtree(folder)
    report = _report(arguments, samples)
    print(_table(report))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report, indent=2) + '\n')
    return 0


def _measure(arguments: argparse.Namespace, folder: Path, samples: dict[str, list[float]]) -> None:
    """Every round measures everything once, each beside its limit."""
    data = folder / 'data'
    expected = work.make_data(data, arguments.mib)
    for number in range(arguments.repeats):
        print(f'round {number + 1} of {arguments.repeats}', file=sys.stderr, flush=True)
        for name, value in limits.of_data(data).items():
            samples[name].append(value)
        samples['python'].append(limits.python_start())
        with Api(folder / f'api{number}', arguments.workers) as api:
            samples['start'].append(api.start_seconds)
            samples['memory_idle'].append(api.memory_mib())
            samples['exchange'].append(limits.exchange(min(arguments.seconds, 1)))
            ids = work.create(api, arguments.images, samples)
            work.ask(api, 'get', [f'/v2/images/{one}' for one in ids[:100]], arguments.seconds, samples)
            work.ask(api, 'list', ['/v2/images?limit=20'], arguments.seconds, samples)
            work.transfer(api, ids[0], data, expected, samples)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='python -m bench', description=__doc__)
    parser.add_argument('--repeats', type=int, default=3, help='rounds; medians are of these (3)')
    parser.add_argument('--seconds', type=float, default=3, help='how long requests are sent in a sample (3)')
    parser.add_argument('--images', type=int, default=1000, help='images in the lists that are measured (1000)')
    parser.add_argument('--mib', type=int, default=256, help='MiB of the image that is uploaded (256)')
    parser.add_argument('--workers', type=int, default=0, help='option workers of the server (0)')
    parser.add_argument('--folder', help='where database and images are for the time being (the temporary folder)')
    parser.add_argument('--json', metavar='FILE', help='write the report there')
    return parser.parse_args()


def _report(arguments: argparse.Namespace, samples: dict[str, list[float]]) -> dict[str, Any]:
    def row(name: str, unit: str) -> dict[str, Any]:
        return {'unit': unit, 'median': statistics.median(samples[name]), 'samples': samples[name]}

    found, metrics = {name: row(name, unit) for name, unit in LIMITS.items()}, {}
    for name, (unit, limit) in METRICS.items():
        metrics[name] = {**row(name, unit), 'limit': limit}
        if limit:
            metrics[name]['ratio'] = metrics[name]['median'] / found[limit]['median']
    return {
        'machine': {'processors': len(os.sched_getaffinity(0)), 'platform': platform.platform(),
                    'python': platform.python_version(), 'load': os.getloadavg()[0]},
        'packages': {name: metadata.version(name) for name in ('glancelike', 'eventlet', 'SQLAlchemy', 'WebOb')},
        'arguments': {name: value for name, value in vars(arguments).items() if name not in ('json', 'folder')},
        'limits': found, 'metrics': metrics}


def _table(report: dict[str, Any]) -> str:
    lines = [f'{"":16}{"median":>10}  {"unit":11}{"min":>10}{"max":>10}  {"ratio":>6} to limit']
    for group in ('limits', 'metrics'):
        lines.append(f'--- {group}')
        for name, row in report[group].items():
            ratio = f'{row["ratio"]:6.3f} {row["limit"]}' if 'ratio' in row else ''
            lines.append(f'{name:16}{row["median"]:10.2f}  {row["unit"]:11}{min(row["samples"]):10.2f}'
                         f'{max(row["samples"]):10.2f}  {ratio}'.rstrip())
    return '\n'.join(lines)


if __name__ == '__main__':
    sys.exit(main())
