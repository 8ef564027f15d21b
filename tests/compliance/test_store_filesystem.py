"""The filesystem store is held to the store contract, in its three forms."""

import os
import shutil

from glancelike import plugin
from glancelike.compliance.store import StoreSuite
from glancelike.store_drivers.filesystem import FilesystemStore
from tests import base
from tests.small_disk import mount_small_disk


class FilesystemStoreTest(StoreSuite, base.TestCase):
    """One directory, all options at their defaults."""

    more = {}

    def folders(self):
        return [self.tmp / 'images']

    def make_store(self):
        return self.store_in(self.folders()[0])

    def store_in(self, folder):
        return FilesystemStore('files', plugin.options_for(
            FilesystemStore, filesystem_store_datadir=str(folder), **self.more))

    def make_small_store(self):
        folder = mount_small_disk(self, self.tmp / 'small')
        return folder and self.store_in(folder)

    def make_dead_store(self):
        store = self.store_in(self.tmp / 'gone')
        shutil.rmtree(self.tmp / 'gone')
        return store

    def foreign_urls(self, store):
        return ['file:///etc/hostname', 'file://localhost' + str(self.tmp / 'images' / 'x'), 'file://',
                'file://' + str(self.tmp / 'images' / 'sub' / 'x'), store.url_for('x') + '?', store.url_for('x') + '/',
                store.url_for('x').replace('/x', '/.x'), store.url_for('x') + '%00', store.url_for('x') + '\n']

    def impossible_options(self):
        (self.tmp / 'a-file').touch()
        for bad in ({'filesystem_store_datadir': ''},
                    {'filesystem_store_datadir': str(self.tmp / 'a-file')},
                    {'filesystem_store_datadir': str(self.tmp / 'a-file' / 'below')},
                    {'filesystem_store_file_perm': 9}, {'filesystem_store_file_perm': 40},
                    {'filesystem_store_metadata_file': str(self.tmp / 'missing.json')}):
            yield plugin.options_for(FilesystemStore, **({'filesystem_store_datadir': str(self.tmp / 'b')} | bad))

    def leftovers(self, store):
        paths = store.facts()['data_dir']
        folders = [paths] if isinstance(paths, str) else paths
        return [name for folder in folders for name in os.listdir(folder)]


class SparseFilesystemStoreTest(FilesystemStoreTest):
    """Thin provisioning, small reads, file modes, the limit on hanging operations."""

    more = {'filesystem_thin_provisioning': True, 'filesystem_store_chunk_size': 65536,
            'filesystem_store_file_perm': 640, 'filesystem_store_timeout': 60}


class SeveralDirectoriesTest(FilesystemStoreTest):
    """Two directories of equal priority, in which two adds of one image could miss each other."""

    def folders(self):
        return [self.tmp / 'images', self.tmp / 'more']

    def make_store(self):
        return FilesystemStore('files', plugin.options_for(
            FilesystemStore, filesystem_store_datadirs=[f'{folder}:10' for folder in self.folders()]))
