"""schemas, views and conditions: what is published, shown and compared."""

import dataclasses
import datetime
import json
from pathlib import Path

from glancelike import errors
from glancelike.api.v2 import conditions, views
from glancelike.api.v2.schemas import Schemas, base_properties, read_extra_properties
from glancelike.context import RequestContext
from glancelike.model.image import Image, ImportState, Location
from glancelike.wsgi.request import Request
from tests import base

ROOT = Path(__file__).resolve().parents[4]
NOON = datetime.datetime(2026, 1, 2, 12, 0, 0, 999, tzinfo=datetime.UTC)
IMAGE = Image(id='i', version=7, created_at=NOON, updated_at=NOON, properties={'kernel_id': '', 'x': ''},
              locations=(Location('cold://1', 'cold'), Location('fast://1', 'fast', {'a': 1})))
CTX = RequestContext(project_id='p')


def schemas(extra=None):
    return Schemas(base_properties(['bare'], ['raw']), extra)


class TestSchemas(base.TestCase):

    def written(self, document):
        path = self.tmp / 'schema-image.json'
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return str(path)

    def test_the_shipped_file_is_read(self):
        extra = read_extra_properties(str(ROOT / 'etc' / 'schema-image.json'))
        self.assertEqual({'architecture', 'description', 'instance_uuid', 'kernel_id', 'os_distro', 'os_version',
                          'ramdisk_id'}, set(extra['properties']))
        self.assertEqual({'kernel_id', 'ramdisk_id'}, schemas(extra).nullable)

    def test_both_forms_are_read(self):
        flat = read_extra_properties(self.written({'a': {'type': 'string'}}))
        extended = read_extra_properties(self.written({'properties': {'a': {'type': 'string'}}, 'required': ['a']}))
        self.assertEqual({'a': {'type': 'string', 'is_base': False}}, flat['properties'])
        self.assertEqual(flat['properties'], extended['properties'])
        self.assertRaises(errors.InvalidBody, schemas(extended).check_new, {'name': 'x'})
        schemas(extended).check_new({'a': 'x'})

    def test_an_unusable_file_stops_the_start_and_is_named(self):
        for text in ('{', '[]', '{"a": 1}', '{"a": {"type": "nothing"}}', '{"properties": {}, "required": ["a"]}'):
            path = self.written(text)
            self.assertIn(path, str(self.assertRaises(errors.ConfigurationError, read_extra_properties, path)))

    def test_a_base_name_in_the_file_stops_the_start(self):
        self.assertRaises(errors.ConfigurationError, schemas,
                          {'properties': {'name': {'type': 'string'}}, 'required': []})

    def test_a_wrong_value_is_named_with_its_field(self):
        error = self.assertRaises(errors.InvalidBody, schemas().check_new, {'min_disk': 'ten'})
        self.assertIn("'min_disk'", str(error))
        self.assertIn('"ten"', str(error))

    def test_the_plain_check_and_jsonschema_agree(self):
        extra = {'properties': {'flag': {'type': 'boolean'}, 'odd': {'type': 'string', 'minLength': 2}},
                 'required': ['flag']}
        made = schemas(extra)
        values = ('', 'x', 'raw', 'x' * 255, 'x' * 256, None, True, 0, 1, -1, 2**31, 1.0, [], ['t'], [1], ['t' * 256],
                  {})
        for name in ('name', 'visibility', 'disk_format', 'protected', 'min_ram', 'tags', 'flag', 'odd', 'other'):
            for value in values:
                document = {'flag': True, name: value}
                fits = made._image.is_valid(document)
                self.assertFalse(made._fits_plainly(document) and not fits, document)
                if fits:
                    made.check_new(document)
                else:
                    self.assertRaises(errors.InvalidBody, made.check_new, document)
        self.assertTrue(made._fits_plainly({'name': 'n', 'disk_format': 'raw', 'min_ram': 1, 'tags': ['t'],
                                            'other': 'x', 'flag': True, 'visibility': 'private', 'protected': False}))
        self.assertFalse(made._fits_plainly({'name': 'n'}))  # a required one is missing

    def test_other_properties_can_be_refused(self):
        strict = Schemas(base_properties(['bare'], ['raw']), more_properties=False)
        self.assertIn("'x'", str(self.assertRaises(errors.InvalidPatch, strict.check_value, 'x', 'y')))
        self.assertRaises(errors.InvalidBody, strict.check_new, {'x': 'y'})
        strict.check_new({'name': 'x'})

    def test_names_that_callers_do_not_set_are_forbidden(self):
        for name in ('size', 'status', 'self', 'locations', 'os_glance_x', 'deleted', 'location', 'stores'):
            self.assertRaises(errors.ReservedAttribute, schemas().check_new, {name: 'x'})

    def test_the_schemas_of_lists_hold_the_schema_of_their_items(self):
        made = schemas()
        self.assertEqual(made.image, made.images['properties']['images']['items'])
        self.assertEqual(made.member, made.members['properties']['members']['items'])


class TestImageView(base.TestCase):

    def document(self, image=IMAGE, allowed=True, ctx=CTX, **keywords):
        def shown(ctx, image):
            return [image.locations[1], image.locations[0]] if allowed else []
        return views.ImageView(shown, nullable=frozenset({'kernel_id'}), **keywords).document(ctx, image)

    def test_urls_are_relative_and_times_are_to_the_second(self):
        got = self.document()
        self.assertEqual(('/v2/images/i', '/v2/images/i/file', '/v2/schemas/image', '2026-01-02T12:00:00Z'),
                         (got['self'], got['file'], got['schema'], got['created_at']))

    def test_an_empty_property_that_may_be_null_is_null(self):
        self.assertEqual((None, ''), (self.document()['kernel_id'], self.document()['x']))

    def test_locations_are_shown_by_options_only(self):
        self.assertEqual(set(), {'locations', 'direct_url', 'stores'} & set(self.document()))

    def test_the_direct_url_is_the_preferred_copy(self):
        self.assertEqual('fast://1', self.document(direct_url=True)['direct_url'])

    def test_stores_and_locations_of_several_stores(self):
        got = self.document(all_locations=True, several_stores=True)
        self.assertEqual('cold,fast', got['stores'])
        self.assertEqual([{'url': 'cold://1', 'metadata': {'store': 'cold'}},
                          {'url': 'fast://1', 'metadata': {'a': 1, 'store': 'fast'}}], got['locations'])

    def test_stores_are_sorted_and_each_is_there_once(self):
        turned = dataclasses.replace(IMAGE, locations=(*IMAGE.locations[::-1], Location('cold://2', 'cold')))
        got = views.ImageView(lambda ctx, image: list(image.locations), several_stores=True).document(CTX, turned)
        self.assertEqual('cold,fast', got['stores'])

    def test_a_queued_image_names_the_web_store_whose_data_were_refused(self):
        image = dataclasses.replace(IMAGE, status='queued', locations=(),
                                    import_state=ImportState(failed=('fast', 'web')))
        views_of_web = {'several_stores': True, 'read_only': frozenset({'web'})}
        self.assertEqual('web', self.document(image, allowed=False, **views_of_web)['stores'])
        self.assertNotIn('stores', self.document(image, allowed=False, read_only=frozenset({'web'})))
        self.assertNotIn('stores', self.document(image, allowed=False, several_stores=True))

    def test_who_may_not_see_locations_sees_none(self):
        got = self.document(allowed=False, all_locations=True, several_stores=True, direct_url=True)
        self.assertEqual([], got.pop('locations'))
        self.assertEqual(set(), {'direct_url', 'stores'} & set(got))

    def test_links_keep_repeated_parameters(self):
        got = views.image_list([], [('tag', 'a'), ('tag', 'b&c')], next_marker='m', total=None, total_is_exact=True)
        self.assertEqual('/v2/images?tag=a&tag=b%26c', got['first'])
        self.assertEqual('/v2/images?tag=a&tag=b%26c&marker=m', got['next'])


class TestConditions(base.TestCase):

    def versions(self, header):
        return conditions.matched_versions(Request.blank('/', headers={'If-Match': header}), 'i')

    def test_if_match_gives_versions_of_this_image(self):
        self.assertEqual([7], self.versions('"i-7"'))
        self.assertEqual([7], self.versions('W/"i-7"'))
        self.assertEqual([7, 8], self.versions('"i-7", "j-5", "i-8"'))
        self.assertIsNone(self.versions('*'))
        self.assertIsNone(conditions.matched_versions(Request.blank('/'), 'i'))

    def test_an_if_match_of_nothing_of_ours_never_holds(self):
        for header in ('"j-7"', 'garbage', '""', '', '"i-' + '9' * 5000 + '"', '"i--1"'):
            self.assertEqual([conditions.NO_VERSION], self.versions(header), header)

    def test_several_versions_are_narrowed_to_the_present_one(self):
        self.assertEqual(7, conditions.one_version([6, 7], lambda: IMAGE))
        self.assertEqual(conditions.NO_VERSION, conditions.one_version([5, 6], lambda: IMAGE))

    def test_none_match(self):
        for header, expected in (('"x"', True), ('W/"x"', True), ('*', True), ('"y", "x"', True), ('"y"', False)):
            self.assertEqual(expected, conditions.none_match(
                Request.blank('/', headers={'If-None-Match': header}), '"x"'), header)
