"""What recovery does, and what it leaves alone."""

import dataclasses
import datetime
import os
import subprocess
import sys

from glancelike import errors
from glancelike.core import recovery
from glancelike.core.leases import Leases
from glancelike.core.nodes import Node
from glancelike.model.upload import Upload
from glancelike.plugin import options_for
from glancelike.store_drivers.memory import MemoryStore
from glancelike.store_drivers.stores import StoreSpec
from tests import base
from tests.unit.core.built import ADMIN, OWNER
from tests.unit.core.data import Body, DataTestCase, Failing

DEAD_ELSEWHERE = 'elsewhere:1:1:a:1'


class RecoveryTestCase(DataTestCase):
    def started(self, image, node=DEAD_ELSEWHERE, store='memory', leave=True):
        """An upload that somebody began and never ended; its bytes are in the store."""
        upload = Upload(id=f'upload of {image.id}', image_id=image.id, node=node, store=store,
                        owner=image.owner, url=self.stores.get(store).url_for(image.id), reserved=100)
        self.db.upload_begin(ADMIN, upload)
        if leave:
            self.stores.get(store).add(image.id, [b'half'], 4)
        return upload

    def silence(self, seconds):
        """All leases were last heard that long ago, and the database answered all the time."""
        for lease in self.db._leases.values():
            heard = lease.upload.heartbeat_at - datetime.timedelta(seconds=seconds)
            lease.upload = dataclasses.replace(lease.upload, heartbeat_at=heard)
        self.recovery.run_once()
        self.clock += 1000

    def dead_process(self):
        """The name that a process had which has ended."""
        code = 'from glancelike.core.nodes import Node; print(Node().name)'
        return subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True).stdout.strip()


class TakenByAnother:
    """A database in which another process is always quicker to take over."""

    def __init__(self, driver):
        self._driver = driver

    def __getattr__(self, name):
        return getattr(self._driver, name)

    def upload_take_over(self, upload, new_id, node):
        return False


class DeadUploadTest(RecoveryTestCase):
    def test_a_silent_upload_is_undone(self):
        image = self.new_image()
        self.started(image)
        self.silence(61)
        self.assertEqual(1, self.recovery.run_once().uploads_undone)
        self.assert_as_before_the_upload(image)
        self.assertEqual('active', self.upload(image).status)

    def test_a_living_upload_is_left_alone(self):
        image = self.new_image()
        self.started(image)
        self.silence(50)
        self.assertEqual(0, self.recovery.run_once().uploads_undone)
        self.assertEqual('saving', self.stored(image).status)
        self.assertEqual([image.id], self.objects())

    def test_an_upload_of_this_process_is_left_alone(self):
        image = self.new_image()
        found = []
        self.upload(image, Body(lambda: found.append(self.recovery.run_once().uploads_undone), b'data'))
        self.assertEqual([0], found)
        self.assertEqual('active', self.stored(image).status)

    def test_an_upload_of_a_dead_process_of_this_machine_is_undone_at_once(self):
        image = self.new_image()
        self.started(image, node=self.dead_process())
        self.assertEqual(1, self.recovery.run_once().uploads_undone)
        self.assert_as_before_the_upload(image)

    def test_an_upload_that_left_nothing_is_undone(self):
        image = self.new_image()
        self.started(image, node=self.dead_process(), leave=False)
        self.assertEqual(1, self.recovery.run_once().uploads_undone)
        self.assert_as_before_the_upload(image)

    def test_of_two_processes_one_undoes_it(self):
        image = self.new_image()
        self.started(image, node=self.dead_process())
        other = self.new_recovery()
        self.assertEqual([1, 0], [self.recovery.run_once().uploads_undone, other.run_once().uploads_undone])

    def test_a_process_that_lost_the_race_touches_nothing(self):
        image = self.new_image()
        self.started(image, node=self.dead_process())
        self.db = TakenByAnother(self.db)
        self.build()
        self.assertEqual(0, self.recovery.run_once().uploads_undone)
        self.assertEqual([image.id], self.objects())

    def test_the_bytes_of_a_deleted_image_are_removed(self):
        image = self.new_image()
        self.started(image, node=self.dead_process())
        self.db.image_delete(OWNER, image.id)
        self.assertEqual(1, self.recovery.run_once().uploads_undone)
        self.assertEqual([], self.objects())
        self.assertRaises(errors.ImageNotFound, self.stored, image)

    def test_a_store_that_is_down_is_tried_again_at_once_when_it_is_back(self):
        image = self.new_image()
        self.started(image, node=self.dead_process())
        failing = Failing(self.memory, 'discard', errors.StoreUnavailable(store='memory'))
        self.build(specs=[StoreSpec('memory', failing, is_default=True)])
        self.assertEqual(0, self.recovery.run_once().uploads_undone)
        self.assertEqual('saving', self.stored(image).status)
        self.assertEqual(1, self.recovery.run_once().uploads_undone)
        self.assert_as_before_the_upload(image)

    def test_a_store_that_can_delete_only_is_told_the_url(self):
        class DeleteOnly(MemoryStore):
            CAPABILITIES = MemoryStore.CAPABILITIES - {'discard'}
        self.memory = DeleteOnly('memory', options_for(MemoryStore))
        self.build()
        for leave in (True, False):
            image = self.new_image()
            self.started(image, node=self.dead_process(), leave=leave)
            self.assertEqual(1, self.recovery.run_once().uploads_undone)
            self.assert_as_before_the_upload(image)

    def test_an_upload_to_a_store_that_is_not_configured_any_more_is_undone_without_it(self):
        image = self.new_image()
        self.db.upload_begin(ADMIN, Upload(id='u', image_id=image.id, node=self.dead_process(), store='gone'))
        self.assertEqual(1, self.recovery.run_once().uploads_undone)
        self.assertEqual('queued', self.stored(image).status)

    def test_data_that_the_image_owns_are_never_removed(self):
        image = self.new_image()
        self.upload(image, b'data')
        # Cannot happen by the contract: a lease beside an active image.
        self.db.upload_begin(ADMIN, Upload(id='u', image_id=image.id, node=self.dead_process(), store='memory'),
                             from_status='active', to_status='active')
        self.recovery.run_once()
        self.assertEqual([image.id], self.objects())


class SilenceTest(RecoveryTestCase):
    """A database that did not answer made everybody silent."""

    def test_silence_does_not_count_right_after_the_database_is_back(self):
        image = self.new_image()
        self.started(image)
        self.silence(61)
        self.db = Failing(self.db, 'uploads_expired', errors.DatabaseUnavailable())
        self.build()
        self.assertRaises(errors.DatabaseUnavailable, self.recovery.run_once)
        self.assertEqual(0, self.recovery.run_once().uploads_undone)
        self.clock += 2 * self.leases.heartbeat_seconds - 1
        self.assertEqual(0, self.recovery.run_once().uploads_undone)
        self.clock += 1
        self.assertEqual(1, self.recovery.run_once().uploads_undone)

    def test_a_failing_round_does_not_end_the_duty(self):
        rounds = []

        class Enough(Exception):
            pass

        def run_once():
            rounds.append(1)
            raise (errors.DatabaseUnavailable() if len(rounds) == 1 else RuntimeError('bug'))

        def sleep(seconds):
            self.assertTrue(12 <= seconds <= 18)
            if len(rounds) == 3:
                raise Enough
        self.recovery.run_once = run_once
        self.threads.sleep = sleep
        self.assertRaises(Enough, self.recovery.forever)


class PendingLocationsTest(RecoveryTestCase):
    """Data of deleted images whose deletion was cut off."""

    def deleted_image(self, store='memory'):
        image = self.new_image()
        self.upload(image, store=store)
        self.db.image_delete(OWNER, image.id)
        return image

    def test_they_are_removed_at_once_by_the_first_round_after_a_start(self):
        for store in ('memory', 'files'):
            self.deleted_image(store)
        self.assertEqual(2, self.recovery.run_once().locations_deleted)
        self.assertEqual([], self.objects())
        self.assertEqual([], self.db.locations_pending_delete(0))

    def test_later_they_are_left_for_a_while_to_who_deletes_the_image(self):
        self.recovery.run_once()
        image = self.deleted_image()
        self.assertEqual(0, self.recovery.run_once().locations_deleted)
        self.assertEqual([image.id], self.objects())

    def test_what_is_gone_already_is_forgotten(self):
        image = self.deleted_image()
        self.memory.discard(image.id)
        self.assertEqual(1, self.recovery.run_once().locations_deleted)

    def test_those_of_a_store_that_is_down_stay_and_hide_no_others(self):
        for _ in range(3):
            self.deleted_image('memory')
        self.deleted_image('files')
        failing = Failing(self.memory, 'delete', errors.StoreUnavailable(store='memory'), times=10**6)
        self.build(specs=[StoreSpec('memory', failing, is_default=True), StoreSpec('files', self.files)])
        self.recovery._location_delay_seconds = 0
        self.addCleanup(setattr, recovery, 'BATCH', recovery.BATCH)
        recovery.BATCH = 3
        self.assertEqual([0, 1], [self.recovery.run_once().locations_deleted for _ in range(2)])
        self.assertEqual(3, len(self.db.locations_pending_delete(0)))


class SweepTest(RecoveryTestCase):
    """Temporary parts in a store that no lease tells of."""

    def leave_part(self, image_id):
        self.folder.mkdir(exist_ok=True)
        (self.folder / f'.{image_id}.{"0" * 16}.part').write_bytes(b'part')

    def test_parts_of_queued_images_and_of_unknown_ones_are_discarded(self):
        image = self.new_image()
        self.leave_part(image.id)
        self.leave_part('00000000-0000-4000-8000-000000000000')
        self.assertEqual(2, self.recovery.run_once().leftovers_discarded)
        self.assert_as_before_the_upload(image)

    def test_parts_of_running_uploads_are_left_alone(self):
        image = self.new_image()
        self.started(image, store='files', leave=False)
        self.leave_part(image.id)
        self.assertEqual(0, self.recovery.run_once().leftovers_discarded)
        self.assertEqual(1, len(self.objects()))

    def test_data_of_active_images_are_left_alone(self):
        image = self.new_image()
        self.upload(image, store='files')
        self.leave_part(image.id)
        self.recovery.run_once()
        self.assertEqual(b'data', (self.folder / image.id).read_bytes())

    def test_a_finished_object_of_an_image_that_is_gone_is_left_alone(self):
        image = self.new_image()
        self.upload(image, store='files')
        self.db.image_delete(OWNER, image.id, status='pending_delete')
        self.leave_part(image.id)
        self.recovery.run_once()
        self.assertEqual(b'data', (self.folder / image.id).read_bytes())

    def test_a_store_that_is_down_is_searched_when_it_is_back(self):
        self.leave_part(self.new_image().id)
        failing = Failing(self.files, 'unfinished', errors.StoreUnavailable(store='files'))
        self.build(specs=[StoreSpec('memory', self.memory, is_default=True), StoreSpec('files', failing)])
        self.assertEqual([0, 1], [self.recovery.run_once().leftovers_discarded for _ in range(2)])


class NodeTest(base.TestCase):
    def test_a_process_is_not_dead_to_itself(self):
        self.assertFalse(Node().is_dead(Node().name))

    def test_a_process_that_ended_is_dead(self):
        code = 'from glancelike.core.nodes import Node; print(Node().name, flush=True); input()'
        process = subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True)
        name = process.stdout.readline().strip()
        self.assertFalse(Node().is_dead(name))
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet collected by us
        self.assertTrue(Node().is_dead(name))
        process.communicate()
        self.assertTrue(Node().is_dead(name))

    def test_a_later_process_of_the_same_number_is_another(self):
        host, pid, start, *place = Node().name.split(':')
        self.assertTrue(Node().is_dead(':'.join((host, pid, str(int(start) + 1), *place))))

    def test_nothing_is_known_of_other_machines_boots_and_namespaces(self):
        parts = Node().name.split(':')
        for position in (0, 3, 4):
            other = list(parts)
            other[position] = '1'
            other[2] = '1'
            self.assertFalse(Node().is_dead(':'.join(other)))
        for name in ('', 'some-node', ':::::', '-:-:-:-:-'):
            self.assertFalse(Node().is_dead(name))

    def test_names_fit_the_database(self):
        self.assertTrue(len(Node().name) <= 255)


class LeasesTest(RecoveryTestCase):
    def test_a_fork_does_not_renew_the_leases_of_its_parent(self):
        leases = Leases(self.db, self.threads)
        leases._kept['parents'] = None
        leases._pid = 1  # as it looks after a fork
        image = self.new_image()
        lease = type('Any', (), {'id': 'mine', 'upload': self.started(image)})()
        leases.keep(lease)
        self.assertEqual(['mine'], list(leases._kept))
