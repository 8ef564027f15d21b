"""``glance-direct``: import what ``PUT /v2/images/{id}/stage`` has staged."""

from __future__ import annotations

from typing import ClassVar

from glancelike.plugin import STAGED, ImportMethod


class GlanceDirect(ImportMethod):
    """The data that the client has staged."""

    SOURCE: ClassVar[str] = STAGED
