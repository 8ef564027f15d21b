"""Which bytes pass as which format. The table was compared with Glance 33.0.0 run beside it (November 2026)."""

from testtools.matchers import Equals, Is

from glancelike import errors
from glancelike.core.formats import FormatRules
from tests import base
from tests.unit.core import disk_images
from tests.unit.core.disk_images import CONTENT, MIB, DiskImages


class FormatsTestCase(base.TestCase):
    def inspect(self, declared, data, piece=MIB, container='bare', **rules):
        """Feed the data in pieces; return the virtual size."""
        inspection = FormatRules(**rules).inspection(declared, container)
        for start in range(0, len(data), piece):
            inspection.feed(data[start:start + piece])
        return inspection.finish()

    def refused(self, error, declared, data, **options):
        raised = self.assertRaises(error, self.inspect, declared, data, **options)
        return raised.facts


class RecognisedTest(FormatsTestCase):
    def setUp(self):
        super().setUp()
        self.images = DiskImages(self, self.tmp)

    def check_virtual_size(self, declared, data):
        for piece in (MIB, 4096, len(data)):
            self.assertThat(self.inspect(declared, data, piece), Equals(len(CONTENT)))

    def test_virtual_size_of_qcow2(self):
        self.check_virtual_size('qcow2', self.images.converted('qcow2'))

    def test_virtual_size_of_old_qcow2(self):
        self.check_virtual_size('qcow2', self.images.converted('qcow2', compat='0.10'))

    def test_virtual_size_of_sparse_vmdk(self):
        self.check_virtual_size('vmdk', self.images.converted('vmdk'))

    def test_virtual_size_of_stream_optimized_vmdk(self):
        self.check_virtual_size('vmdk', self.images.converted('vmdk', subformat='streamOptimized'))

    def test_virtual_size_of_vhdx(self):
        self.check_virtual_size('vhdx', self.images.converted('vhdx'))

    def test_virtual_size_of_vdi(self):
        self.check_virtual_size('vdi', self.images.converted('vdi'))

    def test_virtual_size_of_vhd_is_rounded_by_its_geometry(self):
        data = self.images.converted('vpc')
        self.assertThat(0 <= self.inspect('vhd', data) - len(CONTENT) < MIB, Equals(True))

    def test_a_qcow2_of_another_declared_format_is_refused(self):
        data = self.images.converted('qcow2')
        for declared in ('vmdk', 'vhd', 'vhdx', 'vdi', 'iso', 'ami', 'ploop'):
            self.assertThat(self.refused(errors.FormatMismatch, declared, data),
                            Equals({'declared': declared, 'found': 'qcow2'}))

    def test_raw_may_hold_any_sound_format_and_has_its_own_size(self):
        for form in ('qcow2', 'vmdk', 'vhdx', 'vdi', 'vpc'):
            data = self.images.converted(form)
            self.assertThat(self.inspect('raw', data), Equals(len(data)))

    def test_mismatch_passes_when_no_match_is_required(self):
        data = self.images.converted('qcow2')
        self.assertThat(self.inspect('vdi', data, match_required=False), Is(None))

    def test_a_mismatch_is_told_after_the_first_mebibyte(self):
        inspection = FormatRules().inspection('vdi', 'bare')
        self.assertRaises(errors.FormatMismatch, inspection.feed, self.images.converted('vhdx')[:MIB])


class UnsafeTest(FormatsTestCase):
    def setUp(self):
        super().setUp()
        self.images = DiskImages(self, self.tmp)

    def check_unsafe(self, declared, data, form, **rules):
        self.assertThat(self.refused(errors.UnsafeImage, declared, data, **rules)['format'], Equals(form))

    def test_qcow2_with_a_backing_file(self):
        for declared in ('qcow2', 'raw'):
            self.check_unsafe(declared, self.images.with_backing_file(), 'qcow2')

    def test_qcow2_with_a_data_file(self):
        for declared in ('qcow2', 'raw'):
            self.check_unsafe(declared, self.images.with_data_file(), 'qcow2')

    def test_unsafe_images_are_refused_also_when_no_match_is_required(self):
        self.check_unsafe('vdi', self.images.with_backing_file(), 'qcow2', match_required=False)

    def test_an_unsafe_image_is_told_after_the_first_mebibyte(self):
        inspection = FormatRules().inspection('qcow2', 'bare')
        self.assertRaises(errors.UnsafeImage, inspection.feed, self.images.with_backing_file().ljust(MIB, b'\0'))

    def test_vmdk_text_descriptor(self):
        data = self.images.converted('vmdk', subformat='monolithicFlat')
        for declared in ('vmdk', 'raw'):
            self.check_unsafe(declared, data, 'vmdk')
            self.check_unsafe(declared, data.rstrip(b'\0'), 'vmdk')
            self.check_unsafe(declared, b'\n#  \xff\n' + data, 'vmdk')
            self.check_unsafe(declared, b'\nversion=1\n' + b'#' * 2 * MIB + data, 'vmdk')

    def test_vmdk_subformat_that_is_not_allowed(self):
        data = self.images.converted('vmdk', subformat='streamOptimized')
        self.check_unsafe('vmdk', data, 'vmdk', vmdk_allowed_types=['monolithicSparse'])
        self.check_unsafe('vmdk', data, 'vmdk', vmdk_allowed_types=[])

    def test_vmdk_that_announces_a_footer_and_has_none(self):
        data = bytearray(self.images.converted('vmdk', subformat='streamOptimized'))
        data[56:64] = b'\xff' * 8  # gdOffset: "at the end"
        self.check_unsafe('vmdk', bytes(data), 'vmdk')

    def test_qed(self):
        for declared in ('raw', 'qed'):
            self.check_unsafe(declared, self.images.converted('qed'), 'qed')

    def test_two_formats_at_once(self):
        data = bytearray(self.images.converted('qcow2'))
        data[32768:32775] = b'\x01CD001\x01'
        for declared in ('qcow2', 'iso', 'raw'):
            self.check_unsafe(declared, bytes(data), 'iso and qcow2')

    def test_luks_2(self):
        self.check_unsafe('luks', disk_images.luks(2), 'luks')


class PlainTest(FormatsTestCase):
    """What needs no qemu-img."""

    def test_other_containers_are_not_inspected(self):
        self.assertThat(FormatRules().inspection('qcow2', 'ovf'), Is(None))

    def test_raw_content(self):
        self.assertThat(self.inspect('raw', CONTENT), Equals(len(CONTENT)))

    def test_no_content(self):
        self.assertThat(self.inspect('raw', b''), Is(None))
        self.assertThat(self.refused(errors.FormatMismatch, 'qcow2', b'')['found'], Equals('raw'))

    def test_a_few_bytes_of_a_format_are_not_that_format(self):
        self.assertThat(self.refused(errors.FormatMismatch, 'qcow2', b'QFI\xfb\0\0\0\3')['found'], Equals('raw'))

    def test_formats_that_nobody_recognises_must_look_like_nothing(self):
        for declared in ('ami', 'ari', 'aki', 'ploop', 'own-format'):
            self.assertThat(self.inspect(declared, CONTENT), Is(None))
            self.assertThat(self.refused(errors.FormatMismatch, declared, disk_images.partitioned())['found'],
                            Equals('gpt'))

    def test_every_recognisable_format_refuses_plain_content(self):
        for declared in ('qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi', 'iso'):
            self.assertThat(self.refused(errors.FormatMismatch, declared, CONTENT)['found'], Equals('raw'))

    def test_text_is_raw(self):
        for text in (b'hello, world\n' * 100_000, b'# comment\n\nhello\n', b'#' * 600, '# häß\n'.encode() * 1000):
            self.assertThat(self.inspect('raw', text), Equals(len(text)))

    def test_raw_disk_with_partitions(self):
        for kind in (0x83, 0xee):
            self.assertThat(self.inspect('raw', disk_images.partitioned(kind=kind)), Equals(MIB))

    def test_broken_partition_table_is_refused_unless_the_operator_says_otherwise(self):
        data = disk_images.partitioned(boot_flag=0x55)
        self.assertThat(self.refused(errors.UnsafeImage, 'raw', data)['format'], Equals('gpt'))
        self.assertThat(self.inspect('raw', data, gpt_nonfatal=['mbr']), Equals(MIB))

    def test_virtual_size_of_iso_is_what_its_volume_descriptor_says(self):
        self.assertThat(self.inspect('iso', disk_images.iso(blocks=400)), Equals(400 * 2048))

    def test_bootable_iso(self):
        data = disk_images.iso(bootable=True)
        self.assertThat(self.inspect('iso', data), Equals(400 * 2048))
        self.assertThat(self.refused(errors.UnsafeImage, 'raw', data)['format'], Equals('gpt and iso'))

    def test_virtual_size_of_luks_is_what_follows_its_header_and_never_negative(self):
        self.assertThat(self.inspect('luks', disk_images.luks(1)), Equals(2 * MIB))
        self.assertThat(self.inspect('luks', disk_images.luks(1, payload_sectors=10**6)), Is(None))

    def test_a_virtual_size_that_no_database_holds_is_left_out(self):
        header = b'QFI\xfb' + (3).to_bytes(4) + bytes(16) + (2**64 - 1).to_bytes(8)
        self.assertThat(self.inspect('qcow2', header.ljust(MIB, b'\0')), Is(None))

    def test_beginnings_of_formats_never_break_the_inspection(self):
        for magic in (b'KDMV', b'vhdxfile', b'conectix', b'LUKS\xba\xbe', b'QED\0', b'QFI\xfb', b'#'):
            for filler in (b'\0', b'\xff', b'a', b'\n'):
                for declared in ('raw', 'vmdk', 'vhdx', 'luks', 'qcow2', 'vhd'):
                    self.assertThat(self.outcome(declared, magic.ljust(2 * MIB, filler)), Equals('judged'))

    def outcome(self, declared, data):
        try:
            self.inspect(declared, data)
        except (errors.FormatMismatch, errors.UnsafeImage):
            return 'judged'
        return 'judged'
