"""Images that the operator keeps in a directory. Of glancelike it imports ``glancelike.plugin`` only."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from oslo_config import cfg

from glancelike.plugin import Content, ImportJob, ImportMethod, RequestContext, errors

_NAME = re.compile(r'[A-Za-z0-9_][A-Za-z0-9._+~-]{0,199}')  # no hidden files, no way out of the directory
_SUMS = 'SHA256SUMS'
_MOST_SUMS_BYTES = 2**20
_PIECE_BYTES = 2**20


class MirrorDownload(ImportMethod):
    """A file of the mirror, by its name: ``{"name": "mirror-download", "file": "debian-12.qcow2"}``.

    :raises ConfigurationError: no directory is configured
    """

    OPTION_GROUP = 'mirror_download'
    OPTIONS = (cfg.StrOpt('folder', help="""
Directory with the images that may be imported. Every API node and worker must have it under this name."""),)

    def __init__(self, options: Any):
        super().__init__(options)
        if not options.folder:
            raise errors.ConfigurationError('[mirror_download] folder is not set')

    def check(self, ctx: RequestContext, method: Mapping[str, Any]) -> Mapping[str, Any]:
        """METHOD-1: whether the file is there is found out by ``open``, perhaps on another machine."""
        name = method.get('file')
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name == _SUMS:
            raise errors.Invalid(reason='file: mirror-download needs the name of a file in the mirror')
        return {'file': name}

    def open(self, job: ImportJob) -> Content:
        """METHOD-3: the file from its beginning.

        :raises BadSource: there is no such file
        :raises SourceUnavailable: the mirror cannot be read now
        """
        name = job.input['file']
        wanted = job.run(self._checksum, name)
        opened = job.run(self._open, name)
        size = os.fstat(opened.fileno()).st_size
        if size > job.max_bytes:
            opened.close()
            raise errors.ImageTooLarge(limit=job.max_bytes)
        return Content(chunks=_pieces(job, opened, wanted), size=size)

    def _open(self, name: str) -> BinaryIO:
        """METHOD-7: a FIFO does not hold us up."""
        try:
            folder = os.open(self.options.folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise errors.SourceUnavailable(reason='the mirror cannot be read') from error
        try:
            found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        except OSError as error:
            raise errors.BadSource(reason='the mirror has no such file') from error
        finally:
            os.close(folder)
        if not stat.S_ISREG(os.fstat(found).st_mode):
            os.close(found)
            raise errors.BadSource(reason='the mirror has no such file')
        return os.fdopen(found, 'rb', buffering=0)

    def _checksum(self, name: str) -> str | None:
        """The file's SHA-256 as the publisher gives it; None: the mirror does not say."""
        try:
            with self._open(_SUMS) as opened:
                lines = opened.read(_MOST_SUMS_BYTES).decode('utf-8', 'replace').splitlines()
        except errors.BadSource:
            return None
        return next((words[0].lower() for words in map(str.split, lines)
                     if len(words) == 2 and words[1].lstrip('*') == name), None)


def _pieces(job: ImportJob, opened: BinaryIO, wanted: str | None) -> Iterator[bytes]:
    """METHOD-5: 1 MiB each, the job is asked before each, and the file is closed in any case."""
    found, given = hashlib.sha256(), 0
    with opened:
        while True:
            job.check()
            try:
                piece = job.run(opened.read, _PIECE_BYTES)
            except OSError as error:
                raise errors.SourceUnavailable(reason='the mirror cannot be read') from error
            if not piece:
                break
            given += len(piece)
            if given > job.max_bytes:  # it grew
                raise errors.ImageTooLarge(limit=job.max_bytes)
            job.run(found.update, piece)
            yield piece
    if wanted is not None and found.hexdigest() != wanted:
        raise errors.HashMismatch(algorithm='sha256', found=found.hexdigest(), wanted=wanted)
