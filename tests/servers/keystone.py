"""A Keystone server of the test process's own: projects, users, roles, tokens, the catalogue and unified
limits.

It lives in a virtual environment of its own (made once, network needed), on SQLite, served by gunicorn.
Filling an empty database takes about ten seconds, so a filled one is kept beside the virtual environment and
copied.
"""

import fcntl
import shutil
from pathlib import Path
from typing import Any

import fixtures
import requests

from tests.servers.process import NotReady, Process, drop_folder, free_port, make_folder, port_answers, run
from tests.servers.venvs import server_venv

REQUIREMENTS = ('keystone>=27', 'gunicorn>=22')
REGION, DOMAIN = 'RegionOne', 'default'
ADMIN, PASSWORD = 'admin', 'secret'  # every user of this server has this password unless told otherwise
SERVICE_USER, SERVICE_PROJECT = 'glance', 'service'
ROLES = ('reader', 'member', 'admin', 'service')
START_SECONDS = 60

CONF = """\
[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///{folder}/keystone.sqlite
[fernet_tokens]
key_repository = {folder}/fernet
[fernet_receipts]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
[cache]
enabled = false
[identity]
password_hash_rounds = 4
"""
# Keystone's WSGI module reads sys.argv: with gunicorn's arguments the worker would end, be restarted, for
# ever.
WSGI = 'import sys\nsys.argv = ["keystone"]\nfrom keystone.wsgi.api import application\n'


class Keystone(fixtures.Fixture):
    """Started by ``setUp``, gone after ``cleanUp``.

    Ready made: the roles reader, member, admin and service; the user ``admin`` (admin of project ``admin``
    and of the system); the user ``glance`` (roles service and admin in project ``service``, reader of the
    system, as oslo.limit and keystonemiddleware want it).
    """

    def _setUp(self):
        venv = server_venv('keystone', REQUIREMENTS)
        self.port = free_port()
        self.folder = make_folder('keystone')
        self.addCleanup(drop_folder, self.folder)
        _fill(venv, self.folder)
        self._server = [
            venv / 'bin' / 'gunicorn', '--no-control-socket', '--chdir', self.folder,
            '-b', f'127.0.0.1:{self.port}', '-w', '1', '--threads', '4', 'keystone_wsgi:application']
        self._http = requests.Session()
        self._http.trust_env = False  # neither proxies nor CA bundles of the environment
        self.addCleanup(self._http.close)
        self.process = None
        self.addCleanup(self.stop)
        self.start()
        self._ready_made()

    # The server

    @property
    def auth_url(self) -> str:
        return f'http://127.0.0.1:{self.port}/v3'

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> None:
        """Start the server on its port and data, and wait until it answers a request."""
        conf = self.folder / 'keystone.conf'
        self.process = Process(self._server, self.folder / 'server.log', env={
            'OS_KEYSTONE_CONFIG_DIR': str(self.folder), 'OS_KEYSTONE_CONFIG_FILES': str(conf)})
        self.process.wait_ready(self._answers, START_SECONDS, f'Keystone on port {self.port}')

    def stop(self) -> None:
        """Stop the server; its data stay."""
        if self.process and self.process.alive():
            self.process.terminate()

    def kill(self) -> None:
        """Kill the server as a crash would; its data stay."""
        self.process.kill9()

    # Who there is

    def create_project(self, name: str) -> str:
        """Return the id of the project *name*, made if it is not there."""
        return self._find_or_create('project', name, domain_id=DOMAIN)

    def create_user(self, name: str, project: str, roles: tuple[str, ...] = ('member', 'reader'),
                    password: str = PASSWORD) -> str:
        """Return the id of the user *name*, made if it is not there, who now has *roles* in *project*.

        :param project: name of a project, made if it is not there
        :param password: set when the user is made
        """
        user_id = self._find_or_create('user', name, domain_id=DOMAIN, password=password)
        project_id = self.create_project(project)
        for role in roles:
            role_id = self.create_role(role)
            self._call('PUT', f'/projects/{project_id}/users/{user_id}/roles/{role_id}')
        return user_id

    def create_role(self, name: str) -> str:
        """Return the id of the role *name*, made if it is not there."""
        return self._find_or_create('role', name)

    def token(self, user: str, project: str, password: str = PASSWORD) -> str:
        """Return a token of *user* in *project* (both by name)."""
        return self._token(user, password, {'project': {'name': project, 'domain': {'id': DOMAIN}}})

    def system_token(self, user: str = ADMIN, password: str = PASSWORD) -> str:
        """Return a token of *user* for the whole system."""
        return self._token(user, password, {'system': {'all': True}})

    def show_token(self, token: str) -> dict[str, Any] | None:
        """Return what Keystone says of a token (user, project, roles, ...), or None when it is not valid."""
        answer = self._http.get(f'{self.auth_url}/auth/tokens', timeout=30,
                                headers={'X-Auth-Token': self._admin_token, 'X-Subject-Token': token})
        return answer.json()['token'] if answer.ok else None

    def revoke(self, token: str) -> None:
        """Make a token invalid."""
        self._call('DELETE', '/auth/tokens', headers={'X-Subject-Token': token})

    # Catalogue and limits

    def create_endpoint(self, url: str, service_type: str = 'image', name: str = 'glance',
                        region: str = REGION) -> str:
        """Put *url* in the catalogue, in place of the former one; return the id of the public endpoint.

        :param region: made if it is not there
        """
        service_id = self.create_service(service_type, name)
        if region not in (known['id'] for known in self._call('GET', '/regions')['regions']):
            self._create('region', id=region)
        self.drop_endpoints(service_type, region)
        ids = [self._create('endpoint', service_id=service_id, interface=interface, url=url, region_id=region)
               for interface in ('public', 'internal', 'admin')]
        return ids[0]

    def drop_endpoints(self, service_type: str = 'image', region: str = REGION) -> None:
        """Take the endpoints of a service in one region out of the catalogue."""
        where = {'service_id': self.create_service(service_type), 'region_id': region}
        for old in self._call('GET', '/endpoints', params=where)['endpoints']:
            self._call('DELETE', f'/endpoints/{old["id"]}')

    def create_service(self, service_type: str = 'image', name: str = 'glance') -> str:
        """Return the id of the service of this type, made if it is not there."""
        found = self._call('GET', '/services', params={'type': service_type})['services']
        return found[0]['id'] if found else self._create('service', type=service_type, name=name)

    def register_limit(self, resource: str, default: int, service_type: str = 'image') -> str:
        """Set every project's default limit of *resource* (say ``image_size_total``, MiB); return its id."""
        service_id = self.create_service(service_type)
        found = self._call('GET', '/registered_limits', params={
            'service_id': service_id, 'region_id': REGION, 'resource_name': resource})['registered_limits']
        if found:
            self._call('PATCH', f'/registered_limits/{found[0]["id"]}',
                       json={'registered_limit': {'default_limit': default}})
            return found[0]['id']
        answer = self._call('POST', '/registered_limits', json={'registered_limits': [
            {'service_id': service_id, 'region_id': REGION, 'resource_name': resource,
             'default_limit': default}]})
        return answer['registered_limits'][0]['id']

    def set_limit(self, project: str, resource: str, limit: int, service_type: str = 'image') -> str:
        """Give *project* (by name) its own limit of a registered *resource*; return the id of the limit."""
        service_id, project_id = self.create_service(service_type), self.create_project(project)
        found = self._call('GET', '/limits', params={
            'service_id': service_id, 'region_id': REGION, 'resource_name': resource,
            'project_id': project_id})['limits']
        if found:
            self._call('PATCH', f'/limits/{found[0]["id"]}', json={'limit': {'resource_limit': limit}})
            return found[0]['id']
        answer = self._call('POST', '/limits', json={'limits': [
            {'service_id': service_id, 'region_id': REGION, 'resource_name': resource,
             'project_id': project_id, 'resource_limit': limit}]})
        return answer['limits'][0]['id']

    def drop_limit(self, limit_id: str) -> None:
        """Take a project's own limit (``set_limit``) away; the registered default counts again."""
        self._call('DELETE', f'/limits/{limit_id}')

    # Configuration of a service that uses this Keystone

    def authtoken(self) -> dict[str, str]:
        """Return the options of a ``[keystone_authtoken]`` group that validates tokens here."""
        return {**self._service_credentials(), 'project_name': SERVICE_PROJECT, 'project_domain_id': DOMAIN,
                'www_authenticate_uri': self.auth_url, 'interface': 'internal', 'region_name': REGION}

    def limit_options(self, endpoint_id: str) -> dict[str, str]:
        """Return the options of an ``[oslo_limit]`` group; *endpoint_id* comes from ``create_endpoint``."""
        return {**self._service_credentials(), 'system_scope': 'all', 'endpoint_id': endpoint_id}

    def client_environment(self, user: str, project: str, password: str = PASSWORD) -> dict[str, str]:
        """Return the OS_* variables with which the command line clients act as *user* in *project*."""
        return {'OS_AUTH_URL': self.auth_url, 'OS_USERNAME': user, 'OS_PASSWORD': password,
                'OS_PROJECT_NAME': project, 'OS_USER_DOMAIN_ID': DOMAIN, 'OS_PROJECT_DOMAIN_ID': DOMAIN,
                'OS_IDENTITY_API_VERSION': '3', 'OS_REGION_NAME': REGION}

    def _service_credentials(self) -> dict[str, str]:
        return {'auth_type': 'password', 'auth_url': self.auth_url, 'username': SERVICE_USER,
                'password': PASSWORD, 'user_domain_id': DOMAIN}

    # How it is done

    def _ready_made(self) -> None:
        self._admin_token = self.token(ADMIN, 'admin')
        self.create_endpoint(self.auth_url, 'identity', 'keystone')
        for role in ROLES:
            self.create_role(role)
        glance = self.create_user(SERVICE_USER, SERVICE_PROJECT, ('service', 'admin'))
        self._call('PUT', f'/system/users/{glance}/roles/{self.create_role("reader")}')

    def _answers(self) -> bool:
        # A connection is accepted before a worker can serve it, so only an answer counts.
        if not port_answers(self.port):
            return False
        try:
            return self._http.get(self.auth_url, timeout=5).ok
        except requests.RequestException:
            return False

    def _find_or_create(self, kind: str, name: str, **attributes: Any) -> str:
        found = self._call('GET', f'/{kind}s', params={'name': name})[f'{kind}s']
        return found[0]['id'] if found else self._create(kind, name=name, **attributes)

    def _create(self, kind: str, **attributes: Any) -> str:
        return self._call('POST', f'/{kind}s', json={kind: attributes})[kind]['id']

    def _call(self, method: str, path: str, headers: dict[str, str] | None = None,
              **request: Any) -> dict[str, Any]:
        answer = self._http.request(method, self.auth_url + path, timeout=30,
                                    headers={'X-Auth-Token': self._admin_token, **(headers or {})}, **request)
        if not answer.ok:
            raise AssertionError(f'Keystone: {method} {path} gave {answer.status_code}: {answer.text[:500]}')
        return answer.json() if answer.content else {}

    def _token(self, user: str, password: str, scope: dict[str, Any]) -> str:
        who = {'user': {'name': user, 'password': password, 'domain': {'id': DOMAIN}}}
        answer = self._http.post(f'{self.auth_url}/auth/tokens', timeout=30, json={
            'auth': {'scope': scope, 'identity': {'methods': ['password'], 'password': who}}})
        if answer.status_code != 201:
            raise AssertionError(f'Keystone gives {user} no token: {answer.status_code}: {answer.text[:500]}')
        return answer.headers['X-Subject-Token']


def _fill(venv: Path, folder: Path) -> None:
    """Put a bootstrapped database, its keys and the configuration into *folder*."""
    kept = venv / 'filled'
    with open(venv / 'filled.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            work = venv / 'filling'
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            _bootstrap(venv, work)
            work.rename(kept)
    shutil.copytree(kept, folder, dirs_exist_ok=True)
    (folder / 'keystone.conf').write_text(CONF.format(folder=folder))
    (folder / 'keystone_wsgi.py').write_text(WSGI)


def _bootstrap(venv: Path, folder: Path) -> None:
    conf, log = folder / 'keystone.conf', folder / 'bootstrap.log'
    conf.write_text(CONF.format(folder=folder))
    owner, group = folder.owner(), folder.group()
    for keys in ('fernet', 'credential'):
        (folder / keys).mkdir(mode=0o700)
    as_us = ['--keystone-user', owner, '--keystone-group', group]
    for command in (['db_sync'], ['fernet_setup', *as_us], ['credential_setup', *as_us],
                    ['bootstrap', '--bootstrap-password', PASSWORD, '--bootstrap-region-id', REGION]):
        run([venv / 'bin' / 'keystone-manage', '--config-file', conf, *command], log=log, seconds=300)
    if not (folder / 'keystone.sqlite').exists():
        raise NotReady(f'keystone-manage made no database: {log.read_text()[-2000:]}')
