"""What is converted to what, with real images; what is refused; qemu-img that does not do what it should."""

import os
import shutil
import struct
import subprocess
import unittest.mock

from glancelike import errors, plugin
from glancelike.plugin import ImportJob
from glancelike.tasks.import_plugins.image_conversion import ImageConversion
from tests import base, servers
from tests.unit.core import disk_images
from tests.unit.core.disk_images import CONTENT, DiskImages
from tests.unit.tasks.import_plugins import jobs
from tests.unit.tasks.import_plugins.test_bounded_child import alive, marked

MIB = 2**20
#: disk_format -> name for qemu-img
FORMATS = {'qcow2': 'qcow2', 'vmdk': 'vmdk', 'vhdx': 'vhdx', 'vdi': 'vdi', 'vhd': 'vpc'}


class Case(base.TestCase):

    def setUp(self):
        super().setUp()
        if shutil.which('qemu-img') is None:
            servers.refuse(self, 'qemu-img is not installed')
        folder = self.tmp / 'images'
        folder.mkdir()
        self.images = DiskImages(self, folder)

    def plugin(self, **options):
        return ImageConversion(plugin.options_for(ImageConversion, **options))

    def job(self, data, disk_format, container_format='bare', **values):
        """(job, content)"""
        job = jobs.job_in(self.tmp, disk_format=disk_format, container_format=container_format, **values)
        return job, jobs.file(self.tmp / 'given', data, disk_format, container_format)

    def convert(self, data, disk_format, *, container_format='bare', max_bytes=2**40, **options):
        """(content given, content made)"""
        job, content = self.job(data, disk_format, container_format, max_bytes=max_bytes)
        return content, self.plugin(**options).process(job, content)

    def refusal(self, error, data, disk_format, **values):
        said = str(self.assertRaises(error, self.convert, data, disk_format, **values))
        self.assertNotIn(str(self.tmp), said)
        return said

    def create(self, size, disk_format='qcow2'):
        return self.images._make('create', '-f', disk_format, 'made', size)

    def content_of(self, path, disk_format):
        """What is on the disk, as qemu-img reads it."""
        raw = str(self.tmp / 'compare')
        subprocess.run(['qemu-img', 'convert', '-f', disk_format, '-O', 'raw', path, raw], check=True)
        with open(raw, 'rb') as opened:
            return opened.read()


class ConversionTest(Case):

    def test_every_known_format_becomes_raw(self):
        for disk_format, name in FORMATS.items():
            _, made = self.convert(self.images.converted(name), disk_format)
            self.assertEqual(('raw', 'bare', os.path.getsize(made.path)),
                             (made.disk_format, made.container_format, made.size))
            with open(made.path, 'rb') as opened:
                self.assertTrue(opened.read()[:len(CONTENT)] == CONTENT, disk_format)

    def test_a_stream_optimized_vmdk_becomes_raw(self):
        _, made = self.convert(self.images.converted('vmdk', subformat='streamOptimized'), 'vmdk')
        self.assertEqual(len(CONTENT), made.size)

    def test_raw_becomes_each_target(self):
        for target, beginning in (('qcow2', b'QFI\xfb'), ('vmdk', b'KDMV')):
            _, made = self.convert(CONTENT, 'raw', output_format=target)
            self.assertEqual(target, made.disk_format)
            with open(made.path, 'rb') as opened:
                self.assertEqual(beginning, opened.read(4))
            self.assertTrue(self.content_of(made.path, target) == CONTENT)

    def test_a_format_may_have_its_own_target_or_none(self):
        options = {'targets': {'qcow2': 'vmdk', 'vdi': '', 'iso': 'qcow2'}}
        self.assertEqual('vmdk', self.convert(self.images.converted('qcow2'), 'qcow2', **options)[1].disk_format)
        self.assertEqual('qcow2', self.convert(disk_images.iso(bootable=True), 'iso', **options)[1].disk_format)
        self.assertEqual('raw', self.convert(self.images.converted('vmdk'), 'vmdk', **options)[1].disk_format)
        given, made = self.convert(self.images.converted('vdi'), 'vdi', **options)
        self.assertIs(given, made)

    def test_what_is_to_stay_needs_no_file(self):
        for disk_format, container_format, options in (
                ('raw', 'bare', {}), ('iso', 'bare', {}), ('ploop', 'bare', {}), ('qcow2', 'ova', {}),
                ('vmdk', 'compressed', {}), ('qcow2', 'bare', {'output_format': 'qcow2'}),
                ('gpt', 'bare', {}), ('vmdk', 'bare', {'targets': {'vmdk': ''}})):
            made = self.plugin(**options)
            job = jobs.job_in(self.tmp, disk_format=disk_format, container_format=container_format)
            content = jobs.stream(CONTENT, disk_format, container_format)
            self.assertFalse(made.needs_file(job, content), (disk_format, container_format))
            self.assertIs(content, made.process(job, content))

    def test_what_is_to_be_converted_needs_one(self):
        for disk_format in FORMATS:
            job = jobs.job_in(self.tmp, disk_format=disk_format)
            for said in (disk_format, None):
                self.assertTrue(self.plugin().needs_file(job, jobs.stream(b'x', said, said and 'bare')))

    def test_holes_stay_holes(self):
        _, made = self.convert(self.create('2G'), 'qcow2')
        self.assertEqual(2**31, made.size)
        self.assertLess(os.stat(made.path).st_blocks * 512, MIB)

    def test_the_given_file_stays_and_the_result_is_in_the_folder_of_the_job(self):
        data = self.images.converted('qcow2')
        job, content = self.job(data, 'qcow2')
        made = self.plugin().process(job, content)
        self.assertEqual(job.folder, os.path.dirname(made.path))
        self.assertEqual([os.path.basename(made.path)], os.listdir(job.folder))
        with open(content.path, 'rb') as opened:
            self.assertTrue(opened.read() == data)


class RefusalTest(Case):

    def test_files_that_name_others_are_refused(self):
        for data in (self.images.with_backing_file(), self.images.with_data_file()):
            self.refusal(errors.UnsafeImage, data, 'qcow2')

    def test_a_vmdk_that_is_a_description_of_files_is_refused(self):
        self.refusal(errors.ImportRejected, self.images.converted('vmdk', subformat='monolithicFlat'), 'vmdk')

    def test_a_description_within_a_vmdk_that_names_another_file_is_refused(self):
        (self.tmp / 'secret').write_bytes(b'top secret'.ljust(MIB))
        data = bytearray(self.images.converted('vmdk'))
        start = data.index(b'# Disk DescriptorFile')
        described = ('# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n'
                     f'createType="monolithicFlat"\nRW 2048 FLAT "{self.tmp / "secret"}" 0\n').encode()
        described = described.ljust(1024, b'\0')
        data[start:start + len(described)] = described
        self.refusal(errors.UnsafeImage, bytes(data), 'vmdk')
        struct.pack_into('<Q', data, 12, 0)  # no capacity: then QEMU goes by the description
        error = self.assertRaises(errors.GlanceError, self.convert, bytes(data), 'vmdk')
        self.assertIsInstance(error, errors.UnsafeImage | errors.ImportRejected)

    def test_what_is_declared_wrongly_is_refused_with_what_it_is(self):
        for data, declared, found in ((self.images.converted('qcow2'), 'vmdk', 'qcow2'), (CONTENT, 'qcow2', 'raw'),
                                      (self.images.converted('vhdx'), 'vdi', 'vhdx')):
            said = self.refusal(errors.ImportRejected, data, declared)
            self.assertIn(f'declared as {declared} but its content looks like {found}', said)

    def test_a_disk_that_is_called_raw_is_no_way_past_the_conversion(self):
        for disk_format, name in FORMATS.items():
            data = self.images.converted(name)
            self.assertIn(f'looks like {disk_format}', self.refusal(errors.ImportRejected, data, 'raw'))
            self.refusal(errors.ImportRejected, data, 'raw', output_format='qcow2')
        self.refusal(errors.ImportRejected, self.images.with_backing_file(), 'raw')

    def test_raw_may_hold_what_is_no_format_of_qemu(self):
        for data in (disk_images.partitioned(), disk_images.iso(), disk_images.luks(1), CONTENT, b'\0'):
            given, made = self.convert(data, 'raw')
            self.assertIs(given, made)
            self.assertEqual('qcow2', self.convert(data, 'raw', output_format='qcow2')[1].disk_format)

    def test_a_disk_larger_than_an_image_may_be_is_refused_before_it_is_written(self):
        data = self.create('20G')
        job, content = self.job(data, 'qcow2', max_bytes=2**34)
        error = self.assertRaises(errors.ImageTooLarge, self.plugin().process, job, content)
        self.assertEqual((2**34, []), (error.facts['limit'], os.listdir(job.folder)))

    def test_a_result_larger_than_an_image_may_be_is_refused(self):
        error = self.assertRaises(errors.ImageTooLarge, self.convert, CONTENT, 'raw', output_format='qcow2',
                                  max_bytes=len(CONTENT))
        self.assertEqual(len(CONTENT), error.facts['limit'])

    def test_a_disk_of_nearly_nothing_is_refused_for_its_ratio(self):
        data = self.create('1T')
        self.assertIn('max_ratio', self.refusal(errors.ImportRejected, data, 'qcow2'))
        self.convert(self.create('31G'), 'qcow2')
        self.refusal(errors.ImportRejected, self.create('31G'), 'qcow2', max_ratio=10, max_ratio_from=0)

    def test_an_encrypted_image_is_refused(self):
        data = bytearray(self.images.converted('qcow2'))
        struct.pack_into('>I', data, 32, 1)  # crypt_method: AES (docs/interop/qcow2.txt)
        self.refusal(errors.ImportRejected, bytes(data), 'qcow2')

    def test_damage_is_refused_without_a_path(self):
        data = self.images.converted('qcow2')
        said = self.refusal(errors.ImportRejected, data[:70_000] + b'\xff' * 200_000, 'qcow2')
        self.assertIn('qemu-img', said)
        self.refusal(errors.UnsafeImage, data[:4] + b'\0\0\0\x09' + data[8:], 'qcow2')


class LimitsTest(Case):

    def with_program(self, script):
        """Let a script be qemu-img."""
        folder = self.tmp / 'bin'
        folder.mkdir()
        (folder / 'qemu-img').write_text(f'#!/bin/sh\n{script}\n')
        (folder / 'qemu-img').chmod(0o755)
        path = f'{folder}{os.pathsep}{os.environ["PATH"]}'
        self.enterContext(unittest.mock.patch.dict(os.environ, PATH=path))

    def test_one_that_hangs_is_ended(self):
        mark = marked()
        self.with_program(f'sleep {mark}')
        said = self.refusal(errors.ImportRejected, self.images.converted('qcow2'), 'qcow2', max_seconds=1)
        self.assertIn('max_seconds', said)
        self.assertEqual([], alive(mark))

    def test_one_that_computes_for_ever_is_ended(self):
        self.with_program('while :; do :; done')
        said = self.refusal(errors.ImportRejected, self.images.converted('qcow2'), 'qcow2', max_cpu_seconds=1)
        self.assertIn('max_cpu_seconds', said)

    def test_one_that_is_killed_is_told(self):
        mark = marked()
        self.with_program(f'exec sleep {mark}')

        class KillingJob(ImportJob):
            def check(self):
                for process in alive(mark):
                    os.kill(process, 9)

        job, content = self.job(self.images.converted('qcow2'), 'qcow2', job_class=KillingJob)
        error = self.assertRaises(errors.ServiceUnavailable, self.plugin().process, job, content)
        self.assertIn('killed', str(error))

    def test_it_ends_with_the_job(self):
        mark = marked()
        self.with_program(f'sleep {mark}')

        class EndedJob(ImportJob):
            def check(self):
                if alive(mark):
                    raise errors.ImageGone(image_id='x')

        job, content = self.job(self.images.converted('qcow2'), 'qcow2', job_class=EndedJob)
        self.assertRaises(errors.ImageGone, self.plugin().process, job, content)
        self.assertEqual([], alive(mark))

    def test_a_full_disk_is_no_fault_of_the_image(self):
        self.with_program('[ "$1" = info ] && echo \'{"virtual-size": 5}\' && exit\n'
                          'echo "No space left on device" >&2; exit 1')
        self.refusal(errors.ServiceUnavailable, self.images.converted('qcow2'), 'qcow2')

    def test_a_machine_that_can_start_nothing_is_no_fault_of_the_image(self):
        job, content = self.job(self.images.converted('qcow2'), 'qcow2')
        made = self.plugin()
        shutil.rmtree(job.folder)  # as where no file can be made any more
        error = self.assertRaises(errors.ServiceUnavailable, made.process, job, content)
        self.assertNotIn(job.folder, str(error))

    def test_only_that_file_is_opened_and_only_as_what_it_is(self):
        self.with_program(f'echo "$@" >>{self.tmp}/calls; echo \'{{"virtual-size": 5}}\'; exit 0')
        job, content = self.job(self.images.converted('qcow2'), 'qcow2')
        self.assertRaises(OSError, self.plugin().process, job, content)  # the script makes no file
        for call in (self.tmp / 'calls').read_text().splitlines():
            self.assertIn(f'json:{{"driver": "qcow2", "backing": null, "file": {{"driver": "file", "filename": '
                          f'"{content.path}"}}}}', call)

    def test_too_little_memory_is_told(self):
        made = self.plugin()
        made._qemu_img._limits = made._qemu_img._limits.__class__(2**25, 60, 60, 0)
        job, content = self.job(self.images.converted('qcow2'), 'qcow2')
        self.assertIn('max_memory', str(self.assertRaises(errors.ImportRejected, made.process, job, content)))


class StartTest(Case):

    def test_targets_that_cannot_be_stop_the_start(self):
        for targets in ({'qcow2': 'vhd'}, {'ploop': 'raw'}, {'qed': ''}):
            error = self.assertRaises(errors.ConfigurationError, self.plugin, targets=targets)
            self.assertIn('[image_conversion] targets', str(error))

    def test_without_qemu_img_the_start_stops_and_the_package_is_named(self):
        with unittest.mock.patch.dict(os.environ, PATH=str(self.tmp)):
            error = self.assertRaises(errors.ConfigurationError, self.plugin)
        self.assertIn('qemu-utils', str(error))

    def test_facts_say_what_becomes_of_what(self):
        self.assertEqual({'output_format': 'raw', 'targets': {'vdi': 'qcow2', 'iso': ''}},
                         self.plugin(targets={'vdi': 'qcow2', 'iso': ''}).facts())
