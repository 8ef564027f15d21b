"""Signed images with real Keystone and Barbican: the certificate is fetched with the uploader's own token."""

import requests

from tests import base, servers
from tests.servers.barbican import ROLE
from tests.servers.glance_api import GUNICORN, GlanceApi
from tests.unit.core.signing import ECC, RSA, Signer

DATA = b'signed bytes' * 500_000


class SignedImagesTest(base.TestCase):
    """The service under gunicorn: what it asks Barbican for passes no code of a server of ours."""

    def setUp(self):
        super().setUp()
        barbican = servers.need(self, 'barbican')
        keystone = servers.shared('keystone')
        self.barbican = barbican
        for project in ('signing', 'stranger'):
            keystone.create_project(project)
            keystone.create_user(project, project, roles=('member', 'reader', ROLE))
        self.token = keystone.token('signing', 'signing')
        self.stranger = keystone.token('stranger', 'stranger')
        self.api = servers.use(self, GlanceApi(
            {'keystone_authtoken': keystone.authtoken(), **barbican.castellan_options()}, flavor='keystone',
            server=GUNICORN))

    def upload(self, properties, data, token):
        http = requests.Session()
        http.trust_env = False
        http.headers['X-Auth-Token'] = token
        self.addCleanup(http.close)
        made = http.post(f'{self.api.url}/v2/images', timeout=60,
                         json={'disk_format': 'raw', 'container_format': 'bare', **properties})
        self.assertEqual(201, made.status_code, made.text)
        url = f'{self.api.url}/v2/images/{made.json()["id"]}'
        answer = http.put(f'{url}/file', data, headers={'Content-Type': 'application/octet-stream'}, timeout=60)
        return answer.status_code, http.get(url, timeout=60).json()['status'], answer.text

    def test_right_bytes_are_accepted_and_wrong_ones_are_not(self):
        for kind in (RSA, ECC):
            signer = Signer(kind)
            properties = signer.properties(DATA, self.barbican.store_certificate(signer.certificate_der, self.token))
            self.assertEqual((204, 'active'), self.upload(properties, DATA, self.token)[:2])
            status, image_status, text = self.upload(properties, DATA + b'x', self.token)
            self.assertEqual((400, 'queued'), (status, image_status))
            self.assertIn('signature does not fit', text)

    def test_a_certificate_of_somebody_else_is_refused(self):
        signer = Signer()
        properties = signer.properties(DATA, self.barbican.store_certificate(signer.certificate_der, self.token))
        self.assertEqual((400, 'queued'), self.upload(properties, DATA, self.stranger)[:2])

    def test_a_certificate_that_is_not_there_is_refused(self):
        properties = Signer().properties(DATA, '8f3f2a52-7f3c-4a7f-b3ad-0a4ec1f7b0a1')
        self.assertEqual((400, 'queued'), self.upload(properties, DATA, self.token)[:2])
