"""Images with properties, tags, locations and members; uploads in flight."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = 'g2026_1_expand01'
down_revision = None
branch_labels = ('expand',)
depends_on = None

INDEXED_CHARACTERS = 191  # of a property's value; longer keys do not fit into an index


def text(length):
    return sa.String(length).with_variant(sa.String(length, collation='C'), 'postgresql')


def long_text():
    return sa.Text().with_variant(sa.Text(collation='C'), 'postgresql')


def moment():
    return sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')


def row_id():
    return sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), primary_key=True, autoincrement=True)


def image_id():
    return sa.Column('image_id', text(36), sa.ForeignKey('images.id'), nullable=False)


def times():
    return [sa.Column('created_at', moment(), nullable=False), sa.Column('updated_at', moment(), nullable=False),
            sa.Column('deleted_at', moment()), sa.Column('deleted', sa.Boolean(), nullable=False)]


def tables():
    """Columns and unique keys by table, parents first."""
    return {
        'images': [
            sa.Column('id', text(36), primary_key=True),
            sa.Column('status', text(30), nullable=False),
            sa.Column('visibility', text(30), nullable=False),
            sa.Column('name', text(255)),
            sa.Column('owner', text(255)),
            sa.Column('protected', sa.Boolean(), nullable=False),
            sa.Column('os_hidden', sa.Boolean(), nullable=False),
            sa.Column('container_format', text(20)),
            sa.Column('disk_format', text(20)),
            sa.Column('min_disk', sa.Integer(), nullable=False),
            sa.Column('min_ram', sa.Integer(), nullable=False),
            sa.Column('size', sa.BigInteger()),
            sa.Column('virtual_size', sa.BigInteger()),
            sa.Column('checksum', text(32)),
            sa.Column('os_hash_algo', text(64)),
            sa.Column('os_hash_value', text(128)),
            *times(),
            sa.Column('version', sa.BigInteger(), nullable=False),
            sa.Column('name_folded', long_text())],
        'image_properties': [
            row_id(), image_id(),
            sa.Column('name', text(255), nullable=False),
            sa.Column('value', long_text(), nullable=False),
            *times(),
            sa.UniqueConstraint('image_id', 'name', name='uq_image_properties_image_id_name')],
        'image_tags': [
            row_id(), image_id(),
            sa.Column('value', text(255), nullable=False),
            *times(),
            sa.UniqueConstraint('image_id', 'value', name='uq_image_tags_image_id_value')],
        'image_locations': [
            row_id(), image_id(),
            sa.Column('value', long_text(), nullable=False),
            sa.Column('meta_data', sa.Text()),
            sa.Column('status', text(30), nullable=False),
            *times(),
            sa.Column('store', text(255)),
            sa.Column('upload_id', text(36))],
        'image_members': [
            row_id(), image_id(),
            sa.Column('member', text(255), nullable=False),
            sa.Column('can_share', sa.Boolean(), nullable=False),
            sa.Column('status', text(20), nullable=False),
            *times(),
            sa.UniqueConstraint('image_id', 'member', name='uq_image_members_image_id_member')],
        'image_uploads': [
            sa.Column('id', text(36), primary_key=True),
            image_id(),
            sa.Column('image_status', text(30), nullable=False),
            sa.Column('node', text(255), nullable=False),
            sa.Column('store', text(255), nullable=False),
            sa.Column('owner', text(255)),
            sa.Column('url', long_text()),
            sa.Column('reserved', sa.BigInteger(), nullable=False),
            sa.Column('started_at', moment(), nullable=False),
            sa.Column('heartbeat_at', moment(), nullable=False),
            sa.UniqueConstraint('image_id', name='uq_image_uploads_image_id')],
        'project_locks': [sa.Column('owner', text(255), primary_key=True)],
    }


#: (table, index, columns). Those of images begin with what a branch of a list fixes and go on with a sort key; see
#: image_list.py. ``name`` and ``size`` may be NULL, which sorts first, in the index too. No index begins with
#: ``deleted``: nearly every row has the same value, and a planner without statistics would take it all the same.
INDEXES = (
    ('images', 'ix_images_visibility_created', ('visibility', 'deleted', 'os_hidden', 'created_at', 'id')),
    ('images', 'ix_images_visibility_updated', ('visibility', 'deleted', 'os_hidden', 'updated_at', 'id')),
    ('images', 'ix_images_visibility_name', ('visibility', 'deleted', 'os_hidden', 'name', 'created_at', 'id')),
    ('images', 'ix_images_visibility_size', ('visibility', 'deleted', 'os_hidden', 'size', 'created_at', 'id')),
    ('images', 'ix_images_owner_created', ('owner', 'deleted', 'os_hidden', 'created_at', 'id')),
    ('images', 'ix_images_name', ('name',)),
    ('images', 'ix_images_owner_size', ('owner', 'deleted', 'size', 'id')),
    ('images', 'ix_images_checksum', ('checksum',)),
    ('images', 'ix_images_os_hash_value', ('os_hash_value',)),
    ('images', 'ix_images_deleted_at', ('deleted_at',)),
    ('image_properties', 'ix_image_properties_name_value', ('name', 'value', 'image_id')),
    ('image_properties', 'ix_image_properties_deleted_at', ('deleted_at',)),
    ('image_tags', 'ix_image_tags_value', ('value', 'image_id')),
    ('image_tags', 'ix_image_tags_deleted_at', ('deleted_at',)),
    ('image_locations', 'ix_image_locations_image_id', ('image_id', 'status')),
    ('image_locations', 'ix_image_locations_status', ('status', 'deleted_at', 'id')),
    ('image_locations', 'ix_image_locations_deleted_at', ('deleted_at',)),
    ('image_locations', 'ix_image_locations_upload_id', ('upload_id',)),
    ('image_members', 'ix_image_members_member', ('member', 'deleted', 'status', 'image_id')),
    ('image_members', 'ix_image_members_deleted_at', ('deleted_at',)),
    ('image_uploads', 'ix_image_uploads_owner', ('owner',)),
    ('image_uploads', 'ix_image_uploads_heartbeat_at', ('heartbeat_at',)),
)

#: Where an index differs: NULLs sort last on PostgreSQL unless told; long values do not fit into an index.
POSTGRESQL_COLUMNS = {
    'ix_images_visibility_name': {'name': 'name NULLS FIRST'},
    'ix_images_visibility_size': {'size': 'size NULLS FIRST'},
    'ix_image_properties_name_value': {'value': f'"left"(value, {INDEXED_CHARACTERS})'},
}
MYSQL_LENGTHS = {'ix_image_properties_name_value': {'name': 100, 'value': INDEXED_CHARACTERS}}


def upgrade():
    """Make what is not there: MySQL cannot undo a migration that was interrupted."""
    connection = op.get_bind()
    inspector = sa.inspect(connection)
    known = set(inspector.get_table_names())
    mysql_options = {'mysql_engine': 'InnoDB', 'mysql_charset': 'utf8mb4', 'mysql_collate': collation(connection),
                     'mysql_row_format': 'DYNAMIC'}
    for name, columns in tables().items():
        if name not in known:
            # AUTOINCREMENT: SQLite would otherwise give the id of a removed row to another one later.
            op.create_table(name, *columns, sqlite_autoincrement=columns[0].autoincrement is True,
                            **mysql_options, **{
                option.replace('mysql_', 'mariadb_'): value for option, value in mysql_options.items()})
    for table, index, columns in INDEXES:
        if index in {one['name'] for one in inspector.get_indexes(table)} if table in known else ():
            continue
        if connection.dialect.name == 'postgresql':
            changed = POSTGRESQL_COLUMNS.get(index, {})
            columns = [sa.text(changed[column]) if column in changed else column for column in columns]
        lengths = MYSQL_LENGTHS.get(index, {})
        op.create_index(index, table, columns, mysql_length=lengths, mariadb_length=lengths)


def collation(connection):
    """A collation of MySQL or MariaDB that compares by code point and does not ignore trailing spaces."""
    if getattr(connection.dialect, 'is_mariadb', False):
        return 'utf8mb4_nopad_bin'
    version = connection.dialect.server_version_info or ()
    return 'utf8mb4_0900_bin' if version >= (8, 0, 17) else 'utf8mb4_bin'
