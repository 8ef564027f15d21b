"""Values to the documents that this API shows."""

from __future__ import annotations

import dataclasses
import datetime
import operator
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from glancelike.context import RequestContext
from glancelike.model.image import Image, Location, Member

_ATTRIBUTES = ('name', 'disk_format', 'container_format', 'visibility', 'size', 'virtual_size', 'status', 'checksum',
               'protected', 'min_ram', 'min_disk', 'owner', 'os_hidden', 'os_hash_algo', 'os_hash_value', 'id')
_values_of = operator.attrgetter(*_ATTRIBUTES)
#: Machine state of Glance that an old database may have among the properties: not for users.
_HIDDEN = frozenset({'os_glance_stage_host', 'os_glance_hash_op_host'})


@dataclasses.dataclass(frozen=True, slots=True)
class ImageView:
    """How images are shown here.

    :ivar locations: ``LocationService.shown``: what the caller may see, the preferred copy first
    :ivar direct_url: ``show_image_direct_url``
    :ivar all_locations: ``show_multiple_locations``
    :ivar several_stores: stores have ids that mean something to users (``enabled_backends``)
    :ivar nullable: properties whose empty text is shown as null (see schemas.py)
    """

    locations: Callable[[RequestContext, Image], Sequence[Location]]
    direct_url: bool = False
    all_locations: bool = False
    several_stores: bool = False
    nullable: frozenset[str] = frozenset()

    def document(self, ctx: RequestContext, image: Image) -> dict[str, Any]:
        """One image as JSON-able fields; *image* has only the properties that the caller may read."""
        shown: dict[str, Any] = {name: None if name in self.nullable and not value else value
                                 for name, value in image.properties.items() if name not in _HIDDEN}
        shown.update(zip(_ATTRIBUTES, _values_of(image), strict=True))
        shown['created_at'] = timestamp(image.created_at)
        shown['updated_at'] = timestamp(image.updated_at)
        if self.direct_url or self.all_locations or self.several_stores:
            shown.update(self._locations(ctx, image))
        shown['tags'] = sorted(image.tags)
        shown['self'] = f'/v2/images/{image.id}'
        shown['file'] = f'/v2/images/{image.id}/file'
        shown['schema'] = '/v2/schemas/image'
        return shown

    def _locations(self, ctx: RequestContext, image: Image) -> dict[str, Any]:
        locations = self.locations(ctx, image)
        shown: dict[str, Any] = {}
        if self.all_locations:
            # As they are stored: a patch names them by their place in this list.
            shown['locations'] = self.location_list([one for one in image.locations if one in locations])
        if self.direct_url and locations:
            shown['direct_url'] = locations[0].url
        if self.several_stores and locations:
            shown['stores'] = ','.join(dict.fromkeys(one.store for one in image.locations
                                                     if one.store and one in locations))
        return shown

    def location_list(self, locations: Sequence[Location]) -> list[dict[str, Any]]:
        """Locations as users see them."""
        return [{'url': one.url, 'metadata': self._metadata(one)} for one in locations]

    def _metadata(self, location: Location) -> dict[str, Any]:
        store = {'store': location.store} if self.several_stores and location.store else {}
        return {**location.metadata, **store}


def image_list(documents: Sequence[Mapping[str, Any]], echoed: Sequence[tuple[str, str]], *,
               next_marker: str | None, total: int | None, total_is_exact: bool) -> dict[str, Any]:
    """A page of images with links that repeat every parameter of the request.

    :param echoed: the parameters without ``marker``, in order, repeated ones repeated
    :param total: images of all pages, when it was asked for
    """
    document: dict[str, Any] = {'images': list(documents), 'first': _link(echoed)}
    if next_marker is not None:
        document['next'] = _link([*echoed, ('marker', next_marker)])
    document['schema'] = '/v2/schemas/images'
    if total is not None:
        document['total'], document['total_is_exact'] = total, total_is_exact
    return document


def member(one: Member) -> dict[str, Any]:
    """One membership."""
    return {'member_id': one.member, 'image_id': one.image_id, 'status': one.status,
            'created_at': timestamp(one.created_at), 'updated_at': timestamp(one.updated_at),
            'schema': '/v2/schemas/member'}


def member_list(members: Sequence[Member]) -> dict[str, Any]:
    """All memberships of an image."""
    return {'members': [member(one) for one in members], 'schema': '/v2/schemas/members'}


def etag(image: Image) -> str:
    """A strong ETag of the image document: another one after every stored change."""
    return f'"{image.id}-{image.version}"'


def data_etag(image: Image) -> str | None:
    """A strong ETag of the image data, which never change while the image is active."""
    known = image.os_hash_value or image.checksum
    return f'"{known}"' if known else None


def timestamp(moment: datetime.datetime | None) -> str | None:
    """``YYYY-MM-DDThh:mm:ssZ``, to the second."""
    return None if moment is None else moment.astimezone(datetime.UTC).isoformat()[:19] + 'Z'


def _link(parameters: Sequence[tuple[str, str]]) -> str:
    query = urllib.parse.urlencode(parameters)
    return f'/v2/images?{query}' if query else '/v2/images'
