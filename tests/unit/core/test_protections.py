"""Property protections applied to documents and change sets."""

from testtools.matchers import Equals, Is

from glancelike import errors
from glancelike.core.protections import Protections
from glancelike.model.image import Image, ImageChanges
from tests import base
from tests.unit.core.built import ADMIN, OWNER, Rules, member_of

NOVA = member_of('owner', 'nova')
TABLE = {
    'full': dict.fromkeys(('create', 'read', 'update', 'delete'), ['member']),
    'hidden': {'create': ['member'], 'read': ['nova'], 'update': ['member'], 'delete': ['member']},
    'look': {'read': ['member']},
    'nobody': {},
}


class ProtectionsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.protections = Protections(Rules(TABLE))
        self.image = Image('id', properties=dict.fromkeys([*TABLE, 'os_glance_import_task', 'os_glance_stage_host'],
                                                          'value'))
        self.empty = Image('id')

    def changes(self, error, image, set_name=None, removed_name=None, ctx=OWNER):
        changes = ImageChanges(set_properties={set_name: 'x'} if set_name else {},
                               remove_properties=frozenset({removed_name} if removed_name else ()))
        if error is None:
            self.protections.check_changes(ctx, image, changes)
        else:
            self.assertThat(type(self.assertRaises(errors.GlanceError, self.protections.check_changes, ctx, image,
                                                   changes)), Is(error))

    def test_a_document_has_what_the_caller_may_read(self):
        self.assertThat(sorted(self.protections.readable(OWNER, self.image).properties),
                        Equals(['full', 'look', 'os_glance_import_task']))
        self.assertThat(sorted(self.protections.readable(NOVA, self.image).properties),
                        Equals(['full', 'hidden', 'look', 'os_glance_import_task']))

    def test_the_stored_image_is_not_touched(self):
        self.protections.readable(OWNER, self.image)
        self.assertThat(len(self.image.properties), Equals(6))

    def test_an_image_with_nothing_to_hide_is_the_same_object(self):
        self.assertThat(self.protections.readable(OWNER, self.empty), Is(self.empty))

    def test_without_protection_everything_but_node_addresses_is_readable(self):
        self.assertThat(sorted(Protections().readable(OWNER, self.image).properties),
                        Equals(['full', 'hidden', 'look', 'nobody', 'os_glance_import_task']))

    def test_administrators_are_held_to_the_rules_too(self):
        self.assertThat('nobody' in self.protections.readable(ADMIN, self.image).properties, Is(False))

    def test_a_new_image_needs_create_only(self):
        self.protections.check_create(OWNER, ['full', 'hidden', 'other'])
        for name in ('look', 'nobody'):
            self.assertRaises(errors.ProtectedProperty, self.protections.check_create, OWNER, ['full', name])

    def test_names_of_the_service_are_set_by_nobody(self):
        for protections in (self.protections, Protections()):
            self.assertRaises(errors.ReservedAttribute, protections.check_create, ADMIN, ['os_glance_x'])
            for changes in (ImageChanges(set_properties={'os_glance_import_task': 'x'}),
                            ImageChanges(remove_properties=frozenset({'os_glance_import_task'}))):
                self.assertRaises(errors.ReservedAttribute, protections.check_changes, ADMIN, self.image, changes)

    def test_setting_an_absent_property_needs_create_and_read(self):
        self.changes(None, self.empty, 'full')
        self.changes(errors.ProtectedProperty, self.empty, 'look')
        self.changes(errors.ProtectedProperty, self.empty, 'hidden')

    def test_setting_a_present_property_needs_update_and_read(self):
        self.changes(None, self.image, 'full')
        self.changes(errors.ProtectedProperty, self.image, 'look')
        self.changes(errors.ProtectedProperty, self.image, 'hidden')

    def test_removing_needs_delete(self):
        self.changes(None, self.image, removed_name='full')
        self.changes(errors.ProtectedProperty, self.image, removed_name='look')

    def test_removing_what_is_hidden_is_removing_what_is_absent(self):
        self.changes(errors.PropertyMissing, self.image, removed_name='hidden')
        self.changes(errors.PropertyMissing, self.empty, removed_name='hidden')

    def test_filters_are_allowed_on_what_is_readable(self):
        allowed = {name: self.protections.may_filter(OWNER, name)
                   for name in ('full', 'hidden', 'nobody', 'os_glance_stage_host')}
        self.assertThat(allowed, Equals({'full': True, 'hidden': False, 'nobody': False,
                                         'os_glance_stage_host': False}))
