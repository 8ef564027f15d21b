"""Tasks, staged data, what an import leaves to be seen on its image, an order of locations that can be changed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = 'g2026_1_expand03'
down_revision = 'g2026_1_expand02'
branch_labels = None
depends_on = None


def text(length):
    return sa.String(length).with_variant(sa.String(length, collation='C'), 'postgresql')


def moment():
    return sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')


#: All may be NULL, and services of the release before write nothing into them.
COLUMNS = (('images', 'import_state', sa.Text), ('image_locations', 'position', sa.Integer),
           ('image_uploads', 'task_id', lambda: text(36)))


def tasks():
    return [
        sa.Column('id', text(36), primary_key=True),
        sa.Column('type', text(30), nullable=False),
        sa.Column('status', text(30), nullable=False),
        sa.Column('owner', text(255)),
        sa.Column('user_id', text(255)),
        sa.Column('request_id', text(255)),
        sa.Column('image_id', text(36)),
        sa.Column('input', sa.Text(), nullable=False),
        sa.Column('result', sa.Text()),
        sa.Column('message', sa.Text(), nullable=False),
        sa.Column('caller', sa.Text(), nullable=False),
        sa.Column('secret', sa.Text()),
        sa.Column('step', text(255), nullable=False),
        sa.Column('bytes_done', sa.BigInteger(), nullable=False),
        sa.Column('bytes_total', sa.BigInteger()),
        sa.Column('rate', sa.BigInteger()),
        sa.Column('cancelled', sa.Boolean(), nullable=False),
        sa.Column('attempts', sa.Integer(), nullable=False),
        sa.Column('created_at', moment(), nullable=False),
        sa.Column('updated_at', moment(), nullable=False),
        sa.Column('expires_at', moment())]


#: The lists of an owner, of everybody and of an image by time; tasks that nobody works at; tasks that may go.
INDEXES = (
    ('tasks', 'ix_tasks_owner_created_at', ('owner', 'created_at', 'id')),
    ('tasks', 'ix_tasks_created_at', ('created_at', 'id')),
    ('tasks', 'ix_tasks_image_id', ('image_id', 'created_at', 'id')),
    ('tasks', 'ix_tasks_status', ('status', 'updated_at', 'id')),
    ('tasks', 'ix_tasks_expires_at', ('expires_at', 'id')),
    ('image_uploads', 'ix_image_uploads_task_id', ('task_id',)),
)


def upgrade():
    """Make what is not there: MySQL cannot undo a migration that was interrupted."""
    connection = op.get_bind()
    inspector = sa.inspect(connection)
    for table, name, make_type in COLUMNS:
        if name not in {column['name'] for column in inspector.get_columns(table)}:
            op.add_column(table, sa.Column(name, make_type()))
    if not inspector.has_table('tasks'):
        options = {'engine': 'InnoDB', 'charset': 'utf8mb4', 'collate': collation(connection), 'row_format': 'DYNAMIC'}
        op.create_table('tasks', *tasks(), **{
            f'{database}_{option}': value for database in ('mysql', 'mariadb') for option, value in options.items()})
    inspector = sa.inspect(connection)
    for table, index, columns in INDEXES:
        if index not in {one['name'] for one in inspector.get_indexes(table)}:
            op.create_index(index, table, columns)


def collation(connection):
    """A collation of MySQL or MariaDB that compares by code point and does not ignore trailing spaces."""
    if getattr(connection.dialect, 'is_mariadb', False):
        return 'utf8mb4_nopad_bin'
    version = connection.dialect.server_version_info or ()
    return 'utf8mb4_0900_bin' if version >= (8, 0, 17) else 'utf8mb4_bin'
