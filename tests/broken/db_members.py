"""Database drivers with one fault each, in members."""

from __future__ import annotations

from glancelike.db_drivers.simple.driver import SimpleDriver
from glancelike.plugin import errors


class RemoveLeavesMemberDriver(SimpleDriver):
    """Looks for the member that shall go, and leaves it."""

    def member_remove(self, ctx, image_id, member):
        with self._lock:
            self._membership(image_id, member)


class MembersSeeEachOtherDriver(SimpleDriver):
    """Tells a member who else has the image."""

    def member_list(self, ctx, image_id):
        with self._lock:
            row = self._rows.get(image_id)
            if row is not None and not row.image.deleted and ctx.project_id in row.members:
                return list(row.members.values())
            return super().member_list(ctx, image_id)


class RejectedCannotReturnDriver(SimpleDriver):
    """Asks a member to read the image before it may change its mind."""

    def member_update(self, ctx, image_id, member, status):
        with self._lock:
            self._readable(ctx, image_id)
            return super().member_update(ctx, image_id, member, status)


class SharesTwiceDriver(SimpleDriver):
    """Takes a second invitation for a new one."""

    def member_add(self, ctx, image_id, member, **fields):
        with self._lock:
            self._readable(ctx, image_id).members.pop(member, None)
            return super().member_add(ctx, image_id, member, **fields)


class OwnerlessIsMineDriver(SimpleDriver):
    """Takes a caller without project for the owner of an image without owner."""

    def member_list(self, ctx, image_id):
        with self._lock:
            row = self._rows.get(image_id)
            if row is not None and not row.image.deleted and row.image.owner == ctx.project_id:
                return list(row.members.values())
            return super().member_list(ctx, image_id)


class SilentAboutAbsentMembersDriver(SimpleDriver):
    """Does not mind when there is nobody to remove."""

    def member_remove(self, ctx, image_id, member):
        try:
            super().member_remove(ctx, image_id, member)
        except errors.MemberNotFound:
            return
