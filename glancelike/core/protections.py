"""Property protections applied: to documents on the way out, to change sets on the way in, never to the row.

A property that the caller may not read behaves as if it did not exist, wherever existence could show: it is
in no document, no filter finds by it, replacing or removing it is "does not exist". Since setting a name that
is there must not overwrite what the caller cannot see, and must not tell that it is there either, a caller may
set a name that it cannot read only while the image is made.

Names that begin with ``os_glance`` are the service's own: nobody sets or removes them through the API, and
whatever the rules say, everybody may read those of them that Glance shows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.core.attributes import SERVICE_PREFIX
from glancelike.model.image import Image, ImageChanges
from glancelike.property_protections.base import CREATE, DELETE, READ, UPDATE, PropertyProtection

#: Written by Glance into its own rows; node addresses, shown to nobody.
HIDDEN = frozenset({'os_glance_stage_host', 'os_glance_hash_op_host'})


class Protections:
    """What the configured property protection means for images.

    :param protection: None when ``property_protection_file`` is not set: nothing is protected
    """

    def __init__(self, protection: PropertyProtection | None = None):
        self._protection = protection

    def _allows(self, ctx: RequestContext, action: str, name: str) -> bool:
        if name.startswith(SERVICE_PREFIX):
            return action == READ and name not in HIDDEN
        return self._protection is None or self._protection.allows(ctx, action, name)

    def may_read(self, ctx: RequestContext, name: str) -> bool:
        """Does the caller see the property *name* of any image that has it?"""
        return self._allows(ctx, READ, name)

    def may_filter(self, ctx: RequestContext, name: str) -> bool:
        """May a list be filtered by it? If not, the filter must find nothing, as for a name that nobody uses."""
        return self._allows(ctx, READ, name)

    def may_set(self, ctx: RequestContext, image: Image, name: str) -> bool:
        """May the caller give the image the property *name*, or another value of it?"""
        action = UPDATE if name in image.properties and self.may_read(ctx, name) else CREATE
        return self._allows(ctx, action, name) and self.may_read(ctx, name)

    def readable(self, ctx: RequestContext, image: Image) -> Image:
        """The image with the properties that the caller may read. What is stored is not touched."""
        return self.readable_all(ctx, (image,))[0]

    def readable_all(self, ctx: RequestContext, images: Sequence[Image]) -> list[Image]:
        """The same for a page of images; each property name is asked about once (clause ALLOWS-1)."""
        names = {name for image in images for name in image.properties}
        hidden = {name for name in names if not self._allows(ctx, READ, name)}
        if not hidden:
            return list(images)
        return [_without(image, hidden) for image in images]

    def check_create(self, ctx: RequestContext, names: Iterable[str]) -> None:
        """May a new image have these properties?

        :raises ReservedAttribute: a name is the service's own
        :raises ProtectedProperty: the caller may not create one of them
        """
        for name in sorted(names):
            self._check(ctx, CREATE, name)

    def check_changes(self, ctx: RequestContext, image: Image, changes: ImageChanges) -> None:
        """May the caller make these changes to the properties?

        :param image: as stored, hidden properties included
        :raises ReservedAttribute: a name is the service's own
        :raises ProtectedProperty: create, update or delete is refused; or a name would be set that the caller
            cannot read, whether or not it is there
        :raises PropertyMissing: removing one that is absent or that the caller cannot read
        """
        for name in sorted(changes.set_properties):
            self._check(ctx, UPDATE if name in image.properties and self.may_read(ctx, name) else CREATE, name)
            self._check(ctx, READ, name)
        for name in sorted(changes.remove_properties):
            if name not in image.properties or not self.may_read(ctx, name):
                raise errors.PropertyMissing(name=name)
            self._check(ctx, DELETE, name)

    def _check(self, ctx: RequestContext, action: str, name: str) -> None:
        if name.startswith(SERVICE_PREFIX) and action != READ:
            raise errors.ReservedAttribute(name=name)
        if not self._allows(ctx, action, name):
            raise errors.ProtectedProperty(name=name)


def _without(image: Image, hidden: set[str]) -> Image:
    shown = {name: value for name, value in image.properties.items() if name not in hidden}
    return image if len(shown) == len(image.properties) else dataclasses.replace(image, properties=shown)
