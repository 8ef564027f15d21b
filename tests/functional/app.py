"""The whole service in this process: the real pipeline over a database driver and a store of this tree."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any

from glancelike import app, config
from glancelike.wsgi.request import Request
from tests import base
from tests.servers.glance_api import config_text
from tests.servers.venvs import CHECKOUT

PATCH_V21 = 'application/openstack-images-v2.1-json-patch'
PATCH_V20 = 'application/openstack-images-v2.0-json-patch'
OCTETS = 'application/octet-stream'


def identity(project: str, *roles: str, user: str = 'someone', service_roles: str = '') -> dict[str, str]:
    """Headers of a confirmed caller, for the flavor ``trusted-auth``."""
    headers = {'X-Identity-Status': 'Confirmed', 'X-User-Id': user, 'X-Project-Id': project,
               'X-Roles': ','.join(roles)}
    if service_roles:
        headers |= {'X-Service-Identity-Status': 'Confirmed', 'X-Service-Roles': service_roles}
    return headers


OWNER = identity('owner-project', 'member', 'reader')
OTHER = identity('other-project', 'member', 'reader')
THIRD = identity('third-project', 'member', 'reader')
ADMIN = identity('admin-project', 'admin', 'member', 'reader')
NOBODY: dict[str, str] = {}

SIMPLE: Mapping[str, Mapping[str, Any]] = {
    'DEFAULT': {'data_api': 'simple', 'known_stores': 'memory', 'default_store': 'memory'}}
SQLITE: Mapping[str, Mapping[str, Any]] = {
    'DEFAULT': {'db_auto_create': True, 'known_stores': 'filesystem', 'default_store': 'filesystem'},
    'database': {'connection': 'sqlite:///{tmp}/glance.sqlite'},
    'glance_store': {'filesystem_store_datadir': '{tmp}/images'}}
SQLITE_SEVERAL_STORES: Mapping[str, Mapping[str, Any]] = {
    'DEFAULT': {'db_auto_create': True, 'enabled_backends': 'fast:filesystem,cold:filesystem,web:http'},
    'database': {'connection': 'sqlite:///{tmp}/glance.sqlite'},
    'glance_store': {'default_backend': 'fast'},
    'fast': {'filesystem_store_datadir': '{tmp}/fast', 'store_description': 'quick one', 'weight': 2},
    'cold': {'filesystem_store_datadir': '{tmp}/cold', 'weight': 1}}


class AppTestCase(base.TestCase):
    """A test of the running service.

    :cvar backend: SIMPLE, SQLITE or SQLITE_SEVERAL_STORES
    :cvar options: more of glance.conf, ``{group: {option: value}}``; ``{tmp}`` in a value is the test's folder
    """

    backend: Mapping[str, Mapping[str, Any]] = SIMPLE
    options: Mapping[str, Mapping[str, Any]] = {}
    flavor = 'trusted-auth'

    def setUp(self):
        super().setUp()
        self.addCleanup(self._log_no_more)
        self.app = self.load()

    def _log_no_more(self):
        """The folder of the log goes: what later tests log would fail, or be lost, there."""
        root = logging.getLogger()
        for handler in list(root.handlers):
            if getattr(handler, 'baseFilename', '').startswith(f'{self.tmp}/'):
                root.removeHandler(handler)
                handler.close()

    def load(self) -> app.Application:
        """The service as class attributes say; a second call makes another one on the same database."""
        values: dict[str, dict[str, Any]] = {
            'DEFAULT': {'log_file': f'{self.tmp}/glance.log',
                        'image_schema_file': str(CHECKOUT / 'etc' / 'schema-image.json')},
            'paste_deploy': {'config_file': str(CHECKOUT / 'etc' / 'glance-api-paste.ini'), 'flavor': self.flavor}}
        for part in (self.backend, self.options):
            for group, options in part.items():
                values.setdefault(group, {}).update({
                    name: value.replace('{tmp}', str(self.tmp)) if isinstance(value, str) else value
                    for name, value in options.items()})
        path = self.tmp / 'glance.conf'
        path.write_text(config_text(values))
        self.addCleanup(_log_to, logging.getLogger().handlers[:])  # the log file goes with the folder
        made = app.load(config.load('glance-api', ['--config-file', str(path)]))
        self.addCleanup(made.close)
        return made

    def ask(self, path: str, method: str = 'GET', body: bytes = b'', *, ctx: Mapping[str, str] = OWNER,
            status: int | None = None, document: Any = None, **headers: str) -> Any:
        """One request; *document* is sent as JSON, underscores in names of *headers* are hyphens.

        :param status: the status that the answer must have
        """
        if document is not None:
            body = json.dumps(document).encode()
        req = Request.blank('/', method=method, body=body)
        req.environ['PATH_INFO'], _, req.environ['QUERY_STRING'] = path.partition('?')
        req.headers.update({name.replace('_', '-'): value for name, value in {**ctx, **headers}.items()})
        answer = req.get_response(self.app)
        if status is not None:
            self.assertEqual(status, answer.status_int, f'{method} {path}: {answer.body[:500]!r}')
        return answer

    def create(self, ctx: Mapping[str, str] = OWNER, **fields: Any) -> dict[str, Any]:
        """A new image record."""
        document = {'name': 'an image', 'disk_format': 'raw', 'container_format': 'bare', **fields}
        return self.ask('/v2/images', 'POST', ctx=ctx, document=document, status=201).json

    def upload(self, image_id: str, data: bytes, ctx: Mapping[str, str] = OWNER, status: int = 204,
               **headers: str) -> Any:
        """Upload *data*."""
        return self.ask(f'/v2/images/{image_id}/file', 'PUT', data, ctx=ctx, status=status,
                        **{'Content_Type': OCTETS, **headers})

    def active(self, data: bytes = b'some data', ctx: Mapping[str, str] = OWNER, **fields: Any) -> dict[str, Any]:
        """An image with data, as shown."""
        image = self.create(ctx, **fields)
        self.upload(image['id'], data, ctx)
        return self.show(image['id'], ctx)

    def show(self, image_id: str, ctx: Mapping[str, str] = OWNER) -> dict[str, Any]:
        return self.ask(f'/v2/images/{image_id}', ctx=ctx, status=200).json

    def patch(self, image_id: str, *steps: Mapping[str, Any], ctx: Mapping[str, str] = OWNER, status: int = 200,
              media_type: str = PATCH_V21, **headers: str) -> Any:
        return self.ask(f'/v2/images/{image_id}', 'PATCH', ctx=ctx, document=list(steps), status=status,
                        Content_Type=media_type, **headers)

    def names(self, query: str = '', ctx: Mapping[str, str] = OWNER) -> list[str]:
        """Names of the images of one page of a list."""
        return [one['name'] for one in self.ask(f'/v2/images?{query}', ctx=ctx, status=200).json['images']]

    def walk(self, path: str, ctx: Mapping[str, str] = OWNER) -> list[str]:
        """Names of the images of all pages."""
        names = []
        while path:
            page = self.ask(path, ctx=ctx, status=200).json
            names += [one['name'] for one in page['images']]
            path = page.get('next')
        return names


def _log_to(handlers: list[logging.Handler]) -> None:
    root = logging.getLogger()
    for one in set(root.handlers) - set(handlers):
        one.close()
    root.handlers[:] = handlers


def replace(path: str, value: Any) -> dict[str, Any]:
    return {'op': 'replace', 'path': path, 'value': value}


def add(path: str, value: Any) -> dict[str, Any]:
    return {'op': 'add', 'path': path, 'value': value}


def remove(path: str) -> dict[str, Any]:
    return {'op': 'remove', 'path': path}


def sha512(data: bytes) -> str:
    return hashlib.sha512(data).hexdigest()
