"""One ``GET /v2/images/{id}`` stays short: package files entered, package calls made, package frames deep."""

import pathlib
import sys

import webob

import glancelike
from glancelike import app, config
from tests import base

ROOT = str(pathlib.Path(glancelike.__file__).parent)
MOST_FILES = 22
MOST_CALLS = 80
MOST_FRAMES = 14


class RequestBudgetTest(base.TestCase):

    def application(self):
        paste = pathlib.Path(ROOT).parent / 'etc' / 'glance-api-paste.ini'
        path = self.tmp / 'glance.conf'
        path.write_text(
            '[DEFAULT]\ndb_auto_create = true\n'
            f'[database]\nconnection = sqlite:///{self.tmp}/glance.sqlite\n'
            f'[glance_store]\nfilesystem_store_datadir = {self.tmp}/images\n'
            f'[paste_deploy]\nconfig_file = {paste}\n')
        application = app.load(config.load('glance-api', ['--config-file', str(path)]))
        self.addCleanup(application.close)
        return application

    def test_one_get_of_an_image_stays_within_the_budget(self):
        application = self.application()
        created = webob.Request.blank('/v2/images', method='POST', body=b'{"name": "n", "colour": "blue"}')
        url = created.get_response(application).json['self']
        webob.Request.blank(url).get_response(application.wsgi)  # fills what is made once

        files, calls, deepest, depth = set(), [], 0, 0

        def watch(frame, event, _argument):
            nonlocal deepest, depth
            code = frame.f_code
            if not code.co_filename.startswith(ROOT):
                return
            if event == 'call':
                files.add(code.co_filename)
                calls.append(f'{pathlib.Path(code.co_filename).name}:{code.co_name}')
                depth += 1
                deepest = max(deepest, depth)
            elif event == 'return':
                depth -= 1

        sys.setprofile(watch)
        try:
            answer = webob.Request.blank(url).get_response(application.wsgi)
        finally:
            sys.setprofile(None)
        self.assertEqual(200, answer.status_code)
        self.assertLessEqual(len(files), MOST_FILES, sorted(files))
        self.assertLessEqual(len(calls), MOST_CALLS, calls)
        self.assertLessEqual(deepest, MOST_FRAMES)
