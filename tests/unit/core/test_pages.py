"""Lists of images: who sees what, pages that never stop early, totals, hidden properties."""

from testtools.matchers import Equals, Is

from glancelike import errors
from glancelike.core import pages, query
from glancelike.model.image import ImageChanges
from tests.unit.core.built import ADMIN, FRIEND, OWNER, STRANGER, CoreTestCase, member_of


class ListTestCase(CoreTestCase):

    def page(self, ctx=OWNER, *params, limit=25, **named):
        given = [*params, *named.items()]
        return self.images.list(ctx, query.parse(given, default_limit=limit, max_limit=1000))

    def names(self, *args, **named):
        return [image.name for image in self.page(*args, **named).images]

    def walk(self, ctx, limit, *params):
        """The names on each page, following ``next`` to the end."""
        found, marker = [], ()
        while True:
            page = self.page(ctx, *params, *marker, limit=limit)
            found.append([image.name for image in page.images])
            if page.next_marker is None:
                return found
            marker = (('marker', page.next_marker),)

    def make(self, *names, **attributes):
        for name in names:
            self.new_image(name=name, **attributes)


class ListTest(ListTestCase):

    def test_the_newest_comes_first(self):
        self.make('a', 'b', 'c')
        self.assertThat(self.names(), Equals(['c', 'b', 'a']))

    def test_callers_see_their_own_and_public_images(self):
        self.make('shared', 'mine')
        self.make('private', visibility='private')
        self.make('community', visibility='community')
        self.make('public', visibility='public')
        self.assertThat(self.names(STRANGER), Equals(['public']))
        self.assertThat(self.names(STRANGER, visibility='community'), Equals(['community']))
        self.assertThat(len(self.names(OWNER)), Equals(5))
        self.assertThat(len(self.names(ADMIN)), Equals(4))

    def test_shared_images_are_listed_once_accepted(self):
        self.make('shared')
        image = self.page().images[0]
        self.members.add(OWNER, image.id, 'friend')
        self.assertThat(self.names(FRIEND), Equals([]))
        self.assertThat(self.names(FRIEND, member_status='pending'), Equals(['shared']))
        self.members.update(FRIEND, image.id, 'friend', 'accepted')
        self.assertThat(self.names(FRIEND), Equals(['shared']))

    def test_the_policy_get_images_is_asked(self):
        self.build(policy='get_images: "role:lister"')
        self.assertRaises(errors.Forbidden, self.page)
        self.page(member_of('x', 'lister'))

    def test_a_full_page_has_a_next_one(self):
        self.make(*'abcde')
        self.assertThat(self.walk(OWNER, 2), Equals([['e', 'd'], ['c', 'b'], ['a']]))

    def test_a_page_of_nothing_has_no_next_one(self):
        self.make('a')
        self.assertThat(self.page(limit=0), Equals(pages.ImagePage([])))

    def test_a_bad_marker_is_refused(self):
        self.make('mine', visibility='private')
        image = self.page().images[0]
        for ctx, marker in ((STRANGER, image.id), (OWNER, 'nonsense')):
            self.assertRaises(errors.InvalidMarker, self.page, ctx, marker=marker)

    def test_filters_find(self):
        self.make('alpha', 'beta', 'Gamma', min_ram=5)
        self.new_image(name='delta', properties={'kernel_id': 'k'}, tags=['x', 'y'])
        for params, found in (
                ({'name': 'in:alpha,beta'}, ['beta', 'alpha']), ({'name': 'contains:GAM'}, ['Gamma']),
                ({'name': 'prefix:de'}, ['delta']), ({'kernel_id': 'k'}, ['delta']), ({'tag': 'x'}, ['delta']),
                ({'min_ram_min': '6'}, []), ({'min_ram': '5', 'sort': 'name:asc'}, ['Gamma', 'alpha', 'beta']),
                ({'status': 'active'}, []), ({'created_at': 'gt:2100-01-01'}, [])):
            self.assertThat(self.names(**params), Equals(found))

    def test_a_time_as_the_api_tells_it_finds_the_image(self):
        self.make('a')
        told = self.page().images[0].created_at.strftime('%Y-%m-%dT%H:%M:%SZ')
        for op, found in (('', ['a']), ('eq:', ['a']), ('gte:', ['a']), ('lte:', ['a']), ('gt:', []), ('lt:', []),
                          ('neq:', [])):
            self.assertThat(self.names(created_at=op + told), Equals(found))


class TotalTest(ListTestCase):

    def total(self, ctx=OWNER, **named):
        page = self.page(ctx, with_count='true', **named)
        return page.total, page.total_is_exact

    def test_no_total_unless_asked(self):
        self.assertThat(self.page().total, Is(None))

    def test_the_total_is_without_page_and_marker(self):
        self.make(*'abcde')
        self.assertThat(self.total(limit=2), Equals((5, True)))
        self.assertThat(self.total(limit=2, marker=self.page().images[3].id), Equals((5, True)))
        self.assertThat(self.total(limit=0), Equals((5, True)))
        self.assertThat(self.total(name='a'), Equals((1, True)))

    def test_counting_stops_at_the_limit(self):
        self.make(*'abcde')
        for count_limit, told in ((5, (5, True)), (4, (4, False)), (0, (0, False))):
            self.build(count_limit=count_limit)
            self.assertThat(self.total(), Equals(told))

    def test_images_that_the_policy_hides_are_not_counted(self):
        self.make(*'abcde')
        self.build(policy='get_image: "\'a\':%(name)s or \'c\':%(name)s"')
        self.assertThat(self.total(), Equals((2, True)))
        self.build(policy='get_image: "\'a\':%(name)s or \'c\':%(name)s"', count_limit=4)
        self.assertThat(self.total(), Equals((1, False)))


class OverriddenPolicyTest(ListTestCase):
    """With an override of get_image each row is asked about, and no page ends the list early."""

    def setUp(self):
        super().setUp()
        self.make(*'abcdefghij')
        self.make('yes', 'no', 'no2', 'no3', 'no4', 'yes2', disk_format='raw')
        self.build(policy='get_image: "\'raw\':%(disk_format)s and not \'no\':%(name)s and not \'no2\':%(name)s '
                          'and not \'no3\':%(name)s and not \'no4\':%(name)s"')
        self.patch(pages, 'SMALLEST_BATCH', 2)

    def patch(self, module, name, value):
        self.addCleanup(setattr, module, name, getattr(module, name))
        setattr(module, name, value)

    def test_rows_are_not_asked_about_while_the_rule_is_the_default(self):
        self.build()
        asked = []
        allowed = self.enforcer.allowed
        self.enforcer.allowed = lambda ctx, rule, *rest: asked.append(rule) or allowed(ctx, rule, *rest)
        self.assertThat(len(self.names()), Equals(16))
        self.assertThat(asked, Equals(['get_images']))

    def test_the_page_is_filled_from_later_rows(self):
        self.assertThat(self.walk(OWNER, 2), Equals([['yes2', 'yes'], []]))
        self.assertThat(self.walk(OWNER, 1), Equals([['yes2'], ['yes'], []]))
        self.assertThat(self.walk(OWNER, 3), Equals([['yes2', 'yes']]))

    def test_a_page_of_nothing_asks_for_nothing(self):
        self.assertThat(self.page(limit=0), Equals(pages.ImagePage([])))

    def test_work_for_one_page_is_bounded_and_the_list_goes_on(self):
        self.patch(pages, 'MOST_ROWS', 4)
        walked = self.walk(OWNER, 2)
        self.assertThat([name for page in walked for name in page], Equals(['yes2', 'yes']))
        self.assertThat(walked[0], Equals(['yes2']))

    def test_an_image_deleted_while_the_page_is_filled_does_no_harm(self):
        listing = self.db.image_list

        def deleting(ctx, asked):
            found = listing(ctx, asked)
            for image in found[-2:]:
                if image.name not in ('yes', 'yes2'):
                    self.db.image_delete(ADMIN, image.id)
            return found
        self.db.image_list = deleting
        self.assertThat(self.names(limit=3), Equals(['yes2', 'yes']))

    def test_the_callers_own_bad_marker_is_refused(self):
        self.assertRaises(errors.InvalidMarker, self.page, marker='nonsense')


class HiddenPropertyTest(ListTestCase):
    """A property that the caller may not read is not there, wherever one looks."""

    def setUp(self):
        super().setUp()
        self.build(rules={'secret': {'read': ['nova'], 'create': ['nova']}})
        self.nova = member_of('owner', 'nova')
        self.image = self.new_image(self.nova, {'secret': 'x', 'open': 'y'}, name='it')

    def test_documents_lack_it(self):
        self.assertThat([dict(image.properties) for image in self.page().images], Equals([{'open': 'y'}]))
        self.assertThat([dict(image.properties) for image in self.page(self.nova).images],
                        Equals([{'secret': 'x', 'open': 'y'}]))

    def test_each_name_is_asked_about_once_per_page(self):
        for _ in range(5):
            self.new_image(self.nova, {'open': 'y'})
        self.rules.asked.clear()
        self.page()
        self.assertThat(sorted(self.rules.asked), Equals([('read', 'open'), ('read', 'secret')]))

    def test_filters_find_nothing_by_it(self):
        self.assertThat(self.names(secret='x'), Equals([]))
        self.assertThat(self.names(secret='x', open='y'), Equals([]))
        self.assertThat(self.names(self.nova, secret='x'), Equals(['it']))

    def test_every_answer_is_that_of_a_property_that_nobody_has(self):
        for params in ({'limit': 0}, {'limit': 1}, {'with_count': 'true'}, {'marker': self.image.id}):
            self.assertThat(self.page(secret='x', **params), Equals(self.page(absent='x', **params)))
        for name in ('secret', 'absent'):
            self.assertRaises(errors.InvalidMarker, self.page, OWNER, (name, 'x'), ('marker', 'nonsense'))

    def test_node_addresses_that_glance_left_in_its_rows_are_hidden_from_all(self):
        self.db.image_update(ADMIN, self.image.id, ImageChanges(set_properties={
            'os_glance_stage_host': 'http://node', 'os_glance_failed_import': 'fast'}))
        for rules in (None, {}):
            self.build(rules=rules)
            self.assertThat(sorted(self.page(ADMIN).images[0].properties),
                            Equals(['open', 'os_glance_failed_import', 'secret']))
            self.assertThat(self.names(ADMIN, os_glance_stage_host='http://node'), Equals([]))
