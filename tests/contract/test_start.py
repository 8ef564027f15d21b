"""What a start imports: every module costs time until the first answer, and memory in every process."""

import json
import subprocess
import sys
from pathlib import Path

from tests import base

#: Packages that some configurations need, and the default one with current tables does not.
NOT_NEEDED = ('OpenSSL', 'alembic', 'castellan', 'cursive', 'keystoneauth1', 'keystonemiddleware', 'mako', 'oslo_limit',
              'oslo_messaging', 'oslo_upgradecheck', 'psycopg2', 'pymysql', 'requests', 'sqlalchemy.dialects.mysql',
              'sqlalchemy.dialects.postgresql', 'sqlalchemy.orm', 'testtools', 'urllib3')
SCRIPT = '''
import json, sys
from glancelike.wsgi import server, workers
from glancelike import app
conf = app.read(['--config-file', sys.argv[1]])
before = set(sys.modules)
import webob
answer = webob.Request.blank('/v2/images').get_response(app.load(conf))
print(json.dumps([answer.status_int, sorted(sys.modules), sorted(set(sys.modules) - before)]))
'''
PASTE = Path(__file__).parents[2] / 'etc' / 'glance-api-paste.ini'


class StartTest(base.TestCase):

    def setUp(self):
        super().setUp()
        path = self.tmp / 'glance.conf'
        path.write_text(f'[DEFAULT]\ndb_auto_create = true\nknown_stores = file\nlog_file = {self.tmp}/log\n'
                        f'[database]\nconnection = sqlite:///{self.tmp}/glance.sqlite\n'
                        f'[glance_store]\nfilesystem_store_datadir = {self.tmp}/images\n'
                        f'[paste_deploy]\nconfig_file = {PASTE}\n')
        command = [sys.executable, '-c', SCRIPT, str(path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # makes the tables
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        self.status, self.imported, self.late = json.loads(out.splitlines()[-1])

    def test_a_default_start_imports_nothing_that_it_does_not_need(self):
        self.assertEqual(200, self.status)
        self.assertEqual([], sorted(set(NOT_NEEDED) & set(self.imported)))

    def test_what_a_worker_builds_was_imported_before_the_fork(self):
        self.assertEqual([], [name for name in self.late
                              if name.split('.')[0] in ('glancelike', 'oslo_middleware', 'oslo_policy', 'jsonschema',
                                                        'jinja2', 'webob', 'paste', 'routes')])
