"""TLS by the bundled server, with a private certificate authority."""

import datetime
import hashlib
import http.client
import ipaddress
import os
import signal
import socket
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from testtools.matchers import Contains, Equals, Not

from tests.functional.real.server_case import WAIT_SECONDS, ServerCase


class Authority:
    """A certificate authority whose files lie in *folder*."""

    def __init__(self, folder, name):
        self._folder = folder
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f'{name}.crt'
        self.file.write_bytes(self._sign(name, self._key, x509.BasicConstraints(True, None)))

    def issue(self, name):
        """Returns the files of a new certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, key_file = self._folder / f'{name}.crt', self._folder / f'{name}.key'
        certificate.write_bytes(self._sign(name, key, x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address('127.0.0.1'))])))
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                               serialization.NoEncryption()))
        return certificate, key_file

    def _sign(self, name, key, extension):
        now = datetime.datetime.now(datetime.UTC)
        return x509.CertificateBuilder(
            issuer_name=self._subject(self._name), subject_name=self._subject(name), public_key=key.public_key(),
            serial_number=x509.random_serial_number(), not_valid_before=now - datetime.timedelta(hours=1),
            not_valid_after=now + datetime.timedelta(days=1),
        ).add_extension(extension, critical=False).sign(self._key, hashes.SHA256()).public_bytes(
            serialization.Encoding.PEM)

    def _subject(self, name):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


class TlsTest(ServerCase):

    def setUp(self):
        super().setUp()
        self.authority = Authority(self.tmp, 'ca')
        self.cert, self.key = self.authority.issue('server')

    def context(self, client=None):
        context = ssl.create_default_context(cafile=str(self.authority.file))
        if client:
            context.load_cert_chain(*map(str, client))
        return context

    def request(self, method='GET', path='/', body=None, client=None):
        connection = http.client.HTTPSConnection('127.0.0.1', self.port, context=self.context(client),
                                                 timeout=WAIT_SECONDS)
        self.addCleanup(connection.close)
        connection.request(method, path, body)
        return connection.getresponse().read()

    def test_requests_and_bodies_of_every_size_pass(self):
        file, content = self.tmp / 'file', os.urandom(3_000_000)
        file.write_bytes(content)
        self.start(cert_file=self.cert, key_file=self.key, file=file)
        self.assertThat(self.request(), Equals(b'hello'))
        for size in (1, 100, 4095, 4096, 4097, 2_000_000):
            body = os.urandom(size)
            self.assertThat(self.request('PUT', '/put', body),
                            Equals(f'{size} {hashlib.md5(body).hexdigest()}'.encode()))
        self.assertTrue(self.request(path='/file') == content)

    def test_workers_serve_tls_too(self):
        self.start(cert_file=self.cert, key_file=self.key, workers=2)
        self.assertThat(self.request(), Equals(b'hello'))

    def test_without_ca_file_no_client_certificate_is_asked_for_and_with_it_one_is_needed(self):
        self.start(cert_file=self.cert, key_file=self.key, ca_file=self.authority.file)
        self.assertThat(self.request(client=self.authority.issue('client')), Equals(b'hello'))
        self.assertRaises((ssl.SSLError, ConnectionError), self.request)
        stranger = Authority(self.tmp, 'other').issue('stranger')
        self.assertRaises((ssl.SSLError, ConnectionError), self.request, client=stranger)
        self.assertThat(self.log_text(), Not(Contains('Traceback')))

    def test_clients_that_never_shake_hands_hold_up_nobody(self):
        self.start(cert_file=self.cert, key_file=self.key, client_socket_timeout=2)
        silent = [self.socket() for _ in range(20)]
        self.assertThat(self.request(), Equals(b'hello'))
        self.assertThat(silent[0].recv(10), Equals(b''))

    def test_plain_http_to_a_tls_port_is_no_error_of_ours(self):
        self.start(cert_file=self.cert, key_file=self.key)
        client = self.socket()
        client.sendall(b'GET / HTTP/1.1\r\nHost: h\r\n\r\n')
        try:
            self.assertThat(client.recv(1000), Not(Contains(b'hello')))
        except ConnectionResetError:
            pass  # as good as an alert
        self.assertThat(self.request(), Equals(b'hello'))
        self.assertThat(self.log_text(), Not(Contains('Traceback')))

    def test_sigterm_ends_idle_connections_and_the_process(self):
        self.start(cert_file=self.cert, key_file=self.key)
        with self.context().wrap_socket(self.socket(), server_hostname='127.0.0.1') as client:
            client.sendall(b'GET / HTTP/1.1\r\nHost: h\r\n\r\n')
            client.recv(1000)
            self.server.send_signal(signal.SIGTERM)
            self.assertThat(self.server.wait(WAIT_SECONDS), Equals(0))
        self.assertThat(self.log_text(), Not(Contains('Traceback')))

    def test_sighup_takes_a_renewed_certificate(self):
        self.start(cert_file=self.cert, key_file=self.key)
        new_cert, new_key = self.authority.issue('renewed')
        self.configure(cert_file=new_cert, key_file=new_key)
        self.server.send_signal(signal.SIGHUP)
        self.wait_log('the configuration was read again')
        with self.context().wrap_socket(self.socket(), server_hostname='127.0.0.1') as client:
            subject = dict(pair for part in client.getpeercert()['subject'] for pair in part)
        self.assertThat(subject['commonName'], Equals('renewed'))

    def test_what_cannot_work_stops_the_start_and_names_the_option(self):
        other_key = self.authority.issue('other')[1]
        for options, words in (
                ({'cert_file': self.cert}, 'key_file is not'), ({'key_file': self.key}, 'cert_file is not'),
                ({'cert_file': self.cert, 'key_file': other_key}, 'does not fit'),
                ({'cert_file': self.tmp / 'none', 'key_file': self.key}, 'cert_file'),
                ({'cert_file': self.cert, 'key_file': self.key, 'ca_file': self.tmp / 'none'}, 'ca_file'),
                ({'cert_file': self.cert, 'key_file': self.key, 'ca_file': self.key}, 'ca_file'),
                ({'ca_file': self.authority.file}, 'cert_file')):
            self.options = {'bind_host': '127.0.0.1', 'bind_port': self.port, 'workers': 0}
            self.launch(**options)
            self.assertThat(self.server.wait(WAIT_SECONDS), Equals(1))
            last = self.log_text().splitlines()[-1]
            self.assertThat(last, Contains('ERROR: '))
            self.assertThat(last, Contains(words))

    def test_a_dropped_connection_in_the_handshake_is_no_error(self):
        self.start(cert_file=self.cert, key_file=self.key)
        for sent in (b'', b'\x16\x03\x01', os.urandom(50)):
            with socket.create_connection(('127.0.0.1', self.port)) as client:
                client.sendall(sent)
        self.assertThat(self.request(), Equals(b'hello'))
        self.assertThat(self.log_text(), Not(Contains('Traceback')))
