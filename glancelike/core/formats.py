"""What an image's bytes are: recognised as they stream by, refused when mislabelled or unsafe.

The rules are those of Glance, seen from outside (a table of contents against declared formats stands in
``tests/unit/core/test_formats.py``):

* only images of container format ``bare`` are inspected;
* bytes of another format than the declared one are refused, except that ``raw`` may hold anything that passes
  the safety check of what it is, and an ISO image may carry a partition table (bootable ones do);
* a declared format that nobody can recognise (``ami``, ``ploop``) must look like nothing known;
* what looks like two formats at once is refused.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Iterator

from oslo_utils.imageutils import format_inspector

from glancelike import errors

LOG = logging.getLogger(__name__)

#: Decided after this much of an image, unless its format keeps something for the end.
HEAD_BYTES = 2**20
#: Inspectors are fed slices of this size: oslo.utils' VHDX inspector finds its metadata table in one call and
#: looks for the entry behind the table in the next, so the two (64 KiB apart) must not come in one slice.
SLICE_BYTES = 2**16
#: What virtual_size may be (signed 64 bit in every database).
MAX_VIRTUAL_BYTES = 2**63 - 1

_CONTAINER = 'bare'
_RAW = 'raw'


@dataclasses.dataclass(frozen=True, slots=True)
class FormatRules:
    """The operator's choice, the options of ``[image_format]``.

    :ivar vmdk_allowed_types: VMDK subformats that may come in
    :ivar match_required: refuse data that are not of the declared format
    :ivar gpt_nonfatal: names of partition table checks that only warn
    """

    vmdk_allowed_types: Collection[str] = ('streamOptimized', 'monolithicSparse')
    match_required: bool = True
    gpt_nonfatal: Collection[str] = ()

    def inspection(self, disk_format: str, container_format: str) -> Inspection | None:
        """What will look at the bytes of such an image; None when nothing will."""
        return Inspection(disk_format, self) if container_format == _CONTAINER else None


class Inspection:
    """Looks at one image's bytes: ``feed`` each piece in order, then ``finish``.

    It keeps at most HEAD_BYTES and what single inspectors need, whatever the image's size.
    """

    def __init__(self, declared: str, rules: FormatRules):
        self._declared = declared
        self._rules = rules
        self._live = [cls() for name, cls in format_inspector.ALL_FORMATS.items() if name != _RAW]
        self._fed = list(self._live)
        self._head: list[bytes] | None = []
        self._text_descriptor = False
        self.received = 0

    def feed(self, piece: bytes) -> None:
        """Look at the next bytes, any number of them.

        :raises FormatMismatch, UnsafeImage: already certain
        """
        self.received += len(piece)
        if self._head is None:
            if self._fed:
                self._eat(piece)
            return
        self._head.append(piece)  # however small the pieces that come from the network
        if self.received >= HEAD_BYTES:
            self._eat_head()
            if all(inspector.complete or _matches(inspector) for inspector in self._live):
                self._judge(final=False)

    def finish(self) -> int | None:
        """All bytes were fed.

        :returns: the virtual size in bytes, 1 to 2**63-1, or None where the format tells none
        :raises FormatMismatch, UnsafeImage
        """
        if self._head is not None:
            self._eat_head()
        for inspector in self._live:
            inspector.finish()
        found = self._judge(final=True)
        if self._declared == _RAW:
            return self.received or None
        if found is None or found.NAME != self._declared:
            return None
        size = self.received if found.NAME == 'gpt' else found.virtual_size
        return size if 0 < size <= MAX_VIRTUAL_BYTES else None

    def _eat_head(self) -> None:
        head = self._head[0] if len(self._head) == 1 else b''.join(self._head)
        self._head = None
        self._text_descriptor = _is_vmdk_text(head[:512])
        self._eat(head)
        # Whoever has seen all it wants without a match has decided.
        self._live = [inspector for inspector in self._live if not inspector.complete or _matches(inspector)]
        self._fed = [inspector for inspector in self._live if _wants_more(inspector)]

    def _eat(self, piece: bytes) -> None:
        for start in range(0, len(piece), SLICE_BYTES):
            part = piece[start:start + SLICE_BYTES]
            for inspector in list(self._fed):
                try:
                    inspector.eat_chunk(part)
                except Exception as error:  # each says "not mine" in its own way
                    LOG.debug('Not recognised as %s: %s', inspector.NAME, error)
                    self._fed.remove(inspector)
                    self._live.remove(inspector)

    def _judge(self, *, final: bool) -> format_inspector.FileInspector | None:
        """The inspector of what it is, None when it looks like nothing known."""
        if self._text_descriptor:
            raise errors.UnsafeImage(format='vmdk', reason='a text descriptor, which names files outside of the image')
        matches = {inspector.NAME: inspector for inspector in self._live if _matches(inspector)}
        if self._declared == 'iso' and set(matches) == {'iso', 'gpt'}:
            del matches['gpt']
        if len(matches) > 1:
            raise errors.UnsafeImage(format=' and '.join(sorted(matches)), reason='it looks like more than one format')
        found = next(iter(matches.values()), None)
        self._compare(found, final)
        if found is not None and (final or found.complete):
            self._check_safety(found)
        return found

    def _compare(self, found: format_inspector.FileInspector | None, final: bool) -> None:
        name = _RAW if found is None else found.NAME
        recognisable = self._declared in format_inspector.ALL_FORMATS
        if self._declared in (_RAW, name) or (found is None and not recognisable):
            return
        if self._rules.match_required:
            raise errors.FormatMismatch(declared=self._declared, found=name)
        if final:
            LOG.warning('An image declared as %s has content that looks like %s.', self._declared, name)

    def _check_safety(self, found: format_inspector.FileInspector) -> None:
        failures = dict(_failures(found))
        if found.NAME == 'gpt':
            for name in failures.keys() & set(self._rules.gpt_nonfatal):
                LOG.warning('Partition table check %s failed (not fatal): %s', name, failures.pop(name))
        if failures:
            reason = '; '.join(f'{name}: {text}' for name, text in sorted(failures.items()))
            raise errors.UnsafeImage(format=found.NAME, reason=reason)
        if found.NAME == 'vmdk':
            subformat = found.vmdktype
            if subformat not in {name.lower() for name in self._rules.vmdk_allowed_types}:
                raise errors.UnsafeImage(format='vmdk', reason=f'subformat {subformat} is not allowed here')


def _matches(inspector: format_inspector.FileInspector) -> bool:
    try:
        return bool(inspector.format_match)
    except Exception as error:  # oslo.utils' VMDK one fails here after a text that it could not read
        LOG.debug('Not recognised as %s: %s', inspector.NAME, error)
        return False


def _wants_more(inspector: format_inspector.FileInspector) -> bool:
    """Must it see the bytes behind the head?

    The LUKS one counts them. The VHDX one may be complete and yet go on to look for its size.
    """
    return not inspector.complete or inspector.NAME in ('luks', 'vhdx')


def _failures(inspector: format_inspector.FileInspector) -> Iterator[tuple[str, str]]:
    """Name and text of each safety check that fails."""
    try:
        inspector.safety_check()
    except format_inspector.SafetyCheckFailed as error:
        for name, failure in error.failures.items():
            yield name, str(failure)
    except format_inspector.ImageFormatError as error:
        yield 'structure', str(error)


def _is_vmdk_text(start: bytes) -> bool:
    """Would QEMU take it for a VMDK text descriptor?

    Its probe (block/vmdk.c, vmdk_probe) looks at the first 512 bytes for ``version=`` after nothing but blank
    lines and comments. The inspector of oslo.utils misses a descriptor that is padded with zero bytes, which is
    how qemu-img writes them.
    """
    for line in start.split(b'\n'):
        line = line.strip(b' \r\t').lower()
        if line.startswith(b'# disk descriptorfile'):
            return True
        if line and not line.startswith(b'#'):
            return line.startswith(b'version=')
    return False
