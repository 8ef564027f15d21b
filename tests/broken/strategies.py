"""Location strategies that break their contract, each in one way."""

from glancelike.plugin import LocationStrategy


class Heavy(LocationStrategy):
    """Keeps every clause: by weight."""

    def ordered(self, locations):
        return sorted(locations, key=self.rank)

    def rank(self, location):
        return -self.weights.get(location.store, 0)


class DropsUnknownStores(Heavy):
    """Leaves out what is in no configured store, but not a single copy."""

    def ordered(self, locations):
        known = [one for one in locations if one.store in self.weights]
        return super().ordered(known if len(locations) > 1 else locations)


class OneCopyIsEnough(Heavy):
    """Takes two equal copies for one."""

    def ordered(self, locations):
        found = []
        for one in super().ordered(locations):
            if one not in found:
                found.append(one)
        return found


class TurnsEqualsRound(Heavy):
    """Sorts the other way and turns the result."""

    def ordered(self, locations):
        return sorted(locations, key=lambda one: -self.rank(one))[::-1]


class SortsInPlace(Heavy):
    """Sorts the list that it was given."""

    def ordered(self, locations):
        if not isinstance(locations, list):
            return super().ordered(locations)
        locations.sort(key=self.rank)
        return locations


class LearnsWeights(Heavy):
    """Writes the stores that it meets into the service's weights."""

    def rank(self, location):
        return -self.weights.setdefault(location.store, 0)


class NeedsAKnownStore(Heavy):
    """Fails for a location whose URL has no scheme."""

    def rank(self, location):
        scheme, _ = location.url.split('://', 1)
        return super().rank(location) + (scheme == '')
