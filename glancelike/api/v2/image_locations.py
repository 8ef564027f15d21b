"""Locations of an image: set one, list them, remove those in one store."""

from __future__ import annotations

from typing import Any

import webob

from glancelike.api.v2 import schemas, views
from glancelike.core.image_locations import ImageLocationService
from glancelike.core.location_rules import Announced
from glancelike.wsgi.request import Request
from glancelike.wsgi.resource import reply


class ImageLocationsController:
    """Actions on /v2/images/{image_id}/locations and /v2/stores/{store_id}/{image_id}."""

    def __init__(self, locations: ImageLocationService, view: views.ImageView):
        self._locations, self._view = locations, view

    def create(self, req: Request, image_id: str, document: Any) -> webob.Response:
        """POST .../locations with ``url`` and perhaps ``validation_data``: 202; what follows: ``ImageLocationService``.

        :raises InvalidBody: the document is not of that form; more: ``ImageLocationService.add``
        """
        schemas.check_new_location(document)
        given = document.get('validation_data')  # {}, which clients send, is none
        self._locations.add(req.context, image_id, document['url'], Announced.of(given) if given else None)
        return reply(status=202)

    def index(self, req: Request, image_id: str) -> list[dict[str, Any]]:
        """GET .../locations: 200 and an array of ``url`` and ``metadata``, for other services."""
        return self._view.location_list(self._locations.list(req.context, image_id))

    def delete_from_store(self, req: Request, store_id: str, image_id: str) -> None:
        """DELETE /v2/stores/{store_id}/{image_id}: 204; errors: ``ImageLocationService.remove_from_store``."""
        self._locations.remove_from_store(req.context, store_id, image_id)
