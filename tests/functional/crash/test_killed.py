"""kill -9 at any point of an upload: afterwards the image can be uploaded again, and no stray byte is left."""

import os
import signal
from pathlib import Path

from glancelike.db_drivers.sqlalchemy.driver import SqlalchemyDriver
from glancelike.plugin import options_for
from tests import servers
from tests.functional.crash.nodes import MIB, NodesTestCase, SlowUpload
from tests.servers.glance_api import GUNICORN, UWSGI
from tests.servers.process import wait_until

SHORT = {'upload_lease_seconds': 3, 'upload_heartbeat_seconds': 1}


class OneNode:
    """The node is killed and comes back. Its leases have their default of 60 s: nobody has to wait for them."""

    def test_kill_in_the_middle_of_an_upload(self):
        node = self.node()
        image_id = self.new_image(node)
        self.slow_upload(node, image_id)
        node.kill9()
        self.assertEqual(1, len(self.parts()))
        node.start()
        self.wait_undone(node, image_id)
        self.assert_can_be_uploaded(node, image_id)


class BundledTest(OneNode, NodesTestCase):
    def test_kill_before_the_first_byte(self):
        node = self.node()
        image_id = self.new_image(node)
        upload = SlowUpload(node.port, image_id)
        self.addCleanup(upload.vanish)
        wait_until(lambda: self.image(node, image_id)['status'] == 'saving', 30, 'the upload to begin')
        node.kill9()
        node.start()
        self.wait_undone(node, image_id)
        self.assert_can_be_uploaded(node, image_id)

    def test_kill_at_the_end_gives_all_or_nothing(self):
        node = self.node()
        outcomes = []
        for pause_pieces in range(6):
            image_id = self.new_image(node)
            upload = self.slow_upload(node, image_id)
            upload.send(pause_pieces * MIB)
            upload.end()
            node.kill9()
            node.start()
            wait_until(lambda image_id=image_id: self.image(node, image_id)['status'] != 'saving', 40,
                       'the image to be settled')
            outcomes.append(self.image(node, image_id)['status'])
            if outcomes[-1] == 'active':
                self.assert_holds(node, image_id, upload.sent)
            else:
                self.wait_undone(node, image_id)
                self.assert_can_be_uploaded(node, image_id)
            self.assertEqual(204, self.request(node, 'DELETE', f'/v2/images/{image_id}')[0])
        self.assertTrue(set(outcomes) <= {'active', 'queued'}, outcomes)

    def test_kill_of_a_worker_alone(self):
        node = self.node(workers=2)
        image_id = self.new_image(node)
        self.slow_upload(node, image_id)
        wait_until(lambda: node.log_text().count('serving on') == 2, 40, 'both workers to serve')
        killed = _children(node.pid)
        for worker in killed:
            _kill(worker)
        # Until then a connection may end up with a worker that is just dying.
        wait_until(lambda: len(set(_children(node.pid)) - set(killed)) == 2 and node.answers(), 40, 'new workers')
        self.wait_undone(node, image_id)
        self.assert_can_be_uploaded(node, image_id)

    def test_an_image_deleted_after_the_kill_leaves_no_bytes(self):
        node = self.node()
        image_id = self.new_image(node)
        self.slow_upload(node, image_id)
        node.kill9()
        node.start()
        self.request(node, 'DELETE', f'/v2/images/{image_id}')
        wait_until(lambda: not self.files(), 40, 'the bytes to be removed')


class GunicornTest(OneNode, NodesTestCase):
    server = GUNICORN


class UwsgiTest(OneNode, NodesTestCase):
    server = UWSGI


class TwoNodes:
    """One node is killed or paused; the other clears up what it left, and nothing else."""

    def test_the_other_node_undoes_what_a_killed_one_left_and_goes_on_with_its_own(self):
        killed, other = self.node(), self.node()
        lost, kept = self.new_image(killed), self.new_image(other)
        going_on = self.slow_upload(other, kept)
        self.slow_upload(killed, lost)
        killed.kill9()
        wait_until(lambda: self.image(other, lost)['status'] == 'queued', 40, 'the lost image to be queued')
        self.assertEqual(1, len(self.files()))
        going_on.send(MIB)
        self.assertEqual(204, going_on.status())
        self.assert_holds(other, kept, going_on.sent)
        self.assertEqual(204, self.put(other, lost, b'again'))

    def test_a_slow_upload_outlives_many_leases(self):
        self.db = SqlalchemyDriver(options_for(SqlalchemyDriver, connection=self.database()))
        self.addCleanup(self.db.close)
        node, other = self.node(**SHORT), self.node(**SHORT)
        image_id = self.new_image(node)
        upload = self.slow_upload(node, image_id)
        since = self.heartbeats(image_id)
        wait_until(lambda: self.heartbeats(image_id) - since > 3 * SHORT['upload_lease_seconds'], 60,
                   'the heartbeats of three leases')
        upload.send(MIB)
        self.assertEqual(204, upload.status())
        self.assert_holds(other, image_id, upload.sent)

    def test_a_paused_node_loses_its_upload_and_does_no_harm_when_it_wakes_up(self):
        paused, other = self.node(**SHORT), self.node(**SHORT)
        image_id = self.new_image(paused)
        upload = self.slow_upload(paused, image_id)
        for process in [paused.pid, *_children(paused.pid)]:
            _kill(process, signal.SIGSTOP)  # not dead to anybody, only silent, like a node that is cut off
        self.wait_undone(other, image_id)
        again = b'again' * 100_000
        self.assertEqual(204, self.put(other, image_id, again))
        for process in [paused.pid, *_children(paused.pid)]:
            _kill(process, signal.SIGCONT)
        upload.send(4 * MIB)
        self.assertEqual(409, upload.status())
        self.assert_holds(other, image_id, again)

    def heartbeats(self, image_id) -> float:
        """When the upload was last renewed, in seconds."""
        return self.db.upload_of_image(image_id).heartbeat_at.timestamp()


class TwoNodesOnSqliteTest(TwoNodes, NodesTestCase):
    pass


class TwoNodesOnPostgresqlTest(TwoNodes, NodesTestCase):
    server = GUNICORN
    database_server = 'postgresql'

    def setUp(self):
        super().setUp()
        self._url = servers.need(self, self.database_server).create_database('crash')

    def database(self):
        return self._url


class TwoNodesOnMariadbTest(TwoNodesOnPostgresqlTest):
    database_server = 'mariadb'


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f'/proc/{pid}/task').iterdir():
        found += [int(child) for child in (task / 'children').read_text().split()]
    return found


def _kill(pid: int, number: int = signal.SIGKILL) -> None:
    os.kill(pid, number)
