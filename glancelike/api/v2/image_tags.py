"""Tags of an image, one at a time."""

from __future__ import annotations

from glancelike.core.images import ImageService
from glancelike.wsgi.request import Request


class ImageTagsController:
    """Actions on /v2/images/{image_id}/tags/{tag}."""

    def __init__(self, images: ImageService):
        self._images = images

    def add(self, req: Request, image_id: str, tag: str) -> None:
        """PUT: 204, also when the image has the tag already.

        :raises Invalid: longer than 255 characters
        :raises QuotaExceeded: the image has as many tags as it may
        """
        self._images.tag_add(req.context, image_id, tag)

    def remove(self, req: Request, image_id: str, tag: str) -> None:
        """DELETE: 204. :raises TagNotFound: the image has no such tag."""
        self._images.tag_remove(req.context, image_id, tag)
