"""The listening socket and the TLS settings of the bundled server, made from options and checked at start."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from typing import Any

from glancelike import errors

BIND_SECONDS = 30


def address(conf: Any) -> tuple[str, int]:
    """Where *conf* wants the server to listen: host and port."""
    return (conf.bind_host, conf.bind_port)


def listen(conf: Any, seconds: float = BIND_SECONDS) -> socket.socket:
    """A socket that listens on bind_host and bind_port; tries for *seconds* while the address is in use.

    :raises ConfigurationError: the address is unknown, not of this machine, not allowed, or stayed in use
    """
    host, port = address(conf)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise errors.ConfigurationError(reason=f'bind_host {host} is no address: {error.strerror}') from error
    listener = socket.socket(family, kind, protocol)
    try:
        _set_options(listener, family, conf.tcp_keepidle)
        _bind(listener, where, host, port, seconds)
        listener.listen(conf.backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def _set_options(listener: socket.socket, family: int, keepidle_seconds: int) -> None:
    """Accepted connections inherit all of these on Linux."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, 'TCP_KEEPIDLE'):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, keepidle_seconds)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)


def _bind(listener: socket.socket, where: Any, host: str, port: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return listener.bind(where)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise errors.ConfigurationError(
                    reason=f'cannot listen on {host}:{port} (bind_host, bind_port): {error.strerror}') from error
            if time.monotonic() >= deadline:
                raise errors.ConfigurationError(
                    reason=f'could not bind to {host}:{port} after trying for {seconds:g} seconds: another program '
                           f'listens there (bind_host, bind_port)') from error
        time.sleep(0.2)


def tls_context(conf: Any) -> ssl.SSLContext | None:
    """The TLS settings, or None when plain HTTP is wanted.

    :raises ConfigurationError: only one of cert_file and key_file is set, a file cannot be read, or they do not fit
    """
    cert_file, key_file, ca_file = conf.cert_file, conf.key_file, conf.ca_file
    if not cert_file and not key_file:
        if ca_file:
            raise errors.ConfigurationError(reason='ca_file needs cert_file and key_file, too')
        return None
    if not cert_file or not key_file:
        missing, given = ('key_file', 'cert_file') if cert_file else ('cert_file', 'key_file')
        raise errors.ConfigurationError(
            reason=f'TLS needs both cert_file and key_file: {given} is set and {missing} is not')
    for option, name in (('cert_file', cert_file), ('key_file', key_file), ('ca_file', ca_file)):
        if name:
            _check_readable(option, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # The password callback keeps an encrypted key from asking at the terminal.
        context.load_cert_chain(cert_file, key_file, password=_no_password)
    except ssl.SSLError as error:
        raise errors.ConfigurationError(
            reason=f'the key in key_file {key_file} does not fit the certificate in cert_file {cert_file}, or one of '
                   f'them is not PEM ({error.reason})') from error
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except ssl.SSLError as error:
            raise errors.ConfigurationError(reason=f'ca_file {ca_file} holds no PEM certificate') from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _no_password() -> str:
    raise errors.ConfigurationError(reason='the key in key_file is encrypted; a server needs one without pass phrase')


def _check_readable(option: str, name: str) -> None:
    try:
        with open(name, 'rb'):
            pass
    except OSError as error:
        raise errors.ConfigurationError(reason=f'{option} {name} cannot be read: {error.strerror}') from error
