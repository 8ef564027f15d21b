"""Copies in the order in which they were added."""

from glancelike.plugin import LocationStrategy


class LocationOrder(LocationStrategy):
    """No preference."""

    def ordered(self, locations):
        """See LocationStrategy.ordered."""
        return list(locations)
