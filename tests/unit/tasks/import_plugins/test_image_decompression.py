"""What is uncompressed, what is refused, and what it costs."""

import bz2
import collections
import dataclasses
import gzip
import io
import lzma
import random
import resource
import stat
import struct
import unittest.mock
import zipfile

import zstandard

from glancelike import errors, plugin
from glancelike.tasks.import_plugins.image_decompression import ImageDecompression, streams
from tests import base
from tests.unit.tasks.import_plugins import jobs

MIB = 2**20
NOISE = random.Random(1).randbytes(150_000)
DISK = NOISE + bytes(3 * MIB) + NOISE


def zstd(data):
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def zipped(*names, data=DISK, method=zipfile.ZIP_DEFLATED, mode=0o100644, comment=b''):
    written = io.BytesIO()
    with zipfile.ZipFile(written, 'w', method) as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, data, method)
        archive.comment = comment
    return written.getvalue()


class Case(base.TestCase):

    def plugin(self, **options):
        return ImageDecompression(plugin.options_for(ImageDecompression, **options))

    def process(self, data, *, max_bytes=2**40, piece_bytes=100_000, container_format='bare', **options):
        """(content given, content made)"""
        made = self.plugin(**options)
        job = jobs.job_in(self.tmp, container_format=container_format, max_bytes=max_bytes)
        content = jobs.stream(data, container_format=container_format, piece_bytes=piece_bytes)
        if made.needs_file(job, content):
            content = jobs.file(self.tmp / 'given', data, container_format=container_format)
        return content, made.process(job, content)

    def unpacked(self, data, **values):
        return b''.join(self.process(data, **values)[1].chunks)

    def refusal(self, data, error=errors.ImportRejected, **values):
        return str(self.assertRaises(error, self.unpacked, data, **values))


class StreamTests:
    """What holds for each of the formats that stream."""

    def test_it_is_recognised_and_uncompressed(self):
        for piece_bytes in (97, 4 * MIB):
            self.assertTrue(self.unpacked(self.pack(DISK), piece_bytes=piece_bytes) == DISK)

    def test_members_one_after_the_other_are_one_image(self):
        packed = self.pack(DISK) + self.pack(b'') + self.pack(NOISE)
        for piece_bytes in (199, 4 * MIB):
            self.assertTrue(self.unpacked(packed, piece_bytes=piece_bytes) == DISK + NOISE)

    def test_what_is_cut_off_is_refused(self):
        packed = self.pack(DISK)
        for length in (12, len(packed) // 2, len(packed) - 1):
            self.assertIn('end too early', self.refusal(packed[:length]))

    def test_damage_is_refused(self):
        packed = bytearray(self.pack(DISK))
        packed[len(packed) // 2] ^= 0xff
        self.assertIn('damaged', self.refusal(bytes(packed)))

    def test_anything_behind_the_data_is_refused(self):
        for behind in (b'something else, long enough to be looked at', b'\1'):
            self.assertIn('image_decompression', self.refusal(self.pack(DISK) + behind))

    def test_an_archive_in_an_archive_stays_one(self):
        inner = self.pack(DISK)
        self.assertEqual(inner, self.unpacked(gzip.compress(inner)))

    def test_compressed_container_formats_are_left_alone(self):
        given, made = self.process(self.pack(DISK), container_format='compressed')
        self.assertIs(given, made)

    def test_what_is_too_large_for_an_image_is_refused_when_it_is(self):
        _, made = self.process(self.pack(DISK), max_bytes=2 * MIB)
        came = 0

        def read():
            nonlocal came
            for piece in made.chunks:
                came += len(piece)

        error = self.assertRaises(errors.ImageTooLarge, read)
        self.assertEqual(2 * MIB, error.facts['limit'])
        self.assertLessEqual(came, 2 * MIB)

    def test_what_grows_too_much_is_refused(self):
        said = self.refusal(self.pack(bytes(8 * MIB)), max_ratio=50, max_ratio_from=MIB)
        self.assertIn('max_ratio', said)

    def test_the_ratio_counts_from_a_length_on(self):
        data = bytes(8 * MIB)
        self.assertTrue(self.unpacked(self.pack(data), max_ratio=2, max_ratio_from=8 * MIB) == data)
        self.assertTrue(self.unpacked(self.pack(data), max_ratio=0, max_ratio_from=0) == data)

    def test_pieces_are_small_whatever_they_are_made_of(self):
        _, made = self.process(self.pack(bytes(64 * MIB)), piece_bytes=4 * MIB)
        self.assertEqual(MIB, max(len(piece) for piece in made.chunks))


class GzipTest(StreamTests, Case):
    pack = staticmethod(gzip.compress)


class Bzip2Test(StreamTests, Case):
    pack = staticmethod(bz2.compress)


class XzTest(StreamTests, Case):
    pack = staticmethod(lzma.compress)


class ZstdTest(StreamTests, Case):
    pack = staticmethod(zstd)


class BombTest(Case):
    """Data made to hurt."""

    def test_ten_gibibytes_of_zeros_end_at_the_limit(self):
        bomb = gzip.compress(bytes(64 * MIB)) * 160
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for error, values in ((errors.ImageTooLarge, {'max_bytes': 64 * MIB}), (errors.ImportRejected, {})):
            _, made = self.process(bomb, **values)
            self.assertRaises(error, collections.deque, made.chunks, maxlen=0)
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 64 * 1024, 'KiB more of memory')

    def test_a_dictionary_of_xz_that_takes_too_much_memory_is_refused(self):
        filters = [{'id': lzma.FILTER_LZMA2, 'preset': 0, 'dict_size': 2**30}]
        packer = lzma.LZMACompressor(filters=[{**filters[0], 'dict_size': 2**26}])
        packed = packer.compress(NOISE) + packer.flush()
        self.assertIn('more than 16777216 bytes of memory', self.refusal(packed, max_memory=2**24))
        self.assertEqual(NOISE, self.unpacked(packed))

    def test_a_window_of_zstd_that_takes_too_much_memory_is_refused(self):
        parameters = zstandard.ZstdCompressionParameters(window_log=28, compression_level=1)
        packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        packed = b''.join(packer.compress(bytes(MIB)) for _ in range(300)) + packer.flush()
        self.assertIn('bytes of memory', self.refusal(packed))

    def test_a_block_of_zstd_that_is_repeated_gives_small_pieces(self):
        frame = b'\x28\xb5\x2f\xfd\0\x58'  # a window of 2 MiB, no length
        block = struct.pack('<I', 2**17 << 3 | 1 << 1)[:3] + b'\0'  # 128 KiB of one byte
        last = struct.pack('<I', 0 << 3 | 1)[:3]
        _, made = self.process(frame + block * 4000 + last, piece_bytes=4 * MIB)
        self.assertEqual(4000 * 2**17, sum(len(piece) for piece in made.chunks if len(piece) <= MIB))

    def test_thousands_of_empty_members_are_looked_at_in_short_steps(self):
        job = jobs.job_in(self.tmp)
        checks = []
        job.check = lambda: checks.append(1)
        content = jobs.stream(gzip.compress(b'') * 30_000, piece_bytes=4 * MIB)
        self.assertEqual([], list(self.plugin().process(job, content).chunks))
        self.assertGreaterEqual(len(checks), 30_000 * 20 // streams.SLICE_BYTES)


class OddStreamsTest(Case):

    def test_a_file_is_read_as_a_stream_is(self):
        content = jobs.file(self.tmp / 'given', gzip.compress(DISK))
        made = self.plugin().process(jobs.job_in(self.tmp), content)
        self.assertIsNone(made.path)
        self.assertTrue(b''.join(made.chunks) == DISK)

    def test_the_size_is_not_known_before_the_end(self):
        given = dataclasses.replace(jobs.stream(gzip.compress(DISK)), size=5)
        self.assertIsNone(self.plugin().process(jobs.job_in(self.tmp), given).size)

    def test_padding_of_xz_is_no_garbage(self):
        packed = lzma.compress(DISK)
        for piece_bytes in (1, 4 * MIB):
            self.assertTrue(self.unpacked(packed + bytes(8) + packed + bytes(4), piece_bytes=piece_bytes) == DISK * 2)
        for wrong in (packed + bytes(5), packed + bytes(3) + packed):
            self.assertIn('padding', self.refusal(wrong))

    def test_a_frame_to_be_skipped_may_come_first_as_pzstd_writes_it(self):
        skipped = b'\x50\x2a\x4d\x18' + struct.pack('<I', 4) + b'size'
        self.assertTrue(self.unpacked(skipped + zstd(DISK) + skipped + zstd(NOISE)) == DISK + NOISE)

    def test_a_frame_to_be_skipped_alone_is_nothing_known(self):
        data = b'\x50\x2a\x4d\x18' + struct.pack('<I', 4) + b'size'
        given, made = self.process(data)
        self.assertIs(given, made)

    def test_what_is_not_compressed_is_left_alone(self):
        for data in (DISK, b'', b'BZh9', b'BZh9 is how a text may begin', b'\x1f\x8b', b'PK'):
            given, made = self.process(data)
            self.assertIs(given, made)

    def test_zstd_without_its_package_is_a_clear_refusal(self):
        with unittest.mock.patch.object(streams, 'zstandard', None):
            said = self.refusal(zstd(DISK))
            self.assertEqual(['gzip', 'bzip2', 'xz', 'zip'], self.plugin().facts()['formats'])
        self.assertIn('zstandard is not installed', said)


class ZipTest(Case):

    def test_the_only_file_is_the_image(self):
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            for mode in (0, 0o100644):  # 0: made on a system without modes
                packed = zipped('disk.img', method=method, mode=mode, comment=b'from a shop')
                _, made = self.process(packed)
                self.assertEqual(len(DISK), made.size)
                self.assertTrue(b''.join(made.chunks) == DISK)

    def test_it_needs_a_file_and_others_do_not(self):
        job = jobs.job_in(self.tmp)
        self.assertTrue(self.plugin().needs_file(job, jobs.stream(zipped('a'))))
        for data in (gzip.compress(DISK), DISK, b''):
            self.assertFalse(self.plugin().needs_file(job, jobs.stream(data)))
        self.assertFalse(self.plugin().needs_file(job, jobs.stream(zipped('a'), container_format='compressed')))

    def test_several_members_or_none_that_is_a_file_are_refused(self):
        self.assertIn('2 members', self.refusal(zipped('a', 'b')))
        self.assertIn('no plain file', self.refusal(zipped('folder/', data=b'', mode=stat.S_IFDIR)))
        self.assertIn('no plain file', self.refusal(zipped('link', data=b'/etc/passwd', mode=stat.S_IFLNK)))

    def test_methods_whose_steps_cannot_be_bounded_are_refused(self):
        for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            self.assertIn('deflate', self.refusal(zipped('a', method=method)))

    def test_an_encrypted_member_is_refused(self):
        packed = bytearray(zipped('a'))
        for signature, offset in ((b'PK\3\4', 6), (b'PK\1\2', 8)):
            packed[packed.index(signature) + offset] |= 1
        self.assertIn('encrypted', self.refusal(bytes(packed)))

    def test_a_bomb_is_refused_before_it_is_read(self):
        bomb = zipped('a', data=bytes(64 * MIB))
        made = self.plugin(max_ratio=50, max_ratio_from=MIB)
        job = jobs.job_in(self.tmp)
        content = jobs.file(self.tmp / 'bomb', bomb)
        self.assertIn('max_ratio', str(self.assertRaises(errors.ImportRejected, made.process, job, content)))
        small = jobs.job_in(self.tmp, max_bytes=MIB)
        self.assertRaises(errors.ImageTooLarge, self.plugin().process, small, content)

    def test_a_member_that_says_less_than_it_is_gives_no_more_than_it_says(self):
        packed = bytearray(zipped('a', data=bytes(8 * MIB)))
        for signature, offset in ((b'PK\3\4', 22), (b'PK\1\2', 24)):
            struct.pack_into('<I', packed, packed.index(signature) + offset, 1000)
        self.assertIn('damaged', self.refusal(bytes(packed)))

    def test_a_list_of_members_that_would_fill_memory_is_refused(self):
        packed = bytearray(zipped(*(str(number) for number in range(30_000)), data=b''))
        self.assertIn('too long', self.refusal(bytes(packed)))

    def test_damage_is_refused(self):
        packed = zipped('a')
        hole = bytearray(packed)
        hole[len(hole) // 2] ^= 0xff
        for broken in (packed[:-30], packed[:len(packed) // 2], bytes(hole), packed[:200] + packed[400:]):
            self.assertIn('damaged', self.refusal(broken))
