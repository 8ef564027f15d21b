"""Store driver ``http``: read-only, images that stay where they are on web servers."""

from .store import HttpStore

__all__ = ['HttpStore']
