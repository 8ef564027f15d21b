"""``no_op``: nothing is done. A plugin at its smallest, and a name that configurations of earlier releases list."""

from __future__ import annotations

from glancelike.plugin import Content, ImportJob, ImportPlugin


class NoOp(ImportPlugin):
    """Leaves everything as it is."""

    def process(self, job: ImportJob, content: Content) -> Content:
        """See ImportPlugin.process."""
        return content
