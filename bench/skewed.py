"""Fill a database with a catalogue that is hard on lists: ``python -m bench.skewed URL IMAGES``.

The database is made if need be, and holds images 0 to IMAGES - 1 afterwards; what it already has counts. Image *i* is
the same in every database, so a large catalogue begins with the small ones.

Skewed on purpose: HALF owns every second image and none of them is public; 300 projects share the rest; PARTNER
owns nothing and is a member of 5 % of all images. Every tenth image is called ``golden``, every image has the property
``managed=yes``, 40 % have ``internal=true``, and HALF alone sees those; ``batch`` has values of 0.5 % each, ``team`` of
0.1 %, ``serial`` is unique. Up to six tags of sixty each, common ones more often; ``secret`` is a tag of HALF alone.
"""

from __future__ import annotations

import datetime
import random
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from glancelike import plugin
from glancelike.db_drivers.sqlalchemy import tables
from glancelike.db_drivers.sqlalchemy.driver import SqlalchemyDriver

HALF, PARTNER = 'half', 'partner'
PROJECTS = [f'{number:032x}' for number in range(300)]
START = datetime.datetime(2024, 1, 1)
AT_ONCE = 5000
_NAMESPACE = uuid.UUID('3f0cf8c9-12a8-4c88-9a31-5b3c7c1f1a55')


def image_id(number: int) -> str:
    return str(uuid.uuid5(_NAMESPACE, str(number)))


def moment(number: int) -> datetime.datetime:
    """When the image was made: three share every second."""
    return START + datetime.timedelta(seconds=number // 3 * 47)


def rows(number: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """(table, values) of one image, the image first."""
    some = random.Random(number)
    internal = number % 2 == 0 and some.random() < 0.8
    owner = HALF if number % 2 == 0 else PROJECTS[some.randrange(300)]
    visibility = some.choices(('private', 'shared', 'public', 'community'), (48, 30, 0 if owner == HALF else 20, 5))[0]
    status = some.choices(('active', 'queued', 'deactivated'), (97, 2.5, 0.5))[0]
    size = None if status == 'queued' else int(some.expovariate(1 / 2e9))
    created = moment(number)
    name = 'golden' if number % 10 == 3 else f'build {number // 7} of {some.choice(("linux", "Windows", "solaris"))}'
    times = {'created_at': created, 'updated_at': created + datetime.timedelta(seconds=some.randrange(10**6)),
             'deleted_at': None, 'deleted': False}
    uuid_ = image_id(number)
    yield 'images', {
        'id': uuid_, 'status': status, 'visibility': visibility, 'name': name, 'owner': owner, 'protected': False,
        'os_hidden': some.random() < 0.01, 'container_format': 'ova' if number % 97 == 0 else 'bare',
        'disk_format': some.choice(('qcow2', 'qcow2', 'qcow2', 'raw', 'iso', None)), 'min_disk': 0, 'min_ram': 0,
        'size': size, 'virtual_size': size, 'checksum': size and f'{size:032x}', 'os_hash_algo': size and 'sha256',
        'os_hash_value': size and f'{number // 50:064x}', **times, 'version': 1, 'name_folded': name.casefold()}
    listed = {'image_id': uuid_, **times, 'scope': tables.PUBLIC if visibility == 'public' else owner,
              'image_created_at': created}
    properties = {'managed': 'yes', 'batch': f'b{some.randrange(200)}', 'team': f't{some.randrange(1000)}',
                  'serial': f's{number}', 'arch': some.choice(('x86_64', 'x86_64', 'aarch64')),
                  'internal': 'true' if internal else 'no'}
    for key, value in properties.items():
        yield 'image_properties', {'name': key, 'value': value, **listed}
    tags = {f'tag{int(60 * some.random() ** 2)}' for _ in range(6)} | ({'secret'} if internal else set())
    for tag in tags:
        yield 'image_tags', {'value': tag, **listed}
    if size is not None:
        yield 'image_locations', {'image_id': uuid_, 'value': f'file:///none/{uuid_}', 'meta_data': None,
                                  'status': 'active', **times, 'store': 'disk', 'upload_id': None}
    if visibility == 'shared':
        members = {PROJECTS[some.randrange(300)]} | ({PARTNER} if some.random() < 0.17 else set())
        for member in members - {owner}:
            yield 'image_members', {
                'image_id': uuid_, 'member': member, 'can_share': False, **times, 'image_created_at': created,
                'status': some.choice(('accepted', 'accepted', 'accepted', 'accepted', 'pending', 'rejected'))}


def fill(driver: SqlalchemyDriver, images: int) -> None:
    """Add what is missing of the first *images* images, without the indexes while that is quicker."""
    driver.create_schema()
    engine = driver._database.engine
    with engine.connect() as connection:
        present = connection.execute(sa.select(sa.func.count()).select_from(tables.images)).scalar_one()
        indexes = _indexes(connection) if images - present > 20_000 else {}
        for name in indexes:
            connection.exec_driver_sql(f'DROP INDEX {name}')
        if engine.dialect.name == 'mysql':
            connection.exec_driver_sql('SET unique_checks = 0, foreign_key_checks = 0')
        connection.commit()
        for start in range(present, images, AT_ONCE):
            batch: dict[str, list[dict[str, Any]]] = {}
            for number in range(start, min(start + AT_ONCE, images)):
                for table, values in rows(number):
                    batch.setdefault(table, []).append(values)
            for table, several in batch.items():
                connection.execute(sa.insert(tables.METADATA.tables[table]).inline(), several)
            connection.commit()
        for statement in indexes.values():
            connection.exec_driver_sql(statement.replace('%', '%%') if engine.dialect.name != 'sqlite' else statement)
        connection.commit()
    analyze(engine)


def _indexes(connection: sa.Connection) -> dict[str, str]:
    """Indexes by name, each with the statement that makes it again."""
    statement = {'sqlite': "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql LIKE 'CREATE INDEX%'",
                 'postgresql': "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() "
                               "AND indexdef LIKE 'CREATE INDEX%%'"}.get(connection.dialect.name)
    return dict(connection.exec_driver_sql(statement).tuples().all()) if statement else {}


def analyze(engine: sa.Engine) -> None:
    """Statistics, where the server would make them by itself; SQLite never does."""
    with engine.connect().execution_options(isolation_level='AUTOCOMMIT') as connection:
        if engine.dialect.name == 'postgresql':
            connection.exec_driver_sql('VACUUM ANALYZE')
        elif engine.dialect.name == 'mysql':
            connection.exec_driver_sql(
                'ANALYZE TABLE images, image_properties, image_tags, image_locations, image_members').all()


def open_driver(url: str) -> SqlalchemyDriver:
    """A driver on that database; power cuts may lose what is seeded."""
    return SqlalchemyDriver(plugin.options_for(SqlalchemyDriver, connection=url, sqlite_synchronous=False))


if __name__ == '__main__':
    fill(open_driver(sys.argv[1]), int(sys.argv[2]))
