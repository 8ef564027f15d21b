"""Which steps of a task are done: kept for whoever goes on, and gone with the task."""

import threading
import uuid

import sqlalchemy
from taskflow import engines
from taskflow import exceptions as taskflow_errors
from taskflow import task as taskflow_task
from taskflow.patterns import linear_flow
from testtools.matchers import Contains, Equals, HasLength, Not

from glancelike import errors
from glancelike.tasks.flow_book import FlowBook
from tests import base
from tests.servers import databases

TABLES = ('logbooks', 'flowdetails', 'atomdetails')


class Died(BaseException):
    """The process ends in the middle of a step."""


class Step(taskflow_task.Task):
    """Says that it was done; dies when it is told to."""

    default_provides = None

    def __init__(self, name, done, dies=False):
        super().__init__(name)
        self._done, self._dies = done, dies

    def execute(self):
        self._done.append(self.name)
        if self._dies:
            raise Died()


class FlowBookMixin:

    def setUp(self):
        super().setUp()
        self.url = self.new_url()
        self.task_id = str(uuid.uuid4())

    def book(self):
        book = FlowBook(self.url, patience_seconds=0.2)
        self.addCleanup(book.close)
        return book

    def run_flow(self, book, done, dies=False):
        """As a process does that has just got the lease."""
        flow = linear_flow.Flow('f').add(Step('first', done), Step('second', done, dies))
        backend, logbook, detail = book.detail(self.task_id, str(uuid.uuid4()))
        engines.load(flow, flow_detail=detail, book=logbook, backend=backend).run()

    def counts(self):
        engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            return [connection.exec_driver_sql(f'SELECT count(*) FROM {table}').scalar() for table in TABLES]

    def test_another_process_does_what_was_not_finished_and_nothing_else(self):
        done = []
        self.assertRaises(Died, self.run_flow, self.book(), done, dies=True)
        self.run_flow(self.book(), done)
        self.assertThat(done, Equals(['first', 'second', 'second']))

    def test_what_is_forgotten_begins_anew_and_leaves_no_row(self):
        done, book = [], self.book()
        self.run_flow(book, done)
        self.assertThat(self.counts(), Equals([1, 1, 2]))
        book.forget(self.task_id)
        self.assertThat(self.counts(), Equals([0, 0, 0]))
        self.run_flow(book, done)
        self.assertThat(done, Equals(['first', 'second'] * 2))

    def test_forgetting_an_unknown_task_is_no_error(self):
        self.book().forget(self.task_id)

    def test_books_of_ended_tasks_are_swept(self):
        book = self.book()
        for task_id in (self.task_id, str(uuid.uuid4()), str(uuid.uuid4())):
            book.detail(task_id, f'lease of {task_id}')
        self.assertThat(book.sweep(lambda task_id: task_id == self.task_id), Equals(2))
        self.assertThat(self.counts(), Equals([1, 1, 0]))

    def test_processes_that_begin_at_once_make_the_tables_once(self):
        problems = []

        def begin(book):
            try:
                book.detail(str(uuid.uuid4()), 'lease of ' + str(uuid.uuid4()))
            except Exception as error:
                problems.append(error)
        threads = [threading.Thread(target=begin, args=(self.book(),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertThat(problems, HasLength(0))
        self.assertThat(self.counts(), Equals([4, 4, 0]))

    def test_who_has_lost_the_lease_can_note_nothing_any_more(self):
        done, first, second = [], self.book(), self.book()
        backend, logbook, detail = first.detail(self.task_id, 'old lease')
        second.detail(self.task_id, 'new lease')
        engine = engines.load(linear_flow.Flow('f').add(Step('first', done)), flow_detail=detail, book=logbook,
                              backend=backend)
        self.assertRaises(taskflow_errors.TaskFlowException, engine.run)
        self.assertThat(done, HasLength(0))

    def test_the_tables_of_images_are_left_alone(self):
        driver = databases.driver(self.url)
        self.addCleanup(driver.close)
        driver.create_schema()
        self.book().detail(self.task_id, 'lease')
        driver.check_schema()
        driver.create_schema()

    def test_a_database_that_does_not_answer_is_unavailable_and_its_address_no_one_s_business(self):
        self.url = self.dead_url()
        error = self.assertRaises(errors.DatabaseUnavailable, self.book().detail, self.task_id, 'lease')
        self.assertThat(str(error), Not(Contains('hidden-word')))
        self.book().forget(self.task_id)


class SqliteFlowBookTest(FlowBookMixin, databases.Sqlite, base.TestCase):

    def test_a_malformed_address_is_refused_without_showing_it(self):
        for url in ('hidden-word', 'sqlite://', 'nonsense://hidden-word'):
            error = self.assertRaises(errors.ConfigurationError, FlowBook, url)
            self.assertThat(str(error), Not(Contains('hidden-word')))


class PostgreSQLFlowBookTest(FlowBookMixin, databases.OnPostgreSQL, base.TestCase):
    pass


class MariaDBFlowBookTest(FlowBookMixin, databases.OnMariaDB, base.TestCase):
    pass
