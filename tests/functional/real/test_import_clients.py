"""Image import by the clients that people use, against the service as a real process with two stores."""

import json

import glanceclient
import glanceclient.exc
import openstack
import openstack.exceptions
from testtools.matchers import Contains

from glancelike.compliance.web_server import WebServer
from tests.functional.real.test_clients import ClientCase, sha512
from tests.servers.process import wait_until

SECONDS = 60


class ImportClientCase(ClientCase):
    """Also a web server with the disk on it."""

    def setUp(self):
        self.config = {
            'DEFAULT': {'enabled_backends': 'fast:filesystem,cold:filesystem', 'known_stores': None,
                        'default_store': None},
            'glance_store': {'default_backend': 'fast'},
            'import_filtering_opts': {'allowed_networks': '127.0.0.0/8', 'allowed_ports': ''}}
        super().setUp()
        web = WebServer()
        self.addCleanup(web.stop)
        self.url = web.url(web.put(self.disk.read_bytes()))
        self.absent = web.url('/absent')

    def make_api(self):
        folders = {store: {'filesystem_store_datadir': str(self.tmp / store)} for store in ('fast', 'cold')}
        self.config = {**self.config, **folders}
        return super().make_api()

    def until(self, image_id, show, **wanted):
        """The image once it shows all that is wanted."""
        def fits():
            shown = show(image_id)
            return all(shown[name] == value for name, value in wanted.items()) and shown
        return wait_until(fits, SECONDS, f'{wanted} of image {image_id}; {self.api.log_text()[-3000:]}')


class TestGlanceclient(ImportClientCase):

    def setUp(self):
        super().setUp()
        self.glance = glanceclient.Client('2', self.api.url)

    def command(self, *arguments, **keywords):
        return self.run_client('glance', '--os-image-url', self.api.url, '--os-auth-token', 'none', *arguments,
                               **keywords)

    def create(self):
        return self.glance.images.create(name='qcow', disk_format='qcow2', container_format='bare').id

    def active(self, image_id):
        shown = self.until(image_id, self.glance.images.get, status='active', os_glance_importing_to_stores='')
        self.check_image(shown)
        return shown

    def test_staged_data_into_all_stores(self):
        image_id, images = self.create(), self.glance.images
        with self.disk.open('rb') as data:
            images.stage(image_id, data)
        self.assertEqual('uploading', images.get(image_id).status)
        images.image_import(image_id, 'glance-direct', all_stores=True)
        self.assertEqual('cold,fast', self.active(image_id).stores)
        [task] = images.get_associated_image_tasks(image_id)['tasks']
        self.assertEqual(('success', 'glance-direct'), (task['status'], task['input']['import_req']['method']['name']))

    def test_a_file_on_the_web_and_copies_of_it(self):
        image_id, images = self.create(), self.glance.images
        images.image_import(image_id, 'web-download', uri=self.url, backend='cold')
        self.assertEqual('cold', self.active(image_id).stores)
        images.image_import(image_id, 'copy-image', stores=['fast'])
        self.assertEqual('cold,fast', self.until(image_id, images.get, stores='cold,fast').stores)

    def test_refusals_are_shown(self):
        image_id, images = self.create(), self.glance.images
        error = self.assertRaises(glanceclient.exc.HTTPBadRequest, images.image_import, image_id, 'web-download',
                                  uri='ftp://x/y')
        self.assertThat(str(error), Contains('its scheme must be one of: http, https'))
        self.assertRaises(glanceclient.exc.HTTPConflict, images.image_import, image_id, 'glance-direct')

    def test_discovery(self):
        info = self.glance.images.get_import_info()
        self.assertEqual(['glance-direct', 'web-download', 'copy-image'], info['import-methods']['value'])

    def test_tasks(self):
        made = self.glance.tasks.create(type='import', input={
            'import_from': self.url, 'import_from_format': 'qcow2', 'image_properties': {'name': 'by a task'}})
        task = self.until(made.id, self.glance.tasks.get, status='success')
        self.active(task.result['image_id'])
        failed = self.glance.tasks.create(type='import', input={
            'import_from': self.absent, 'import_from_format': 'qcow2'})
        self.until(failed.id, self.glance.tasks.get, status='failure')
        found = [one.id for one in self.glance.tasks.list(page_size=1, sort_key='status', sort_dir='desc')]
        self.assertEqual([made.id, failed.id], found)
        self.assertEqual([failed.id], [one.id for one in self.glance.tasks.list(filters={'status': 'failure'})])

    def test_the_command(self):
        self.assertThat(self.command('import-info'), Contains('web-download'))
        out = self.command('image-create-via-import', '--name', 'c', '--disk-format', 'qcow2', '--container-format',
                           'bare', '--import-method', 'web-download', '--uri', self.url, '--all-stores', 'True')
        self.assertThat(out, Contains('os_glance_importing_to_stores'))
        [image] = self.glance.images.list()
        self.active(image.id)
        staged = self.create()
        self.command('image-stage', '--file', self.disk, staged)
        self.command('image-import', '--import-method', 'glance-direct', '--stores', 'fast,cold', staged)
        self.active(staged)
        self.assertThat(self.command('--verbose', 'image-tasks', staged), Contains('success'))
        wanted = json.dumps({'import_from': self.absent, 'import_from_format': 'raw'})
        self.assertThat(self.command('task-create', '--type', 'import', '--input', wanted), Contains(self.absent))
        self.assertThat(self.command('task-list'), Contains('api_image_import'))
        [task] = [one for one in self.glance.tasks.list(filters={'type': 'import'})]
        self.assertThat(self.command('task-show', task.id), Contains(task.id))


class TestOpenstacksdk(ImportClientCase):

    def setUp(self):
        super().setUp()
        cloud = openstack.connect(auth_type='none', endpoint=self.api.url, image_endpoint_override=None)
        self.addCleanup(cloud.close)
        self.image = cloud.image

    def active(self, image_id):
        shown = self.until(image_id, self.image.get_image, status='active')
        self.assertEqual((self.disk.stat().st_size, sha512(self.disk)), (shown.size, shown.hash_value))
        self.until(image_id, self.properties, os_glance_importing_to_stores='')

    def properties(self, image_id):
        return self.image.get_image(image_id).properties

    def test_create_by_import(self):
        image = self.image.create_image('staged', filename=str(self.disk), disk_format='qcow2',
                                        container_format='bare', use_import=True, all_stores=True)
        self.active(image.id)
        image = self.image.create_image('from the web', disk_format='qcow2', container_format='bare', use_import=True,
                                        import_method='web-download', uri=self.url, stores=['cold'])
        self.active(image.id)
        self.assertEqual('cold', self.properties(image.id)['stores'])

    def test_step_by_step(self):
        image = self.image.create_image('x', disk_format='qcow2', container_format='bare')
        self.image.stage_image(image, filename=str(self.disk))
        store = next(one for one in self.image.stores() if one.id == 'cold')
        self.image.import_image(self.image.get_image(image.id), store=store)
        self.active(image.id)
        self.image.import_image(self.image.get_image(image.id), method='copy-image', all_stores=True)
        self.until(image.id, self.properties, stores='cold,fast')
        statuses = [task.status for task in self.image.image_tasks(image.id)]
        self.assertEqual('success', statuses[-1])
        self.assertEqual(['glance-direct', 'web-download', 'copy-image'],
                         self.image.get_import_info().import_methods['value'])

    def test_tasks(self):
        task = self.image.create_task(type='import', input={
            'import_from': self.url, 'import_from_format': 'qcow2', 'image_properties': {'name': 'by a task'}})
        task = self.image.wait_for_task(task, 'success', failures=['failure'], interval=0.1, wait=SECONDS)
        self.active(task.result['image_id'])
        self.assertEqual([task.id], [one.id for one in self.image.tasks(status='success')])


class TestOpenstackCommand(ImportClientCase):

    def command(self, *arguments, **keywords):
        return self.run_client('openstack', '--os-auth-type', 'none', '--os-endpoint', self.api.url, *arguments,
                               **keywords)

    def show(self, image_id):
        shown = json.loads(self.command('image', 'show', image_id, '-f', 'json'))
        return {**shown, **shown['properties']}

    def test_an_image_is_staged_imported_and_copied(self):
        made = json.loads(self.command('image', 'create', 'a', '--disk-format', 'qcow2', '-f', 'json'))['id']
        self.command('image', 'stage', '--file', self.disk, made)
        self.command('image', 'import', made)
        self.check_image(self.until(made, self.show, status='active', os_glance_importing_to_stores=''))
        self.command('image', 'import', '--method', 'copy-image', '--all-stores', '--disallow-failure', made)
        self.until(made, self.show, stores='cold,fast')
        self.assertThat(self.command('image', 'task', 'list'), Contains('api_image_import'))

    def test_a_file_on_the_web(self):
        made = json.loads(self.command('image', 'create', 'a', '--disk-format', 'qcow2', '-f', 'json'))['id']
        self.command('image', 'import', '--method', 'web-download', '--uri', self.url, made)
        self.check_image(self.until(made, self.show, status='active'))
        self.assertThat(self.command('image', 'import', 'info'), Contains('web-download'))
