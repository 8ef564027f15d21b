"""Without the indexes that only lists of the first revision read."""

import sqlalchemy as sa
from alembic import op

revision = 'g2026_1_contract02'
down_revision = 'g2026_1_contract01'
branch_labels = None
depends_on = ('g2026_1_expand02',)

INDEXES = {'images': ('ix_images_visibility_created', 'ix_images_visibility_updated', 'ix_images_visibility_name',
                      'ix_images_visibility_size', 'ix_images_owner_created', 'ix_images_name'),
           'image_properties': ('ix_image_properties_name_value',),
           'image_members': ('ix_image_members_member',),
           'image_tags': ('ix_image_tags_value',)}  # the last one: ``data/listed.py`` looks whether it is there


def upgrade():
    """Drop what is there: MySQL cannot undo a migration that was interrupted."""
    inspector = sa.inspect(op.get_bind())
    for table, names in INDEXES.items():
        known = {index['name'] for index in inspector.get_indexes(table)}
        for name in names:
            if name in known:
                op.drop_index(name, table_name=table)
