"""Sharing images with projects.

Only images of visibility ``shared`` have members. The owner adds and removes them; a member looks at its own
membership, accepts or rejects it, and may leave. A member that rejected reads the image no more, but still
finds its membership, so that it can change its mind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from glancelike import errors
from glancelike.context import RequestContext, internal
from glancelike.core import access, bounds
from glancelike.core.quotas import Quotas
from glancelike.db_drivers.base import DbDriver
from glancelike.model.image import MEMBER_STATUSES, Image, Member
from glancelike.notifications import events

if TYPE_CHECKING:
    from glancelike.notifications.notifier import Notifier
    from glancelike.policies.enforcer import Enforcer


class MemberService:
    """Members of images, as callers see and change them."""

    def __init__(self, db: DbDriver, enforcer: Enforcer, quotas: Quotas, notifier: Notifier):
        self._db = db
        self._enforcer = enforcer
        self._quotas = quotas
        self._notifier = notifier

    def add(self, ctx: RequestContext, image_id: str, member: str) -> Member:
        """Share the image with the project *member*; it begins as ``pending``.

        :param member: a project id, 1 to 255 characters; whether Keystone knows it is not asked
        :raises ImageNotFound: absent or not visible
        :raises Forbidden: the policy ``add_member`` refuses
        :raises NotShared: the image's visibility is not ``shared``
        :raises Invalid: *member* cannot be a project id
        :raises MemberExists, QuotaExceeded: as their names say
        """
        access.writable(ctx)
        image = self._image(ctx, image_id)
        access.check(self._enforcer, ctx, 'add_member', image, member_id=member)
        _check_shared(image)
        if not bounds.text('member', member).strip():
            raise errors.Invalid(reason='member must be the id of a project.')
        added = self._db.member_add(ctx, image_id, member, at_most=self._quotas.most_members)
        self._notifier.send(ctx, events.member_create(added))
        return added

    def list(self, ctx: RequestContext, image_id: str) -> list[Member]:
        """All members for the owner and an administrator, a member sees itself only; in the order of joining.

        :raises ImageNotFound: absent or not visible
        :raises Forbidden: the policy ``get_members`` refuses
        :raises NotShared: the image's visibility is not ``shared``
        """
        image = self._image(ctx, image_id)
        _check_shared(image)
        members = self._db.member_list(ctx, image_id)
        itself = ctx.project_id if any(one.member == ctx.project_id for one in members) else None
        access.check(self._enforcer, ctx, 'get_members', image, member_id=itself)
        if self._enforcer.is_default('get_member'):
            return members  # what the default says is what the database returned
        return [one for one in members if self._enforcer.allowed(ctx, 'get_member', image, member_id=one.member)]

    def get(self, ctx: RequestContext, image_id: str, member: str) -> Member:
        """One membership.

        :raises ImageNotFound: the image is absent or not visible
        :raises MemberNotFound: no such member, or any other reason why the caller may not see it
        """
        image = self._image(ctx, image_id)
        found = self._membership(ctx, image, member)
        if image.visibility != 'shared' or not self._enforcer.allowed(ctx, 'get_member', image, member_id=member):
            raise errors.MemberNotFound(image_id=image_id, member=member)
        return found

    def update(self, ctx: RequestContext, image_id: str, member: str, status: str) -> Member:
        """Accept, reject or reset a membership: for the member itself, not for the owner of the image.

        :param status: one of MEMBER_STATUSES
        :raises Invalid: *status* is another
        :raises ImageNotFound, MemberNotFound: absent or not visible
        :raises Forbidden: the policy ``modify_member`` refuses
        :raises NotShared: the image's visibility is not ``shared``
        """
        access.writable(ctx)
        if status not in MEMBER_STATUSES:
            raise errors.Invalid(reason=f'status must be one of {", ".join(MEMBER_STATUSES)}.')
        image = self._image(ctx, image_id)
        _check_shared(image)
        self._membership(ctx, image, member)
        self._enforcer.check(ctx, 'modify_member', image, member_id=member)
        updated = self._db.member_update(self._trusted(ctx), image_id, member, status)
        self._notifier.send(ctx, events.member_update(updated))
        return updated

    def remove(self, ctx: RequestContext, image_id: str, member: str) -> None:
        """Stop sharing the image with *member*; a member may leave by itself.

        :raises ImageNotFound, MemberNotFound: absent or not visible
        :raises Forbidden: the policy ``delete_member`` refuses, and the caller is not that member
        :raises NotShared: the image's visibility is not ``shared``
        """
        access.writable(ctx)
        image = self._image(ctx, image_id)
        self._check_remove(ctx, image, member)
        _check_shared(image)
        removed = self._membership(ctx, image, member)
        self._db.member_remove(self._trusted(ctx), image_id, member)
        self._notifier.send(ctx, events.member_delete(removed))

    def _check_remove(self, ctx: RequestContext, image: Image, member: str) -> None:
        """Who may reject may leave, also where an older policy file says of ``delete_member``: owner only."""
        leaves = ctx.project_id is not None and member == ctx.project_id
        if not (leaves and self._enforcer.allowed(ctx, 'modify_member', image, member_id=member)):
            self._enforcer.check(ctx, 'delete_member', image, member_id=member)

    def _image(self, ctx: RequestContext, image_id: str) -> Image:
        """The image whose members are asked for: to anyone who may read it, and to members that rejected.

        :raises ImageNotFound: the caller is neither
        """
        try:
            return access.image(self._db, self._enforcer, ctx, image_id, 'get_image')
        except errors.ImageNotFound:
            if not access.possible_id(image_id) or not ctx.project_id:
                raise
            if self._db.member_status(image_id, ctx.project_id) is None:
                raise
            image = self._db.image_get(self._trusted(ctx), image_id)
            if image.visibility != 'shared':
                raise
            return image

    def _membership(self, ctx: RequestContext, image: Image, member: str) -> Member:
        if len(member) > bounds.TEXT_LENGTH or not bounds.storable(member):
            raise errors.MemberNotFound(image_id=image.id, member=member)
        return self._db.member_get(ctx, image.id, member)

    def _trusted(self, ctx: RequestContext) -> RequestContext:
        """For the database, after the rules were asked: a member that rejected cannot read the image itself."""
        return ctx if ctx.is_admin else internal('members')


def _check_shared(image: Image) -> None:
    if image.visibility != 'shared':
        raise errors.NotShared(image_id=image.id, visibility=image.visibility)
