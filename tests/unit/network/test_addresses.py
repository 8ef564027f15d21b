"""No location leads into the service's own network."""

import socket

from glancelike.plugin import errors, network
from tests import base

#: Hosts as a hostile user writes them; every one of them is a way to this machine or its network.
HOSTILE = (
    '127.0.0.1', '127.1', '127.255.255.254', '0.0.0.0', '0', '2130706433', '0x7f000001', '0x7f.1', '0177.0.0.1',
    '017700000001', '127.000.000.001', 'localhost', '::1', '::', '::ffff:127.0.0.1', '::ffff:7f00:1', '::127.0.0.1',
    '10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '169.254.169.254', '::ffff:169.254.169.254',
    '100.64.0.1', '192.0.0.1', '192.0.2.1', '198.18.0.1', '198.51.100.1', '203.0.113.1', '224.0.0.1', '239.1.1.1',
    '240.0.0.1', '255.255.255.255', 'fe80::1', 'fc00::1', 'fd00:ec2::254', 'fec0::1', 'ff02::1', '2001:db8::1',
    '2002:7f00:1::', '2002:a00:1::', '64:ff9b::7f00:1', '64:ff9b::a9fe:a9fe',
)


class AddressGuardTest(base.TestCase):

    def guard(self, allow_private=False, allowed=()):
        return network.AddressGuard(network.Failures(), allow_all=allow_private, allowed=allowed)

    def test_addresses_that_are_not_public_are_refused(self):
        guard, passed = self.guard(), []
        for host in HOSTILE:
            try:
                passed.append((host, guard.addresses(host, 80)))
            except (errors.BadSource, errors.SourceUnavailable):  # the latter: no resolver here takes that form
                pass
        self.assertEqual([], passed)

    def test_public_addresses_pass(self):
        for host in ('8.8.8.8', '1.1.1.1', '2606:4700:4700::1111', '::ffff:8.8.8.8', '64:ff9b::808:808'):
            self.assertEqual(1, len(self.guard().addresses(host, 443)))

    def test_an_allowed_host_may_have_any_address(self):
        self.assertIn('127.0.0.1', self.guard(allowed=['LOCALHOST']).addresses('localhost', 80))

    def test_an_allowed_network_is_allowed_under_every_name(self):
        guard = self.guard(allowed=['127.0.0.0/8'])
        for host in ('127.1', '0x7f.1', '::ffff:127.0.0.1', '127.0.0.1'):
            self.assertEqual(1, len(guard.addresses(host, 80)))
        self.assertRaises(errors.BadSource, guard.addresses, '10.0.0.1', 80)

    def test_allow_private_allows_everything(self):
        self.assertEqual(['10.0.0.1'], self.guard(allow_private=True).addresses('10.0.0.1', 80))

    def test_of_a_name_with_several_addresses_only_the_public_ones_are_used(self):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, '', (address, 80))
                 for address in ('10.0.0.1', '8.8.8.8', '127.0.0.1')]
        self.patch(socket, 'getaddrinfo', lambda *_args, **_kw: found)
        self.assertEqual(['8.8.8.8'], self.guard().addresses('rebinding.example', 80))

    def test_a_name_that_does_not_resolve_is_unavailable(self):
        self.assertRaises(errors.SourceUnavailable, self.guard().addresses, 'nothing.invalid', 80)
        self.assertRaises(errors.SourceUnavailable, self.guard().addresses, 'x' * 300 + '.example', 80)

    def test_an_entry_that_is_neither_name_nor_network_stops_the_start(self):
        for entry in ('10.0.0.0/99', '', 'host:80', 'http://host/'):
            self.assertRaises(errors.ConfigurationError, self.guard, False, [entry])
