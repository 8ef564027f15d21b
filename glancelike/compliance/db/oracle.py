"""What a list must give, said in plain Python over values; written apart from every driver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from glancelike.plugin import Filter, Image, ImageQuery, RequestContext, query, visibility


def listed(images: Iterable[Image], ctx: RequestContext, asked: ImageQuery,
           statuses: Mapping[str, str] | None = None) -> list[str]:
    """Ids of all images that *asked* has for the caller, in order; its marker and limit are not looked at.

    :param statuses: the caller's membership status by image id
    """
    statuses = statuses or {}
    found = [image for image in images
             if not image.deleted and image.status != 'killed' and image.os_hidden == asked.os_hidden
             and visibility.listed(ctx, image, statuses.get(image.id), visibility=asked.visibility,
                                   wanted_status=asked.member_status)
             and all(_holds(condition, image) for condition in asked.filters)]
    for field, direction in reversed(asked.sort):  # sorts are stable, so the last key comes first
        found.sort(key=lambda image, field=field: _nulls_first(getattr(image, field)),
                   reverse=direction == 'desc')
    return [image.id for image in found]


def _nulls_first(value: object) -> tuple:
    return (0,) if value is None else (1, value)


def _holds(condition: Filter, image: Image) -> bool:
    op, wanted = condition.op, condition.value
    if condition.kind == query.TAG:
        return wanted in image.tags
    if condition.kind == query.PROPERTY:
        return image.properties.get(condition.field) == wanted
    found = getattr(image, condition.field)
    if found is None:
        return False
    return {
        query.EQ: lambda: found == wanted,
        query.IN: lambda: any(found == one for one in wanted),
        query.GT: lambda: found > wanted,
        query.GTE: lambda: found >= wanted,
        query.LT: lambda: found < wanted,
        query.LTE: lambda: found <= wanted,
        query.OUTSIDE: lambda: not wanted[0] <= found < wanted[1],
        query.PREFIX: lambda: found[:len(wanted)] == wanted,
        query.CONTAINS: lambda: found.casefold().find(wanted.casefold()) >= 0,
    }[op]()
