"""To which network addresses a request may go: the guard against server-side request forgery.

A user names the URL, this service makes the connection, so a URL must not become a way to the service's own
network. A host name proves nothing (``0x7f.1``, a name that resolves to 10.0.0.1, a name that resolves to
something else the second time); so the resolved addresses are checked, and the connection is made to exactly
an address that was checked.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from glancelike.plugin import errors

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network('64:ff9b::/96')  # RFC 6052: the last 32 bits are an IPv4 address


class AddressGuard:
    """Resolves host names to the addresses that may be used.

    :param store_id: for errors
    :param allow_private: every address is allowed
    :param allowed: host names (compared without case) and networks that are allowed wherever they are
    :raises ConfigurationError: an entry of *allowed* is neither
    """

    def __init__(self, store_id: str, allow_private: bool, allowed: Sequence[str]):
        self._store_id = store_id
        self._allow_all = allow_private
        self._networks: list[Network] = []
        self._hosts: set[str] = set()
        for entry in allowed:
            try:
                self._networks.append(ipaddress.ip_network(entry.strip('[]'), strict=False))
            except ValueError:
                if not entry or '/' in entry or ':' in entry:
                    raise errors.ConfigurationError(
                        reason=f'http_store_allowed_hosts: {entry!r} is neither a host name nor a network') from None
                self._hosts.add(entry.lower())

    def addresses(self, host: str, port: int) -> list[str]:
        """The host's addresses to which we may connect, in the resolver's order; at least one.

        :raises BadStoreUrl: none of them is allowed
        :raises StoreUnavailable: the name does not resolve now
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise errors.StoreUnavailable(store=self._store_id) from error
        allowed = [entry[4][0] for entry in found if self._is_allowed(host, entry[4][0])]
        if not allowed:
            self.refuse()
        return list(dict.fromkeys(allowed))

    def check_behind_proxy(self, host: str, port: int) -> None:
        """As ``addresses``, for a host to which a proxy connects: a name that only the proxy knows passes."""
        try:
            self.addresses(host, port)
        except errors.StoreUnavailable:
            pass

    def refuse(self) -> None:
        raise errors.BadStoreUrl(
            f'Store {self._store_id}: the location is on a network that this service may not reach for users.',
            store=self._store_id)

    def _is_allowed(self, host: str, text: str) -> bool:
        address = _plain(ipaddress.ip_address(text.partition('%')[0]))
        return (self._allow_all or is_public(address) or host.lower() in self._hosts
                or any(address in network for network in self._networks))


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
