"""Addresses, options, and what is never shown."""

from glancelike import plugin
from glancelike.db_drivers.sqlalchemy import engine
from glancelike.db_drivers.sqlalchemy.driver import SqlalchemyDriver
from glancelike.plugin import errors
from tests import base
from tests.servers import databases


def options(**values):
    return plugin.options_for(SqlalchemyDriver, **values)


class AddressTest(base.TestCase):
    """What ``connection`` may be."""

    def refused(self, connection, **more):
        error = self.assertRaises(errors.ConfigurationError, engine.Database, options(connection=connection, **more))
        self.assertNotIn('hidden-word', str(error))
        return str(error)

    def test_a_missing_address_is_told_with_the_option(self):
        self.assertIn('set connection in the group [database]', self.refused(None))

    def test_addresses_that_cannot_work_are_told_without_their_password(self):
        self.assertIn('no SQLAlchemy URL', self.refused('hidden-word'))
        self.assertIn('no SQLAlchemy URL', self.refused('mysql://u:hidden-word@h:port/d'))
        self.assertIn("'oracle'", self.refused('oracle://u:hidden-word@h/d'))
        self.assertIn('pip install glancelike[mysql]', self.refused('mysql+aiomysql://u:hidden-word@h/d'))

    def test_a_database_in_memory_is_refused(self):
        for address in ('sqlite://', 'sqlite:///:memory:', 'sqlite:///file:x?mode=memory&uri=true'):
            self.assertIn('data_api = simple', self.refused(address))

    def test_a_kind_without_driver_means_the_one_of_the_extra(self):
        for address, wanted in (('mysql://h/d', 'mysql+pymysql'), ('postgresql://h/d', 'postgresql+psycopg2'),
                                ('postgres://h/d', 'postgresql+psycopg2'), ('mariadb://h/d', 'mariadb+pymysql')):
            self.assertEqual(wanted, engine.read_url(options(connection=address)).drivername)

    def test_mysql_always_talks_four_byte_utf8(self):
        for address in ('mysql+pymysql://h/d?charset=utf8', 'mysql+pymysql://h/d'):
            given = options(connection=address)
            self.assertEqual('utf8mb4', engine.create_engine(engine.read_url(given), given).url.query['charset'])

    def test_parameters_are_added_to_the_address(self):
        url = engine.read_url(options(connection='mysql://h/d', connection_parameters='a=1&b=x%20y'))
        self.assertEqual(('1', 'x y'), (url.query['a'], url.query['b']))

    def test_the_options_themselves_do_not_show_the_address(self):
        self.assertNotIn('hidden-word', repr(options(connection='mysql://u:hidden-word@h/d')))


class WaitTest(base.TestCase):
    """How often a call is tried again."""

    def tries(self, error, **values):
        waits = engine._Waits(options(**{'db_call_seconds': 0.2, 'db_retry_interval': 0, **values}))
        count = 0
        while count < 100 and waits.before_retry(error):
            count += 1
        return count

    def test_tries_are_bounded_by_number_and_by_time(self):
        self.assertEqual(20, self.tries(engine._Lost()))
        self.assertEqual(3, self.tries(engine._Lost(), db_max_retries=3))
        self.assertEqual(1, self.tries(engine._Lost(), db_retry_interval=1))
        self.assertLess(self.tries(engine._Conflict(), db_max_retries=-1), 100)

    def test_a_lost_connection_is_an_error_at_once_where_that_is_wanted(self):
        self.assertEqual(0, self.tries(engine._Lost(), use_db_reconnect=False))
        self.assertEqual(2, self.tries(engine._Conflict(), use_db_reconnect=False, db_max_retries=2))


class SqliteTest(databases.Sqlite, base.TestCase):
    """The settings of a connection to a file."""

    def setting(self, name, **values):
        driver = databases.driver(self.new_url(), **values)
        self.addCleanup(driver.close)
        with driver._database.engine.connect() as connection:
            return connection.exec_driver_sql(f'PRAGMA {name}').scalar()

    def test_commits_are_durable_and_readers_do_not_block(self):
        self.assertEqual(('wal', 2, 1, 10000), tuple(
            self.setting(name) for name in ('journal_mode', 'synchronous', 'foreign_keys', 'busy_timeout')))
        self.assertEqual(0, self.setting('synchronous', sqlite_synchronous=False))

    def test_idle_connections_are_kept_up_to_the_limit(self):
        driver = databases.driver(self.new_url(), max_pool_size=2)
        pool = driver._database.engine.pool
        for connection in [driver._database.engine.connect() for _ in range(4)]:
            connection.close()
        self.assertEqual('2 idle', pool.status())
        driver.close()
        self.assertEqual('0 idle', pool.status())
        driver.close()
