"""Lists: how many statements a page takes, which indexes they use, and values that no database can hold."""

import datetime

import fixtures

from glancelike.db_drivers.sqlalchemy import filters, image_list, page_sql
from glancelike.plugin import Filter, ImageChanges, ImageQuery, RequestContext, errors, query
from tests import base
from tests.servers import databases
from tests.unit.db_drivers.sqlalchemy.case import ADMIN, OWNER, PLACE, DriverCase

NEWEST = (('created_at', 'desc'), ('id', 'desc'))
NEWEST_BY_NAME = (('created_at', 'desc'), ('name', 'asc'), ('id', 'desc'))
BY_NAME = (('name', 'asc'), *NEWEST)
EXPLAIN = {'sqlite': 'EXPLAIN QUERY PLAN ', 'postgresql': 'EXPLAIN ', 'mysql': 'EXPLAIN '}


class Lists(DriverCase):
    """Ten images of the owner and ten public ones, five of them the owner's."""

    def setUp(self):
        super().setUp()
        for n in range(20):
            self.stored(name=f'image {n}', status='active', size=n, owner='owner' if n < 10 else f'project {n}',
                        visibility='public' if n >= 5 else 'private', tags=frozenset({'t', f't{n}'}),
                        properties={'p': 'common', 'q': str(n)}, locations=(PLACE,))

    def count_of(self, call):
        with self.statements() as sent:
            call()
        return len([statement for statement, _ in sent if not statement.startswith('BEGIN')])

    def test_the_number_of_statements_of_a_page_does_not_depend_on_its_size(self):
        marker = self.driver.image_list(OWNER, ImageQuery(limit=1))[0].id
        for ctx in (OWNER, ADMIN, RequestContext(project_id='other')):
            by_name = 3 if ctx.is_admin else 4  # the memberships of others are counted
            for fields, most in (({}, 2), ({'marker': marker}, 3), ({'sort': BY_NAME, 'marker': marker}, by_name),
                                 ({'filters': (Filter('p', 'eq', 'common', query.PROPERTY),)}, 3),
                                 ({'filters': (Filter('', 'eq', 't', query.TAG),)}, 3)):
                counts = [self.count_of(lambda ctx=ctx, fields=fields, limit=limit: self.driver.image_list(
                    ctx, ImageQuery(limit=limit, **fields))) for limit in (1, 10, None)]
                self.assertEqual([most] * 3, counts, fields)

    def test_one_image_takes_one_statement_or_two(self):
        image = self.stored(tags=frozenset('abc'), properties={'a': '1', 'b': '2'})
        self.assertEqual(2 if self.database.kind == 'postgresql' else 1,
                         self.count_of(lambda: self.driver.image_get(OWNER, image.id)))

    def test_a_reservation_and_usage_take_a_fixed_number_of_statements(self):
        lease = self.lease(self.stored())
        self.driver.upload_begin(OWNER, lease)
        self.driver.upload_reserve(lease.id, 1, 10**6)
        self.assertEqual(4, self.count_of(lambda: self.driver.upload_reserve(lease.id, 1, 10**6)))
        self.assertEqual(1, self.count_of(lambda: self.driver.usage('owner')))

    def test_every_branch_of_the_default_list_reads_an_index_in_its_order(self):
        """Also on later pages; SQLite and MariaDB by the plan itself, PostgreSQL when told not to sort."""
        marker = self.driver.image_list(OWNER, ImageQuery(limit=3))[2].id
        for fields in ({}, {'marker': marker}):
            with self.statements() as sent:
                self.driver.image_list(OWNER, ImageQuery(limit=2, **fields))
            plan = self.plan(*next(one for one in sent if 'UNION' in one[0]))
            for index in ('ix_images_visibility_by_created_at', 'ix_images_owner_by_created_at',
                          'ix_image_members_listed'):
                self.assertIn(index, plan)

    def test_few_candidates_are_looked_at_by_their_ids(self):
        """A property or tag that few images have is found by its index, not by walking the list."""
        for wanted in (Filter('q', 'eq', '7', query.PROPERTY), Filter('', 'eq', 't7', query.TAG)):
            with self.statements() as sent:
                found = self.driver.image_list(OWNER, ImageQuery(filters=(wanted,), limit=20))
            self.assertEqual(['image 7'], [image.name for image in found])
            self.assertFalse([statement for statement, _ in sent if 'seen' in statement], wanted)

    def bounds(self, **bounds):
        """Other bounds than those of page_sql.py and image_list.py, for the rest of the test."""
        for module in (page_sql, image_list):
            for name, value in bounds.items():
                self.useFixture(fixtures.MonkeyPatch(f'{module.__name__}.{name}', value))
        self.driver._prepare_lists()

    def test_every_way_finds_the_same_pages(self):
        """By the order, by a filter in order, gathered and picked; with and without a marker."""
        self.driver.member_add(ADMIN, self.stored(name='guest', owner='other', visibility='shared',
                                                  tags=frozenset('t'), properties={'p': 'common'}).id,
                               'owner', status='accepted')
        common, tag = Filter('p', 'eq', 'common', query.PROPERTY), Filter('', 'eq', 't', query.TAG)
        least, most = Filter('size', 'gte', 3), Filter('size', 'lte', 17)
        active = Filter('status', 'eq', 'active')
        for wanted in ((), (common,), (tag,), (common, tag), (least, most), (tag, least), (active,)):
            for sort in (NEWEST, BY_NAME, (('size', 'desc'), *NEWEST), (('id', 'asc'),), NEWEST_BY_NAME):
                for ctx in (OWNER, ADMIN, RequestContext(project_id='other')):
                    seen = []
                    for bounds in ({'FEW': 300}, {'FEW': 3}, {'FEW': 3, 'MANY': 3}, {'FEW': 3, 'MANY': 30}):
                        self.bounds(**bounds)
                        whole = self.driver.image_list(ctx, ImageQuery(filters=wanted, sort=sort))
                        paged, marker = [], None
                        while page := self.driver.image_list(
                                ctx, ImageQuery(filters=wanted, sort=sort, limit=6, marker=marker)):
                            paged += page
                            marker = page[-1].id
                        self.assertEqual(whole, paged, (wanted, sort, bounds))
                        seen.append([image.id for image in whole])
                    self.assertEqual([seen[0]] * 4, seen, (wanted, sort))

    def test_a_filter_that_nothing_visible_meets_ends_at_once(self):
        """Twenty images of another project have the tag; the caller's list is not searched for one."""
        for n in range(20):
            self.stored(owner='stranger', tags=frozenset({'theirs'}), name=str(n))
        self.bounds(FEW=3)
        with self.statements() as sent:
            self.assertEqual([], self.driver.image_list(OWNER, ImageQuery(
                filters=(Filter('', 'eq', 'theirs', query.TAG),), sort=BY_NAME, limit=5)))
        self.assertFalse([statement for statement, _ in sent if 'seen' in statement])

    def test_rows_follow_their_image(self):
        """A property is found wherever its image goes: to another owner, to the public, away and back."""
        image = self.stored(owner='a', visibility='private', properties={'mark': 'x'}, tags=frozenset({'mark'}))
        self.bounds(FEW=0)

        def seers():
            return [project for project in 'ab' for wanted in (Filter('mark', 'eq', 'x', query.PROPERTY),
                                                              Filter('', 'eq', 'mark', query.TAG))
                    if self.driver.image_list(RequestContext(project_id=project), ImageQuery(filters=(wanted,)))]
        self.assertEqual(['a', 'a'], seers())
        for changes, wanted in (({'visibility': 'public'}, 'aabb'), ({'owner': 'b', 'visibility': 'private'}, 'bb'),
                                ({'visibility': 'community'}, 'bb')):
            self.driver.image_update(ADMIN, image.id, ImageChanges(changes))
            self.assertEqual(list(wanted), seers())
        self.driver.image_delete(ADMIN, image.id)
        self.assertEqual([], seers())
        self.driver.image_restore(ADMIN, image.id, 'active')
        self.assertEqual(['b', 'b'], seers())

    def test_values_that_no_database_can_hold_match_nothing(self):
        nul, surrogate, huge = 'a\0b', '\ud800', 10**30
        for wanted in (Filter('name', 'eq', nul), Filter('name', 'in', (surrogate,)), Filter('owner', 'eq', surrogate),
                       Filter('name', 'prefix', nul), Filter('name', 'contains', surrogate),
                       Filter('', 'eq', nul, query.TAG), Filter('p', 'eq', surrogate, query.PROPERTY),
                       Filter(nul, 'eq', 'x', query.PROPERTY), Filter('size', 'eq', huge),
                       Filter('size', 'gte', huge), Filter('min_ram', 'lt', -huge)):
            for call in (self.driver.image_list, lambda ctx, query: [None] * self.driver.image_count(ctx, query, 9)):
                self.assertEqual([], call(OWNER, ImageQuery(filters=(wanted,))), wanted)
        self.assertEqual(20, len(self.driver.image_list(ADMIN, ImageQuery(filters=(Filter('size', 'lte', huge),)))))
        self.assertRaises(errors.InvalidMarker, self.driver.image_list, OWNER, ImageQuery(marker=nul))

    def test_the_first_and_last_moments_of_time_can_be_asked_for(self):
        zone = datetime.timezone(datetime.timedelta(hours=14))
        for moment, count in ((datetime.datetime.min.replace(tzinfo=zone), 20),
                              (datetime.datetime.max.replace(tzinfo=datetime.timezone(-zone.utcoffset(None))), 0)):
            found = self.driver.image_list(ADMIN, ImageQuery(filters=(Filter('created_at', 'gte', moment),)))
            self.assertEqual(count, len(found))

    def plan(self, statement, parameters):
        """The database's plan, as text."""
        with self.database.engine.connect() as connection:
            cursor = connection.connection.cursor()
            if self.database.kind == 'postgresql':  # a table so small would be read whole
                cursor.execute('SET enable_seqscan = off')
                cursor.execute('SET enable_sort = off')
            cursor.execute(EXPLAIN[self.database.kind] + statement, parameters)
            return '\n'.join(str(row) for row in cursor.fetchall())


class SqliteListsTest(Lists, databases.Sqlite, base.TestCase):
    """On a file."""


class PostgreSQLListsTest(Lists, databases.OnPostgreSQL, base.TestCase):
    """On PostgreSQL."""


class MariaDBListsTest(Lists, databases.OnMariaDB, base.TestCase):
    """On MariaDB."""


class PieceTest(base.TestCase):
    """How the order after a marker is cut."""

    def test_equal_directions_without_nulls_are_one_stretch_where_row_values_work(self):
        self.assertEqual((page_sql.Piece(0, 'rest'),), page_sql.pieces(NEWEST, (False, False), True))
        self.assertEqual((page_sql.Piece(0, 'beyond'), page_sql.Piece(1, 'beyond')),
                         page_sql.pieces(NEWEST, (False, False), False))

    def test_null_is_the_smallest_value(self):
        for direction, null, wanted in (('asc', True, ['set']), ('asc', False, ['beyond']),
                                        ('desc', True, []), ('desc', False, ['beyond', 'null'])):
            found = page_sql.pieces((('name', direction), ('id', direction)), (null, False), True)
            self.assertEqual(wanted, [piece.then for piece in found if piece.equal == 0])

    def test_the_text_after_a_prefix_is_the_next_one_by_code_point(self):
        for prefix, wanted in (('a', 'b'), ('a\ud7ff', 'a\ue000'), ('a\U0010ffff', 'b'), ('\U0010ffff', None)):
            self.assertEqual(wanted, filters._successor(prefix))
