"""Values to the documents that this API shows."""

from __future__ import annotations

import dataclasses
import datetime
import operator
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from glancelike.context import RequestContext
from glancelike.model.image import QUEUED, Image, ImportState, Location, Member
from glancelike.model.task import Task

_ATTRIBUTES = ('name', 'disk_format', 'container_format', 'visibility', 'size', 'virtual_size', 'status', 'checksum',
               'protected', 'min_ram', 'min_disk', 'owner', 'os_hidden', 'os_hash_algo', 'os_hash_value', 'id')
_MIB = 2**20
_values_of = operator.attrgetter(*_ATTRIBUTES)
#: Machine state of Glance that an old database may have among the properties: not for users, or told by
#: ``Image.import_state`` here.
_HIDDEN = frozenset({'os_glance_stage_host', 'os_glance_hash_op_host', 'os_glance_import_task',
                     'os_glance_importing_to_stores', 'os_glance_failed_import'})


@dataclasses.dataclass(frozen=True, slots=True)
class ImageView:
    """How images are shown here.

    :ivar locations: ``LocationService.shown``: what the caller may see, the preferred copy first
    :ivar direct_url: ``show_image_direct_url``
    :ivar all_locations: ``show_multiple_locations``
    :ivar several_stores: stores have ids that mean something to users (``enabled_backends``)
    :ivar nullable: properties whose empty text is shown as null (see schemas.py)
    :ivar read_only: ids of stores that only read
    """

    locations: Callable[[RequestContext, Image], Sequence[Location]]
    direct_url: bool = False
    all_locations: bool = False
    several_stores: bool = False
    nullable: frozenset[str] = frozenset()
    read_only: frozenset[str] = frozenset()

    def document(self, ctx: RequestContext, image: Image) -> dict[str, Any]:
        """One image as JSON-able fields; *image* has only the properties that the caller may read."""
        shown: dict[str, Any] = {name: None if name in self.nullable and not value else value
                                 for name, value in image.properties.items() if name not in _HIDDEN}
        shown.update(zip(_ATTRIBUTES, _values_of(image), strict=True))
        shown['created_at'] = timestamp(image.created_at)
        shown['updated_at'] = timestamp(image.updated_at)
        if image.import_state is not None:
            shown.update(self._import(image.import_state))
        if self.direct_url or self.all_locations or self.several_stores:
            shown.update(self._locations(ctx, image))
        shown['tags'] = sorted(image.tags)
        shown['self'] = f'/v2/images/{image.id}'
        shown['file'] = f'/v2/images/{image.id}/file'
        shown['schema'] = '/v2/schemas/image'
        return shown

    def _import(self, state: ImportState) -> dict[str, Any]:
        shown: dict[str, Any] = {'os_glance_import_task': state.task_id} if state.task_id else {}
        if self.several_stores:
            shown['os_glance_importing_to_stores'] = ','.join(state.importing_to)
            shown['os_glance_failed_import'] = ','.join(state.failed)
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
            # Sorted: Tempest compares the text with that of the sorted ids.
            shown['stores'] = ','.join(sorted({one.store for one in image.locations
                                               if one.store and one in locations}))
        elif self.several_stores and image.status == QUEUED and image.import_state is not None:
            # Data on a web server that had another hash than announced are still there, and Glance says so (its bug
            # 2076648, which Tempest expects). The image has no location there; only its document names the store.
            still_there = self.read_only.intersection(image.import_state.failed)
            if still_there:
                shown['stores'] = ','.join(sorted(still_there))
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
    document: dict[str, Any] = {'images': list(documents), **_page_links('/v2/images', echoed, next_marker)}
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


def task(one: Task) -> dict[str, Any]:
    """One task with all that its owner may know; ``progress`` is there until it has ended."""
    return {**_told(one), **_linked(one)}


def task_list(tasks: Sequence[Task], echoed: Sequence[tuple[str, str]], next_marker: str | None) -> dict[str, Any]:
    """A page of tasks, without what is long: input, result, message. :param echoed: as ``image_list``"""
    return {'tasks': [{**_stub(one), **_linked(one)} for one in tasks],
            **_page_links('/v2/tasks', echoed, next_marker), 'schema': '/v2/schemas/tasks'}


def image_tasks(tasks: Sequence[Task]) -> dict[str, Any]:
    """The tasks of one image. They have no links: most of those who see them may not ask for tasks by id."""
    return {'tasks': [{**_told(one), 'deleted': False, 'deleted_at': None} for one in tasks]}


def _stub(one: Task) -> dict[str, Any]:
    return {'id': one.id, 'type': one.type, 'status': one.status, 'owner': one.owner,
            'created_at': timestamp(one.created_at), 'updated_at': timestamp(one.updated_at),
            'expires_at': timestamp(one.expires_at), **_progress(one)}


def _told(one: Task) -> dict[str, Any]:
    return {**_stub(one), 'image_id': one.image_id, 'user_id': one.user_id, 'request_id': one.request_id,
            'input': dict(one.input), 'result': None if one.result is None else dict(one.result),
            'message': one.message if one.finished else one.message or _under_way(one)}


def _linked(one: Task) -> dict[str, Any]:
    return {'self': f'/v2/tasks/{one.id}', 'schema': '/v2/schemas/task'}


def _progress(one: Task) -> dict[str, Any]:
    return {} if one.finished else {'progress': {'step': one.step, 'bytes_done': one.bytes_done,
                                                 'bytes_total': one.bytes_total, 'bytes_per_second': one.rate}}


def _under_way(one: Task) -> str:
    """What clients that know no ``progress`` show of it."""
    if one.cancelled:
        return 'The task is being cancelled.'
    if not one.step:
        return ''
    total = '' if one.bytes_total is None else f' of {one.bytes_total / _MIB:.1f}'
    return f'{one.step}: {one.bytes_done / _MIB:.1f}{total} MiB'


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


def _page_links(path: str, echoed: Sequence[tuple[str, str]], next_marker: str | None) -> dict[str, str]:
    links = {'first': _link(path, echoed)}
    if next_marker is not None:
        links['next'] = _link(path, [*echoed, ('marker', next_marker)])
    return links


def _link(path: str, parameters: Sequence[tuple[str, str]]) -> str:
    query = urllib.parse.urlencode(parameters)
    return f'{path}?{query}' if query else path
