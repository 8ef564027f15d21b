"""A file system with hardly any room, for tests of full stores."""

import subprocess
from pathlib import Path

import testtools


def mount_small_disk(test: testtools.TestCase, folder: Path, size: str = '1m') -> Path | None:
    """Mount a tmpfs of that size on *folder* until the test ends.

    :returns: the folder, or None where this process may not mount anything
    """
    folder.mkdir(parents=True)
    mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', str(folder)],
                             capture_output=True, check=False)
    if mounted.returncode:
        return None
    test.addCleanup(subprocess.run, ['umount', str(folder)], check=True)
    return folder
