"""Store driver ``filesystem``: images as files in one directory or several."""

from .store import FilesystemStore

__all__ = ['FilesystemStore']
