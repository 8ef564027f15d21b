"""The real ``glance-api`` as a process, what it uses (from /proc), and a client of it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
MIB = 2**20
START_SECONDS = 60
_CONF = """\
[DEFAULT]
bind_host = 127.0.0.1
bind_port = {port}
workers = {workers}
db_auto_create = true
known_stores = filesystem
log_file = {folder}/glance.log
[database]
connection = sqlite:///{folder}/glance.sqlite
[glance_store]
filesystem_store_datadir = {folder}/images
[paste_deploy]
config_file = {checkout}/etc/glance-api-paste.ini
"""


class Client:
    """One kept connection."""

    def __init__(self, port: int):
        self._connection = http.client.HTTPConnection('127.0.0.1', port, timeout=60, blocksize=MIB)
        self.close = self._connection.close

    def ask(self, method: str, path: str, body: object = None, media_type: str = 'application/json',
            size: int | None = None) -> http.client.HTTPResponse:
        """The answer, its body unread. :param size: of a body that is a file :raises RuntimeError: not 2xx"""
        headers = {'Content-Type': media_type} if body is not None else {}
        if size is not None:
            headers['Content-Length'] = str(size)
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        if answer.status // 100 != 2:
            raise RuntimeError(f'{method} {path}: {answer.status} {answer.read()!r}')
        return answer


class Api:
    """A node with SQLite and a filesystem store in *folder*, while the ``with`` block runs.

    :ivar start_seconds: from exec to the first answer from the database
    """

    def __init__(self, folder: Path, workers: int):
        folder.mkdir()
        with socket.create_server(('127.0.0.1', 0)) as listener:
            self.port = listener.getsockname()[1]
        self._conf = folder / 'glance.conf'
        self._conf.write_text(_CONF.format(port=self.port, workers=workers, folder=folder, checkout=CHECKOUT))

    def __enter__(self) -> Api:
        began = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'glancelike.cmd.api', '--config-file', self._conf], cwd=CHECKOUT,
            start_new_session=True)
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() - began > START_SECONDS:
                self.__exit__()
                raise RuntimeError('glance-api does not answer')
            time.sleep(0.005)
        self.start_seconds = time.monotonic() - began
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)

    def _answers(self) -> bool:
        client = Client(self.port)
        try:
            return client.ask('GET', '/v2/images?limit=1').status == 200
        except (OSError, http.client.HTTPException, RuntimeError):
            return False
        finally:
            client.close()

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far, ended children of them included."""
        stats = [Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split() for pid in self._pids()]
        return sum(int(ticks) for fields in stats for ticks in fields[11:15]) / os.sysconf('SC_CLK_TCK')

    def memory_mib(self) -> float:
        """PSS: pages that several processes share count once."""
        lines = [line for pid in self._pids() for line in Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith('Pss:')) / 1024

    def _pids(self) -> list[int]:
        """The first process and all that descend from it."""
        found = [self._process.pid]
        for pid in found:  # grows while it is walked
            found += map(int, Path(f'/proc/{pid}/task/{pid}/children').read_text().split())
        return found
