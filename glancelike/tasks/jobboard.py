"""The job board: where ``task_executor = jobboard`` says that there is work, and workers look for it.

A board (taskflow's, on Redis, etcd or ZooKeeper) only distributes. What has to be done stands in the database, and the
lease there decides who does it: a job that is lost is posted again by recovery, one that is on the board twice is
found finished the second time, and a claim that ends too early lets another worker look in vain.

=========  ==========================================================================================================
redis      a hash of jobs; a claim is a key that expires, so it is renewed (taskflow's own conductor does neither:
           the jobs of a worker that dies stay claimed for ever)
etcd       a key for each job; a claim is a key under a lease of etcd, renewed likewise
zookeeper  a node for each job; a claim is an ephemeral node and ends with its session
=========  ==========================================================================================================
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from taskflow import exceptions as taskflow_errors

from glancelike import errors
from glancelike.core.threads import NativeThreads
from glancelike.model.task import Task
from glancelike.model.upload import Upload

T = TypeVar('T')
LOG = logging.getLogger(__name__)

REDIS, ETCD, ZOOKEEPER = 'redis', 'etcd', 'zookeeper'
_LIBRARIES = {REDIS: 'redis', ETCD: 'etcd3gw', ZOOKEEPER: 'kazoo'}
_PORTS = {REDIS: 6379, ETCD: 2379, ZOOKEEPER: 2181}
SENTINEL_PORT = 26379
#: Most tasks that one process keeps in mind to post; more than that are posted by recovery, later.
MOST_DUE = 10000


@dataclasses.dataclass(frozen=True, slots=True)
class BoardSettings:
    """Which board, and how to reach it: the group ``[jobboard]``."""

    backend: str
    hosts: tuple[tuple[str, int], ...]
    user: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    name: str = 'glance'
    redis_database: int = 0
    redis_sentinel: str | None = None
    claim_seconds: int = 30
    call_seconds: float = 5


def read_settings(group: Any) -> BoardSettings:
    """The settings in the group ``[jobboard]``.

    :raises ConfigurationError: they do not fit together, or the library of the back end is not installed
    """
    backend = group.backend
    try:
        importlib.import_module(_LIBRARIES[backend])
    except ImportError as error:
        raise errors.ConfigurationError(
            f'[jobboard] backend = {backend} needs a Python library that is not installed: '
            f'pip install glancelike[{backend}]') from error
    if backend == ETCD and (group.user or group.password):
        raise errors.ConfigurationError(
            '[jobboard] user and password cannot be used with backend = etcd: its library knows certificates only. '
            'Set tls, cert_file and key_file.')
    if backend == ZOOKEEPER and bool(group.user) != bool(group.password):
        raise errors.ConfigurationError('[jobboard] user and password go together with backend = zookeeper.')
    if backend != REDIS and group.redis_sentinel:
        raise errors.ConfigurationError(f'[jobboard] redis_sentinel means nothing with backend = {backend}.')
    if bool(group.cert_file) != bool(group.key_file):
        raise errors.ConfigurationError('[jobboard] cert_file and key_file go together.')
    port = SENTINEL_PORT if group.redis_sentinel else _PORTS[backend]
    return BoardSettings(
        backend=backend, hosts=tuple(_address(one, port) for one in group.hosts) or (('127.0.0.1', port),),
        user=group.user, password=group.password, tls=group.tls, ca_file=group.ca_file, cert_file=group.cert_file,
        key_file=group.key_file, name=group.name, redis_database=group.redis_database,
        redis_sentinel=group.redis_sentinel, claim_seconds=group.claim_seconds, call_seconds=group.call_seconds)


def _address(text: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f'//{text}')
        if not parts.hostname or parts.username is not None or parts.path:
            raise ValueError('a name and a port were expected')
        return parts.hostname, parts.port or port
    except ValueError as error:
        raise errors.ConfigurationError('[jobboard] hosts must be host or host:port, separated by commas; IPv6 '
                                        'addresses stand in brackets.') from error


@dataclasses.dataclass(frozen=True, slots=True)
class Posting:
    """One job of the board.

    :ivar key: what the board calls it
    :ivar owner: project that the task belongs to
    :ivar sequence: grows from job to job
    """

    key: str
    task_id: str
    owner: str | None
    sequence: int


class Board:
    """One connection to the job board, made at first use and anew after it broke. For one thread at a time.

    Every method raises ``JobBoardUnavailable`` when the board does not answer; the next call then tries again, with
    the next of the hosts.

    :param who: under which name jobs are claimed
    :param green: this is a process with eventlet's hub
    """

    def __init__(self, settings: BoardSettings, who: str, *, green: bool = False):
        self._settings = settings
        #: The library of ZooKeeper has threads of its own; beside a hub they are green, and so must its callers be.
        self.in_hub = green and settings.backend == ZOOKEEPER
        self._who = who
        self._host = 0
        self._board: Any = None
        self._client: Any = None
        self._jobs: dict[str, Any] = {}

    def postings(self) -> list[Posting]:
        """All jobs of the board, whoever has claimed them, those first that were posted first."""
        return self._ask(self._list)

    def post(self, task_id: str, owner: str | None) -> None:
        """Say that the task is to be done."""
        self._ask(lambda board: board.post(task_id, details={'owner': owner}))

    def claim(self, key: str) -> bool:
        """Take the job; False when somebody else has it or it is gone."""
        return self._ask(self._claim, key)

    def renew(self, key: str) -> bool:
        """Keep the claim for another ``claim_seconds``; False when it is not ours any more."""
        return self._ask(self._renew, key)

    def consume(self, key: str) -> None:
        """Remove the job that we have claimed; nothing happens when it is gone or somebody else's."""
        self._ask(self._end, 'consume', key)

    def abandon(self, key: str) -> None:
        """End our claim of the job; nothing happens when it is gone or somebody else's."""
        self._ask(self._end, 'abandon', key)

    def close(self) -> None:
        """End the connection. Claims of ZooKeeper end with it, those of the others by and by."""
        board, client = self._board, self._client
        self._board = self._client = None
        self._jobs = {}
        for part, end in ((board, 'close'), (client, 'stop'), (client, 'close')):
            call = getattr(part, end, None)
            if call is not None:
                try:
                    call()
                except Exception as error:  # of whatever library; the connection is given up in any case
                    LOG.debug('The connection to the job board did not end cleanly: %s', type(error).__name__)

    # --- calls ------------------------------------------------------------------------------------------------------

    def _ask(self, call: Callable[..., T], *args: Any) -> T:
        stale = self._board is not None  # it may have broken since the last call: then a new one is tried at once
        while True:
            try:
                return call(self._connected(), *args)
            except errors.JobBoardUnavailable:
                raise
            except Exception as error:  # each library has its own errors, of which taskflow translates a part
                self.close()
                if not stale:
                    self._host += 1
                    raise errors.JobBoardUnavailable(backend=self._settings.backend, reason=_reason(error)) from error
                stale = False

    def _list(self, board: Any) -> list[Posting]:
        # taskflow's iterator asks the server for the state of each job, several round trips apiece. Whether a job is
        # free shows when it is claimed; so we take what the iterator would go through.
        jobs = board.iterjobs(ensure_fresh=True)._board_fetch_func(ensure_fresh=True)
        self._jobs = {job.uuid: job for job in jobs}
        found = [Posting(job.uuid, job.name, job.details.get('owner'), job.sequence) for job in jobs]
        return sorted(found, key=lambda one: one.sequence)

    def _find(self, board: Any, key: str) -> Any:
        if key not in self._jobs:  # the connection is a new one: jobs belong to the one that listed them
            self._list(board)
        return self._jobs.get(key)

    def _claim(self, board: Any, key: str) -> bool:
        job = self._find(board, key)
        if job is None:
            return False
        try:
            if self._settings.backend == ZOOKEEPER:
                board.claim(job, self._who)
            else:
                board.claim(job, self._who, expiry=self._settings.claim_seconds)
        except (taskflow_errors.UnclaimableJob, taskflow_errors.NotFound):
            return False
        if self._settings.backend == ETCD:
            job._lease = None  # that of an earlier claim, which taskflow would go on renewing
        return True

    @staticmethod
    def _owner_of(board: Any, job: Any) -> str | None:
        try:
            return board.find_owner(job)
        except TypeError:  # taskflow 6.5 on Redis: nobody has it
            return None

    def _renew(self, board: Any, key: str) -> bool:
        job = self._find(board, key)
        if job is None or self._owner_of(board, job) != self._who:
            return False
        return self._settings.backend == ZOOKEEPER or bool(job.extend_expiry(self._settings.claim_seconds))

    def _end(self, board: Any, how: str, key: str) -> None:
        job = self._find(board, key)
        if job is None or self._owner_of(board, job) != self._who:
            return
        with contextlib.suppress(taskflow_errors.NotFound):
            getattr(board, how)(job, self._who)

    # --- connections ------------------------------------------------------------------------------------------------

    def _connected(self) -> Any:
        if self._board is None:
            make = {REDIS: self._redis, ETCD: self._etcd, ZOOKEEPER: self._zookeeper}[self._settings.backend]
            self._board = make(*self._settings.hosts[self._host % len(self._settings.hosts)])
            if self._settings.backend == ZOOKEEPER:
                self._board.connect(timeout=self._settings.call_seconds)
            else:
                self._board.connect()
        elif self._settings.backend == ZOOKEEPER:
            self._check_session()
        return self._board

    def _check_session(self) -> None:
        # Without a server taskflow's board says that there are no jobs. A session that is only suspended still holds
        # our claims, and kazoo connects again for call_seconds; after that the session is given up.
        from kazoo.protocol.states import KazooState
        if self._client.state == KazooState.SUSPENDED:
            raise errors.JobBoardUnavailable(backend=ZOOKEEPER, reason='the connection broke and is made again')
        if not self._client.connected:
            raise ConnectionError('the session ended')

    def _redis(self, host: str, port: int) -> Any:
        from taskflow.jobs.backends.impl_redis import RedisJobBoard
        settings = self._settings
        conf = {'host': host, 'port': port, 'db': settings.redis_database, 'namespace': settings.name,
                'username': settings.user, 'password': settings.password, 'socket_timeout': settings.call_seconds,
                'socket_connect_timeout': settings.call_seconds}
        if settings.tls:
            conf |= {'ssl': True, 'ssl_ca_certs': settings.ca_file, 'ssl_certfile': settings.cert_file,
                     'ssl_keyfile': settings.key_file}
        if settings.redis_sentinel:
            others = [f'[{one[0]}]:{one[1]}' if ':' in one[0] else f'{one[0]}:{one[1]}' for one in settings.hosts
                      if one != (host, port)]
            conf |= {'sentinel': settings.redis_sentinel, 'sentinel_fallbacks': others}
        return RedisJobBoard(settings.name, {key: value for key, value in conf.items() if value is not None})

    def _etcd(self, host: str, port: int) -> Any:
        import etcd3gw
        import requests
        from taskflow.jobs.backends.impl_etcd import EtcdJobBoard
        settings = self._settings
        session = requests.Session()
        session.trust_env = False  # no proxies, and no variable that overrides ca_file
        session.verify = settings.ca_file or True
        session.cert = (settings.cert_file, settings.key_file) if settings.cert_file else None
        # Given a client, the board does not watch: its watcher neither ends nor recovers when etcd goes away.
        client = etcd3gw.Etcd3Client(host=host, port=port, protocol='https' if settings.tls else 'http',
                                     timeout=settings.call_seconds, session=session)
        self._client = session
        return EtcdJobBoard(settings.name, {'path': settings.name}, client=client)

    def _zookeeper(self, _host: str, _port: int) -> Any:
        from kazoo.client import KazooClient
        from kazoo.security import make_digest_acl
        from taskflow.jobs.backends.impl_zookeeper import ZookeeperJobBoard
        settings = self._settings
        hosts = ','.join(f'[{host}]:{port}' if ':' in host else f'{host}:{port}' for host, port in settings.hosts)
        login = {}
        if settings.user:
            login = {'auth_data': [('digest', f'{settings.user}:{settings.password}')],
                     'default_acl': [make_digest_acl(settings.user, settings.password, all=True)]}
        # Without an end to its tries a call of kazoo waits for ever while no server answers.
        tries = {'max_tries': -1, 'max_delay': 1, 'deadline': settings.call_seconds}
        if self.in_hub:
            from kazoo.handlers.eventlet import SequentialEventletHandler
            login['handler'] = handler = SequentialEventletHandler()
            tries['sleep_func'] = handler.sleep_func
            login['command_retry'] = {'sleep_func': handler.sleep_func}
        client = KazooClient(
            hosts=hosts, timeout=settings.claim_seconds, use_ssl=settings.tls, ca=settings.ca_file,
            certfile=settings.cert_file, keyfile=settings.key_file, connection_retry=tries, **login)
        self._client = client
        # The check of its version needs a command (envi) that servers do not answer unless told to.
        conf = {'path': f'/{settings.name}/jobs', 'check_compatible': False}
        return ZookeeperJobBoard(settings.name, conf, client=client, emit_notifications=False)


def _reason(error: BaseException) -> str:
    """The innermost cause, for a log: its kind and its first line. Back ends do not repeat passwords."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f'{type(error).__name__}: {error}'.splitlines()[0][:300].rstrip(': ')


class JobBoardExecutor:
    """Posts tasks to the board (``core.imports.Executor``). ``post`` never waits: a duty of the process does the work.

    :param make_board: a new ``Board``
    """

    def __init__(self, make_board: Callable[[], Board], threads: NativeThreads, most_due: int = MOST_DUE):
        self._make_board = make_board
        self._threads = threads
        self._most_due = most_due
        self._inherited: list[Board | None] = []
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._due: dict[str, tuple[str | None, bool]] = {}
        self._board: Board | None = None
        self._posting = False

    def holder(self) -> str:
        """Nobody yet: whoever claims the job."""
        return ''

    def post(self, task: Task, upload: Upload) -> None:
        """Have the job posted, unless the board has it. When the board does not answer it is logged: recovery posts
        again."""
        if self._pid != os.getpid():  # a fork; closing the parent's connection would disturb the parent
            self._inherited.append(self._board)
            self._reset()
        # Only what was begun this very moment cannot be on the board yet: it has not been read from the database.
        new = upload.started_at is None
        with self._lock:
            if task.id in self._due:
                return
            if len(self._due) >= self._most_due:
                LOG.warning('Task %s is posted later: %d are waiting to be.', task.id, len(self._due))
                return
            self._due[task.id] = (task.owner, new)
            if self._posting:
                return
            self._posting = True
        self._threads.spawn('job board', self._post_while_due)

    def stop(self, seconds: float = 0) -> bool:
        """Nothing is being done here that could be stopped."""
        return True

    def _post_while_due(self) -> None:
        try:
            while True:
                with self._lock:
                    batch = dict(self._due)
                    if not batch:
                        self._posting = False
                        return
                if self._board is None:
                    self._board = self._make_board()
                try:
                    if self._board.in_hub:
                        self._post_all(batch)
                    else:
                        self._threads.run(self._post_all, batch)
                except errors.JobBoardUnavailable as error:
                    LOG.warning('%s Up to %d tasks are posted later.', error, len(batch))
                with self._lock:
                    for task_id in batch:
                        del self._due[task_id]
        except BaseException:
            with self._lock:
                self._due.clear()
                self._posting = False
            raise

    def _post_all(self, batch: dict[str, tuple[str | None, bool]]) -> None:
        there: Sequence[str] | set[str] = ()
        if not all(new for _owner, new in batch.values()):
            there = {posting.task_id for posting in self._board.postings()}
        for task_id, (owner, _new) in batch.items():
            if task_id not in there:
                self._board.post(task_id, owner)
                LOG.info('Task %s is posted to the job board.', task_id)
