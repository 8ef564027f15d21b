"""The http store against a web server that misbehaves."""

import datetime
import ipaddress
import socket

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from glancelike import plugin
from glancelike.compliance.web_server import WebServer
from glancelike.plugin import errors
from glancelike.store_drivers.http import HttpStore
from tests import base

DATA = bytes(range(256)) * 40


class Case(base.TestCase):

    def setUp(self):
        super().setUp()
        self.web = self.server()

    def server(self, **options):
        web = WebServer(**options)
        self.addCleanup(web.stop)
        return web

    def store(self, **options):
        return HttpStore('web', plugin.options_for(
            HttpStore, **{'http_store_allowed_hosts': ['127.0.0.0/8'], 'http_store_redirect_ports': [],
                          'http_store_timeout': 2} | options))

    def read(self, url, *part, store=None):
        return b''.join((store or self.store()).get(url, *part))

    def bad(self, url, store=None):
        return str(self.assertRaises(errors.BadStoreUrl, self.read, url, store=store))


class PrivateAddressTest(Case):

    def test_by_default_this_machine_is_not_reached(self):
        store = self.store(http_store_allowed_hosts=[])
        path = self.web.put(DATA)
        for host in ('127.0.0.1', 'localhost', '127.1', '2130706433', '0x7f000001', '[::ffff:127.0.0.1]'):
            self.bad(self.web.url(path, host=host), store)
            self.assertRaises(errors.BadStoreUrl, store.size, self.web.url(path, host=host))
        self.assertEqual([], self.web.seen)

    def test_a_redirect_to_a_forbidden_address_is_not_followed(self):
        inner = self.server()
        secret = inner.put(b'metadata')
        self.web.redirects['/open'] = (302, f'http://127.0.0.2:{inner.port}{secret}')
        store = self.store(http_store_allowed_hosts=['127.0.0.1'])
        self.bad(self.web.url('/open'), store)
        self.assertEqual([], inner.seen)

    def test_the_connection_goes_to_the_address_that_was_checked(self):
        """A name server that answers something else the second time gains nothing."""
        answers = [('127.0.0.1', self.web.port), ('127.0.0.9', self.web.port)]
        asked = []

        def getaddrinfo(host, port, *_args, **_kw):
            if host == 'rebinding.example':
                asked.append(host)
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, '', answers[len(asked) - 1])]
            return original(host, port, *_args, **_kw)

        original = socket.getaddrinfo
        self.patch(socket, 'getaddrinfo', getaddrinfo)
        path = self.web.put(DATA)
        store = self.store(http_store_allowed_hosts=['127.0.0.1/32'])
        self.assertTrue(self.read(f'http://rebinding.example:{self.web.port}{path}', store=store) == DATA)
        self.assertEqual(['rebinding.example'], asked)
        self.assertEqual(f'rebinding.example:{self.web.port}', self.web.seen[0][2]['Host'])

    def test_the_error_does_not_say_what_the_name_resolved_to(self):
        text = self.bad('http://localhost/x', self.store(http_store_allowed_hosts=[]))
        self.assertNotIn('127.0.0.1', text)


class RedirectTest(Case):

    def redirected(self, times, status=302):
        path = self.web.put(DATA)
        for number in range(times):
            self.web.redirects[f'/{number}'] = (status, path)
            path = f'/{number}'
        return self.web.url(path)

    def test_five_redirects_are_followed(self):
        for status in (301, 302, 303, 307, 308):
            self.assertTrue(self.read(self.redirected(5, status)) == DATA)

    def test_six_redirects_are_too_many(self):
        self.bad(self.redirected(6))

    def test_a_redirect_to_itself_ends(self):
        self.web.redirects['/loop'] = (302, '/loop')
        self.bad(self.web.url('/loop'))
        self.assertEqual(6, len(self.web.seen))

    def test_a_redirect_to_another_scheme_is_refused(self):
        for location in ('file:///etc/passwd', 'ftp://127.0.0.1/x', 'gopher://127.0.0.1/', 'http://'):
            self.web.redirects['/away'] = (302, location)
            self.bad(self.web.url('/away'))

    def test_credentials_stay_with_their_origin(self):
        other = self.server()
        self.web.redirects['/away'] = (302, other.url(other.put(DATA)))
        self.web.redirects['/here'] = (302, self.web.put(DATA))
        self.read(self.web.url('/away', user='user:pa55word'))
        self.assertNotIn('Authorization', other.seen[0][2])
        self.read(self.web.url('/here', user='user:pa55word'))
        self.assertIn('Authorization', self.web.seen[-1][2])

    def test_a_redirect_to_another_port_is_followed_where_that_port_is_allowed(self):
        other = self.server()
        self.web.redirects['/away'] = (302, other.url(other.put(DATA)))
        self.bad(self.web.url('/away'), self.store(http_store_redirect_ports=[80, 443]))
        self.assertEqual([], other.seen)
        store = self.store(http_store_redirect_ports=[other.port])
        self.assertTrue(self.read(self.web.url('/away'), store=store) == DATA)

    def test_a_range_survives_a_redirect(self):
        self.assertTrue(self.read(self.redirected(2), 100, 50) == DATA[100:150])


class AnswerTest(Case):

    def test_statuses_become_errors_of_the_contract(self):
        store = self.store()
        for status, error in ((404, errors.ObjectNotFound), (410, errors.ObjectNotFound), (400, errors.BadStoreUrl),
                              (401, errors.BadStoreUrl), (403, errors.BadStoreUrl), (405, errors.BadStoreUrl),
                              (416, errors.BadStoreUrl), (500, errors.BadStoreUrl), (501, errors.BadStoreUrl),
                              (503, errors.StoreUnavailable), (204, errors.BadStoreUrl), (304, errors.BadStoreUrl)):
            self.web.statuses['/x'] = status
            self.assertRaises(error, store.get, self.web.url('/x'))

    def test_the_password_of_a_url_is_used_and_not_shown(self):
        path = self.web.put(DATA)
        self.web.passwords[path] = 'user:p@ss/word'
        self.assertTrue(self.read(self.web.url(path, user='user:p%40ss%2Fword')) == DATA)
        self.assertNotIn('guess', self.bad(self.web.url(path, user='user:guess')))

    def test_size_without_head_is_found_by_a_range(self):
        self.web.heads = False
        path = self.web.put(DATA)
        self.assertEqual(len(DATA), self.store().size(self.web.url(path)))
        self.assertEqual('bytes=0-0', self.web.seen[-1][2]['Range'])

    def test_size_that_the_server_does_not_tell_is_not_made_up(self):
        def chunked(handler):
            handler.send_response(200)
            handler.send_header('Transfer-Encoding', 'chunked')
            handler.end_headers()
            if handler.command == 'GET':
                handler.wfile.write(b'3\r\nabc\r\n0\r\n\r\n')

        self.web.handlers['/x'] = chunked
        self.assertRaises(errors.OperationNotSupported, self.store().size, self.web.url('/x'))
        self.assertEqual(b'abc', self.read(self.web.url('/x')))

    def test_a_body_that_breaks_off_is_no_short_image(self):
        def broken(handler):
            handler.send_response(200)
            handler.send_header('Content-Length', '1000')
            handler.end_headers()
            handler.wfile.write(b'x' * 400)
            handler.close_connection = True

        def broken_chunks(handler):
            handler.send_response(200)
            handler.send_header('Transfer-Encoding', 'chunked')
            handler.end_headers()
            handler.wfile.write(b'400\r\nabc')
            handler.close_connection = True

        for answer in (broken, broken_chunks):
            self.web.handlers['/x'] = answer
            self.assertRaises(errors.StoreUnavailable, self.read, self.web.url('/x'))

    def test_another_range_than_the_one_asked_for_is_not_used(self):
        def lying(content_range):
            def answer(handler):
                handler.send_response(206)
                handler.send_header('Content-Range', content_range)
                handler.send_header('Content-Length', '10')
                handler.end_headers()
                handler.wfile.write(b'0123456789')
            return answer

        for content_range in ('bytes 0-9/100', 'bytes 10-29/100', 'bytes 10-9/100', 'items 10-19/100', '', 'bytes */9'):
            self.web.handlers['/x'] = lying(content_range)
            error = self.assertRaises(errors.StoreError, self.read, self.web.url('/x'), 10, 10)
            self.assertEqual('store_error', error.code)
        self.web.handlers['/x'] = lying('bytes 10-19/100')
        self.assertEqual(b'0123456789', self.read(self.web.url('/x'), 10, 10))

    def test_a_server_that_ignores_ranges_is_not_read_for_ever(self):
        self.web.ranges = False
        self.web.objects['/big'] = bytes(65 * 2**20)
        url = self.web.url('/big')
        self.assertRaises(errors.OperationNotSupported, self.store().get, url, 64 * 2**20 + 1, 5)
        self.assertEqual(bytes(5), self.read(url, 2**20, 5))

    def test_a_server_that_says_nothing_is_unavailable_in_time(self):
        listening = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(listening.close)
        url = f'http://127.0.0.1:{listening.getsockname()[1]}/x'
        self.assertRaises(errors.StoreUnavailable, self.store(http_store_timeout=1).get, url)

    def test_what_is_no_http_is_unavailable(self):
        def rubbish(handler):
            handler.wfile.write(b'SSH-2.0-OpenSSH\r\n\r\n')
            handler.close_connection = True

        self.web.handlers['/x'] = rubbish
        self.assertRaises(errors.StoreUnavailable, self.store().get, self.web.url('/x'))

    def test_malformed_urls_are_refused_before_anything_is_sent(self):
        for url in ('http://', 'http:///x', 'http://127.0.0.1:x/', 'http://127.0.0.1:0/', 'http://127.0.0.1:-1/',
                    f'http://127.0.0.1:{self.web.port}/a\r\nX-Evil: 1', f'http://127.0.0.1:{self.web.port}/ü',
                    f'http://127.0.0.1:{self.web.port}/a b', 'http://[::1', 'ftp://127.0.0.1/', ' http://127.0.0.1/'):
            self.bad(url)
        self.assertEqual([], self.web.seen)


class TlsTest(Case):

    def setUp(self):
        super().setUp()
        self.certificate = self.tmp / 'server.pem'
        self.certificate.write_bytes(_certificate())
        self.secure = self.server(certificate=self.certificate)
        self.url = self.secure.url(self.secure.put(DATA))

    def test_a_certificate_of_nobody_is_refused(self):
        self.assertIn('not trusted', self.bad(self.url))

    def test_a_certificate_of_the_configured_authority_is_accepted(self):
        store = self.store(https_ca_certificates_file=str(self.certificate))
        self.assertTrue(self.read(self.url, store=store) == DATA)

    def test_a_certificate_for_another_host_is_refused(self):
        store = self.store(https_ca_certificates_file=str(self.certificate))
        self.assertIn('not trusted', self.bad(self.url.replace('127.0.0.1', 'localhost'), store))

    def test_insecure_accepts_every_certificate(self):
        self.assertTrue(self.read(self.url, store=self.store(https_insecure=True)) == DATA)

    def test_certificates_are_verified_by_default(self):
        self.assertIs(False, plugin.options_for(HttpStore).https_insecure)

    def test_a_redirect_from_https_to_http_is_refused(self):
        self.secure.redirects['/down'] = (302, self.web.url(self.web.put(DATA)))
        self.bad(self.secure.url('/down'), self.store(https_insecure=True))
        self.assertEqual([], self.web.seen)


class ProxyTest(Case):

    def test_requests_go_through_the_proxy_of_their_scheme(self):
        """For http a proxy is asked for the whole URL; our web server then plays the proxy."""
        self.web.objects['http://8.8.8.8:80/image'] = DATA
        store = self.store(http_proxy_information={'http': f'127.0.0.1:{self.web.port}'})
        self.assertTrue(self.read('http://user:pw@8.8.8.8/image', store=store) == DATA)
        self.assertEqual('8.8.8.8:80', self.web.seen[0][2]['Host'].removesuffix(':80') + ':80')

    def test_a_proxy_is_no_way_to_a_private_address(self):
        store = self.store(http_proxy_information={'http': f'127.0.0.1:{self.web.port}'}, http_store_allowed_hosts=[])
        for host in ('169.254.169.254', '127.0.0.1', '10.0.0.1', 'localhost'):
            self.bad(f'http://{host}/x', store)
        self.assertEqual([], self.web.seen)


def _certificate() -> bytes:
    """A certificate for 127.0.0.1 that signs itself, with its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'glancelike test')])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address('127.0.0.1'))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256()))
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


