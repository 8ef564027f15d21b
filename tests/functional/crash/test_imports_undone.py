"""Imports that find no room, or whose end is asked for at any moment: the image is queued again and nothing is left."""

import os
import random
import threading

from testtools.content import text_content

from tests import servers
from tests.functional.crash.imports_case import OVER, SECONDS, ImportsTestCase, payload
from tests.functional.crash.nodes import MIB
from tests.servers.process import wait_until
from tests.small_disk import mount_small_disk
from tests.unit.core.disk_images import CONTENT, DiskImages

DATA = payload(0, 6 * MIB)


class FullDiskCase(ImportsTestCase):

    def small(self, name):
        if mount_small_disk(self, self.tmp / name, '3m') is None:
            servers.refuse(self, 'a small file system cannot be mounted here')

    def check_failed(self, node, image_id, words):
        self.wait_status(node, image_id, 'queued')
        task = self.task(node, image_id)
        self.assertEqual('failure', task['status'])
        for word in words:
            self.assertIn(word, task['message'])
        self.assert_settled(node, queued={image_id})


class FullDiskTest(FullDiskCase):

    def test_in_the_store(self):
        self.small('fast')
        node = self.node()
        image_id = self.new(node, DATA)
        self.stage(node, image_id, DATA)
        self.import_(node, image_id)
        self.check_failed(node, image_id, ['fast', 'full'])

    def test_in_the_second_of_two_stores(self):
        self.small('cold')
        node = self.node()
        image_id = self.download(node, DATA, stores=('fast', 'cold'))
        self.check_failed(node, image_id, ['cold', 'full'])

    def test_in_one_store_of_which_the_other_is_enough(self):
        self.small('fast')
        node = self.node()
        image_id = self.download(node, DATA, stores=('fast', 'cold'), must_succeed=False)
        self.wait_active(node, image_id, ('cold',))
        self.assertEqual('fast', self.image(node, image_id)['os_glance_failed_import'])
        self.assert_settled(node, queued=())

    def test_of_a_source_of_unknown_length(self):
        self.small('fast')
        node = self.node()
        path = self.web.put(b'')

        def chunked(handler):
            handler.send_response(200)
            handler.send_header('Transfer-Encoding', 'chunked')
            handler.end_headers()
            for start in range(0, len(DATA), MIB):
                handler.wfile.write(b'%x\r\n%s\r\n' % (MIB, DATA[start:start + MIB]))
            handler.wfile.write(b'0\r\n\r\n')
        self.web.handlers[path] = chunked
        image_id = self.download(node, DATA, self.web.url(path))
        self.check_failed(node, image_id, ['fast', 'full'])

    def test_when_data_are_staged(self):
        self.small('staging')
        node = self.node()
        image_id = self.new(node, DATA)
        status, body = self.request(node, 'PUT', f'/v2/images/{image_id}/stage', DATA, 'application/octet-stream')
        self.assertEqual(413, status, body)
        self.wait_status(node, image_id, 'queued')
        self.assert_settled(node, queued={image_id})


class FullDiskOfConversionTest(FullDiskCase):
    """With a plugin that needs files."""

    plugins = 'image_conversion'

    def test_in_staging_that_the_data_are_fetched_to(self):
        self.small('staging')
        node = self.node()
        image_id = self.download(node, DATA)
        self.check_failed(node, image_id, ['full'])

    def test_in_the_work_directory(self):
        url = self.source(DiskImages(self, self.tmp).converted('qcow2'))
        if mount_small_disk(self, self.tmp / 'work', '512k') is None:
            servers.refuse(self, 'a small file system cannot be mounted here')
        node = self.node()
        image_id = self.download(node, CONTENT, url, 'qcow2')
        self.check_failed(node, image_id, ['no room'])
        self.assertEqual([], os.listdir(self.tmp / 'work'))


class CancelledTest(ImportsTestCase):

    def test_at_any_moment(self):
        seed = random.randrange(2**32)
        self.addDetail('seed', text_content(f'seed {seed}'))
        chance = random.Random(seed)
        node = self.node(max_bytes_per_second=12 * MIB)
        images = []
        for number in range(16):
            data = payload(number, 2 * MIB)
            kind = number % 4
            if kind == 0:
                image_id = self.new(node, data)
                self.stage(node, image_id, data)
                self.import_(node, image_id, stores=('fast', 'cold'))
            else:
                image_id = self.download(node, data, stores=('fast', 'cold'), must_succeed=kind != 1)
            images.append(image_id)
        pause = threading.Event()
        for image_id in chance.sample(images, len(images)):
            pause.wait(chance.uniform(0, 0.3))
            self.assertIn(self.cancel(node, image_id), (202, 409))
        for image_id in images:
            wait_until(lambda image_id=image_id: self.task(node, image_id)['status'] in OVER, SECONDS,
                       f'the end of {image_id}')
        self.assert_settled(node)
