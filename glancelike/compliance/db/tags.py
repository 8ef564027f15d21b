"""Tags one by one."""

from __future__ import annotations

import uuid

from glancelike.compliance.db.case import DbCase
from glancelike.plugin import errors


class TagSuite(DbCase):
    """TAG-1 to TAG-4."""

    def test_an_added_tag_is_found(self):
        """TAG-1: beside those that the image had."""
        image = self.stored(tags=frozenset({'a'}))
        self.driver.tag_add(self.owner, image.id, 'b')
        self.assertEqual({'a', 'b'}, self.get(image.id).tags)

    def test_adding_a_tag_twice_is_no_error(self):
        """TAG-1: idempotent."""
        image = self.stored(tags=frozenset({'a'}))
        self.driver.tag_add(self.owner, image.id, 'a')
        self.assertEqual({'a'}, self.get(image.id).tags)

    def test_a_removed_tag_may_be_added_again(self):
        """TAG-1: a tag that was there once is as good as any."""
        image = self.stored(tags=frozenset({'a'}))
        self.driver.tag_remove(self.owner, image.id, 'a')
        self.driver.tag_add(self.owner, image.id, 'a')
        self.assertEqual({'a'}, self.get(image.id).tags)

    def test_of_several_that_add_one_tag_at_once_none_fails(self):
        """TAG-1: idempotent for callers at once too."""
        image = self.stored()
        self.assertEqual([None] * 4, self.race(*[lambda: self.driver.tag_add(self.owner, image.id, 'a')] * 4))
        self.assertEqual({'a'}, self.get(image.id).tags)

    def test_tagging_an_image_that_cannot_be_read_is_not_found(self):
        """TAG-2: absent, deleted, or of a stranger."""
        image = self.stored(visibility='private')
        for ctx, image_id in ((self.admin, str(uuid.uuid4())), (self.admin, self.deleted().id),
                              (self.stranger, image.id)):
            self.assertRaises(errors.ImageNotFound, self.driver.tag_add, ctx, image_id, 't')
        self.assert_unchanged(image)

    def test_a_tag_too_many_is_refused(self):
        """TAG-3: QuotaExceeded; nothing changed."""
        image = self.stored(tags=frozenset({'a', 'b'}))
        self.assertRaises(errors.QuotaExceeded, self.driver.tag_add, self.owner, image.id, 'c', at_most=2)
        self.assert_unchanged(image)

    def test_the_last_tag_that_is_allowed_is_added(self):
        """TAG-3: *at_most* tags are not too many, and having one already is never too many."""
        image = self.stored(tags=frozenset({'a', 'b'}))
        self.driver.tag_add(self.owner, image.id, 'c', at_most=3)
        self.driver.tag_add(self.owner, image.id, 'c', at_most=3)
        self.assertEqual({'a', 'b', 'c'}, self.get(image.id).tags)

    def test_callers_at_once_do_not_pass_the_limit_of_tags(self):
        """TAG-3: exact also for callers at once."""
        for _ in range(3):
            image = self.stored(tags=frozenset({'a'}))
            results = self.race(*(lambda n=n, image=image: self.driver.tag_add(
                self.owner, image.id, f't{n}', at_most=3) for n in range(5)))
            self.assertEqual(2, results.count(None), results)
            self.assertEqual(3, len(self.get(image.id).tags))

    def test_a_removed_tag_is_gone_and_the_others_stay(self):
        """TAG-4: exactly the named one."""
        image = self.stored(tags=frozenset({'a', 'A', 'a '}))
        self.driver.tag_remove(self.owner, image.id, 'a')
        self.assertEqual({'A', 'a '}, self.get(image.id).tags)

    def test_removing_an_absent_tag_is_not_found(self):
        """TAG-4: TagNotFound; nothing changed; also the second time."""
        image = self.stored(tags=frozenset({'a'}))
        self.assertRaises(errors.TagNotFound, self.driver.tag_remove, self.owner, image.id, 'b')
        self.assert_unchanged(image)
        self.driver.tag_remove(self.owner, image.id, 'a')
        self.assertRaises(errors.TagNotFound, self.driver.tag_remove, self.owner, image.id, 'a')

    def test_removing_a_tag_of_an_image_that_cannot_be_read_is_not_found(self):
        """TAG-4: absent, deleted, or of a stranger."""
        image = self.stored(visibility='private', tags=frozenset({'t'}))
        gone = self.deleted(tags=frozenset({'t'}))
        for ctx, image_id in ((self.admin, str(uuid.uuid4())), (self.admin, gone.id),
                              (self.stranger, image.id)):
            self.assertRaises(errors.ImageNotFound, self.driver.tag_remove, ctx, image_id, 't')
        self.assert_unchanged(image)

    def test_a_tag_change_grows_the_version_and_moves_updated_at(self):
        """TAG-4: as IMAGE-UPDATE-2."""
        image = self.stored()
        self.driver.tag_add(self.owner, image.id, 'a')
        added = self.get(image.id)
        self.driver.tag_remove(self.owner, image.id, 'a')
        removed = self.get(image.id)
        self.assertEqual([1, 2, 3], [image.version, added.version, removed.version])
        self.assertLess(image.updated_at, added.updated_at)
        self.assertLess(added.updated_at, removed.updated_at)

    def test_a_tag_that_was_there_changes_nothing(self):
        """TAG-4: version and updated_at stay when nothing changed."""
        image = self.stored(tags=frozenset({'a'}))
        self.driver.tag_add(self.owner, image.id, 'a')
        self.assert_unchanged(image)
