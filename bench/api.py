"""This service as processes: a node of its own for the time of a ``with`` block."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from bench.server import Server

CHECKOUT = Path(__file__).resolve().parents[1]
BUNDLED, UWSGI, GUNICORN = 'bundled', 'uwsgi', 'gunicorn'
_START_SECONDS = 90
_CONF = """\
[DEFAULT]
bind_host = 127.0.0.1
bind_port = {port}
workers = {workers}
db_auto_create = true
known_stores = filesystem
log_file = {folder}/glance.log
{options}
[database]
connection = {database}
[glance_store]
filesystem_store_datadir = {store}
[paste_deploy]
config_file = {checkout}/etc/glance-api-paste.ini
flavor = trusted-auth
"""


class Api(Server):
    """A node with its configuration and log in *folder*.

    :param folder: made if it is not there
    :param database: URL
    :param workers: processes that serve, under any web server
    :param web_server: BUNDLED, UWSGI or GUNICORN
    :param store: folder of the images; in *folder* when not given
    :param options: more of ``[DEFAULT]``
    :param database_pid: the first process of the database server, whose CPU is counted too
    :ivar start_seconds: from exec to the first answer from the database
    """

    def __init__(self, folder: Path, database: str, workers: int, *, web_server: str = BUNDLED,
                 store: Path | None = None, options: Mapping[str, object] | None = None,
                 database_pid: int | None = None):
        with socket.create_server(('127.0.0.1', 0)) as listener:
            self._port = listener.getsockname()[1]
        super().__init__(f'http://127.0.0.1:{self._port}')
        self._folder, self._workers, self._web_server, self._database_pid = folder, workers, web_server, database_pid
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'glance-api.conf').write_text(_CONF.format(
            port=self._port, workers=workers, folder=folder, database=database.replace('$', '$$'),
            store=store or folder / 'images', checkout=CHECKOUT,
            options='\n'.join(f'{name} = {value}' for name, value in (options or {}).items())))

    def __enter__(self) -> Api:
        began = time.monotonic()
        with (self._folder / 'output').open('w') as output:
            self._process = subprocess.Popen(
                self._command(), cwd=CHECKOUT, start_new_session=True, stdout=output, stderr=output,
                env={**os.environ, 'OS_GLANCE_CONFIG_DIR': str(self._folder), 'PYTHONPATH': str(CHECKOUT)})
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() - began > _START_SECONDS:
                self.__exit__()
                raise RuntimeError(f'the server does not answer: {(self._folder / "output").read_text()[-2000:]}')
            time.sleep(0.005)
        self.start_seconds = time.monotonic() - began
        self.pids = [self._process.pid, *([self._database_pid] if self._database_pid else [])]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    @property
    def pid(self) -> int:
        """The server's first process."""
        return self._process.pid

    def _answers(self) -> bool:
        try:
            self.ask('GET', '/v2/images?limit=1')
        except (OSError, RuntimeError):
            return False
        return True

    def _command(self) -> list[str]:
        application, python = 'glancelike.wsgi_app:application', sys.executable
        if self._web_server == UWSGI:
            return [str(_uwsgi()), '--http-socket', f'127.0.0.1:{self._port}', '--module', application, '--need-app',
                    '--master', '--die-on-term', '--enable-threads', '--processes', str(self._workers or 1),
                    '--threads', '4', '--lazy-apps', '--virtualenv', sys.prefix, '--disable-logging']
        if self._web_server == GUNICORN:
            return [python, '-m', 'gunicorn', '-b', f'127.0.0.1:{self._port}', '-w', str(self._workers or 1),
                    '--threads', '4', '-k', 'gthread', '--timeout', '300', application]
        return [python, '-m', 'glancelike.cmd.api', '--config-file', str(self._folder / 'glance-api.conf')]


def web_servers() -> list[str]:
    """Those that are installed besides our own."""
    return [*([UWSGI] if _uwsgi() else []), *([GUNICORN] if importlib.util.find_spec('gunicorn') else [])]


def _uwsgi() -> str | None:
    """The program: that beside Python, or else any."""
    return shutil.which('uwsgi', path=os.path.dirname(sys.executable)) or shutil.which('uwsgi')
