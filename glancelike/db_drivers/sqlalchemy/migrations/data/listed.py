"""What rows of properties, tags and members repeat of their image, so that lists can be read from them.

A service of the release before writes rows without it; so this is done with the expansion, which serves all rows
until then, and once more when no such service is left. The contraction removes an index by which that is known.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from glancelike.db_drivers.sqlalchemy.tables import (
    PUBLIC,
    SCOPE_CHARACTERS,
    image_members,
    image_properties,
    image_tags,
    images,
)


def pending(connection: sa.Connection) -> bool:
    """Are there rows to change? Looks at all of them, and at none once the contraction was run."""
    indexes = sa.inspect(connection).get_indexes('image_tags')
    return any(index['name'] == 'ix_image_tags_value' for index in indexes) and any(
        connection.execute(sa.select(sa.literal_column('1')).select_from(table).where(wrong).limit(1)).first()
        for table, _, wrong in _tables())


def migrate(connection: sa.Connection) -> int:
    """Bring the rows in line with their images; return how many changed."""
    return sum(connection.execute(sa.update(table).where(wrong).values(wanted)).rowcount
               for table, wanted, wrong in _tables())


def _tables() -> Iterator[tuple[sa.Table, dict[str, Any], sa.ColumnElement]]:
    """(table, what its columns should hold, the rows where they do not)"""
    scope = sa.case((images.c.deleted == sa.true(), sa.null()), (images.c.visibility == 'public', PUBLIC),
                    else_=sa.func.substr(sa.func.coalesce(images.c.owner, ''), 1, SCOPE_CHARACTERS))
    columns = {'scope': scope, 'image_created_at': images.c.created_at}
    for table in (image_properties, image_tags, image_members):
        wanted = {name: sa.select(value).where(images.c.id == table.c.image_id).correlate(table).scalar_subquery()
                  for name, value in columns.items() if name in table.c}
        yield table, wanted, sa.or_(*(table.c[name].is_distinct_from(value) for name, value in wanted.items()))
