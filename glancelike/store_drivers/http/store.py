"""Images on web servers: read-only, whole or in ranges.

What the operator should know:

* Users name the URLs (where locations are allowed at all). A connection is made to public addresses only,
  unless ``http_store_allow_private`` or ``http_store_allowed_hosts`` says otherwise; redirects, at most 5,
  are checked in the same way.
* TLS certificates are verified. Glance's ``https_insecure`` is true where it is not set; ours is false.
* A URL may carry ``user:password@``; it is sent as HTTP Basic authentication to that server and shown nowhere.
* A server that ignores Range requests is read from its beginning when no more than 64 MiB come before the
  wanted bytes, else the range is refused.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

from oslo_config import cfg
from oslo_config import types as cfg_types

from glancelike.plugin import RANDOM_READ, READ, StoreDriver, errors, network

_PIECE_BYTES = 2**20
_MOST_SKIPPED_BYTES = 64 * 2**20
_GATEWAY_TROUBLE = frozenset({502, 503, 504})
_CONTENT_RANGE = re.compile(r'bytes (?:(?P<first>\d{1,18})-(?P<last>\d{1,18})|\*)/(?P<size>\d{1,18}|\*)', re.ASCII)


class HttpStore(StoreDriver):
    """Reads objects by the URL that they have anyway.

    :raises ConfigurationError: a certificate file, a network or a proxy cannot be used
    """

    SCHEMES = ('http', 'https')
    CAPABILITIES = frozenset({READ, RANDOM_READ})
    OPTIONS = (
        cfg.StrOpt('https_ca_certificates_file', help="""
File with the CA certificates (PEM) to which https servers are held; unset: those of the operating system."""),
        cfg.BoolOpt('https_insecure', default=False, help="""
Do not verify the certificates of https servers. (Glance's default is true; here it is false.)"""),
        cfg.DictOpt('http_proxy_information', default={}, help="""
Proxy by URL scheme: ``http:10.0.0.1:3128, https:10.0.0.1:1080``. A host name that only the proxy can resolve is
then not checked here: the proxy must keep requests out of private networks."""),
        cfg.BoolOpt('http_store_allow_private', default=False, help="""
Let locations lead to loopback, private, link-local and other non-public addresses. Any user who may set
locations can then read what this host can reach."""),
        cfg.ListOpt('http_store_allowed_hosts', default=[], help="""
Host names and networks (10.1.0.0/16) that locations may lead to although they are not public."""),
        cfg.ListOpt('http_store_redirect_ports', item_type=cfg_types.Port(), default=[80, 443], help="""
Ports to which a server may redirect, beside the port of the location itself: otherwise a server that a user names could
send this service to any port of the hosts that it may reach. Empty: any."""),
        cfg.IntOpt('http_store_timeout', default=30, min=1, help="""
Seconds to wait for a connection, and for each next byte, before the server counts as not answering."""),
    )

    def __init__(self, store_id: str, options: Any):
        super().__init__(store_id, options)
        self._failures = _Failures(store_id)
        guard = network.AddressGuard(self._failures, allow_all=options.http_store_allow_private,
                                     allowed=options.http_store_allowed_hosts, option='http_store_allowed_hosts')
        proxies = network.Proxies(options.http_proxy_information, 'http_proxy_information')
        self._requests = network.Requests(self._failures, guard, _tls(options), proxies,
                                          redirect_ports=options.http_store_redirect_ports or None)

    @classmethod
    def for_compliance(cls, folder: str, max_bytes: int | None = None) -> Mapping[str, Any] | None:
        return None if max_bytes else {'http_store_allow_private': True, 'http_store_timeout': 5}

    def size(self, url: str) -> int:
        """See the contract. :raises OperationNotSupported: the server does not tell how long the object is"""
        answer = self._send('HEAD', url)
        answer.close()
        if answer.status == 200 and answer.header('Content-Length').isdecimal():
            return int(answer.header('Content-Length'))
        answer = self._send('GET', url, {'Range': 'bytes=0-0'})
        answer.close()
        if answer.status == 200 and answer.header('Content-Length').isdecimal():
            return int(answer.header('Content-Length'))
        found = _CONTENT_RANGE.fullmatch(answer.header('Content-Range'))
        if answer.status in (206, 416) and found and found['size'] != '*':
            return int(found['size'])
        self._refuse(answer)
        raise errors.OperationNotSupported(store=self.id, operation='size: the server does not tell it')

    def get(self, url: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See the contract.

        :raises OperationNotSupported: the server ignores ranges and the wanted bytes are far from the beginning
        """
        if length == 0:
            self._send('HEAD', url).close()
            return iter(())
        if offset == 0 and length is None:
            answer = self._send('GET', url)
            return self._body(answer, 0, None)
        last = '' if length is None else offset + length - 1
        answer = self._send('GET', url, {'Range': f'bytes={offset}-{last}'})
        if answer.status == 416:
            answer.close()
            return iter(())
        if answer.status == 206:
            return self._part(answer, offset, length)
        told = answer.header('Content-Length')
        if answer.status == 200 and told.isdecimal() and int(told) <= offset:
            answer.close()
            return iter(())
        if answer.status == 200 and offset > _MOST_SKIPPED_BYTES:
            answer.close()
            raise errors.OperationNotSupported(store=self.id, operation='ranges of this server')
        return self._body(answer, offset, length)

    def _send(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> network.Answer:
        """The answer; its status is below 300 or one of 403, 405, 416, 501.

        :raises ObjectNotFound: 404, 410
        :raises StoreUnavailable: no connection, a broken answer, 502, 503, 504
        :raises BadStoreUrl: malformed, not allowed, too many redirects, untrusted certificate, another status
        """
        answer = self._requests.send(method, url, network.Patience(self.options.http_store_timeout), headers)
        if answer.status < 300 or answer.status in (403, 405, 416, 501):
            return answer
        answer.close()
        if answer.status in (404, 410):
            raise errors.ObjectNotFound(store=self.id)
        if answer.status in _GATEWAY_TROUBLE:
            raise errors.StoreUnavailable(store=self.id)
        raise self._failures.bad(f'the server answered with status {answer.status}')

    def _body(self, answer: network.Answer, skip: int, wanted: int | None) -> Iterator[bytes]:
        """The body of a 200 without its first *skip* bytes, *wanted* bytes of it at most."""
        if answer.status != 200:
            answer.close()
            self._refuse(answer)
            raise self._failures.bad(f'the server answered with status {answer.status}')
        pieces = _Pieces(self.id, answer, wanted)
        try:
            pieces.skip(skip)
        except BaseException:
            pieces.close()
            raise
        return pieces

    def _part(self, answer: network.Answer, offset: int, length: int | None) -> Iterator[bytes]:
        """The body of a 206, if it is the part that was asked for."""
        found = _CONTENT_RANGE.fullmatch(answer.header('Content-Range'))
        if (not found or found['first'] is None or int(found['first']) != offset or int(found['last']) < offset
                or (length is not None and int(found['last']) > offset + length - 1)):
            answer.close()
            raise errors.StoreError(store=self.id, reason='the server sent another range than it was asked for')
        return _Pieces(self.id, answer, int(found['last']) - offset + 1, exactly=True)

    def _refuse(self, answer: network.Answer) -> None:
        if answer.status >= 400:
            raise self._failures.bad(f'the server answered with status {answer.status}')


class _Pieces:
    """The bytes of an answer's body; owns the connection.

    :param wanted: give no more than that; None: everything
    :param exactly: fewer than *wanted* mean that the connection broke
    """

    def __init__(self, store_id: str, answer: network.Answer, wanted: int | None, *, exactly: bool = False):
        self._store_id = store_id
        self._answer: network.Answer | None = answer
        self._wanted = wanted
        self._exactly = exactly

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = self._read(_PIECE_BYTES if self._wanted is None else min(_PIECE_BYTES, self._wanted))
        if self._wanted is not None:
            self._wanted -= len(piece)
        if not piece:
            self.close()
            raise StopIteration
        return piece

    def skip(self, size: int) -> None:
        while size and (piece := self._read(min(size, _PIECE_BYTES))):
            size -= len(piece)

    def _read(self, size: int) -> bytes:
        if self._answer is None or not size:
            return b''
        piece = self._answer.read(size)
        if not piece and self._exactly and self._wanted:
            raise errors.StoreUnavailable('Store %s: the server broke off.' % self._store_id, store=self._store_id)
        return piece

    def close(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()

    __del__ = close


class _Failures(network.Failures):
    """The errors of the store contract."""

    def __init__(self, store_id: str):
        self._store_id = store_id

    def bad(self, reason: str) -> errors.GlanceError:
        return errors.BadStoreUrl(f'Store {self._store_id} cannot use the location: {reason}.', store=self._store_id)

    def unavailable(self, reason: str, retry_after: float = 0) -> errors.GlanceError:
        return errors.StoreUnavailable(store=self._store_id)


def _tls(options: Any) -> ssl.SSLContext:
    context = network.tls_context(options.https_ca_certificates_file, 'https_ca_certificates_file')
    if options.https_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
