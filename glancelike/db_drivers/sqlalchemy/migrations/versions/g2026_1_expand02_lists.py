"""An index for every order of a list in every branch, and what rows of properties, tags and members are listed by."""

import logging

import sqlalchemy as sa
from alembic import op
from oslo_db import exception as db_exception
from sqlalchemy.dialects import mysql

from glancelike.db_drivers.sqlalchemy.migrations.data import listed

revision = 'g2026_1_expand02'
down_revision = 'g2026_1_expand01'
branch_labels = None
depends_on = None

LOG = logging.getLogger(__name__)
INDEXED_CHARACTERS = 191  # of a property's value; longer keys do not fit into an index
SCOPE_CHARACTERS = 64     # of an owner: an index entry of PostgreSQL may have 2,704 bytes

#: What a branch of a list fixes, by its word in the names of indexes.
BRANCHES = {'visibility': ('visibility', 'deleted', 'os_hidden'),
            'owner': ('owner', 'visibility', 'deleted', 'os_hidden')}
#: Each sort key with the keys that make the order total.
ORDERS = {'created_at': ('created_at', 'id'), 'id': ('id',), **{
    key: (key, 'created_at', 'id')
    for key in ('updated_at', 'name', 'size', 'status', 'disk_format', 'container_format')}}
NULLABLE = ('name', 'size', 'disk_format', 'container_format')


def moment():
    return sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')


def scope():
    return sa.String(SCOPE_CHARACTERS).with_variant(sa.String(SCOPE_CHARACTERS, collation='C'), 'postgresql')


COLUMNS = {'image_properties': {'scope': scope, 'image_created_at': moment},
           'image_tags': {'scope': scope, 'image_created_at': moment},
           'image_members': {'image_created_at': moment}}


#: Rows that lists pass over stay out of the indexes where the database can do that: deleting an image then only
#: removes entries. MySQL keeps them apart by a column.
LISTED = {'images': sa.column('deleted') == sa.false(), 'image_properties': sa.column('scope').is_not(None),
          'image_tags': sa.column('scope').is_not(None)}


def indexes(database):
    """(table, index, columns) as *database* wants them."""
    postgresql, mysql = database == 'postgresql', database in ('mysql', 'mariadb')
    for word, fixed in BRANCHES.items():
        for key, order in ORDERS.items():
            yield 'images', f'ix_images_{word}_by_{key}', [
                sa.text(f'{column} NULLS FIRST') if postgresql and column in NULLABLE else column
                for column in (*fixed, *order) if mysql or column != 'deleted']
    value = sa.text(f'"left"(value, {INDEXED_CHARACTERS})') if postgresql else 'value'
    listed_by = ['scope', 'image_created_at', 'image_id']
    yield 'image_properties', 'ix_image_properties_listed', ['name', value, *listed_by]
    yield 'image_tags', 'ix_image_tags_listed', ['value', *listed_by]
    yield 'image_members', 'ix_image_members_listed', ['member', 'deleted', 'status', 'image_created_at', 'image_id']


def upgrade():
    """Make what is not there: MySQL cannot undo a migration that was interrupted."""
    connection = op.get_bind()
    inspector = sa.inspect(connection)
    for table, columns in COLUMNS.items():
        known = {column['name'] for column in inspector.get_columns(table)}
        for name, make_type in columns.items():
            if name not in known:
                op.add_column(table, sa.Column(name, make_type()))
    listed.migrate(connection)
    known = {index['name'] for table in ('images', *COLUMNS) for index in inspector.get_indexes(table)}
    for table, index, columns in indexes(connection.dialect.name):
        if index not in known:
            lengths = {'value': INDEXED_CHARACTERS} if table == 'image_properties' else {}
            listed_only = LISTED.get(table)
            op.create_index(index, table, columns, mysql_length=lengths, mariadb_length=lengths,
                            sqlite_where=listed_only, postgresql_where=listed_only)
    if connection.dialect.name == 'postgresql' and 'ix_images_name_trigrams' not in known:
        make_trigrams(connection)


def make_trigrams(connection):
    """An index for parts of names; the extension is part of PostgreSQL's contrib package and may be missing."""
    try:
        with connection.begin_nested():
            connection.exec_driver_sql('CREATE EXTENSION IF NOT EXISTS pg_trgm')
            connection.exec_driver_sql(
                'CREATE INDEX ix_images_name_trigrams ON images USING gin (name_folded gin_trgm_ops)')
    except (sa.exc.DBAPIError, db_exception.DBError) as error:
        LOG.warning('Searching for parts of names will read all names that the caller sees: no extension pg_trgm (%s). '
                    'To have it later: CREATE EXTENSION pg_trgm; CREATE INDEX ix_images_name_trigrams ON images USING '
                    'gin (name_folded gin_trgm_ops);', str(error).partition('\n')[0])
