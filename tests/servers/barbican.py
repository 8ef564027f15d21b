"""A Barbican server of the test process's own, beside the shared Keystone; it keeps signing certificates."""

import base64
import secrets
import ssl

import fixtures
import requests

from tests import servers
from tests.servers.process import Process, drop_folder, free_port, make_folder, port_answers
from tests.servers.venvs import server_venv

REQUIREMENTS = ('barbican>=20', 'gunicorn>=22')
ROLE = 'creator'  # Barbican's own role for those who may store secrets
START_SECONDS = 90

CONF = """\
[DEFAULT]
db_auto_create = true
host_href = {url}
use_stderr = true
[database]
connection = sqlite:///{folder}/barbican.sqlite
[queue]
enable = false
[simple_crypto_plugin]
kek = {key}
[keystone_authtoken]
{authtoken}
"""
# The factory of Barbican itself reads its paste file from one fixed place, and oslo.config would read
# sys.argv.
WSGI = """\
import sys
sys.argv = ['barbican']
from paste import deploy
application = deploy.loadapp('config:{folder}/barbican-api-paste.ini')
"""


class Barbican(fixtures.Fixture):
    """Started by ``setUp``, gone after ``cleanUp``; the shared Keystone has its endpoint in the catalogue."""

    def _setUp(self):
        venv = server_venv('barbican', REQUIREMENTS)
        self.keystone = servers.shared('keystone')
        self.keystone.create_role(ROLE)
        self.port = free_port()
        self.folder = make_folder('barbican')
        self.addCleanup(drop_folder, self.folder)
        # Barbican looks there first when our folder is its home.
        conf = self.folder / '.barbican' / 'barbican.conf'
        conf.parent.mkdir()
        authtoken = '\n'.join(f'{name} = {value}' for name, value in self.keystone.authtoken().items())
        key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        conf.write_text(CONF.format(url=self.endpoint, folder=self.folder, key=key, authtoken=authtoken))
        paste = (venv / 'etc' / 'barbican' / 'barbican-api-paste.ini').read_text()
        (self.folder / 'barbican-api-paste.ini').write_text(paste)
        (self.folder / 'barbican_wsgi.py').write_text(WSGI.format(folder=self.folder))
        self._server = [
            venv / 'bin' / 'gunicorn', '--no-control-socket', '--chdir', self.folder,
            '-b', f'127.0.0.1:{self.port}', '-w', '1', '--threads', '4', 'barbican_wsgi:application']
        self._http = requests.Session()
        self._http.trust_env = False
        self.addCleanup(self._http.close)
        self.process = None
        self.addCleanup(self.stop)
        self.start()
        self.keystone.create_endpoint(self.endpoint, 'key-manager', 'barbican')

    @property
    def endpoint(self) -> str:
        return f'http://127.0.0.1:{self.port}'

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> None:
        """Start the server on its port and data, and wait until it answers a request."""
        self.process = Process(self._server, self.folder / 'server.log', env={'HOME': str(self.folder)})
        self.process.wait_ready(self._answers, START_SECONDS, f'Barbican on port {self.port}')

    def stop(self) -> None:
        """Stop the server; its data stay."""
        if self.process and self.process.alive():
            self.process.terminate()

    def castellan_options(self) -> dict[str, dict[str, str]]:
        """Return the groups ``[key_manager]`` and ``[barbican]`` with which castellan finds this server."""
        return {'key_manager': {'backend': 'barbican'},
                'barbican': {'barbican_endpoint': self.endpoint, 'auth_endpoint': self.keystone.auth_url,
                             'barbican_region_name': 'RegionOne'}}

    def store_certificate(self, certificate_der: bytes, token: str) -> str:
        """Keep an x509 certificate as castellan does, for whoever owns *token*; return its id.

        :param token: of a user who has the role ``ROLE`` in its project
        """
        # Castellan writes certificates as PEM in base64 and reads them back so.
        pem = ssl.DER_cert_to_PEM_cert(certificate_der)
        secret = {'name': 'signing certificate', 'secret_type': 'certificate',
                  'payload': base64.b64encode(pem.encode()).decode(),
                  'payload_content_type': 'application/octet-stream', 'payload_content_encoding': 'base64'}
        answer = self._http.post(f'{self.endpoint}/v1/secrets', json=secret, timeout=30,
                                 headers={'X-Auth-Token': token})
        if answer.status_code != 201:
            raise AssertionError(f'Barbican: {answer.status_code}: {answer.text[:500]}')
        return answer.json()['secret_ref'].rsplit('/', 1)[1]

    def _answers(self) -> bool:
        # A connection is accepted before a worker can serve it, so only an answer counts.
        if not port_answers(self.port):
            return False
        try:
            return self._http.get(self.endpoint, timeout=5).status_code < 500
        except requests.RequestException:
            return False
