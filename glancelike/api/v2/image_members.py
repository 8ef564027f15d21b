"""Members of an image: the projects with which it is shared."""

from __future__ import annotations

from typing import Any

from glancelike import errors
from glancelike.api.v2 import views
from glancelike.core.members import MemberService
from glancelike.model.image import MEMBER_STATUSES
from glancelike.wsgi.request import Request, printable


class ImageMembersController:
    """Actions on /v2/images/{image_id}/members and .../members/{member_id}."""

    def __init__(self, members: MemberService):
        self._members = members

    def create(self, req: Request, image_id: str, document: Any) -> dict[str, Any]:
        """POST .../members with ``{"member": project}``: 200 and the membership, which is pending.

        :raises InvalidBody: the document is not of that form; more: ``MemberService.add``
        """
        member = _only_text(document, 'member')
        if not member:
            raise errors.InvalidBody(reason="'member' must name a project.")
        return views.member(self._members.add(req.context, image_id, member))

    def index(self, req: Request, image_id: str) -> dict[str, Any]:
        """GET .../members: 200 and all memberships for the owner, the own one for a member."""
        return views.member_list(self._members.list(req.context, image_id))

    def show(self, req: Request, image_id: str, member_id: str) -> dict[str, Any]:
        """GET .../members/{member_id}: 200 and the membership. :raises NotFound: none, or not to be seen."""
        return views.member(self._members.get(req.context, image_id, member_id))

    def update(self, req: Request, image_id: str, member_id: str, document: Any) -> dict[str, Any]:
        """PUT .../members/{member_id} with ``{"status": ...}``: 200 and the membership.

        :raises InvalidBody: the status is none of a membership
        :raises Forbidden: the caller is neither that project nor an administrator
        """
        status = _only_text(document, 'status')
        if status not in MEMBER_STATUSES:
            raise errors.InvalidBody(
                reason=f"'status' must be one of {', '.join(MEMBER_STATUSES)}, not '{printable(status)}'.")
        return views.member(self._members.update(req.context, image_id, member_id, status))

    def delete(self, req: Request, image_id: str, member_id: str) -> None:
        """DELETE .../members/{member_id}: 204, by the owner, an administrator, or the member itself."""
        self._members.remove(req.context, image_id, member_id)


def _only_text(document: Any, name: str) -> str:
    if not isinstance(document, dict) or not isinstance(document.get(name), str):
        raise errors.InvalidBody(reason=f'The body must be a JSON object with \'{name}\', a text.')
    return document[name]
