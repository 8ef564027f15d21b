"""What the compliance suite cannot ask of every store: files, modes, holes, full and vanished disks."""

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import uuid

from glancelike import plugin
from glancelike.plugin import errors
from glancelike.store_drivers.filesystem import FilesystemStore
from tests import base
from tests.small_disk import mount_small_disk

_KILLED_IN_THE_MIDDLE = '''
import os, signal, sys
from glancelike import plugin
from glancelike.store_drivers.filesystem import FilesystemStore
store = FilesystemStore('files', plugin.options_for(FilesystemStore, filesystem_store_datadir=sys.argv[1]))
def chunks():
    yield b'x' * 100000
    yield b'x' * 100000
    os.kill(os.getpid(), signal.SIGKILL)
store.add(sys.argv[2], chunks(), None)
'''


class Case(base.TestCase):

    def setUp(self):
        super().setUp()
        self.folder = self.tmp / 'images'
        self.image_id = str(uuid.uuid4())

    def store(self, **options):
        if 'filesystem_store_datadirs' not in options:
            options.setdefault('filesystem_store_datadir', str(self.folder))
        return FilesystemStore('files', plugin.options_for(FilesystemStore, **options))

    def small_disk(self, folder=None, size='1m'):
        mounted = mount_small_disk(self, folder or self.folder, size)
        if mounted is None:
            self.skipTest('this process may not mount a file system')
        return mounted

    def refused(self, **options):
        return str(self.assertRaises(errors.ConfigurationError, self.store, **options))


class FilesTest(Case):

    def test_the_url_is_the_path_of_the_file(self):
        stored = self.store().add(self.image_id, [b'abc'], 3)
        self.assertEqual(f'file://{self.folder}/{self.image_id}', stored.url)
        self.assertEqual(b'abc', (self.folder / self.image_id).read_bytes())

    def test_a_url_of_the_other_scheme_is_understood(self):
        store = self.store()
        stored = store.add(self.image_id, [b'abc'], 3)
        self.assertEqual(3, store.size(stored.url.replace('file:', 'filesystem:')))

    def test_a_directory_with_odd_characters_works(self):
        store = self.store(filesystem_store_datadir=str(self.tmp / 'a b%41ü?#'))
        stored = store.add(self.image_id, [b'abc'], 3)
        self.assertEqual([b'abc'], list(store.get(stored.url)))
        self.assertTrue(stored.url.isascii())

    def test_a_url_through_a_symbolic_link_to_the_directory_is_understood(self):
        (self.tmp / 'link').symlink_to(self.folder)
        self.folder.mkdir()
        store = self.store(filesystem_store_datadir=str(self.tmp / 'link'))
        (self.folder / self.image_id).write_bytes(b'old row')
        self.assertEqual(7, store.size(f'file://{self.folder}/{self.image_id}'))

    def test_a_symbolic_link_in_the_store_leads_nowhere(self):
        store = self.store()
        (self.tmp / 'secret').write_bytes(b'secret')
        (self.folder / self.image_id).symlink_to(self.tmp / 'secret')
        url = store.url_for(self.image_id)
        for use in (store.get, store.size, store.local_file, store.delete):
            self.assertRaises(errors.BadStoreUrl, use, url)
        self.assertTrue((self.tmp / 'secret').exists())

    def test_a_pipe_in_the_store_holds_nobody_up(self):
        store = self.store()
        os.mkfifo(self.folder / self.image_id)
        self.assertRaises(errors.BadStoreUrl, store.get, store.url_for(self.image_id))

    def test_no_image_id_leads_out_of_the_directory(self):
        store = self.store()
        for image_id in ('../x', '/etc/x', '', '.', '..', 'a/b', 'a\0b', '.hidden', 'x' * 300, 'a\n'):
            self.assertRaises(errors.BadStoreUrl, store.add, image_id, [b'x'], 1)
            self.assertRaises(errors.BadStoreUrl, store.discard, image_id)

    def test_the_mode_is_what_the_option_says(self):
        store = self.store(filesystem_store_file_perm=640)
        store.add(self.image_id, [b'x'], 1)
        self.assertEqual(0o640, stat.S_IMODE((self.folder / self.image_id).stat().st_mode))

    def test_zeros_become_holes_and_come_back(self):
        store = self.store(filesystem_thin_provisioning=True)
        data = b'head' + bytes(8 * 2**20) + b'tail' + bytes(3 * 2**20)
        chunks = [data[start:start + 2**20] for start in range(0, len(data), 2**20)]
        url = store.add(self.image_id, chunks, len(data)).url
        self.assertTrue(b''.join(store.get(url)) == data)
        self.assertLess((self.folder / self.image_id).stat().st_blocks * 512, 2**20)

    def test_reads_are_as_large_as_the_option_says(self):
        store = self.store(filesystem_store_chunk_size=1000)
        url = store.add(self.image_id, [b'x' * 2500], 2500).url
        self.assertEqual([1000, 1000, 500], [len(piece) for piece in store.get(url)])

    def test_the_mountpoint_that_contains_the_directory_becomes_metadata(self):
        mounts = [{'id': 'wide', 'mountpoint': '/'}, {'id': 'near', 'mountpoint': str(self.tmp)},
                  {'id': 'other', 'mountpoint': str(self.folder) + '2'}]
        (self.tmp / 'mounts.json').write_text(json.dumps(mounts))
        stored = self.store(filesystem_store_metadata_file=str(self.tmp / 'mounts.json')).add(self.image_id, [], 0)
        self.assertEqual({'id': 'near', 'mountpoint': str(self.tmp)}, stored.metadata)


class StartTest(Case):

    def test_a_missing_directory_is_made(self):
        self.store(filesystem_store_datadir=str(self.tmp / 'a' / 'b'))
        self.assertTrue((self.tmp / 'a' / 'b').is_dir())

    def test_a_directory_that_cannot_be_made_stops_the_start(self):
        (self.tmp / 'file').touch()
        self.assertIn('filesystem_store_datadir', self.refused(filesystem_store_datadir=str(self.tmp / 'file')))

    def test_both_options_at_once_stop_the_start(self):
        self.assertIn('both set', self.refused(filesystem_store_datadir=str(self.folder),
                                               filesystem_store_datadirs=[str(self.folder)]))

    def test_a_priority_that_is_no_number_stops_the_start(self):
        self.assertIn('whole number', self.refused(filesystem_store_datadirs=[f'{self.folder}:high']))

    def test_one_directory_with_two_priorities_stops_the_start(self):
        self.assertIn('two priorities', self.refused(
            filesystem_store_datadirs=[f'{self.folder}:1', f'{self.folder}/:2']))

    def test_one_directory_given_twice_is_used_once(self):
        store = self.store(filesystem_store_datadirs=[f'{self.folder}:1', f'{self.folder}:1'])
        self.assertEqual(str(self.folder), store.facts()['data_dir'])

    def test_metadata_of_the_wrong_shape_stop_the_start(self):
        path = self.tmp / 'mounts.json'
        for text in ('{', '3', '{"id": "x"}', '[{"id": 1, "mountpoint": "/x"}]', '{"id": "x", "mountpoint": "x"}'):
            path.write_text(text)
            self.assertIn('filesystem_store_metadata_file', self.refused(filesystem_store_metadata_file=str(path)))


class SeveralDirectoriesTest(Case):

    def folders(self, *priorities):
        return [f'{self.tmp / str(number)}:{priority}' for number, priority in enumerate(priorities)]

    def test_the_highest_priority_is_filled_first(self):
        store = self.store(filesystem_store_datadirs=self.folders(10, 200, 30))
        store.add(self.image_id, [b'x'], 1)
        self.assertTrue((self.tmp / '1' / self.image_id).exists())

    def test_among_equals_the_one_with_most_space_is_taken(self):
        self.small_disk(self.tmp / '0')
        store = self.store(filesystem_store_datadirs=self.folders(5, 5))
        store.add(self.image_id, [b'x'], 1)
        self.assertTrue((self.tmp / '1' / self.image_id).exists())

    def test_a_directory_too_small_for_the_image_is_passed_over(self):
        self.small_disk(self.tmp / '0')
        store = self.store(filesystem_store_datadirs=self.folders(9, 1))
        store.add(self.image_id, [b'x' * 2**20] * 2, 2 * 2**20)
        self.assertTrue((self.tmp / '1' / self.image_id).exists())

    def test_no_directory_large_enough_is_a_full_store(self):
        store = self.store(filesystem_store_datadirs=self.folders(1, 2))
        self.assertRaises(errors.StoreFull, store.add, self.image_id, [b'x'], 2**60)

    def test_an_image_in_another_directory_counts_as_there(self):
        store = self.store(filesystem_store_datadirs=self.folders(1, 2))
        (self.tmp / '0' / self.image_id).write_bytes(b'earlier')
        self.assertRaises(errors.ObjectExists, store.add, self.image_id, [b'x'], 1)

    def test_a_directory_that_vanished_is_passed_over(self):
        store = self.store(filesystem_store_datadirs=self.folders(9, 1))
        shutil.rmtree(self.tmp / '0')
        store.check()
        store.add(self.image_id, [b'x'], 1)
        self.assertTrue((self.tmp / '1' / self.image_id).exists())

    def test_discard_looks_in_all_directories(self):
        store = self.store(filesystem_store_datadirs=self.folders(9, 1))
        part = f'.{self.image_id}.0123456789abcdef.part'
        (self.tmp / '0' / part).touch()
        (self.tmp / '1' / self.image_id).touch()
        self.assertEqual([self.image_id], list(store.unfinished()))
        store.discard(self.image_id)
        self.assertEqual([], os.listdir(self.tmp / '0') + os.listdir(self.tmp / '1'))

    def test_of_two_processes_one_wins_although_each_prefers_another_directory(self):
        """Two nodes that see different free space choose different directories for one image."""
        one = self.store(filesystem_store_datadirs=self.folders(1, 2))
        other = self.store(filesystem_store_datadirs=self.folders(2, 1))

        def chunks():
            yield b'first'
            other.add(self.image_id, [b'second'], 6)

        self.assertRaises(errors.ObjectExists, one.add, self.image_id, chunks(), None)
        self.assertEqual([self.image_id], os.listdir(self.tmp / '0') + os.listdir(self.tmp / '1'))


class TroubleTest(Case):

    def test_large_uploads_are_written_back_in_parts_whatever_the_file_system_says_to_it(self):
        parts = []

        def refuse(fd, offset, length, advice):
            parts.append((offset, length))
            raise OSError(errno.EINVAL, 'no advice')
        self.patch(os, 'posix_fadvise', refuse)
        data = [os.urandom(2**20)] * 20
        stored = self.store().add(self.image_id, data, None)
        self.assertEqual((20 * 2**20, [(0, 8 * 2**20), (8 * 2**20, 8 * 2**20)]), (stored.size, parts))
        self.assertTrue((self.folder / self.image_id).read_bytes() == b''.join(data))

    def test_a_disk_that_fills_up_keeps_nothing(self):
        self.small_disk()
        store = self.store()
        self.assertRaises(errors.StoreFull, store.add, self.image_id, [b'x' * 65536] * 64, None)
        self.assertEqual([], os.listdir(self.folder))
        store.add(self.image_id, [b'small'], 5)

    def test_an_image_known_to_be_too_large_is_refused_before_its_bytes_are_read(self):
        self.small_disk()
        chunks = iter([b'x'])
        self.assertRaises(errors.StoreFull, self.store().add, self.image_id, chunks, 2**30)
        self.assertEqual([b'x'], list(chunks))

    def test_a_read_only_disk_goes_on_being_read(self):
        self.small_disk()
        store = self.store()
        url = store.add(self.image_id, [b'abc'], 3).url
        subprocess.run(['mount', '-o', 'remount,ro', str(self.folder)], check=True)
        self.assertRaises(errors.StoreReadOnly, store.check)
        self.assertEqual([b'abc'], list(store.get(url)))
        self.assertRaises(errors.StoreUnavailable, store.add, str(uuid.uuid4()), [b'x'], 1)
        self.assertRaises(errors.StoreForbidden, store.delete, url)
        subprocess.run(['mount', '-o', 'remount,rw', str(self.folder)], check=True)
        store.check()
        store.delete(url)

    def test_a_directory_that_vanished_is_unavailable_and_comes_back_by_itself(self):
        store = self.store()
        url = store.add(self.image_id, [b'abc'], 3).url
        os.rename(self.folder, self.tmp / 'away')
        for use in (store.get, store.size, store.local_file, store.delete):
            self.assertRaises(errors.StoreUnavailable, use, url)
        self.assertRaises(errors.StoreUnavailable, store.check)
        self.assertRaises(errors.StoreUnavailable, store.add, str(uuid.uuid4()), [b'x'], 1)
        self.assertRaises(errors.StoreUnavailable, store.discard, self.image_id)
        self.assertFalse(self.folder.exists())
        os.rename(self.tmp / 'away', self.folder)
        store.check()
        self.assertEqual([b'abc'], list(store.get(url)))

    def test_an_unmounted_directory_is_unavailable_although_its_mount_point_is_there(self):
        folder = self.tmp / 'mounted'
        folder.mkdir()
        if subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', str(folder)], capture_output=True, check=False).returncode:
            self.skipTest('this process may not mount a file system')
        store = self.store(filesystem_store_datadir=str(folder))
        subprocess.run(['umount', str(folder)], check=True)
        self.assertRaises(errors.StoreUnavailable, store.check)
        self.assertRaises(errors.StoreUnavailable, store.add, self.image_id, [b'x'], 1)
        self.assertRaises(errors.StoreUnavailable, store.size, store.url_for(self.image_id))

    def test_kill_9_in_the_middle_leaves_a_part_that_discard_removes(self):
        killed = subprocess.run([sys.executable, '-c', _KILLED_IN_THE_MIDDLE, str(self.folder), self.image_id],
                                check=False)
        self.assertEqual(-signal.SIGKILL, killed.returncode)
        store = self.store()
        self.assertRaises(errors.ObjectNotFound, store.get, store.url_for(self.image_id))
        self.assertEqual([self.image_id], list(store.unfinished()))
        store.discard(self.image_id)
        self.assertEqual([], os.listdir(self.folder))

    def test_an_upload_that_was_discarded_meanwhile_is_not_published(self):
        store = self.store()

        def chunks():
            yield b'x'
            store.discard(self.image_id)

        error = self.assertRaises(errors.StoreError, store.add, self.image_id, chunks(), None)
        self.assertFalse(error.retryable)
        self.assertEqual([], os.listdir(self.folder))

    def test_parts_of_an_image_whose_id_begins_alike_stay(self):
        store = self.store()
        part = '.abc.def.0123456789abcdef.part'
        (self.folder / part).touch()
        store.discard('abc')
        self.assertEqual([part], os.listdir(self.folder))

    def test_an_error_of_the_disk_names_neither_path_nor_cause(self):
        store = self.store()
        error = store._translated(OSError(errno.EIO, 'Input/output error', str(self.folder)), None, False)
        self.assertIsInstance(error, errors.StoreUnavailable)
        self.assertNotIn(str(self.tmp), str(error))
