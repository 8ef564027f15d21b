"""One HTTP request after another until there is an answer that is no redirect."""

from __future__ import annotations

import base64
import dataclasses
import http.client
import re
import socket
import ssl
import urllib.parse
from collections.abc import Mapping

from glancelike.plugin import errors

from .addresses import AddressGuard

_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GATEWAY_TROUBLE = frozenset({502, 503, 504})
_PORTS = {'http': 80, 'https': 443}
_NOT_IN_URLS = re.compile(r'[^\x21-\x7e]')  # blanks, control characters, anything that should be %-coded


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart.

    :ivar path: path and query, as the request line has them
    :ivar authorization: value of the Authorization header, or None
    """

    scheme: str
    host: str
    port: int
    path: str
    authorization: str | None = dataclasses.field(repr=False, default=None)

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """An answer whose body was not read yet; ``close`` it."""

    response: http.client.HTTPResponse
    connection: http.client.HTTPConnection

    def header(self, name: str) -> str:
        return self.response.getheader(name) or ''

    @property
    def status(self) -> int:
        return self.response.status

    def close(self) -> None:
        self.response.close()
        self.connection.close()


class Requests:
    """Makes the requests of one store.

    :param proxies: ``host:port`` of a proxy by URL scheme
    :param timeout_seconds: for connecting, and for each wait for bytes
    :param tls: None where no https is possible
    """

    def __init__(self, store_id: str, guard: AddressGuard, tls: ssl.SSLContext, proxies: Mapping[str, str],
                 timeout_seconds: int):
        self._store_id = store_id
        self._guard = guard
        self._tls = tls
        self._proxies = proxies
        self._timeout_seconds = timeout_seconds

    def send(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """The first answer that is no redirect; its status is below 400 or one of 403, 405, 416, 501.

        Each hop's address is checked; credentials go to the origin that the URL names, to no other.

        :raises BadStoreUrl: malformed, not allowed, too many redirects, an error status, untrusted certificate
        :raises ObjectNotFound: 404, 410
        :raises StoreUnavailable: no connection, a broken answer, 502, 503, 504
        """
        target = self.target(url)
        for _ in range(1 + _MOST_REDIRECTS):
            answer = self._send_once(method, target, headers or {})
            if answer.status in _REDIRECTS and answer.header('Location'):
                location = answer.header('Location')
                answer.close()
                target = self._redirected(target, location)
                continue
            if answer.status < 300 or answer.status in (403, 405, 416, 501):
                return answer
            answer.close()
            if answer.status in (404, 410):
                raise errors.ObjectNotFound(store=self._store_id)
            if answer.status in _GATEWAY_TROUBLE:
                raise errors.StoreUnavailable(store=self._store_id)
            raise self.bad(f'the server answered with status {answer.status}')
        raise self.bad(f'there are more than {_MOST_REDIRECTS} redirects')

    def target(self, url: str) -> Target:
        """The URL's parts. :raises BadStoreUrl: malformed, or neither http nor https"""
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port
        except ValueError:
            raise self.bad('it is malformed') from None
        if _NOT_IN_URLS.search(url) or parts.scheme not in _PORTS or not parts.hostname or port == 0:
            raise self.bad('it is malformed')
        authorization = None
        if parts.username is not None:
            secret = ':'.join(urllib.parse.unquote(part or '') for part in (parts.username, parts.password))
            authorization = 'Basic ' + base64.b64encode(secret.encode()).decode()
        path = (parts.path or '/') + (f'?{parts.query}' if parts.query else '')
        return Target(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], path, authorization)

    def bad(self, reason: str) -> errors.BadStoreUrl:
        return errors.BadStoreUrl(f'Store {self._store_id} cannot use the location: {reason}.', store=self._store_id)

    def _redirected(self, target: Target, location: str) -> Target:
        host = f'[{target.host}]' if ':' in target.host else target.host
        new = self.target(urllib.parse.urljoin(f'{target.scheme}://{host}:{target.port}{target.path}', location))
        if target.scheme == 'https' and new.scheme == 'http':
            raise self.bad('it redirects from https to http')
        if new.origin == target.origin and new.authorization is None:
            new = dataclasses.replace(new, authorization=target.authorization)
        return new

    def _send_once(self, method: str, target: Target, headers: Mapping[str, str]) -> Answer:
        connection, path = self._connection(target)
        own = {'User-Agent': 'glancelike', 'Accept-Encoding': 'identity', 'Connection': 'close'}
        if target.authorization:
            own['Authorization'] = target.authorization
        try:
            connection.request(method, path, headers={**own, **headers})
            return Answer(connection.getresponse(), connection)
        except ssl.SSLCertVerificationError as error:
            connection.close()
            raise self.bad('the certificate of its server is not trusted') from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise errors.StoreUnavailable(store=self._store_id) from error
        except BaseException:
            connection.close()
            raise

    def _connection(self, target: Target) -> tuple[http.client.HTTPConnection, str]:
        """A connection, not opened yet, and what to ask for on it."""
        proxy = self._proxies.get(target.scheme)
        if proxy is None:
            addresses = self._guard.addresses(target.host, target.port)
            return _PinnedConnection(target, addresses, self._timeout_seconds, self._tls), target.path
        self._guard.check_behind_proxy(target.host, target.port)
        host = f'[{target.host}]' if ':' in target.host else target.host
        if target.scheme == 'http':
            return (http.client.HTTPConnection(proxy, timeout=self._timeout_seconds),
                    f'http://{host}:{target.port}{target.path}')
        through = http.client.HTTPSConnection(proxy, timeout=self._timeout_seconds, context=self._tls)
        through.set_tunnel(target.host, target.port)
        return through, target.path


class _PinnedConnection(http.client.HTTPConnection):
    """Goes to the addresses that were checked, whatever the name resolves to by now."""

    def __init__(self, target: Target, addresses: list[str], timeout_seconds: int, tls: ssl.SSLContext):
        super().__init__(target.host, target.port, timeout=timeout_seconds)
        self.default_port = _PORTS[target.scheme]  # or the Host header would name port 443
        self._addresses = addresses
        self._tls = tls if target.scheme == 'https' else None

    def connect(self) -> None:
        for left, address in zip(range(len(self._addresses) - 1, -1, -1), self._addresses, strict=True):
            try:
                self.sock = socket.create_connection((address, self.port), self.timeout)
                break
            except OSError:
                if not left:
                    raise
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)
