"""The images of a measured catalogue: ``image(i)`` depends on i alone, so a small catalogue begins a large one.

Uneven on purpose: 400 projects, of which the first owns 11 % and the last 0.04 %; names that one image has and names
that thousands have, some without a name, some not ASCII; 2 to 9 properties, of which some are the same nearly
everywhere and one is unique; up to 6 tags of 300; sizes over six orders of magnitude with many equal; times in
bursts of the same second; 2 % are deleted.
"""

from __future__ import annotations

import datetime
import hashlib
import random
from typing import Any

PROJECTS = [hashlib.md5(b'bench project %d' % number).hexdigest() for number in range(400)]
#: The ordinary project whose lists are measured: it owns 1.6 % of the images.
ORDINARY = PROJECTS[9]
TAGS = [f'tag-{number:03}' for number in range(300)]
FIRST = datetime.datetime(2024, 3, 1)

_VISIBILITIES = ('private',) * 62 + ('shared',) * 20 + ('public',) * 12 + ('community',) * 6
_STATUSES = ('active',) * 93 + ('queued',) * 5 + ('deactivated',) * 2
_FORMATS = ('qcow2', 'qcow2', 'qcow2', 'raw', 'raw', 'vmdk', 'iso', 'vhd')
_SYSTEMS = ('ubuntu',) * 5 + ('debian', 'debian', 'rocky', 'rocky', 'fedora', 'windows', 'flatcar', 'alpine')
_MEMBER_STATUSES = ('accepted', 'accepted', 'accepted', 'pending', 'rejected')
_FAMILIES = ('golden-ubuntu-24.04', 'golden-debian-12', 'ci-runner', 'база данных', 'k8s-node', 'bastion')
_MIB = 2**20


def image(i: int) -> dict[str, Any]:
    """Fields of the image as of its row, with ``properties``, ``tags``, ``members`` and ``location``."""
    chance = random.Random(i * 7919 + 13)
    one = chance.random
    owner = PROJECTS[int(400 ** one()) - 1]
    visibility = _VISIBILITIES[int(one() * 100)]
    status = _STATUSES[int(one() * 100)]
    system = _SYSTEMS[int(one() * 13)]
    created = FIRST + datetime.timedelta(seconds=i // 7 * 53, microseconds=i % 7 * 1000)
    number = chance.getrandbits(128)
    image_id = f'{number:032x}'
    image_id = f'{image_id[:8]}-{image_id[8:12]}-4{image_id[13:16]}-a{image_id[17:20]}-{image_id[20:]}'
    draw = one()
    size = None if status == 'queued' else 2361393152 if draw < 0.12 else int(_MIB * 10 ** (draw * 6 - 1))
    return {
        'id': image_id, 'owner': owner, 'visibility': visibility, 'status': status, 'name': _name(i, one()),
        'protected': one() < 0.03, 'os_hidden': one() < 0.02, 'container_format': 'bare',
        'disk_format': _FORMATS[int(one() * 8)], 'min_disk': int(one() * 4) * 10, 'min_ram': int(one() * 3) * 1024,
        'size': size, 'virtual_size': size and size * 3, 'checksum': size and f'{number:032x}',
        'os_hash_algo': size and 'sha512', 'os_hash_value': size and f'{number:032x}' * 4,
        'created_at': created, 'updated_at': created + datetime.timedelta(seconds=int(one() * 200000)),
        'deleted': one() < 0.02,
        'properties': _properties(i, system, one), 'tags': _tags(one), 'location': size and f'file:///none/{image_id}',
        'members': _members(owner, one) if visibility == 'shared' else {},
    }


def _name(i: int, draw: float) -> str | None:
    if draw < 0.03:
        return None
    if draw < 0.20:
        return _FAMILIES[int(draw * 1000) % len(_FAMILIES)]
    if draw < 0.45:
        return f'build-{i // 40:06}'  # about ten images have it
    return f'server-{i:07}'


def _properties(i: int, system: str, one: Any) -> dict[str, str]:
    properties = {'os_distro': system, 'build': f'b{i:08}'}
    if one() < 0.95:
        properties['architecture'] = 'x86_64' if one() < 0.8 else 'aarch64'
    if one() < 0.8:
        properties['os_version'] = f'{int(one() * 16) + 8}.{int(one() * 2) * 6 + 4:02}'
    if one() < 0.6:
        properties['team'] = f'team-{int(2000 ** one()):04}'
    if one() < 0.4:
        properties['hw_disk_bus'] = 'virtio' if one() < 0.7 else 'scsi'
    if one() < 0.3:
        properties['hw_vif_multiqueue_enabled'] = 'true'
    if one() < 0.2:
        properties['pipeline'] = f'https://ci.example.org/{system}/{i % 977}'
    if one() < 0.1:
        properties['description'] = f'Image {i} of {system}, kept for the record. ' * 6
    return properties


def _tags(one: Any) -> set[str]:
    return {TAGS[int(300 ** one()) - 1] for _ in range(int(one() * 7))}


def _members(owner: str, one: Any) -> dict[str, str]:
    """Projects and what they answered; the projects that own much are also shared with most."""
    found = {PROJECTS[int(400 ** one()) - 1]: _MEMBER_STATUSES[int(one() * 5)] for _ in range(int(one() * 6))}
    found.pop(owner, None)
    return found
