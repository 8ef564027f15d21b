"""MirrorDownload, held to glancelike's contract of import methods."""

import hashlib
import os
import shutil
import tempfile
import uuid
from pathlib import Path

import testtools
from glancelike_mirror_download.method import MirrorDownload

from glancelike import plugin
from glancelike.compliance.import_method import ImportMethodSuite


class MirrorDownloadTest(ImportMethodSuite, testtools.TestCase):
    """Every clause, on a mirror in a temporary directory."""

    def setUp(self):
        super().setUp()
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def make_method(self):
        return MirrorDownload(plugin.options_for(MirrorDownload, folder=str(self.folder)))

    def request(self, name):
        return {'name': 'mirror-download', 'file': name}

    def make_request(self, data, checksum=None):
        self.folder.mkdir(exist_ok=True)
        name = f'{uuid.uuid4()}.raw'
        (self.folder / name).write_bytes(data)
        with open(self.folder / 'SHA256SUMS', 'a', encoding='utf-8') as sums:
            sums.write(f'{checksum or hashlib.sha256(data).hexdigest()}  {name}\n')
        return self.request(name)

    def missing_request(self):
        return self.request('nothing.raw')

    def dead_request(self):
        shutil.rmtree(self.folder)
        return self.request('x.raw')

    def broken_request(self, data):
        return self.make_request(data, checksum='0' * 64)

    def silent_request(self):
        os.mkfifo(self.folder / 'fifo')
        return self.request('fifo')

    def wrong_requests(self):
        yield {'name': 'mirror-download'}, 'file'
        for name in ('', '../x', '/etc/passwd', '.hidden', 'a/b', 'SHA256SUMS', 5):
            yield self.request(name), 'file'

    def test_a_symbolic_link_is_not_followed(self):
        """METHOD-4: it may lead out of the mirror."""
        (self.folder / 'link').symlink_to('/etc/hostname')
        method = self.make_method()
        self.assertRaises(plugin.errors.BadSource, method.open, self._job(self.request('link')))
