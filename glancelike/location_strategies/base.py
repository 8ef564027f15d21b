"""The contract of a location strategy, clause by clause.

An entry point of ``glancelike.location_strategies``, chosen by ``location_strategy``.

ORDER-1  ``ordered`` returns exactly the locations that it was given, each once.
ORDER-2  It is stable: where it has no preference, the given order stays.
ORDER-3  It changes nothing and never raises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from glancelike.model.image import Location


class LocationStrategy:
    """Base of all strategies.

    :cvar OPTIONS: oslo.config options, read from the group OPTION_GROUP
    :param options: attribute access to the values of OPTIONS
    :param weights: weight of each configured store by its id; higher is tried first
    """

    OPTIONS: ClassVar[Sequence[Any]] = ()
    OPTION_GROUP: ClassVar[str] = 'DEFAULT'

    def __init__(self, options: Any, weights: Mapping[str, int]):
        self.options = options
        self.weights = weights

    def ordered(self, locations: Sequence[Location]) -> list[Location]:
        """The locations in the order in which they should be tried."""
        raise NotImplementedError
