"""Tasks in the process that took the request: how many, whose first, and what is remembered."""

import collections
import os
import threading

from testtools.matchers import Contains, Equals, HasLength, Not

from glancelike import errors
from glancelike.core.leases import Leases
from glancelike.core.threads import NativeThreads
from glancelike.model.task import Task
from glancelike.model.upload import Upload
from glancelike.tasks import executor as executors
from glancelike.tasks.executor import LocalExecutor
from glancelike.tasks.runner import BUSY, FINISHED, LATER
from tests import base
from tests.servers.process import wait_until

SECONDS = 20


class Runner:
    """Does tasks when the test says so."""

    def __init__(self):
        self.begun = []
        self.outcomes = collections.defaultdict(lambda: FINISHED)
        self.stopped = False
        self._gates = collections.defaultdict(threading.Event)
        self._lock = threading.Lock()
        self._running = 0
        self.most = 0

    def run(self, task_id):
        with self._lock:
            self.begun.append(task_id)
            self._running += 1
            self.most = max(self.most, self._running)
        self._gates[task_id].wait(SECONDS)
        with self._lock:
            self._running -= 1
        outcome = self.outcomes[task_id]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def stop(self):
        self.stopped = True
        for gate in list(self._gates.values()):
            gate.set()

    def end(self, *task_ids):
        for task_id in task_ids:
            self._gates[task_id].set()

    def wait_begun(self, *task_ids):
        wait_until(lambda: set(task_ids) <= set(self.begun), SECONDS, f'{task_ids} of {self.begun} to begin')


class Database:
    """Says to every heartbeat that the claim stands."""

    CAPABILITIES = frozenset()

    def upload_heartbeat(self, upload_id):
        return True


class LocalExecutorTest(base.TestCase):

    def setUp(self):
        super().setUp()
        self.threads = NativeThreads()
        self.leases = Leases(Database(), self.threads)
        self.runner = Runner()
        self.addCleanup(self.runner.stop)
        self.executor = self.make()

    def make(self, **options):
        self.executor = LocalExecutor(self.runner, Database(), self.leases, self.threads, **options)
        self.addCleanup(self.executor.stop)
        return self.executor

    def post(self, task_id, owner='owner', node=None, lease='lease'):
        upload = Upload(id=f'{lease} of {task_id}', image_id=f'image of {task_id}', store='files', task_id=task_id,
                        node=self.executor.holder() if node is None else node)
        self.executor.post(Task(id=task_id, type='import', owner=owner), upload)

    def test_the_holder_is_this_process(self):
        self.assertThat(self.executor.holder(), Equals(self.leases.node.name))

    def test_no_more_than_max_workers_run_at_once(self):
        self.make(max_workers=3)
        names = [f't{number}' for number in range(20)]
        for name in names:
            self.post(name)
        self.runner.wait_begun('t0', 't1', 't2')
        self.runner.end(*names)
        self.runner.wait_begun(*names)
        self.assertThat(self.runner.most, Equals(3))
        self.assertThat(self.runner.begun, HasLength(20))

    def test_the_first_of_another_project_does_not_wait_for_all_of_the_first(self):
        self.make(max_workers=1)
        for number in range(5):
            self.post(f'many{number}', 'many')
        self.post('few', 'few')
        self.runner.wait_begun('many0')
        self.runner.end('many0')
        self.runner.wait_begun('few')
        self.assertThat(self.runner.begun, Equals(['many0', 'few']))

    def test_a_project_that_is_at_its_bound_does_not_hold_up_others(self):
        self.make(max_workers=4, max_per_owner=1)
        self.post('a1', 'a')
        self.post('a2', 'a')
        self.post('b1', 'b')
        self.runner.wait_begun('a1', 'b1')
        self.assertThat(self.runner.begun, Not(Contains('a2')))
        self.runner.end('a1')
        self.runner.wait_begun('a2')

    def test_a_task_that_waits_or_runs_is_not_begun_again(self):
        self.make(max_workers=1)
        for _ in range(3):
            self.post('running')
            self.post('waiting')
        self.runner.wait_begun('running')
        self.post('running')
        self.runner.end('running', 'waiting')
        self.runner.wait_begun('waiting')
        wait_until(lambda: not self.executor._known, SECONDS, 'the end of both')
        self.assertThat(self.runner.begun, Equals(['running', 'waiting']))

    def test_a_finished_task_may_be_posted_again(self):
        self.runner.end('t')
        self.post('t')
        wait_until(lambda: not self.executor._known, SECONDS, 'the end')
        self.post('t')
        wait_until(lambda: self.runner.begun == ['t', 't'], SECONDS, 'the second time')

    def test_the_lease_of_a_waiting_task_is_kept_until_it_begins(self):
        self.make(max_workers=1)
        self.post('first')
        self.post('second')
        self.runner.wait_begun('first')
        self.assertThat(list(self.leases._kept), Equals(['lease of second']))
        self.runner.end('first')
        self.runner.wait_begun('second')
        self.assertThat(self.leases._kept, HasLength(0))

    def test_a_lease_that_is_not_ours_is_not_kept(self):
        self.make(max_workers=1)
        self.post('first')
        self.post('second', node='elsewhere:1:1:a:1')
        self.assertThat(self.leases._kept, HasLength(0))

    def test_a_waiting_task_that_is_handed_on_has_its_new_lease_kept(self):
        self.make(max_workers=1)
        self.post('first')
        self.post('second')
        self.post('second', lease='new lease')
        self.runner.wait_begun('first')
        self.assertThat(list(self.leases._kept), Equals(['new lease of second']))

    def test_what_somebody_else_does_is_forgotten(self):
        self.runner.outcomes['t'] = BUSY
        self.runner.end('t')
        self.post('t')
        wait_until(lambda: self.runner.begun and not self.executor._known, SECONDS, 'the end')
        self.assertThat(self.runner.begun, Equals(['t']))

    def test_what_cannot_be_done_now_is_tried_again(self):
        self.make(later_seconds=0.01)
        self.runner.outcomes['t'] = LATER
        self.runner.end('t')
        self.post('t')
        wait_until(lambda: len(self.runner.begun) >= 3, SECONDS, 'the third time')
        self.runner.outcomes['t'] = FINISHED
        wait_until(lambda: not self.executor._known, SECONDS, 'the end')

    def test_an_unforeseen_error_holds_up_nobody(self):
        self.make(max_workers=1)
        self.runner.outcomes['bad'] = ValueError('unforeseen')
        self.runner.end('bad', 'good')
        self.post('bad')
        self.post('good')
        self.runner.wait_begun('good')

    def test_what_waits_is_bounded_and_the_project_with_most_gives_way(self):
        self.make(max_workers=1, most_waiting=3)
        self.post('running')
        for number in range(5):
            self.post(f'many{number}', 'many')
        self.post('few', 'few')
        waiting = {owner: [one.task_id for one in queue] for owner, queue in self.executor._waiting.items()}
        self.assertThat(waiting, Equals({'many': ['many0', 'many1'], 'few': ['few']}))
        self.assertThat(self.leases._kept, HasLength(3))

    def test_stop_begins_nothing_and_gives_back_what_runs(self):
        self.make(max_workers=1)
        self.runner.outcomes['running'] = LATER
        self.post('running')
        self.post('waiting')
        self.runner.wait_begun('running')
        self.assertTrue(self.executor.stop(SECONDS))
        self.assertTrue(self.runner.stopped)
        self.post('late')
        self.assertThat(self.runner.begun, Equals(['running']))
        self.assertThat(self.leases._kept, HasLength(0))

    def test_nothing_is_started_before_the_first_post(self):
        before = threading.active_count()
        self.make()
        self.assertThat(threading.active_count(), Equals(before))

    def test_a_fork_does_its_own_tasks_and_not_its_parent_s(self):
        self.make(max_workers=1)
        self.post('running')
        self.post('waiting')
        self.runner.wait_begun('running')
        child = os.fork()
        if child == 0:
            try:
                self.runner.end('mine')
                self.runner.begun.clear()
                self.post('mine')
                wait_until(lambda: self.runner.begun and not self.executor._known, SECONDS, 'the end')
                os._exit(0 if self.runner.begun == ['mine'] and not self.leases._kept else 1)
            finally:
                os._exit(2)
        _pid, status = os.waitpid(child, 0)
        self.assertThat(os.waitstatus_to_exitcode(status), Equals(0))

    def test_a_job_board_needs_a_database_that_can_be_shared(self):
        class Conf:
            class task:
                task_executor = 'jobboard'
            data_api = 'simple'
        self.assertRaises(errors.ConfigurationError, executors.make, Conf, self.threads, self.leases, Database(),
                          self.runner)
