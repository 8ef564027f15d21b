"""Lists of images: filters, sorting, pages, links."""

import urllib.parse

from tests.functional import app
from tests.functional.app import ADMIN, OTHER


class ListTests:

    def make(self, *names, **fields):
        return [self.create(name=name, **fields) for name in names]

    def test_the_newest_comes_first(self):
        self.make('a', 'b', 'c')
        self.assertEqual(['c', 'b', 'a'], self.names())

    def test_pages_meet_every_image_once(self):
        self.make(*'abcdefg')
        self.assertEqual(list('gfedcba'), self.walk('/v2/images?limit=2'))
        self.assertEqual(list('abcdefg'), self.walk('/v2/images?limit=3&sort=name:asc'))

    def test_the_document_has_its_links(self):
        self.make('a', 'b', 'c')
        page = self.ask('/v2/images?limit=2').json
        self.assertEqual(('/v2/images?limit=2', '/v2/schemas/images'), (page['first'], page['schema']))
        self.assertEqual({'limit': ['2'], 'marker': [page['images'][-1]['id']]},
                         urllib.parse.parse_qs(page['next'].partition('?')[2]))
        self.assertNotIn('next', self.ask('/v2/images?limit=4').json)

    def test_peer_defect_1_repeated_parameters_survive_in_links(self):
        for name in 'abc':
            self.create(name=name, tags=['x', 'y'])
        self.create(name='only x', tags=['x'])
        self.create(name='only y', tags=['y'])
        page = self.ask('/v2/images?tag=x&tag=y&limit=1&sort_key=name&sort_key=id&sort_dir=asc&sort_dir=desc').json
        for link in (page['first'], page['next']):
            asked = urllib.parse.parse_qs(link.partition('?')[2])
            self.assertEqual((['x', 'y'], ['name', 'id'], ['asc', 'desc']),
                             (asked['tag'], asked['sort_key'], asked['sort_dir']))
        self.assertEqual(list('abc'), self.walk('/v2/images?tag=x&tag=y&limit=1&sort=name:asc'))

    def test_peer_defect_2_a_range_on_an_unknown_name_is_a_property_filter(self):
        self.create(name='with', anything_min='3')
        self.make('without')
        self.assertEqual(['with'], self.names('anything_min=3'))

    def test_filters_by_attribute_property_tag_and_list(self):
        self.create(name='a', colour='blue', tags=['t'])
        self.create(name='b,c', colour='red', disk_format='qcow2')
        self.assertEqual(['a'], self.names('colour=blue'))
        self.assertEqual(['a'], self.names('tag=t'))
        self.assertEqual(['b,c'], self.names('disk_format=qcow2'))
        self.assertEqual(['b,c', 'a'], self.names('name=in:a,"b,c"'))
        self.assertEqual([], self.names('name=A'))
        self.assertEqual(['a'], self.names('protected=false&colour=blue'))

    def test_prefix_and_contains_find_names(self):
        self.make('Debian 12', 'debian 13', 'alpine')
        self.assertEqual(['Debian 12'], self.names('name=prefix:Deb'))
        self.assertEqual({'Debian 12', 'debian 13'}, set(self.names('name=contains:DEBIAN')))

    def test_sizes_and_times(self):
        self.active(b'x' * 10, name='small')
        self.active(b'x' * 1000, name='large')
        self.assertEqual(['large'], self.names('size_min=500'))
        self.assertEqual(['small'], self.names('size_max=500'))
        self.assertEqual(2, len(self.names('created_at=gt:2020-01-01T00:00:00Z')))
        self.assertEqual([], self.names('created_at=lt:2020-01-01T00:00:00Z'))
        created = self.show(self.create(name='now')['id'])['created_at']
        self.assertIn('now', self.names(f'created_at={created}'))

    def test_hidden_images_are_listed_when_asked_for(self):
        self.make('seen')
        self.create(name='hidden', os_hidden=True)
        self.assertEqual(['seen'], self.names())
        self.assertEqual(['hidden'], self.names('os_hidden=true'))

    def test_visibilities(self):
        self.create(ADMIN, name='public', visibility='public')
        self.create(ADMIN, name='community', visibility='community')
        self.create(ADMIN, name='private', visibility='private')
        self.create(name='mine', visibility='private')
        self.assertEqual({'public', 'mine'}, set(self.names()))
        self.assertEqual(['community'], self.names('visibility=community'))
        self.assertEqual({'public', 'mine', 'community'}, set(self.names('visibility=all&limit=9')))
        self.assertEqual({'public', 'community', 'private', 'mine'}, set(self.names('visibility=all&limit=9', ADMIN)))

    def test_the_total_is_told_on_request(self):
        self.make(*'abc')
        page = self.ask('/v2/images?limit=1&with_count=true').json
        self.assertEqual((3, True), (page['total'], page['total_is_exact']))
        self.assertIn('with_count=true', page['next'])
        self.assertNotIn('total', self.ask('/v2/images').json)

    def test_a_limit_of_zero_is_an_empty_page(self):
        self.make('a')
        page = self.ask('/v2/images?limit=0', status=200).json
        self.assertEqual(([], False), (page['images'], 'next' in page))

    def test_bad_questions_are_400_and_named(self):
        for query in ('limit=-1', 'limit=x', 'limit=1.5', 'sort_key=owner', 'sort=name:up', 'sort=name&sort_key=id',
                      'sort_key=name&sort_key=id&sort_key=size&sort_dir=asc&sort_dir=desc', 'visibility=secret',
                      'member_status=maybe', 'os_hidden=perhaps', 'protected=perhaps', 'size_min=x',
                      'created_at=gt:yesterday', 'created_at=like:2020', 'status=ne:active', 'changes-since=2020',
                      'name=in:"a', 'min_ram=x', 'size=x', 'marker=nothing'):
            answer = self.ask(f'/v2/images?{query}', status=400)
            self.assertGreater(len(answer.text), 30)

    def test_an_invisible_marker_is_400(self):
        image = self.create(visibility='private')
        self.ask(f"/v2/images?marker={image['id']}", ctx=OTHER, status=400)

    def test_the_page_is_bounded(self):
        self.make(*'abcd')
        self.assertEqual(3, len(self.names()))
        self.assertEqual(4, len(self.names('limit=1000000')))


class TestSimple(ListTests, app.AppTestCase):
    backend = app.SIMPLE
    options = {'DEFAULT': {'limit_param_default': 3}}

    def test_parameters_without_a_meaning_are_property_filters(self):
        self.make('a')
        self.assertEqual([], self.names('page_reverse=False'))


class TestSqlite(ListTests, app.AppTestCase):
    backend = app.SQLITE
    options = {'DEFAULT': {'limit_param_default': 3}}
