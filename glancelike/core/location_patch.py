"""Locations changed by a patch of the image: added, removed, and replaced as a whole.

The operations are done one after the other on a copy of the list; what comes of it is written in one transaction with
all else that the patch changes. What a location that goes has named is removed after that, and by recovery if this
process dies before (``DbDriver.locations_pending_delete``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.core import access
from glancelike.core.location_rules import Announced, LocationRules
from glancelike.core.quotas import Quotas
from glancelike.model.image import ACTIVE, QUEUED, Image, ImageChanges, Location

if TYPE_CHECKING:
    from glancelike.policies.enforcer import Enforcer

ADD, REPLACE, REMOVE = 'add', 'replace', 'remove'


@dataclasses.dataclass(frozen=True, slots=True)
class Edit:
    """One operation on the locations of an image.

    :ivar op: ADD, REPLACE or REMOVE
    :ivar index: place in the list as it is then, from 0; None: the end (ADD), all of it (REPLACE)
    :ivar value: of ADD a location, of REPLACE a list of them: ``url``, ``metadata`` and perhaps ``validation_data``
    """

    op: str
    index: int | None = None
    value: Any = None


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What the edits make of one image.

    :ivar locations: all that it is to have
    :ivar changes: of the image, those of the rest of the patch included
    :ivar removed: what it had and has no more
    """

    locations: tuple[Location, ...]
    changes: ImageChanges
    removed: tuple[Location, ...]


class LocationEdits:
    """The edits of one patch; planned again when somebody else was faster, while each store is asked only once.

    :param algorithm: ``hashing_algorithm``, which announced hashes must be of
    :param erase: given an image id and a location that its image has given up: removes the bytes
    """

    def __init__(self, rules: LocationRules, enforcer: Enforcer, quotas: Quotas, algorithm: str, edits: Sequence[Edit],
                 erase: Callable[[str, Location], None]):
        self._rules = rules
        self._enforcer = enforcer
        self._quotas = quotas
        self._algorithm = algorithm
        self._edits = list(edits)
        self.erase = erase
        self._sizes: dict[str, int | None] = {}

    def __bool__(self) -> bool:
        return bool(self._edits)

    def plan(self, ctx: RequestContext, image: Image, changes: ImageChanges) -> Plan:
        """What is to be written.

        :param changes: the rest of the patch
        :raises Forbidden: a policy refuses, or the image would have no location left
        :raises StatusConflict: locations cannot be changed in the status of the image
        :raises BadLocation, InvalidPatch: a URL or a position that cannot be
        :raises Conflict: what is announced of the data contradicts what is known
        :raises QuotaExceeded, FormatsMissing, ImageTooLarge, UnsafeImage, StoreUnavailable: as their names say
        """
        self._check_policies(ctx, image)
        self._rules.check_free(image.id)
        places, announced, status = list(image.locations), [], image.status
        for edit in self._edits:
            _check_status(image, status, edit.op)
            if edit.op == REMOVE:
                self._remove(places, edit)
                continue
            announced += [Announced.of(one['validation_data']) for one in _values(edit) if one.get('validation_data')]
            if edit.op == ADD:
                self._add(image, places, edit.index, edit.value)
            else:
                self._replace(image, places, edit.value)
            self._quotas.check_locations(len(places), len(image.locations))  # before any store is asked
            status = ACTIVE
        size = self._size(ctx, image, changes, [place for place in places if place.id is None])
        attributes = self._hashes(image, announced)
        if image.status == QUEUED:
            attributes |= {'status': ACTIVE, 'size': size}
        kept = {place.id for place in places}
        return Plan(tuple(places), dataclasses.replace(changes, attributes={**changes.attributes, **attributes}),
                    tuple(place for place in image.locations if place.id not in kept))

    def _check_policies(self, ctx: RequestContext, image: Image) -> None:
        wanted = {'delete_image_location' if edit.op == REMOVE else 'set_image_location' for edit in self._edits}
        if any(edit.op != ADD or edit.index is not None for edit in self._edits):
            wanted.add('get_image_location')  # who names a place in a list sees what is in it
        for rule in sorted(wanted):
            access.check(self._enforcer, ctx, rule, image)

    # --- one edit -------------------------------------------------------------------------------------------------

    def _remove(self, places: list[Location], edit: Edit) -> None:
        if edit.index is None or edit.index >= len(places):
            raise errors.InvalidPatch(reason='There is no location at that position.')
        if len(places) == 1:
            raise errors.Forbidden('The last location of an image cannot be removed.')
        del places[edit.index]

    def _add(self, image: Image, places: list[Location], index: int | None, value: Mapping[str, Any]) -> None:
        if index is not None and index > len(places):
            raise errors.InvalidPatch(reason='There is no such position among the locations.')
        if any(place.url == value['url'] for place in places):
            raise errors.BadLocation(reason='The image has that location already.')
        new = self._rules.place(image.id, value['url'], value['metadata'])
        places.insert(len(places) if index is None else index, new)

    def _replace(self, image: Image, places: list[Location], values: Sequence[Mapping[str, Any]]) -> None:
        if not values:
            raise errors.Forbidden('The last location of an image cannot be removed.')
        if not places:
            for value in values:
                self._add(image, places, None, value)
            return
        if sorted(value['url'] for value in values) != sorted(place.url for place in places):
            raise errors.BadLocation(reason='Locations can be replaced by the same ones only, in another order or with '
                                            'other metadata; add or remove single ones.')
        left = list(places)
        places.clear()
        for value in values:
            old = next(place for place in left if place.url == value['url'])
            left.remove(old)
            places.append(dataclasses.replace(old, metadata=self._rules.metadata(old, value['metadata'])))

    # --- what the stores say, and the caller ------------------------------------------------------------------------

    def _size(self, ctx: RequestContext, image: Image, changes: ImageChanges, new: Sequence[Location]) -> int | None:
        """Length of the data, which all locations must have in common."""
        if not new:
            return image.size
        formats = {name: changes.attributes.get(name, getattr(image, name))
                   for name in ('disk_format', 'container_format')}
        missing = [name for name, value in formats.items() if not value]
        if missing and image.status == QUEUED:
            raise errors.FormatsMissing(missing=' and '.join(missing))
        size = image.size
        for place in new:
            if place.url not in self._sizes:
                self._sizes[place.url] = self._rules.look(place, image, *formats.values())
            found = self._sizes[place.url]
            if found is None and size is None:
                raise errors.BadLocation(reason='The location cannot be used: its server does not tell how long the '
                                                'data are.')
            if size is not None and found not in (None, size):
                raise errors.BadLocation(reason=f'The location has {found} bytes, the image {size}.')
            size = found if size is None else size
        self._rules.check_room(ctx, image, (size or 0) * len(new))
        return size

    def _hashes(self, image: Image, announced: Sequence[Announced]) -> dict[str, Any]:
        """The attributes that the image gets from what is announced.

        :raises Conflict: two announce different things, the image has other ones, or it is too late for new ones
        """
        wanted: dict[str, Any] = {}
        for one in announced:
            for name, value in one.attributes().items():
                known = wanted.get(name) or getattr(image, name)
                if known is not None and known != value:
                    raise errors.Conflict(reason=f'{name} is known to be another one than validation_data say.')
                wanted[name] = value
        new = {name: value for name, value in wanted.items() if getattr(image, name) is None}
        if not new:
            return {}
        if image.status != QUEUED:
            raise errors.Conflict(reason=f'{" and ".join(sorted(new))} can be given only while the image is queued.')
        for one in announced:
            flaw = one.flaw()
            if one.algorithm != self._algorithm:
                flaw = f'os_hash_algo must be {self._algorithm}.'
            if flaw:
                raise errors.Conflict(reason=flaw)
        return new


def _values(edit: Edit) -> Sequence[Mapping[str, Any]]:
    return edit.value if edit.op == REPLACE else [edit.value]


def _check_status(image: Image, status: str, op: str) -> None:
    wanted = (ACTIVE,) if op == REMOVE else (ACTIVE, QUEUED)
    if status not in wanted:
        raise errors.StatusConflict(image_id=image.id, status=status, wanted=' or '.join(wanted))
