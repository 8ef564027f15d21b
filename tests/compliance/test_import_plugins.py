"""The import plugins of this tree are held to their contract."""

import shutil

from glancelike import plugin
from glancelike.compliance.import_plugin import ImportPluginSuite, Sample
from glancelike.tasks.import_plugins.image_conversion import ImageConversion
from glancelike.tasks.import_plugins.image_decompression import ImageDecompression
from glancelike.tasks.import_plugins.inject_image_metadata import InjectImageMetadata
from glancelike.tasks.import_plugins.no_op import NoOp
from tests import base, servers
from tests.unit.core.disk_images import CONTENT, DiskImages


class NoOpTest(ImportPluginSuite, base.TestCase):
    def make_plugin(self):
        return NoOp(plugin.options_for(NoOp))


class InjectImageMetadataTest(ImportPluginSuite, base.TestCase):
    def make_plugin(self):
        return InjectImageMetadata(plugin.options_for(InjectImageMetadata, inject={'checked': 'yes'}))


class ImageDecompressionTest(ImportPluginSuite, base.TestCase):
    def make_plugin(self):
        return ImageDecompression(plugin.options_for(ImageDecompression))

    def own_samples(self):
        import zstandard
        return [Sample('zstd', zstandard.ZstdCompressor().compress(CONTENT))]

    def refused_samples(self):
        return [Sample('broken gzip', b'\x1f\x8b\x08' + CONTENT), Sample('broken zip', b'PK\x03\x04' + CONTENT)]


class ImageConversionCase(ImportPluginSuite):
    """With what qemu-img makes."""

    options: dict = {}

    def setUp(self):
        super().setUp()
        if shutil.which('qemu-img') is None:
            servers.refuse(self, 'qemu-img is not installed')

    def make_plugin(self):
        return ImageConversion(plugin.options_for(ImageConversion, **self.options))

    def own_samples(self):
        images = DiskImages(self, self.tmp)
        return [Sample(f'{name} of qemu-img', images.converted(driver), name)
                for name, driver in (('qcow2', 'qcow2'), ('vmdk', 'vmdk'), ('vhdx', 'vhdx'), ('vdi', 'vdi'))]

    def refused_samples(self):
        images = DiskImages(self, self.tmp)
        return [Sample('backing file', images.with_backing_file(), 'qcow2'),
                Sample('data file', images.with_data_file(), 'qcow2'),
                Sample('a lie', CONTENT, 'vdi')]


class ConversionToRawTest(ImageConversionCase, base.TestCase):
    """The default."""


class ConversionToQcow2Test(ImageConversionCase, base.TestCase):
    options = {'output_format': 'qcow2', 'targets': {'vdi': 'vmdk', 'vhdx': ''}}

    def refused_samples(self):
        return [Sample('a lie', CONTENT, 'vdi')]
