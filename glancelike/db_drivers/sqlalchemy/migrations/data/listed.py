"""What rows of properties, tags and members repeat of their image, so that lists can be read from them.

A service of the release before writes rows without it; so this is done with the expansion, which serves all rows
until then, and once more when no such service is left. The contraction removes an index by which that is known.
"""

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
    """May there be rows to change?"""
    return any(index['name'] == 'ix_image_tags_value' for index in sa.inspect(connection).get_indexes('image_tags'))


def migrate(connection: sa.Connection) -> int:
    """Bring the rows in line with their images; return how many changed."""
    scope = sa.case((images.c.deleted == sa.true(), sa.null()), (images.c.visibility == 'public', PUBLIC),
                    else_=sa.func.substr(sa.func.coalesce(images.c.owner, ''), 1, SCOPE_CHARACTERS))
    wanted = {'scope': scope, 'image_created_at': images.c.created_at}
    changed = 0
    for table in (image_properties, image_tags, image_members):
        values = {table.c[name]: sa.select(value).where(images.c.id == table.c.image_id).scalar_subquery()
                  for name, value in wanted.items() if name in table.c}
        other = sa.or_(*(column.is_distinct_from(value) for column, value in values.items()))
        changed += connection.execute(sa.update(table).where(other).values(values)).rowcount
    return changed
