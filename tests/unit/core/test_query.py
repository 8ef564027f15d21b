"""What a query string asks for, and what is wrong with it."""

import datetime

from testtools.matchers import Equals

from glancelike import errors
from glancelike.core import query as core_query
from glancelike.db_drivers.query import Filter, ImageQuery
from tests import base


def utc(*parts):
    return datetime.datetime(*parts, tzinfo=datetime.UTC)


class ParseTestCase(base.TestCase):

    def parse(self, *params, default_limit=25, max_limit=1000):
        return core_query.parse(params, default_limit=default_limit, max_limit=max_limit)

    def filters(self, *params):
        return self.parse(*params).query.filters

    def refused(self, error, *params):
        return str(self.assertRaises(error, self.parse, *params))


class PageTest(ParseTestCase):

    def test_nothing_asked_is_the_default_list(self):
        self.assertThat(self.parse(), Equals(core_query.ListRequest(ImageQuery(limit=25))))

    def test_a_limit_is_capped(self):
        self.assertThat(self.parse(('limit', '5000')).query.limit, Equals(1000))

    def test_the_default_limit_is_capped_too(self):
        self.assertThat(self.parse(default_limit=25, max_limit=10).query.limit, Equals(10))

    def test_a_limit_of_0_is_a_limit(self):
        self.assertThat(self.parse(('limit', '0')).query.limit, Equals(0))

    def test_a_limit_beyond_all_integers_is_capped(self):
        self.assertThat(self.parse(('limit', '9' * 6000)).query.limit, Equals(1000))

    def test_leading_zeros_do_not_enlarge_a_limit(self):
        self.assertThat(self.parse(('limit', '0' * 30 + '7')).query.limit, Equals(7))

    def test_limits_that_are_no_whole_numbers_are_refused(self):
        for value in ('-1', 'a', '', '1.5', '0x10', '1_0', '٣', '1e3', 'nan', '--1'):
            self.refused(errors.InvalidLimit, ('limit', value))

    def test_the_marker_is_taken_as_it_is(self):
        self.assertThat(self.parse(('marker', 'abc')).query.marker, Equals('abc'))

    def test_a_marker_that_can_be_no_id_is_refused(self):
        self.refused(errors.InvalidMarker, ('marker', ''))
        self.refused(errors.InvalidMarker, ('marker', 'x' * 37))

    def test_links_repeat_every_parameter_but_the_marker(self):
        params = (('tag', 'a'), ('limit', '2'), ('marker', 'm'), ('tag', 'b'), ('sort_key', 'name'),
                  ('sort_key', 'size'), ('with_count', 'true'))
        self.assertThat(self.parse(*params).echoed, Equals(tuple(one for one in params if one[0] != 'marker')))

    def test_the_total_is_counted_on_request_only(self):
        self.assertThat([self.parse(('with_count', 'true')).count, self.parse(('with_count', 'False')).count,
                         self.parse().count], Equals([True, False, False]))
        self.refused(errors.InvalidFilter, ('with_count', 'perhaps'))

    def test_of_a_repeated_single_parameter_the_last_one_counts(self):
        asked = self.parse(('limit', '3'), ('name', 'a'), ('limit', '4'), ('name', 'b')).query
        self.assertThat((asked.limit, asked.filters), Equals((4, (Filter('name', 'eq', 'b'),))))

    def test_too_many_parameters_are_refused(self):
        self.parse(*[('tag', str(number)) for number in range(100)])
        self.refused(errors.InvalidFilter, *[('tag', str(number)) for number in range(101)])

    def test_texts_that_no_database_keeps_are_refused(self):
        for text in ('a\x00b', '\ud800'):
            for name in ('name', 'marker', 'tag', 'foo', 'sort', 'limit'):
                self.refused(errors.InvalidFilter, (name, text))
            self.refused(errors.InvalidFilter, (text, 'x'))

    def test_too_long_texts_are_refused_without_repeating_them(self):
        self.assertThat(len(self.refused(errors.InvalidFilter, ('name', 'x' * 70_000))) < 300, Equals(True))
        self.assertThat(len(self.refused(errors.InvalidFilter, ('x' * 5000, 'x'))) < 300, Equals(True))


class SortTest(ParseTestCase):

    def sort(self, *params):
        return self.parse(*params).query.sort

    def test_the_default_is_newest_first(self):
        self.assertThat(self.sort(), Equals((('created_at', 'desc'), ('id', 'desc'))))

    def test_the_one_direction_goes_for_the_tie_breakers_too(self):
        self.assertThat(self.sort(('sort_key', 'name'), ('sort_dir', 'asc')),
                        Equals((('name', 'asc'), ('created_at', 'asc'), ('id', 'asc'))))

    def test_keys_without_direction_are_descending(self):
        self.assertThat(self.sort(('sort_key', 'name')),
                        Equals((('name', 'desc'), ('created_at', 'desc'), ('id', 'desc'))))

    def test_a_direction_alone_goes_for_created_at(self):
        self.assertThat(self.sort(('sort_dir', 'asc')), Equals((('created_at', 'asc'), ('id', 'asc'))))

    def test_each_key_may_have_its_direction(self):
        self.assertThat(
            self.sort(('sort_key', 'name'), ('sort_dir', 'asc'), ('sort_key', 'size'), ('sort_dir', 'desc')),
            Equals((('name', 'asc'), ('size', 'desc'), ('created_at', 'desc'), ('id', 'desc'))))

    def test_one_direction_serves_several_keys(self):
        self.assertThat(self.sort(('sort_key', 'name'), ('sort_key', 'size'), ('sort_dir', 'asc'))[:2],
                        Equals((('name', 'asc'), ('size', 'asc'))))

    def test_the_short_form_says_the_same(self):
        self.assertThat(self.sort(('sort', 'name:asc, size:desc,status')),
                        Equals((('name', 'asc'), ('size', 'desc'), ('status', 'desc'), ('created_at', 'desc'),
                                ('id', 'desc'))))

    def test_every_documented_key_sorts(self):
        for key in ('name', 'status', 'container_format', 'disk_format', 'size', 'id', 'created_at', 'updated_at'):
            self.assertThat(self.sort(('sort', f'{key}:asc'))[0], Equals((key, 'asc')))

    def test_nothing_follows_the_id(self):
        self.assertThat(self.sort(('sort', 'size:asc,id:desc,name:asc')), Equals((('size', 'asc'), ('id', 'desc'))))

    def test_a_repeated_key_counts_once(self):
        self.assertThat(self.sort(('sort', 'name:asc,name:desc')),
                        Equals((('name', 'asc'), ('created_at', 'desc'), ('id', 'desc'))))

    def test_both_forms_at_once_are_refused(self):
        self.refused(errors.InvalidSort, ('sort', 'name:asc'), ('sort_key', 'size'))
        self.refused(errors.InvalidSort, ('sort', 'name:asc'), ('sort_dir', 'asc'))

    def test_unknown_keys_and_directions_are_named(self):
        self.assertIn('owner', self.refused(errors.InvalidSort, ('sort_key', 'owner')))
        self.assertIn('up', self.refused(errors.InvalidSort, ('sort', 'name:up')))
        self.refused(errors.InvalidSort, ('sort', ''))
        self.refused(errors.InvalidSort, ('sort', 'name:asc:desc'))
        self.refused(errors.InvalidSort, ('sort', 'name:'))
        self.refused(errors.InvalidSort, ('sort_key', ''))

    def test_directions_must_be_one_or_as_many_as_keys(self):
        self.refused(errors.InvalidSort, ('sort_key', 'name'), ('sort_dir', 'asc'), ('sort_dir', 'asc'))
        self.refused(errors.InvalidSort, *[('sort_key', key) for key in ('name', 'size', 'id')],
                     ('sort_dir', 'asc'), ('sort_dir', 'desc'))


class ChoiceTest(ParseTestCase):

    def test_visibilities(self):
        for value in ('public', 'community', 'shared', 'private', 'all'):
            self.assertThat(self.parse(('visibility', value)).query.visibility, Equals(value))
        self.assertIn('wide', self.refused(errors.InvalidFilter, ('visibility', 'wide')))
        self.refused(errors.InvalidFilter, ('visibility', ''))

    def test_member_statuses(self):
        for value in ('pending', 'accepted', 'rejected', 'all'):
            self.assertThat(self.parse(('member_status', value)).query.member_status, Equals(value))
        self.refused(errors.InvalidFilter, ('member_status', 'maybe'))

    def test_os_hidden_and_protected_are_true_or_false(self):
        self.assertThat(self.parse(('os_hidden', 'True')).query.os_hidden, Equals(True))
        self.assertThat(self.filters(('protected', 'False')), Equals((Filter('protected', 'eq', False),)))
        self.refused(errors.InvalidFilter, ('os_hidden', '1'))
        self.refused(errors.InvalidFilter, ('protected', 'yes'))

    def test_changes_since_is_refused(self):
        self.assertIn('updated_at', self.refused(errors.InvalidFilter, ('changes-since', '2020-01-01T00:00:00')))

    def test_deleted_is_ignored(self):
        self.assertThat(self.filters(('deleted', 'true')), Equals(()))


class FilterTest(ParseTestCase):

    def test_a_plain_value_is_equality(self):
        for name in ('name', 'id', 'status', 'container_format', 'disk_format', 'owner', 'checksum', 'os_hash_algo',
                     'os_hash_value'):
            self.assertThat(self.filters((name, 'x y')), Equals((Filter(name, 'eq', 'x y'),)))

    def test_an_empty_value_is_equality_with_the_empty_text(self):
        self.assertThat(self.filters(('name', '')), Equals((Filter('name', 'eq', ''),)))

    def test_anything_else_is_a_property(self):
        for name in ('kernel_id', 'anything_min', 'foo_max', '_min', 'tags', 'is_public', 'created_at_min',
                     'os_hidden_max', 'ä😀', 'deleted_at', 'locations'):
            self.assertThat(self.filters((name, 'gt:3')), Equals((Filter(name, 'eq', 'gt:3', 'property'),)))

    def test_tags_are_repeated_and_all_count(self):
        self.assertThat(self.filters(('tag', 'a'), ('tag', 'b'), ('tag', 'a')),
                        Equals((Filter('', 'eq', 'a', 'tag'), Filter('', 'eq', 'b', 'tag'))))

    def test_an_operator_that_is_not_known_is_named(self):
        for name in ('name', 'id', 'status', 'container_format', 'disk_format'):
            self.assertIn("'ne'", self.refused(errors.InvalidFilter, (name, 'ne:x')))
        self.assertIn("'prefix'", self.refused(errors.InvalidFilter, ('status', 'prefix:a')))
        self.assertIn("'contains'", self.refused(errors.InvalidFilter, ('id', 'contains:a')))

    def test_a_colon_after_what_is_no_word_is_part_of_the_value(self):
        for value in ('12:30', 'ubuntu 22.04: jammy', ':x', '2020-01-01T00:00:00'):
            self.assertThat(self.filters(('name', value)), Equals((Filter('name', 'eq', value),)))

    def test_eq_and_quotes_take_the_value_literally(self):
        self.assertThat(self.filters(('name', 'eq:in:a,b')), Equals((Filter('name', 'eq', 'in:a,b'),)))
        self.assertThat(self.filters(('name', '"in:a,b"')), Equals((Filter('name', 'eq', 'in:a,b'),)))
        self.assertThat(self.filters(('name', r'"a \"b\" \\ \c"')), Equals((Filter('name', 'eq', r'a "b" \ \c'),)))

    def test_name_is_found_by_prefix_and_part(self):
        self.assertThat(self.filters(('name', 'prefix:100%_')), Equals((Filter('name', 'prefix', '100%_'),)))
        self.assertThat(self.filters(('name', 'contains:a:B')), Equals((Filter('name', 'contains', 'a:B'),)))


class ListTest(ParseTestCase):

    def values(self, text):
        return self.filters(('name', f'in:{text}'))[0].value

    def test_a_list_is_split_at_commas(self):
        self.assertThat(self.filters(('status', 'in:active,queued')),
                        Equals((Filter('status', 'in', ('active', 'queued')),)))

    def test_quotes_keep_commas_together(self):
        self.assertThat(self.values('a,"b,c", d,"",":"'), Equals(('a', 'b,c', ' d', '', ':')))

    def test_quotes_may_hold_quotes(self):
        self.assertThat(self.values(r'"a\"b","c\\"'), Equals(('a"b', 'c\\')))

    def test_doubled_values_count_once(self):
        self.assertThat(self.values('a,b,a'), Equals(('a', 'b')))

    def test_an_empty_list_finds_the_empty_text(self):
        self.assertThat(self.values(''), Equals(('',)))

    def test_misplaced_quotes_are_refused(self):
        for text in ('"a', 'a"', 'a"b', '"a"b', 'b"a"', 'a,"b', '"a""b"', '"a\\"'):
            self.refused(errors.InvalidFilter, ('name', f'in:{text}'))

    def test_a_list_is_bounded(self):
        self.assertThat(len(self.values(','.join(map(str, range(1000))))), Equals(1000))
        self.refused(errors.InvalidFilter, ('name', 'in:' + ','.join(map(str, range(1001)))))

    def test_other_attributes_know_no_lists(self):
        self.assertThat(self.filters(('owner', 'in:a,b')), Equals((Filter('owner', 'eq', 'in:a,b'),)))


class NumberTest(ParseTestCase):

    def test_numbers_and_their_ranges(self):
        for name in ('size', 'virtual_size', 'min_disk', 'min_ram'):
            self.assertThat(self.filters((name, '7'), (f'{name}_min', '1'), (f'{name}_max', '9')), Equals((
                Filter(name, 'eq', 7), Filter(name, 'gte', 1), Filter(name, 'lte', 9))))

    def test_the_range_of_numbers_is_64_bits(self):
        self.assertThat(self.filters(('size', str(2**63 - 1)))[0].value, Equals(2**63 - 1))
        for value in (2**63, -2**63, 10**30):
            self.refused(errors.InvalidFilter, ('size_max', str(value)))

    def test_what_is_no_number_is_refused(self):
        for value in ('', 'a', '1.0', '1e3', '٣', '1_0', 'gt:1', '0x1'):
            for name in ('size', 'size_min', 'min_ram_max'):
                self.assertIn(name, self.refused(errors.InvalidFilter, (name, value)))


class TimeTest(ParseTestCase):
    START = utc(2026, 3, 1, 12)
    END = utc(2026, 3, 1, 12, 0, 1)

    def conditions(self, value):
        return [(one.op, one.value) for one in self.filters(('created_at', value))]

    def test_a_time_without_fraction_is_its_whole_second(self):
        text = '2026-03-01T12:00:00Z'
        self.assertThat(self.conditions(text), Equals([('gte', self.START), ('lt', self.END)]))
        self.assertThat(self.conditions(f'eq:{text}'), Equals([('gte', self.START), ('lt', self.END)]))
        self.assertThat(self.conditions(f'neq:{text}'), Equals([('outside', (self.START, self.END))]))
        self.assertThat(self.conditions(f'gt:{text}'), Equals([('gte', self.END)]))
        self.assertThat(self.conditions(f'gte:{text}'), Equals([('gte', self.START)]))
        self.assertThat(self.conditions(f'lt:{text}'), Equals([('lt', self.START)]))
        self.assertThat(self.conditions(f'lte:{text}'), Equals([('lt', self.END)]))

    def test_a_fraction_is_a_point_in_time(self):
        start, after = utc(2026, 3, 1, 12, 0, 0, 500_000), utc(2026, 3, 1, 12, 0, 0, 500_001)
        for text in ('2026-03-01T12:00:00.5Z', '2026-03-01T12:00:00,500000+00:00'):
            self.assertThat(self.conditions(f'eq:{text}'), Equals([('gte', start), ('lt', after)]))
            self.assertThat(self.conditions(f'gt:{text}'), Equals([('gte', after)]))

    def test_zones_are_respected_and_utc_is_the_default(self):
        for text in ('2026-03-01T14:00:00+02:00', '2026-03-01T12:00:00', '20260301T120000Z', '2026-03-01 12:00:00'):
            self.assertThat(self.conditions(f'gte:{text}'), Equals([('gte', self.START)]))

    def test_both_times_can_be_asked_for(self):
        self.assertThat(self.filters(('updated_at', 'lt:2026-03-01T12:00:00Z')),
                        Equals((Filter('updated_at', 'lt', self.START),)))

    def test_unknown_operators_are_named(self):
        for op in ('in', 'ne', 'since'):
            self.assertIn(f"'{op}'", self.refused(errors.InvalidFilter, ('created_at', f'{op}:2026-03-01')))

    def test_what_is_no_time_is_refused(self):
        for text in ('', 'gt:', 'yesterday', '2026-13-01', '2026-03-01T25:00:00', '2026-03-01T12:00:00+99:00',
                     'gt:gt:2026-03-01', '٢٠٢٦-03-01', '0001-01-01T00:00:00+14:00', '9999-12-31T23:59:59Z',
                     '99999-01-01'):
            self.refused(errors.InvalidFilter, ('created_at', text))
