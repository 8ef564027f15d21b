"""Lists: every filter and sort key on a small and a large catalogue in turn, as an ordinary project."""

from __future__ import annotations

import itertools
import json
from urllib.parse import urlencode

from bench import catalogue, images, seed
from bench.samples import OURS, Samples, in_turn
from bench.server import Server

SMALL, LARGE = 'small', 'large'
#: How many times its figure on the small catalogue a list may cost on the large one.
PAGE_BOUND, FILTER_BOUND = 1.3, 1.5
SORT_KEYS = ('created_at', 'updated_at', 'name', 'size', 'status', 'disk_format', 'container_format', 'id')
_REQUESTS, _FEWEST = 20, 3  # in a sample; the fewest when one takes long

#: Query of each case; {words} are filled in for each catalogue.
CASES = {
    'list20': 'limit=20', 'list100': 'limit=100', 'page50': 'limit=20&marker={page50}',
    'page500': 'limit=20&marker={page500}',
    'name': 'name=golden-debian-12', 'name_few': 'name={name}', 'name_none': 'name=nobody-has-this',
    'name_prefix': 'name=prefix:golden', 'name_contains': 'name=contains:DEBIAN',
    'name_contains_none': 'name=contains:zzzz',
    'property': 'os_distro=ubuntu', 'property_few': 'team={team}', 'property_one': 'build={build}',
    'property_none': 'os_distro=nobody-has-this',
    'properties': 'os_distro=ubuntu&architecture=aarch64', 'properties_none': 'os_distro=ubuntu&build=none',
    'tag': 'tag=tag-000', 'tag_few': 'tag=tag-200', 'tag_none': 'tag=nobody-has-this',
    'tags': 'tag=tag-000&tag=tag-001', 'tags_few': 'tag=tag-000&tag=tag-200',
    'status': 'status=queued', 'status_none': 'status=pending_delete', 'disk_format': 'disk_format=iso',
    'owner': 'owner={owner}', 'private': 'visibility=private', 'public': 'visibility=public',
    'shared': 'visibility=shared&member_status=all', 'community': 'visibility=community',
    'member_pending': 'visibility=shared&member_status=pending', 'hidden': 'os_hidden=true',
    'size': 'size_min=1000000000&size_max=5000000000', 'size_few': 'size_min=1000000&size_max=1050000',
    'size_none': 'size_min=9000000000000000', 'since': 'updated_at=gte:{since}', 'before': 'created_at=lt:{before}',
    'time_none': 'created_at=gt:2099-01-01T00:00:00Z', 'property_tag': 'os_distro=ubuntu&tag=tag-000',
    'name_status': 'name=golden-debian-12&status=active',
    **{f'sort_{key}_{direction}': f'sort={key}:{direction}' for key in SORT_KEYS for direction in ('asc', 'desc')},
    **{f'property_sort_{key}': f'os_distro=ubuntu&sort={key}:asc' for key in SORT_KEYS},
    **{f'property_none_sort_{key}': f'os_distro=none&sort={key}:asc' for key in ('name', 'size')},
}
_UNLIKE = {'page50': 'list20', 'page500': 'list20'}  # the small catalogue has no such pages


def small_case(case: str) -> str:
    """The case on the small catalogue with which this one on the large is compared."""
    return _UNLIKE.get(case, case)


def bound(case: str) -> float:
    return PAGE_BOUND if case in ('list20', 'list100', *_UNLIKE) else FILTER_BOUND


def measure(samples: Samples, small: Server, large: Server | None, counts: dict[str, int], seconds: float,
            repeats: int) -> None:
    """``small.CASE`` and ``large.CASE``: ``.cpu`` of the server, ``.p50`` and ``.p99`` for one client.

    :param counts: images of the catalogues SMALL and LARGE
    :param seconds: most that a sample takes
    """
    servers = {SMALL: small, **({LARGE: large} if large else {})}
    words = {which: _words(server, counts[which]) for which, server in servers.items()}
    for case, query in CASES.items():
        if not samples.want(f'small.{case}', f'large.{case}'):
            continue
        for which, server in in_turn(servers, repeats):
            if which == SMALL and case in _UNLIKE:
                continue
            try:
                path = '/v2/images?' + query.format(**words[which])
            except KeyError:
                continue  # a page that the catalogue does not have
            _sample(samples, OURS, server, f'{which}.{case}', path, catalogue.ORDINARY, seconds)


def measure_pair(samples: Samples, servers: dict[str, Server], count: int, seconds: float, repeats: int) -> None:
    """``list20`` and ``list100`` of *count* images that one project made through the API, on each server in turn."""
    if not samples.want('list20', 'list100'):
        return
    made = {who: images.create(server, count) for who, server in servers.items()}
    for limit, (who, server) in itertools.product((20, 100), in_turn(servers, repeats)):
        _sample(samples, who, server, f'list{limit}', f'/v2/images?limit={limit}&visibility=private', None, seconds)
    for who, server in servers.items():
        images.remove(server, made[who])


def _sample(samples: Samples, who: str, server: Server, name: str, path: str, project: str | None,
            seconds: float) -> None:
    """Every answer must be that of the first request, which is not counted."""
    more = {} if project is None else {'project': project}
    expected = server.ask('GET', path, **more)
    samples.add(who, f'{name}.images', len(expected['images']))
    request = server.request('GET', path, **more)
    found = samples.requests(who, server, name, [request] * _FEWEST, check=_same(expected))
    enough = int(seconds / max(found.seconds / _FEWEST, 1e-4))
    if enough > _FEWEST:  # those were the warm-up
        for part in ('rate', 'cpu', 'p50', 'p99'):
            if samples.values[who].get(f'{name}.{part}'):
                samples.values[who][f'{name}.{part}'].pop()
        samples.requests(who, server, name, [request] * min(enough, _REQUESTS), check=_same(expected))


def _same(expected: object) -> object:
    """A check that parses the first answer and compares the others with it byte by byte."""
    first: list[bytes] = []

    def check(status: int, body: bytes) -> bool:
        if not first and status == 200 and json.loads(body) == expected:
            first.append(body)
        return bool(first) and body == first[0]

    return check


def _words(server: Server, count: int) -> dict[str, str]:
    """What stands for the words of CASES; each names images that the project sees in this catalogue."""
    one = next(seed.images(min(count, 20000), catalogue.ORDINARY, lambda image: 'team' in image['properties']
                           and (image['name'] or '').startswith('build-')))
    times = {name: catalogue.image(number)['created_at'].isoformat() + 'Z'
             for name, number in (('since', count * 2 // 3), ('before', count // 3))}
    return {'name': one['name'], 'team': one['properties']['team'], 'build': one['properties']['build'],
            'owner': catalogue.ORDINARY, **times, **_markers(server)}


def _markers(server: Server) -> dict[str, str]:
    """Ids of the images before pages 50 and 500, as far as there are such pages."""
    found, seen, marker = {}, 0, {}
    while seen < 499 * 20:
        page = server.ask('GET', '/v2/images?' + urlencode({'limit': 980, **marker}), project=catalogue.ORDINARY)
        ids = [one['id'] for one in page['images']]
        for name, position in (('page50', 49 * 20), ('page500', 499 * 20)):
            if seen < position <= seen + len(ids):
                found[name] = ids[position - seen - 1]
        if len(ids) < 980:
            break
        seen, marker = seen + len(ids), {'marker': ids[-1]}
    return found
