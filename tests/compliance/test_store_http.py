"""The http store is held to the store contract, against a web server with and without ranges."""

from glancelike import plugin
from glancelike.compliance.store import StoreSuite
from glancelike.compliance.web_server import WebServer
from glancelike.store_drivers.http import HttpStore
from tests import base


class HttpStoreTest(StoreSuite, base.TestCase):
    """A server that answers Range requests."""

    ranges = True

    def make_store(self):
        self.web = WebServer()
        self.addCleanup(self.web.stop)
        self.web.ranges = self.web.heads = self.ranges
        return HttpStore('web', plugin.options_for(HttpStore, http_store_allow_private=True, http_store_timeout=5))

    def make_dead_store(self):
        self.web.stop()
        self.addCleanup(setattr, self.web, 'stop', lambda: None)
        return self.store

    def put_object(self, store, data):
        return self.web.url(self.web.put(data))

    def missing_url(self, store):
        return self.web.url('/nothing')

    def foreign_urls(self, store):
        return ['http://', 'http:///x', 'http://127.0.0.1:port/x', 'http://127.0.0.1/a b', 'http://[::1/x',
                'http://127.0.0.1:99999/', 'http://127.0.0.1/\r\nX: y', 'file:///etc/hostname']

    def impossible_options(self):
        for bad in ({'https_ca_certificates_file': str(self.tmp / 'missing.pem')},
                    {'http_store_allowed_hosts': ['10.0.0.0/99']}, {'http_proxy_information': {'http': 'no-port'}},
                    {'http_proxy_information': {'ftp': 'proxy:3128'}}):
            yield plugin.options_for(HttpStore, **bad)


class PlainServerTest(HttpStoreTest):
    """A server that knows neither Range nor HEAD."""

    ranges = False
