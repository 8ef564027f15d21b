"""Lists: how many statements a page takes, which indexes they use, and values that no database can hold."""

import datetime

from glancelike.db_drivers.sqlalchemy import filters, image_list
from glancelike.plugin import Filter, ImageQuery, RequestContext, errors, query
from tests import base
from tests.servers import databases
from tests.unit.db_drivers.sqlalchemy.case import ADMIN, OWNER, PLACE, DriverCase

NEWEST = (('created_at', 'desc'), ('id', 'desc'))
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
            for fields, most in (({}, 2), ({'marker': marker}, 3), ({'sort': BY_NAME, 'marker': marker}, 3),
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
            for index in ('ix_images_visibility_created', 'ix_images_owner_created', 'ix_image_members_member'):
                self.assertIn(index, plan)

    def test_few_candidates_are_looked_at_by_their_ids(self):
        """A property, tag or name that few images have is found by its index, not by walking the list."""
        for wanted in (Filter('q', 'eq', '7', query.PROPERTY), Filter('', 'eq', 't7', query.TAG),
                       Filter('name', 'eq', 'image 7')):
            with self.statements() as sent:
                found = self.driver.image_list(OWNER, ImageQuery(filters=(wanted,), limit=20))
            self.assertEqual(['image 7'], [image.name for image in found])
            self.assertFalse([statement for statement, _ in sent if 'seen' in statement], wanted)

    def test_many_candidates_are_walked_and_found_all_the_same(self):
        self.addCleanup(setattr, image_list, 'FEW', image_list.FEW)
        image_list.FEW = 3
        self.driver._prepare_lists()
        for wanted in (Filter('p', 'eq', 'common', query.PROPERTY), Filter('', 'eq', 't', query.TAG)):
            with self.statements() as sent:
                found = self.driver.image_list(OWNER, ImageQuery(filters=(wanted,), limit=None, sort=BY_NAME))
            self.assertEqual(sorted(f'image {n}' for n in range(20)), [image.name for image in found])
            self.assertTrue([statement for statement, _ in sent if 'seen' in statement])

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
        self.assertEqual((image_list.Piece(0, 'rest'),), image_list.pieces(NEWEST, (False, False), True))
        self.assertEqual((image_list.Piece(0, 'beyond'), image_list.Piece(1, 'beyond')),
                         image_list.pieces(NEWEST, (False, False), False))

    def test_null_is_the_smallest_value(self):
        for direction, null, wanted in (('asc', True, ['set']), ('asc', False, ['beyond']),
                                        ('desc', True, []), ('desc', False, ['beyond', 'null'])):
            found = image_list.pieces((('name', direction), ('id', direction)), (null, False), True)
            self.assertEqual(wanted, [piece.then for piece in found if piece.equal == 0])

    def test_the_text_after_a_prefix_is_the_next_one_by_code_point(self):
        for prefix, wanted in (('a', 'b'), ('a\ud7ff', 'a\ue000'), ('a\U0010ffff', 'b'), ('\U0010ffff', None)):
            self.assertEqual(wanted, filters._successor(prefix))
