"""Images one by one: create, get, update."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import uuid

from glancelike.compliance.db.case import DbCase, caller
from glancelike.plugin import Image, ImageChanges, ImportState, errors, visibility


class ImageSuite(DbCase):
    """IMAGE-CREATE, IMAGE-GET and IMAGE-UPDATE."""

    # --- create --------------------------------------------------------------------------------------------

    def test_create_sets_both_times_to_the_same_moment(self):
        """IMAGE-CREATE-1: created_at and updated_at are set and equal."""
        image = self.stored()
        self.assertIsNotNone(image.created_at)
        self.assertEqual(image.created_at, image.updated_at)

    def test_create_begins_with_version_one_whatever_was_given(self):
        """IMAGE-CREATE-1: version is 1; times and version of the given image are ignored."""
        old = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
        image = self.stored(version=7, created_at=old, updated_at=old)
        self.assertEqual(1, image.version)
        self.assertGreater(image.created_at, old)

    def test_create_stores_every_field_as_given(self):
        """IMAGE-CREATE-1: everything but times, version and ids of locations is stored as given."""
        given = self.full_image()
        self.driver.image_create(self.owner, given)
        found = self.get(given.id)
        ids = [place.id for place in found.locations]
        wanted = dataclasses.replace(
            given, created_at=found.created_at, updated_at=found.updated_at,
            locations=tuple(dataclasses.replace(place, id=place_id)
                            for place, place_id in zip(given.locations, ids, strict=True)))
        self.assert_same_image(wanted, found)

    def test_create_gives_every_location_an_id_of_its_own(self):
        """IMAGE-CREATE-1: every location has an id, no two the same."""
        ids = [place.id for image in (self.full_image(), self.full_image())
               for place in self.driver.image_create(self.admin, image).locations]
        self.assertNotIn(None, ids)
        self.assertEqual(6, len(set(ids)))

    def test_create_leaves_what_was_not_given_empty(self):
        """IMAGE-CREATE-1: None stays None, no default of the database comes in its place."""
        given = Image(id=str(uuid.uuid4()))
        found = self.driver.image_create(self.admin, given)
        self.assert_same_image(
            dataclasses.replace(given, created_at=found.created_at, updated_at=found.updated_at), found)

    def test_create_returns_what_get_returns(self):
        """IMAGE-CREATE-1: the returned image is the stored one."""
        created = self.driver.image_create(self.owner, self.full_image())
        self.assert_same_image(created, self.driver.image_get(self.owner, created.id))

    def test_create_with_a_taken_id_stores_nothing(self):
        """IMAGE-CREATE-2: ImageExists, and the first image stays as it was."""
        first = self.stored(name='first', tags=frozenset({'one'}), properties={'p': '1'})
        second = Image(id=first.id, name='second', tags=frozenset({'two'}), properties={'p': '2', 'q': '2'})
        self.assertRaises(errors.ImageExists, self.driver.image_create, self.admin, second)
        self.assert_unchanged(first)

    def test_create_with_the_id_of_a_deleted_image_is_refused(self):
        """IMAGE-CREATE-2: a deleted image keeps its id."""
        gone = self.deleted()
        self.assertRaises(errors.ImageExists, self.driver.image_create, self.admin, Image(id=gone.id))

    def test_of_several_creates_with_one_id_one_wins(self):
        """IMAGE-CREATE-2: also when they come at once."""
        image_id = str(uuid.uuid4())
        images = [Image(id=image_id, name=str(n)) for n in range(4)]
        results = self.race(*(lambda image=image: self.driver.image_create(self.admin, image)
                              for image in images))
        self.assert_one_winner(results, errors.ImageExists)

    # --- get -----------------------------------------------------------------------------------------------

    def test_get_of_an_absent_image_is_not_found(self):
        """IMAGE-GET-1: absent."""
        self.assertRaises(errors.ImageNotFound, self.driver.image_get, self.admin, str(uuid.uuid4()))

    def test_get_of_a_deleted_image_is_not_found(self):
        """IMAGE-GET-1: deleted, for an administrator too."""
        self.assertRaises(errors.ImageNotFound, self.driver.image_get, self.admin, self.deleted().id)

    def test_get_obeys_the_visibility_rule_for_every_kind_of_caller(self):
        """IMAGE-GET-2: found exactly where visibility.readable says so."""
        callers = [self.admin, self.owner, caller(None)]
        members = {status: caller(f'{status}-project') for status in ('pending', 'accepted', 'rejected')}
        wanted, found = {}, {}
        for shown, owner in itertools.product(('public', 'community', 'shared', 'private'),
                                              (self.owner.project_id, None)):
            image = self.stored(visibility=shown, owner=owner)
            for status, member in members.items():
                self.driver.member_add(self.admin, image.id, member.project_id, status=status)
            for ctx, status in [(ctx, None) for ctx in callers] + [(m, s) for s, m in members.items()]:
                case = (shown, owner, ctx.user_id)
                wanted[case] = visibility.readable(ctx, image, status)
                found[case] = self.reads(ctx, image)
        self.assertEqual(wanted, found)

    def reads(self, ctx, image) -> bool:
        try:
            return self.driver.image_get(ctx, image.id).id == image.id
        except errors.ImageNotFound:
            return False

    # --- update --------------------------------------------------------------------------------------------

    def test_update_of_one_attribute_leaves_everything_else(self):
        """IMAGE-UPDATE-1: what is not named stays: attributes, properties, tags, locations."""
        before = self.driver.image_create(self.admin, self.full_image())
        after = self.change(before.id, name='new name')
        self.assert_same_image(
            dataclasses.replace(before, name='new name', version=after.version, updated_at=after.updated_at),
            self.get(before.id))

    def test_setting_a_property_leaves_the_properties_that_the_caller_was_not_shown(self):
        """IMAGE-UPDATE-1: a hidden property survives a write of another one."""
        image = self.stored(properties={'hidden': 'secret', 'shown': '1'})
        changes = ImageChanges(set_properties={'shown': '2', 'new': '3'})
        self.driver.image_update(self.owner, image.id, changes)
        self.assertEqual({'hidden': 'secret', 'shown': '2', 'new': '3'}, dict(self.get(image.id).properties))

    def test_removing_a_property_leaves_the_others(self):
        """IMAGE-UPDATE-1: only the named property goes, an absent one is no error."""
        image = self.stored(properties={'a': '1', 'A': '2', 'b': '3'})
        self.driver.image_update(self.owner, image.id,
                                 ImageChanges(remove_properties=frozenset({'a', 'absent'})))
        self.assertEqual({'A': '2', 'b': '3'}, dict(self.get(image.id).properties))

    def test_changes_without_tags_leave_the_tags(self):
        """IMAGE-UPDATE-1: tags None leaves tags alone."""
        image = self.stored(tags=frozenset({'a', 'b'}))
        self.driver.image_update(self.owner, image.id, ImageChanges(set_properties={'p': '1'}))
        self.assertEqual({'a', 'b'}, self.get(image.id).tags)

    def test_changes_with_tags_replace_the_whole_set(self):
        """IMAGE-UPDATE-1: tags is the whole new set, the empty set takes all away."""
        image = self.stored(tags=frozenset({'a', 'b'}))
        replaced = self.driver.image_update(self.owner, image.id, ImageChanges(tags=frozenset({'b', 'c'})))
        self.assertEqual({'b', 'c'}, replaced.tags)
        self.driver.image_update(self.owner, image.id, ImageChanges(tags=frozenset()))
        self.assertEqual(frozenset(), self.get(image.id).tags)

    def test_update_returns_what_get_returns(self):
        """IMAGE-UPDATE-1: the returned image is the stored one, locations and all."""
        image = self.driver.image_create(self.admin, self.full_image())
        changes = ImageChanges({'name': 'n', 'min_ram': 7, 'protected': False}, {'a': '9'}, frozenset({'b'}),
                               frozenset({'z'}))
        self.assert_same_image(self.driver.image_update(self.owner, image.id, changes), self.get(image.id))

    def test_every_kind_of_update_grows_the_version_by_one_and_moves_updated_at(self):
        """IMAGE-UPDATE-2: attributes, properties set and removed, tags, and new values equal to the old."""
        before = self.stored(name='n', properties={'a': '1'}, tags=frozenset({'t'}))
        for changes in (ImageChanges({'name': 'm'}), ImageChanges(set_properties={'b': '2'}),
                        ImageChanges(remove_properties=frozenset({'a'})), ImageChanges(tags=frozenset({'u'})),
                        ImageChanges({'name': 'm'}), ImageChanges(set_properties={'b': '2'}),
                        ImageChanges(tags=frozenset({'u'}))):
            after = self.driver.image_update(self.owner, before.id, changes)
            self.assertEqual(before.version + 1, after.version, changes)
            self.assertGreater(after.updated_at, before.updated_at, changes)
            self.assertEqual(before.created_at, after.created_at)
            before = after

    def test_delete_and_restore_grow_the_version(self):
        """IMAGE-UPDATE-2: image_delete and image_restore do as updates do."""
        image = self.stored()
        gone = self.driver.image_delete(self.owner, image.id)
        back = self.driver.image_restore(self.owner, image.id, 'active')
        self.assertEqual([1, 2, 3], [image.version, gone.version, back.version])
        self.assertGreater(back.updated_at, image.updated_at)

    def test_update_from_another_status_changes_nothing(self):
        """IMAGE-UPDATE-3: StatusConflict; attributes, properties and tags stay."""
        image = self.stored(status='active', properties={'a': '1'}, tags=frozenset({'t'}))
        changes = ImageChanges({'status': 'deactivated'}, {'a': '2'}, frozenset({'a'}), frozenset())
        self.assertRaises(errors.StatusConflict, self.driver.image_update, self.owner, image.id, changes,
                          from_status='queued')
        self.assert_unchanged(image)

    def test_update_from_the_right_status_is_done(self):
        """IMAGE-UPDATE-3: the given status is the stored one."""
        image = self.stored(status='active')
        changes = ImageChanges({'status': 'deactivated'})
        self.driver.image_update(self.owner, image.id, changes, from_status='active')
        self.assertEqual('deactivated', self.get(image.id).status)

    def test_update_of_another_version_changes_nothing(self):
        """IMAGE-UPDATE-4: VersionConflict for an older and for a newer version; nothing changed."""
        image = self.change(self.stored(properties={'a': '1'}, tags=frozenset({'t'})).id, name='now 2')
        changes = ImageChanges({'name': 'x'}, {'a': '2'}, frozenset(), frozenset({'u'}))
        for version in (1, 3):
            self.assertRaises(errors.VersionConflict, self.driver.image_update, self.owner, image.id, changes,
                              if_version=version)
        self.assert_unchanged(image)

    def test_update_of_the_right_version_is_done(self):
        """IMAGE-UPDATE-4: the given version is the stored one."""
        image = self.stored()
        changed = self.driver.image_update(self.owner, image.id, ImageChanges({'name': 'x'}), if_version=1)
        self.assertEqual(('x', 2), (changed.name, changed.version))

    def test_of_several_updates_from_one_status_exactly_one_wins(self):
        """IMAGE-UPDATE-5: with the same from_status."""
        changes = ImageChanges({'status': 'saving'})
        for _ in range(3):
            image = self.stored(status='queued')
            results = self.race(*[lambda image=image: self.driver.image_update(
                self.owner, image.id, changes, from_status='queued')] * 5)
            self.assert_one_winner(results, errors.StatusConflict)

    def test_of_several_updates_of_one_version_exactly_one_wins(self):
        """IMAGE-UPDATE-5: with the same if_version; what is stored is the winner's."""
        for _ in range(3):
            image = self.stored()
            results = self.race(*(lambda n=n, image=image: self.driver.image_update(
                self.owner, image.id, ImageChanges({'name': str(n)}, {'n': str(n)}), if_version=1)
                for n in range(5)))
            self.assert_one_winner(results, errors.VersionConflict)
            winner = next(result for result in results if isinstance(result, Image))
            self.assert_unchanged(winner)

    def test_update_of_what_cannot_be_read_is_not_found(self):
        """IMAGE-UPDATE-6: absent, deleted, or of a stranger."""
        image = self.stored(visibility='private')
        changes = ImageChanges({'name': 'x'})
        for ctx, image_id in ((self.admin, str(uuid.uuid4())), (self.admin, self.deleted().id),
                              (self.stranger, image.id)):
            self.assertRaises(errors.ImageNotFound, self.driver.image_update, ctx, image_id, changes)
        self.assert_unchanged(image)

    def test_an_unreadable_image_is_not_found_whatever_its_status_and_version(self):
        """IMAGE-UPDATE-6: a conflict would tell a stranger that the image exists."""
        image = self.stored(visibility='private', status='active')
        self.assertRaises(errors.ImageNotFound, self.driver.image_update, self.stranger, image.id,
                          ImageChanges({'name': 'x'}), from_status='queued', if_version=9)

    def test_attributes_can_be_cleared(self):
        """IMAGE-UPDATE-7: size and every other nullable attribute: None is stored as NULL."""
        image = self.driver.image_create(self.admin, self.full_image())
        cleared = dict.fromkeys(('name', 'container_format', 'disk_format', 'size', 'virtual_size',
                                 'checksum', 'os_hash_algo', 'os_hash_value', 'import_state'))
        self.change(image.id, **cleared)
        found = self.get(image.id)
        self.assertEqual(cleared, {field: getattr(found, field) for field in cleared})

    def test_every_changeable_attribute_can_be_changed(self):
        """IMAGE-UPDATE-7: each to a value that it did not have, 0 and False included."""
        image = self.driver.image_create(self.admin, self.full_image())
        new = {'status': 'deactivated', 'visibility': 'shared', 'name': 'n', 'owner': 'o2',
               'protected': False, 'os_hidden': False, 'container_format': 'ova', 'disk_format': 'raw',
               'min_disk': 0, 'min_ram': 0, 'size': 0, 'virtual_size': 0, 'checksum': 'e' * 32,
               'os_hash_algo': 'sha256', 'os_hash_value': 'f' * 64,
               'import_state': ImportState(None, (), ('slow',))}
        self.change(image.id, **new)
        found = self.get(image.id)
        self.assertEqual(new, {field: getattr(found, field) for field in new})
