"""kill -9 of glance-api in the middle of imports that it does itself: it goes on with them, or another node does."""

import os

from tests import servers
from tests.functional.crash.imports_case import SECONDS, ImportsTestCase, payload
from tests.functional.crash.nodes import MIB
from tests.servers.process import wait_until
from tests.unit.core.disk_images import CONTENT, DiskImages

SLOWLY = 2 * MIB
DATA = payload(0, 5 * MIB)


class OneNodeTest(ImportsTestCase):
    """The node is killed and started again."""

    def test_staged_data_are_stored_again(self):
        node = self.node(max_bytes_per_second=SLOWLY)
        image_id = self.new(node, DATA)
        self.stage(node, image_id, DATA)
        self.import_(node, image_id)
        self.wait_bytes('fast')
        node.kill9()
        self.assertEqual(1, len(self.files_of('fast')))
        node.start()
        self.wait_active(node, image_id)
        self.assert_settled(node, queued=())

    def test_data_from_the_web_are_fetched_again(self):
        node = self.node()
        url, go_on = self.slow_source(DATA)
        image_id = self.download(node, DATA, url)
        self.wait_bytes('fast')
        node.kill9()
        go_on.set()
        node.start()
        self.wait_active(node, image_id)
        self.assert_settled(node, queued=())

    def test_killed_several_times(self):
        node = self.node(max_bytes_per_second=SLOWLY)
        image_id = self.new(node, DATA)
        self.stage(node, image_id, DATA)
        self.import_(node, image_id)
        for times in range(1, 4):
            wait_until(lambda times=times: node.log_text().count('is handed on') == times - 1, SECONDS, 'the task')
            self.wait_bytes('fast')
            node.kill9()
            node.start()
        self.wait_active(node, image_id)
        self.assert_settled(node, queued=())


class TwoNodes:
    """The other node goes on; with each database."""

    def nodes(self, **task):
        return self.node(**task), self.node(**task)

    def test_an_import_of_which_one_store_is_enough_dies_in_the_second(self):
        killed, other = self.nodes(max_bytes_per_second=SLOWLY)
        image_id = self.download(killed, DATA, stores=('fast', 'cold'), must_succeed=False)
        self.wait_bytes('cold')
        killed.kill9()
        self.assertEqual('active', self.image(other, image_id)['status'])
        self.wait_active(other, image_id, ('fast', 'cold'))
        self.assertEqual(1, len(self.web.seen))
        self.assert_settled(other, queued=())

    def test_an_import_that_is_cancelled_after_its_node_died_leaves_nothing(self):
        killed, other = self.nodes(max_bytes_per_second=SLOWLY)
        image_id = self.download(killed, DATA, stores=('fast', 'cold'))
        self.wait_bytes('cold')
        killed.kill9()
        self.assertEqual(202, self.cancel(other, image_id))
        self.wait_status(other, image_id, 'queued')
        self.assertEqual('failure', self.task(other, image_id)['status'])
        self.assert_settled(other, queued={image_id})
        self.stage(other, image_id, DATA)
        self.import_(other, image_id)
        self.wait_active(other, image_id)


class TwoNodesOnSqliteTest(TwoNodes, ImportsTestCase):

    def test_an_import_into_one_store(self):
        killed, other = self.nodes()
        url, go_on = self.slow_source(DATA)
        image_id = self.download(killed, DATA, url)
        self.wait_bytes('fast')
        killed.kill9()
        go_on.set()
        self.wait_active(other, image_id)
        self.assert_settled(other, queued=())

    def test_an_import_into_two_stores_dies_in_the_second(self):
        killed, other = self.nodes(max_bytes_per_second=SLOWLY)
        image_id = self.download(killed, DATA, stores=('fast', 'cold'))
        self.wait_bytes('cold')
        killed.kill9()
        self.assertEqual('importing', self.image(other, image_id)['status'])
        self.wait_active(other, image_id, ('fast', 'cold'))
        self.assert_settled(other, queued=())

    def test_a_copy_of_an_active_image(self):
        killed, other = self.nodes(max_bytes_per_second=SLOWLY)
        image_id = self.download(killed, DATA)
        self.wait_active(killed, image_id)
        self.import_(killed, image_id, 'copy-image', stores=('cold',))
        self.wait_bytes('cold')
        killed.kill9()
        self.wait_active(other, image_id, ('fast', 'cold'))
        self.assert_settled(other, queued=())

    def test_an_image_that_is_deleted_after_its_node_died_leaves_nothing(self):
        killed, other = self.nodes(max_bytes_per_second=SLOWLY)
        image_id = self.download(killed, DATA, stores=('fast', 'cold'))
        self.wait_bytes('cold')
        killed.kill9()
        self.assertEqual(204, self.request(other, 'DELETE', f'/v2/images/{image_id}')[0])
        del self.expected[image_id]
        self.assert_settled(other)


class TwoNodesOnPostgresqlTest(TwoNodes, ImportsTestCase):
    database_server = 'postgresql'

    def setUp(self):
        super().setUp()
        self._url = servers.need(self, self.database_server).create_database('importsdie')

    def database(self):
        return self._url


class TwoNodesOnMariadbTest(TwoNodesOnPostgresqlTest):
    database_server = 'mariadb'


class ConversionTest(ImportsTestCase):
    plugins = 'image_conversion'

    def test_a_node_that_dies_while_it_converts(self):
        url = self.source(DiskImages(self, self.tmp).converted('qcow2'))
        go_on = self.slow_qemu_img()
        killed, other = self.node(), self.node()
        image_id = self.download(killed, CONTENT, url, 'qcow2')
        wait_until((self.tmp / 'converting').exists, SECONDS, 'the conversion')
        killed.kill9()
        left = self.files_of('work')
        self.assertNotEqual([], left)
        go_on.touch()
        self.wait_active(other, image_id)
        self.assert_settled(other, queued=())
        self.assertEqual([], os.listdir(self.tmp / 'work'))
