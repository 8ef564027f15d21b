"""One HTTP request after another until there is an answer that is no redirect."""

from __future__ import annotations

import base64
import dataclasses
import http.client
import re
import ssl
import urllib.parse
import urllib.request
from collections.abc import Callable, Collection, Mapping

from glancelike import errors
from glancelike.network.addresses import AddressGuard
from glancelike.network.failures import Failures
from glancelike.network.wire import Patience, Wire

_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAY_PASS = frozenset({408, 425, 429, 500, 502, 503, 504})
_LENGTH_DIGITS = 18  # more than any file has, and short enough to be read as a number
_PORTS = {'http': 80, 'https': 443}
_NOT_IN_URLS = re.compile(r'[^\x21-\x7e]')  # blanks, control characters, anything that should be %-coded
_PROXY = re.compile(r'(?:http://)?(?:(?P<user>[^@/]*)@)?(?P<host>\[[^\]]+\]|[^:/@]+)(?::(?P<port>\d{1,5}))?/?')


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart.

    :ivar host: lower-cased, an IPv6 address without brackets
    :ivar named_port: the port that the URL names, or None
    :ivar path: path and query, as the request line has them
    :ivar authorization: value of the Authorization header, or None
    """

    scheme: str
    host: str
    named_port: int | None
    path: str
    authorization: str | None = dataclasses.field(repr=False, default=None)

    @property
    def port(self) -> int:
        return self.named_port or _PORTS[self.scheme]

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def url_host(self) -> str:
        return f'[{self.host}]' if ':' in self.host else self.host

    @classmethod
    def of(cls, url: str, failures: Failures) -> Target:
        """The URL's parts.

        :raises: ``failures.bad``: malformed, or neither http nor https
        """
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port
        except ValueError:
            raise failures.bad('it is malformed') from None
        if _NOT_IN_URLS.search(url) or parts.scheme not in _PORTS or not parts.hostname or port == 0:
            raise failures.bad('it is malformed')
        authorization = None
        if parts.username is not None:
            secret = ':'.join(urllib.parse.unquote(part or '') for part in (parts.username, parts.password))
            authorization = basic(secret)
        path = (parts.path or '/') + (f'?{parts.query}' if parts.query else '')
        return cls(parts.scheme, parts.hostname, port, path, authorization)


def basic(secret: str) -> str:
    """The Authorization header for ``user:password``."""
    return 'Basic ' + base64.b64encode(secret.encode()).decode()


class Answer:
    """An answer whose body was not read yet; ``close`` it."""

    def __init__(self, response: http.client.HTTPResponse, connection: _Connection, failures: Failures):
        self._response = response
        self._connection = connection
        self._failures = failures
        length = self.header('Content-Length')
        if len(length) > _LENGTH_DIGITS:
            raise failures.bad('its server announces a length that no file has')
        self._promised = int(length) if length.isdecimal() and not response.chunked else None
        connection.wire.begin_body()

    def header(self, name: str) -> str:
        return self._response.getheader(name) or ''

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def length(self) -> int | None:
        """Bytes of the body that are still to come, where the head has told it."""
        return self._promised

    def read(self, size: int) -> bytes:
        """What has come of the body, at most *size* bytes; empty at its end.

        :raises: ``failures.unavailable``: the connection broke before
        """
        try:
            piece = self._response.read1(size)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise self._failures.unavailable(_what_broke(error)) from error
        if self._promised is not None:
            self._promised -= len(piece)
            if not piece and self._promised:
                raise self._failures.unavailable('the server broke off')
        return piece

    def close(self) -> None:
        self._response.close()
        self._connection.close()


class Proxies:
    """Which requests go through a proxy.

    :param by_scheme: ``host:port`` or ``http://user:password@host:port`` by URL scheme
    :param source: what the operator calls them, for errors
    :param default_port: of an entry that has none; 0: each must have one
    :param bypassed: is a host (with its port) asked directly?
    :raises ConfigurationError: an entry is something else
    """

    def __init__(self, by_scheme: Mapping[str, str], source: str, default_port: int = 0,
                 bypassed: Callable[[str], bool] = lambda _host: False):
        self._bypassed = bypassed
        self._by_scheme: dict[str, tuple[str, int, str | None]] = {}
        for scheme, text in by_scheme.items():
            found = _PROXY.fullmatch(text)
            port = int(found['port'] or default_port) if found else 0
            if scheme not in _PORTS or not 0 < port < 2**16:
                raise errors.ConfigurationError(
                    reason=f'{source}: the proxy for {scheme} must be host:port, for http or https')
            user = found['user']
            self._by_scheme[scheme] = (found['host'].strip('[]'), port,
                                       None if user is None else basic(urllib.parse.unquote(user)))

    @classmethod
    def of_environment(cls) -> Proxies:
        """What ``http_proxy``, ``https_proxy`` and ``no_proxy`` say, in lower case or upper case."""
        found = urllib.request.getproxies_environment()
        return cls({scheme: found[scheme] for scheme in _PORTS if scheme in found},
                   'environment (http_proxy, https_proxy)', _PORTS['http'],
                   lambda host: bool(urllib.request.proxy_bypass_environment(host, found)))

    def of(self, target: Target) -> tuple[str, int, str | None] | None:
        """Host, port and Authorization of the proxy; None: there is none for that target."""
        if target.scheme not in self._by_scheme or self._bypassed(f'{target.url_host}:{target.port}'):
            return None
        return self._by_scheme[target.scheme]


class Requests:
    """Makes requests, and follows redirects as far as they are allowed.

    :param permit: called with the target of each hop, the first included; raises where it may not be asked
    :param redirect_ports: where redirects may lead, beside the port of the URL itself; None: to any port
    """

    def __init__(self, failures: Failures, guard: AddressGuard, tls: ssl.SSLContext, proxies: Proxies,
                 permit: Callable[[Target], None] = lambda _target: None,
                 redirect_ports: Collection[int] | None = None):
        self.failures = failures
        self._guard = guard
        self._tls = tls
        self._proxies = proxies
        self._permit = permit
        self._redirect_ports = redirect_ports

    def send(self, method: str, url: str, patience: Patience, headers: Mapping[str, str] | None = None,
             secrets: Mapping[str, str] | None = None) -> Answer:
        """The first answer that is no redirect, whatever its status. Each hop's address is checked.

        :param secrets: more headers, for the origin that *url* names and for no other
        :raises: ``failures.bad``: malformed, not allowed, too many redirects, untrusted certificate;
            ``failures.unavailable``: no connection, a broken answer
        """
        target = first = Target.of(url, self.failures)
        for _ in range(1 + _MOST_REDIRECTS):
            self._permit(target)
            more = secrets if target.origin == first.origin else None
            answer = self._send_once(method, target, {**(headers or {}), **(more or {})}, patience)
            location = answer.header('Location')
            if answer.status not in _REDIRECTS or not location:
                return answer
            answer.close()
            target = self._redirected(target, location)
            if self._redirect_ports is not None and target.port not in (first.port, *self._redirect_ports):
                raise self.failures.bad('it redirects to a port that is not allowed')
        raise self.failures.bad(f'there are more than {_MOST_REDIRECTS} redirects')

    def _redirected(self, target: Target, location: str) -> Target:
        here = f'{target.scheme}://{target.url_host}' + (f':{target.named_port}' if target.named_port else '')
        try:
            url = urllib.parse.urljoin(here + target.path, location)
        except ValueError:
            raise self.failures.bad('it redirects to a malformed place') from None
        new = Target.of(url, self.failures)
        if target.scheme == 'https' and new.scheme == 'http':
            raise self.failures.bad('it redirects from https to http')
        if new.origin == target.origin and new.authorization is None:
            new = dataclasses.replace(new, authorization=target.authorization)
        return new

    def _send_once(self, method: str, target: Target, headers: Mapping[str, str], patience: Patience) -> Answer:
        own = {'User-Agent': 'glancelike', 'Accept-Encoding': 'identity', 'Connection': 'close'}
        if target.authorization:
            own['Authorization'] = target.authorization
        connection, path = self._connection(target, own, patience)
        try:
            connection.request(method, path, headers={**own, **headers})
            return Answer(connection.getresponse(), connection, self.failures)
        except ssl.SSLCertVerificationError as error:
            connection.close()
            raise self.failures.bad('the certificate of its server is not trusted') from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self.failures.unavailable(_what_broke(error)) from error
        except BaseException:
            connection.close()
            raise

    def _connection(self, target: Target, own: dict[str, str], patience: Patience) -> tuple[_Connection, str]:
        """A connection, not opened yet, and what to ask for on it."""
        proxy = self._proxies.of(target)
        if proxy is None:
            addresses = self._guard.addresses(target.host, target.port)
            return _Connection(target, addresses, target.port, patience, self._tls), target.path
        self._guard.check_behind_proxy(target.host, target.port)
        host, port, authorization = proxy
        proxy_headers = {} if authorization is None else {'Proxy-Authorization': authorization}
        addresses = AddressGuard(self.failures, allow_all=True).addresses(host, port)
        connection = _Connection(target, addresses, port, patience, self._tls)
        if target.scheme == 'http':
            own.update(proxy_headers)
            return connection, f'http://{target.url_host}:{target.port}{target.path}'
        connection.set_tunnel(target.host, target.port, proxy_headers)
        return connection, target.path


class _Connection(http.client.HTTPConnection):
    """Goes to the addresses that were checked, whatever the name resolves to by now."""

    def __init__(self, target: Target, addresses: list[str], port: int, patience: Patience, tls: ssl.SSLContext):
        super().__init__(target.host, target.port)
        self.default_port = _PORTS[target.scheme]  # or the Host header would name port 443
        self._target = target
        self._addresses = addresses
        self._connect_port = port
        self._patience = patience
        self._tls = tls

    def connect(self) -> None:
        self.wire = self.sock = Wire(self._addresses, self._connect_port, self._patience)
        if self._tunnel_host:
            self._tunnel()
        if self._target.scheme == 'https':
            self.wire.start_tls(self._tls, self._target.host)


def judge(answer: Answer, failures: Failures) -> errors.GlanceError:
    """The error that an answer of this status is, where another one was wanted."""
    status = answer.status
    if status in _MAY_PASS:
        after = answer.header('Retry-After')
        return failures.unavailable(f'the server answered with status {status}',
                                    retry_after=int(after) if after.isdecimal() and len(after) < 6 else 0)
    what = {401: 'the server refuses access', 403: 'the server refuses access', 404: 'it does not exist',
            410: 'it does not exist any more'}.get(status, 'the server does not give it')
    return failures.bad(f'{what} (status {status})')


def tls_context(certificates_file: str | None, option: str) -> ssl.SSLContext:
    """What https servers are held to: the certificates of that PEM file, or of the operating system.

    :raises ConfigurationError: the file cannot be used; names *option*
    """
    try:
        return ssl.create_default_context(cafile=certificates_file)
    except (OSError, ssl.SSLError) as error:
        raise errors.ConfigurationError(reason=f'{option}: {certificates_file} cannot be used: {error}') from error


def _what_broke(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return 'the server takes too long'
    if isinstance(error, ConnectionError):
        return 'the connection was refused or broke'
    if isinstance(error, http.client.HTTPException | ValueError):
        return 'the server broke off, or does not speak HTTP'
    return 'there is no connection to the server'
