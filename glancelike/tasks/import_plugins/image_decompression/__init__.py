"""``image_decompression``: images that arrive compressed are stored as what they are."""

from glancelike.tasks.import_plugins.image_decompression.decompression import ImageDecompression

__all__ = ['ImageDecompression']
