"""What is said about the samples: a document for JSON, a table, rows of Markdown, ratios to an earlier report."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from bench.metrics import LIMITS, METRICS
from bench.samples import LIMIT, OURS, PEER, Samples

_PACKAGES = ('glancelike', 'eventlet', 'SQLAlchemy', 'WebOb')


def make(samples: Samples, arguments: dict[str, Any]) -> dict[str, Any]:
    """The report: machine, versions, arguments, ``limits`` and ``metrics`` by name, each with all samples."""
    found = {name: _row(samples, LIMIT, name, unit) for name, unit in LIMITS.items() if name in samples.values[LIMIT]}
    metrics = {name: _metric(samples, name) for name in METRICS if name in samples.values[OURS]}
    return {
        'machine': {'processors': len(os.sched_getaffinity(0)), 'platform': platform.platform(),
                    'python': platform.python_version(), 'load': os.getloadavg()[0]},
        'packages': {name: _version(name) for name in _PACKAGES},
        'arguments': arguments, 'limits': found, 'metrics': metrics, 'faults': samples.faults}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None  # run in a checkout


def _row(samples: Samples, who: str, name: str, unit: str) -> dict[str, Any]:
    values = samples.values[who][name]
    return {'unit': unit, 'median': statistics.median(values), 'samples': values, **samples.notes[who][name]}


def _metric(samples: Samples, name: str) -> dict[str, Any]:
    metric = METRICS[name]
    row = _row(samples, OURS, name, metric.unit)
    row['limit'], row['bound'], row['peer_bound'] = metric.limit, metric.bound, metric.peer_bound
    row['more_is_better'] = metric.more_is_better
    if metric.limit:
        limit = samples.median(LIMIT if metric.limit in LIMITS else OURS, metric.limit)
        if limit:
            row['ratio'] = row['median'] / limit
    peer = metric.peer or name
    if peer in samples.values[PEER]:
        row['peer'] = _row(samples, PEER, peer, metric.unit)
        row['peer_ratio'] = row['median'] / row['peer']['median'] if row['peer']['median'] else None
    images = samples.median(OURS, name.rpartition('.')[0] + '.images')
    if images is not None:
        row['images'] = int(images)
    return row


def table(report: dict[str, Any], earlier: dict[str, Any] | None = None) -> str:
    """Everything, for a terminal."""
    lines = [f'{"":38}{"median":>10}  {"unit":11}{"min":>9}{"max":>9}  {"ratio":>7}  to limit'
             f'{"":22}{"peer":>9}{"ratio":>8}{"   earlier" if earlier else ""}']
    for group in ('limits', 'metrics'):
        lines.append(f'--- {group}')
        for name, row in report[group].items():
            limit = f'{row["ratio"]:7.3f}  {row["limit"]}{_target(row, "bound")}' if 'ratio' in row else ''
            peer = (f'{row["peer"]["median"]:9.2f}{_mark(row["peer"])}{row["peer_ratio"]:7.3f}'
                    f'{_target(row, "peer_bound")}' if row.get('peer_ratio') is not None else '')
            line = (f'{name:38}{row["median"]:10.2f}{_mark(row)} {row["unit"]:11}{min(row["samples"]):9.2f}'
                    f'{max(row["samples"]):9.2f}  {limit:40}{peer:27}{_earlier(name, row, group, earlier)}')
            lines.append(line.rstrip())
    for what, fault in report['faults'].items():
        lines.append(f'ERROR {what}: {fault}')
    if any(row['busy'] for group in ('limits', 'metrics') for row in report[group].values()):
        lines.append('c: the client was the bottleneck')
    return '\n'.join(lines)


def _mark(row: dict[str, Any]) -> str:
    return '!' if row['errors'] else 'c' if row['busy'] else ' '


def _target(row: dict[str, Any], kind: str) -> str:
    """The bound, marked when the ratio beside it is not within."""
    bound = row[kind]
    if bound is None:
        return ''
    ratio = row['ratio' if kind == 'bound' else 'peer_ratio']
    missed = ratio < bound if row['more_is_better'] else ratio > bound
    return f' {">=" if row["more_is_better"] else "<="}{bound:.3g}{" MISSED" if missed else ""}'


def _earlier(name: str, row: dict[str, Any], group: str, earlier: dict[str, Any] | None) -> str:
    """How many times the earlier figure."""
    then = (earlier or {}).get(group, {}).get(name, {}).get('median')
    return f'  x{row["median"] / then:.3f}' if then else ''


def markdown(report: dict[str, Any]) -> str:
    """Rows for RESULTS.md."""
    lines = ['| metric | unit | median (least–most) | limit | of the limit | target | peer | of the peer | target |',
             '|---|---|---|---|---|---|---|---|---|']
    lines += ['| ' + ' | '.join(cells) + ' |' for cells in _cells(report)]
    return '\n'.join(lines)


def _cells(report: dict[str, Any]) -> Iterator[list[str]]:
    for name, row in report['metrics'].items():
        value = f'{_short(row["median"])} ({_short(min(row["samples"]))}–{_short(max(row["samples"]))})'
        if row['errors']:
            value += f' **{row["errors"]} errors**'
        elif row['busy']:
            value += ' (client)'
        limit = (report['limits'].get(row['limit']) or report['metrics'].get(row['limit']) or {}).get('median')
        yield [name, row['unit'], value, f'{_short(limit)} {row["limit"]}' if limit else '',
               f'{row["ratio"]:.2f}' if 'ratio' in row else '', _target(row, 'bound') if 'ratio' in row else '',
               _short(row['peer']['median']) if 'peer' in row else '',
               f'{row["peer_ratio"]:.3f}' if row.get('peer_ratio') is not None else '',
               _target(row, 'peer_bound') if row.get('peer_ratio') is not None else '']


def _short(value: float) -> str:
    return f'{value:.0f}' if value >= 100 else f'{value:.1f}' if value >= 10 else f'{value:.2f}'
