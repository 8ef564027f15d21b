"""Several processes at once on one database: exactly one winner, and limits that hold exactly."""

import uuid

from glancelike.plugin import Image, ImageChanges, errors
from tests import base
from tests.servers import databases
from tests.unit.db_drivers.sqlalchemy.case import ADMIN, OWNER, PLACE, DriverCase

PROCESSES = 8


class Races(DriverCase):
    """The children are forked with the parent's driver, which has used its connections before."""

    def test_of_several_updates_from_one_status_one_wins(self):
        image = self.stored()
        changes = ImageChanges({'status': 'saving'})
        results = self.in_processes(*[lambda: self.driver.image_update(
            OWNER, image.id, changes, from_status='queued')] * PROCESSES)
        self.assertEqual(['StatusConflict'] * (PROCESSES - 1) + ['done'], sorted(results))

    def test_of_several_uploads_one_begins(self):
        image = self.stored()
        leases = [self.lease(image) for _ in range(PROCESSES)]
        results = self.in_processes(*(lambda lease=lease: self.driver.upload_begin(OWNER, lease) for lease in leases))
        self.assertEqual(['StatusConflict'] * (PROCESSES - 1) + ['done'], sorted(results))

    def test_reservations_never_pass_the_limit(self):
        """Eight want 10 bytes each, 10 are stored and 45 allowed: three fit, also for a project never seen before."""
        self.stored(status='active', size=10, locations=(PLACE,))
        leases = [self.lease(self.stored()) for _ in range(PROCESSES)]
        for lease in leases:
            self.driver.upload_begin(ADMIN, lease)
        results = self.in_processes(*(
            lambda lease=lease: self.driver.upload_reserve(lease.id, 10, 45) for lease in leases))
        self.assertEqual((3, 5), (results.count(None), results.count('QuotaExceeded')), results)
        self.assertEqual(30, self.driver.usage('owner').reserved_bytes)

    def test_reservations_and_finishes_at_once_never_pass_the_limit(self):
        """A reservation turns into stored bytes while others reserve; the sum is never over or under."""
        leases = [self.lease(self.stored(), reserved=10) for _ in range(3)]
        wanting = [self.lease(self.stored()) for _ in range(5)]
        for lease in leases + wanting:
            self.driver.upload_begin(ADMIN, lease)
        stored = ImageChanges({'status': 'active', 'size': 10})
        results = self.in_processes(
            *(lambda lease=lease: self.driver.upload_finish(ADMIN, lease.id, stored, [PLACE]) for lease in leases),
            *(lambda lease=lease: self.driver.upload_reserve(lease.id, 10, 50) for lease in wanting))
        self.assertEqual((3, 2, 3), tuple(results.count(one) for one in ('done', None, 'QuotaExceeded')), results)

    def test_tags_never_pass_their_limit(self):
        image = self.stored()
        results = self.in_processes(*(
            lambda tag=str(n): self.driver.tag_add(OWNER, image.id, tag, at_most=3) for n in range(PROCESSES)))
        self.assertEqual((3, 5), (results.count(None), results.count('QuotaExceeded')), results)
        self.assertEqual((3, 4), (len(self.driver.image_get(OWNER, image.id).tags),
                                  self.driver.image_get(OWNER, image.id).version))

    def test_members_never_pass_their_limit(self):
        image = self.stored()
        results = self.in_processes(*(
            lambda name=str(n): self.driver.member_add(OWNER, image.id, name, at_most=3) for n in range(PROCESSES)))
        self.assertEqual((3, 5), (results.count('done'), results.count('QuotaExceeded')), results)
        self.assertEqual(3, len(self.driver.member_list(OWNER, image.id)))

    def test_of_several_creates_of_one_id_one_wins(self):
        image = Image(id=str(uuid.uuid4()), owner='owner', properties={'p': '1'}, tags=frozenset('t'))
        results = self.in_processes(*[lambda: self.driver.image_create(OWNER, image)] * PROCESSES)
        self.assertEqual(['ImageExists'] * (PROCESSES - 1) + ['done'], sorted(results))

    def test_of_several_nodes_one_takes_an_upload_over(self):
        image = self.stored()
        self.driver.upload_begin(OWNER, self.lease(image))
        upload = self.driver.upload_of_image(image.id)
        results = self.in_processes(*(
            lambda: self.driver.upload_take_over(upload, str(uuid.uuid4()), 'node') for _ in range(PROCESSES)))
        self.assertEqual((1, PROCESSES - 1), (results.count(True), results.count(False)), results)

    def test_writes_to_one_image_are_all_kept(self):
        image = self.stored()

        def work(n):
            for m in range(5):
                self.driver.image_update(OWNER, image.id, ImageChanges(set_properties={f'{n}-{m}': 'x'}))
        results = self.in_processes(*(lambda n=n: work(n) for n in range(4)))
        self.assertEqual([None] * 4, results)
        found = self.driver.image_get(OWNER, image.id)
        self.assertEqual((20, 21), (len(found.properties), found.version))

    def test_several_processes_may_make_the_tables_at_once(self):
        self.url = self.new_url()
        driver = self.make_driver()
        self.assertEqual([None] * 4, self.in_processes(*[driver.create_schema] * 4))
        driver.check_schema()

    def test_a_forked_process_does_not_disturb_the_connections_of_its_parent(self):
        image = self.stored()
        for _ in range(3):
            self.assertEqual(['done'] * 2, self.in_processes(
                *[lambda: self.driver.image_get(OWNER, image.id)] * 2))
            self.assertEqual(image, self.driver.image_get(OWNER, image.id))
        self.assertRaises(errors.ImageNotFound, self.driver.image_get, OWNER, 'none')


class SqliteRacesTest(Races, databases.Sqlite, base.TestCase):
    """On a file."""


class PostgreSQLRacesTest(Races, databases.OnPostgreSQL, base.TestCase):
    """On PostgreSQL."""


class MariaDBRacesTest(Races, databases.OnMariaDB, base.TestCase):
    """On MariaDB."""
