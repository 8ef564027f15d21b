"""image_patch: the rule table of both media types (Images API reference, "Update image")."""

from glancelike import errors
from glancelike.api.v2 import image_patch
from glancelike.api.v2.image_patch import V20, V21
from glancelike.api.v2.schemas import Schemas, base_properties
from glancelike.core.location_patch import Edit
from glancelike.model.image import Image
from tests import base

SCHEMAS = Schemas(base_properties(['bare', 'ovf'], ['raw', 'qcow2']))
IMAGE = Image(id='i', properties={'a': '1', 'b': '2'}, tags=frozenset({'t'}))


def changes(*steps, media_type=V21, image=IMAGE):
    return image_patch.changes(image_patch.parse(media_type, list(steps), SCHEMAS), image, SCHEMAS)


def op(op, path, *value):
    return {'op': op, 'path': path, **({'value': value[0]} if value else {})}


class TestMediaType(base.TestCase):

    def test_only_the_two_types_are_taken(self):
        image_patch.check_media_type(V21)
        image_patch.check_media_type(V20)
        for other in ('application/json-patch+json', 'application/json', '', V21 + 'x'):
            self.assertRaises(errors.UnsupportedMediaType, image_patch.check_media_type, other)


class TestForm(base.TestCase):

    def refused(self, step, error=errors.InvalidPatch, media_type=V21):
        return self.assertRaises(error, image_patch.parse, media_type, [step], SCHEMAS)

    def test_a_patch_is_an_array_of_objects(self):
        self.assertRaises(errors.InvalidPatch, image_patch.parse, V21, {}, SCHEMAS)
        for step in (None, 1, 'x', [], [[]]):
            self.refused(step)

    def test_other_operations_are_refused(self):
        for name in ('test', 'move', 'copy', '', None, 1, [], {}):
            self.refused(op(name, '/a', 'x'))

    def test_op_path_and_value_must_be_there(self):
        self.refused({'path': '/a', 'value': 'x'})
        self.refused({'op': 'add', 'value': 'x'})
        self.refused(op('add', '/a'))
        self.refused(op('replace', '/a'))

    def test_v20_has_exactly_one_operation(self):
        self.refused({'value': 'x'}, media_type=V20)
        self.refused({'add': '/a', 'replace': '/a', 'value': 'x'}, media_type=V20)

    def test_bad_pointers_are_refused(self):
        for path in ('', 'a', '/', '//', '/a/', '/a//b', '/a~', '/a~2', '/a/b', '/name/first', 1, None, [], {}):
            self.refused(op('add', path, 'x'))
            self.refused({'add': path, 'value': 'x'}, media_type=V20)

    def test_escapes_are_undone(self):
        self.assertEqual({'x/y~1': 'v'}, changes(op('add', '/x~1y~01', 'v')).set_properties)

    def test_values_are_checked_and_named(self):
        for name, value in (('name', 1), ('name', 'x' * 256), ('min_disk', -1), ('min_disk', True), ('min_ram', 2**31),
                            ('protected', 'yes'), ('visibility', 'all'), ('disk_format', 'x'), ('tags', 'x'),
                            ('tags', [1]), ('anything', 1), ('anything', None), ('anything', {}), ('owner', [])):
            error = self.refused(op('replace', f'/{name}', value))
            self.assertIn(name, str(error))

    def test_names_that_callers_do_not_set_are_forbidden(self):
        for name in ('created_at', 'updated_at', 'status', 'checksum', 'size', 'virtual_size', 'direct_url', 'self',
                     'file', 'schema', 'id', 'os_hash_algo', 'os_hash_value', 'stores', 'location', 'deleted',
                     'deleted_at', 'os_glance_x', 'locations'):
            for one in (op('replace', f'/{name}', 'x'), op('add', f'/{name}', 'x'), op('remove', f'/{name}')):
                self.refused(one, errors.ReservedAttribute)
        self.refused(op('add', '/locations/-', {}), errors.ReservedAttribute)
        self.refused(op('remove', '/locations/0'), errors.ReservedAttribute)


class TestLocations(base.TestCase):
    """Where locations may be changed."""

    VALUE = {'url': 'http://x/y', 'metadata': {'a': 1}}

    def parse(self, *steps, media_type=V21):
        return image_patch.parse(media_type, list(steps), SCHEMAS, locations=True)

    def test_a_position_stands_behind_the_name(self):
        operations = self.parse(op('add', '/locations/-', self.VALUE), op('add', '/locations/10', self.VALUE),
                                op('remove', '/locations/0'), op('replace', '/locations', [self.VALUE]),
                                op('replace', '/name', 'n'))
        self.assertEqual([Edit('add', None, self.VALUE), Edit('add', 10, self.VALUE), Edit('remove', 0),
                          Edit('replace', None, [self.VALUE])], image_patch.location_edits(operations))
        got = image_patch.changes(operations, IMAGE, SCHEMAS)
        self.assertEqual(({'name': 'n'}, {}, frozenset(), None),
                         (got.attributes, got.set_properties, got.remove_properties, got.tags))

    def test_v20_says_the_same(self):
        operations = self.parse({'add': '/locations/-', 'value': self.VALUE}, {'remove': '/locations/1'},
                                {'replace': '/locations', 'value': []}, media_type=V20)
        self.assertEqual([Edit('add', None, self.VALUE), Edit('remove', 1), Edit('replace', None, [])],
                         image_patch.location_edits(operations))

    def test_other_positions_and_depths_are_refused(self):
        for path in ('/locations', '/locations/x', '/locations/-1', '/locations/01', '/locations/+1', '/locations/1.0',
                     '/locations/\u0661', '/locations/1234567', '/locations/0/url', '/locations/-/url'):
            self.assertRaises(errors.InvalidPatch, self.parse, op('add', path, self.VALUE))
            self.assertRaises(errors.InvalidPatch, self.parse, op('remove', path))
        self.assertRaises(errors.InvalidPatch, self.parse, op('remove', '/locations/-'))
        self.assertRaises(errors.InvalidPatch, self.parse, op('replace', '/locations/0', self.VALUE))

    def test_values_are_checked(self):
        hashes = {'os_hash_algo': 'sha512', 'os_hash_value': 'a'}
        for value in (None, 'x', [], {}, {'url': 'x'}, {'metadata': {}}, {**self.VALUE, 'url': 1},
                      {**self.VALUE, 'url': 'x' * 256}, {**self.VALUE, 'metadata': []},
                      {**self.VALUE, 'validation_data': {}}, {**self.VALUE, 'validation_data': {**hashes, 'x': 'y'}},
                      {**self.VALUE, 'validation_data': {**hashes, 'checksum': 'a' * 31}}):
            self.assertRaises(errors.InvalidPatch, self.parse, op('add', '/locations/-', value))
            self.assertRaises(errors.InvalidPatch, self.parse, op('replace', '/locations', [value]))
        self.assertRaises(errors.InvalidPatch, self.parse, op('replace', '/locations', self.VALUE))
        self.parse(op('add', '/locations/-', {**self.VALUE, 'validation_data': hashes}))


class TestChanges(base.TestCase):

    def test_attributes_properties_and_tags_are_told_apart(self):
        got = changes(op('replace', '/name', 'n'), op('replace', '/a', '9'), op('add', '/c', '3'),
                      op('remove', '/b'), op('replace', '/tags', ['x', 'y', 'x']))
        self.assertEqual({'name': 'n'}, got.attributes)
        self.assertEqual({'a': '9', 'c': '3'}, got.set_properties)
        self.assertEqual(frozenset({'b'}), got.remove_properties)
        self.assertEqual(frozenset({'x', 'y'}), got.tags)

    def test_an_empty_patch_changes_nothing(self):
        self.assertFalse(changes())

    def test_what_is_not_named_is_not_in_the_changes(self):
        got = changes(op('replace', '/name', 'n'))
        self.assertEqual(({}, frozenset(), None), (got.set_properties, got.remove_properties, got.tags))

    def test_operations_follow_each_other(self):
        self.assertFalse(changes(op('add', '/c', '3'), op('remove', '/c')))
        self.assertEqual({'a': '3'}, changes(op('remove', '/a'), op('add', '/a', '3')).set_properties)
        self.assertRaises(errors.PropertyMissing, changes, op('remove', '/a'), op('replace', '/a', 'x'))

    def test_a_missing_property_is_a_conflict(self):
        self.assertRaises(errors.PropertyMissing, changes, op('replace', '/zzz', 'x'))
        self.assertRaises(errors.PropertyMissing, changes, op('remove', '/zzz'))

    def test_an_add_overwrites_in_v21_only(self):
        self.assertEqual({'a': '9'}, changes(op('add', '/a', '9')).set_properties)
        self.assertEqual({'name': 'x'}, changes(op('add', '/name', 'x')).attributes)
        self.assertRaises(errors.PropertyExists, changes, {'add': '/a', 'value': '9'}, media_type=V20)
        self.assertRaises(errors.PropertyExists, changes, {'add': '/name', 'value': 'x'}, media_type=V20)
        self.assertEqual({'c': '9'}, changes({'add': '/c', 'value': '9'}, media_type=V20).set_properties)

    def test_attributes_cannot_be_removed(self):
        for name in ('name', 'tags', 'visibility', 'owner'):
            self.assertRaises(errors.Forbidden, changes, op('remove', f'/{name}'))

    def test_v20_replaces_and_removes(self):
        got = changes({'replace': '/a', 'value': '9'}, {'remove': '/b'}, media_type=V20)
        self.assertEqual(({'a': '9'}, frozenset({'b'})), (got.set_properties, got.remove_properties))
