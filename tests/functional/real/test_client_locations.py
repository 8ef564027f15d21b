"""python-glanceclient and openstacksdk set, change, list and remove locations of a real node."""

import hashlib
import json
import shutil
import tempfile

import glanceclient
import glanceclient.exc
import openstack
import openstack.exceptions
from testtools.matchers import Contains

from glancelike.compliance.web_server import WebServer
from tests.functional.real.test_clients import ClientCase
from tests.servers.process import wait_until

CONFIG = {'DEFAULT': {'show_multiple_locations': True, 'known_stores': 'filesystem,http'},
          'glance_store': {'http_store_allow_private': True},
          'import_filtering_opts': {'allowed_hosts': '127.0.0.1', 'allowed_ports': ''}}


class WebCase(ClientCase):
    """``self.data``, the disk of ClientCase, at ``self.url`` and ``self.second`` of a web server."""

    config = CONFIG

    def setUp(self):
        super().setUp()
        self.data = self.disk.read_bytes()
        self.hashes = {'os_hash_algo': 'sha512', 'os_hash_value': hashlib.sha512(self.data).hexdigest()}
        self.web = WebServer()
        self.addCleanup(self.web.stop)
        self.url, self.second = (self.web.url(self.web.put(self.data)) for _ in range(2))


class TestGlanceclient(WebCase):

    def setUp(self):
        super().setUp()
        self.glance = glanceclient.Client('2', self.api.url)

    def command(self, *arguments, **keywords):
        return self.run_client('glance', '--os-image-url', self.api.url, '--os-auth-token', 'none', *arguments,
                               **keywords)

    def queued(self):
        return self.glance.images.create(name='elsewhere', disk_format='qcow2', container_format='bare').id

    def wait_hashed(self, image_id):
        wait_until(lambda: self.glance.images.get(image_id).os_hash_value, 30, 'the image to be hashed')
        self.check_image(self.glance.images.get(image_id))

    def test_the_library_sets_one_and_lists_it(self):
        image_id = self.queued()
        self.glance.images.add_image_location(image_id, self.url, self.hashes)
        self.wait_hashed(image_id)
        self.assertEqual([{'url': self.url, 'metadata': {}}], list(self.glance.images.get_image_locations(image_id)))
        self.assertEqual(self.data, b''.join(self.glance.images.data(image_id)))
        self.assertEqual(self.virtual_size, self.glance.images.get(image_id).virtual_size)

    def test_the_library_sets_one_without_a_hash(self):
        image_id = self.queued()
        image = self.glance.images.add_image_location(image_id, self.url)
        self.assertEqual('active', image.status)
        self.wait_hashed(image_id)
        error = self.assertRaises(glanceclient.exc.HTTPBadRequest, self.glance.images.add_image_location,
                                  self.queued(), 'file:///etc/passwd')
        self.assertThat(str(error), Contains("the service's own"))

    def test_the_library_changes_locations_by_patches(self):
        image_id, images = self.queued(), self.glance.images
        image = images.add_location(image_id, self.url, {'a': 'b'}, validation_data=self.hashes)
        self.assertEqual(('active', self.hashes['os_hash_value']), (image.status, image.os_hash_value))
        images.add_location(image_id, self.second, {})
        image = images.update_location(image_id, self.second, {'c': 'd'})
        self.assertEqual([{'a': 'b'}, {'c': 'd'}], [one['metadata'] for one in image.locations])
        images.delete_locations(image_id, {self.url})
        self.assertEqual([self.second], [one['url'] for one in images.get(image_id).locations])
        self.assertRaises(glanceclient.exc.HTTPForbidden, images.delete_locations, image_id, {self.second})

    def test_the_command(self):
        image_id = self.queued()
        self.assertThat(self.command('location-add', '--url', self.url, '--metadata', '{"a": "b"}', image_id),
                        Contains('active'))
        self.command('location-add', '--url', self.second, image_id)
        self.assertThat(self.command('location-update', '--url', self.second, '--metadata', '{"c": "d"}', image_id),
                        Contains('"c":'))  # it folds
        self.command('location-delete', '--url', self.url, image_id)
        self.assertEqual([self.second], [one['url'] for one in self.glance.images.get(image_id).locations])
        self.assertThat(self.command('location-add', '--url', 'file:///etc/passwd', image_id, fails=True),
                        Contains("the service's own"))
        other = self.queued()
        self.command('add-location', '--url', self.url, '--validation-data', json.dumps(self.hashes), other)
        self.wait_hashed(other)


class TestGlanceclientSeveralStores(WebCase):
    """The copy of one store is removed."""

    config = {'DEFAULT': {'show_multiple_locations': True, 'enabled_backends': 'fast:filesystem,web:http'},
              'glance_store': {'default_backend': 'fast'}, 'web': {'http_store_allow_private': True},
              'import_filtering_opts': CONFIG['import_filtering_opts']}

    def setUp(self):
        folder = tempfile.mkdtemp(prefix='glancelike-test-')
        self.addCleanup(shutil.rmtree, folder)
        self.config = {**self.config, 'fast': {'filesystem_store_datadir': folder}}
        super().setUp()

    def test_the_library_and_the_command_remove_it(self):
        glance = glanceclient.Client('2', self.api.url)
        image = glance.images.create(name='here', disk_format='qcow2', container_format='bare')
        with self.disk.open('rb') as data:
            glance.images.upload(image.id, data)
        glance.images.add_location(image.id, self.url, {'store': 'web'})
        self.assertEqual('fast,web', glance.images.get(image.id).stores)
        glance.images.delete_from_store('fast', image.id)
        self.assertEqual('web', glance.images.get(image.id).stores)
        self.assertThat(self.run_client('glance', '--os-image-url', self.api.url, '--os-auth-token', 'none',
                                        'stores-delete', '--store', 'web', image.id, fails=True),
                        Contains('only copy'))
        self.assertEqual(self.data, b''.join(glance.images.data(image.id)))


class TestOpenstacksdk(WebCase):

    def test_one_is_set_and_listed(self):
        cloud = openstack.connect(auth_type='none', endpoint=self.api.url, image_endpoint_override=None)
        self.addCleanup(cloud.close)
        proxy = cloud.image
        image = proxy.create_image('elsewhere', disk_format='qcow2', container_format='bare')
        proxy.add_image_location(image.id, self.url, validation_data=self.hashes)
        wait_until(lambda: proxy.get_image(image.id).status == 'active', 30, 'the image to be active')
        self.assertEqual(self.hashes['os_hash_value'], proxy.get_image(image.id).hash_value)
        self.assertEqual([(self.url, {})], [(one.url, one.metadata) for one in proxy.image_locations(image.id)])
        other = proxy.create_image('other', disk_format='qcow2', container_format='bare')
        proxy.add_image_location(other.id, self.url)
        self.assertEqual('active', proxy.get_image(other.id).status)
        self.assertRaises(openstack.exceptions.ConflictException, proxy.add_image_location, other.id, self.second)
