"""Unpacks what is recognised as compressed, with a bound on what comes out."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Generator, Iterable, Mapping
from typing import Any

from oslo_config import cfg

from glancelike.plugin import Content, ImportJob, ImportPlugin, errors
from glancelike.tasks.import_plugins.image_decompression.archive import ZippedFile, is_zip
from glancelike.tasks.import_plugins.image_decompression.pieces import Pieces, pieces_of
from glancelike.tasks.import_plugins.image_decompression.streams import (
    SLICE_BYTES,
    Damaged,
    Stream,
    readable,
    recognised,
)

_NAME = 'image_decompression'
_COMPRESSED = 'compressed'  # the container format of images that are to stay as they are


class ImageDecompression(ImportPlugin):
    """Uncompresses gzip, bzip2, xz, zstd and zip; once, so an archive inside of an archive stays one.

    MAY_NEED_FILE stays false: archives of zip are rare, and the others stream from their source into the store.
    """

    OPTION_GROUP = _NAME
    OPTIONS = (
        cfg.IntOpt('max_ratio', default=250, min=0, help="""
Refuse data that grow to more than this many times their size when they are uncompressed, once there are more than
``max_ratio_from`` bytes of them. 0: only ``image_size_cap`` bounds them. Disk images that are mostly empty do shrink
well: to a 200th is not rare."""),
        cfg.IntOpt('max_ratio_from', default=2**30, min=0, help="""
So many uncompressed bytes are never refused for their ratio. Unit: bytes."""),
        cfg.IntOpt('max_memory', default=128 * 2**20, min=2**20, max=2**31, help="""
Most memory that compressed data may ask for: the dictionary of xz and the window of zstd. Unit: bytes. ``xz -9`` needs
65 MiB, ``zstd --long=27`` 128 MiB."""),
    )

    def needs_file(self, job: ImportJob, content: Content) -> bool:
        """Only zip does: its list of members stands at the end."""
        return self._concerned(job, content) and is_zip(content.head)

    def process(self, job: ImportJob, content: Content) -> Content:
        """See ImportPlugin.process."""
        if not self._concerned(job, content):
            return content
        if is_zip(content.head):
            return self._unzipped(job, content)
        form = recognised(content.head)
        if form is None:
            return content
        try:
            stream = Stream(form, self.options.max_memory)
        except Damaged as error:
            raise _refusal(error) from error
        source = pieces_of(job, content)
        bounds = _Bounds(self.options, job.max_bytes, content.size)
        made = Pieces(_unpacked(job, source, stream, bounds), source)
        return dataclasses.replace(content, chunks=made, path=None, size=None)

    def facts(self) -> Mapping[str, Any]:
        """See ImportPlugin.facts."""
        return {'formats': [*readable(), 'zip'], 'max_ratio': self.options.max_ratio}

    def _concerned(self, job: ImportJob, content: Content) -> bool:
        return (content.container_format or job.image.container_format) != _COMPRESSED

    def _unzipped(self, job: ImportJob, content: Content) -> Content:
        try:
            packed_bytes = os.path.getsize(content.path)
            member = job.run(ZippedFile, content.path)
        except Damaged as error:
            raise _refusal(error) from error
        bounds = _Bounds(self.options, job.max_bytes, packed_bytes)
        try:
            bounds.check(member.size)
        except errors.GlanceError:
            member.close()
            raise
        return dataclasses.replace(content, chunks=Pieces(_read(job, member, bounds), member), path=None,
                                   size=member.size)


class _Bounds:
    """How much may come out.

    :param max_bytes: at all
    :param packed_bytes: length of the compressed data, where it is known
    """

    def __init__(self, options: Any, max_bytes: int, packed_bytes: int | None):
        self._options = options
        self._max_bytes = max_bytes
        self._packed_bytes = packed_bytes or 0

    def check(self, made_bytes: int, read_bytes: int = 0) -> None:
        """:raises ImageTooLarge, ImportRejected: *made_bytes* of the *read_bytes* so far are too many"""
        if made_bytes > self._max_bytes:
            raise errors.ImageTooLarge(limit=self._max_bytes)
        ratio = self._options.max_ratio
        if not ratio or made_bytes <= self._options.max_ratio_from:
            return
        if made_bytes > ratio * max(read_bytes, self._packed_bytes):
            raise errors.ImportRejected(plugin=_NAME, reason=f'uncompressed, it is more than {ratio} times as long '
                                                             f'([{_NAME}] max_ratio)')


def _unpacked(job: ImportJob, source: Iterable[bytes], stream: Stream,
              bounds: _Bounds) -> Generator[bytes, None, None]:
    read_bytes = made_bytes = 0
    try:
        for piece in source:
            for start in range(0, len(piece), SLICE_BYTES):
                part = piece[start:start + SLICE_BYTES]
                read_bytes += len(part)
                stream.put(part)
                job.check()
                while made := job.run(stream.take):
                    made_bytes += len(made)
                    bounds.check(made_bytes, read_bytes)
                    yield made
                    job.check()
        stream.finish()
    except Damaged as error:
        raise _refusal(error) from error


def _read(job: ImportJob, member: ZippedFile, bounds: _Bounds) -> Generator[bytes, None, None]:
    made_bytes = 0
    try:
        job.check()
        while made := job.run(member.read):
            made_bytes += len(made)
            bounds.check(made_bytes)
            yield made
            job.check()
    except Damaged as error:
        raise _refusal(error) from error


def _refusal(error: Damaged) -> errors.ImportRejected:
    return errors.ImportRejected(plugin=_NAME, reason=f'{error}.')
