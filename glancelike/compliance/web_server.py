"""A real web server on loopback, in threads of the test process, that can be told to misbehave.

For the suite on drivers that only read from web servers.
"""

from __future__ import annotations

import base64
import http.server
import re
import ssl
import threading
import uuid
from collections.abc import Callable
from pathlib import Path


class WebServer:
    """Serves ``objects`` (path -> bytes); started when made.

    :ivar ranges: answer Range requests with 206 (else with 200 and everything)
    :ivar heads: answer HEAD (else with 405)
    :ivar redirects: path -> (status, Location)
    :ivar statuses: path -> status to answer with
    :ivar handlers: path -> function that is given the request handler and does the whole answer
    :ivar passwords: path -> ``user:password`` that is needed
    :ivar seen: (method, path, headers) of each request, in the order in which they came
    """

    def __init__(self, certificate: Path | None = None):
        self.objects: dict[str, bytes] = {}
        self.redirects: dict[str, tuple[int, str]] = {}
        self.statuses: dict[str, int] = {}
        self.handlers: dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]] = {}
        self.passwords: dict[str, str] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.ranges = True
        self.heads = True
        self._server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _handler_of(self))
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_args: None  # a client that goes away is no news
        self.scheme = 'http'
        if certificate is not None:
            self.scheme = 'https'
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True).start()

    def url(self, path: str, user: str = '', host: str = '127.0.0.1') -> str:
        return f'{self.scheme}://{user and user + "@"}{host}:{self.port}{path}'

    def put(self, data: bytes) -> str:
        """Serve the bytes; the path."""
        path = f'/{uuid.uuid4()}'
        self.objects[path] = data
        return path

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler_of(web: WebServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def log_message(self, *_args):
            """Tests say what matters."""

        def do_HEAD(self):
            if web.heads:
                self._answer()
            else:
                self._finish(405)

        def do_GET(self):
            self._answer()

        def _answer(self):
            web.seen.append((self.command, self.path, dict(self.headers)))
            wanted = web.passwords.get(self.path)
            if wanted and self.headers.get('Authorization') != 'Basic ' + base64.b64encode(wanted.encode()).decode():
                return self._finish(401)
            if self.path in web.handlers:
                return web.handlers[self.path](self)
            if self.path in web.redirects:
                status, location = web.redirects[self.path]
                return self._finish(status, headers={'Location': location})
            if self.path in web.statuses:
                return self._finish(web.statuses[self.path])
            if self.path not in web.objects:
                return self._finish(404)
            data = web.objects[self.path]
            asked = re.fullmatch(r'bytes=(\d+)-(\d*)', self.headers.get('Range', ''))
            if not asked or not web.ranges:
                return self._finish(200, data)
            first, last = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
            if first >= len(data):
                return self._finish(416, headers={'Content-Range': f'bytes */{len(data)}'})
            self._finish(206, data[first:last + 1], {'Content-Range': f'bytes {first}-{last}/{len(data)}'})

        def _finish(self, status, data=b'', headers=None):
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header('Content-Length', str(len(data)))
            self.end_headers()
            if self.command != 'HEAD':
                try:
                    self.wfile.write(data)
                except OSError:
                    self.close_connection = True

    return Handler
