"""The listening socket and its errors. (TLS settings: tests/functional/real/test_server_tls.py)"""

import socket

from oslo_config import cfg
from testtools.matchers import Contains, Equals

from glancelike import errors
from glancelike.conf import server as options
from glancelike.wsgi import listener, server
from tests import base


def conf(**values):
    made = cfg.ConfigOpts()
    made.register_opts(options.OPTIONS)
    made([])
    for name, value in {'bind_host': '127.0.0.1', 'bind_port': 0, **values}.items():
        made.set_override(name, value)
    return made


class ListenTest(base.TestCase):

    def listen(self, **values):
        listening = listener.listen(conf(**values), seconds=0.1)
        self.addCleanup(listening.close)
        return listening

    def refused(self, **values):
        return str(self.assertRaises(errors.ConfigurationError, self.listen, **values))

    def test_a_client_can_connect(self):
        listening = self.listen()
        socket.create_connection(listening.getsockname()).close()

    def test_accepted_connections_are_watched_by_the_kernel(self):
        listening = self.listen(tcp_keepidle=77)
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            self.assertThat(accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), Equals(1))
            self.assertThat(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), Equals(77))
            self.assertThat(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), Equals(1))

    def test_an_address_that_stays_in_use_is_named_with_the_time_tried(self):
        with socket.create_server(('127.0.0.1', 0)) as other:
            port = other.getsockname()[1]
            self.assertThat(self.refused(bind_port=port), Contains(
                f'could not bind to 127.0.0.1:{port} after trying for 0.1 seconds'))

    def test_an_address_of_another_machine_is_refused_at_once(self):
        self.assertThat(self.refused(bind_host='192.0.2.1'), Contains('cannot listen on 192.0.2.1:0'))

    def test_a_name_that_is_unknown_is_refused(self):
        self.assertThat(self.refused(bind_host='no-such-host.invalid'), Contains('bind_host'))


class OptionsTest(base.TestCase):

    def test_the_defaults_are_those_of_glance(self):
        made = cfg.ConfigOpts()
        made.register_opts(options.OPTIONS)
        made([])
        wanted = {'bind_host': '0.0.0.0', 'bind_port': 9292, 'backlog': 4096, 'tcp_keepidle': 600,
                  'client_socket_timeout': 900, 'http_keepalive': True, 'max_header_line': 16384}
        self.assertThat({name: made[name] for name in wanted}, Equals(wanted))

    def test_unset_workers_are_one_for_each_processor_at_most_eight(self):
        made = conf()
        self.assertTrue(1 <= server.worker_count(made) <= 8)
        made.set_override('workers', 0)
        self.assertThat(server.worker_count(made), Equals(0))
