"""What every test of this project starts from."""

import shutil
import tempfile
from pathlib import Path

import testtools


class TestCase(testtools.TestCase):
    """A test with a folder of its own, ``self.tmp``, made at first use and removed afterwards."""

    _tmp: Path | None = None

    @property
    def tmp(self) -> Path:
        if self._tmp is None:
            self._tmp = Path(tempfile.mkdtemp(prefix='glancelike-test-'))
            self.addCleanup(shutil.rmtree, self._tmp, ignore_errors=True)
        return self._tmp
