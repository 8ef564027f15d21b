"""The servers of ``tests.servers`` are what tests take them for."""

import datetime
import os
import subprocess
import sys
import textwrap
import unittest

import fixtures
import sqlalchemy
from castellan import key_manager, options
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from oslo_config import cfg
from oslo_context.context import RequestContext
from testtools.matchers import Contains, Equals, Is, MatchesSetwise, Not

from tests import base, servers
from tests.servers import process
from tests.servers.glance_api import BUNDLED, GUNICORN, UWSGI, GlanceApi, config_text


class DatabaseServerCase:
    """What the tests ask of a database server; mixed in once for each."""

    SERVER: str

    def setUp(self):
        super().setUp()
        self.server = servers.need(self, self.SERVER)
        self.url = self.server.create_database('servers_start')
        self.addCleanup(self.server.drop_database, 'servers_start')

    def execute(self, statement):
        engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.NullPool)
        with engine.begin() as connection:
            result = connection.exec_driver_sql(statement)
            return result.scalar() if result.returns_rows else None

    def test_text_outside_latin_is_kept(self):
        self.execute('CREATE TABLE names (name VARCHAR(20))')
        self.execute("INSERT INTO names VALUES ('Ubuntu ☃ 😀')")
        self.assertThat(self.execute('SELECT name FROM names'), Equals('Ubuntu ☃ 😀'))

    def test_a_committed_row_survives_kill_9(self):
        self.execute('CREATE TABLE rows_kept (number INTEGER)')
        self.execute('INSERT INTO rows_kept VALUES (7)')
        self.server.kill()
        self.assertRaises(sqlalchemy.exc.OperationalError, self.execute, 'SELECT 1')
        self.server.start()
        self.assertThat(self.execute('SELECT number FROM rows_kept'), Equals(7))

    def test_a_stopped_server_starts_again_on_the_same_port(self):
        port = self.server.port
        self.server.stop()
        self.server.start()
        self.assertThat(self.server.port, Equals(port))
        self.assertThat(self.execute('SELECT 1'), Equals(1))


class PostgreSQLTest(DatabaseServerCase, base.TestCase):
    SERVER = 'postgresql'


class MariaDBTest(DatabaseServerCase, base.TestCase):
    SERVER = 'mariadb'


class KeystoneTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.keystone = servers.need(self, 'keystone')

    def test_an_issued_token_names_its_user_project_and_roles(self):
        self.keystone.create_user('alice', 'demo', ('reader', 'member'))
        shown = self.keystone.show_token(self.keystone.token('alice', 'demo'))
        self.assertThat(shown['user']['name'], Equals('alice'))
        self.assertThat(shown['project']['name'], Equals('demo'))
        roles = [role['name'] for role in shown['roles']]
        self.assertThat(roles, MatchesSetwise(Equals('reader'), Equals('member')))

    def test_a_revoked_token_is_no_longer_valid(self):
        self.keystone.create_user('alice', 'demo', ('reader', 'member'))
        token = self.keystone.token('alice', 'demo')
        self.keystone.revoke(token)
        self.assertThat(self.keystone.show_token(token), Is(None))

    def test_a_wrong_password_gets_no_token(self):
        self.keystone.create_user('alice', 'demo', ('reader', 'member'))
        self.assertRaises(AssertionError, self.keystone.token, 'alice', 'demo', 'wrong')

    def test_the_catalogue_holds_one_image_endpoint_whatever_is_registered_before(self):
        self.keystone.create_endpoint('http://127.0.0.1:1')
        self.keystone.create_endpoint('http://127.0.0.1:2')
        self.keystone.create_user('alice', 'demo', ('reader', 'member'))
        catalogue = self.keystone.show_token(self.keystone.token('alice', 'demo'))['catalog']
        urls = {entry['url'] for service in catalogue if service['type'] == 'image'
                for entry in service['endpoints']}
        self.assertThat(urls, Equals({'http://127.0.0.1:2'}))

    def test_oslo_limit_enforces_a_registered_limit(self):
        """In a process of its own: oslo.limit reads the global CONF of oslo.config."""
        endpoint = self.keystone.create_endpoint('http://127.0.0.1:9292')
        self.keystone.register_limit('image_count_total', 10)
        # Keystone refuses to change a registered limit that a project has its own number for.
        self.addCleanup(self.keystone.drop_limit, self.keystone.set_limit('demo', 'image_count_total', 3))
        options = self.keystone.limit_options(endpoint)
        (self.tmp / 'limit.conf').write_text(config_text({'oslo_limit': options}))
        program = textwrap.dedent(f"""
            from oslo_config import cfg
            from oslo_limit import exception, limit
            cfg.CONF(['--config-file', {str(self.tmp / 'limit.conf')!r}])
            enforcer = limit.Enforcer(lambda project, names: dict.fromkeys(names, 3))
            enforcer.enforce({self.keystone.create_project('demo')!r}, {{'image_count_total': 0}})
            try:
                enforcer.enforce({self.keystone.create_project('demo')!r}, {{'image_count_total': 1}})
            except exception.ProjectOverLimit as error:
                print('over', error.over_limit_info_list[0].limit)
            """)
        done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, timeout=120)
        self.assertThat(done.stdout, Equals('over 3\n'), done.stderr)


class BarbicanTest(base.TestCase):

    def test_castellan_reads_a_certificate_stored_in_barbican(self):
        barbican = servers.need(self, 'barbican')
        barbican.keystone.create_user('signer', 'demo', ('creator', 'member', 'reader'))
        token = barbican.keystone.token('signer', 'demo')
        certificate = self.certificate()
        reference = barbican.store_certificate(certificate, token)

        conf = cfg.ConfigOpts()
        conf([])
        options.set_defaults(conf)
        for group, values in barbican.castellan_options().items():
            for name, value in values.items():
                conf.set_override(name, value, group)
        context = RequestContext(auth_token=token, project_id=barbican.keystone.create_project('demo'))
        read = key_manager.API(conf).get(context, reference)
        self.assertThat(read.format, Equals('X.509'))
        self.assertThat(read.get_encoded(), Equals(certificate))

    def certificate(self):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'signer')])
        now = datetime.datetime.now(datetime.UTC)
        built = x509.CertificateBuilder(
            issuer_name=name, subject_name=name, public_key=key.public_key(), serial_number=1,
            not_valid_before=now, not_valid_after=now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
        return built.public_bytes(serialization.Encoding.DER)


class GlanceApiCase:
    """What an operator asks of the service under each of its servers; mixed in once for each."""

    SERVER: str

    def setUp(self):
        super().setUp()
        self.api = servers.use(self, GlanceApi(server=self.SERVER))

    def test_it_starts_again_after_kill_9(self):
        self.api.kill9()
        self.assertThat(self.api.answers(), Is(False))
        self.api.start()
        self.assertThat(self.api.answers(), Is(True))

    def test_it_stops_when_told(self):
        self.api.terminate(seconds=20)
        self.assertThat(self.api.answers(), Is(False))

    def test_a_second_node_shares_its_database(self):
        database = {'connection': f'sqlite:///{self.api.folder}/glance.sqlite'}
        other = servers.use(self, GlanceApi({'database': database}, server=self.SERVER))
        self.assertThat(other.answers(), Is(True))
        self.assertThat(other.url, Not(Equals(self.api.url)))


class BundledServerTest(GlanceApiCase, base.TestCase):
    SERVER = BUNDLED


class GunicornTest(GlanceApiCase, base.TestCase):
    SERVER = GUNICORN


class UwsgiTest(GlanceApiCase, base.TestCase):
    SERVER = UWSGI


class GuardTest(base.TestCase):

    def test_a_killed_test_process_leaves_no_server_and_no_folder(self):
        program = textwrap.dedent("""
            import os, signal, sys
            from tests.servers.process import Process, make_folder
            folder = make_folder('guard')
            child = Process(['sh', '-c', 'sleep 600 & wait'], folder / 'log')
            print(child.pid, folder, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
            """)
        done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, timeout=60)
        pid, folder = done.stdout.split()
        process.wait_until(lambda: not os.path.exists(folder), 20, 'the guard to remove the folder')
        process.wait_until(lambda: group_is_gone(int(pid)), 20, 'the guard to kill the group')

    def test_a_server_that_ends_before_it_is_ready_shows_its_log(self):
        child = process.Process(['sh', '-c', 'echo no such option; exit 3'], self.tmp / 'log')
        self.addCleanup(child.kill9)
        error = self.assertRaises(process.NotReady, child.wait_ready, lambda: False, 30, 'it answers')
        self.assertThat(str(error), Contains('code 3'))
        self.assertThat(str(error), Contains('no such option'))


class NeedTest(base.TestCase):
    """A machine without a server must not pass for one that tested it."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MonkeyPatch('tests.servers.SHARED', {
            'nothing': 'tests.functional.real.test_servers_start:CannotRunHere'}))

    def test_without_the_server_a_test_skips(self):
        self.useFixture(fixtures.EnvironmentVariable('GLANCELIKE_REQUIRE_SERVERS', None))
        self.assertThat(self.outcome().skipped, Not(Equals([])))

    def test_where_servers_are_required_a_test_fails(self):
        self.useFixture(fixtures.EnvironmentVariable('GLANCELIKE_REQUIRE_SERVERS', '1'))
        outcome = self.outcome()
        self.assertThat(outcome.skipped, Equals([]))
        self.assertThat(outcome.failures[0][1], Contains('the program is missing'))

    def outcome(self):
        class Example(base.TestCase):
            def runTest(self):
                servers.need(self, 'nothing')

        result = unittest.TestResult()
        Example('runTest').run(result)
        return result


class CannotRunHere(fixtures.Fixture):

    def _setUp(self):
        raise process.CannotRun('the program is missing')


def group_is_gone(pid):
    """Tell whether no process of this group runs; those already dead but not yet collected do not count."""
    done = subprocess.run(['ps', '-o', 'stat=', '-g', str(pid)], capture_output=True, text=True)
    return all(state.startswith('Z') for state in done.stdout.split())
