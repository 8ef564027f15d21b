"""``image_conversion``: images are stored in the formats that the operator wants, whatever they arrive in."""

from glancelike.tasks.import_plugins.image_conversion.conversion import ImageConversion

__all__ = ['ImageConversion']
