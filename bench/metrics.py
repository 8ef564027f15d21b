"""Every metric: its unit, the limit beside it, and the targets."""

from __future__ import annotations

import dataclasses

from bench import lists


@dataclasses.dataclass(frozen=True)
class Metric:
    """How a figure is read.

    :ivar limit: what stands beside it: a limit of the machine, or another metric of the same server
    :ivar bound: target of the ratio to the limit; None when the limit is only there to be seen
    :ivar peer_bound: target of the ratio to the peer's figure
    :ivar peer: the peer's metric, when it is not the one of the same name
    :ivar more_is_better: then bounds are least values, else most values
    """

    unit: str
    limit: str | None = None
    bound: float | None = None
    peer_bound: float | None = None
    peer: str | None = None
    more_is_better: bool = False


def _requests(name: str, cpu_bound: float | None = None, rate_bound: float | None = None,
              limit: str | None = 'exchange') -> dict[str, Metric]:
    return {
        f'{name}.rate': Metric('requests/s', limit and f'{limit}.rate', None, rate_bound, more_is_better=True),
        f'{name}.cpu': Metric('ms/request', limit and f'{limit}.cpu', None, cpu_bound),
        f'{name}.p50': Metric('ms', limit and f'{limit}.p50'), f'{name}.p99': Metric('ms', limit and f'{limit}.p99')}


def _data(name: str, rate: tuple[str | None, float | None], cpu: tuple[str | None, float | None],
          rate_bound: float | None = None, cpu_bound: float | None = None,
          peer: str | None = None) -> dict[str, Metric]:
    return {f'{name}.rate': Metric('MB/s', *rate, rate_bound, peer and f'{peer}.rate', more_is_better=True),
            f'{name}.cpu': Metric('s/GiB', *cpu, cpu_bound, peer and f'{peer}.cpu')}


_GIVE = {'rate': ('give.rate', 0.95), 'cpu': ('give.cpu', 1.15)}
_LATENCY = {'rate': 'requests/s', 'p50': 'ms', 'p99': 'ms'}  # CPU is not of these requests alone
_PARTS = 'upload.parts.cpu', 1.15

METRICS: dict[str, Metric] = {
    'start': Metric('s', 'python', None, 0.5),
    'memory.idle': Metric('MiB PSS', None, None, 0.5),
    'memory.uploads': Metric('MiB RSS', 'memory.idle', None, 0.5),
    'memory.end': Metric('MiB PSS', 'memory.idle'), 'memory.lists': Metric('MiB PSS', 'memory.idle'),
    **_requests('get', 1 / 8, 8), **_requests('create', 1 / 10, limit='exchange1'),
    **_requests('patch', 1 / 12, limit='exchange1'), **_requests('delete', 1 / 10, limit='exchange1'),
    **_requests('list20', 1 / 8, limit=None), **_requests('list100', 1 / 12, limit=None),
    **_data('upload', ('upload.limit', 0.85), _PARTS, 1.7),
    **_data('upload.chunked', ('upload.limit', None), ('upload.parts.cpu', None)),
    **_data('upload4', ('loop4.rate', 0.9), _PARTS, 1.1),
    **_data('upload.sha256', ('loop.sha256.rate', None), ('upload.sha256.parts.cpu', None), 4, 1 / 3, 'upload'),
    **_data('import.direct', ('upload.rate', None), ('upload.cpu', None)),
    **_data('download', **_GIVE), **_data('download.range', **_GIVE),
    **_data('download4', ('give4.rate', None), ('give4.cpu', None)),
    **{name: metric for server in ('uwsgi', 'gunicorn') for part, rate, cpu in (
        ('upload', ('upload.limit', None), ('upload.parts.cpu', None)), ('download', *_GIVE.values()))
       for name, metric in _data(f'{part}.{server}', rate, cpu).items()},
    **{f'download.{server}.range.{part}': Metric(unit, *_GIVE[part], more_is_better=part == 'rate')
       for server in ('uwsgi', 'gunicorn') for part, unit in (('rate', 'MB/s'), ('cpu', 's/GiB'))},
    **{f'get.alone.{part}': Metric(unit, more_is_better=part == 'rate') for part, unit in _LATENCY.items()},
    **{f'get.{name}.{part}': Metric(unit, f'get.alone.{part}', most if part == 'p99' else None,
                                    more_is_better=part == 'rate')
       for name, most in (('uploads', 10), ('slow', 3)) for part, unit in _LATENCY.items()},
    **{f'small.{case}.{part}': Metric(unit) for case in lists.CASES for part, unit in (
        ('cpu', 'ms/request'), ('p50', 'ms'))},
    **{f'large.{case}.{part}': Metric(unit, f'small.{lists.small_case(case)}.{part}',
                                     lists.bound(case) if part == 'cpu' else None)
       for case in lists.CASES for part, unit in (('cpu', 'ms/request'), ('p50', 'ms'))},
}

#: What is measured of the machine alone.
LIMITS = {
    'python': 's', **{f'{name}.{part}': unit for name in ('exchange', 'exchange1') for part, unit in (
        ('rate', 'requests/s'), ('cpu', 'ms/request'), ('p50', 'ms'), ('p99', 'ms'))},
    'disk': 'MB/s', 'md5': 'MB/s', 'sha256': 'MB/s', 'sha512': 'MB/s', 'md5.cpu': 's/GiB',
    'sha256.cpu': 's/GiB', 'sha512.cpu': 's/GiB', 'loop.bare.rate': 'MB/s', 'loop.bare.cpu': 's/GiB',
    'loop.rate': 'MB/s', 'loop.cpu': 's/GiB', 'loop.sha256.rate': 'MB/s', 'loop.sha256.cpu': 's/GiB',
    'loop4.rate': 'MB/s', 'loop4.cpu': 's/GiB', 'upload.limit': 'MB/s', 'upload.parts.cpu': 's/GiB',
    'upload.sha256.parts.cpu': 's/GiB', **{
        f'{name}.{part}': unit for name in ('sendfile', 'pieces', 'give', 'sendfile4', 'pieces4', 'give4')
        for part, unit in (('rate', 'MB/s'), ('cpu', 's/GiB'))},
}
