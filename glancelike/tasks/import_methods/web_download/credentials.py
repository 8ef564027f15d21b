"""Credentials that the operator keeps for web servers, and users name.

::

    [vendor]
    hosts = images.vendor.example, mirror.vendor.example:8443
    user = cloud
    password = secret

    [registry]
    hosts = files.example.org
    token = secret
    projects = 3fe0a5d0c8c04b46a3ad4ed0a4a2b0f1

    [lab]
    hosts = lab.internal
    header = X-Api-Key
    value = secret
    allow_http = true

``token`` is sent as ``Authorization: Bearer``. ``projects`` are the ids of those that may use it; without it all may.
The file is read anew for each import, so that a password can be changed while the service runs.
"""

from __future__ import annotations

import base64
import configparser
import dataclasses
import logging
import os
import re
from collections.abc import Mapping

from glancelike.plugin import errors, network

LOG = logging.getLogger(__name__)

_MOST_BYTES = 2**20
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2
_VALUE = re.compile(r'[\x20-\x7e]+')
_KEYS = frozenset({'hosts', 'user', 'password', 'token', 'header', 'value', 'projects', 'allow_http'})
_KINDS = (frozenset({'user', 'password'}), frozenset({'token'}), frozenset({'header', 'value'}))


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the file.

    :ivar hosts: lower-cased ``host`` (any port) or ``host:port``
    :ivar projects: who may use it; empty: all
    """

    hosts: frozenset[str]
    projects: frozenset[str]
    allow_http: bool
    headers: Mapping[str, str] = dataclasses.field(repr=False)

    def is_for(self, target: network.Target) -> bool:
        return bool(self.hosts & {target.url_host, f'{target.url_host}:{target.port}'})


class Credentials:
    """The file of named credentials.

    :param path: None where there is none
    :raises ConfigurationError: it cannot be read or has an entry that cannot be; nothing of its values is told
    """

    def __init__(self, path: str | None):
        self._path = path
        self._entries()

    def headers(self, name: str, project_id: str | None, uri: str) -> Mapping[str, str]:
        """The headers to send to the host of *uri*.

        :raises Invalid: the project has no such credentials, or they are not for that host
        :raises SourceUnavailable: the file cannot be used any more; the log says why
        """
        try:
            entry = self._entries().get(name)
        except errors.ConfigurationError as error:  # it names a file of the operator's: nothing for users
            LOG.error('%s', error)
            raise errors.SourceUnavailable(reason='the credentials cannot be read at the moment') from error
        if entry is None or (entry.projects and project_id not in entry.projects):
            raise errors.Invalid(reason=f"credentials: there are no credentials '{name[:64]}' that you may use")
        target = network.Target.of(uri, network.Failures())
        if not entry.is_for(target):
            raise errors.Invalid(reason=f"credentials: '{name}' are not for the host of the uri")
        if target.scheme != 'https' and not entry.allow_http:
            raise errors.Invalid(reason=f"credentials: '{name}' are sent over https only")
        return entry.headers

    def _entries(self) -> dict[str, Entry]:
        if self._path is None:
            return {}
        parser = configparser.ConfigParser(interpolation=None, default_section='')
        try:
            with open(self._path, encoding='utf-8') as opened:
                if os.fstat(opened.fileno()).st_size > _MOST_BYTES:
                    raise self._wrong(f'it has more than {_MOST_BYTES} bytes')
                parser.read_file(opened)
        except OSError as error:
            raise self._wrong(f'it cannot be read ({error.strerror})') from error
        except configparser.Error as error:
            line = getattr(error, 'lineno', None)
            raise self._wrong('it is no file of sections and "name = value" lines'
                              + (f' (line {line})' if line else '')) from None  # its text has values in it
        except UnicodeDecodeError:
            raise self._wrong('it is not UTF-8') from None
        return {name: self._entry(name, dict(parser[name])) for name in parser.sections()}

    def _entry(self, name: str, values: dict[str, str]) -> Entry:
        given = frozenset(values)
        unknown = given - _KEYS
        if unknown:
            raise self._wrong(f'[{name}] has unknown keys: {", ".join(sorted(unknown))}')
        kinds = [kind for kind in _KINDS if kind & given]
        if len(kinds) != 1 or not kinds[0] <= given:
            raise self._wrong(f'[{name}] must have user and password, or token, or header and value')
        hosts = frozenset(_words(values.get('hosts', '').lower()))
        if not hosts:
            raise self._wrong(f'[{name}] has no hosts')
        header, value = values.get('header', 'Authorization'), values.get('value', '')
        if 'user' in values:
            secret = f'{values["user"]}:{values["password"]}'.encode()
            value = 'Basic ' + base64.b64encode(secret).decode()
        elif 'token' in values:
            value = f'Bearer {values["token"]}'
        if not _TOKEN.fullmatch(header) or not _VALUE.fullmatch(value):
            raise self._wrong(f'[{name}] has a header or value that cannot be sent')
        allow_http = values.get('allow_http', 'false').lower()
        if allow_http not in ('true', 'false'):
            raise self._wrong(f'[{name}] allow_http must be true or false')
        return Entry(hosts, frozenset(_words(values.get('projects', ''))), allow_http == 'true', {header: value})

    def _wrong(self, what: str) -> errors.ConfigurationError:
        return errors.ConfigurationError(
            reason=f'[import_filtering_opts] web_download_credentials_file: {self._path}: {what}')


def _words(text: str) -> list[str]:
    return text.replace(',', ' ').split()
