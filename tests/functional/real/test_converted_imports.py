"""Real disks imported through each method and each client, decompressed, converted to raw and given properties.

Two API workers, two stores, every import plugin that there is.
"""

import bz2
import gzip
import hashlib
import json
import lzma
import os
import subprocess
import sys
import threading
from pathlib import Path

import glanceclient
import openstack
import requests
from testtools.matchers import Contains, MatchesRegex

from glancelike.compliance.web_server import WebServer
from tests import base, servers
from tests.servers.glance_api import GlanceApi
from tests.servers.process import wait_until

BIN = Path(sys.executable).parent
SECONDS = 120
STORES = ('fast', 'cold')
METHODS = ['glance-direct', 'web-download', 'copy-image', 'glance-download']
PLUGINS = ['image_decompression', 'image_conversion', 'inject_image_metadata']
FORMATS = {'disk_format': 'qcow2', 'container_format': 'bare'}


def sha512(path: Path) -> str:
    return hashlib.sha512(path.read_bytes()).hexdigest()


class ImportCase(base.TestCase):
    """A qcow2 and the raw disk that it holds, and a web server that has the qcow2, compressed and not."""

    def setUp(self):
        super().setUp()
        self.qcow2, self.raw = self.tmp / 'disk.qcow2', self.tmp / 'disk.raw'
        self.raw.write_bytes(bytes(2**20) + b'some blocks' * 300_000)
        os.truncate(self.raw, 8 * 2**20)
        try:
            subprocess.run(['qemu-img', 'convert', '-O', 'qcow2', self.raw, self.qcow2], check=True,
                           capture_output=True)
        except FileNotFoundError:
            self.skipTest('qemu-img is not installed')
        self.web = WebServer()
        self.addCleanup(self.web.stop)
        data = self.qcow2.read_bytes()
        self.web.objects.update({'/disk': data, '/disk.gz': gzip.compress(data), '/disk.bz2': bz2.compress(data),
                                 '/disk.xz': lzma.compress(data)})

    def node(self, name='here', flavor='', **options):
        """A running service; its bytes are in folders of that name."""
        folder = self.tmp / name
        for store in STORES:
            (folder / store).mkdir(parents=True)
        return self.useFixture(GlanceApi({
            'DEFAULT': {'workers': 2, 'enabled_backends': [f'{store}:filesystem' for store in STORES],
                        'known_stores': None, 'default_store': None, 'enabled_import_methods': METHODS},
            'glance_store': {'default_backend': 'fast'},
            **{store: {'filesystem_store_datadir': str(folder / store)} for store in STORES},
            'os_glance_staging_store': {'filesystem_store_datadir': str(folder / 'staging')},
            'image_import_opts': {'image_import_plugins': PLUGINS},
            'inject_metadata_properties': {'inject': 'injected:yes', 'ignore_user_roles': 'nobody'},
            'import_filtering_opts': {'allowed_hosts': '127.0.0.1', 'allowed_ports': self.web.port,
                                      'download_retries': 0},
            **options,
        }, flavor=flavor))

    def run_client(self, *command, environment=None, fails=False):
        """Output of a command line client, which has a terminal: from other input it would read image data."""
        keyboard, terminal = os.openpty()
        try:
            done = subprocess.run(
                [str(BIN / command[0]), *map(str, command[1:])], stdin=terminal, capture_output=True, text=True,
                timeout=SECONDS, env={'PATH': '/usr/bin:/bin', 'HOME': str(self.tmp), **(environment or {})})
        finally:
            os.close(keyboard)
            os.close(terminal)
        self.assertEqual(fails, done.returncode != 0, f'{command}: {done.stdout} {done.stderr}')
        return done.stdout + done.stderr if fails else done.stdout

    def imported(self, glance, image_id, stores=('fast',), folder='here'):
        """The image once it is in all *stores*: the raw disk, byte for byte."""
        def there():
            image = glance.images.get(image_id)
            return image.status == 'active' and image.get('os_glance_importing_to_stores') == '' and image
        image = wait_until(there, SECONDS, f'{glance.images.get_associated_image_tasks(image_id)["tasks"]}')
        self.assertEqual(('raw', 'bare', 8 * 2**20, 8 * 2**20, 'sha512', sha512(self.raw), 'yes', set(stores), ''), (
            image.disk_format, image.container_format, image.size, image.virtual_size, image.os_hash_algo,
            image.os_hash_value, image.injected, set(image.stores.split(',')), image.os_glance_failed_import))
        self.assertEqual(hashlib.md5(self.raw.read_bytes()).hexdigest(), image.checksum)
        for store in STORES:
            file = self.tmp / folder / store / image_id
            self.assertEqual(store in stores, file.exists())
            if store in stores:
                self.assertEqual(sha512(self.raw), sha512(file))
        self.check_tidy(folder)
        return image

    def failed(self, glance, image_id, folder='here'):
        """Its task's message, once the import failed; the image is as it was, and no byte is left."""
        def ended():
            [task, *_] = glance.images.get_associated_image_tasks(image_id)['tasks']
            return task['status'] == 'failure' and task
        task = wait_until(ended, SECONDS, 'the import to fail')
        self.assertEqual('queued', glance.images.get(image_id).status)
        for store in STORES:
            self.assertFalse((self.tmp / folder / store / image_id).exists())
        self.check_tidy(folder)
        return task['message']

    def check_tidy(self, folder='here'):
        """Nothing waits in staging, nor in the folder of unfinished work."""
        def left():
            return [path for name in ('staging', 'os_glance_tasks_store')
                    for path in (self.tmp / folder / name).rglob('*') if path.is_file()]
        wait_until(lambda: not left(), SECONDS, f'{left()} to go')

    def halting(self):
        """A URI that sends a half of the qcow2, and the rest when the event is set."""
        go_on, data = threading.Event(), self.qcow2.read_bytes()
        self.addCleanup(go_on.set)

        def half(handler):
            handler.send_response(200)
            handler.send_header('Content-Length', str(len(data)))
            handler.end_headers()
            handler.wfile.write(data[:len(data) // 2])
            go_on.wait(SECONDS)
            try:
                handler.wfile.write(data[len(data) // 2:])
            except OSError:
                handler.close_connection = True  # cancelled
        self.web.handlers['/halting'] = half
        return self.web.url('/halting'), go_on


class TestGlanceclient(ImportCase):
    """python-glanceclient, as a library and as the command ``glance``."""

    def setUp(self):
        super().setUp()
        self.api = self.node()
        self.glance = glanceclient.Client('2', self.api.url)

    def command(self, *arguments, **keywords):
        return self.run_client('glance', '--os-image-url', self.api.url, '--os-auth-token', 'none', *arguments,
                               **keywords)

    def create(self, **attributes):
        return self.glance.images.create(**{'name': 'a disk', **FORMATS, **attributes}).id

    def newest(self):
        return next(self.glance.images.list(sort='created_at:desc')).id

    def test_a_staged_disk(self):
        image_id, images = self.create(), self.glance.images
        with self.qcow2.open('rb') as data:
            images.stage(image_id, data)
        self.assertEqual(('uploading', self.qcow2.stat().st_size),
                         (images.get(image_id).status, images.get(image_id).size))
        images.image_import(image_id, 'glance-direct', stores=['cold'], allow_failure=False)
        self.imported(self.glance, image_id, ['cold'])

    def test_a_disk_of_the_web_packed_or_not(self):
        for path in ('/disk', '/disk.gz', '/disk.bz2', '/disk.xz'):
            image_id = self.create(name=path, container_format='bare')
            self.glance.images.image_import(image_id, 'web-download', uri=self.web.url(path))
            self.imported(self.glance, image_id)

    def test_copies_of_an_image(self):
        image_id = self.create()
        self.glance.images.image_import(image_id, 'web-download', uri=self.web.url('/disk'))
        self.imported(self.glance, image_id)
        self.glance.images.image_import(image_id, 'copy-image', all_stores=True)
        self.imported(self.glance, image_id, STORES)
        self.glance.images.delete_from_store('fast', image_id)
        self.imported(self.glance, image_id, ['cold'])
        self.glance.images.image_import(image_id, 'copy-image', stores=['fast'], allow_failure=False)
        self.imported(self.glance, image_id, STORES)

    def test_what_shall_stay_compressed_does(self):
        image_id = self.create(container_format='compressed')
        self.glance.images.image_import(image_id, 'web-download', uri=self.web.url('/disk.gz'))
        image = wait_until(lambda: self.glance.images.get(image_id).status == 'active' and
                           self.glance.images.get(image_id), SECONDS, 'the import')
        self.assertEqual((self.web.objects['/disk.gz'], 'compressed', 'qcow2', 'yes'), (
            b''.join(self.glance.images.data(image_id)), image.container_format, image.disk_format, image.injected))

    def test_progress_is_seen(self):
        image_id, (url, go_on) = self.create(), self.halting()
        self.glance.images.image_import(image_id, 'web-download', uri=url)

        def progress():
            [task] = self.glance.images.get_associated_image_tasks(image_id)['tasks']
            done = task.get('progress') or {'bytes_done': 0}
            return done['bytes_done'] and (task, done)
        task, done = wait_until(progress, SECONDS, 'the first bytes')
        self.assertEqual(('processing', self.qcow2.stat().st_size), (task['status'], done['bytes_total']))
        self.assertThat(task['message'], MatchesRegex(r'\w+: \d+\.\d of \d+\.\d MiB'))
        self.assertThat(self.command('image-tasks', image_id), Contains('processing'))
        self.assertEqual('importing', self.glance.images.get(image_id).status)
        go_on.set()
        self.imported(self.glance, image_id)

    def test_a_cancelled_import_can_be_made_again(self):
        image_id, (url, go_on) = self.create(), self.halting()
        self.glance.images.image_import(image_id, 'web-download', uri=url, stores=list(STORES))
        wait_until(lambda: self.web.seen, SECONDS, 'the download to begin')
        cancelled = requests.delete(f'{self.api.url}/v2/images/{image_id}/import', timeout=SECONDS)
        self.assertEqual(202, cancelled.status_code, cancelled.text)
        self.assertThat(self.failed(self.glance, image_id), Contains('cancel'))
        go_on.set()
        with self.qcow2.open('rb') as data:
            self.glance.images.stage(image_id, data)
        self.glance.images.image_import(image_id, 'glance-direct')
        self.imported(self.glance, image_id)

    def test_what_cannot_be_imported_leaves_the_image_queued(self):
        self.web.objects['/broken'] = self.web.objects['/disk.gz'][:-100]
        self.web.objects['/other'] = b'KDMV' + bytes(1000)
        for path, attributes, said in (
                ('/absent', {}, '404'), ('/broken', {}, 'gzip'),
                ('/other', {}, 'qcow2')):
            image_id = self.create(**attributes)
            self.glance.images.image_import(image_id, 'web-download', uri=self.web.url(path), all_stores=True)
            self.assertThat(self.failed(self.glance, image_id), Contains(said))
            self.assertEqual(attributes.get('container_format', 'bare'),
                             self.glance.images.get(image_id).container_format)

    def test_the_command_creates_images_by_import(self):
        formats = ['--disk-format', 'qcow2', '--container-format', 'bare']
        self.command('image-create-via-import', '--name', 'by file', *formats, '--file', self.qcow2, '--progress',
                     '--property', 'a=b', '--stores', 'fast,cold', '--allow-failure', 'False')
        self.assertEqual(('by file', 'b'), (self.imported(self.glance, self.newest(), STORES).name,
                                            self.glance.images.get(self.newest()).a))
        self.command('image-create-via-import', '--name', 'by uri', *formats, '--import-method', 'web-download',
                     '--uri', self.web.url('/disk.gz'), '--all-stores', 'True', '--allow-failure', 'False')
        self.imported(self.glance, self.newest(), STORES)
        self.command('image-create-via-import', '--name', 'only a record', *formats)
        self.assertEqual('queued', self.glance.images.get(self.newest()).status)

    def test_the_command_imports_copies_and_takes_away(self):
        image_id = self.create()
        self.command('image-stage', '--file', self.qcow2, '--progress', image_id)
        self.command('image-import', '--import-method', 'glance-direct', '--store', 'cold', image_id)
        self.imported(self.glance, image_id, ['cold'])
        self.command('image-import', '--import-method', 'copy-image', '--all-stores', 'True', '--allow-failure',
                     'False', image_id)
        self.imported(self.glance, image_id, STORES)
        self.command('stores-delete', '--store', 'cold', image_id)
        self.imported(self.glance, image_id, ['fast'])
        self.assertThat(self.command('stores-delete', '--store', 'fast', image_id, fails=True),
                        Contains('Unable to delete'))
        copy = self.tmp / 'copy'
        self.command('image-download', image_id, '--file', copy)
        self.assertEqual(sha512(self.raw), sha512(copy))
        shown = self.command('--verbose', 'image-tasks', image_id)
        for text in ('success', 'glance-direct', 'copy-image'):
            self.assertThat(shown, Contains(text))
        self.assertThat(self.command('image-import', '--import-method', 'web-download', '--uri',
                                     self.web.url('/disk'), image_id, fails=True), Contains('queued'))

    def test_the_command_shows_what_can_be_done(self):
        info = self.command('import-info')
        for text in METHODS:
            self.assertThat(info, Contains(text))
        stores = self.command('stores-info', '--detail')
        for text in (*STORES, 'default'):
            self.assertThat(stores, Contains(text))

    def test_tasks(self):
        asked = {'import_from': self.web.url('/disk'), 'import_from_format': 'qcow2',
                 'image_properties': {'name': 'by a task', **FORMATS}}
        self.assertThat(self.command('task-create', '--type', 'import', '--input', json.dumps(asked)),
                        Contains('pending'))
        [task] = self.glance.tasks.list(filters={'type': 'import'})
        wait_until(lambda: self.glance.tasks.get(task.id).status == 'success', SECONDS, 'the task')
        image_id = self.glance.tasks.get(task.id).result['image_id']
        self.assertEqual('by a task', self.imported(self.glance, image_id).name)
        page = ['--sort-key', 'id', '--sort-dir', 'asc', '--page-size', '1', '--type', 'import', '--status', 'success']
        for command in (['task-list'], ['task-list', *page], ['task-show', task.id]):
            self.assertThat(self.command(*command), Contains(task.id))


class TestOpenstacksdk(ImportCase):

    def setUp(self):
        super().setUp()
        self.api = self.node()
        self.glance = glanceclient.Client('2', self.api.url)
        self.cloud = openstack.connect(auth_type='none', endpoint=self.api.url, image_endpoint_override=None)
        self.addCleanup(self.cloud.close)
        self.image = self.cloud.image

    def test_images_are_created_by_import(self):
        made = self.image.create_image('by file', filename=str(self.qcow2), **FORMATS, use_import=True)
        self.imported(self.glance, made.id)
        made = self.image.create_image('to all', filename=str(self.qcow2), **FORMATS, all_stores=True,
                                       all_stores_must_succeed=True)
        self.imported(self.glance, made.id, STORES)
        made = self.image.create_image('by uri', **FORMATS, use_import=True, import_method='web-download',
                                       uri=self.web.url('/disk.gz'), stores=['cold'])
        self.imported(self.glance, made.id, ['cold'])

    def test_an_image_is_staged_imported_and_copied(self):
        made = self.image.create_image('step by step', **FORMATS)
        self.image.stage_image(made, filename=str(self.qcow2))
        self.assertEqual('uploading', self.image.get_image(made.id).status)
        self.image.import_image(self.image.get_image(made.id), store='fast')
        self.imported(self.glance, made.id)
        self.image.import_image(self.image.get_image(made.id), method='copy-image', stores=['cold'],
                                all_stores_must_succeed=True)
        self.imported(self.glance, made.id, STORES)
        self.assertEqual(['success', 'success'], [task.status for task in self.image.image_tasks(made.id)])
        self.assertEqual(METHODS, self.image.get_import_info().import_methods['value'])
        self.assertEqual(set(STORES), {store.id for store in self.image.stores()})
        self.assertEqual(set(STORES), {store.id for store in self.image.stores(details=True)})

    def test_a_failing_import(self):
        made = self.image.create_image('a', **FORMATS)
        self.image.import_image(made, method='web-download', uri=self.web.url('/absent'))
        self.assertThat(self.failed(self.glance, made.id), Contains('404'))
        refused = self.image.import_image(made, method='web-download', uri='http://10.0.0.1/x')
        self.assertEqual(400, refused.status_code)
        self.assertThat(refused.text, Contains('its host is not allowed here'))

    def test_tasks(self):
        task = self.image.create_task(type='import', input={
            'import_from': self.web.url('/disk'), 'import_from_format': 'qcow2',
            'image_properties': {'name': 'by a task', **FORMATS}})
        done = self.image.wait_for_task(task, 'success', interval=0.1, wait=SECONDS)
        self.imported(self.glance, done.result['image_id'])
        self.assertEqual([task.id], [one.id for one in self.image.tasks(status='success', type='import')])


class TestOpenstackCommand(ImportCase):

    def setUp(self):
        super().setUp()
        self.api = self.node()
        self.glance = glanceclient.Client('2', self.api.url)

    def command(self, *arguments, **keywords):
        return self.run_client('openstack', '--os-auth-type', 'none', '--os-endpoint', self.api.url, *arguments,
                               **keywords)

    def create(self, *arguments):
        return json.loads(self.command('image', 'create', '--disk-format', 'qcow2', *arguments, 'a disk',
                                       '-f', 'json'))['id']

    def test_an_image_is_created_by_import(self):
        self.imported(self.glance, self.create('--file', self.qcow2, '--import'))

    def test_an_image_is_staged_imported_and_copied(self):
        image_id = self.create()
        self.command('image', 'stage', '--file', self.qcow2, image_id)
        self.command('image', 'import', '--method', 'glance-direct', image_id)
        self.imported(self.glance, image_id)
        self.command('image', 'import', '--method', 'copy-image', '--store', 'cold', '--', image_id)
        self.imported(self.glance, image_id, STORES)
        tasks = json.loads(self.command('image', 'task', 'list', '-f', 'json'))
        self.assertEqual({'success'}, {task['Status'] for task in tasks})
        self.assertThat(self.command('image', 'task', 'show', tasks[0]['ID']), Contains('success'))
        self.assertThat(self.command('image', 'task', 'list', '--sort-key', 'created_at', '--sort-dir', 'asc',
                                     '--status', 'success', '--limit', '1'), Contains(tasks[-1]['ID']))

    def test_a_disk_of_the_web(self):
        image_id = self.create()
        self.command('image', 'import', '--method', 'web-download', '--uri', self.web.url('/disk.gz'),
                     '--all-stores', '--disallow-failure', image_id)
        self.imported(self.glance, image_id, STORES)

    def test_what_can_be_done_is_shown(self):
        self.assertThat(self.command('image', 'import', 'info', '-f', 'json'), Contains('glance-download'))
        stores = json.loads(self.command('image', 'stores', 'list', '-f', 'json'))
        self.assertEqual({'fast': True, 'cold': None}, {store['ID']: store['Default'] for store in stores})


class TestGlanceDownload(ImportCase):
    """An image of another region, which is found in the catalogue of a real Keystone."""

    THERE = 'RegionTwo'

    def setUp(self):
        super().setUp()
        keystone = servers.need(self, 'keystone')
        keystone.create_user('importer', 'imports')
        self.environment = keystone.client_environment('importer', 'imports')
        trust = {'keystone_authtoken': keystone.authtoken()}
        here, there = self.node('here', 'keystone', **trust), self.node('there', 'keystone', **trust)
        keystone.create_endpoint(here.url)
        keystone.create_endpoint(there.url, region=self.THERE)
        self.addCleanup(keystone.drop_endpoints, region=self.THERE)
        token = keystone.token('importer', 'imports')
        self.here, self.there = (glanceclient.Client('2', node.url, token=token) for node in (here, there))
        self.source = self.there.images.create(name='source', **FORMATS, os_distro='debian', speed='88').id
        with self.qcow2.open('rb') as data:
            self.there.images.upload(self.source, data)

    def check(self, image_id, stores=('fast',)):
        image = self.imported(self.here, image_id, stores)
        self.assertEqual(('debian', False), (image.os_distro, 'speed' in image))

    def test_glanceclient(self):
        image_id = self.here.images.create(name='a', **FORMATS).id
        self.here.images.image_import(image_id, 'glance-download', remote_region=self.THERE,
                                      remote_image_id=self.source, stores=list(STORES), allow_failure=False)
        self.check(image_id, STORES)
        command = self.run_client(
            'glance', 'image-create-via-import', '--name', 'b', '--disk-format', 'raw', '--container-format', 'bare',
            '--import-method', 'glance-download', '--remote-region', self.THERE, '--remote-image-id', self.source,
            environment=self.environment)
        self.assertThat(command, Contains('importing'))
        self.check(next(self.here.images.list(filters={'name': 'b'})).id)

    def test_openstacksdk_and_its_command(self):
        cloud = openstack.connect(load_envvars=False, load_yaml_config=False, **{
            name.removeprefix('OS_').lower(): value for name, value in self.environment.items()
            if name != 'OS_IDENTITY_API_VERSION'})
        self.addCleanup(cloud.close)
        # Its releases of 2026 leave out region and image where no interface is given.
        there = {'remote_region': self.THERE, 'remote_image_id': self.source, 'remote_service_interface': 'public'}
        made = cloud.image.create_image('a', **FORMATS, use_import=True, import_method='glance-download', **there)
        self.check(made.id)
        made = cloud.image.create_image('b', **FORMATS)
        self.run_client('openstack', 'image', 'import', '--method', 'glance-download', '--remote-region', self.THERE,
                        '--remote-image', self.source, '--remote-service-interface', 'public', made.id,
                        environment=self.environment)
        self.check(made.id)

    def test_what_is_not_there_leaves_the_image_queued(self):
        for region, image_id, said in ((self.THERE, '00000000-1111-2222-3333-444455556666', '404'),
                                       ('Nowhere', self.source, 'in that region')):
            made = self.here.images.create(name='a', **FORMATS, os_distro='mine').id
            self.here.images.image_import(made, 'glance-download', remote_region=region, remote_image_id=image_id)
            self.assertThat(self.failed(self.here, made), Contains(said))
            self.assertEqual('mine', self.here.images.get(made).os_distro)
