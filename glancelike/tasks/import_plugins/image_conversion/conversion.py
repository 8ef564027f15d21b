"""Makes every image the format that the operator wants stored, with qemu-img in a bounded child process."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from oslo_config import cfg

from glancelike.plugin import Content, ImportJob, ImportPlugin, errors
from glancelike.tasks.import_plugins.image_conversion.child import Limits
from glancelike.tasks.import_plugins.image_conversion.inspection import inspect, looks_like, mismatch
from glancelike.tasks.import_plugins.image_conversion.qemu_img import DRIVERS, NAME, QemuImg

_TARGETS = ('raw', 'qcow2', 'vmdk')
_BARE = 'bare'


class ImageConversion(ImportPlugin):
    """Converts disk images of container format ``bare``; what is of the wanted format already passes as it is.

    Safe for data that nobody vouches for: they are inspected first, the input format is always said, QEMU may open
    that one file only, and it works within limits and, where the system allows it, namespaces of its own.
    """

    MAY_NEED_FILE = True
    OPTION_GROUP = NAME
    OPTIONS = (
        cfg.StrOpt('output_format', default='raw', choices=_TARGETS, help="""
What images are converted to. ISO images stay what they are, unless ``targets`` says otherwise."""),
        cfg.DictOpt('targets', default={}, sample_default='', help="""
What images of single formats are converted to instead, as ``disk_format:target`` pairs with commas between them:
``qcow2:raw, vmdk:qcow2, iso:``. No target leaves images of that format as they are. Formats: raw, qcow2, vmdk, vhd,
vhdx, vdi, iso, gpt; targets: raw, qcow2, vmdk."""),
        cfg.IntOpt('max_ratio', default=1000, min=0, help="""
Refuse an image whose disk is more than this many times as large as its data, and larger than ``max_ratio_from`` bytes.
0: no such bound."""),
        cfg.IntOpt('max_ratio_from', default=32 * 2**30, min=0, help="""
Disks up to this size are never refused for their ratio. Unit: bytes."""),
        cfg.IntOpt('max_memory', default=2**30, min=2**28, help="""
Most memory (address space) that qemu-img may use for one image. Unit: bytes. It needs about 30 MB, and room for
threads."""),
        cfg.IntOpt('max_cpu_seconds', default=1800, min=1, help="""
Most processor time that qemu-img may use for one image. Unit: seconds."""),
        cfg.IntOpt('max_seconds', default=7200, min=1, help="""
Longest that the conversion of one image may take. Unit: seconds."""),
    )

    def __init__(self, options: Any):
        super().__init__(options)
        self._targets = {key.strip(): (value or '').strip() for key, value in options.targets.items()}
        for given, target in self._targets.items():
            if given not in DRIVERS or target not in (*_TARGETS, ''):
                raise errors.ConfigurationError(
                    f"[{NAME}] targets: '{given}:{target}' cannot be. Formats: {', '.join(DRIVERS)}; targets: "
                    f'{", ".join(_TARGETS)}, or nothing.')
        self._qemu_img = QemuImg(Limits(memory_bytes=options.max_memory, cpu_seconds=options.max_cpu_seconds,
                                        seconds=options.max_seconds, file_bytes=0))

    def needs_file(self, job: ImportJob, content: Content) -> bool:
        """What is to be converted does."""
        return self._target(job, content) is not None

    def process(self, job: ImportJob, content: Content) -> Content:
        """See ImportPlugin.process.

        :raises ServiceUnavailable: no room is left here
        """
        target = self._target(job, content)
        declared = content.disk_format or job.image.disk_format
        if target is None:
            self._check_untouched(content, declared)
            return content
        inspect(job, content.path, declared)
        self._check_description(job, content.path, self._qemu_img.info(job, content.path, declared), target)
        made = os.path.join(job.folder, f'converted.{target}')
        self._qemu_img.convert(job, content.path, declared, made, target)
        size = os.path.getsize(made)
        if size > job.max_bytes:
            raise errors.ImageTooLarge(limit=job.max_bytes)
        return dataclasses.replace(content, chunks=None, path=made, size=size, disk_format=target,
                                   container_format=_BARE)

    def facts(self) -> Mapping[str, Any]:
        """See ImportPlugin.facts."""
        return {'output_format': self.options.output_format, 'targets': dict(self._targets)}

    def _target(self, job: ImportJob, content: Content) -> str | None:
        """What the content is to become; None: it stays."""
        declared = content.disk_format or job.image.disk_format
        container = content.container_format or job.image.container_format
        if container != _BARE or declared not in DRIVERS:
            return None
        target = self._targets.get(declared, '' if declared == 'iso' else self.options.output_format)
        return target if target and DRIVERS[target] != DRIVERS[declared] else None

    def _check_untouched(self, content: Content, declared: str | None) -> None:
        """A wrong word must not be a way past the conversion: raw may be anything, to those who look later."""
        if declared == 'raw' and content.container_format in (None, _BARE):
            found = looks_like(content.head)
            if found is not None:
                raise mismatch(declared, found)

    def _check_description(self, job: ImportJob, path: str, found: Mapping[str, Any], target: str) -> None:
        """:raises UnsafeImage, ImageTooLarge, ImportRejected: by what qemu-img says of the file"""
        details = (found.get('format-specific') or {}).get('data') or {}
        outside = [one for one in details.get('extents', ()) if one.get('filename') != path]
        if found.get('backing-filename') or details.get('data-file') or outside:
            raise errors.UnsafeImage(format=found.get('format', 'image'), reason='it names files outside of itself')
        if found.get('encrypted'):
            raise errors.ImportRejected(plugin=NAME, reason='it is encrypted, so it cannot be converted.')
        virtual_bytes = found['virtual-size']
        if target == 'raw' and virtual_bytes > job.max_bytes:
            raise errors.ImageTooLarge(limit=job.max_bytes)
        ratio = self.options.max_ratio
        if ratio and virtual_bytes > max(self.options.max_ratio_from, ratio * os.path.getsize(path)):
            raise errors.ImportRejected(
                plugin=NAME, reason=f'its disk of {virtual_bytes} bytes is more than {ratio} times as large as its '
                                    f'data ([{NAME}] max_ratio).')
