"""Copies in stores of higher weight first."""

from glancelike.plugin import LocationStrategy


class Weight(LocationStrategy):
    """By the ``weight`` of the store group; a copy in no configured store counts 0."""

    def ordered(self, locations):
        """See LocationStrategy.ordered."""
        return sorted(locations, key=lambda location: -self.weights.get(location.store, 0))
