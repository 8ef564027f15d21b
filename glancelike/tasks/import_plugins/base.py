"""The contract of an import plugin, clause by clause.

An entry point of ``glancelike.import_plugins``; ``image_import_plugins`` lists those that every import runs, in that
order. ``copy-image`` runs none: its bytes have been through them. A plugin looks, refuses, adds properties, or makes
other bytes. ``glancelike.compliance.import_plugin`` tests each numbered clause.

PLUGIN-1  ``process`` returns a Content: the given one, or one made of it with ``dataclasses.replace``. What it says of
          size and formats is true of the bytes that it gives.
PLUGIN-2  A refusal is ImportRejected or UnsafeImage, from ``process`` or out of its chunks; nothing of the image is
          kept then. Any other error that it means to raise is a GlanceError, too.
PLUGIN-3  Chunks are made as they are asked for, never held together: memory does not grow with the image. Closing
          them early closes those that they are made of.
PLUGIN-4  ``job.check`` is called for each piece and at least once a second, and what it raises passes unchanged.
PLUGIN-5  Files are made in ``job.folder`` only; the given path is never changed. A child process has ended when
          ``process`` and the chunks have, however they ended.
PLUGIN-6  What it makes has at most ``job.max_bytes`` bytes: ImageTooLarge comes first.
PLUGIN-7  Work on a piece that takes long, and every wait, goes through ``job.run``.
PLUGIN-8  The same bytes give the same result; it may be called again for the same image, in another process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from glancelike.tasks.base import Content, ImportJob


class ImportPlugin:
    """Base of all import plugins.

    :cvar MAY_NEED_FILE: ``needs_file`` may be true for something that is worth keeping in staging meanwhile
    :cvar OPTIONS: oslo.config options, read from the group OPTION_GROUP
    :param options: attribute access to the values of OPTIONS
    :raises ConfigurationError: the options cannot work, or a program that it needs is not there
    """

    MAY_NEED_FILE: ClassVar[bool] = False
    OPTIONS: ClassVar[Sequence[Any]] = ()
    OPTION_GROUP: ClassVar[str] = 'DEFAULT'

    def __init__(self, options: Any):
        self.options = options

    def needs_file(self, job: ImportJob, content: Content) -> bool:
        """Must ``process`` be given a path for this content (its ``head`` is there)?"""
        return False

    def process(self, job: ImportJob, content: Content) -> Content:
        """What the next plugin, or the store, gets.

        :raises ImportRejected, UnsafeImage, ImageTooLarge: PLUGIN-2, PLUGIN-6
        """
        raise NotImplementedError

    def facts(self) -> Mapping[str, Any]:
        """PLUGIN-9  What callers may know, for ``GET /v2/info/import``: JSON-able, no path, no credential."""
        return {}

    @classmethod
    def for_compliance(cls, folder: str) -> Mapping[str, Any] | None:
        """Optional: option values with which ``glance-drivers check import-plugin`` tries the plugin out.

        :param folder: an empty folder, removed after the trial
        :returns: values other than the defaults; None where nobody can say any
        """
        return {}
