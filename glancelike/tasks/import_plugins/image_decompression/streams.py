"""Compressed streams of four formats, recognised by their first bytes, unpacked in bounded steps.

gzip (RFC 1952), bzip2, xz (The .xz File Format 1.2.0) and Zstandard (RFC 8878): each may be several members, one after
the other, as ``pigz``, ``pbzip2``, ``pixz`` and ``pzstd`` write them. Nothing else may follow.
"""

from __future__ import annotations

import bz2
import lzma
import re
import struct
import zlib
from typing import Protocol

try:
    import zstandard
except ImportError:  # an extra: glancelike[zstd]
    zstandard = None

GZIP, BZIP2, XZ, ZSTD = 'gzip', 'bzip2', 'xz', 'zstd'

#: Most bytes that one step gives.
STEP_BYTES = 2**20
#: Most bytes that are put at once, so that a step is short, whatever the bytes are: thousands of empty members, say.
SLICE_BYTES = 2**16

_BZIP2 = re.compile(rb'BZh[1-9](?:1AY&SY|\x17rE8P\x90)')
_ZSTD_FRAME = b'\x28\xb5\x2f\xfd'
_ZSTD_SKIPPABLE = re.compile(rb'[\x50-\x5f]\x2a\x4d\x18')


class Damaged(Exception):
    """The data cannot be unpacked; the text says why, as the end of a sentence."""


def recognised(head: bytes) -> str | None:
    """The format of data that begin so, or None."""
    if head.startswith(b'\x1f\x8b\x08'):
        return GZIP
    if head.startswith(b'\xfd7zXZ\x00'):
        return XZ
    if _BZIP2.match(head):
        return BZIP2
    return ZSTD if _is_zstd(head) else None


def readable() -> list[str]:
    """The formats that can be unpacked here."""
    return [GZIP, BZIP2, XZ] + ([ZSTD] if zstandard else [])


def _is_zstd(head: bytes) -> bool:
    """pzstd puts a skippable frame before each frame; skippable frames alone could be anything's."""
    start = 0
    while _ZSTD_SKIPPABLE.match(head, start) and len(head) >= start + 8:
        start += 8 + struct.unpack_from('<I', head, start + 4)[0]
    return head[start:start + 4] == _ZSTD_FRAME


class Decoder(Protocol):
    """One member, in the manner of ``bz2.BZ2Decompressor`` and ``lzma.LZMADecompressor``."""

    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most *max_length* bytes more; *data* is empty while ``needs_input`` is false."""


class _GzipDecoder:

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        made = self._inflate.decompress(self._inflate.unconsumed_tail or data, max_length)
        self.needs_input = not self._inflate.unconsumed_tail and len(made) < max_length
        return made


class _ZstdDecoder:
    """zstandard has no ``max_length``: so it is fed little at a time.

    A block gives 128 KiB at most and takes 4 B at least (RFC 8878, 3.1.1.2), so 512 B never give more than 16 MiB.
    """

    FED_BYTES = 512

    def __init__(self, window_bytes: int) -> None:
        self._frame = zstandard.ZstdDecompressor(max_window_size=window_bytes).decompressobj()
        self._waiting = memoryview(b'')
        self._made = memoryview(b'')

    @property
    def eof(self) -> bool:
        return self._frame.eof and not self._made

    @property
    def needs_input(self) -> bool:
        return not self._waiting and not self._made

    @property
    def unused_data(self) -> bytes:
        return self._frame.unused_data + bytes(self._waiting)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if data:
            self._waiting = memoryview(data)
        parts, length = [], len(self._made)
        while self._waiting and length < max_length and not self._frame.eof:
            part = self._frame.decompress(self._waiting[:self.FED_BYTES])
            self._waiting = self._waiting[self.FED_BYTES:]
            parts.append(part)
            length += len(part)
        if parts:
            self._made = memoryview(b''.join([self._made, *parts]))
        made, self._made = bytes(self._made[:max_length]), self._made[max_length:]
        return made


class Stream:
    """Members of one format, one after the other: ``put`` what has come, ``take`` until it gives nothing, ``finish``.

    :param form: GZIP, BZIP2, XZ or ZSTD
    :param memory_bytes: most memory that the data may ask for (dictionary of xz, window of zstd)
    :raises Damaged: from every method
    """

    def __init__(self, form: str, memory_bytes: int):
        if form not in readable():
            raise Damaged(f'it is compressed with {form}, which is not supported here (the Python package zstandard is '
                          'not installed); uncompress it, or compress it with gzip or xz')
        self._form = form
        self._memory_bytes = memory_bytes
        self._decoder: Decoder | None = None
        self._waiting = b''
        self._members = 0
        self._padding = 0  # bytes of it since the last member

    def put(self, data: bytes) -> None:
        """The next 1 B to SLICE_BYTES of the stream; everything before was taken."""
        self._waiting = data

    def take(self) -> bytes:
        """At most STEP_BYTES more of what was compressed; nothing: more must be put."""
        while True:
            decoder = self._decoder
            if decoder is None:
                if self._form == XZ and self._members:
                    self._skip_padding()
                if not self._waiting:
                    return b''
                decoder = self._begin()
            if decoder.needs_input and not self._waiting:
                return b''
            made = self._step(decoder)
            if decoder.eof:
                self._waiting = decoder.unused_data
                self._decoder = None
                self._members += 1
            if made:
                return made

    def finish(self) -> None:
        """All was put and taken."""
        if self._decoder is not None or not self._members:
            raise Damaged(f'the {self._form} data end too early')
        self._check_padding()

    def _begin(self) -> Decoder:
        self._check_padding()
        if self._form == GZIP:
            self._decoder = _GzipDecoder()
        elif self._form == BZIP2:
            self._decoder = bz2.BZ2Decompressor()
        elif self._form == XZ:
            self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=self._memory_bytes)
        else:
            self._decoder = _ZstdDecoder(self._memory_bytes)
        return self._decoder

    def _step(self, decoder: Decoder) -> bytes:
        data = b''
        if decoder.needs_input:
            data, self._waiting = self._waiting, b''
        try:
            return decoder.decompress(data, STEP_BYTES)
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, *_ZSTD_ERRORS) as error:
            if 'emory' in str(error):
                raise Damaged(f'to uncompress its {self._form} data takes more than {self._memory_bytes} bytes of '
                              'memory; compress it with a smaller dictionary or window') from error
            what = 'data that are no {} data follow' if self._members else 'the {} data are damaged'
            raise Damaged(f'{what.format(self._form)}: {error}') from error

    def _skip_padding(self) -> None:
        """Zero bytes, a multiple of four, may follow a stream of xz (The .xz File Format, 2.2)."""
        rest = self._waiting.lstrip(b'\0')
        self._padding += len(self._waiting) - len(rest)
        self._waiting = rest

    def _check_padding(self) -> None:
        if self._padding % 4:
            raise Damaged('the xz data are damaged: padding of a wrong length')
        self._padding = 0


_ZSTD_ERRORS = (zstandard.ZstdError,) if zstandard else ()
