"""One page of a list of images, with rows that the caller may not see left out.

As long as nobody overrides the policy ``get_image``, the database's own rule of visibility is the whole answer and
no row is asked about. With an override each row is, and the page is filled up from the rows that follow, so that
``next`` is missing only where the list ends.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.core.protections import Protections
from glancelike.core.query import ListRequest
from glancelike.db_drivers import query as db_query
from glancelike.db_drivers.base import DbDriver
from glancelike.db_drivers.query import ImageQuery
from glancelike.model.image import Image

if TYPE_CHECKING:
    from glancelike.policies.enforcer import Enforcer

#: Fewest rows fetched at once while a page is filled up.
SMALLEST_BATCH = 100
#: Rows looked at for one page; then ``next`` goes on from the last of them, however short the page is.
MOST_ROWS = 20_000


@dataclasses.dataclass(frozen=True, slots=True)
class ImagePage:
    """What a list answers.

    :ivar next_marker: where the next page begins, or None at the end of the list
    :ivar total: number of images without the page when it was asked for, else None
    :ivar total_is_exact: False when counting stopped: there are *total* or more
    """

    images: list[Image]
    next_marker: str | None = None
    total: int | None = None
    total_is_exact: bool = True


class Pages:
    """Pages of what a caller sees.

    :param count_limit: the total is counted up to this many images
    """

    def __init__(self, db: DbDriver, enforcer: Enforcer, protections: Protections, count_limit: int):
        self._db = db
        self._enforcer = enforcer
        self._protections = protections
        self._count_limit = count_limit

    def page(self, ctx: RequestContext, request: ListRequest) -> ImagePage:
        """The page that *request* asks for.

        :raises InvalidMarker: the marker is no image that the caller sees
        """
        query = request.query
        if not self._findable(ctx, query):
            self._check_marker(ctx, query)
            return ImagePage([], total=0 if request.count else None)
        asked = not self._enforcer.is_default('get_image')
        images, next_marker = self._asked_page(ctx, query) if asked else self._plain_page(ctx, query)
        total, exact = None, True
        if request.count:
            total, exact = self._asked_count(ctx, query) if asked else self._plain_count(ctx, query)
        return ImagePage(self._protections.readable_all(ctx, images), next_marker, total, exact)

    def _findable(self, ctx: RequestContext, query: ImageQuery) -> bool:
        """False when a filter asks for a property that the caller may not read: it must find nothing."""
        return all(self._protections.may_filter(ctx, one.field) for one in query.filters
                   if one.kind == db_query.PROPERTY)

    def _check_marker(self, ctx: RequestContext, query: ImageQuery) -> None:
        """The answer to a bad marker is the same whether or not the database is asked for a page."""
        if query.marker is not None:
            self._db.image_list(ctx, dataclasses.replace(query, filters=(), limit=0))

    def _plain_page(self, ctx: RequestContext, query: ImageQuery) -> tuple[list[Image], str | None]:
        images = self._db.image_list(ctx, query)
        full = bool(images) and len(images) == query.limit
        return images, images[-1].id if full else None

    def _plain_count(self, ctx: RequestContext, query: ImageQuery) -> tuple[int, bool]:
        found = self._db.image_count(ctx, _unpaged(query), self._count_limit + 1)
        return min(found, self._count_limit), found <= self._count_limit

    # --- with an override of get_image -----------------------------------------------------------------------

    def _asked_page(self, ctx: RequestContext, query: ImageQuery) -> tuple[list[Image], str | None]:
        if query.limit == 0:
            return self._plain_page(ctx, query)
        kept: list[Image] = []
        for number, image in enumerate(self._rows(ctx, query, max(query.limit or 0, SMALLEST_BATCH)), start=1):
            if self._enforcer.allowed(ctx, 'get_image', image):
                kept.append(image)
            if len(kept) == query.limit or query.limit is not None and number == MOST_ROWS:
                return kept, image.id
        return kept, None

    def _asked_count(self, ctx: RequestContext, query: ImageQuery) -> tuple[int, bool]:
        rows = self._rows(ctx, _unpaged(query), 1000)
        seen = sum(1 for image in itertools.islice(rows, self._count_limit)
                   if self._enforcer.allowed(ctx, 'get_image', image))
        return seen, next(rows, None) is None

    def _rows(self, ctx: RequestContext, query: ImageQuery, batch: int) -> Iterator[Image]:
        """Every row from the marker on, *batch* rows in a statement.

        :raises InvalidMarker: the query's own marker is bad. One of ours, deleted while we walk, is not: the walk
            goes on from the row before it.
        """
        passed: list[str] = []
        while True:
            marker = passed[-1] if passed else query.marker
            try:
                rows = self._db.image_list(ctx, dataclasses.replace(query, marker=marker, limit=batch))
            except errors.InvalidMarker:
                if not passed:
                    raise
                passed.pop()
                continue
            yield from rows
            if len(rows) < batch:
                return
            passed = [row.id for row in rows]


def _unpaged(query: ImageQuery) -> ImageQuery:
    return dataclasses.replace(query, marker=None, limit=None)
