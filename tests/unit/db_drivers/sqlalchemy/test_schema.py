"""Tables and their versions."""

import sqlalchemy as sa

from glancelike.db_drivers.sqlalchemy import tables, values
from glancelike.db_drivers.sqlalchemy.schema import CONTRACT, CURRENT, EXPAND
from glancelike.plugin import RequestContext, Task, TaskQuery, errors
from tests import base
from tests.servers import databases

NO = 'false'  # of every database here


class Tables:
    """Mixin beside one of ``tests.servers.databases``."""

    def setUp(self):
        super().setUp()
        self.driver = databases.driver(self.new_url(), max_retries=0)
        self.addCleanup(self.driver.close)
        self.schema = self.driver.schema

    def test_the_migrations_make_the_tables_that_the_queries_use(self):
        self.schema.sync()
        inspector = sa.inspect(self.driver._database.engine)
        for table in tables.METADATA.sorted_tables:
            found = {column['name']: column['nullable'] for column in inspector.get_columns(table.name)}
            self.assertEqual({column.name: column.nullable for column in table.c}, found, table.name)

    def test_an_upgrade_goes_through_its_phases(self):
        self.assertEqual((), self.schema.heads())
        self.assertRaises(errors.ConfigurationError, self.schema.check)
        self.schema.upgrade(f'{EXPAND}@head')
        self.schema.check()
        self.assertEqual((False, True), (self.schema.lacks(EXPAND), self.schema.lacks(CONTRACT)))
        self.assertEqual(0, self.schema.migrate())
        self.schema.upgrade(f'{CONTRACT}@head')
        self.assertEqual((False, False, False),
                         (self.schema.lacks(EXPAND), self.schema.lacks(CONTRACT), self.schema.lacks_data()))

    def test_rows_of_an_earlier_release_are_listed_after_each_phase(self):
        """Rows from before the expansion, and those that a service of that release writes beside the new one."""
        self.schema.upgrade('g2026_1_expand01')
        engine, wanted = self.driver._database.engine, []
        for image_id, phase in (('1', f'{EXPAND}@head'), ('2', None)):
            with engine.begin() as connection:
                stamp = values.now()
                for table, row in ((tables.images, {
                        'id': image_id, 'status': 'active', 'visibility': 'private', 'owner': 'project', 'version': 1,
                        'protected': False, 'os_hidden': False, 'min_disk': 0, 'min_ram': 0}),
                        (tables.image_tags, {'image_id': image_id, 'value': 'tag'})):
                    connection.execute(sa.insert(table), {**row, **values.born(stamp)})
            wanted.append(image_id)
            if phase:
                self.schema.upgrade(phase)
            else:
                self.assertTrue(self.schema.lacks_data())
                self.assertEqual(1, self.schema.migrate())
            with engine.connect() as connection:
                self.assertEqual([(one, 'project') for one in wanted], [tuple(row) for row in connection.execute(
                    sa.select(tables.image_tags.c.image_id, tables.image_tags.c.scope).order_by('image_id'))])
        self.schema.sync()
        self.assertFalse(self.schema.lacks_data())

    def test_images_of_the_release_before_are_as_they_were(self):
        """Rows that know nothing of tasks, import states and positions; tasks can be made beside them."""
        self.schema.upgrade('g2026_1_expand02')
        self.schema.upgrade('g2026_1_contract02')
        stamp = values.now()
        with self.driver._database.engine.begin() as connection:
            connection.exec_driver_sql(
                'INSERT INTO images (id, status, visibility, version, protected, os_hidden, min_disk, min_ram, '
                f"created_at, updated_at, deleted) VALUES ('1', 'active', 'public', 7, {NO}, {NO}, 0, 0, '{stamp}', "
                f"'{stamp}', {NO})")
            for url in ('mem://1', 'mem://2'):
                connection.exec_driver_sql(
                    'INSERT INTO image_locations (image_id, value, status, created_at, updated_at, deleted) VALUES '
                    f"('1', '{url}', 'active', '{stamp}', '{stamp}', {NO})")
        self.assertTrue(self.schema.lacks(EXPAND))
        self.assertRaises(errors.ConfigurationError, self.schema.check)
        self.schema.sync()
        self.assertEqual(CURRENT, self.schema.heads())
        admin = RequestContext(is_admin=True)
        image = self.driver.image_get(admin, '1')
        self.assertEqual((7, None, ['mem://1', 'mem://2']),
                         (image.version, image.import_state, [place.url for place in image.locations]))
        task = self.driver.task_create(admin, Task('1', 'import'))
        self.assertEqual([task], self.driver.task_list(admin, TaskQuery()))

    def test_a_current_database_is_known_by_its_versions(self):
        self.schema.sync()
        self.assertEqual(CURRENT, self.schema.heads())

    def test_a_database_of_another_program_is_refused(self):
        with self.driver._database.engine.begin() as connection:
            connection.exec_driver_sql('CREATE TABLE alembic_version (version_num VARCHAR(32))')
            connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('2024_1_contract01')")
        for call in (self.schema.check, self.driver.create_schema):
            self.assertIn('another program', str(self.assertRaises(errors.ConfigurationError, call)))

    def test_an_interrupted_migration_is_finished_by_the_next(self):
        """MySQL keeps the tables that were made before a kill -9."""
        self.schema.sync()
        with self.driver._database.engine.begin() as connection:
            connection.exec_driver_sql('DROP TABLE alembic_version')
            connection.exec_driver_sql('DROP TABLE image_uploads')
        self.schema.sync()
        self.schema.check()
        self.assertIn('image_uploads', sa.inspect(self.driver._database.engine).get_table_names())

    def test_marking_a_version_touches_no_table(self):
        self.schema.stamp()
        self.assertEqual(['alembic_version'], sa.inspect(self.driver._database.engine).get_table_names())
        self.assertRaises(errors.ConfigurationError, self.schema.stamp, 'no-such-version')


class SqliteSchemaTest(Tables, databases.Sqlite, base.TestCase):
    """On a file."""


class PostgreSQLSchemaTest(Tables, databases.OnPostgreSQL, base.TestCase):
    """On PostgreSQL."""

    def test_without_trigrams_everything_else_is_made(self):
        """The extension cannot be made in a database whose public schema already has a function of its name."""
        with self.driver._database.engine.begin() as connection:
            connection.exec_driver_sql('CREATE FUNCTION similarity(text, text) RETURNS real LANGUAGE sql AS '
                                       "'SELECT 1::real'")
        self.schema.sync()
        self.schema.check()
        found = {index['name'] for index in sa.inspect(self.driver._database.engine).get_indexes('images')}
        self.assertIn('ix_images_owner_by_name', found)
        self.assertNotIn('ix_images_name_trigrams', found)


class MariaDBSchemaTest(Tables, databases.OnMariaDB, base.TestCase):
    """On MariaDB."""

    def test_text_is_four_byte_and_compares_byte_for_byte(self):
        self.schema.sync()
        with self.driver._database.engine.connect() as connection:
            found = connection.exec_driver_sql(
                'SELECT DISTINCT collation_name, engine FROM information_schema.columns JOIN '
                'information_schema.tables USING (table_schema, table_name) WHERE table_schema = DATABASE() '
                "AND collation_name IS NOT NULL AND table_name <> 'alembic_version'").all()
        self.assertEqual([('utf8mb4_nopad_bin', 'InnoDB')], [tuple(row) for row in found])
