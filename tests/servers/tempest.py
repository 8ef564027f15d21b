"""Tempest, OpenStack's own test suite, with glance-tempest-plugin: run against a service that is already up.

Both come from the package index into an environment of their own. They speak to the shared Keystone as an
operator's Tempest would: as its administrator, who makes a project and users for each test class and removes
them afterwards.
"""

import dataclasses
import io
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import subunit
import testtools

from tests.servers.glance_api import config_text
from tests.servers.keystone import ADMIN, PASSWORD, REGION, Keystone
from tests.servers.process import environment
from tests.servers.venvs import server_venv

REQUIREMENTS = ('tempest>=47', 'glance-tempest-plugin>=0.17')
SERVICES = ('glance', 'nova', 'cinder', 'neutron', 'swift', 'horizon')
SUITE_SECONDS = 1500
SAID_CHARACTERS = 5000  # of each failure; Tempest adds the log of all requests


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run of Tempest came to, by test id without the ids in brackets.

    :ivar failed: test -> what it said
    :ivar skipped: test or class -> why; a skipped class is one entry
    :ivar text: what the program wrote beside its results
    """

    passed: list[str]
    failed: dict[str, str]
    skipped: dict[str, str]
    text: str

    def failures(self) -> str:
        """All failures with what they said, for a message."""
        said = [f'{name}\n{text[-SAID_CHARACTERS:]}\n' for name, text in sorted(self.failed.items())]
        return '\n'.join([*said, self.text])


class Tempest:
    """Tempest installed, with a folder to work in.

    :param features: of ``[image-feature-enabled]``: what the service under test can do
    :param image: more options of ``[image]``
    :param available: services that its tests may count as there, beside Glance; a test that uses one fails
    :raises CannotRun: it cannot be installed
    """

    def __init__(self, keystone: Keystone, folder: Path, features: Mapping[str, bool],
                 image: Mapping[str, Any] | None = None, available: tuple[str, ...] = ()):
        self._venv = server_venv('tempest', REQUIREMENTS)
        self._folder = folder
        self._conf = folder / 'tempest.conf'
        self._conf.write_text(config_text({
            'DEFAULT': {'log_file': str(folder / 'tempest.log'), 'debug': True},
            'oslo_concurrency': {'lock_path': str(folder / 'locks')},
            'auth': {'use_dynamic_credentials': True, 'create_isolated_networks': False, 'admin_username': ADMIN,
                     'admin_password': PASSWORD, 'admin_project_name': 'admin', 'admin_domain_name': 'Default',
                     'admin_user_domain_name': 'Default'},
            'identity': {'uri_v3': keystone.auth_url, 'auth_version': 'v3', 'region': REGION,
                         'v3_endpoint_type': 'public'},
            'image': {'region': REGION, 'hashing_algorithm': 'sha512', 'build_interval': 1, 'build_timeout': 60,
                      'container_formats': ['bare', 'ami', 'ari', 'aki', 'ovf', 'ova'],
                      'disk_formats': ['qcow2', 'raw', 'ami', 'ari', 'aki', 'vhd', 'vmdk', 'vdi', 'iso', 'vhdx'],
                      **(image or {})},
            'image-feature-enabled': features,
            'enforce_scope': {'glance': True},
            'service_available': {name: name in ('glance', *available) for name in SERVICES},
        }))

    def run(self, tests: str, exclude: str = '') -> Outcome:
        """Run the tests whose id the regular expression *tests* finds, but those that *exclude* finds.

        One after the other: users made and removed at once are too much for a Keystone on SQLite.
        """
        command = [self._venv / 'bin' / 'tempest', 'run', '--config-file', self._conf, '--subunit', '--serial',
                   '--regex', tests, *(['--exclude-regex', exclude] if exclude else [])]
        done = subprocess.run(command, cwd=self._folder, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=SUITE_SECONDS, env=environment({'HOME': str(self._folder)}))
        return _outcome(done.stdout, done.stderr.decode(errors='replace'))


def _outcome(stream: bytes, text: str) -> Outcome:
    outcome, noise = Outcome([], {}, {}, text), bytearray()

    def finished(test: dict) -> None:
        name, status = test['id'].partition('[')[0], test['status']
        texts = {key: b''.join(content.iter_bytes()).decode(errors='replace').strip()
                 for key, content in (test.get('details') or {}).items()}
        if status in ('success', 'xfail'):
            outcome.passed.append(name)
        elif status == 'skip':
            outcome.skipped[name] = texts.get('reason', '')
        elif status != 'exists':
            outcome.failed[name] = '\n'.join(texts.values()) or f'it ended as "{status}"'

    class Noise(testtools.StreamResult):
        """What the stream holds outside of tests: a traceback of an import, say."""

        def status(self, test_id=None, file_name=None, file_bytes=None, **_):
            if test_id is None and file_bytes:
                noise.extend(file_bytes)

    results = testtools.CopyStreamResult([testtools.StreamToDict(finished), Noise()])
    results.startTestRun()
    subunit.ByteStreamToStreamResult(io.BytesIO(stream), non_subunit_name='stdout').run(results)
    results.stopTestRun()
    return dataclasses.replace(outcome, text=noise.decode(errors='replace') + text)
