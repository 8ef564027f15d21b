"""What ``simple`` promises beyond the contract; the rest is in tests/compliance/test_db_simple.py."""

import uuid

from glancelike import plugin
from glancelike.db_drivers.simple.driver import SimpleDriver
from glancelike.plugin import Image, ImageChanges, ImageQuery, Location, RequestContext, errors
from tests import base

ADMIN = RequestContext(is_admin=True)


class SimpleDriverTest(base.TestCase):
    """No state outside the driver, nothing half done, no claim that it cannot keep."""

    def setUp(self):
        super().setUp()
        self.driver = SimpleDriver(plugin.options_for(SimpleDriver))

    def test_it_claims_neither_to_persist_nor_to_serve_several_processes(self):
        self.assertEqual(frozenset(), SimpleDriver.CAPABILITIES)

    def test_it_has_no_options(self):
        self.assertEqual((), tuple(SimpleDriver.OPTIONS))

    def test_two_drivers_share_nothing(self):
        image = self.driver.image_create(ADMIN, Image(id=str(uuid.uuid4())))
        other = SimpleDriver(plugin.options_for(SimpleDriver))
        self.assertRaises(errors.ImageNotFound, other.image_get, ADMIN, image.id)

    def test_a_change_set_that_no_image_can_take_changes_nothing(self):
        image = self.driver.image_create(ADMIN, Image(id=str(uuid.uuid4()), properties={'p': '1'}))
        wrong = ImageChanges({'no_such_field': 1}, {'p': '2'}, frozenset(), frozenset({'t'}))
        self.assertRaises(TypeError, self.driver.image_update, ADMIN, image.id, wrong)
        self.assertEqual(image, self.driver.image_get(ADMIN, image.id))

    def test_a_caller_cannot_reach_stored_rows_through_a_returned_value(self):
        metadata = {'share': {'mount': '/a'}}
        image = self.driver.image_create(ADMIN, Image(id=str(uuid.uuid4()), properties={'p': '1'},
                                                      locations=(Location('mem://1', 's', metadata),)))
        image.properties['p'] = '2'
        image.locations[0].metadata['share']['mount'] = '/b'
        metadata['share']['mount'] = '/c'
        found = self.driver.image_get(ADMIN, image.id)
        self.assertEqual(('1', '/a'), (found.properties['p'], found.locations[0].metadata['share']['mount']))

    def test_its_lists_can_be_walked_with_ten_thousand_images(self):
        for n in range(10_000):
            self.driver.image_create(ADMIN, Image(id=str(uuid.UUID(int=n)), name=f'n{n % 7}'))
        asked = ImageQuery(sort=(('name', 'desc'), ('id', 'asc')), limit=25, marker=str(uuid.UUID(int=3)))
        page = self.driver.image_list(ADMIN, asked)
        self.assertEqual([10 + 7 * n for n in range(25)], [uuid.UUID(image.id).int for image in page])
        self.assertEqual(10_000, self.driver.image_count(ADMIN, ImageQuery(), 20_000))
