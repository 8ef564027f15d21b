"""Whose task comes next: projects take turns."""

from __future__ import annotations

import collections
from collections.abc import Iterable

Owner = str | None


class Turns:
    """Counts what runs, and chooses among the owners of what waits.

    The owner with the fewest running tasks comes next; among equals the one whose last turn is longest ago. So a
    project that asks for a hundred imports delays another's first by what is being done, not by a hundred. And as
    what is being done may take hours, the last quarter of the places is for owners who have nothing running.
    For one thread at a time.

    :param most: tasks that may run at once
    :param most_per_owner: of one owner; 0: no such limit
    """

    def __init__(self, most: int, most_per_owner: int = 0):
        self._most = most
        self._most_per_owner = most_per_owner or most
        self._kept_free = most // 4
        self._running: collections.Counter[Owner] = collections.Counter()
        self._last: dict[Owner, int] = {}
        self._count = 0

    @property
    def running(self) -> int:
        """How many run."""
        return self._running.total()

    @property
    def free(self) -> int:
        """How many more may run."""
        return max(self._most - self.running, 0)

    def next(self, waiting: Iterable[Owner]) -> Owner | bool:
        """The owner whose turn it is, among those who have something waiting; False when nobody may begin now."""
        if not self.free:
            return False
        may = [owner for owner in waiting if self._running[owner] < self._most_per_owner
               and (self.free > self._kept_free or not self._running[owner])]
        if not may:
            return False
        return min(may, key=lambda owner: (self._running[owner], self._last.get(owner, 0)))

    def begin(self, owner: Owner) -> None:
        """A task of that owner begins."""
        self._running[owner] += 1
        self._count += 1
        self._last[owner] = self._count

    def end(self, owner: Owner, waiting: Iterable[Owner] = ()) -> None:
        """A task of that owner has ended; what is known of those who neither run nor wait is forgotten."""
        self._running[owner] -= 1
        if self._running[owner] <= 0:
            del self._running[owner]
        if len(self._last) > 1000:
            here = set(waiting) | set(self._running)
            self._last = {one: turn for one, turn in self._last.items() if one in here}
