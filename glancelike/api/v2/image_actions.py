"""Actions on an image: take its data out of circulation and back."""

from __future__ import annotations

from glancelike.core.images import ImageService
from glancelike.wsgi.request import Request


class ImageActionsController:
    """Actions on /v2/images/{image_id}/actions/..."""

    def __init__(self, images: ImageService):
        self._images = images

    def deactivate(self, req: Request, image_id: str) -> None:
        """POST .../actions/deactivate: 204, also when the image is deactivated already.

        :raises Forbidden: the image is neither active nor deactivated, or the policy refuses
        """
        self._images.deactivate(req.context, image_id)

    def reactivate(self, req: Request, image_id: str) -> None:
        """POST .../actions/reactivate: 204, also when the image is active already; errors as ``deactivate``."""
        self._images.reactivate(req.context, image_id)
