"""Changing an image: what may be changed, what stays hidden, and what happens when two do it at once."""

import threading

from testtools.matchers import Equals, Is

from glancelike import errors
from glancelike.core.quotas import Quotas
from glancelike.model.image import ImageChanges
from tests.unit.core.built import ADMIN, FRIEND, OWNER, STRANGER, CoreTestCase, member_of


class PatchTest(CoreTestCase):

    def setUp(self):
        super().setUp()
        self.image = self.new_image(properties={'a': '1'}, tags=['t'], name='old')
        self.events.sent.clear()

    def patch(self, ctx=OWNER, if_version=None, **fields):
        return self.images.patch(ctx, self.image.id, self.change(**fields), if_version)

    def refused(self, error, ctx=OWNER, **fields):
        before = self.stored(self.image.id)
        caught = self.assertRaises(error, self.patch, ctx, **fields)
        self.assertThat(self.stored(self.image.id), Equals(before))
        self.assertThat(self.events.types, Equals([]))
        return str(caught)

    def test_only_what_is_named_changes(self):
        image = self.patch(attributes={'name': 'new'}, set_properties={'b': '2'})
        self.assertThat((image.name, dict(image.properties), image.tags, image.version),
                        Equals(('new', {'a': '1', 'b': '2'}, frozenset('t'), 2)))
        self.assertThat(self.events.types, Equals(['image.update']))

    def test_properties_are_removed_and_tags_replaced(self):
        image = self.patch(remove_properties=frozenset('a'), tags=frozenset('xy'))
        self.assertThat((dict(image.properties), image.tags), Equals(({}, frozenset('xy'))))

    def test_no_changes_write_nothing(self):
        self.assertThat(self.patch().version, Equals(1))
        self.assertThat(self.events.types, Equals([]))

    def test_an_absent_property_cannot_be_removed(self):
        self.refused(errors.PropertyMissing, remove_properties=frozenset('z'))

    def test_what_the_builder_raises_comes_out(self):
        def build(image):
            raise errors.InvalidPatch(reason='no')
        self.assertRaises(errors.InvalidPatch, self.images.patch, OWNER, self.image.id, build, None)

    def test_others_may_not_change_it(self):
        self.refused(errors.ImageNotFound, STRANGER, attributes={'name': 'x'})
        self.db.member_add(OWNER, self.image.id, 'friend')
        self.refused(errors.Forbidden, FRIEND, attributes={'name': 'x'})
        self.refused(errors.ReadOnlyContext, self.read_only(OWNER), attributes={'name': 'x'})

    def test_the_service_sets_what_is_its_own(self):
        for name in ('status', 'size', 'checksum', 'virtual_size', 'os_hash_algo', 'id', 'created_at', 'nonsense'):
            self.refused(errors.ReservedAttribute, attributes={name: None})
        self.refused(errors.ReservedAttribute, ADMIN, set_properties={'os_glance_x': 'y'})
        self.refused(errors.ReservedAttribute, ADMIN, set_properties={'deleted': 'y'})

    def test_values_are_checked(self):
        self.refused(errors.Invalid, attributes={'min_disk': -1})
        self.refused(errors.Invalid, set_properties={'x' * 256: ''})
        self.refused(errors.Invalid, set_properties={'x': 5})
        self.refused(errors.Invalid, tags=frozenset({'x' * 256}))

    def test_the_owner_is_changed_by_administrators_only(self):
        self.refused(errors.Forbidden, attributes={'owner': 'friend'})
        self.refused(errors.Forbidden, attributes={'owner': 'owner'})
        self.assertThat(self.patch(ADMIN, attributes={'owner': 'friend'}).owner, Equals('friend'))

    def test_formats_are_changed_until_data_are_looked_at(self):
        self.patch(attributes={'disk_format': 'raw', 'container_format': 'bare'})
        self.db.image_update(ADMIN, self.image.id, ImageChanges({'status': 'uploading'}))  # as staging does
        self.patch(attributes={'disk_format': 'qcow2'})
        self.db.image_update(ADMIN, self.image.id, ImageChanges({'status': 'importing'}))
        self.events.sent.clear()
        for name in ('disk_format', 'container_format'):
            self.refused(errors.Forbidden, ADMIN, attributes={name: None})
        self.db.image_update(ADMIN, self.image.id, ImageChanges({'status': 'active'}))
        for name in ('disk_format', 'container_format'):
            self.refused(errors.Forbidden, ADMIN, attributes={name: None})

    def test_visibility_needs_its_policies(self):
        self.refused(errors.Forbidden, attributes={'visibility': 'public'})
        self.assertThat(self.patch(attributes={'visibility': 'community'}).visibility, Equals('community'))
        self.assertThat(self.patch(ADMIN, attributes={'visibility': 'public'}).visibility, Equals('public'))

    def test_quotas_hold_but_let_an_overfull_image_shrink(self):
        self.patch(set_properties=dict.fromkeys('bcd', ''), tags=frozenset('wxyz'))
        self.events.sent.clear()
        self.build(quotas=Quotas(properties=2, tags=2))
        self.refused(errors.QuotaExceeded, set_properties={'e': ''})
        self.refused(errors.QuotaExceeded, tags=frozenset('vwxyz'))
        self.patch(remove_properties=frozenset('d'), tags=frozenset('xyz'))
        self.patch(set_properties={'a': 'new value'})

    def test_another_version_is_a_failed_precondition(self):
        self.patch(attributes={'name': 'other'})
        self.events.sent.clear()
        self.refused(errors.PreconditionFailed, attributes={'name': 'mine'}, if_version=1)
        self.assertThat(self.patch(attributes={'name': 'mine'}, if_version=2).version, Equals(3))


class ProtectedPatchTest(CoreTestCase):
    """Who may not read a property neither learns of it nor changes it."""

    RULES = {
        'secret': {'create': ['member', 'nova'], 'read': ['nova'], 'update': ['member', 'nova'],
                   'delete': ['member', 'nova']},
        'fixed': {'create': ['nova'], 'read': ['member', 'nova'], 'update': ['nova'], 'delete': ['nova']},
    }
    NOVA = member_of('owner', 'nova')

    def setUp(self):
        super().setUp()
        self.build(rules=self.RULES)
        self.image = self.new_image(self.NOVA, {'secret': '1', 'fixed': '1', 'free': '1'})
        self.plain = self.new_image(self.NOVA)

    def patch(self, image, ctx=OWNER, **fields):
        return self.images.patch(ctx, image.id, self.change(**fields), None)

    def answer(self, image, **fields):
        error = self.assertRaises(errors.GlanceError, self.patch, image, **fields)
        return type(error), str(error).replace(image.id, 'ID')

    def test_the_builder_does_not_see_a_hidden_property(self):
        seen = []

        def build(image):
            seen.append(dict(image.properties))
            return ImageChanges()
        self.images.patch(OWNER, self.image.id, build, None)
        self.assertThat(seen, Equals([{'fixed': '1', 'free': '1'}]))

    def test_setting_a_hidden_property_says_the_same_whether_or_not_it_is_there(self):
        self.assertThat(self.answer(self.image, set_properties={'secret': 'x'}),
                        Equals(self.answer(self.plain, set_properties={'secret': 'x'})))
        self.assertThat(self.answer(self.image, set_properties={'secret': 'x'})[0], Is(errors.ProtectedProperty))
        self.assertThat(self.stored(self.image.id).properties['secret'], Equals('1'))

    def test_removing_a_hidden_property_says_that_it_is_absent(self):
        self.assertThat(self.answer(self.image, remove_properties=frozenset({'secret'})),
                        Equals(self.answer(self.plain, remove_properties=frozenset({'secret'}))))
        self.assertThat(self.stored(self.image.id).properties['secret'], Equals('1'))

    def test_other_changes_leave_hidden_properties_alone(self):
        self.patch(self.image, attributes={'name': 'x'}, set_properties={'free': '2'}, tags=frozenset('t'))
        self.assertThat(dict(self.stored(self.image.id).properties), Equals({'secret': '1', 'fixed': '1', 'free': '2'}))

    def test_update_delete_and_create_need_their_permission(self):
        for fields in ({'set_properties': {'fixed': '2'}}, {'remove_properties': frozenset({'fixed'})}):
            self.assertThat(self.answer(self.image, **fields)[0], Is(errors.ProtectedProperty))
        self.assertThat(self.answer(self.plain, set_properties={'fixed': '2'})[0], Is(errors.ProtectedProperty))

    def test_the_trusted_role_may_all_of_it(self):
        self.patch(self.image, self.NOVA, set_properties={'secret': '2', 'fixed': '2'})
        self.patch(self.image, self.NOVA, remove_properties=frozenset({'secret', 'fixed'}))
        self.patch(self.image, self.NOVA, set_properties={'secret': '3'})
        self.assertThat(dict(self.stored(self.image.id).properties), Equals({'secret': '3', 'free': '1'}))

    def test_the_quota_message_does_not_count_hidden_properties(self):
        self.build(rules=self.RULES, quotas=Quotas(properties=2))
        self.assertThat(self.answer(self.image, set_properties={'x': '', 'y': ''})[1],
                        Equals('Quota of image properties exceeded: 2 allowed, 4 wanted.'))


class ConcurrentPatchTest(CoreTestCase):
    """Two writers: nobody's change is lost, and nobody overwrites what it has not seen."""

    def setUp(self):
        super().setUp()
        self.image = self.new_image(properties={'a': '1', 'b': '1'})

    def interrupted(self, mine, theirs, times=1, if_version=None):
        """Patch with *mine* while somebody else writes *theirs* between our reading and our writing."""
        calls = []

        def build(image):
            calls.append(image)
            if len(calls) <= times:
                self.db.image_update(ADMIN, self.image.id, theirs(len(calls)))
            return mine
        try:
            return self.images.patch(OWNER, self.image.id, build, if_version)
        finally:
            self.built = len(calls)

    def test_changes_of_different_properties_are_merged(self):
        image = self.interrupted(ImageChanges(set_properties={'a': 'mine'}),
                                 lambda turn: ImageChanges(set_properties={'b': 'theirs'}))
        self.assertThat(dict(image.properties), Equals({'a': 'mine', 'b': 'theirs'}))
        self.assertThat(self.built, Equals(2))

    def test_the_same_property_is_a_conflict(self):
        self.assertRaises(errors.VersionConflict, self.interrupted, ImageChanges(set_properties={'a': 'mine'}),
                          lambda turn: ImageChanges(set_properties={'a': 'theirs'}))
        self.assertThat(self.stored(self.image.id).properties['a'], Equals('theirs'))

    def test_the_same_property_appearing_or_vanishing_is_a_conflict(self):
        self.assertRaises(errors.VersionConflict, self.interrupted, ImageChanges(set_properties={'new': 'mine'}),
                          lambda turn: ImageChanges(set_properties={'new': 'theirs'}))
        self.assertRaises(errors.VersionConflict, self.interrupted, ImageChanges(set_properties={'a': 'mine'}),
                          lambda turn: ImageChanges(remove_properties=frozenset('a')))

    def test_the_same_attribute_is_a_conflict_another_is_not(self):
        self.assertRaises(errors.VersionConflict, self.interrupted, ImageChanges({'name': 'mine'}),
                          lambda turn: ImageChanges({'name': 'theirs'}))
        image = self.interrupted(ImageChanges({'min_ram': 5}), lambda turn: ImageChanges({'min_disk': 6}))
        self.assertThat((image.min_ram, image.min_disk), Equals((5, 6)))

    def test_tags_changed_by_somebody_else_are_a_conflict(self):
        self.assertRaises(errors.VersionConflict, self.interrupted, ImageChanges(tags=frozenset('m')),
                          lambda turn: ImageChanges(tags=frozenset('t')))

    def test_the_same_value_written_by_both_is_no_conflict_when_nothing_differs(self):
        image = self.interrupted(ImageChanges(set_properties={'a': '1'}), lambda turn: ImageChanges({'name': 'x'}))
        self.assertThat(image.version, Equals(3))

    def test_a_change_seen_late_is_compared_with_what_was_seen_first(self):
        def theirs(turn):
            return ImageChanges(set_properties={'b': str(turn)} if turn == 1 else {'a': 'theirs'})
        self.assertRaises(errors.VersionConflict, self.interrupted, ImageChanges(set_properties={'a': 'mine'}), theirs,
                          times=2)

    def test_with_if_version_any_other_change_fails_the_precondition(self):
        self.assertRaises(errors.PreconditionFailed, self.interrupted, ImageChanges(set_properties={'a': 'mine'}),
                          lambda turn: ImageChanges(set_properties={'b': 'theirs'}), if_version=1)
        self.assertThat(self.built, Equals(1))

    def test_a_changed_status_is_checked_again(self):
        self.db.image_update(ADMIN, self.image.id, ImageChanges({'disk_format': 'raw', 'container_format': 'bare'}))
        self.assertRaises(errors.Forbidden, self.interrupted, ImageChanges({'disk_format': 'qcow2'}),
                          lambda turn: ImageChanges({'status': 'active'}))

    def test_an_image_that_never_rests_is_a_conflict_after_ten_tries(self):
        self.assertRaises(errors.VersionConflict, self.interrupted, ImageChanges(set_properties={'a': 'mine'}),
                          lambda turn: ImageChanges(set_properties={'b': str(turn)}), times=99)
        self.assertThat(self.built, Equals(10))

    def test_an_image_deleted_meanwhile_is_not_found(self):
        def build(image):
            self.db.image_delete(ADMIN, self.image.id)
            return ImageChanges(set_properties={'a': 'mine'})
        self.assertRaises(errors.ImageNotFound, self.images.patch, OWNER, self.image.id, build, None)

    def race(self, writers, write):
        """Run write(number) in that many threads at once; returns what each returned or raised."""
        outcomes = [None] * writers
        start = threading.Barrier(writers)

        def work(number):
            start.wait()
            try:
                outcomes[number] = write(number)
            except errors.GlanceError as error:
                outcomes[number] = error
        threads = [threading.Thread(target=work, args=(number,)) for number in range(writers)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        return outcomes

    def test_of_many_writers_with_one_version_exactly_one_wins(self):
        outcomes = self.race(8, lambda number: self.images.patch(
            OWNER, self.image.id, self.change(set_properties={f'p{number}': 'x'}), 1))
        self.assertThat(sum(not isinstance(one, errors.PreconditionFailed) for one in outcomes), Equals(1))
        self.assertThat(self.stored(self.image.id).version, Equals(2))

    def test_many_writers_of_different_properties_all_find_their_change(self):
        outcomes = self.race(4, lambda number: [self.images.patch(
            OWNER, self.image.id, self.change(set_properties={f'p{number}': str(turn)}), None) for turn in range(5)])
        self.assertThat([one for one in outcomes if isinstance(one, Exception)], Equals([]))
        self.assertThat([self.stored(self.image.id).properties[f'p{number}'] for number in range(4)],
                        Equals(['4'] * 4))

    def test_every_increment_of_one_property_counts(self):
        def increment(image):
            return ImageChanges(set_properties={'a': str(int(image.properties['a']) + 1)})

        def until_done(number):
            while True:
                try:
                    return self.images.patch(OWNER, self.image.id, increment, None)
                except errors.VersionConflict:
                    pass
        self.race(6, until_done)
        self.assertThat(self.stored(self.image.id).properties['a'], Equals('7'))
