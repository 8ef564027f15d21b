"""Which URIs may be downloaded: Glance's filter, and the guard against our own network.

At each of three levels (scheme, host, port) a list of what is allowed, if there is one, decides alone; else what is
on the list of what is not allowed is refused. A port is looked at only where the URI names it. Besides that no URI
leads to a non-public address, except to a host that ``allowed_hosts`` names or a network in ``allowed_networks``.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg

from glancelike.plugin import errors, network

_MOST_CHARACTERS = 4096
_READABLE = ('http', 'https')

RULE_OPTIONS = (
    cfg.ListOpt('allowed_schemes', default=['http', 'https'], bounds=False, help="""
URL schemes that web-download may use; of ``http`` and ``https``, others cannot be read. Brackets round this list and
the following ones are understood."""),
    cfg.ListOpt('disallowed_schemes', default=[], bounds=False, help="""
URL schemes that web-download may not use. Not looked at where ``allowed_schemes`` is set, as it is by default."""),
    cfg.ListOpt('allowed_hosts', default=[], bounds=False, help="""
The only hosts that web-download may ask, by the name or address that the URI has. They may be on any network, loopback
and private ones too. Empty: all hosts at public addresses."""),
    cfg.ListOpt('disallowed_hosts', default=[], bounds=False, help="""
Hosts that web-download may not ask: names, and addresses or networks, which are refused under every name. Not looked at
where ``allowed_hosts`` is set."""),
    cfg.ListOpt('allowed_ports', default=['80', '443'], bounds=False, help="""
The only ports that a URI of web-download may name. One that names none has its scheme's port and is not looked at."""),
    cfg.ListOpt('disallowed_ports', default=[], bounds=False, help="""
Ports that a URI of web-download may not name. Not looked at where ``allowed_ports`` is set, as it is by default."""),
    cfg.ListOpt('allowed_networks', default=[], bounds=False, help="""
Networks (10.1.0.0/16) that web-download may reach although they are loopback, private, link-local or otherwise not
public: that of a mirror, for instance. Every user who may import can then read what hosts there serve."""),
)


class Rules:
    """The filter of one process.

    :param options: values of RULE_OPTIONS
    :raises ConfigurationError: an entry of a list cannot be
    """

    def __init__(self, options: Any, failures: network.Failures):
        self._failures = failures
        self._schemes = [_entries(options.allowed_schemes), _entries(options.disallowed_schemes)]
        self._hosts = [_entries(options.allowed_hosts), _entries(options.disallowed_hosts)]
        self._ports = [_ports('allowed_ports', options.allowed_ports),
                       _ports('disallowed_ports', options.disallowed_ports)]
        allowed, denied = self._hosts
        networks = _entries(options.allowed_networks)
        if not all(map(network.network_of, networks)):
            raise errors.ConfigurationError(reason=f'[import_filtering_opts] allowed_networks: {", ".join(networks)}: '
                                                   'these are not all networks like 10.1.0.0/16')
        self.guard = network.AddressGuard(
            failures, allowed=[*allowed, *networks], option='[import_filtering_opts] allowed_hosts',
            denied=[] if allowed else filter(None, map(network.network_of, denied)))

    @property
    def schemes(self) -> list[str]:
        """What may be used, of what can be read."""
        return [scheme for scheme in _READABLE if _passes(scheme, self._schemes)]

    def check(self, uri: str) -> None:
        """May a user ask for it? Looks at the text only.

        :raises BadSource: no, or it is malformed
        """
        try:
            parts = urllib.parse.urlsplit(uri)
        except ValueError:
            raise self._failures.bad('uri: it is malformed') from None
        if len(uri) > _MOST_CHARACTERS:
            raise self._failures.bad(f'uri: it has more than {_MOST_CHARACTERS} characters')
        if not parts.scheme or not parts.netloc:
            raise self._failures.bad('uri: it must begin with a scheme and a host, as http://host/path')
        if '@' in parts.netloc:
            raise self._failures.bad(
                'uri: it must not carry user and password, which would be stored and shown; name credentials that '
                'the operator of this service keeps, with "credentials"')
        if parts.scheme not in self.schemes:
            raise self._failures.bad(f'uri: its scheme must be one of: {", ".join(self.schemes) or "none"}')
        target = network.Target.of(uri, _Named())
        refusal = self._refusal(target)
        if refusal or self.guard.refuses(target.host):
            raise self._failures.bad('uri: ' + (refusal or 'its host is on a network that this service may not reach '
                                                           'for users'))

    def permit(self, target: network.Target) -> None:
        """Before each request, redirects included. :raises BadSource: it may not be made"""
        refusal = self._refusal(target)
        if refusal:
            raise self._failures.bad(refusal)

    def _refusal(self, target: network.Target) -> str | None:
        if not _passes(target.scheme, self._schemes):
            return f'the scheme {target.scheme} is not allowed here'
        if not _passes(target.host.rstrip('.'), self._hosts):
            return 'its host is not allowed here'
        if target.named_port is not None and not _passes(target.named_port, self._ports):
            return f'port {target.named_port} is not allowed here'
        return None


class _Named(network.Failures):
    """Errors that name the field of the request."""

    def bad(self, reason: str) -> errors.GlanceError:
        return super().bad(f'uri: {reason}')


def _passes(value: Any, lists: Sequence[Sequence[Any]]) -> bool:
    allowed, denied = lists
    return value in allowed if allowed else value not in denied


def _entries(texts: Sequence[str]) -> list[str]:
    """The entries of a list, which may have brackets round all and quotes round each."""
    found = (text.strip().strip('[]').strip().strip('\'"').lower().rstrip('.') for text in texts)
    return [text for text in found if text]


def _ports(option: str, texts: Sequence[str]) -> list[int]:
    entries = _entries(texts)
    for entry in entries:
        if not entry.isdecimal() or not 0 < int(entry) < 2**16:
            raise errors.ConfigurationError(reason=f'[import_filtering_opts] {option}: {entry} is no port')
    return [int(entry) for entry in entries]
