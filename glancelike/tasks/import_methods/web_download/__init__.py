"""``web-download``: import what a web server has."""

from .method import WebDownload

__all__ = ['WebDownload']
