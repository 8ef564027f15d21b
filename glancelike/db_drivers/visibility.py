"""Who sees which image: one pure statement, which every database driver must agree with."""

from __future__ import annotations

from glancelike.context import RequestContext
from glancelike.model.image import Image


def readable(ctx: RequestContext, image: Image, member_status: str | None) -> bool:
    """May the caller fetch this image by its id?

    :param member_status: the caller's membership status in the image, None when it is no member.
        A rejected member reads no more; a pending one does (it must be able to look before it accepts).
    """
    if ctx.is_admin or image.owner is None or image.visibility in ('public', 'community'):
        return True
    if ctx.project_id is None:
        return False
    if image.owner == ctx.project_id:
        return True
    return image.visibility == 'shared' and member_status in ('pending', 'accepted')


def known(ctx: RequestContext, image: Image, member_status: str | None) -> bool:
    """May the image be the marker of one of the caller's lists? Arguments as ``readable``.

    Whatever it may read; and what it rejected, since it finds that in lists that ask for rejected shares.
    """
    return readable(ctx, image, member_status) or (image.visibility == 'shared' and member_status is not None)


def listed(ctx: RequestContext, image: Image, member_status: str | None, *,
           visibility: str | None = None, wanted_status: str = 'accepted') -> bool:
    """Does the image belong to the caller's list? (history.md 6.6 gives the counts that follow from this.)

    :param member_status: the caller's membership status in the image, None when it is no member
    :param visibility: as ImageQuery.visibility
    :param wanted_status: as ImageQuery.member_status
    """
    if visibility not in (None, 'all') and image.visibility != visibility:
        return False
    own = ctx.project_id is not None and image.owner == ctx.project_id
    if own or image.visibility == 'public':
        return True
    if image.visibility == 'community':
        return visibility in ('all', 'community')
    if ctx.is_admin:
        return True
    return (image.visibility == 'shared' and member_status is not None
            and wanted_status in ('all', member_status))
