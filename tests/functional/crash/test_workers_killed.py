"""kill -9 of workers, of the job board, of the database and of the node that posts, while workers import."""

import os
import signal

from tests import servers
from tests.functional.crash.imports_case import SECONDS, WorkersCase, payload
from tests.functional.crash.nodes import MIB
from tests.servers.process import wait_until
from tests.unit.core.disk_images import CONTENT, DiskImages

SLOWLY = 2 * MIB
DATA = payload(0, 6 * MIB)


class OnPostgresql(WorkersCase):
    """Redis and PostgreSQL."""

    def setUp(self):
        super().setUp()
        self.running = servers.need(self, 'postgresql')
        self._url = self.running.create_database('workersdie')
        self.addCleanup(self.start_database)

    def database(self):
        return self._url

    def start_database(self):
        if not self.running.process.alive():
            self.running.start()

    def begun(self, worker):
        return 'begins;' in worker.log_text() or 'is done.' in worker.log_text()


class ConversionTest(OnPostgresql):
    plugins = 'image_conversion'

    def test_a_worker_dies_while_it_converts_and_another_goes_on_without_fetching_again(self):
        qcow2 = DiskImages(self, self.tmp).converted('qcow2')
        go_on = self.slow_qemu_img()
        node = self.node()
        workers = [self.worker(node)]
        url, rest = self.slow_source(qcow2)
        rest.set()
        image_id = self.download(node, CONTENT, url, 'qcow2')
        wait_until((self.tmp / 'converting').exists, SECONDS, 'the conversion')
        self.assertEqual([image_id], self.files_of('staging'))
        workers += [self.worker(node), self.worker(node)]
        workers[0].kill9()
        self.assertNotEqual([], self.files_of('work'))
        go_on.touch()
        self.wait_active(node, image_id)
        self.assertEqual([1], list(self.asked.values()))
        wait_until(lambda: any(map(self.begun, workers[1:])), SECONDS, 'another worker to say what it did')
        self.assert_settled(node, queued=())
        self.assertEqual([], os.listdir(self.tmp / 'work'))


class KilledTest(OnPostgresql):

    def test_a_worker_that_dies_between_two_stores_is_replaced(self):
        node = self.node(max_bytes_per_second=SLOWLY)
        first = self.worker(node)
        image_id = self.download(node, DATA, stores=('fast', 'cold'))
        self.wait_bytes('cold')
        first.kill9()
        second = self.worker(node)
        self.wait_active(node, image_id, ('fast', 'cold'))
        self.assertEqual(1, len(self.web.seen))  # what the first store has is noted
        wait_until(lambda: self.begun(second), SECONDS, 'the second worker to say what it did')
        self.assert_settled(node, queued=())

    def test_an_import_that_is_cancelled_after_its_worker_died_leaves_nothing(self):
        node = self.node(max_bytes_per_second=SLOWLY)
        first = self.worker(node)
        image_id = self.download(node, DATA, stores=('fast', 'cold'))
        self.wait_bytes('cold')
        first.kill9()
        self.assertEqual(202, self.cancel(node, image_id))
        self.worker(node)
        self.wait_status(node, image_id, 'queued')
        self.assert_settled(node, queued={image_id})

    def test_a_worker_that_was_only_silent_does_no_harm_when_it_wakes_up(self):
        node = self.node(max_bytes_per_second=SLOWLY)
        first = self.worker(node)
        image_id = self.download(node, DATA, stores=('fast', 'cold'))
        self.wait_bytes('cold')
        first.process.send_signal(signal.SIGSTOP)
        second = self.worker(node)
        self.wait_active(node, image_id, ('fast', 'cold'))
        self.assertTrue(self.begun(second))
        first.process.send_signal(signal.SIGCONT)
        wait_until(lambda: 'done by another process now' in first.log_text(), SECONDS, 'the first worker to notice')
        self.assert_settled(node, queued=())

    def test_the_node_that_posted_dies(self):
        node = self.node(max_bytes_per_second=SLOWLY)
        worker = self.worker(node)
        image_id = self.download(node, DATA)
        self.wait_bytes('fast')
        node.kill9()
        wait_until(lambda: 'is over' in worker.log_text(), SECONDS, 'the worker to finish')
        node.start()
        self.wait_active(node, image_id)
        self.assert_settled(node, queued=())

    def test_the_board_dies_and_comes_back_empty(self):
        node = self.node(max_bytes_per_second=SLOWLY)
        image_id = self.download(node, DATA)
        wait_until(lambda: 'is posted' in node.log_text(), SECONDS, 'the post')
        self.board.kill()
        self.board.start()
        workers = [self.worker(node), self.worker(node)]
        self.wait_bytes('fast')
        self.board.kill()
        self.board.start()
        next(one for one in workers if self.begun(one)).kill9()
        self.wait_active(node, image_id)
        self.assert_settled(node, queued=())

    def test_the_database_dies_in_the_middle_of_an_import(self):
        node = self.node(max_bytes_per_second=SLOWLY)
        self.worker(node)
        image_id = self.download(node, DATA, stores=('fast', 'cold'))
        self.wait_bytes('fast')
        self.running.kill()
        self.running.start()
        self.wait_active(node, image_id, ('fast', 'cold'))
        self.assert_settled(node, queued=())

    def test_the_database_is_away_when_the_import_ends(self):
        node = self.node()
        worker = self.worker(node)
        url, go_on = self.slow_source(DATA)
        image_id = self.download(node, DATA, url)
        self.wait_bytes('fast')
        self.running.kill()
        go_on.set()
        wait_until(lambda: 'cannot be noted now' in worker.log_text() or 'cannot be recorded' in worker.log_text(),
                   SECONDS, 'the worker to miss the database')
        self.running.start()
        self.wait_active(node, image_id)
        self.assert_settled(node, queued=())
