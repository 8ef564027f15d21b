"""Images of every format for tests: made by qemu-img where it knows the format, byte by byte where it does not."""

import shutil
import struct
import subprocess
from pathlib import Path

from tests import servers

MIB = 2**20
#: What is in the images that hold anything.
CONTENT = bytes(range(256)) * (MIB // 256)


class DiskImages:
    """Makes images in a folder; each method returns the bytes of one.

    :param case: is skipped (failed, where servers are required) when qemu-img is not installed
    """

    def __init__(self, case, folder: Path):
        self._folder = folder
        self._program = shutil.which('qemu-img')
        if self._program is None:
            servers.refuse(case, 'qemu-img is not installed')
        (folder / 'content').write_bytes(CONTENT)

    def converted(self, form: str, **options) -> bytes:
        """CONTENT as *form*, with options of qemu-img."""
        return self._make('convert', '-O', form, *_options(options), 'content', 'made')

    def with_backing_file(self) -> bytes:
        return self._make('create', '-f', 'qcow2', '-b', 'content', '-F', 'raw', 'made')

    def with_data_file(self) -> bytes:
        return self._make('create', '-f', 'qcow2', *_options({'data_file': 'outside', 'data_file_raw': 'on'}),
                          'made', '1M')

    def _make(self, *arguments: str) -> bytes:
        subprocess.run([self._program, arguments[0], '-q', *arguments[1:]], cwd=self._folder, check=True)
        made = self._folder / 'made'
        try:
            return made.read_bytes()
        finally:
            made.unlink()


def _options(options) -> list[str]:
    return ['-o', ','.join(f'{name}={value}' for name, value in options.items())] if options else []


def partitioned(*, boot_flag: int = 0x80, kind: int = 0x83, length: int = MIB) -> bytes:
    """A raw disk with one entry in its MBR; *kind* 0xEE says that a GPT follows.

    :param boot_flag: 0 and 0x80 are valid
    """
    disk = bytearray(length)
    disk[446:462] = struct.pack('<B3BB3BII', boot_flag, 0, 2, 0, kind, 0xff, 0xff, 0xff, 1, 2047)
    disk[510:512] = b'\x55\xaa'
    return bytes(disk)


def iso(*, blocks: int = 400, bootable: bool = False) -> bytes:
    """An ISO 9660 image of *blocks* blocks of 2 KiB (ECMA-119, 8.4: the primary volume descriptor)."""
    disk = bytearray(partitioned() if bootable else MIB)
    disk[32768:32775] = b'\x01CD001\x01'
    disk[32768 + 80:32768 + 84] = struct.pack('<L', blocks)
    disk[32768 + 128:32768 + 130] = struct.pack('<H', 2048)
    return bytes(disk)


def luks(version: int, *, payload_sectors: int = 4096, length: int = 4 * MIB) -> bytes:
    """A LUKS header (on-disk format 1.2.3, table 1) before nothing."""
    header = struct.pack('>6sH32s32s32sII', b'LUKS\xba\xbe', version, b'aes', b'xts-plain64', b'sha256',
                         payload_sectors, 64)
    return header.ljust(length, b'\0')
