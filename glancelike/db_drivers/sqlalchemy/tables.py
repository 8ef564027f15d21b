"""The tables, as the queries see them.

``migrations/`` makes them, with their indexes and unique keys, which therefore stand there only. A test compares
the columns of both.

Names and columns of images, image_properties, image_tags, image_locations and image_members are those an
operator knows from Glance. Ours: ``images.version``, ``images.name_folded``, ``images.import_state``,
``image_locations.store``, ``upload_id`` and ``position``, ``scope`` and ``image_created_at`` of child rows, and the
tables ``image_uploads``, ``tasks`` and ``project_locks``.

``scope`` and ``image_created_at`` repeat what a list needs of a row's image, so that an index gives the images with a
property in the order of the default list without those that the caller does not see: ``scope`` is PUBLIC, or the
beginning of the owner, or NULL while the image is deleted. Whoever changes an image's visibility or owner, deletes or
restores it changes its rows (``rows.place``).

A location that is ``pending_delete`` was either deleted together with its image, and then has the same ``deleted_at``,
or given up before or after that, and then has another: a write moves the image's time, so no two are equal.
Locations come in the order of ``position``, then those without one, by id: an order that was asked for is written down
(``locations_set``), and what is added later follows.

Text compares byte for byte: collation "C" on PostgreSQL, a binary one on MySQL and MariaDB (chosen by the
migration), SQLite's own default. Times are UTC, naive, with microseconds.
"""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()

PUBLIC = 'public'
SCOPE_CHARACTERS = 64  # of the owner, so that an entry fits into an index of PostgreSQL


def text(length: int) -> sa.types.TypeEngine:
    """Text of at most *length* characters that sorts by code point."""
    return sa.String(length).with_variant(sa.String(length, collation='C'), 'postgresql')


def moment() -> sa.types.TypeEngine:
    """A time with microseconds (the migration says so to MySQL)."""
    return sa.DateTime()


def row_id() -> sa.Column:
    # SQLite makes a table's own row id of an INTEGER key only.
    return sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), primary_key=True, autoincrement=True)


def image_id() -> sa.Column:
    return sa.Column('image_id', text(36), sa.ForeignKey('images.id'), nullable=False)


def times() -> list[sa.Column]:
    """Columns that every kind of row of an image has; ``deleted`` follows the image's own."""
    return [sa.Column('created_at', moment(), nullable=False), sa.Column('updated_at', moment(), nullable=False),
            sa.Column('deleted_at', moment()), sa.Column('deleted', sa.Boolean(), nullable=False)]


def listed_by() -> list[sa.Column]:
    """What a row repeats of its image; see above."""
    return [sa.Column('scope', text(SCOPE_CHARACTERS)), sa.Column('image_created_at', moment())]


images = sa.Table(
    'images', METADATA,
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
    sa.Column('name_folded', sa.Text()),
    sa.Column('import_state', sa.Text()),
)

image_properties = sa.Table(
    'image_properties', METADATA,
    row_id(), image_id(),
    sa.Column('name', text(255), nullable=False),
    sa.Column('value', sa.Text(), nullable=False),
    *times(), *listed_by(),
)

image_tags = sa.Table(
    'image_tags', METADATA,
    row_id(), image_id(),
    sa.Column('value', text(255), nullable=False),
    *times(), *listed_by(),
)

image_locations = sa.Table(
    'image_locations', METADATA,
    row_id(), image_id(),
    sa.Column('value', sa.Text(), nullable=False),
    sa.Column('meta_data', sa.Text()),
    sa.Column('status', text(30), nullable=False),
    *times(),
    sa.Column('store', text(255)),
    sa.Column('upload_id', text(36)),
    sa.Column('position', sa.Integer()),
)

image_members = sa.Table(
    'image_members', METADATA,
    row_id(), image_id(),
    sa.Column('member', text(255), nullable=False),
    sa.Column('can_share', sa.Boolean(), nullable=False),
    sa.Column('status', text(20), nullable=False),
    *times(),
    sa.Column('image_created_at', moment()),
)

#: One row for each upload that is not settled: the writer's lease and its reservation of storage.
image_uploads = sa.Table(
    'image_uploads', METADATA,
    sa.Column('id', text(36), primary_key=True),
    image_id(),
    sa.Column('image_status', text(30), nullable=False),
    sa.Column('node', text(255), nullable=False),
    sa.Column('store', text(255), nullable=False),
    sa.Column('owner', text(255)),
    sa.Column('url', sa.Text()),
    sa.Column('reserved', sa.BigInteger(), nullable=False),
    sa.Column('started_at', moment(), nullable=False),
    sa.Column('heartbeat_at', moment(), nullable=False),
    sa.Column('task_id', text(36)),
)

#: Tasks outlive the images that they are about, and may be removed before them: no foreign keys.
tasks = sa.Table(
    'tasks', METADATA,
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
    sa.Column('expires_at', moment()),
)

#: A row to lock while a project's use of storage is added up; '' stands for images without an owner.
project_locks = sa.Table('project_locks', METADATA, sa.Column('owner', text(255), primary_key=True))

#: Kinds of rows that belong to an image and are soft-deleted with it.
CHILDREN = (image_properties, image_tags, image_members, image_locations)
