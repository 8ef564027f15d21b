"""Is a file what it is declared to be, and safe to be opened as that? Asked before QEMU sees it.

The inspectors are those of oslo.utils (``oslo_utils.imageutils.format_inspector``), the same that look at every image
on its way into a store.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import IO

from oslo_utils.imageutils import format_inspector

from glancelike.plugin import ImportJob, errors
from glancelike.tasks.import_plugins.image_conversion.qemu_img import NAME

LOG = logging.getLogger(__name__)

#: After so much, only an inspector that has recognised its format goes on.
_HEAD_BYTES = 2**20
#: Fed at once; the VHDX inspector misses its metadata in larger slices.
_SLICE_BYTES = 2**16
_SLICES = 256  # read between two looks at the job
#: Plain bytes to QEMU, so that they may stand in an image that is declared as raw.
_PLAIN = frozenset({'raw', 'iso', 'gpt', 'luks'})


def looks_like(head: bytes) -> str | None:
    """Of a format that QEMU would open by itself: its name; None for everything else."""
    found = _Inspectors()
    for start in range(0, len(head), _SLICE_BYTES):
        found.eat(head[start:start + _SLICE_BYTES])
    names = found.names() - _PLAIN
    return min(names) if names else None


def inspect(job: ImportJob, path: str, declared: str) -> None:
    """Look at a file.

    :raises ImportRejected: it is of another format than *declared*, or of several
    :raises UnsafeImage: it names other files, or has a feature that must not reach a hypervisor
    """
    inspectors = _Inspectors()
    with open(path, 'rb') as opened:
        while job.run(_read_on, inspectors, opened):
            job.check()
    names = inspectors.finish()
    if declared == 'iso':
        names -= {'gpt'}  # those that boot from a disk carry a partition table
    if len(names) > 1:
        raise errors.UnsafeImage(format=' and '.join(sorted(names)), reason='it looks like more than one format')
    found = min(names) if names else 'raw'
    if found != declared and not (declared == 'raw' and found in _PLAIN):
        raise mismatch(declared, found)
    if found == declared and names:
        _check_safety(inspectors.of(found))


def mismatch(declared: str, found: str) -> errors.ImportRejected:
    """The refusal of what is declared wrongly."""
    return errors.ImportRejected(
        plugin=NAME, reason=f'it is declared as {declared} but its content looks like {found}; set disk_format to '
                            'what it is.')


def _read_on(inspectors: _Inspectors, opened: IO[bytes]) -> bool:
    """Feed the next bytes; false when no inspector wants more, or there are none."""
    for _ in range(_SLICES):
        piece = opened.read(_SLICE_BYTES)
        if not piece or not inspectors.eat(piece):
            return False
    return True


class _Inspectors:
    """All of them on the same bytes."""

    def __init__(self) -> None:
        self._live = [cls() for name, cls in format_inspector.ALL_FORMATS.items() if name != 'raw']
        self._eaten = 0

    def eat(self, piece: bytes) -> bool:
        """Does any want more?"""
        for inspector in list(self._live):
            try:
                if not inspector.complete or inspector.NAME in ('luks', 'vhdx'):  # these look at more than they say
                    inspector.eat_chunk(piece)
            except Exception as error:  # each says "not mine" in its own way
                LOG.debug('Not recognised as %s: %s', inspector.NAME, error)
                self._live.remove(inspector)
        self._eaten += len(piece)
        if self._eaten >= _HEAD_BYTES:
            self._live = [one for one in self._live if _matches(one)]
        return any(not one.complete for one in self._live) or self._eaten < _HEAD_BYTES

    def finish(self) -> Collection[str]:
        """Names of the formats that it is of."""
        for inspector in self._live:
            inspector.finish()
        return self.names()

    def names(self) -> set[str]:
        return {one.NAME for one in self._live if _matches(one)}

    def of(self, name: str) -> format_inspector.FileInspector:
        return next(one for one in self._live if one.NAME == name)


def _matches(inspector: format_inspector.FileInspector) -> bool:
    try:
        return bool(inspector.format_match)
    except Exception as error:  # oslo.utils' VMDK one fails here after a text that it could not read
        LOG.debug('Not recognised as %s: %s', inspector.NAME, error)
        return False


def _check_safety(inspector: format_inspector.FileInspector) -> None:
    try:
        inspector.safety_check()
    except format_inspector.SafetyCheckFailed as error:
        reason = '; '.join(f'{name}: {text}' for name, text in sorted(error.failures.items()))
        raise errors.UnsafeImage(format=inspector.NAME, reason=reason) from error
    except format_inspector.ImageFormatError as error:
        raise errors.UnsafeImage(format=inspector.NAME, reason=f'structure: {error}') from error
