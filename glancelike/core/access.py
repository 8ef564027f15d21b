"""Fetching an image for a caller: what it may not see is "not found", what it may not do is "forbidden"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.db_drivers.base import DbDriver
from glancelike.model.image import Image

if TYPE_CHECKING:
    from glancelike.policies.enforcer import Enforcer

ID_LENGTH = 36


def writable(ctx: RequestContext) -> None:
    """:raises ReadOnlyContext: the caller may make no change whatever."""
    if ctx.read_only:
        raise errors.ReadOnlyContext()


def possible_id(image_id: str) -> bool:
    """Could an image have this id? What cannot be one (NUL, a lone surrogate) must not reach the database."""
    return len(image_id) <= ID_LENGTH and image_id.isprintable()


def image(db: DbDriver, enforcer: Enforcer, ctx: RequestContext, image_id: str, rule: str, **extra: Any) -> Image:
    """The stored image, hidden properties included, after the policy *rule* held on it.

    :param image_id: whatever came in the path; what cannot be an id is not found
    :param extra: further names for the policy target (``member_id``)
    :raises ImageNotFound: absent, deleted, or not visible to the caller
    :raises Forbidden: visible, but *rule* does not hold
    """
    if not possible_id(image_id):
        raise errors.ImageNotFound(image_id=image_id)
    found = db.image_get(ctx, image_id)
    check(enforcer, ctx, rule, found, **extra)
    return found


def check(enforcer: Enforcer, ctx: RequestContext, rule: str, found: Image, **extra: Any) -> None:
    """The policy *rule* on an image that the database lets the caller read.

    :raises ImageNotFound: the rule ``get_image`` does not hold either, so that existence is not told
    :raises Forbidden: the caller may see the image, but *rule* does not hold
    """
    try:
        enforcer.check(ctx, rule, found, **extra)
    except errors.Forbidden:
        if rule == 'get_image' or not enforcer.allowed(ctx, 'get_image', found):
            raise errors.ImageNotFound(image_id=found.id) from None
        raise
