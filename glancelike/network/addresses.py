"""To which network addresses a request may go: the guard against server-side request forgery.

A user names the URL, this service makes the connection, so a URL must not become a way to the service's own
network. A host name proves nothing (``0x7f.1``, a name that resolves to 10.0.0.1, a name that resolves to
something else the second time); so the resolved addresses are checked, and the connection is made to exactly
an address that was checked.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from glancelike import errors
from glancelike.network.failures import Failures

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MOST_ADDRESSES = 16  # of one name; each that does not answer costs time
_NAT64 = ipaddress.IPv6Network('64:ff9b::/96')  # RFC 6052: the last 32 bits are an IPv4 address


class AddressGuard:
    """Resolves host names to the addresses that may be used.

    :param allow_all: every address is allowed
    :param allowed: host names (compared without case) and networks that are allowed wherever they are
    :param denied: networks that are not, public or not; a host that *allowed* names comes first
    :param option: what the operator calls *allowed*, for errors
    :raises ConfigurationError: an entry of *allowed* is neither name nor network
    """

    def __init__(self, failures: Failures, *, allow_all: bool = False, allowed: Iterable[str] = (),
                 denied: Iterable[Network] = (), option: str = 'allowed hosts'):
        self._failures = failures
        self._allow_all = allow_all
        self._networks: list[Network] = []
        self._hosts: set[str] = set()
        self._denied = tuple(denied)
        for entry in allowed:
            network = network_of(entry)
            if network is not None:
                self._networks.append(network)
            elif not entry or '/' in entry or ':' in entry:
                raise errors.ConfigurationError(reason=f'{option}: {entry!r} is neither a host name nor a network')
            else:
                self._hosts.add(entry.lower())

    def addresses(self, host: str, port: int) -> list[str]:
        """The host's addresses to which we may connect, in the resolver's order; 1 to 16.

        :raises: ``failures.bad``: none of them is allowed; ``failures.unavailable``: it does not resolve now
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise self._failures.unavailable('the name of its server does not resolve') from error
        allowed = [entry[4][0] for entry in found if self._is_allowed(host, entry[4][0])]
        if not allowed:
            raise self._refusal()
        return list(dict.fromkeys(allowed))[:_MOST_ADDRESSES]

    def refuses(self, host: str) -> bool:
        """Can it be told without asking anybody that ``addresses`` will refuse the host?"""
        if f'.{host.lower()}'.rstrip('.').endswith('.localhost') and host.lower() not in self._hosts:
            host = '127.0.0.1'  # RFC 6761, section 6.3
        try:
            found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):
            return False
        return not any(self._is_allowed(host, entry[4][0]) for entry in found)

    def check_behind_proxy(self, host: str, port: int) -> None:
        """As ``addresses``, for a host to which a proxy connects: a name that only the proxy knows passes."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        if not any(self._is_allowed(host, entry[4][0]) for entry in found):
            raise self._refusal()

    def _refusal(self) -> errors.GlanceError:
        return self._failures.bad('it is on a network that this service may not reach for users')

    def _is_allowed(self, host: str, text: str) -> bool:
        address = _plain(ipaddress.ip_address(text.partition('%')[0]))
        if self._allow_all or host.lower() in self._hosts or any(address in network for network in self._networks):
            return True
        return is_public(address) and not any(address in network for network in self._denied)


def network_of(entry: str) -> Network | None:
    """The network or single address that an entry of a list is; None: it is no such thing."""
    try:
        return ipaddress.ip_network(entry.strip('[]'), strict=False)
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Is it an address of the public Internet? Loopback, private, link-local, shared (100.64/10), multicast,
    reserved and unspecified ones are not (the IANA special-purpose registries, as ``ipaddress`` knows them)."""
    site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local  # fec0::/10, RFC 3879
    return address.is_global and not (address.is_multicast or address.is_reserved or site_local)


def _plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for (mapped, 6to4, NAT64), else the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xffffffff)
        if inner is not None:
            return inner
    return address
