"""Images: make, list, show, change, delete."""

from __future__ import annotations

from typing import Any

import webob

from glancelike.api.v2 import conditions, image_patch, views
from glancelike.api.v2.schemas import Schemas
from glancelike.core import query
from glancelike.core.attributes import SETTABLE
from glancelike.core.image_locations import ImageLocationService
from glancelike.core.images import ImageService
from glancelike.model.image import Image
from glancelike.wsgi.request import Request
from glancelike.wsgi.resource import reply


class ImagesController:
    """Actions on /v2/images and /v2/images/{image_id}.

    :param default_limit: ``limit_param_default``, *max_limit*: ``api_limit_max``
    :param max_json_body: most bytes of a patch
    :param store_ids: stores that uploads may name, for the header of a create; () with a single store
    :param import_methods: those that may be used, for another one
    :param locations: changes locations by patches; None where patches may not (``show_multiple_locations``)
    """

    def __init__(self, images: ImageService, schemas: Schemas, view: views.ImageView, *, default_limit: int,
                 max_limit: int, max_json_body: int, store_ids: tuple[str, ...] = (),
                 import_methods: tuple[str, ...] = (), locations: ImageLocationService | None = None):
        self._images, self._schemas, self._view = images, schemas, view
        self._default_limit, self._max_limit = default_limit, max_limit
        self._max_json_body = max_json_body
        self._created = {'OpenStack-image-import-methods': ','.join(import_methods) or None,
                         'OpenStack-image-store-ids': ','.join(store_ids) or None}
        self._locations = locations

    def create(self, req: Request, document: Any) -> webob.Response:
        """POST /v2/images: 201, Location and the image document.

        :raises InvalidBody, ReservedAttribute: the document breaks the schema, or sets what callers do not set
        :raises ImageExists: the id is taken; more: ``ImageService.create``
        """
        self._schemas.check_new(document)
        properties = dict(document)
        image_id, tags = properties.pop('id', None), properties.pop('tags', ())
        attributes = {name: properties.pop(name) for name in SETTABLE & properties.keys()}
        image = self._images.create(req.context, image_id, attributes, properties, tags)
        return self._reply(req, image, 201, {'Location': f'/v2/images/{image.id}', **self._created})

    def index(self, req: Request) -> dict[str, Any]:
        """GET /v2/images: 200 and a page of images.

        :raises InvalidFilter, InvalidSort, InvalidLimit, InvalidMarker: names the parameter
        """
        asked = query.parse(req.parameters(), default_limit=self._default_limit, max_limit=self._max_limit)
        page = self._images.list(req.context, asked)
        return views.image_list([self._view.document(req.context, image) for image in page.images], asked.echoed,
                                next_marker=page.next_marker, total=page.total,
                                total_is_exact=page.total_is_exact)

    def show(self, req: Request, image_id: str) -> webob.Response:
        """GET /v2/images/{image_id}: 200 and the image document, or 304.

        :raises ImageNotFound: absent, deleted, or not visible to the caller
        """
        image = self._images.get(req.context, image_id)
        if 'If-None-Match' in req.headers and conditions.none_match(req, views.etag(image)):
            return reply(status=304, headers={'ETag': views.etag(image)})
        return self._reply(req, image, 200)

    def update(self, req: Request, image_id: str) -> webob.Response:
        """PATCH /v2/images/{image_id}: 200 and the image document as it is then.

        :raises UnsupportedMediaType: the patch is of neither media type
        :raises InvalidPatch, ReservedAttribute, PropertyMissing, PropertyExists: see ``image_patch``
        :raises PreconditionFailed: If-Match names other versions; more: ``ImageService.patch``
        """
        image_patch.check_media_type(req.media_type())
        operations = image_patch.parse(req.media_type(), req.json_document(self._max_json_body), self._schemas,
                                       locations=self._locations is not None)
        edits = image_patch.location_edits(operations)
        image = self._images.patch(
            req.context, image_id, lambda image: image_patch.changes(operations, image, self._schemas),
            if_version=self._wanted_version(req, image_id),
            edits=self._locations.edits(edits) if edits and self._locations is not None else None)
        return self._reply(req, image, 200)

    def delete(self, req: Request, image_id: str) -> None:
        """DELETE /v2/images/{image_id}: 204.

        :raises ProtectedImage, PreconditionFailed, Conflict: see ``ImageService.delete``
        """
        self._images.delete(req.context, image_id, if_version=self._wanted_version(req, image_id))

    def _wanted_version(self, req: Request, image_id: str) -> int | None:
        return conditions.one_version(conditions.matched_versions(req, image_id),
                                      lambda: self._images.get(req.context, image_id))

    def _reply(self, req: Request, image: Image, status: int, headers: dict[str, str | None] | None = None
               ) -> webob.Response:
        return reply(self._view.document(req.context, image), status, {'ETag': views.etag(image), **(headers or {})})
