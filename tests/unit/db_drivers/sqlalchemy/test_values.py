"""Values that a database cannot keep are refused by name, whichever database it is."""

import uuid

from glancelike.plugin import Image, ImageChanges, Location, errors
from tests import base
from tests.servers import databases
from tests.unit.db_drivers.sqlalchemy.case import ADMIN, OWNER, DriverCase

BAD_TEXTS = ('a\0b', 'a\ud800b')


class Values(DriverCase):
    """Invalid names the field and never the value; nothing is stored."""

    def refused(self, field, **fields):
        image = Image(id=str(uuid.uuid4()), **fields)
        error = self.assertRaises(errors.Invalid, self.driver.image_create, ADMIN, image)
        self.assertIn(field, str(error))
        self.assertRaises(errors.ImageNotFound, self.driver.image_get, ADMIN, image.id)

    def test_text_that_a_database_cannot_keep_is_refused(self):
        for bad in BAD_TEXTS:
            self.refused('name', name=bad)
            self.refused('tag', tags=frozenset({bad}))
            self.refused('property name', properties={bad: 'x'})
            self.refused('Property p', properties={'p': bad})
            self.refused('Location URL', locations=(Location(bad),))

    def test_too_long_text_is_refused(self):
        self.refused('name', name='x' * 256)
        self.refused('owner', owner='\U0001f600' * 256)
        self.refused('checksum', checksum='x' * 33)
        self.refused('tag', tags=frozenset({'x' * 256}))
        self.refused('Property p', properties={'p': '\U0001f600' * 16384})

    def test_numbers_out_of_range_are_refused(self):
        self.refused('size', size=2**63)
        self.refused('min_ram', min_ram=2**31)
        self.refused('min_disk', min_disk=-1)

    def test_the_longest_values_are_kept(self):
        image = self.stored(name='\U0001f600' * 255, size=2**63 - 1, min_ram=2**31 - 1,
                            tags=frozenset({'\U0001f600' * 255}),
                            properties={'\U0001f600' * 255: 'x' * 65535, 'q': '\U0001f600' * 16383})
        self.assertEqual(image, self.driver.image_get(ADMIN, image.id))

    def test_an_update_with_a_bad_value_changes_nothing(self):
        image = self.stored(name='n')
        for changes in (ImageChanges({'name': 'x', 'owner': 'a\0'}), ImageChanges({'name': 'x'}, {'p': '\ud800'}),
                        ImageChanges({'name': 'x'}, tags=frozenset({'y' * 300}))):
            self.assertRaises(errors.Invalid, self.driver.image_update, OWNER, image.id, changes)
        self.assertEqual(image, self.driver.image_get(OWNER, image.id))

    def test_names_that_no_row_can_have_are_not_found(self):
        image = self.stored()
        for bad in BAD_TEXTS:
            for error, call in ((errors.ImageNotFound, lambda b=bad: self.driver.image_get(ADMIN, b)),
                                (errors.ImageNotFound, lambda b=bad: self.driver.image_delete(ADMIN, b)),
                                (errors.TagNotFound, lambda b=bad: self.driver.tag_remove(ADMIN, image.id, b)),
                                (errors.MemberNotFound, lambda b=bad: self.driver.member_get(ADMIN, image.id, b)),
                                (errors.MemberNotFound, lambda b=bad: self.driver.member_remove(ADMIN, image.id, b))):
                raised = self.assertRaises(error, call)
                str(raised).encode('utf-8')
            self.assertIsNone(self.driver.upload_of_image(bad))
            self.assertEqual([], self.driver.member_list(ADMIN, bad))

    def test_the_storage_of_a_project_may_pass_what_a_column_can_hold(self):
        for _ in range(3):
            self.stored(status='active', size=2**63 - 1, locations=(Location('mem://1'),))
        self.assertEqual(3 * (2**63 - 1), self.driver.usage('owner').stored_bytes)


class SqliteValuesTest(Values, databases.Sqlite, base.TestCase):
    """On a file."""


class PostgreSQLValuesTest(Values, databases.OnPostgreSQL, base.TestCase):
    """On PostgreSQL."""


class MariaDBValuesTest(Values, databases.OnMariaDB, base.TestCase):
    """On MariaDB."""
