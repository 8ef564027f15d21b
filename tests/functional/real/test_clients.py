"""The clients that people use, against the service as a real process."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import glanceclient
import glanceclient.exc
import openstack
import openstack.exceptions
from testtools.matchers import Contains

from tests import base, servers
from tests.servers.glance_api import GlanceApi

BIN = Path(sys.executable).parent
TIMEOUT_SECONDS = 120


def sha512(path: Path) -> str:
    return hashlib.sha512(path.read_bytes()).hexdigest()


class ClientCase(base.TestCase):
    """A node and a real qcow2 of 16 MiB with some data in it."""

    config = {}

    def setUp(self):
        super().setUp()
        self.api = self.make_api()
        self.disk = self.tmp / 'disk.qcow2'
        raw = self.tmp / 'disk.raw'
        raw.write_bytes(b'some blocks' * 200_000)
        self.qemu('convert', '-O', 'qcow2', str(raw), str(self.disk))
        self.virtual_size = json.loads(self.qemu('info', '--output=json', str(self.disk)))['virtual-size']

    def make_api(self):
        return self.useFixture(GlanceApi(self.config))

    def qemu(self, *arguments):
        try:
            return subprocess.run(['qemu-img', *arguments], check=True, capture_output=True, text=True).stdout
        except FileNotFoundError:
            self.skipTest('qemu-img is not installed')

    def run_client(self, *command, fails=False):
        """Output of a command line client. It has a terminal: from any other input it would read image data."""
        ends = os.openpty()
        try:
            done = subprocess.run([str(BIN / command[0]), *map(str, command[1:])], capture_output=True, text=True,
                                  stdin=ends[1], timeout=TIMEOUT_SECONDS,
                                  env={'PATH': '/usr/bin:/bin', 'HOME': str(self.tmp)})
        finally:
            for end in ends:
                os.close(end)
        self.assertEqual(fails, done.returncode != 0,
                         f'{command}: {done.stdout} {done.stderr} {self.api.log_text()[-3000:]}')
        return done.stdout + done.stderr if fails else done.stdout

    def check_image(self, shown):
        """*shown* is an image document of ``self.disk``, active."""
        self.assertEqual(('active', self.disk.stat().st_size, 'sha512', sha512(self.disk)), tuple(
            shown[name] for name in ('status', 'size', 'os_hash_algo', 'os_hash_value')))


class TestGlanceclient(ClientCase):
    """python-glanceclient, as a library and as the command ``glance``."""

    def setUp(self):
        super().setUp()
        self.glance = glanceclient.Client('2', self.api.url)

    def command(self, *arguments, **keywords):
        return self.run_client('glance', '--os-image-url', self.api.url, '--os-auth-token', 'none', *arguments,
                               **keywords)

    def test_an_image_lives_and_dies(self):
        images = self.glance.images
        image = images.create(name='qcow', disk_format='qcow2', container_format='bare', tags=['a'], my_own='x')
        with self.disk.open('rb') as data:
            images.upload(image.id, data)
        shown = images.get(image.id)
        self.check_image(shown)
        self.assertEqual(self.virtual_size, shown.virtual_size)
        self.assertEqual(self.disk.read_bytes(), b''.join(images.data(image.id)))
        self.assertEqual(['qcow'], [one.name for one in images.list(filters={'tag': ['a']})])
        changed = images.update(image.id, remove_props=['my_own'], name='renamed', other='y', min_ram=64)
        self.assertEqual(('renamed', 'y', 64, False),
                         (changed.name, changed.other, changed.min_ram, 'my_own' in changed))
        images.deactivate(image.id)
        self.assertEqual('deactivated', images.get(image.id).status)
        images.reactivate(image.id)
        self.glance.image_tags.update(image.id, 'b')
        self.glance.image_tags.delete(image.id, 'a')
        self.assertEqual(['b'], images.get(image.id).tags)
        images.delete(image.id)
        error = self.assertRaises(glanceclient.exc.HTTPNotFound, images.get, image.id)
        self.assertThat(str(error), Contains(f'HTTP 404 Not Found: No image found with ID {image.id}'))

    def test_members(self):
        image = self.glance.images.create(name='x', visibility='shared')
        members = self.glance.image_members
        self.assertEqual('pending', members.create(image.id, 'project').status)
        self.assertEqual('accepted', members.update(image.id, 'project', 'accepted').status)
        self.assertEqual(['project'], [one.member_id for one in members.list(image.id)])
        members.delete(image.id, 'project')
        self.assertEqual([], list(members.list(image.id)))

    def test_pages_are_walked(self):
        for number in range(7):
            self.glance.images.create(name=f'image {number}')
        found = [one.name for one in self.glance.images.list(page_size=2, sort='name:asc')]
        self.assertEqual([f'image {number}' for number in range(7)], found)

    def test_schemas_and_versions_are_understood(self):
        self.assertTrue(self.glance.schemas.get('image').is_base_property('name'))
        self.assertIn('v2.7', [one['id'] for one in self.glance.versions.list()])

    def test_the_command_creates_lists_shows_and_downloads(self):
        out = self.command('image-create', '--name', 'from the command', '--disk-format', 'qcow2', '--container-format',
                           'bare', '--file', self.disk, '--progress', '--property', 'a=b', '--tag', 't')
        self.assertThat(out, Contains('active'))
        [image] = self.glance.images.list()
        self.check_image(image)
        self.assertThat(self.command('image-list'), Contains('from the command'))
        self.assertThat(self.command('image-show', image.id), Contains(sha512(self.disk)[:40]))  # it folds
        copy = self.tmp / 'copy'
        self.command('image-download', image.id, '--file', copy, '--progress')
        self.assertEqual(sha512(self.disk), sha512(copy))
        self.command('image-update', image.id, '--name', 'again', '--remove-property', 'a')
        self.command('member-create', image.id, 'project')
        self.assertThat(self.command('member-list', '--image-id', image.id), Contains('project'))
        self.command('image-tag-update', image.id, 'u')
        self.command('image-deactivate', image.id)
        self.command('image-reactivate', image.id)
        self.command('image-delete', image.id)
        self.assertThat(self.command('image-show', image.id, fails=True),
                        Contains(f'No image found with ID {image.id}'))


class TestOpenstacksdk(ClientCase):

    def setUp(self):
        super().setUp()
        self.cloud = openstack.connect(auth_type='none', endpoint=self.api.url, image_endpoint_override=None)
        self.addCleanup(self.cloud.close)

    def test_an_image_lives_and_dies(self):
        image = self.cloud.create_image('from the sdk', filename=str(self.disk), disk_format='qcow2',
                                        container_format='bare', wait=True, tags=['a'], os_distro='debian')
        proxy = self.cloud.image
        shown = proxy.get_image(image.id)
        self.assertEqual(('active', self.disk.stat().st_size, sha512(self.disk), self.virtual_size),
                         (shown.status, shown.size, shown.hash_value, shown.virtual_size))
        self.assertEqual([image.id], [one.id for one in proxy.images(tag='a', name='from the sdk')])
        self.assertEqual(image.id, proxy.find_image('from the sdk').id)
        copy = self.tmp / 'copy'
        proxy.download_image(image, output=str(copy))
        self.assertEqual(sha512(self.disk), sha512(copy))
        changed = proxy.update_image(image.id, name='renamed', min_disk=1, some_property='x')
        self.assertEqual(('renamed', 1), (changed.name, changed.min_disk))
        self.assertEqual('x', proxy.get_image(image.id).properties['some_property'])
        member = proxy.add_member(image.id, member='project')
        self.assertEqual('pending', member.status)
        self.assertEqual('accepted', proxy.update_member(member, image.id, status='accepted').status)
        proxy.remove_member(member, image.id)
        proxy.add_tag(image.id, 'b')
        proxy.remove_tag(image.id, 'a')
        self.assertEqual(['b'], proxy.get_image(image.id).tags)
        proxy.deactivate_image(image.id)
        proxy.reactivate_image(image.id)
        proxy.delete_image(image.id)
        error = self.assertRaises(openstack.exceptions.NotFoundException, proxy.get_image, image.id)
        self.assertThat(str(error), Contains(f'404 Not Found: No image found with ID {image.id}'))


class TestOpenstackCommand(ClientCase):

    def command(self, *arguments, **keywords):
        return self.run_client('openstack', '--os-auth-type', 'none', '--os-endpoint', self.api.url, *arguments,
                               **keywords)

    def test_an_image_lives_and_dies(self):
        made = json.loads(self.command('image', 'create', 'from osc', '--disk-format', 'qcow2', '--file', self.disk,
                                       '--property', 'a=b', '-f', 'json'))
        listed = json.loads(self.command('image', 'list', '-f', 'json'))
        self.assertEqual([{'ID': made['id'], 'Name': 'from osc', 'Status': 'active'}], listed)
        shown = json.loads(self.command('image', 'show', made['id'], '-f', 'json'))
        self.assertEqual(('active', self.disk.stat().st_size, sha512(self.disk), 'b'), (
            shown['status'], shown['size'], shown['properties']['os_hash_value'], shown['properties']['a']))
        copy = self.tmp / 'copy'
        self.command('image', 'save', '--file', copy, made['id'])
        self.assertEqual(sha512(self.disk), sha512(copy))
        self.command('image', 'set', '--name', 'renamed', '--tag', 't', '--property', 'c=d', made['id'])
        self.command('image', 'unset', '--property', 'a', made['id'])
        self.command('image', 'set', '--deactivate', made['id'])
        self.command('image', 'set', '--activate', made['id'])
        self.command('image', 'delete', 'renamed')
        self.assertEqual([], json.loads(self.command('image', 'list', '-f', 'json')))


class TestWithKeystone(base.TestCase):
    """Tokens, roles and the catalogue of a real Keystone."""

    def setUp(self):
        super().setUp()
        self.keystone = servers.need(self, 'keystone')
        for user, project in (('owner', 'one'), ('stranger', 'two')):
            self.keystone.create_user(user, project)
        self.keystone.create_user('looker', 'one', ('reader',))
        self.api = self.useFixture(GlanceApi({'keystone_authtoken': self.keystone.authtoken()}, flavor='keystone'))
        self.keystone.create_endpoint(self.api.url)

    def connect(self, user, project):
        environment = self.keystone.client_environment(user, project)
        cloud = openstack.connect(**{name.removeprefix('OS_').lower(): value for name, value in environment.items()
                                     if name not in ('OS_IDENTITY_API_VERSION',)}, load_envvars=False,
                                  load_yaml_config=False)
        self.addCleanup(cloud.close)
        return cloud.image

    def test_each_role_does_what_it_may(self):
        owner, stranger = self.connect('owner', 'one'), self.connect('stranger', 'two')
        looker = self.connect('looker', 'one')
        image = owner.create_image('mine', disk_format='raw', container_format='bare', visibility='private')
        owner.get_image(image.id).upload(owner, data=b'some data')
        self.assertEqual('active', owner.get_image(image.id).status)
        self.assertEqual('mine', looker.get_image(image.id).name)
        self.assertRaises(openstack.exceptions.ForbiddenException, looker.delete_image, image.id)
        self.assertRaises(openstack.exceptions.NotFoundException, stranger.get_image, image.id)
        self.assertEqual([], list(stranger.images()))
        owner.delete_image(image.id)

    def test_without_a_token_there_is_only_the_version_list(self):
        import requests
        refused = requests.get(f'{self.api.url}/v2/images', timeout=30)
        self.assertEqual(401, refused.status_code)
        self.assertThat(refused.headers['WWW-Authenticate'], Contains('Keystone uri='))
        forged = requests.get(f'{self.api.url}/v2/images', timeout=30, headers={
            'X-Identity-Status': 'Confirmed', 'X-Roles': 'admin', 'X-User-Id': 'x', 'X-Project-Id': 'y'})
        self.assertEqual(401, forged.status_code)
        self.assertEqual(200, requests.get(f'{self.api.url}/versions', timeout=30).status_code)
