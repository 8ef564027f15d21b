"""The job board on each of its three back ends, and workers that look at it; real servers, tasks that do nothing."""

import collections
import shutil
import threading
import time
import uuid

from testtools.matchers import Contains, Equals, HasLength, Not

from glancelike import errors
from glancelike.core.threads import NativeThreads
from glancelike.model.task import Task
from glancelike.model.upload import Upload
from glancelike.tasks import jobboard
from glancelike.tasks.jobboard import Board, BoardSettings, JobBoardExecutor
from glancelike.tasks.runner import BUSY, FINISHED, LATER
from glancelike.tasks.worker import Worker, WorkerSettings
from tests import base, servers
from tests.servers.etcd import Etcd
from tests.servers.process import Process, free_port, port_answers, wait_until
from tests.servers.redis import Redis
from tests.servers.zookeeper import ZooKeeper
from tests.unit.tasks.test_executor import Runner

SECONDS = 40
CLAIM_SECONDS = 3


class OnRedis:
    backend, server_class = jobboard.REDIS, Redis


class OnEtcd:
    backend, server_class = jobboard.ETCD, Etcd


class OnZooKeeper:
    backend, server_class = jobboard.ZOOKEEPER, ZooKeeper


class BoardCase:
    """Boards with a name of their own on the server that the tests of this process share."""

    def setUp(self):
        super().setUp()
        self.name = uuid.uuid4().hex

    def shared(self):
        return servers.need(self, self.backend)

    def settings(self, server=None, **options):
        server = server or self.shared()
        return BoardSettings(self.backend, (('127.0.0.1', server.port),), name=self.name,
                             **{'claim_seconds': CLAIM_SECONDS, 'call_seconds': 3, **options})

    def board(self, who='somebody', server=None):
        board = Board(self.settings(server), who)
        self.addCleanup(board.close)
        return board

    def posted(self, board, count=1, owner='owner'):
        """The keys of new jobs t0, t1, ..."""
        for number in range(count):
            board.post(f't{number}', owner)
        return [one.key for one in board.postings()]

    def executor(self, server=None, **options):
        boards = []

        def make():
            boards.append(Board(self.settings(server), 'api'))
            return boards[-1]

        executor = JobBoardExecutor(make, NativeThreads(), **options)
        self.addCleanup(lambda: [board.close() for board in boards])
        return executor

    def post(self, executor, task_id, owner='owner', started_at=None):
        executor.post(Task(id=task_id, type='import', owner=owner),
                      Upload(id='lease', image_id='image', node='', store='files', started_at=started_at))

    def names(self, board):
        return [one.task_id for one in board.postings()]


class BoardMixin(BoardCase):

    def test_postings_come_in_the_order_of_posting_with_their_owner(self):
        mine, other = self.board('a'), self.board('b')
        for number in range(12):
            mine.post(f't{number}', f'owner {number}')
        found = other.postings()
        self.assertThat([one.task_id for one in found], Equals([f't{number}' for number in range(12)]))
        self.assertThat([one.owner for one in found], Equals([f'owner {number}' for number in range(12)]))

    def test_one_of_two_gets_the_job(self):
        a, b = self.board('a'), self.board('b')
        [key] = self.posted(a)
        self.assertTrue(a.claim(key))
        self.assertFalse(b.claim(key))
        self.assertFalse(b.renew(key))
        self.assertTrue(a.renew(key))

    def test_only_its_claimer_consumes_or_abandons_it(self):
        a, b = self.board('a'), self.board('b')
        [key] = self.posted(a)
        a.claim(key)
        b.consume(key)
        b.abandon(key)
        self.assertFalse(b.claim(key))
        a.consume(key)
        self.assertThat(b.postings(), HasLength(0))
        self.assertFalse(b.claim(key))

    def test_what_was_abandoned_can_be_claimed_and_kept_by_anybody(self):
        a, b = self.board('a'), self.board('b')
        [key] = self.posted(a)
        for board in (a, b, a):
            self.assertTrue(board.claim(key))
            self.assertTrue(board.renew(key))
            board.abandon(key)
            self.assertFalse(board.renew(key))

    def test_ending_what_is_gone_is_no_error(self):
        a = self.board()
        a.consume('missing')
        a.abandon('missing')
        self.assertFalse(a.renew('missing'))

    def test_other_names_are_other_boards(self):
        self.posted(self.board())
        self.name = uuid.uuid4().hex
        self.assertThat(self.board().postings(), HasLength(0))

    def test_a_board_that_is_down_is_an_error_within_bounds(self):
        board = Board(BoardSettings(self.backend, (('127.0.0.1', free_port()),), call_seconds=0.5), 'a')
        error = self.assertRaises(errors.JobBoardUnavailable, board.postings)
        self.assertThat(str(error), Contains(self.backend))

    def test_another_host_is_asked_when_one_is_down(self):
        server = self.shared()
        settings = BoardSettings(self.backend, (('127.0.0.1', free_port()), ('127.0.0.1', server.port)),
                                 name=self.name, call_seconds=5)
        board = Board(settings, 'a')
        self.addCleanup(board.close)

        def answers():
            try:
                return board.postings() == []
            except errors.JobBoardUnavailable:
                return False
        wait_until(answers, SECONDS, 'the second host to be asked')

    def test_a_claim_outlives_its_first_expiry_when_it_is_renewed(self):
        a, b = self.board('a'), self.board('b')
        [key] = self.posted(a)
        self.assertTrue(a.claim(key))
        end = time.monotonic() + 2.5 * CLAIM_SECONDS
        renewed = []
        wait_until(lambda: renewed.append(a.renew(key)) or time.monotonic() > end, SECONDS, 'three expiries')
        self.assertThat(set(renewed), Equals({True}))
        self.assertFalse(b.claim(key))


class RedisBoardTest(OnRedis, BoardMixin, base.TestCase):

    def test_a_password_is_sent_and_never_shown(self):
        server = servers.use(self, Redis(password='hidden-word'))
        board = Board(self.settings(server, password='hidden-word'), 'a')
        self.addCleanup(board.close)
        self.assertThat(self.posted(board), HasLength(1))
        wrong = Board(self.settings(server, password='wrong-hidden-word'), 'a')
        error = self.assertRaises(errors.JobBoardUnavailable, wrong.postings)
        self.assertThat(str(error) + repr(self.settings(server, password='hidden-word')), Not(Contains('hidden-word')))


    def test_the_master_is_found_through_sentinels(self):
        master, port = servers.use(self, Redis()), free_port()
        conf = self.tmp / 'sentinel.conf'
        conf.write_text(f'port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {master.port} 1\n')
        sentinel = Process([shutil.which('redis-server'), conf, '--sentinel'], self.tmp / 'sentinel.log', cwd=self.tmp)
        self.addCleanup(sentinel.kill9)
        sentinel.wait_ready(lambda: port_answers(port), SECONDS, 'the sentinel')
        board = Board(BoardSettings(self.backend, (('127.0.0.1', port),), name=self.name, redis_sentinel='main'), 'a')
        self.addCleanup(board.close)
        self.assertThat(self.posted(board), HasLength(1))
        self.assertThat(self.board(server=master).postings(), HasLength(1))


class EtcdBoardTest(OnEtcd, BoardMixin, base.TestCase):
    pass


class ZooKeeperBoardTest(OnZooKeeper, BoardMixin, base.TestCase):

    def test_with_a_password_others_cannot_look(self):
        board = Board(self.settings(user='glance', password='hidden-word'), 'a')
        self.addCleanup(board.close)
        self.assertThat(self.posted(board), HasLength(1))
        stranger = self.board('stranger')
        error = self.assertRaises(errors.JobBoardUnavailable, stranger.postings)
        self.assertThat(str(error), Not(Contains('hidden-word')))


class ExecutorMixin(BoardCase):
    """What API processes do."""

    def test_a_task_is_posted_once_however_often_it_is_asked_for(self):
        board, first, second = self.board(), self.executor(), self.executor()
        self.assertThat(first.holder(), Equals(''))
        self.post(first, 't')
        wait_until(lambda: self.names(board) == ['t'], SECONDS, 'the job')
        for _ in range(3):
            for executor in (first, second):
                self.post(executor, 't', started_at='then')
                wait_until(lambda executor=executor: not executor._due, SECONDS, 'the look')
        self.assertThat(self.names(board), Equals(['t']))

    def test_posts_are_made_while_nobody_waits_for_them(self):
        board, executor = self.board(), self.executor()
        for number in range(100):
            self.post(executor, f't{number}')
        wait_until(lambda: len(self.names(board)) == 100, SECONDS, 'a hundred jobs')

    def test_a_board_that_is_down_is_logged_and_the_next_post_arrives(self):
        server = servers.use(self, self.server_class())
        board, executor = self.board(server=server), self.executor(server)
        self.post(executor, 'before')
        wait_until(lambda: self.names(board) == ['before'], SECONDS, 'the first')
        server.kill()
        self.post(executor, 'lost')
        wait_until(lambda: not executor._due, SECONDS, 'the failure')
        server.start()

        def arrived():
            self.post(executor, 'after', started_at='then')
            try:
                return 'after' in self.names(board)
            except errors.JobBoardUnavailable:
                return False
        wait_until(arrived, SECONDS, 'the job after the restart')


class RedisExecutorTest(OnRedis, ExecutorMixin, base.TestCase):

    def test_no_more_than_a_bound_is_remembered(self):
        executor = self.executor(most_due=2)
        executor._posting = True  # as while the board takes its time
        for number in range(5):
            self.post(executor, f't{number}')
        self.assertThat(list(executor._due), Equals(['t0', 't1']))


class EtcdExecutorTest(OnEtcd, ExecutorMixin, base.TestCase):
    pass


class ZooKeeperExecutorTest(OnZooKeeper, ExecutorMixin, base.TestCase):
    pass


class WorkerMixin(BoardCase):
    """Workers with tasks that last as long as the test wants."""

    def worker(self, who='worker', server=None, runner=None, drain=False, **options):
        runner = runner or Runner()
        options = {'max_workers': 2, 'look_seconds': 0.05, 'aside_seconds': 0.2, 'later_seconds': 0.2,
                   'renew_seconds': None if self.backend == jobboard.ZOOKEEPER else CLAIM_SECONDS / 3, **options}
        worker = Worker(self.board(who, server), runner, NativeThreads(), WorkerSettings(**options), drain=drain)
        worker.runner = runner
        worker.thread = threading.Thread(target=worker.run, daemon=True)
        self.addCleanup(self.ended, worker)
        worker.thread.start()
        return worker

    def ended(self, worker):
        worker.stop()
        worker.thread.join(SECONDS)
        self.assertFalse(worker.thread.is_alive())

    def wait_empty(self, board):
        wait_until(lambda: not board.postings(), SECONDS, 'an empty board')

    def test_jobs_are_done_and_removed(self):
        board = self.board()
        worker = self.worker()
        worker.runner.end(*(f't{number}' for number in range(10)))
        self.posted(board, 10)
        self.wait_empty(board)
        self.assertThat(collections.Counter(worker.runner.begun).most_common(1)[0][1], Equals(1))
        self.assertTrue(worker.runner.most <= 2)

    def test_two_workers_share_the_jobs_and_do_none_twice(self):
        board = self.board()
        first, second = self.worker('first'), self.worker('second')
        names = [f't{number}' for number in range(20)]
        self.posted(board, 20)
        wait_until(lambda: len(first.runner.begun) == len(second.runner.begun) == 2, SECONDS, 'both to be busy')
        for worker in (first, second):
            worker.runner.end(*names)
        self.wait_empty(board)
        self.assertThat(sorted(first.runner.begun + second.runner.begun), Equals(sorted(names)))

    def test_projects_take_turns(self):
        board = self.board()
        for number in range(5):
            board.post(f'many{number}', 'many')
        board.post('few', 'few')
        worker = self.worker(max_workers=1)
        worker.runner.wait_begun('many0')
        worker.runner.end('many0', 'few')
        worker.runner.wait_begun('few')
        self.assertThat(worker.runner.begun[:2], Equals(['many0', 'few']))

    def test_a_long_task_keeps_its_claim(self):
        board = self.board()
        [key] = self.posted(board)
        first = self.worker('first')
        first.runner.wait_begun('t0')
        second = self.worker('second')
        end = time.monotonic() + 2 * CLAIM_SECONDS
        wait_until(lambda: time.monotonic() > end, SECONDS, 'two expiries')
        self.assertThat(second.runner.begun, HasLength(0))
        first.runner.end('t0')
        self.wait_empty(board)

    def test_what_somebody_else_has_is_looked_at_again_until_it_is_over(self):
        runner = Runner()
        runner.outcomes['t0'] = BUSY
        runner.end('t0')
        board = self.board()
        self.posted(board)
        self.worker(runner=runner)
        wait_until(lambda: len(runner.begun) > 2, SECONDS, 'a third look')
        runner.outcomes['t0'] = FINISHED
        self.wait_empty(board)

    def test_what_cannot_be_done_now_is_left_to_others_at_once(self):
        first, second = Runner(), Runner()
        first.outcomes['t0'] = LATER
        first.end('t0')
        second.end('t0')
        board = self.board()
        self.posted(board)
        self.worker('first', runner=first, later_seconds=1000)
        first.wait_begun('t0')
        self.worker('second', runner=second)
        self.wait_empty(board)

    def test_stop_gives_back_and_another_goes_on(self):
        board = self.board()
        self.posted(board)
        first = self.worker('first')
        first.runner.wait_begun('t0')
        first.runner.outcomes['t0'] = LATER
        first.stop()
        first.thread.join(SECONDS)
        self.assertFalse(first.thread.is_alive())
        second = Runner()
        second.end('t0')
        self.worker('second', runner=second, aside_seconds=0.1)
        self.wait_empty(board)

    def test_drain_finishes_what_is_there_and_ends(self):
        board = self.board()
        self.posted(board, 5)
        runner = Runner()
        runner.end(*(f't{number}' for number in range(5)))
        worker = self.worker(runner=runner, drain=True)
        worker.thread.join(SECONDS)
        self.assertFalse(worker.thread.is_alive())
        self.assertThat(board.postings(), HasLength(0))

    def test_drain_does_not_wait_for_what_another_does_and_does_for_its_own(self):
        board, other = self.board(), self.board('other')
        keys = self.posted(board, 2)
        other.claim(keys[0])
        worker = self.worker(drain=True)
        worker.runner.wait_begun('t1')
        self.assertTrue(worker.thread.is_alive())
        wait_until(lambda: other.renew(keys[0]), SECONDS, 'the other claim')
        worker.runner.end('t1')
        worker.thread.join(SECONDS)
        self.assertFalse(worker.thread.is_alive())
        self.assertThat(worker.runner.begun, Equals(['t1']))

    def test_a_job_that_is_there_twice_is_done_by_one_at_a_time(self):
        board = self.board()
        board.post('t', 'owner')
        board.post('t', 'owner')
        worker = self.worker()
        worker.runner.wait_begun('t')
        board.post('other', 'owner')
        worker.runner.wait_begun('other')
        self.assertThat(worker.runner.begun.count('t'), Equals(1))
        worker.runner.end('t', 'other')
        self.wait_empty(board)

    def test_the_loss_of_the_board_is_survived(self):
        server = servers.use(self, self.server_class())
        board = self.board(server=server)
        self.posted(board)
        worker = self.worker(server=server)
        worker.runner.wait_begun('t0')
        server.kill()
        worker.runner.end('t0', 'new')
        wait_until(lambda: worker._failures, SECONDS, 'the loss to be noticed')
        server.start()

        def is_new_one_done():
            try:
                if 'new' not in worker.runner.begun and 'new' not in self.names(board):
                    board.post('new', 'owner')
                return 'new' in worker.runner.begun and not board.postings()
            except errors.JobBoardUnavailable:
                return False
        wait_until(is_new_one_done, SECONDS, 'work after the restart')


class RedisWorkerTest(OnRedis, WorkerMixin, base.TestCase):
    pass


class EtcdWorkerTest(OnEtcd, WorkerMixin, base.TestCase):
    pass


class ZooKeeperWorkerTest(OnZooKeeper, WorkerMixin, base.TestCase):
    pass
