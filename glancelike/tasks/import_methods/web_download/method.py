"""The method: what is in a request for it, and the way from the URI to the bytes.

What the operator should know:

* Users name the URIs. The filter of ``[import_filtering_opts]`` is applied to them and to each redirect, and a
  connection is made to an address that was checked, public unless allowed otherwise. At most 5 redirects, none from
  https to http.
* Certificates are verified. ``http_proxy``, ``https_proxy`` and ``no_proxy`` of the environment are kept to; a name
  that only the proxy can resolve is not checked here, so the proxy must keep requests out of private networks.
* A broken download is taken up again where it broke; see ``glancelike/network/download.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

from oslo_config import cfg

from glancelike.plugin import Content, ImportJob, ImportMethod, RequestContext, errors, network

from .credentials import Credentials
from .rules import RULE_OPTIONS, Rules

_KNOWN = ('name', 'uri', 'checksum', 'credentials')
#: Algorithms that every Python has, so that each machine can go on with the import; shake has no length of its own.
_ALGORITHMS = tuple(sorted(name for name in hashlib.algorithms_guaranteed if not name.startswith('shake')))


class WebDownload(ImportMethod):
    """The file that a URI names.

    The request's ``method`` has ``uri``, and may have ``checksum`` (``ALGORITHM:HEX``, as the publisher gives it) and
    ``credentials`` (a name in the operator's file).

    :raises ConfigurationError: a list, a proxy, a certificate file or the credentials file cannot be used
    """

    OPTION_GROUP: ClassVar[str] = 'import_filtering_opts'
    OPTIONS = (
        *RULE_OPTIONS,
        cfg.StrOpt('web_download_credentials_file', help="""
File with credentials that users may name in an import (``"credentials": "NAME"``) and never see. A section for each
name: ``hosts`` to which they are sent, then ``user`` and ``password``, or ``token``, or ``header`` and ``value``; if
you want ``projects`` (the ids of those that may use them) and ``allow_http = true``."""),
        *network.DOWNLOAD_OPTIONS,
    )

    def __init__(self, options: Any):
        super().__init__(options)
        failures = network.Failures()
        self._rules = Rules(options, failures)
        self._credentials = Credentials(options.web_download_credentials_file)
        tls = network.tls_context(options.download_ca_certificates_file,
                                  '[import_filtering_opts] download_ca_certificates_file')
        self._requests = network.Requests(failures, self._rules.guard, tls, network.Proxies.of_environment(),
                                          self._rules.permit)

    def check(self, ctx: RequestContext, method: Mapping[str, Any]) -> Mapping[str, Any]:
        """See the contract. The credentials are looked up in the operator's file, and only their name is kept."""
        unknown = sorted(key[:64] for key in method if key not in _KNOWN)
        if unknown:
            raise errors.Invalid(reason=f'method: {", ".join(unknown)}: web-download knows {", ".join(_KNOWN)} only')
        uri = method.get('uri')
        if not isinstance(uri, str) or not uri:
            raise errors.Invalid(reason='uri: web-download needs the URI of a file')
        self._rules.check(uri)
        found = {'uri': uri}
        if method.get('checksum') is not None:
            found['checksum'] = ':'.join(_digest(method['checksum']))
        name = method.get('credentials')
        if name is not None:
            if not isinstance(name, str):
                raise errors.Invalid(reason='credentials: they are named by a text')
            self._credentials.headers(name, ctx.project_id, uri)
            found['credentials'] = name
        return found

    def open(self, job: ImportJob) -> Content:
        """See the contract.

        :raises BadSource: also where the named credentials are not there any more
        """
        uri, name = job.input['uri'], job.input.get('credentials')
        checksum = job.input.get('checksum')
        download = network.Download(
            self._requests, uri, job, network.Limits.of(self.options),
            secrets=None if name is None else self._secrets(job, name, uri),
            digest=None if checksum is None else _digest(checksum))
        download.start()
        return Content(chunks=download.chunks(), size=download.size)

    def _secrets(self, job: ImportJob, name: str, uri: str) -> Mapping[str, str]:
        try:
            return self._credentials.headers(name, job.caller.project_id, uri)
        except errors.Invalid as error:
            raise errors.BadSource(reason=str(error)) from None

    @classmethod
    def for_compliance(cls, folder: str) -> Mapping[str, Any]:
        """See ImportMethod.for_compliance."""
        return {'allowed_networks': ['127.0.0.0/8'], 'allowed_ports': [], 'download_timeout': 1,
                'download_retries': 1, 'download_longest_pause': 0}

    def facts(self) -> Mapping[str, Any]:
        """Schemes and checksums that can be used, and whether there are named credentials."""
        return {'schemes': self._rules.schemes, 'checksums': list(_ALGORITHMS),
                'credentials': self.options.web_download_credentials_file is not None}


def _digest(checksum: Any) -> tuple[str, str]:
    """Algorithm and hex digest. :raises Invalid: it is no such thing"""
    algorithm, colon, digest = checksum.partition(':') if isinstance(checksum, str) else ('', '', '')
    algorithm, digest = algorithm.lower(), digest.lower()
    if not colon or algorithm not in _ALGORITHMS:
        raise errors.Invalid(reason='checksum: it must be ALGORITHM:HEX, with one of ' + ', '.join(_ALGORITHMS))
    wanted = 2 * hashlib.new(algorithm, usedforsecurity=False).digest_size
    if len(digest) != wanted or set(digest) - set('0123456789abcdef'):
        raise errors.Invalid(reason=f'checksum: {algorithm} is {wanted} hexadecimal digits')
    return algorithm, digest
