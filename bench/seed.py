"""Fill a database with a catalogue: ``python -m bench.seed URL COUNT``. A million images take some minutes.

Rows go straight into the project's tables, in bulk as each database does it best. Indexes are dropped before and made
again behind. It is for databases of the bench alone: it does not look what else is in there.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import sys
import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from bench import catalogue
from glancelike import plugin
from glancelike.db_drivers.sqlalchemy import tables, values
from glancelike.db_drivers.sqlalchemy.driver import SqlalchemyDriver

_STEP = 5000  # images of a batch
_FILLED = (tables.images, *tables.CHILDREN)
#: Columns that rows of the catalogue have; ids of child rows are the database's.
_COLUMNS = {table: [column.name for column in table.c if table is tables.images or column.name != 'id']
            for table in _FILLED}

Rows = dict[str, list[tuple]]


def fill(url: str, count: int) -> bool:
    """Make the tables and rows, unless they are there. Returns whether there was something to do."""
    driver = SqlalchemyDriver(plugin.options_for(SqlalchemyDriver, connection=url))
    driver.create_schema()
    driver.close()
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            there = connection.execute(sa.select(sa.func.count()).select_from(tables.images)).scalar_one()
        if there == count:
            return False
        if there:
            raise RuntimeError(f'{engine.url!r} has {there} images, not {count} of a catalogue; give another database')
        with contextlib.closing(engine.raw_connection()) as connection:
            _fill(connection, engine.dialect.name, count)
    finally:
        engine.dispose()
    return True


def _fill(connection: Any, kind: str, count: int) -> None:
    cursor = connection.cursor()
    for statement in _BEFORE[kind]:
        cursor.execute(statement)
    indexes = _drop_indexes(cursor, kind)
    write = {'sqlite': _insert, 'postgresql': _copy}.get(kind, _insert)
    with multiprocessing.Pool(1) as pool:  # rows are made beside, while others are written
        ranges = [(start, min(start + _STEP, count)) for start in range(0, count, _STEP)]
        for batch in pool.imap(_rows, ranges):
            for table in _FILLED:
                write(cursor, kind, table, batch[table.name])
    for statement in indexes:
        cursor.execute(statement)
    connection.commit()
    if kind == 'postgresql':
        connection.driver_connection.autocommit = True
    for statement in _AFTER[kind]:
        cursor.execute(statement)
        cursor.fetchall() if cursor.description else None


# 1 GB of cache: the ids are random, so each row goes into another page of the unique keys.
_BEFORE = {'sqlite': ['PRAGMA synchronous=OFF', 'PRAGMA cache_size=-1000000', 'BEGIN'],
           'postgresql': ["SET session_replication_role = 'replica'", "SET maintenance_work_mem = '512MB'"],
           'mysql': ['SET unique_checks=0', 'SET foreign_key_checks=0']}
_NAMES = ', '.join(table.name for table in _FILLED)
# Statistics as a running server collects them by itself. SQLite never does.
_AFTER = {'sqlite': ['PRAGMA wal_checkpoint(TRUNCATE)'], 'postgresql': [f'VACUUM ANALYZE {_NAMES}'],
          'mysql': [f'ANALYZE TABLE {_NAMES}']}
for _kinds in (_BEFORE, _AFTER):
    _kinds['mariadb'] = _kinds['mysql']


def _rows(span: tuple[int, int]) -> Rows:
    """Rows of the images of a span, by table."""
    found: Rows = {table.name: [] for table in _FILLED}
    for i in range(*span):
        one = catalogue.image(i)
        properties, tags, members, location = (one.pop(name) for name in ('properties', 'tags', 'members', 'location'))
        times = {name: one[name].isoformat(' ', 'microseconds') for name in ('created_at', 'updated_at')}
        times['deleted_at'] = times['updated_at'] if one['deleted'] else None
        born, image_id = {**times, 'deleted': one['deleted']}, one['id']
        _add(found, tables.images, {**values.attribute_row(one), **born, 'version': 1})
        # what child rows repeat of their image, where the tables have it
        born['image_created_at'] = times['created_at']
        born['scope'] = None if one['deleted'] else 'public' if one['visibility'] == 'public' else one['owner']
        for name, value in properties.items():
            _add(found, tables.image_properties, {'image_id': image_id, 'name': name, 'value': value, **born})
        for tag in sorted(tags):
            _add(found, tables.image_tags, {'image_id': image_id, 'value': tag, **born})
        for member, status in members.items():
            _add(found, tables.image_members,
                 {'image_id': image_id, 'member': member, 'status': status, 'can_share': False, **born})
        if location:
            _add(found, tables.image_locations, {
                'image_id': image_id, 'value': location, 'meta_data': None, 'store': 'filesystem', 'upload_id': None,
                'status': 'deleted' if one['deleted'] else 'active', **born})
    return found


def _add(rows: Rows, table: sa.Table, row: dict[str, Any]) -> None:
    rows[table.name].append(tuple(map(row.get, _COLUMNS[table])))  # what came later may be empty


def _insert(cursor: Any, kind: str, table: sa.Table, rows: list[tuple]) -> None:
    mark = '?' if kind == 'sqlite' else '%s'
    names = _COLUMNS[table]
    cursor.executemany(f'INSERT INTO {table.name} ({", ".join(names)}) VALUES ({", ".join([mark] * len(names))})', rows)


def _copy(cursor: Any, kind: str, table: sa.Table, rows: list[tuple]) -> None:
    lines = ('\t'.join('\\N' if value is None else str(value).replace('\\', '\\\\') for value in row) for row in rows)
    cursor.copy_expert(f'COPY {table.name} ({", ".join(_COLUMNS[table])}) FROM STDIN',
                       io.StringIO('\n'.join(lines) + '\n'))


def _drop_indexes(cursor: Any, kind: str) -> list[str]:
    """Drop every index that is no key; returns the statements that make them. MariaDB builds them as fast with the
    rows, and needs some for foreign keys."""
    names = ', '.join(f"'{table.name}'" for table in _FILLED)
    if kind == 'sqlite':
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL "
                       f'AND tbl_name IN ({names})')
    elif kind == 'postgresql':
        cursor.execute('SELECT i.indexname, i.indexdef FROM pg_indexes i LEFT JOIN pg_constraint c '
                       f'ON c.conname = i.indexname WHERE i.tablename IN ({names}) AND c.oid IS NULL')
    else:
        return []
    found = cursor.fetchall()
    for name, _ in found:
        cursor.execute(f'DROP INDEX {name}')
    return [statement for _, statement in found]


def images(count: int, project: str, wanted: Any) -> Iterator[dict[str, Any]]:
    """Images of a catalogue of *count* that the project may see in a list without filters and that are wanted."""
    for i in range(count):
        one = catalogue.image(i)
        if (one['owner'] == project or one['visibility'] == 'public') and not (one['deleted'] or one['os_hidden']) \
                and wanted(one):
            yield one


if __name__ == '__main__':
    began = time.monotonic()
    made = fill(sys.argv[1], int(sys.argv[2]))
    print(f'{"made" if made else "was there"}: {sys.argv[2]} images, {time.monotonic() - began:.1f} s')
