"""qemu-img on one local file: its format is always said, and nothing that the file names is ever opened."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
from collections.abc import Mapping
from typing import Any, NoReturn

from glancelike.plugin import ImportJob, errors
from glancelike.tasks.import_plugins.image_conversion.child import (
    BoundedChild,
    Limits,
    OutOfTime,
    Result,
    find_program,
)

NAME = 'image_conversion'
#: disk_format -> what QEMU calls it. ISO images and partitioned disks are plain bytes to it.
DRIVERS: Mapping[str, str] = {'raw': 'raw', 'iso': 'raw', 'gpt': 'raw', 'qcow2': 'qcow2', 'vmdk': 'vmdk', 'vhd': 'vpc',
                              'vhdx': 'vhdx', 'vdi': 'vdi'}
_DESCRIPTOR_BYTES = 2**16  # of a VMDK, within which its embedded descriptor ends
_CONTENT_ID = re.compile(rb'\nCID=([0-9a-f]{8})\n')
_SAID_BYTES = 2**22  # of what it may say: many snapshots make a long description
_INFO_CPU_SECONDS = 10
_INFO_SECONDS = 60


class QemuImg:
    """The program.

    :param limits: of one conversion, without the length of files
    :raises ConfigurationError: it is not installed, or what bounds it is not
    """

    def __init__(self, limits: Limits):
        self._limits = limits
        self._program = find_program('qemu-img', NAME, 'qemu-utils (Debian, Ubuntu) or qemu-img (others)')
        self._child = BoundedChild(NAME)

    def info(self, job: ImportJob, path: str, disk_format: str) -> Mapping[str, Any]:
        """What it says of the file: the object of ``qemu-img info --output=json``.

        :raises ImportRejected: it is none of *disk_format*, or a broken one
        """
        limits = dataclasses.replace(
            self._limits, cpu_seconds=min(_INFO_CPU_SECONDS, self._limits.cpu_seconds),
            seconds=min(_INFO_SECONDS, self._limits.seconds), file_bytes=_SAID_BYTES)
        result = self._run(job, ['info', '--output=json', _source(path, disk_format)], limits)
        if result.code != 0:
            _refuse(result, limits, path)
        try:
            return json.loads(result.output)
        except ValueError as error:
            raise errors.ImportRejected(plugin=NAME, reason='qemu-img has too much to say of it.') from error

    def convert(self, job: ImportJob, path: str, disk_format: str, target_path: str, target_format: str) -> None:
        """Write the image to *target_path*, as sparse as its content lets it be.

        :raises ImportRejected: it cannot be converted, or not within the limits
        :raises ImageTooLarge: the result would be longer than ``job.max_bytes``
        :raises ServiceUnavailable: no room is left for it here, or the system has killed it
        """
        limits = dataclasses.replace(self._limits, file_bytes=job.max_bytes)
        command = ['convert', '-q', '-O', DRIVERS[target_format], _source(path, disk_format), target_path]
        result = self._run(job, command, limits)
        if result.code != 0:
            _refuse(result, limits, path, target_path)
        if target_format == 'vmdk':
            _settle_content_id(target_path)

    def _run(self, job: ImportJob, arguments: list[str], limits: Limits) -> Result:
        try:
            return self._child.run(job, [self._program, *arguments], limits)
        except OutOfTime:
            raise errors.ImportRejected(
                plugin=NAME, reason=f'qemu-img did not end within {limits.seconds} s ([{NAME}] max_seconds).') from None
        except OSError as error:  # no room, no process, no file left here: nothing that the image has done
            raise errors.ServiceUnavailable(
                reason='Images cannot be converted at the moment; try again later.') from error


def _source(path: str, disk_format: str) -> str:
    """The file as a block device: local, in this format, without anything below or beside it."""
    return 'json:' + json.dumps({'driver': DRIVERS[disk_format], 'backing': None,
                                 'file': {'driver': 'file', 'filename': path}})


def _refuse(result: Result, limits: Limits, *paths: str) -> NoReturn:
    """Say why qemu-img has failed, without a path."""
    if result.code == -signal.SIGXFSZ or 'File too large' in result.errors:
        raise errors.ImageTooLarge(limit=limits.file_bytes)
    # What it says stands in the same file system: without room there it says nothing.
    if 'No space left on device' in result.errors or not result.errors and _is_full(paths[-1]):
        raise errors.ServiceUnavailable(reason='There is no room to convert the image at the moment; try again later.')
    if result.code == -signal.SIGKILL:
        raise errors.ServiceUnavailable(
            reason='The conversion of the image was killed by the system, perhaps for want of memory; try again later.')
    if result.code == -signal.SIGXCPU:
        reason = f'qemu-img took more than {limits.cpu_seconds} s of processor time ([{NAME}] max_cpu_seconds)'
    elif result.code < 0 or 'annot allocate memory' in result.errors:
        reason = (f'qemu-img broke down; it may have needed more than {limits.memory_bytes} bytes of memory '
                  f'([{NAME}] max_memory)')
    else:
        said = result.errors.strip().splitlines() or ['no reason was given']
        reason = 'qemu-img says: ' + _without(said[-1], paths)
    raise errors.ImportRejected(plugin=NAME, reason=f'{reason}.')


def _is_full(path: str) -> bool:
    return os.statvfs(os.path.dirname(path)).f_bavail == 0


def _settle_content_id(path: str) -> None:
    """QEMU gives each VMDK it makes a random one; ``fffffffe`` is what others write where it has no meaning."""
    with open(path, 'r+b') as opened:
        head = opened.read(_DESCRIPTOR_BYTES)
        found = _CONTENT_ID.search(head)
        if found is not None:
            opened.seek(found.start(1))
            opened.write(b'fffffffe')


def _without(text: str, paths: tuple[str, ...]) -> str:
    text = re.sub(r"'json:\{.*?\}\}?'", 'the image', text)
    for path in paths:
        text = text.replace(path, 'the image')
    return re.sub(r'(?<!\w)/[^\s\'":]+', '...', text.removeprefix('qemu-img: '))[:300]
