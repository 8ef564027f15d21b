"""Image data: uploads and downloads beside what loops without any service around them reach with the same client."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench import images, limits
from bench.limits import AT_ONCE
from bench.samples import GIB, LIMIT, MB, Samples, in_turn
from bench.server import Server
from bench.transfers import Content, download, upload

_DATA = 'application/octet-stream'
HASHES = ('md5', 'sha512')


def measure(samples: Samples, servers: dict[str, Server], content: Content, folder: Path, repeats: int) -> None:
    """``upload``, ``upload.chunked``, ``upload4`` (4 clients), ``download``, ``download.range``, ``download4``."""
    if samples.want('upload', 'upload.chunked', 'upload4'):
        _upload_limits(samples, content, folder, repeats)
    if samples.want('download', 'download.range', 'download4'):
        _download_limits(samples, content, folder, repeats)
    if not samples.want('upload', 'upload.chunked', 'upload4', 'download', 'download.range', 'download4'):
        return
    for who, server in in_turn(servers, repeats):
        made = put(samples, who, server, 'upload', content)
        if samples.want('download', 'download.range', 'download4'):
            get(samples, who, server, 'download', content, made[0])
        images.remove(server, made)
        for name, clients, chunked in (('upload.chunked', 1, True), ('upload4', AT_ONCE, False)):
            if samples.want(name):
                images.remove(server, put(samples, who, server, name, content, clients, chunked))


def put(samples: Samples, who: str, server: Server, name: str, content: Content, clients: int = 1,
        chunked: bool = False, hashes: Sequence[str] = HASHES) -> list[str]:
    """Upload; returns the images. Size and hashes that the server has must be those of the content."""
    made = images.create(server, clients)
    heads = [server.head('PUT', f'/v2/images/{one}/file', None if chunked else content.size, media_type=_DATA)
             for one in made]
    expected = {'size': content.size, 'status': 'active', 'os_hash_algo': hashes[-1],
                'os_hash_value': content.digest(hashes[-1]),
                'checksum': content.digest('md5') if 'md5' in hashes else None}

    def wrong() -> list[str]:
        shown = [server.ask('GET', f'/v2/images/{one}') for one in made]
        return [f'{field} is {one.get(field)!r}' for one in shown for field, value in expected.items()
                if one.get(field) != value]

    samples.transfer(who, server, name, content.size, clients, upload, heads, content, chunked, faults=wrong)
    return made


def get(samples: Samples, who: str, server: Server, name: str, content: Content, image_id: str) -> None:
    """Download all, and from a quarter on, then by 4 clients; and once more each way, not timed, with the hash."""
    path, size, start = f'/v2/images/{image_id}/file', content.size, content.size // 4 + 1
    whole = server.head('GET', path)
    part = server.head('GET', path, more=[f'Range: bytes={start}-{size - 1}'])

    def wrong(head: bytes, start: int) -> list[str]:
        found = download(server.address, [head], size - start, True)
        return found.faults or ['' if found.digests == [content.digest('sha256', start)] else 'other bytes came']

    samples.transfer(who, server, name, size, 1, download, [whole], size,
                     faults=lambda: filter(None, wrong(whole, 0)))
    if samples.want(f'{name}.range'):
        samples.transfer(who, server, f'{name}.range', size - start, 1, download, [part], size - start,
                         faults=lambda: filter(None, wrong(part, start)))
    if samples.want(f'{name}4'):
        samples.transfer(who, server, f'{name}4', size, AT_ONCE, download, [whole] * AT_ONCE, size)


def _upload_limits(samples: Samples, content: Content, folder: Path, repeats: int) -> None:
    """Disk and hashes alone, their sums, and loops that receive, hash and write."""
    for _ in range(repeats):
        disk = limits.writing(content, folder / 'written') / MB
        samples.add(LIMIT, 'disk', disk)
        rates, cpu = {}, {}
        for name in (*HASHES, 'sha256'):
            rate, seconds = limits.hashing(content, name)
            rates[name], cpu[name] = rate / MB, seconds * GIB / content.size
            samples.add(LIMIT, name, rates[name])
            samples.add(LIMIT, f'{name}.cpu', cpu[name])
        loops = {'loop.bare': (1, (), False), 'loop': (1, HASHES, True), 'loop.sha256': (1, ('sha256',), True),
                 'loop4': (AT_ONCE, HASHES, False)}
        for name, (clients, hashes, threads) in loops.items():
            with limits.take(folder, hashes, threads) as loop:
                heads = [loop.head('PUT', '/', content.size, media_type=_DATA)] * clients
                samples.transfer(LIMIT, loop, name, content.size, clients, upload, heads, content)
        bare = samples.values[LIMIT]['loop.bare.cpu'][-1]
        samples.add(LIMIT, 'upload.limit', min(disk, rates['md5']))
        samples.add(LIMIT, 'upload.parts.cpu', cpu['md5'] + cpu['sha512'] + bare)
        samples.add(LIMIT, 'upload.sha256.parts.cpu', cpu['sha256'] + bare)


def _download_limits(samples: Samples, content: Content, folder: Path, repeats: int) -> None:
    """The same file by sendfile, and by reading and sending; the better of both is the limit."""
    path = folder / 'given'
    with path.open('wb') as file:
        for piece in content.pieces():
            file.write(piece)
    for _ in range(repeats):
        for clients, suffix in ((1, ''), (AT_ONCE, '4')):
            for name, give in (('sendfile', limits.give_sendfile), ('pieces', limits.give_pieces)):
                with give(path) as loop:
                    samples.transfer(LIMIT, loop, name + suffix, content.size, clients, download,
                                     [loop.head('GET', '/')] * clients, content.size)
            for part, better in (('rate', max), ('cpu', min)):
                samples.add(LIMIT, f'give{suffix}.{part}', better(
                    samples.values[LIMIT][f'{name}{suffix}.{part}'][-1] for name in ('sendfile', 'pieces')))
    path.unlink()
