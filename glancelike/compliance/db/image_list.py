"""Lists of images: who sees what, filters, order and pages."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import random
import uuid

from glancelike.compliance.db import oracle
from glancelike.compliance.db.case import DbCase, caller
from glancelike.plugin import (
    Filter,
    Image,
    ImageChanges,
    ImageQuery,
    Location,
    RequestContext,
    errors,
    query,
)

VISIBILITIES = ('public', 'community', 'shared', 'private')
BY_ID = (('id', 'asc'),)

#: Text whose order and likeness databases get wrong: case, blanks, accents, beyond the BMP, wildcards.
TRICKY = ('a', 'A', 'a ', ' a', 'b', 'B', 'ab', 'á', 'a\u0301', 'z', 'Z', 'ß', 'ss', 'ﬃ', '\uffee', '🐧', '🐧🚀', '10',
          '9', '', '-', 'a-b', 'a_b', 'a%b', 'a\\b', '日本')


class ImageListSuite(DbCase):
    """IMAGE-LIST and IMAGE-COUNT."""

    def ids(self, asked: ImageQuery | None = None, ctx: RequestContext | None = None, **fields) -> list[str]:
        asked = asked or ImageQuery(**fields)
        return [image.id for image in self.driver.image_list(ctx or self.admin, asked)]

    def named(self, *filters: Filter) -> list[str]:
        """Names of the images for which the filters hold, sorted."""
        return sorted(image.name for image in self.driver.image_list(self.admin, ImageQuery(filters=filters)))

    def assert_filter(self, images: list[Image], *filters: Filter) -> None:
        """The driver finds what the oracle finds, and counts as much."""
        asked = ImageQuery(filters=filters, sort=BY_ID)
        self.assertEqual(oracle.listed(images, self.admin, asked), self.ids(asked), filters)

    # --- who sees what -------------------------------------------------------------------------------------

    def sixteen(self) -> list[Image]:
        """Four owners, the administrator's project among them, times four visibilities."""
        return [self.stored(owner=owner, visibility=shown)
                for owner in ('admin-project', 'p1', 'p2', 'p3') for shown in VISIBILITIES]

    def test_the_matrix_of_callers_and_visibilities_has_the_known_counts(self):
        """IMAGE-LIST-1: how many of sixteen images each kind of caller sees, by the visibility asked for."""
        self.sixteen()
        admin = caller('admin-project', is_admin=True)
        wanted = {  # visibility asked for:  None  public  community  shared  private  all
            'admin without project': (self.admin, [12, 4, 4, 4, 4, 16]),
            'admin with a project': (admin, [13, 4, 4, 4, 4, 16]),
            'user without project': (caller(None), [4, 4, 4, 0, 0, 8]),
            'user of a project': (caller('p1'), [7, 4, 4, 1, 1, 10]),
            'user of another project': (self.stranger, [4, 4, 4, 0, 0, 8]),
        }
        found = {who: (ctx, [len(self.ids(ctx=ctx, visibility=shown)) for shown in (None, *VISIBILITIES, 'all')])
                 for who, (ctx, _) in wanted.items()}
        self.assertEqual(wanted, found)

    def test_memberships_bring_in_what_the_asked_member_status_says(self):
        """IMAGE-LIST-1: every caller, visibility and member_status, against visibility.listed."""
        images = [*self.sixteen(), *(self.stored(owner=None, visibility=shown) for shown in VISIBILITIES)]
        statuses: dict[str, dict[str, str]] = {'p1': {}, 'm': {}}
        for image, status in zip(images, itertools.cycle(('pending', 'accepted', 'rejected', None)), strict=False):
            for member in statuses:
                if status and image.owner != member:
                    self.driver.member_add(self.admin, image.id, member, status=status)
                    statuses[member][image.id] = status
        # the cycle of four statuses meets the cycle of four visibilities at one place each: shift it once
        for image in (image for image in images if image.visibility == 'shared' and image.owner == 'p3'):
            self.driver.member_update(self.admin, image.id, 'm', 'accepted')
            statuses['m'][image.id] = 'accepted'
        wanted, found = {}, {}
        for ctx in (caller('p1'), caller('m'), caller('m', is_admin=True), self.stranger, caller(None), self.admin):
            for shown, status in itertools.product((None, 'all', *VISIBILITIES),
                                                   ('pending', 'accepted', 'rejected', 'all')):
                asked = ImageQuery(visibility=shown, member_status=status, sort=BY_ID)
                case = (ctx.project_id, ctx.is_admin, shown, status)
                wanted[case] = oracle.listed(images, ctx, asked, statuses.get(ctx.project_id))
                found[case] = self.ids(asked, ctx)
        self.assertEqual(wanted, found)

    def test_a_shared_image_is_listed_once_however_it_is_seen(self):
        """IMAGE-LIST-1: many members, tags, properties and locations make no rows of their own."""
        image = self.stored(visibility='shared', status='active', tags=frozenset('abc'),
                            properties={'p': '1', 'q': '2'},
                            locations=(Location('mem://1', 's'), Location('mem://2', 's')))
        for member in ('m1', 'm2', 'm3'):
            self.driver.member_add(self.owner, image.id, member, status='accepted')
        for ctx in (self.owner, caller('m1'), self.admin):
            self.assertEqual([image.id], self.ids(ctx=ctx))

    def test_hidden_images_are_listed_on_request_only(self):
        """IMAGE-LIST-1: os_hidden equals query.os_hidden."""
        plain, hidden = self.stored(), self.stored(os_hidden=True)
        self.assertEqual([[plain.id], [hidden.id]], [self.ids(os_hidden=False), self.ids(os_hidden=True)])

    def test_killed_images_are_never_listed(self):
        """IMAGE-LIST-1: not even when they are asked for by status or id."""
        killed = self.stored(status='killed')
        for filters in ((), (Filter('status', query.EQ, 'killed'),), (Filter('id', query.EQ, killed.id),)):
            self.assertEqual([], self.ids(filters=filters))

    def test_a_listed_image_is_the_whole_image(self):
        """IMAGE-LIST-1: with properties, tags and active locations, as get has it."""
        images = [self.stored(name=str(n), properties={'p': str(n), 'q': ''}, tags=frozenset({'t', str(n)}),
                              locations=(Location(f'mem://{n}', 's', {'n': n}), Location('mem://', None)))
                  for n in range(3)]
        found = {image.id: image for image in self.driver.image_list(self.owner, ImageQuery())}
        self.assertEqual({image.id for image in images}, found.keys())
        for image in images:
            self.assert_same_image(image, found[image.id])

    # --- filters -------------------------------------------------------------------------------------------

    def varied(self, count: int = 24) -> list[Image]:
        """Images of random attributes, NULLs among them; the same ones in every run."""
        choose = random.Random(6).choice
        images = []
        for n in range(count):
            text = {field: choose((None, 'a', 'A', 'b', '🐧'))
                    for field in ('name', 'container_format', 'disk_format', 'checksum', 'os_hash_algo',
                                  'os_hash_value')}
            images.append(self.stored(
                owner=choose(('p1', 'p2', None)), status=choose(('queued', 'active', 'deactivated')),
                visibility=choose(VISIBILITIES), protected=choose((True, False)), size=choose((None, 0, 5, 10)),
                virtual_size=choose((None, 2**62, 2**63 - 1)), min_disk=choose((0, 1, 2)), min_ram=choose((0, 7)),
                properties={'p': choose(('1', '10', ''))} if n % 3 else {}, **text))
        self.assertEqual(count, self.driver.image_count(self.admin, ImageQuery(visibility='all'), count + 1))
        return images

    def test_equality_on_every_attribute(self):
        """IMAGE-LIST-5: EQ, and no row whose attribute is NULL."""
        images = self.varied()
        for field in ('name', 'owner', 'status', 'container_format', 'disk_format', 'checksum', 'os_hash_algo',
                      'os_hash_value', 'visibility', 'protected', 'size', 'virtual_size', 'min_disk', 'min_ram',
                      'id', 'created_at', 'updated_at'):
            for value in list({getattr(image, field) for image in images} - {None})[:5]:
                self.assert_filter(images, Filter(field, query.EQ, value))

    def test_membership_in_a_set_of_values(self):
        """IMAGE-LIST-5: IN, the empty tuple included."""
        images = self.varied()
        for field, values in (('name', ('a', '🐧')), ('status', ('queued', 'active')), ('disk_format', ('A',)),
                              ('container_format', ('b', 'b', 'x')), ('size', (0, 10)),
                              ('id', (images[0].id, images[5].id, 'absent')), ('name', ())):
            self.assert_filter(images, Filter(field, query.IN, values))

    def test_comparison_of_numbers(self):
        """IMAGE-LIST-5: GT, GTE, LT, LTE and OUTSIDE on the integer attributes; NULL matches none."""
        images = self.varied()
        for field, value in (('size', 5), ('size', 0), ('min_disk', 1), ('min_ram', 7), ('virtual_size', 2**62)):
            for op in (query.GT, query.GTE, query.LT, query.LTE):
                self.assert_filter(images, Filter(field, op, value))
        self.assert_filter(images, Filter('size', query.OUTSIDE, (5, 10)))
        self.assert_filter(images, Filter('size', query.GTE, 5), Filter('size', query.LTE, 10))

    def test_comparison_of_times(self):
        """IMAGE-LIST-5: the same on created_at and updated_at, to the microsecond."""
        images = [self.stored() for _ in range(6)]
        images[1] = self.change(images[1].id, name='later')
        tick = datetime.timedelta(microseconds=1)
        for field in ('created_at', 'updated_at'):
            moment = getattr(images[3], field)
            for op, value in itertools.product((query.EQ, query.GT, query.GTE, query.LT, query.LTE),
                                               (moment - tick, moment, moment + tick)):
                self.assert_filter(images, Filter(field, op, value))
            self.assert_filter(images, Filter(field, query.OUTSIDE, (moment, moment + tick)))

    def test_times_given_in_another_zone_are_the_same_moments(self):
        """IMAGE-LIST-5: an aware time is a moment, whatever its offset."""
        image = self.stored()
        moment = image.created_at.astimezone(datetime.timezone(datetime.timedelta(hours=-7)))
        self.assertEqual([image.id], self.ids(filters=(Filter('created_at', query.EQ, moment),)))

    def test_a_property_is_compared_whole(self):
        """IMAGE-LIST-5: no part of a value, no other property, no absent property."""
        images = self.varied()
        for name, value in (('p', '1'), ('p', ''), ('p', '10'), ('p', '0'), ('q', '1'), ('P', '1')):
            self.assert_filter(images, Filter(name, query.EQ, value, kind=query.PROPERTY))

    def test_a_property_may_be_called_as_an_attribute_is(self):
        """IMAGE-LIST-5: the kind of the filter says which is meant."""
        image = self.stored(name='n', properties={'name': 'p', 'is_public': 'True'})
        for condition, wanted in ((Filter('name', query.EQ, 'p', kind=query.PROPERTY), [image.id]),
                                  (Filter('name', query.EQ, 'n', kind=query.PROPERTY), []),
                                  (Filter('is_public', query.EQ, 'True', kind=query.PROPERTY), [image.id])):
            self.assertEqual(wanted, self.ids(filters=(condition,)))

    def test_a_long_property_value_is_compared_to_its_end(self):
        """IMAGE-LIST-5: two values of 65,535 bytes that differ in the last one."""
        start = 'x' * 65534
        image = self.stored(properties={'p': start + 'a'})
        self.stored(properties={'p': start + 'b'})
        self.assertEqual([image.id], self.ids(filters=(Filter('p', query.EQ, start + 'a', kind=query.PROPERTY),)))

    def test_a_removed_property_matches_no_more(self):
        """IMAGE-LIST-5: what an update removed or overwrote is not found."""
        image = self.stored(properties={'p': '1', 'q': '1'})
        self.driver.image_update(self.admin, image.id, ImageChanges(set_properties={'p': '2'},
                                                                remove_properties=frozenset({'q'})))
        for name, value, wanted in (('p', '1', []), ('q', '1', []), ('p', '2', [image.id])):
            self.assertEqual(wanted, self.ids(filters=(Filter(name, query.EQ, value, kind=query.PROPERTY),)))

    def test_several_property_filters_must_all_hold(self):
        """IMAGE-LIST-5: on one image."""
        both = self.stored(properties={'p': '1', 'q': '2'})
        self.stored(properties={'p': '1'})
        self.stored(properties={'q': '2'})
        self.assertEqual([both.id], self.ids(filters=(Filter('p', query.EQ, '1', kind=query.PROPERTY),
                                                      Filter('q', query.EQ, '2', kind=query.PROPERTY))))

    def test_several_tag_filters_must_all_hold(self):
        """IMAGE-LIST-5: an image with one of two tags is not meant; a removed tag is no tag."""
        both = self.stored(tags=frozenset({'a', 'b', 'c'}))
        one = self.stored(tags=frozenset({'a', 'c'}))
        self.driver.tag_remove(self.admin, one.id, 'c')

        def tagged(*tags):
            return sorted(self.ids(filters=tuple(Filter('', query.EQ, tag, kind=query.TAG) for tag in tags)))

        self.assertEqual([both.id], tagged('a', 'b'))
        self.assertEqual(sorted([both.id, one.id]), tagged('a'))
        self.assertEqual([both.id], tagged('c'))
        self.assertEqual([], tagged('a', 'x'))

    def test_filters_of_all_kinds_together(self):
        """IMAGE-LIST-5: attribute, property and tag; all must hold."""
        image = self.stored(name='n', properties={'p': '1'}, tags=frozenset({'t'}))
        self.stored(name='n', properties={'p': '1'})
        self.stored(name='n', tags=frozenset({'t'}))
        self.stored(properties={'p': '1'}, tags=frozenset({'t'}))
        self.assertEqual([image.id], self.ids(filters=(
            Filter('name', query.EQ, 'n'), Filter('p', query.EQ, '1', kind=query.PROPERTY),
            Filter('', query.EQ, 't', kind=query.TAG))))

    def test_filters_compare_text_byte_for_byte(self):
        """ALL-4: case, blanks, accents and normal forms are told apart in names, properties and tags."""
        images = [self.stored(name=text, properties={'p': text}, tags=frozenset({text})) for text in TRICKY]
        for text in TRICKY:
            for condition in (Filter('name', query.EQ, text), Filter('name', query.IN, (text, 'absent')),
                              Filter('p', query.EQ, text, kind=query.PROPERTY),
                              Filter('', query.EQ, text, kind=query.TAG)):
                self.assert_filter(images, condition)

    def test_a_prefix_has_no_wildcards_and_keeps_case(self):
        """IMAGE-LIST-6: PREFIX against the oracle, for every prefix of tricky names and for wildcards."""
        images = [self.stored(name=text) for text in (*TRICKY, 'Ab', 'aXb', 'a\\_b', '%', '_', '\\', None)]
        for text in {image.name[:cut] for image in images if image.name for cut in range(1, 4)} | {'a%', '_b', ''}:
            self.assert_filter(images, Filter('name', query.PREFIX, text))

    def test_contains_has_no_wildcards(self):
        """IMAGE-LIST-6: ``%``, ``_`` and backslash are ordinary in CONTAINS too."""
        images = [self.stored(name=text) for text in ('a%b', 'aXb', 'a_b', 'a\\b', 'ab', '', None)]
        for text in ('%', '_', '\\', 'a%b', 'a_b', 'a\\b', '\\%', 'b', ''):
            self.assert_filter(images, Filter('name', query.CONTAINS, text))

    def test_contains_compares_casefolded_text(self):
        """IMAGE-LIST-6: 'STRASSE' finds 'straße', and the other way round; beyond ASCII and the BMP."""
        names = ('Hauptstraße 1', 'HAUPTSTRASSE 1', 'hauptstrasse 1', 'ΑΘΗΝΑΣ', 'αθηνας', 'Пингвин', 'İstanbul',
                 '𐐀deseret', 'x🐧Y', None)
        images = [self.stored(name=name) for name in names]
        for text in ('STRASSE', 'straße', 'Strasse', 'ß', 'θΗΝ', 'ΝΑΣ', 'νας', 'пИНГ', 'i̇S', '𐐨DES', '🐧y', 'x🐧', 'q'):
            self.assert_filter(images, Filter('name', query.CONTAINS, text))

    def test_contains_sees_a_changed_name(self):
        """IMAGE-LIST-6: after an update it is the new name that is searched."""
        image = self.stored(name='Before')
        self.change(image.id, name='AFTER')
        self.assertEqual([], self.named(Filter('name', query.CONTAINS, 'before')))
        self.assertEqual(['AFTER'], self.named(Filter('name', query.CONTAINS, 'after')))

    # --- order and pages -----------------------------------------------------------------------------------

    def sortable(self, count: int = 30) -> list[Image]:
        """Images with many ties and NULLs in every sort key; the same ones in every run."""
        rng = random.Random(7)
        images = [self.stored(
            id=str(uuid.UUID(int=rng.getrandbits(128), version=4)), name=rng.choice((None, None, *TRICKY)),
            status=rng.choice(('queued', 'active', 'deactivated')), size=rng.choice((None, 0, 9, 10, 2**63 - 1)),
            container_format=rng.choice((None, 'bare', 'ova')), disk_format=rng.choice((None, 'raw', 'qcow2')))
            for _ in range(count)]
        for n in rng.sample(range(count), count // 2):  # so that updated_at has another order than created_at
            images[n] = self.change(images[n].id, min_ram=n)
        return images

    def walk(self, asked: ImageQuery, limit: int) -> list[str]:
        """All ids, page by page."""
        found: list[str] = []
        page = self.ids(dataclasses.replace(asked, limit=limit))
        while page:
            self.assertLessEqual(len(page), limit)
            found += page
            self.assertLess(len(found), 1000, 'the pages never end')
            page = self.ids(dataclasses.replace(asked, limit=limit, marker=page[-1]))
        return found

    def test_every_sort_key_in_both_directions(self):
        """IMAGE-LIST-2: NULL first ascending and last descending, text by code point, ties by id."""
        images = self.sortable()
        for key, direction, by_id in itertools.product(query.SORT_KEYS, ('asc', 'desc'), ('asc', 'desc')):
            asked = ImageQuery(sort=((key, direction), ('id', by_id)))
            self.assertEqual(oracle.listed(images, self.admin, asked), self.ids(asked), asked.sort)

    def test_pages_over_every_sort_key_meet_every_image_once(self):
        """IMAGE-LIST-2: with marker and limit, across NULLs and ties, in both directions."""
        images = self.sortable()
        for key, direction in itertools.product(query.SORT_KEYS, ('asc', 'desc')):
            asked = ImageQuery(sort=((key, direction), ('id', direction)))
            self.assertEqual(oracle.listed(images, self.admin, asked), self.walk(asked, 4), asked.sort)

    def test_pages_over_mixed_sort_keys_meet_every_image_once(self):
        """IMAGE-LIST-2: several keys, each with a direction of its own."""
        images, rng = self.sortable(), random.Random(8)
        for limit in (1, 3, 7, 29, 30, 31):
            keys = rng.sample([key for key in query.SORT_KEYS if key != 'id'], 3)
            asked = ImageQuery(sort=tuple((key, rng.choice(('asc', 'desc'))) for key in (*keys, 'id')))
            self.assertEqual(oracle.listed(images, self.admin, asked), self.walk(asked, limit), asked.sort)

    def test_pages_of_a_filtered_list_of_an_ordinary_caller(self):
        """IMAGE-LIST-2: visibility, filters and paging together."""
        images = [*self.sortable(12), *(self.stored(owner='p2', visibility=VISIBILITIES[n % 4], name='a')
                                        for n in range(12))]
        shared = [image for image in images if image.owner == 'p2' and image.visibility == 'shared']
        for image in shared:
            self.driver.member_add(self.admin, image.id, self.owner.project_id, status='accepted')
        statuses = {image.id: 'accepted' for image in shared}
        asked = ImageQuery(filters=(Filter('status', query.EQ, 'queued'),),
                           sort=(('disk_format', 'desc'), ('name', 'asc'), ('id', 'desc')))
        wanted = oracle.listed(images, self.owner, asked, statuses)
        found, marker = [], None
        while page := self.ids(dataclasses.replace(asked, limit=3, marker=marker), self.owner):
            found += page
            marker = page[-1]
            self.assertLess(len(found), 100, 'the pages never end')
        self.assertEqual(wanted, found)

    def test_the_default_order_is_the_newest_first(self):
        """IMAGE-LIST-2: created_at descending."""
        images = [self.stored() for _ in range(4)]
        self.assertEqual(oracle.listed(images, self.admin, ImageQuery()), self.ids())

    def test_a_limit_of_nothing_is_an_empty_list(self):
        """IMAGE-LIST-3: limit 0."""
        self.stored()
        self.assertEqual([], self.ids(limit=0))

    def test_no_limit_is_everything(self):
        """IMAGE-LIST-3: limit None; a limit above the number of images too."""
        for _ in range(30):
            self.stored()
        self.assertEqual([30, 30, 29], [len(self.ids(limit=limit)) for limit in (None, 100, 29)])

    def test_an_absent_or_deleted_marker_is_refused(self):
        """IMAGE-LIST-4: InvalidMarker."""
        for marker in (str(uuid.uuid4()), self.deleted().id, 'no-uuid'):
            self.assertRaises(errors.InvalidMarker, self.ids, marker=marker)

    def test_a_marker_that_the_caller_may_not_read_is_refused(self):
        """IMAGE-LIST-4: InvalidMarker, the same as for an absent one."""
        image = self.stored(visibility='private')
        self.assertRaises(errors.InvalidMarker, self.ids, ctx=self.stranger, marker=image.id)

    def test_a_share_that_the_caller_rejected_may_be_the_marker(self):
        """IMAGE-LIST-4: else the list of rejected shares would have no second page."""
        images = [self.stored(owner='p', visibility='shared') for _ in range(3)]
        for image in images:
            self.driver.member_add(self.admin, image.id, 'm', status='rejected')
        asked = ImageQuery(member_status='rejected', visibility='shared', limit=2)
        first = self.ids(asked, caller('m'))
        rest = self.ids(dataclasses.replace(asked, marker=first[-1]), caller('m'))
        self.assertEqual({image.id for image in images}, {*first, *rest})
        self.assertRaises(errors.InvalidMarker, self.ids, ctx=self.stranger, marker=first[-1])

    def test_a_bad_marker_is_refused_whatever_the_limit(self):
        """IMAGE-LIST-4: also where the page would be empty."""
        self.assertRaises(errors.InvalidMarker, self.ids, marker=str(uuid.uuid4()), limit=0)

    def test_a_marker_outside_the_list_is_a_place_in_the_order(self):
        """IMAGE-LIST-4: hidden, killed, another owner's, or of another name: the page begins after it."""
        places = [self.stored(name='a'), self.stored(name='b', os_hidden=True),
                  self.stored(name='b2', status='killed'),
                  self.stored(name='b3', owner='p', visibility='community'), self.stored(name='c')]
        _, *between, last = (image.id for image in places)
        wanted = {marker: [last] for marker in between}
        found = {marker: self.ids(ctx=self.owner, marker=marker, sort=(('name', 'asc'), ('id', 'asc')),
                                  filters=(Filter('name', query.IN, ('a', 'c')),)) for marker in wanted}
        self.assertEqual(wanted, found)

    # --- count ---------------------------------------------------------------------------------------------

    def test_count_is_the_length_of_the_whole_list(self):
        """IMAGE-COUNT-1: for any filters and caller."""
        self.varied()
        for ctx, filters in itertools.product(
                (self.admin, caller('p1'), self.stranger, caller(None)),
                ((), (Filter('name', query.IN, ('a', 'A')),), (Filter('p', query.EQ, '1', kind=query.PROPERTY),))):
            asked = ImageQuery(filters=filters)
            self.assertEqual(len(self.ids(asked, ctx)), self.driver.image_count(ctx, asked, 1000))

    def test_count_looks_at_neither_marker_nor_limit(self):
        """IMAGE-COUNT-1: the total is the same on every page."""
        images = [self.stored() for _ in range(3)]
        asked = ImageQuery(marker=images[0].id, limit=1)
        self.assertEqual(3, self.driver.image_count(self.admin, asked, 10))

    def test_count_stops_at_the_most_that_is_asked_for(self):
        """IMAGE-COUNT-1: counted up to at_most."""
        for _ in range(4):
            self.stored()
        self.assertEqual([0, 3, 4, 4], [self.driver.image_count(self.admin, ImageQuery(), n) for n in (0, 3, 4, 5)])
