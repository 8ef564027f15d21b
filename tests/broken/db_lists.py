"""Database drivers with one fault each, in lists."""

from __future__ import annotations

import dataclasses
import fnmatch

from glancelike.db_drivers.simple.driver import SimpleDriver
from glancelike.plugin import Filter, query


class NullsLastDriver(SimpleDriver):
    """Puts images without a value after all others in either direction, as some databases do by themselves."""

    def image_list(self, ctx, query):
        images = super().image_list(ctx, query)
        field = query.sort[0][0]
        return sorted(images, key=lambda image: getattr(image, field) is None)


class MarkerOffByOneDriver(SimpleDriver):
    """Begins the page with the marker instead of after it."""

    def image_list(self, ctx, query):
        page = super().image_list(ctx, query)
        everything = [] if query.marker is None else super().image_list(
            ctx, dataclasses.replace(query, marker=None, limit=None))
        marker = [image for image in everything if image.id == query.marker]
        return (marker + page)[:query.limit]


class ListsHiddenDriver(SimpleDriver):
    """Shows an administrator hidden images in every list."""

    def image_list(self, ctx, query):
        if ctx.is_admin and not query.os_hidden and query.marker is None and query.limit is None:
            return super().image_list(ctx, query) + super().image_list(
                ctx, dataclasses.replace(query, os_hidden=True))
        return super().image_list(ctx, query)


class ListsRejectedDriver(SimpleDriver):
    """Lists what a member has rejected when it asks for what it has accepted."""

    def image_list(self, ctx, query):
        if query.member_status == 'accepted' and query.limit is None and not ctx.is_admin:
            accepted = super().image_list(ctx, query)
            rejected = super().image_list(ctx, dataclasses.replace(query, member_status='rejected'))
            known = {image.id for image in accepted}
            return accepted + [image for image in rejected if image.id not in known]
        return super().image_list(ctx, query)


class LowerNotCasefoldDriver(SimpleDriver):
    """Compares lower-cased text, which folds less than casefold does."""

    def image_list(self, ctx, asked):
        return _with_filter(super(), ctx, asked, query.CONTAINS,
                            lambda name, text: text.lower() in name.lower())


class WildcardLeakDriver(SimpleDriver):
    """Hands a prefix to LIKE as it came: ``%`` and ``_`` match anything."""

    def image_list(self, ctx, asked):
        return _with_filter(super(), ctx, asked, query.PREFIX, _like)


class AnyTagDriver(SimpleDriver):
    """Takes several tag filters for a choice: one of them is enough."""

    def image_list(self, ctx, asked):
        wanted = {condition.value for condition in asked.filters if condition.kind == query.TAG}
        others = tuple(condition for condition in asked.filters if condition.kind != query.TAG)
        images = super().image_list(ctx, dataclasses.replace(asked, filters=others))
        return [image for image in images if not wanted or wanted & image.tags]


class CountsThePageDriver(SimpleDriver):
    """Counts the page instead of the whole list."""

    def image_count(self, ctx, query, at_most):
        return min(at_most, len(self.image_list(ctx, query)))


def _like(name: str, text: str) -> bool:
    pattern = ''.join({'%': '*', '_': '?', '*': '[*]', '?': '[?]', '[': '[[]'}.get(one, one) for one in text)
    return fnmatch.fnmatchcase(name, f'{pattern}*')


def _with_filter(driver, ctx, asked, op, holds):
    """The list with *holds* in the place of the driver's own idea of the operator."""
    def ours(condition: Filter) -> bool:
        return condition.op == op

    others = tuple(condition for condition in asked.filters if not ours(condition))
    images = driver.image_list(ctx, dataclasses.replace(asked, filters=others))
    return [image for image in images
            if all(image.name is not None and holds(image.name, condition.value)
                   for condition in asked.filters if ours(condition))]
