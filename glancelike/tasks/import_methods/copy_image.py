"""``copy-image``: store the data of an active image in more stores."""

from __future__ import annotations

from typing import ClassVar

from glancelike.plugin import STORED, ImportMethod


class CopyImage(ImportMethod):
    """The data that the image has already."""

    SOURCE: ClassVar[str] = STORED
