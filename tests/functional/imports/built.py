"""A whole service for tests of imports: several filesystem stores, methods and plugins made for the test."""

import dataclasses
import hashlib
import io
import os
import threading

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.core.imports import ImportOrder
from glancelike.plugin import OWN, Content, ImportMethod, ImportPlugin
from tests.functional import app

ADMIN = RequestContext(user_id='root', project_id='admins', roles=frozenset({'admin', 'member', 'reader'}),
                       is_admin=True, request_id='req-test')
OWNER = RequestContext(user_id='someone', project_id='owner', roles=frozenset({'member', 'reader'}),
                       request_id='req-test')
STRANGER = RequestContext(user_id='other', project_id='stranger', roles=frozenset({'member', 'reader'}),
                          request_id='req-test')

DATA = os.urandom(3 * 2**20 + 17)


class Given(ImportMethod):
    """Gives the bytes that the test has put here; ``before_piece`` is called for each piece."""

    SOURCE = OWN

    def __init__(self, data=DATA, *, size=True, properties=None, disk_format=None, secret=None):
        super().__init__(None)
        self.data, self.size, self.properties, self.disk_format = data, size, properties or {}, disk_format
        self._secret = secret
        self.opened = 0
        self.jobs = []
        self.before_piece = lambda number: None

    def check(self, ctx, method):
        return {name: value for name, value in method.items() if name == 'uri'}

    def secret(self, ctx, given):
        return self._secret

    def open(self, job):
        self.opened += 1
        self.jobs.append(job)
        return Content(chunks=self._pieces(job), size=len(self.data) if self.size else None,
                       properties=self.properties, disk_format=self.disk_format)

    def _pieces(self, job):
        for number, start in enumerate(range(0, len(self.data), 2**20)):
            job.check()
            self.before_piece(number)
            yield self.data[start:start + 2**20]


class Upper(ImportPlugin):
    """Turns bytes round, in a file or as they stream."""

    def __init__(self, *, file=False, disk_format=None, properties=None):
        super().__init__(None)
        self.file, self.disk_format, self.properties = file, disk_format, properties or {}
        self.MAY_NEED_FILE = file
        self.before = lambda job: None

    def needs_file(self, job, content):
        return self.file

    def process(self, job, content):
        self.before(job)
        if self.file:
            with open(content.path, 'rb') as source:
                data = source.read()
            path = os.path.join(job.folder, 'turned')
            with open(path, 'wb') as target:
                target.write(data[::-1])
            made = dataclasses.replace(content, path=path, size=len(data))
        else:
            made = dataclasses.replace(content, chunks=(bytes(255 - one for one in chunk) for chunk in content.chunks))
        return dataclasses.replace(made, disk_format=self.disk_format or content.disk_format,
                                   properties={**content.properties, **self.properties})


class Refusing(ImportPlugin):
    """Refuses every image."""

    def process(self, job, content):
        raise errors.ImportRejected(plugin='refusing', reason='not here')


class ImportTestCase(app.AppTestCase):
    """A service with the stores fast, cold and spare, and the import methods glance-direct, copy-image and given."""

    backend = {
        'DEFAULT': {'db_auto_create': True, 'enabled_backends': 'fast:filesystem,cold:filesystem,spare:filesystem,'
                                                               'web:http',
                    'enabled_import_methods': 'glance-direct,copy-image'},
        'database': {'connection': 'sqlite:///{tmp}/glance.sqlite'},
        'glance_store': {'default_backend': 'fast'},
        'fast': {'filesystem_store_datadir': '{tmp}/fast', 'weight': 2},
        'cold': {'filesystem_store_datadir': '{tmp}/cold', 'weight': 1},
        'spare': {'filesystem_store_datadir': '{tmp}/spare'},
        'os_glance_staging_store': {'filesystem_store_datadir': '{tmp}/staging'}}

    def setUp(self):
        super().setUp()
        self.services = self.app.services
        self.db = self.services.db
        self.method = Given()
        self.use_method('given', self.method)

    def use_method(self, name, method):
        self.services.imports.methods[name] = method
        self.services.runner._parts.methods[name] = method

    def use_plugins(self, *plugins):
        parts = self.services.runner._parts
        parts.plugins.clear()
        parts.plugins.update({f'plugin {number}': one for number, one in enumerate(plugins)})

    def create(self, ctx=OWNER, **attributes):
        given = {'disk_format': 'raw', 'container_format': 'bare', **attributes}
        properties = given.pop('properties', {})
        return self.services.images.create(ctx, None, given, properties).id

    def stage(self, image_id, data=DATA, ctx=OWNER):
        self.services.staging.stage(ctx, image_id, io.BytesIO(data), len(data))

    def begin(self, image_id, method='given', ctx=OWNER, **order):
        return self.services.imports.begin(ctx, image_id, ImportOrder(method, **order))

    def finished(self, task, seconds=30):
        """The task once it has ended."""
        def done():
            return self.db.task_get(ADMIN, task.id).finished
        self.wait_for(done, f'the end of task {task.id}', seconds)
        return self.db.task_get(ADMIN, task.id)

    def wait_for(self, condition, what, seconds=30):
        pause = threading.Event()
        for _ in range(int(seconds / 0.02)):
            if condition():
                return
            pause.wait(0.02)
        self.fail(f'waited for {what}')

    def imported(self, image_id, *args, **kwargs):
        """Import, wait, and return (image, task)."""
        task = self.finished(self.begin(image_id, *args, **kwargs))
        return self.db.image_get(ADMIN, image_id), task

    def upload(self, image_id, data=DATA, store=None):
        self.services.uploads.upload(OWNER, image_id, io.BytesIO(data), len(data), store)

    def files(self, *stores):
        """Names of all files in the stores' directories, staging, and the work directory."""
        found = []
        for store in stores or ('fast', 'cold', 'spare', 'staging', 'os_glance_tasks_store'):
            for folder, _folders, names in os.walk(self.tmp / store):
                found += [os.path.join(os.path.relpath(folder, self.tmp), name) for name in names]
        return sorted(found)

    def data_of(self, image_id, store=None):
        download = self.services.downloads.open(ADMIN, image_id, None, [store] if store else [])
        if download.local_file is not None:
            with open(download.local_file, 'rb') as file:
                return file.read()
        return b''.join(download.chunks)


def sha512(data):
    return hashlib.sha512(data).hexdigest()
