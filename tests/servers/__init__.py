"""Real servers for tests, each started privately by the test process and stopped with it.

A test asks for a shared one with ``servers.need(self, 'postgresql')``. The first such call in a test process
starts it, the end of the process stops it. ``glance_api.GlanceApi`` is not shared: a test starts as many as
it wants.

Where a server cannot run (a program is missing), its tests skip and say so. With GLANCELIKE_REQUIRE_SERVERS=1
they fail instead: ``tools/test`` sets that in CI, so that a machine without servers cannot pass for one that
tested them. A server that can run and then does not start is a failure everywhere.
"""

import atexit
import importlib
import os

import fixtures
import testtools

from tests.servers.process import CannotRun

SHARED = {
    'postgresql': 'tests.servers.postgresql:PostgreSQL',
    'mariadb': 'tests.servers.mariadb:MariaDB',
    'keystone': 'tests.servers.keystone:Keystone',
    'barbican': 'tests.servers.barbican:Barbican',
    'redis': 'tests.servers.redis:Redis',
    'etcd': 'tests.servers.etcd:Etcd',
    'zookeeper': 'tests.servers.zookeeper:ZooKeeper',
}


class _Running:
    """The shared servers this process has started, and why the others cannot run."""

    def __init__(self):
        self._servers: dict[str, fixtures.Fixture] = {}
        self._reasons: dict[str, str] = {}

    def get(self, name: str) -> fixtures.Fixture:
        if name in self._reasons:
            raise CannotRun(self._reasons[name])
        if name not in self._servers:
            module, _, cls = SHARED[name].partition(':')
            server = getattr(importlib.import_module(module), cls)()
            try:
                server.setUp()
            except BaseException as error:
                # A _setUp that fails is reported by fixtures as a group of errors; ours is the first of them.
                reason = _reason(error)
                if reason is None:
                    raise
                self._reasons[name] = reason
                raise CannotRun(reason) from error
            if not self._servers:
                atexit.register(self.stop)
            self._servers[name] = server
        return self._servers[name]

    def stop(self) -> None:
        for name in reversed(list(self._servers)):
            self._servers.pop(name).cleanUp()


def _reason(error: BaseException) -> str | None:
    if isinstance(error, CannotRun):
        return str(error)
    if isinstance(error, fixtures.MultipleExceptions):
        for _, inner, _ in error.args:
            if isinstance(inner, CannotRun):
                return str(inner)
    return None


_running = _Running()


def required() -> bool:
    """Tell whether a server that cannot run is a failure."""
    return os.environ.get('GLANCELIKE_REQUIRE_SERVERS') == '1'


def shared(name: str) -> fixtures.Fixture:
    """Return the running shared server of this process, started when needed.

    :param name: a key of ``SHARED``
    :raises CannotRun: it cannot run on this machine
    """
    return _running.get(name)


def need(case: testtools.TestCase, name: str) -> fixtures.Fixture:
    """Return the running shared server *name*, or skip *case*; fail it where servers are required."""
    try:
        return shared(name)
    except CannotRun as error:
        refuse(case, f'{name} cannot run here: {error}')


def use(case: testtools.TestCase, fixture: fixtures.Fixture) -> fixtures.Fixture:
    """Like ``case.useFixture`` for a server of this test only, skipping or failing as ``need`` does."""
    try:
        return case.useFixture(fixture)
    except BaseException as error:
        reason = _reason(error)
        if reason is None:
            raise
        refuse(case, f'{type(fixture).__name__} cannot run here: {reason}')


def refuse(case: testtools.TestCase, reason: str) -> None:
    """Skip *case*, or fail it where servers are required."""
    if required():
        case.fail(f'{reason} (GLANCELIKE_REQUIRE_SERVERS=1)')
    case.skipTest(reason)
