"""What the tests of the sqlalchemy driver start from: a driver with tables, statements that can be counted."""

import contextlib
import multiprocessing
import uuid
from unittest import mock

from sqlalchemy import event

from glancelike.db_drivers.sqlalchemy import sqlite
from glancelike.plugin import Image, Location, RequestContext, Upload, errors
from tests.servers import databases

ADMIN = RequestContext(user_id='administrator', is_admin=True)
OWNER = RequestContext(user_id='user', project_id='owner')
PLACE = Location('file:///image', 'fast', {'n': 1})


class DriverCase:
    """Mixin beside one of ``tests.servers.databases``: ``self.driver`` on an empty database."""

    OPTIONS = {'max_retries': 0}

    def setUp(self):
        super().setUp()
        self.url = self.empty_url()
        self.driver = self.make_driver()
        self.driver.create_schema()

    def make_driver(self, **options):
        """A driver on the test's database, closed after the test."""
        driver = databases.driver(self.url, **{**self.OPTIONS, **options})
        self.addCleanup(driver.close)
        return driver

    @property
    def database(self):
        return self.driver._database

    def stored(self, **fields):
        """A new image of the owner."""
        return self.driver.image_create(ADMIN, Image(**{'id': str(uuid.uuid4()), 'owner': 'owner', **fields}))

    def lease(self, image, **fields):
        """An upload of the image, not in the database yet."""
        return Upload(**{'id': str(uuid.uuid4()), 'image_id': image.id, 'node': 'n', 'store': 's',
                         'owner': image.owner, **fields})

    @contextlib.contextmanager
    def statements(self, driver=None):
        """A list of (statement, parameters) that is filled with what the driver sends."""
        engine, sent = (driver or self.driver)._database.engine, []

        def note(_connection, _cursor, statement, parameters, _context, _many):
            sent.append((statement, parameters))
        def note_rows(engine, select, parameters, rows=sqlite.rows):  # beside SQLAlchemy's events
            sent.append((str(select), parameters))
            return rows(engine, select, parameters)
        event.listen(engine, 'before_cursor_execute', note)
        try:
            with mock.patch.object(sqlite, 'rows', note_rows):
                yield sent
        finally:
            event.remove(engine, 'before_cursor_execute', note)

    def in_processes(self, *calls):
        """Do the calls at once, each in a forked process; what each returned, or the name of the error of ours."""
        fork = multiprocessing.get_context('fork')
        start, ends = fork.Barrier(len(calls)), [fork.Pipe(duplex=False) for _ in calls]
        children = [fork.Process(target=_run, args=(call, start, writing))
                    for call, (_, writing) in zip(calls, ends, strict=True)]
        for child in children:
            child.start()
        try:
            for reading, _ in ends:
                if not reading.poll(120):
                    raise AssertionError('a process did not answer within two minutes')
            return [reading.recv() for reading, _ in ends]
        finally:
            for child in children:
                child.kill()
                child.join()


def _run(call, start, writing):
    try:
        start.wait(60)
        result = call()
        writing.send(result if isinstance(result, (bool, int, str, type(None))) else 'done')
    except errors.GlanceError as error:
        writing.send(type(error).__name__)
    except BaseException as error:
        writing.send(f'failed: {error!r}')
