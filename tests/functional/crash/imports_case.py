"""Imports by real processes that are killed: how they are asked for, and what must be true when all has settled."""

import collections
import hashlib
import json
import os
import re
import shutil
import threading
from pathlib import Path

import fixtures
import sqlalchemy

from glancelike.compliance.web_server import WebServer
from tests import servers
from tests.functional.crash.nodes import MIB, NodesTestCase
from tests.servers.glance_api import GlanceApi
from tests.servers.glance_worker import GlanceWorker
from tests.servers.process import NotReady, wait_until

#: Longest wait for an end. Data of a location that was given up stay for 60 s with the process that gave it up.
SECONDS = 40
STORES = ('fast', 'cold')
OVER = ('success', 'failure')
#: Rows of which none may be left when nothing is under way.
_NONE_LEFT = {
    'image_uploads': 'SELECT * FROM image_uploads',
    'unfinished tasks': "SELECT id, status, step FROM tasks WHERE status NOT IN ('success', 'failure')",
    'locations': "SELECT image_id, status FROM image_locations WHERE deleted = false AND status <> 'active'",
}
_FLOW_TABLES = ('logbooks', 'flowdetails', 'atomdetails')


class ImportsTestCase(NodesTestCase):
    """Nodes on one database with two stores and staging of files; images come from a web server of the test.

    :cvar executor: of [task]
    :cvar plugins: import plugins
    """

    executor = 'local'
    plugins = ''

    def setUp(self):
        super().setUp()
        self.web = WebServer()
        self.addCleanup(self.web.stop)
        self.expected = {}  # image id -> the bytes that it has when it is active
        self.asked = collections.Counter()

    def node(self, *, start=True, default=(), **task):
        """A node that runs; *default* are options of [DEFAULT], the others of [task]."""
        config = {
            'DEFAULT': {'recovery_interval_seconds': 1, 'upload_lease_seconds': 6, 'upload_heartbeat_seconds': 1,
                        'enabled_backends': 'fast:filesystem,cold:filesystem', 'known_stores': None,
                        'default_store': None, **dict(default)},
            'database': {'connection': self.database(), 'retry_interval': 1},
            'glance_store': {'default_backend': 'fast', 'filesystem_store_datadir': None},
            'os_glance_staging_store': {'filesystem_store_datadir': str(self.tmp / 'staging')},
            'import_filtering_opts': {'allowed_networks': '127.0.0.0/8', 'allowed_ports': ''},
            'image_import_opts': {'image_import_plugins': self.plugins},
            'task': {'task_executor': self.executor, 'work_dir': str(self.tmp / 'work'), **task},
            **{store: {'filesystem_store_datadir': str(self.tmp / store)} for store in STORES},
            **self.more_groups(),
        }
        return servers.use(self, GlanceApi(config, start=start))

    def more_groups(self):
        """Further groups of the configuration."""
        return {}

    # --- sources ----------------------------------------------------------------------------------------------------

    def source(self, data):
        """A URL of the data."""
        return self.web.url(self.web.put(data))

    def slow_source(self, data, *, first=None):
        """(URL, event): half of the data, or *first* bytes, come at once, and the rest after the event. Counts in
        ``asked`` how often it was asked for them from the beginning."""
        path, go_on = self.web.put(b''), threading.Event()
        self.addCleanup(go_on.set)
        first = len(data) // 2 if first is None else first

        def answer(handler):
            asked = re.fullmatch(r'bytes=(\d+)-', handler.headers.get('Range', ''))
            start = int(asked[1]) if asked else 0
            self.asked[path] += not start
            handler.send_response(206 if start else 200)
            if start:
                handler.send_header('Content-Range', f'bytes {start}-{len(data) - 1}/{len(data)}')
            handler.send_header('ETag', '"one"')
            handler.send_header('Content-Length', str(len(data) - start))
            handler.end_headers()
            handler.wfile.write(data[start:first])
            handler.wfile.flush()
            go_on.wait(SECONDS)
            handler.wfile.write(data[max(start, first):])
        self.web.handlers[path] = answer
        return self.web.url(path), go_on

    def slow_qemu_img(self):
        """A file: until it is there, conversions stand still in the middle. For processes that are started later."""
        program = shutil.which('qemu-img')
        if program is None:
            servers.refuse(self, 'qemu-img is not installed')
        folder, go_on = self.tmp / 'bin', self.tmp / 'go on'
        folder.mkdir()
        wrapper = folder / 'qemu-img'
        wrapper.write_text(f"""#!/bin/sh
if [ "$1" = convert ]; then
    : > '{self.tmp}/converting'
    for last; do :; done
    echo half > "$last"
    while [ ! -e '{go_on}' ]; do sleep 0.1; done
fi
exec {program} "$@"
""")
        wrapper.chmod(0o755)
        self.useFixture(fixtures.EnvironmentVariable('PATH', f'{folder}{os.pathsep}{os.environ["PATH"]}'))
        return go_on

    # --- what a client does -----------------------------------------------------------------------------------------

    def new(self, node, data, disk_format='raw'):
        """The id of a new image, which is to have these bytes in the end."""
        status, body = self.request(node, 'POST', '/v2/images',
                                    json.dumps({'disk_format': disk_format, 'container_format': 'bare'}))
        self.assertEqual(201, status, body)
        image_id = json.loads(body)['id']
        self.expected[image_id] = data
        return image_id

    def stage(self, node, image_id, data):
        status, body = self.request(node, 'PUT', f'/v2/images/{image_id}/stage', data, 'application/octet-stream')
        self.assertEqual(204, status, body)

    def import_(self, node, image_id, name='glance-direct', stores=(), must_succeed=True, **method):
        """Ask for an import; the task's id."""
        order = {'method': {'name': name, **method}, **({'stores': list(stores)} if stores else {}),
                 'all_stores_must_succeed': must_succeed}
        status, body = self.request(node, 'POST', f'/v2/images/{image_id}/import', json.dumps(order))
        self.assertEqual(202, status, body)

    def download(self, node, data, url=None, disk_format='raw', **order):
        """An image whose data (*data* in the end) come from the web; its id."""
        image_id = self.new(node, data, disk_format)
        self.import_(node, image_id, 'web-download', uri=url or self.source(data), **order)
        return image_id

    def cancel(self, node, image_id):
        return self.request(node, 'DELETE', f'/v2/images/{image_id}/import')[0]

    def task(self, node, image_id):
        """The newest task of the image, or None."""
        status, body = self.request(node, 'GET', f'/v2/images/{image_id}/tasks')
        self.assertEqual(200, status, body)
        return next(iter(json.loads(body)['tasks']), None)

    # --- what is seen -----------------------------------------------------------------------------------------------

    def files_of(self, folder):
        """Names of all files, those that begin with a dot too."""
        return sorted(name for _path, _folders, names in os.walk(self.tmp / folder) for name in names)

    def bytes_in(self, folder):
        return sum(path.stat().st_size for path in Path(self.tmp / folder).rglob('*') if path.is_file())

    def wait_bytes(self, folder, count=1):
        """Wait until there are so many bytes in the files of that folder."""
        def there():
            try:
                return self.bytes_in(folder) >= count
            except FileNotFoundError:  # renamed in between
                return False
        wait_until(there, SECONDS, f'bytes in {folder}')

    def rows(self, statement):
        engine = sqlalchemy.create_engine(self.database(), poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            return connection.exec_driver_sql(statement).fetchall()

    def wait_status(self, node, image_id, *statuses):
        return wait_until(lambda: (found := self.image(node, image_id))['status'] in statuses and found, SECONDS,
                          f'image {image_id} to be {" or ".join(statuses)}')

    def wait_active(self, node, image_id, stores=('fast',)):
        """Wait for the image's data in all of these stores."""
        wait_until(lambda: self.task(node, image_id)['status'] in OVER, SECONDS, f'the end of image {image_id}')
        image = self.image(node, image_id)
        self.assertEqual(('active', ','.join(sorted(stores))),
                         (image['status'], ','.join(sorted((image.get('stores') or '').split(',')))),
                         self.task(node, image_id))

    def left(self):
        """What is there and must not be when nothing is under way."""
        found = {name: rows for name, statement in _NONE_LEFT.items() if (rows := self.rows(statement))}
        engine = sqlalchemy.create_engine(self.database(), poolclass=sqlalchemy.NullPool)
        tables = set(sqlalchemy.inspect(engine).get_table_names())
        found |= {name: rows for name in _FLOW_TABLES
                  if name in tables and (rows := self.rows(f'SELECT * FROM {name}'))}
        found |= {name: files for name in ('staging', 'work') if (files := self.files_of(name))}
        found |= {f'folders in {name}': folders for name in ('work',)
                  if (self.tmp / name).exists() and (folders := os.listdir(self.tmp / name))}
        recorded = set(map(tuple, self.rows(
            "SELECT store, image_id FROM image_locations WHERE deleted = false AND status = 'active'")))
        stored = {(store, name) for store in STORES for name in self.files_of(store)}
        if recorded != stored:
            found['files without a location'] = sorted(stored - recorded)
            found['locations without a file'] = sorted(recorded - stored)
        return found

    def assert_settled(self, node, *, queued=None):
        """Nothing is under way and nothing is left; each image is active with the right bytes, or queued.

        :param queued: ids of those that must be queued, the others being active; None: each is either
        :returns: how many are active
        """
        try:
            wait_until(lambda: not self.left(), SECONDS, 'nothing to be left')
        except NotReady:
            self.fail(f'left behind: {self.left()}')
        active = 0
        for image_id, data in self.expected.items():
            image = self.image(node, image_id)
            if image['status'] == 'active' and (queued is None or image_id not in queued):
                active += 1
                self._check_active(image, data)
            else:
                self.assertEqual('queued', image['status'] if queued is None or image_id in queued else 'not active',
                                 (image, self.task(node, image_id)))
                self.assertEqual([None] * 4, [image[name] for name in ('virtual_size', 'checksum', 'os_hash_algo',
                                                                       'os_hash_value')], image)
                self.assertNotIn('os_glance_import_task', image)
        return active

    def _check_active(self, image, data):
        self.assertEqual((len(data), hashlib.sha512(data).hexdigest(), hashlib.md5(data).hexdigest(), 'raw'),
                         tuple(image[name] for name in ('size', 'os_hash_value', 'checksum', 'disk_format')))
        stores = image['stores'].split(',')
        self.assertTrue(stores, image)
        for store in stores:
            self.assertTrue(data == (self.tmp / store / image['id']).read_bytes(), f'other bytes in {store}')


class WorkersCase(ImportsTestCase):
    """The same with a job board and workers.

    :cvar board_server: of ``tests.servers``
    """

    executor = 'jobboard'
    board_server = 'redis'

    def setUp(self):
        super().setUp()
        module = __import__(f'tests.servers.{self.board_server}', fromlist=['x'])
        name = {'redis': 'Redis', 'etcd': 'Etcd', 'zookeeper': 'ZooKeeper'}[self.board_server]
        self.board = servers.use(self, getattr(module, name)())

    def more_groups(self):
        return {'jobboard': {'backend': self.board_server, 'hosts': self.board.host, 'claim_seconds': 4,
                             'call_seconds': 2, 'look_seconds': 0.2},
                'taskflow_executor': {'max_workers': 4}}

    def worker(self, node, *arguments):
        return self.useFixture(GlanceWorker(node, *arguments))


def payload(number, length=MIB):
    """Bytes that only the image of that number has, cheap to make."""
    return hashlib.sha256(b'%d' % number).digest() * (length // 32)
