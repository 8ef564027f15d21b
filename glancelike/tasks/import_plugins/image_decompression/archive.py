"""A zip archive with one file in it."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from typing import IO

from glancelike.tasks.import_plugins.image_decompression.streams import Damaged

#: Most that is read at once: the list of members is read whole, and one that is longer is not of one file.
_READ_BYTES = 2**20
#: Not bzip2 and not lzma, for which zipfile does not bound what a step gives, nor what it takes of memory.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1  # general purpose bit flag (APPNOTE.TXT, 4.4.4)
#: What zipfile raises for archives that are none, or are made to confuse.
_ERRORS = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, EOFError, OSError, ValueError,
           OverflowError, RuntimeError)


def is_zip(head: bytes) -> bool:
    """Do the data begin as an archive does that has a member?"""
    return head.startswith(b'PK\x03\x04')


class _BoundedReads:
    """A file that is never read in large pieces, whatever the archive says of itself."""

    def __init__(self, opened: IO[bytes]):
        self._opened = opened
        self.seek, self.tell, self.seekable = opened.seek, opened.tell, opened.seekable

    def read(self, size: int = -1) -> bytes:
        data = self._opened.read(_READ_BYTES + 1 if size < 0 else min(size, _READ_BYTES + 1))
        if len(data) > _READ_BYTES:
            raise Damaged('the list of members of the zip archive is too long for one with a single file')
        return data

    def close(self) -> None:
        self._opened.close()


class ZippedFile:
    """The only member of an archive.

    :ivar size: its length in bytes, as the archive says; ``read`` gives that much or raises
    :param path: the archive
    :raises Damaged: from every method; from here: no archive, not exactly one member, or one that is no plain file
    """

    def __init__(self, path: str):
        self._file = _BoundedReads(open(path, 'rb'))
        try:
            self._archive = zipfile.ZipFile(self._file)
            (info,) = self._members()
            self._check(info)
            self._member = self._archive.open(info)
        except _ERRORS as error:
            self._file.close()
            raise Damaged(f'the zip archive is damaged: {error}') from error
        except Damaged:
            self._file.close()
            raise
        self.size = self._left = info.file_size

    def read(self) -> bytes:
        """The next bytes, 1 MiB at most; nothing at the end."""
        try:
            data = self._member.read(_READ_BYTES)
        except _ERRORS as error:
            raise Damaged(f'the zip archive is damaged: {error}') from error
        self._left -= len(data)
        if not data and self._left:
            raise Damaged('the zip archive is damaged: its file is shorter than it says')
        return data

    def close(self) -> None:
        self._file.close()

    def _members(self) -> list[zipfile.ZipInfo]:
        members = self._archive.infolist()
        if len(members) != 1:
            raise Damaged(f'the zip archive has {len(members)} members; exactly one is wanted, the image')
        return members

    def _check(self, info: zipfile.ZipInfo) -> None:
        mode = info.external_attr >> 16
        if info.is_dir() or stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise Damaged('the member of the zip archive is no plain file')
        if info.flag_bits & _ENCRYPTED:
            raise Damaged('the member of the zip archive is encrypted')
        if info.compress_type not in _METHODS:
            raise Damaged('the member of the zip archive is compressed in another way than "deflate"')
