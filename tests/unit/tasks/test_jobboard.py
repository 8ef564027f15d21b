"""What stands in [jobboard]: read, or refused with a reason."""

from types import SimpleNamespace

from testtools.matchers import Contains, Equals, Not

from glancelike import errors
from glancelike.conf.jobboard import JOBBOARD_OPTIONS
from glancelike.tasks import jobboard
from tests import base


class SettingsTest(base.TestCase):

    def read(self, **given):
        defaults = {option.dest: option.default for option in JOBBOARD_OPTIONS}
        return jobboard.read_settings(SimpleNamespace(**{**defaults, **given}))

    def refused(self, **given):
        text = str(self.assertRaises(errors.ConfigurationError, self.read, **given))
        self.assertThat(text, Contains('[jobboard]'))
        self.assertThat(text, Not(Contains('hidden-word')))
        return text

    def test_by_default_the_board_is_on_this_machine(self):
        for backend, port in (('redis', 6379), ('etcd', 2379), ('zookeeper', 2181)):
            self.assertThat(self.read(backend=backend).hosts, Equals((('127.0.0.1', port),)))

    def test_hosts_may_have_ports_and_be_of_ipv6(self):
        self.assertThat(self.read(hosts=['a', 'b:1', '[::1]', '[::2]:3']).hosts,
                        Equals((('a', 6379), ('b', 1), ('::1', 6379), ('::2', 3))))

    def test_sentinels_have_a_port_of_their_own(self):
        self.assertThat(self.read(hosts=['a'], redis_sentinel='main').hosts, Equals((('a', 26379),)))

    def test_hosts_that_are_none_are_refused(self):
        for host in ('', 'a:b', 'a:99999', 'user:hidden-word@a', 'a/path'):
            self.refused(hosts=[host])

    def test_a_password_for_etcd_is_refused(self):
        self.assertThat(self.refused(backend='etcd', password='hidden-word'), Contains('cert_file'))

    def test_half_of_a_pair_is_refused(self):
        self.refused(backend='zookeeper', password='hidden-word')
        self.refused(cert_file='/a')
        self.refused(backend='etcd', redis_sentinel='main')

    def test_passwords_are_not_shown(self):
        self.assertThat(repr(self.read(password='hidden-word')), Not(Contains('hidden-word')))
