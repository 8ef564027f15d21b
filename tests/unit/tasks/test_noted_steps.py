"""Noted steps of a task: kept for whoever goes on with it, and closed to whoever had it before."""

import sqlalchemy
from taskflow import engines
from taskflow import exceptions as taskflow_errors
from taskflow import task as taskflow_task
from taskflow.patterns import linear_flow
from testtools.matchers import Equals

from glancelike import errors
from glancelike.tasks.flow_book import FlowBook
from tests import base


class Died(BaseException):
    """A kill -9, as far as a flow can tell."""


class Step(taskflow_task.Task):
    def __init__(self, name, does, undone):
        super().__init__(name, provides=f'{name} result')
        self._does, self._undone = does, undone

    def execute(self):
        return self._does()

    def revert(self, **_kwargs):
        self._undone.append(self.name)


class FlowBookTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.url = f'sqlite:///{self.tmp}/book.sqlite'
        self.book = FlowBook(self.url, patience_seconds=0.1)
        self.addCleanup(self.book.close)
        self.done, self.undone = [], []

    def engine(self, lease_id, second=lambda: 'second'):
        def first():
            self.done.append(lease_id)
            return 'first'
        backend, book, detail = self.book.detail('task', lease_id)
        flow = linear_flow.Flow('flow').add(Step('one', first, self.undone), Step('two', second, self.undone))
        return engines.load(flow, engine='serial', backend=backend, book=book, flow_detail=detail)

    def rows(self):
        engine = sqlalchemy.create_engine(self.url)
        self.addCleanup(engine.dispose)
        with engine.connect() as connection:
            return [connection.exec_driver_sql(f'SELECT COUNT(*) FROM {table}').scalar()
                    for table in ('logbooks', 'flowdetails', 'atomdetails')]

    def test_a_step_that_is_done_is_not_done_again(self):
        self.assertRaises(Died, self.engine('a', _die).run)
        engine = self.engine('b')
        engine.run()
        self.assertThat(self.done, Equals(['a']))
        self.assertThat(engine.storage.fetch('one result'), Equals('first'))

    def test_the_same_lease_finds_what_it_noted(self):
        self.assertRaises(Died, self.engine('a', _die).run)
        self.engine('a').run()
        self.assertThat(self.done, Equals(['a']))

    def test_who_had_the_lease_before_can_note_nothing_any_more(self):
        def taken_over():
            self.engine('b')
        self.assertRaises(taskflow_errors.NotFound, self.engine('a', taken_over).run)
        self.engine('b').run()
        self.assertThat(self.done, Equals(['a']))

    def test_a_flow_that_failed_begins_anew(self):
        self.assertRaises(ValueError, self.engine('a', _fail).run)
        self.assertThat(self.undone, Equals(['two', 'one']))
        self.engine('b').run()
        self.assertThat(self.done, Equals(['a', 'b']))

    def test_nothing_is_left_of_a_task_that_is_forgotten(self):
        self.assertRaises(Died, self.engine('a', _die).run)
        self.engine('b').run()
        self.book.forget('task')
        self.book.forget('task')
        self.assertThat(self.rows(), Equals([0, 0, 0]))

    def test_a_sweep_removes_what_ended_tasks_have_left(self):
        self.engine('a').run()
        self.assertThat(self.book.sweep(lambda task_id: True), Equals(0))
        self.assertThat(self.book.sweep(lambda task_id: False), Equals(1))
        self.assertThat(self.rows(), Equals([0, 0, 0]))

    def test_a_database_that_goes_away_in_the_middle_is_unavailable(self):
        def lose():
            engine = sqlalchemy.create_engine(self.url)
            with engine.begin() as connection:
                connection.exec_driver_sql('ALTER TABLE atomdetails RENAME TO elsewhere')
            engine.dispose()
            return 'url of the data'
        with self.assertLogs('oslo_utils.excutils', 'ERROR') as logged:
            self.assertRaises(errors.DatabaseUnavailable, self.engine('a', lose).run)
        self.assertNotIn('url of the data', ' '.join(logged.output))


def _die():
    raise Died


def _fail():
    raise ValueError('no')
