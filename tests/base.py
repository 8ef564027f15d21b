"""What every test of this project starts from."""

import os
import shutil
import tempfile
from pathlib import Path
from unittest import mock

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

    def without_proxies(self) -> None:
        """Forget the proxies of the environment for this test: its servers are on this machine."""
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith('_proxy')}
        patched = mock.patch.dict(os.environ, kept, clear=True)
        patched.start()
        self.addCleanup(patched.stop)
