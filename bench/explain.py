"""How a database answers lists of a large catalogue: ``python -m bench.explain URL IMAGES``.

Fills the database with the catalogue of ``bench/skewed.py``, lets the driver make its lists, and prints each list's
statements with the plans that the database chooses and the work that they take:

* SQLite: instructions of its virtual machine, in hundreds
* PostgreSQL: pages touched (shared hit and read, of EXPLAIN ANALYZE)
* MariaDB: rows read (Handler_read...)

These do not depend on how busy the machine is, so that two sizes of a catalogue can be compared. A statement is shown
where it is sent first. ``--plans none`` prints the table of work alone. ``bench/plans/`` has reports.
"""

from __future__ import annotations

import argparse
import datetime
import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import event

from bench import skewed as seed
from glancelike.plugin import Filter, ImageQuery, RequestContext, query

EXPLAIN = {'sqlite': 'EXPLAIN QUERY PLAN ', 'mysql': 'EXPLAIN ',
           'postgresql': 'EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) '}
LIMIT = 20
CALLERS = {'project': RequestContext(project_id=seed.PROJECTS[7]), 'half': RequestContext(project_id=seed.HALF),
           'partner': RequestContext(project_id=seed.PARTNER),
           'admin': RequestContext(project_id=seed.PROJECTS[9], is_admin=True)}


def order(key: str, direction: str = 'asc') -> tuple[tuple[str, str], ...]:
    keys = {key: direction, 'created_at': direction, 'id': direction}
    return ((key, direction),) if key == 'id' else tuple(keys.items())


def some_filters(images: int) -> dict[str, tuple[Filter, ...]]:
    def attribute(field: str, value: Any, op: str = query.EQ) -> Filter:
        return Filter(field, op, value)

    def has(name: str, value: str) -> Filter:
        return Filter(name, query.EQ, value, query.PROPERTY)

    def tag(value: str) -> Filter:
        return Filter('', query.EQ, value, query.TAG)

    late = seed.moment(images - 150).replace(tzinfo=datetime.UTC)
    return {
        'name': (attribute('name', 'build 50 of linux'),), 'name of 10 %': (attribute('name', 'golden'),),
        'no such name': (attribute('name', 'none'),), 'prefix': (attribute('name', 'build 9', query.PREFIX),),
        'contains': (attribute('name', 'LINUX', query.CONTAINS),),
        'contains nothing': (attribute('name', 'none', query.CONTAINS),),
        'unique property': (has('serial', 's501'),), 'property of all': (has('managed', 'yes'),),
        'property of 1/3': (has('arch', 'aarch64'),), 'property of 0.5 %': (has('batch', 'b17'),),
        'property of others': (has('internal', 'true'),), 'no such property': (has('arch', 'vax'),),
        'two properties': (has('arch', 'aarch64'), has('batch', 'b17')),
        'tag': (tag('tag7'),), 'two tags': (tag('tag7'), tag('tag58')), 'tag of others': (tag('secret'),),
        'two tags of others': (tag('tag0'), tag('secret')),
        'status of most': (attribute('status', 'active'),), 'status of 0.5 %': (attribute('status', 'deactivated'),),
        'status of none': (attribute('status', 'saving'),),
        'size': (attribute('size', 3 * 10**9, query.GTE),), 'size of none': (attribute('size', 10**13, query.GTE),),
        'size range': (attribute('size', 10**9, query.GTE), attribute('size', 10**9 + 10**6, query.LTE)),
        'created lately': (attribute('created_at', late, query.GTE),),
        'updated lately': (attribute('updated_at', late, query.GTE),),
        'status and format': (attribute('status', 'queued'), attribute('disk_format', 'raw'))}


def cases(images: int) -> Iterator[tuple[str, RequestContext, ImageQuery]]:
    """(name, caller, query)"""
    filters = some_filters(images)
    for who, ctx in CALLERS.items():
        yield f'{who}: default', ctx, ImageQuery(limit=LIMIT)
        for key in query.SORT_KEYS:
            for direction in ('asc', 'desc'):
                yield f'{who}: by {key} {direction}', ctx, ImageQuery(limit=LIMIT, sort=order(key, direction))
        for name, wanted in filters.items():
            yield f'{who}: {name}', ctx, ImageQuery(limit=LIMIT, filters=wanted)
            for key in ('name', 'size'):
                yield f'{who}: {name}, by {key}', ctx, ImageQuery(limit=LIMIT, filters=wanted, sort=order(key))
        for visibility in ('public', 'private', 'shared', 'community', 'all'):
            yield f'{who}: visibility {visibility}', ctx, ImageQuery(limit=LIMIT, visibility=visibility)
        yield f'{who}: hidden', ctx, ImageQuery(limit=LIMIT, os_hidden=True)
        for status in ('pending', 'all'):
            yield f'{who}: member_status {status}', ctx, ImageQuery(
                limit=LIMIT, visibility='shared', member_status=status)


def later_pages(driver: seed.SqlalchemyDriver) -> Iterator[tuple[str, RequestContext, ImageQuery]]:
    for key, direction in (('created_at', 'desc'), ('name', 'asc')):
        sort = order(key, direction)
        for page in (50, 500):
            marker = None
            for _ in range(LIMIT * (page - 1) // 490):
                found = driver.image_list(CALLERS['half'], ImageQuery(limit=490, marker=marker, sort=sort))
                marker = found[-1].id if found else marker
            yield f'half: page {page} by {key}', CALLERS['half'], ImageQuery(limit=LIMIT, marker=marker, sort=sort)


class Watch:
    """What a driver sends, and what it costs the database."""

    def __init__(self, driver: seed.SqlalchemyDriver):
        self.kind, self._engine = driver._database.kind, driver._database.engine
        self.sent: list[tuple[str, Any]] = []
        self.steps = 0
        self._shown: set[str] = set()
        if self.kind == 'sqlite':
            event.listen(self._engine, 'checkout', self._count_steps)
        event.listen(self._engine, 'before_cursor_execute', self._note)

    def _count_steps(self, connection: Any, *_rest: Any) -> None:
        def step() -> None:
            self.steps += 1
        connection.set_progress_handler(step, 100)

    def _note(self, _connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if not statement.startswith('BEGIN'):
            self.sent.append((statement, parameters))

    def explained(self) -> tuple[int, list[str]]:
        """Work of the statements so far, and their plans."""
        sent, work, plans = self.sent, self.steps, []
        self.sent, self.steps = [], 0
        with self._engine.connect() as connection:
            cursor = connection.connection.cursor()
            for statement, parameters in sent:
                if self.kind == 'mysql':
                    before = _rows_read(cursor)
                    cursor.execute(statement, parameters)
                    cursor.fetchall()
                    work += _rows_read(cursor) - before
                cursor.execute(EXPLAIN[self.kind] + statement, parameters)
                lines = [_line(self.kind, row) for row in cursor.fetchall()]
                if self.kind == 'postgresql':
                    touched = next((line for line in lines if 'Buffers:' in line), '')
                    work += sum(int(pages) for pages in re.findall(r'(?:hit|read)=(\d+)', touched))
                if statement not in self._shown:  # the one for child rows is the same each time
                    text = re.sub(r'images\.id, images\.status, .*?images\.version', 'images.*', statement)
                    plans.append('\n'.join([re.sub(r'\s+', ' ', text), *('    ' + line[:160] for line in lines)]))
                self._shown.add(statement)
        self.sent, self.steps = [], 0
        return work, plans


def _rows_read(cursor: Any) -> int:
    cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read%'")
    return sum(int(value) for _, value in cursor.fetchall())


def _line(kind: str, row: Any) -> str:
    if kind != 'mysql':
        return str(row[-1])
    return ' | '.join('-' if value is None else str(value) for value in row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('url')
    parser.add_argument('images', type=int)
    parser.add_argument('--only', default='', help='a regular expression for the names of cases')
    parser.add_argument('--plans', choices=('all', 'default', 'none'), default='default',
                        help="whose plans are printed; 'default': those of the caller named project")
    arguments = parser.parse_args()
    driver = seed.open_driver(arguments.url)
    seed.fill(driver, arguments.images)
    wanted = [*cases(arguments.images), *later_pages(driver)]
    watch, plans = Watch(driver), []
    version = '.'.join(str(part) for part in driver._database.engine.dialect.server_version_info or ())
    print(f'{driver._database.kind} {version}, {arguments.images:,} images\n\n{"work":>8} {"images":>6}  list')
    for name, ctx, page in wanted:
        if re.search(arguments.only, name):
            watch.sent, watch.steps = [], 0
            found = driver.image_list(ctx, page)
            work, statements = watch.explained()
            print(f'{work:8,} {len(found):6}  {name}', flush=True)
            if arguments.plans == 'all' or (
                    arguments.plans == 'default' and name.startswith('project') and not name.endswith('by size')):
                plans += ['', '', name, '-' * len(name), *statements]
    print('\n'.join(plans))


if __name__ == '__main__':
    main()
