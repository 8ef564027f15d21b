"""The service itself as a real process, under any of its three servers."""

import http.client
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fixtures

from tests.servers.process import (
    CannotRun,
    Process,
    drop_folder,
    free_port,
    make_folder,
    port_is_free,
    wait_until,
)
from tests.servers.venvs import CHECKOUT, server_venv

BUNDLED, GUNICORN, UWSGI = 'bundled', 'gunicorn', 'uwsgi'
SERVERS = (BUNDLED, GUNICORN, UWSGI)
START_SECONDS = 60
APPLICATION = 'glancelike.wsgi_app:application'
# The program as a fresh checkout has it: installed or not, and not confused with a `glance-api` of someone
# else.
PROGRAM = 'import sys; sys.argv[0] = "glance-api"; from glancelike.cmd.api import main; sys.exit(main())'

Config = Mapping[str, Mapping[str, Any]]


class GlanceApi(fixtures.Fixture):
    """One node of the service: ``api = self.useFixture(GlanceApi({'DEFAULT': {'workers': 2}}))``.

    Without options it keeps its rows in SQLite and its bytes in files, both in its own folder. Nodes that
    share a database and a store are given the same ``[database] connection`` and ``[glance_store]
    filesystem_store_datadir``. ``setUp`` returns when the node answers; ``cleanUp`` stops it and removes its
    folder.

    :param config: ``{group: {option: value}}`` on top of the options below. A bool becomes true or false, a
        list a comma list, a tuple one line for each item (a MultiStrOpt), None removes an option.
    :param flavor: of ``[paste_deploy]``: '' trusts every caller, 'keystone' asks Keystone
    :param server: one of ``SERVERS``
    :param port: of 127.0.0.1; None takes a free one
    :param processes: of gunicorn and uWSGI; the bundled server has its option ``workers``
    :param arguments: more of the command line
    :param env: variables on top of those of the test process; None unsets one
    :param start: False leaves the node down until ``start()``
    """

    def __init__(self, config: Config | None = None, *, flavor: str = '', server: str = BUNDLED,
                 port: int | None = None, processes: int = 1, arguments: tuple[str, ...] = (),
                 env: Mapping[str, str | None] | None = None, start: bool = True):
        if server not in SERVERS:
            raise ValueError(f'server is {server!r}, not one of {SERVERS}')
        self._config, self._flavor, self._server = config or {}, flavor, server
        self._processes, self._arguments, self._env = processes, arguments, env or {}
        self._start = start
        self.port = port

    def _setUp(self):
        self.port = self.port or free_port()
        self.folder = make_folder('api')
        self.addCleanup(drop_folder, self.folder)
        self.log = self.folder / 'server.log'
        self.config_file = self.folder / 'glance.conf'
        self.config_file.write_text(config_text(self._options()))
        self._command = self._command_line()
        self.process = None
        self.addCleanup(self._stop)
        if self._start:
            self.start()

    @property
    def url(self) -> str:
        """Where the node answers, without a slash at the end."""
        return f'http://127.0.0.1:{self.port}'

    @property
    def pid(self) -> int:
        """Process id of the server's first process, to which an operator would send signals."""
        return self.process.pid

    def start(self) -> None:
        """Start the node on its port and folder, and wait until it answers a request."""
        if self.process and self.process.alive():
            raise ValueError(f'the node on port {self.port} already runs')
        self.process = Process(self._command, self.log, cwd=CHECKOUT, env={
            'PYTHONPATH': os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get('PYTHONPATH')])),
            'PYTHONUNBUFFERED': '1', 'OS_GLANCE_CONFIG_DIR': str(self.folder),
            **self._env})
        what = f'glance-api ({self._server}) answers on port {self.port}'
        self.process.wait_ready(self.answers, START_SECONDS, what)

    def terminate(self, seconds: float = 30) -> int:
        """Stop the node as an operator would (SIGTERM); return its exit code."""
        return self.process.terminate(seconds)

    def kill9(self) -> int:
        """Kill every process of the node, as a power cut would; return the exit code.

        The last worker may die a little after the first process; until then it holds the port.
        """
        code = self.process.kill9()
        wait_until(lambda: port_is_free(self.port), 30, f'port {self.port} to be free')
        return code

    def restart(self) -> None:
        """Stop the node unless it is down already, and start it again on the same port and folder."""
        self._stop()
        self.start()

    def alive(self) -> bool:
        """Tell whether the server's first process runs."""
        return bool(self.process) and self.process.alive()

    def answers(self) -> bool:
        """Tell whether ``GET /`` is answered, by anything but a server error."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=5)
        try:
            connection.request('GET', '/')
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def log_text(self) -> str:
        """Return all the node has written so far, to its output; over restarts too."""
        return self.log.read_text(errors='replace') if self.log.exists() else ''

    def _stop(self) -> None:
        if self.alive():
            self.process.terminate()

    def _options(self) -> dict[str, dict[str, Any]]:
        options = {
            'DEFAULT': {'bind_host': '127.0.0.1', 'bind_port': self.port, 'workers': 0,
                        'db_auto_create': True, 'known_stores': ['filesystem'],
                        'default_store': 'filesystem'},
            'database': {'connection': f'sqlite:///{self.folder}/glance.sqlite'},
            'glance_store': {'filesystem_store_datadir': str(self.folder / 'images')},
            'paste_deploy': {'config_file': str(CHECKOUT / 'etc' / 'glance-api-paste.ini'),
                             'flavor': self._flavor},
        }
        for group, values in self._config.items():
            options.setdefault(group, {}).update(values)
        return options

    def _command_line(self) -> list[str | Path]:
        if self._server == BUNDLED:
            return [sys.executable, '-c', PROGRAM, '--config-file', self.config_file, *self._arguments]
        if self._server == GUNICORN:
            return [sys.executable, '-m', 'gunicorn', *_no_control_socket(), '-b', f'127.0.0.1:{self.port}',
                    '-w', str(self._processes), '--threads', '4', '-k', 'gthread', '--timeout', '300',
                    # A worker told to stop while it is being started does not hear it; gunicorn kills it
                    # after this.
                    '--graceful-timeout', '10', *self._arguments, APPLICATION]
        return [uwsgi_program(), '--http-socket', f'127.0.0.1:{self.port}', '--module', APPLICATION, '--need-app',
                '--master', '--die-on-term', '--enable-threads', '--processes', str(self._processes),
                '--threads', '4', '--lazy-apps', '--virtualenv', sys.prefix,
                '--socket-timeout', '300', *self._arguments]


def config_text(options: Config) -> str:
    """Return the text of a configuration file; see ``GlanceApi`` for how values are written."""
    lines = []
    for group, values in options.items():
        lines.append(f'[{group}]')
        for name, value in values.items():
            if isinstance(value, tuple):
                lines.extend(f'{name} = {_text(item)}' for item in value)
            elif value is not None:
                lines.append(f'{name} = {_text(value)}')
    return '\n'.join(lines) + '\n'


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ','.join(_text(item) for item in value)
    return str(value).replace('$', '$$')  # oslo.config would read $name as another option


def _no_control_socket() -> list[str]:
    try:
        import gunicorn.config
    except ImportError:
        raise CannotRun('gunicorn is not installed') from None
    # Newer ones open a control socket in the home folder, which two nodes would share.
    known = {flag for setting in gunicorn.config.KNOWN_SETTINGS for flag in setting.cli or ()}
    return ['--no-control-socket'] if '--no-control-socket' in known else []


def uwsgi_program() -> Path:
    """Return the program, from beside our Python or else from its own environment (it is compiled there)."""
    beside = Path(sys.executable).with_name('uwsgi')
    return beside if beside.exists() else server_venv('uwsgi', ('uWSGI>=2.0.26',)) / 'bin' / 'uwsgi'

