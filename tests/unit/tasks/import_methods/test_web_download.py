"""web-download: what it refuses, where it does not go, and to whom it tells nothing."""

import hashlib
import os
import socket
import threading
from unittest import mock

from glancelike import plugin
from glancelike.compliance.import_method import SuiteJob
from glancelike.compliance.web_server import WebServer
from glancelike.plugin import errors
from glancelike.tasks.import_methods.web_download import WebDownload
from tests import base
from tests.unit.store_drivers.http.test_store import _certificate

DATA = bytes(range(256)) * 40
CTX = plugin.RequestContext(user_id='u', project_id='films', token='t0ken')
#: Ways to this machine and its network that need no name server.
HOSTILE = ('127.0.0.1', '127.1', '2130706433', '0x7f000001', '0177.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '[::]',
           '0.0.0.0', '10.0.0.1', '192.168.0.1', '172.16.0.1', '169.254.169.254', '100.64.0.1', '[fe80::1]',
           '[fd00::1]', '[64:ff9b::7f00:1]', '[2002:7f00:1::]', 'localhost', 'LOCALHOST.', 'x.localhost')


class Case(base.TestCase):

    def setUp(self):
        super().setUp()
        self.without_proxies()
        self.web = self.server()

    def server(self, **options):
        web = WebServer(**options)
        self.addCleanup(web.stop)
        return web

    def method(self, **options):
        return WebDownload(plugin.options_for(WebDownload, **{
            'allowed_networks': ['127.0.0.1'], 'allowed_ports': [], 'download_timeout': 2, 'download_retries': 0,
            'download_longest_pause': 0, **options}))

    def check(self, uri, method=None, ctx=CTX, **more):
        return (method or self.method()).check(ctx, {'name': 'web-download', 'uri': uri, **more})

    def refused(self, uri, method=None, **more):
        return str(self.assertRaises(errors.Invalid, self.check, uri, method, **more))

    def read(self, uri, method=None, ctx=CTX, **more):
        method = method or self.method()
        job = SuiteJob(str(self.tmp), input=self.check(uri, method, ctx, **more),
                       caller=plugin.Caller(ctx.user_id, ctx.project_id))
        return b''.join(method.open(job).chunks)

    def bad(self, uri, method=None, **more):
        return str(self.assertRaises(errors.BadSource, self.read, uri, method, **more))


class FilterTest(Case):
    """Scheme, host and port, as Glance filters them."""

    def passes(self, uri, **options):
        try:
            self.check(uri, self.method(**{'allowed_ports': ['80', '443'], **options}))
        except errors.BadSource:
            return False
        return True

    def test_by_default_http_and_https_on_their_ports_pass(self):
        for uri in ('http://example.org/', 'https://example.org/x?y', 'HTTP://example.org', 'http://example.org:443/'):
            self.assertTrue(self.passes(uri), uri)
        for uri in ('ftp://example.org/', 'file:///etc/passwd', 'gopher://example.org', 'http://example.org:8080/',
                    'http://', 'http:///x', 'example.org/x', '//example.org/x', 'http:example.org', 'http://[::1/',
                    'http://example.org:0/', 'http://example.org:99999/', 'http://example.org/a b', 'http://ex\tample.org',
                    'http://example.org/\r\nX: y', 'http://exämple.org/', 'http://example.org/' + 'x' * 5000):
            self.assertFalse(self.passes(uri), uri)

    def test_an_allow_list_decides_alone(self):
        lists = {'allowed_hosts': ['Good.example'], 'disallowed_hosts': ['good.example'],
                 'disallowed_ports': ['443'], 'disallowed_schemes': ['http']}
        self.assertTrue(self.passes('http://good.example:443/', **lists))
        self.assertFalse(self.passes('http://bad.example/', **lists))
        self.assertFalse(self.passes('http://not.good.example/', **lists))

    def test_a_deny_list_counts_without_an_allow_list(self):
        lists = {'disallowed_hosts': ['bad.example', '8.8.8.0/24'], 'allowed_ports': [], 'disallowed_ports': ['8080']}
        self.assertTrue(self.passes('http://good.example:81/', **lists))
        for uri in ('http://bad.example/', 'http://BAD.example./', 'http://good.example:8080/', 'http://8.8.8.8/',
                    'http://134744072/'):
            self.assertFalse(self.passes(uri, **lists), uri)

    def test_brackets_and_quotes_in_lists_are_understood(self):
        lists = {'allowed_schemes': ['[http'], 'allowed_hosts': ["['a.example'", ' "b.example"]'],
                 'allowed_ports': ['[80', '8080]']}
        for uri in ('http://a.example/', 'http://b.example:8080/'):
            self.assertTrue(self.passes(uri, **lists), uri)
        self.assertFalse(self.passes('https://a.example/', **lists))

    def test_the_refusal_says_what_would_do(self):
        self.assertIn('http, https', self.refused('ftp://example.org/'))
        self.assertIn('port 8080', self.refused('http://example.org:8080/', self.method(allowed_ports=['80'])))

    def test_lists_that_cannot_be_stop_the_start(self):
        for options in ({'allowed_ports': ['http']}, {'disallowed_ports': ['70000']}, {'allowed_networks': ['mirror']},
                        {'allowed_hosts': ['http://mirror/']}, {'download_ca_certificates_file': '/nowhere'},
                        {'web_download_credentials_file': '/nowhere'}):
            self.assertRaises(errors.ConfigurationError, self.method, **options)

    def test_user_and_password_in_the_uri_are_refused_and_not_repeated(self):
        for uri in ('http://user:pa55word@example.org/', 'https://user@example.org/', 'http://:pa55word@example.org/'):
            text = self.refused(uri)
            self.assertIn('credentials', text)
            self.assertNotIn('pa55word', text)


class OwnNetworkTest(Case):
    """No URI leads into the network of this service."""

    def strict(self, **options):
        return self.method(allowed_networks=[], **options)

    def test_addresses_that_are_not_public_are_refused_by_the_check(self):
        for host in HOSTILE:
            self.refused(f'http://{host}:{self.web.port}/x', self.strict())

    def test_a_host_that_is_named_as_allowed_may_be_anywhere(self):
        uri = self.web.url(self.web.put(DATA))
        self.assertEqual(DATA, self.read(uri, self.strict(allowed_hosts=['127.0.0.1'])))
        named = uri.replace('127.0.0.1', 'localhost')
        self.assertEqual(DATA, self.read(named, self.strict(allowed_hosts=['localhost'])))
        self.refused(uri.replace('127.0.0.1', '2130706433'), self.strict(allowed_hosts=['127.0.0.1']))

    def test_a_redirect_to_a_forbidden_address_is_not_followed(self):
        for host in (*HOSTILE, '127.0.0.2'):
            if host in ('127.0.0.1', '127.1', '2130706433', '0x7f000001', '0177.0.0.1', '[::ffff:127.0.0.1]',
                        'localhost', 'LOCALHOST.', 'x.localhost', '[64:ff9b::7f00:1]', '[2002:7f00:1::]'):
                continue  # these are the server of the test itself, which is allowed here
            self.web.redirects['/open'] = (302, f'http://{host}:{self.web.port}/secret')
            self.bad(self.web.url('/open'))
        self.assertEqual({'/open'}, {path for _method, path, _headers in self.web.seen})

    def test_a_redirect_from_an_allowed_host_to_this_machine_is_not_followed(self):
        method = self.strict(allowed_hosts=['127.0.0.1'])
        for host in HOSTILE:
            if host != '127.0.0.1':
                self.web.redirects['/open'] = (302, f'http://{host}:{self.web.port}/secret')
                self.bad(self.web.url('/open'), method)
        self.assertEqual({'/open'}, {path for _method, path, _headers in self.web.seen})

    def test_the_filter_holds_for_redirects(self):
        method = self.method(allowed_ports=[str(self.web.port)])
        other = self.server()
        for location in (other.url('/x'), 'ftp://127.0.0.1/x', 'file:///etc/passwd', 'http://[', 'http://127.0.0.1:x/'):
            self.web.redirects['/away'] = (302, location)
            self.bad(self.web.url('/away'), method)
        self.assertEqual([], other.seen)

    def test_a_name_that_resolves_to_something_else_later_gains_nothing(self):
        """At each hop, and at each time that a download is taken up again, the name is looked up and checked anew."""
        original, asked = socket.getaddrinfo, []

        def getaddrinfo(host, port, *args, **options):
            if host != 'rebinding.example' or options.get('flags'):
                return original(host, port, *args, **options)
            asked.append(host)
            address = '127.0.0.1' if len(asked) == 1 else '127.0.0.9'
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (address, port))]

        self.patch(socket, 'getaddrinfo', getaddrinfo)
        path = self.web.put(DATA)
        uri = f'http://rebinding.example:{self.web.port}'
        self.assertEqual(DATA, self.read(uri + path))
        self.assertEqual(1, len(asked))  # looked up once, and connected to what was looked up

        del asked[:]
        self.web.redirects['/again'] = (302, path)
        self.bad(f'{uri}/again')
        self.assertEqual(2, len(asked))

        def broken(handler):
            handler.send_response(200)
            handler.send_header('Content-Length', '1000')
            handler.end_headers()
            handler.wfile.write(bytes(500))
            handler.close_connection = True

        del asked[:]
        self.web.handlers['/broken'] = broken
        self.bad(f'{uri}/broken', self.method(download_retries=1))
        self.assertEqual(2, len(asked))

    def test_the_error_does_not_say_what_a_name_resolved_to(self):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, '', ('10.1.2.3', 80))]
        original = socket.getaddrinfo
        self.patch(socket, 'getaddrinfo', lambda host, *args, **options: found if host == 'inner.example'
                   and not options.get('flags') else original(host, *args, **options))
        self.assertNotIn('10.1.2.3', self.bad('http://inner.example/x', self.strict()))


class RedirectTest(Case):

    def test_five_redirects_are_followed_and_a_loop_ends(self):
        path = self.web.put(DATA)
        for number in range(6):
            self.web.redirects[f'/{number}'] = (302, path)
            path = f'/{number}'
        self.assertEqual(DATA, self.read(self.web.url('/4')))
        self.bad(self.web.url('/5'))
        self.web.redirects['/loop'] = (301, '/loop')
        self.web.seen.clear()
        self.bad(self.web.url('/loop'))
        self.assertEqual(6, len(self.web.seen))

    def test_a_redirect_from_https_to_http_is_refused(self):
        pem = self.tmp / 'server.pem'
        pem.write_bytes(_certificate())
        secure = self.server(certificate=pem)
        method = self.method(download_ca_certificates_file=str(pem))
        self.assertEqual(DATA, self.read(secure.url(secure.put(DATA)), method))
        secure.redirects['/down'] = (302, self.web.url(self.web.put(DATA)))
        self.assertIn('https to http', self.bad(secure.url('/down'), method))
        self.assertIn('not trusted', self.bad(secure.url('/down')))
        self.assertEqual([], self.web.seen)


class ChecksumTest(Case):

    def test_every_algorithm_that_is_offered_can_be_used(self):
        uri = self.web.url(self.web.put(DATA))
        algorithms = self.method().facts()['checksums']
        self.assertTrue({'md5', 'sha1', 'sha256', 'sha512', 'sha3_256', 'blake2b'} <= set(algorithms))
        for name in algorithms:
            digest = hashlib.new(name, DATA, usedforsecurity=False).hexdigest()
            self.assertEqual(DATA, self.read(uri, checksum=f'{name.upper()}:{digest.upper()}'))

    def test_another_checksum_is_told(self):
        uri = self.web.url(self.web.put(DATA))
        self.assertRaises(errors.HashMismatch, self.read, uri, checksum='sha256:' + '0' * 64)

    def test_a_checksum_of_another_form_is_refused(self):
        for checksum in ('', 'sha256', 'sha256:', 'sha256:00', 'sha256:' + 'g' * 64, 'shake_128:00', 'crc32:00000000',
                         '0' * 64, 5, ['sha256'], 'sha256:' + '0' * 65):
            self.assertIn('checksum', self.refused('http://example.org/', checksum=checksum))


class CredentialsTest(Case):

    def credentials(self, text, **options):
        path = self.tmp / 'credentials'
        path.write_text(text)
        return self.method(web_download_credentials_file=str(path), **options)

    def of_host(self, lines='user = u\npassword = 50%:secret', **options):
        return self.credentials(f'[vendor]\nhosts = 127.0.0.1\nallow_http = true\n{lines}\n', **options)

    def test_each_kind_is_sent_in_its_header(self):
        uri = self.web.url(self.web.put(DATA))
        for lines, header, value in (
                ('user = u\npassword = 50%:secret', 'Authorization', 'Basic dTo1MCU6c2VjcmV0'),
                ('token = secret', 'Authorization', 'Bearer secret'),
                ('header = X-Api-Key\nvalue = secret', 'X-Api-Key', 'secret')):
            self.assertEqual(DATA, self.read(uri, self.of_host(lines), credentials='vendor'))
            self.assertEqual(value, self.web.seen[-1][2][header])

    def test_without_a_name_nothing_is_sent(self):
        self.read(self.web.url(self.web.put(DATA)), self.of_host())
        self.assertNotIn('Authorization', self.web.seen[-1][2])

    def test_they_are_not_sent_where_a_redirect_leads(self):
        other = self.server()
        self.web.redirects['/away'] = (302, other.url(other.put(DATA)))
        self.web.redirects['/other-name'] = (302, f'http://localhost:{self.web.port}{self.web.put(DATA)}')
        method = self.of_host()
        self.read(self.web.url('/away'), method, credentials='vendor')
        self.assertNotIn('Authorization', other.seen[0][2])
        self.read(self.web.url('/other-name'), method, credentials='vendor')
        self.assertNotIn('Authorization', self.web.seen[-1][2])

    def test_they_are_for_their_hosts_only(self):
        method = self.credentials('[a]\nhosts = one.example, two.example:8443\ntoken = s\n')
        for uri in ('https://one.example/', 'https://one.example:444/', 'https://two.example:8443/'):
            self.assertEqual('a', self.check(uri, method, credentials='a')['credentials'])
        for uri in ('https://two.example/', 'https://x.one.example/', 'https://example/'):
            self.assertIn('credentials', self.refused(uri, method, credentials='a'))

    def test_they_go_over_https_unless_the_operator_says_otherwise(self):
        method = self.credentials('[a]\nhosts = one.example\ntoken = s\n')
        self.assertIn('https only', self.refused('http://one.example/', method, credentials='a'))

    def test_of_other_projects_there_are_none(self):
        method = self.credentials('[a]\nhosts = one.example\ntoken = s\nprojects = books, films\n'
                                  '[b]\nhosts = one.example\ntoken = s\nprojects = books\n')
        self.check('https://one.example/', method, credentials='a')
        other = self.refused('https://one.example/', method, credentials='b')
        unknown = self.refused('https://one.example/', method, credentials='c')
        self.assertEqual(other.replace("'b'", ''), unknown.replace("'c'", ''))

    def test_a_name_of_another_kind_is_refused(self):
        for name in (5, [], {'a': 1}, '', 'x' * 100_000):
            self.assertIn('credentials', self.refused('https://one.example/', self.of_host(), credentials=name))

    def test_the_file_is_read_anew(self):
        method = self.of_host('token = old')
        uri = self.web.url(self.web.put(DATA))
        (self.tmp / 'credentials').write_text('[vendor]\nhosts = 127.0.0.1\nallow_http = true\ntoken = new\n')
        self.read(uri, method, credentials='vendor')
        self.assertEqual('Bearer new', self.web.seen[-1][2]['Authorization'])

    def test_what_was_there_at_the_check_and_is_no_more_is_told(self):
        method = self.of_host()
        job = SuiteJob(str(self.tmp), caller=plugin.Caller(project_id='films'),
                       input=self.check(self.web.url('/x'), method, credentials='vendor'))
        (self.tmp / 'credentials').write_text('')
        self.assertRaises(errors.BadSource, method.open, job)
        (self.tmp / 'credentials').unlink()
        self.assertNotIn(str(self.tmp), str(self.assertRaises(errors.SourceUnavailable, method.open, job)))

    def test_a_file_that_cannot_be_stops_the_start_and_tells_no_value(self):
        for text in ('[a]\ntoken = s3cret\n', '[a]\nhosts = h\n', '[a]\nhosts = h\nuser = s3cret\n',
                     '[a]\nhosts = h\ntoken = s3cret\nuser = u\npassword = p\n', 's3cret\n', '[a\nhosts = s3cret\n',
                     '[a]\nhosts = h\ntoken = s3cret\nhosts = s3cret\n', '[a]\nhosts = h\ntoken = s3cret\n s3cret\n',
                     '[a]\nhosts = h\nheader = A b\nvalue = s3cret\n', '[a]\nhosts = h\ntoken = s3crét\n',
                     '[a]\nhosts = h\ntoken = s3cret\nallow_http = s3cret\n',
                     '[a]\nhosts = h\ntoken = s3cret\ns3cret\n'):
            error = self.assertRaises(errors.ConfigurationError, self.credentials, text)
            self.assertIn('web_download_credentials_file', str(error))
            self.assertNotIn('s3cr', str(error), text)

    def test_unknown_keys_are_told_by_name(self):
        error = self.assertRaises(errors.ConfigurationError, self.credentials,
                                  '[a]\nhosts = h\ntoken = x\nproject = p\n')
        self.assertIn('project', str(error))


class ProxyTest(Case):
    """The proxies of the environment; our web server plays one."""

    def test_requests_go_through_the_proxy_of_the_environment(self):
        self.web.objects['http://8.8.8.8:80/image'] = DATA
        with mock.patch.dict(os.environ, {'http_proxy': f'http://me:pw@127.0.0.1:{self.web.port}', 'no_proxy': ''}):
            method = self.method(allowed_networks=[])
        self.assertEqual(DATA, self.read('http://8.8.8.8/image', method))
        self.assertEqual('Basic bWU6cHc=', self.web.seen[0][2]['Proxy-Authorization'])

    def test_a_proxy_is_no_way_to_a_private_address(self):
        with mock.patch.dict(os.environ, {'http_proxy': f'http://127.0.0.1:{self.web.port}', 'no_proxy': ''}):
            method = self.method(allowed_networks=[])
        self.web.redirects['http://8.8.8.8:80/image'] = (302, 'http://169.254.169.254/latest')
        self.bad('http://8.8.8.8/image', method)
        self.assertEqual(1, len(self.web.seen))

    def tunnel(self):
        """A proxy that knows CONNECT; its port, and the heads of the requests that it got."""
        listening, heads = socket.create_server(('127.0.0.1', 0)), []
        self.addCleanup(listening.close)

        def pump(source, sink):
            try:
                while data := source.recv(2**16):
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        def serve():
            client, _ = listening.accept()
            heads.append(client.recv(2**16).decode())
            host, _, port = heads[0].split()[1].rpartition(':')
            with client, socket.create_connection((host, int(port))) as server:
                client.sendall(b'HTTP/1.1 200 Connection established\r\n\r\n')
                back = threading.Thread(target=pump, args=(server, client), daemon=True)
                back.start()
                pump(client, server)
                back.join()

        threading.Thread(target=serve, daemon=True).start()
        return listening.getsockname()[1], heads

    def test_https_goes_through_a_tunnel_and_is_verified_at_its_end(self):
        pem = self.tmp / 'server.pem'
        pem.write_bytes(_certificate())
        secure = self.server(certificate=pem)
        uri = secure.url(secure.put(DATA))
        for options in ({'download_ca_certificates_file': str(pem)}, {}):
            port, heads = self.tunnel()
            with mock.patch.dict(os.environ, {'https_proxy': f'http://me:pw@127.0.0.1:{port}'}):
                method = self.method(**options)
            if options:
                self.assertEqual(DATA, self.read(uri, method))
            else:
                self.assertIn('not trusted', self.bad(uri, method))
            self.assertTrue(heads[0].startswith(f'CONNECT 127.0.0.1:{secure.port} '), heads)
            self.assertIn('Proxy-Authorization: Basic bWU6cHc=', heads[0])
        self.assertNotIn('Proxy-Authorization', secure.seen[0][2])

    def test_a_proxy_without_a_port_is_at_port_80(self):
        with mock.patch.dict(os.environ, {'http_proxy': 'http://proxy.example/', 'HTTPS_PROXY': 'proxy.example'}):
            self.method()

    def test_hosts_of_no_proxy_are_asked_directly(self):
        with mock.patch.dict(os.environ, {'http_proxy': 'http://127.0.0.1:1', 'no_proxy': '127.0.0.1'}):
            method = self.method()
            self.assertEqual(DATA, self.read(self.web.url(self.web.put(DATA)), method))

    def test_a_proxy_of_another_kind_stops_the_start_and_its_password_is_not_told(self):
        with mock.patch.dict(os.environ, {'https_proxy': 'socks5://me:pa55word@127.0.0.1:1'}):
            error = self.assertRaises(errors.ConfigurationError, self.method)
        self.assertIn('https_proxy', str(error))
        self.assertNotIn('pa55word', str(error))


class TellingTest(Case):

    def test_no_error_carries_the_uri(self):
        """Signed URLs have their secret in the query."""
        for path, status in (('/a?sig=s3cret', 404), ('/b?sig=s3cret', 503), ('/c?sig=s3cret', 302)):
            self.web.statuses[path] = status
            error = self.assertRaises(errors.GlanceError, self.read, self.web.url(path))
            self.assertNotIn('s3cret', f'{error} {error!r} {error.facts}')

    def test_facts_say_what_can_be_used(self):
        facts = self.method(allowed_schemes=['https']).facts()
        self.assertEqual(['https'], facts['schemes'])
        self.assertIs(False, facts['credentials'])
