"""The bundled server: everything that knows of eventlet.

How others are served while one request waits is decided here, for the whole project:

* ``patch`` runs before any other import. Sockets, sleeps and locks are green afterwards: a green thread that waits
  for a client, for PostgreSQL (psycopg2's wait callback) or for MySQL (PyMySQL is Python over sockets) lets others
  run.
* What blocks in C goes to native threads: SQLite (``sqlite_threads.py``), name look-ups, and whatever ``core`` hands
  to :class:`GreenThreads` (store drivers, hashing, files).
* A lock may be taken on both sides (logging, a driver's cache), so the locks are :class:`Lock` below and not
  eventlet's own, which only work within one native thread.
* The pool of native threads grows with need and has no upper bound of its own: a bound would let slow uploads, each
  of which keeps one, starve the database. What bounds it is the number of connections.

Each worker process has one hub, on its main thread.
"""

from __future__ import annotations

import _queue
import collections
import errno
import functools
import gc
import logging
import os
import resource
import signal
import ssl
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

# eventlet's own resolver asks DNS only and reads no nsswitch.conf; look-ups go to native threads instead.
os.environ['EVENTLET_NO_GREENDNS'] = 'yes'

with warnings.catch_warnings():
    # Its authors warn each importer that it gets fixes only. That is why all of it is in this one file.
    warnings.simplefilter('ignore')
    # Where pyOpenSSL is installed it would be imported for sockets that nobody here makes: 50 ms and 4 MiB.
    sys.modules.setdefault('OpenSSL', None)
    import eventlet
    import eventlet.green.thread
    import eventlet.patcher
    from eventlet import hubs
    from greenlet import getcurrent
    if sys.modules['OpenSSL'] is None:
        del sys.modules['OpenSSL']

T = TypeVar('T')
LOG = logging.getLogger(__name__)

_native = eventlet.patcher.original('_thread')
_native_select = eventlet.patcher.original('select')
_native_time = eventlet.patcher.original('time')

IDLE_SECONDS = 30        #: an idle native thread ends after that
#: How much nicer than the hub the threads are that hash and send files. Beside 4 uploads (two busy cores) twice as many
#: GETs are answered with this as without.
BESIDE_NICE = 10
FEED_PIECES = 4          #: pieces of an upload that may wait for a store
FRESH_SECONDS = 2.0      #: a stopping server waits that long for the first request of a connection
PATIENT_SECONDS = 10.0  #: an old process of a reload waits that long for one more request of a connection
ACCEPT_PAUSE_SECONDS = 0.1  #: after accept failed for want of descriptors or memory
SPARE_FILES = 256        #: descriptors kept for files and back ends


def patch() -> None:
    """Make the standard library green. Call it once, first of all, in programs only (``cmd``).

    Not patched: ``os``, whose green read and write are for pipes and only slow down files.
    """
    eventlet.green.thread.LockType = eventlet.green.thread.Lock = Lock
    eventlet.monkey_patch(os=False, select=True, socket=True, thread=True, time=True, subprocess=True, psycopg=False)
    threads = GreenThreads()
    import sqlite3
    import threading

    from glancelike.wsgi import sqlite_threads
    threaded = sqlite_threads.connect_function(threads.run, sqlite3.connect)
    sqlite3.connect = sqlite3.dbapi2.connect = threaded
    import socket
    socket.getaddrinfo = functools.wraps(socket.getaddrinfo)(functools.partial(_run_with, threads, socket.getaddrinfo))
    if hasattr(threading, '_start_new_thread'):  # gone in Python 3.13
        threading._start_new_thread = functools.partial(
            _start_thread, _native.get_ident(), threading._start_new_thread)


def _run_with(threads: GreenThreads, call: Callable[..., T], *args: Any, **options: Any) -> T:
    return threads.run(functools.partial(call, *args, **options))


def make_drivers_green() -> None:
    """Let psycopg2, where it is in use, wait in the hub. Called after the application is built."""
    if 'psycopg2' in sys.modules:
        from psycopg2 import extensions
        extensions.set_wait_callback(_wait_for_postgresql)


def _wait_for_postgresql(connection: Any) -> None:
    from psycopg2 import OperationalError, extensions
    while True:
        state = connection.poll()
        if state == extensions.POLL_OK:
            return
        if state == extensions.POLL_READ:
            hubs.trampoline(connection.fileno(), read=True)
        elif state == extensions.POLL_WRITE:
            hubs.trampoline(connection.fileno(), write=True)
        else:
            raise OperationalError(f'psycopg2 is in the unknown state {state!r}')


def _start_thread(hub_thread: int, start_green: Callable[..., int], body: Callable[..., None], *args: Any) -> int:
    """A thread that is started on a native thread is native, too (an SDK's own pool, for example): as a green one
    it would live in a hub that nobody runs once the native call has returned."""
    if _native.get_ident() == hub_thread:
        return start_green(body, *args)
    thread = getattr(body, '__self__', None)

    def run(*arguments: Any) -> None:
        _leave_signals_to_the_main_thread()
        try:
            body(*arguments)
        finally:
            # Python up to 3.12 joins by this lock, which the real interpreter releases and eventlet's does not.
            ended = getattr(thread, '_tstate_lock', None)
            if ended is not None and ended.locked():
                ended.release()

    return _native.start_new_thread(run, *args)


def _leave_signals_to_the_main_thread() -> None:
    """The kernel gives a signal to any thread that lets it in; only the main thread's wait is to be interrupted."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


# between native threads and the hub


class _Bridge:
    """Takes calls from any thread and makes them in the hub of the thread that it was created on."""

    def __init__(self, hub: Any):
        self._hub = hub
        self._thread = _native.get_ident()
        self._calls: collections.deque[Callable[[], None]] = collections.deque()
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._raised = False
        hub.add(hub.READ, self._fd, self._run, lambda *_: None, lambda: None)

    def __del__(self):
        os.close(self._fd)

    @classmethod
    def here(cls) -> _Bridge:
        """The bridge of this thread's hub. It hangs on the hub, so a new hub after a fork has a new one."""
        hub = hubs.get_hub()
        try:
            return hub.glancelike_bridge
        except AttributeError:
            hub.glancelike_bridge = cls(hub)
            return hub.glancelike_bridge

    def post(self, call: Callable[[], None]) -> None:
        """Have the hub make the call soon. Safe in a signal handler."""
        self._calls.append(call)
        if not self._raised:
            self._raised = True
            os.eventfd_write(self._fd, 1)

    def _run(self, fd: int) -> None:
        try:
            os.eventfd_read(fd)
        except BlockingIOError:
            pass  # a timeout of the hub and a post crossed
        self._raised = False  # before the calls are taken: whoever posts after this writes again
        while self._calls:
            try:
                self._calls.popleft()()
            except Exception:
                LOG.exception('a call from another thread failed')


class _Signal:
    """A green thread waits, any thread wakes it. Remembers one wake-up; for one waiter at a time."""

    __slots__ = ('_bridge', '_greenlet', '_is_set')

    def __init__(self) -> None:
        self._bridge = _Bridge.here()
        self._greenlet: Any = None
        self._is_set = False

    def set(self) -> None:
        """Wake the waiter, or the next one."""
        self._bridge.post(self._fire)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until ``set``; False when *seconds* passed first."""
        if not self._is_set:
            hub = hubs.get_hub()
            self._greenlet = getcurrent()
            timer = None if seconds is None else hub.schedule_call_global(seconds, self._resume)
            try:
                hub.switch()
            finally:
                self._greenlet = None
                if timer is not None:
                    timer.cancel()
        was_set, self._is_set = self._is_set, False
        return was_set

    def _fire(self) -> None:
        self._is_set = True
        self._resume()

    def _resume(self) -> None:
        waiter, self._greenlet = self._greenlet, None
        if waiter is not None:
            waiter.switch()


def _has_hub() -> bool:
    return hasattr(hubs._threadlocal, 'hub')


class Lock:
    """``threading.Lock`` for green and native threads together.

    eventlet's own is not safe between native threads: a native holder that releases it wakes the waiters in its own
    hub, where they are not.
    """

    __slots__ = ('_lock', '_waiters', '__weakref__')

    def __init__(self, _value: int = 1):
        self._lock = _native.allocate_lock()
        self._waiters: collections.deque[_Signal] = collections.deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As ``threading.Lock.acquire``."""
        if self._lock.acquire(False):
            return True
        if not blocking:
            return False
        if not _has_hub():
            return self._lock.acquire(True, timeout)
        hub = hubs.get_hub()
        if getcurrent() is hub.greenlet:
            # A call of the hub itself cannot wait greenly. A native holder lets go soon; a green one never would.
            if self._lock.acquire(True, 1.0):
                return True
            raise RuntimeError('a call in the hub waits for a lock that a green thread holds')
        deadline = None if timeout is None or timeout < 0 else hub.clock() + timeout
        signal_ = _Signal()
        try:
            while True:
                self._waiters.append(signal_)
                if self._lock.acquire(False):
                    return True
                left = None if deadline is None else deadline - hub.clock()
                if (left is not None and left <= 0) or not signal_.wait(left):
                    return self._lock.acquire(False)
                # woken, and so out of the list: another thread may have been faster
        finally:
            self._leave(signal_)

    def _leave(self, signal_: _Signal) -> None:
        try:
            self._waiters.remove(signal_)
        except ValueError:
            # A wake-up was on its way to us. If we do not hold the lock it belongs to the next in the list.
            if not self._lock.locked():
                self._wake()

    def _wake(self) -> None:
        try:
            self._waiters.popleft().set()
        except IndexError:
            pass  # nobody waits

    def release(self, *_: Any) -> None:
        """As ``threading.Lock.release``."""
        self._lock.release()
        if self._waiters:
            self._wake()

    def locked(self) -> bool:
        return self._lock.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: Any) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._lock = _native.allocate_lock()
        self._waiters.clear()


class _Pending:
    """A call on a native thread; see ``core.threads.Pending``."""

    def __init__(self, call: Callable[..., Any], args: tuple[Any, ...], on_done: Callable[[], None] | None = None):
        self._call: Any = call
        self._args = args
        self.done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._wakers = [] if on_done is None else [on_done]

    def __call__(self) -> None:
        try:
            self._value = self._call(*self._args)
        except BaseException as error:
            self._error = error
        self._call = self._args = None
        self.done = True
        while self._wakers:
            try:
                self._wakers.pop()()
            except IndexError:
                break

    def result(self) -> Any:
        """Wait for the end, greenly where there is a hub; return or raise what the call did."""
        while not self.done:
            self._wait()
        if self._error is not None:
            try:
                raise self._error
            finally:
                self = None  # the error's traceback holds this frame
        return self._value

    def _wait(self) -> None:
        if _has_hub():
            signal_ = _Signal()
            self._wakers.append(signal_.set)
            while not self.done:
                signal_.wait()
        else:
            lock = _native.allocate_lock()
            lock.acquire()
            self._wakers.append(lock.release)
            if not self.done:
                lock.acquire()


class _NativePool:
    """Native threads that take calls; as many as there are calls at once, and idle ones for a while.

    :param nice: added to the niceness that the process has, for these threads
    """

    def __init__(self, idle_seconds: float = IDLE_SECONDS, nice: int = 0):
        self._idle_seconds = idle_seconds
        self._nice = nice
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = _native.allocate_lock()
        self._queue = _queue.SimpleQueue()
        self._idle = 0  # threads that wait, less calls that are queued for them
        self.size = 0

    def submit(self, task: Callable[[], None]) -> None:
        """Start the task now. It raises nothing."""
        if self._pid != os.getpid():
            self._reset()  # the threads stayed in the parent
        with self._lock:
            if self._idle:
                self._idle -= 1
                self._queue.put(task)
                return
            self.size += 1
        _native.start_new_thread(self._work, (task,))

    def _work(self, task: Callable[[], None] | None) -> None:
        _leave_signals_to_the_main_thread()
        if self._nice:
            os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) + self._nice)  # of this thread
        while True:
            task()
            task = None  # it may hold an image piece
            with self._lock:
                self._idle += 1
            try:
                task = self._queue.get(timeout=self._idle_seconds)
            except _queue.Empty:
                with self._lock:
                    if self._idle:
                        self._idle -= 1
                        self.size -= 1
                        return
                task = self._queue.get()  # promised to us in between


class _Channel:
    """Pieces from a green thread to a native one, at most FEED_PIECES waiting."""

    END = object()

    def __init__(self):
        self._queue = _queue.SimpleQueue()
        self._room = _Signal()
        self._error: BaseException | None = None
        self._green_waits = False
        self._closed = False     # the native side takes no more
        self._exhausted = False

    # green side

    def put(self, piece: bytes) -> bool:
        """Hand a piece over, waiting for room; False when nobody will take it."""
        while self._queue.qsize() >= FEED_PIECES and not self._closed:
            self._green_waits = True
            if self._queue.qsize() >= FEED_PIECES and not self._closed:
                self._room.wait()
        if self._closed:
            return False
        self._queue.put(piece)
        return True

    def end(self, error: BaseException | None = None) -> None:
        """No more pieces follow; *error* is raised on the native side after those that are waiting."""
        self._error = error
        self._queue.put(self.END)

    # native side

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._exhausted or self._closed:
            raise StopIteration
        piece = self._queue.get()
        if self._green_waits:
            self._green_waits = False
            self._room.set()
        if piece is self.END:
            self._exhausted = True
            if self._error is not None:
                raise self._error
            raise StopIteration
        return piece

    def close(self) -> None:
        """The native side takes no more; any thread."""
        self._closed = True
        self._room.set()


class GreenThreads:
    """``core.threads.NativeThreads`` for the green server: blocking calls on native threads, others go on.

    Create it on the thread of the hub. Called on another thread (by a driver that is itself on a native thread), the
    methods do the work there.

    :param idle_seconds: after which a native thread without work ends
    """

    green = True

    def __init__(self, idle_seconds: float = IDLE_SECONDS):
        self._hub_thread = _native.get_ident()
        self._pool = _NativePool(idle_seconds)
        self._beside = _NativePool(idle_seconds, BESIDE_NICE)

    @property
    def size(self) -> int:
        """Native threads at this moment, idle ones included."""
        return self._pool.size + self._beside.size

    def run(self, call: Callable[..., T], *args: Any) -> T:
        """Do the call on a native thread and return its result; other requests are served meanwhile."""
        if _native.get_ident() != self._hub_thread or getcurrent() is hubs.get_hub().greenlet:
            return call(*args)
        return self._submit(self._pool, call, args).result()

    def start(self, call: Callable[..., Any], *args: Any) -> _Pending:
        """Start the call on a native thread and go on.

        For long work in C (hashes, sending files): the thread gives way to those that answer requests.
        """
        return self._submit(self._beside, call, args)

    @staticmethod
    def _submit(pool: _NativePool, call: Callable[..., Any], args: tuple[Any, ...]) -> _Pending:
        pending = _Pending(call, args)
        pool.submit(pending)
        return pending

    def feed(self, consume: Callable[[Iterator[bytes]], T], chunks: Iterable[bytes]) -> T:
        """``consume(iterator)`` on a native thread of its own, while this green thread pulls *chunks*.

        At most FEED_PIECES pieces are read ahead. An exception out of *chunks* comes out of the iterator, unchanged,
        and then out of this call, unless *consume* makes something else of it; what *consume* raises comes out of
        this call, once the piece that is being read is there, and *chunks* are read no further. This call never
        returns before *consume* has.
        """
        if _native.get_ident() != self._hub_thread:
            return consume(iter(chunks))
        channel = _Channel()
        pending = _Pending(consume, (channel,), on_done=channel.close)
        self._pool.submit(pending)
        try:
            for piece in chunks:
                if not channel.put(piece):
                    break
        except BaseException as error:
            channel.end(error)
            pending.result()
            if isinstance(error, Exception):
                return pending.result()  # consume has dealt with it
            raise  # the green thread is being ended
        channel.end()
        return pending.result()

    def pull(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The same pieces, each fetched by a blocking ``next`` on a native thread, one ahead; closes *pieces*."""
        end = object()
        ahead = self._submit(self._pool, next, (pieces, end))
        try:
            while (piece := ahead.result()) is not end:
                ahead = self._submit(self._pool, next, (pieces, end))
                yield piece
                del piece
        finally:
            self.run(_finish_pull, ahead, pieces)

    def spawn(self, name: str, call: Callable[[], Any]) -> None:
        """Run a background duty until the process ends: in a green thread, or in a native one for a native caller."""
        if _native.get_ident() == self._hub_thread:
            eventlet.spawn_n(_duty, name, call)
        else:
            _native.start_new_thread(_native_duty, (name, call))

    def sleep(self, seconds: float) -> None:
        """Let *seconds* pass without holding up others."""
        if _native.get_ident() == self._hub_thread:
            eventlet.sleep(seconds)
        else:
            _native_time.sleep(seconds)


def _finish_pull(ahead: _Pending, pieces: Any) -> None:
    try:
        ahead.result()
    except BaseException:  # noqa: B902 - raised already, or of no interest to somebody who stopped reading
        pass
    close = getattr(pieces, 'close', None)
    if close is not None:
        close()


def _native_duty(name: str, call: Callable[[], Any]) -> None:
    _leave_signals_to_the_main_thread()
    _duty(name, call)


def _duty(name: str, call: Callable[[], Any]) -> None:
    try:
        call()
    except Exception:
        LOG.exception('the background duty %s ended with an error', name)


# the server


class Server:
    """Accepts connections and serves them, each in a green thread of this process.

    :param application: the WSGI application; may be replaced while requests are in flight
    """

    def __init__(self, conf: Any, application: Any, threads: GreenThreads):
        self.application = application
        self._threads = threads
        self._connections: set[Any] = set()
        self._acceptor: Any = None
        self._listener: Any = None
        self._stopping = self._patient = False
        self._changed = _Signal()
        self._max_connections = _raise_file_limit()
        self.configure(conf)

    def configure(self, conf: Any) -> None:
        """Take over options; those of HTTP and TLS count from the next connection.

        :raises ConfigurationError: the TLS options cannot work; nothing is changed
        """
        from glancelike.wsgi import connection, listener
        self._tls = listener.tls_context(conf)
        self._settings = connection.HttpSettings(
            max_header_line=conf.max_header_line, timeout=conf.client_socket_timeout or None,
            keepalive=conf.http_keepalive, scheme='https' if self._tls else 'http',
            multiprocess=worker_count(conf) > 1)

    def accept_from(self, listener: Any) -> None:
        """Serve what connects to this listening socket from now on, and no longer another one."""
        self._stop_accepting()
        self._listener = listener
        self._acceptor = eventlet.spawn(self._accept_all, listener)

    def stop(self, seconds: float, *, patient: bool = False) -> bool:
        """Accept no more, let the requests in flight end for at most so many seconds; did they all?

        :param patient: another process goes on serving (a reload): a kept-alive connection may bring one more request,
            whose answer closes it, before it is hung up; a client that is just sending one loses nothing
        """
        self._stopping, self._patient = True, patient
        self._stop_accepting()
        for one in list(self._connections):
            if one.idle and one.served and not patient:
                one.hang_up()
        now = hubs.get_hub().clock
        end = now() + seconds
        fresh_end = min(end, now() + (PATIENT_SECONDS if patient else FRESH_SECONDS))
        while self._connections and now() < end:
            if now() >= fresh_end:
                self._patient = False
                for one in list(self._connections):
                    if one.idle:
                        one.hang_up()
                fresh_end = end
            self._changed.wait(max(fresh_end - now(), 0.01))
        return not self._connections

    def _stop_accepting(self) -> None:
        if self._acceptor is not None:
            self._acceptor.kill()
            self._acceptor = None
            self._listener.close()

    def _accept_all(self, listener: Any) -> None:
        while True:
            while len(self._connections) >= self._max_connections:
                self._changed.wait()
            try:
                sock, peer = listener.accept()
            except OSError as error:
                if error.errno not in (errno.ECONNABORTED, errno.EINTR):
                    LOG.error('no connection can be accepted at the moment: %s', error)
                    eventlet.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            eventlet.spawn(self._serve, sock, peer)  # not spawn_n: logging asks for the thread's name at each line
            eventlet.sleep(0)  # lets other workers take the next one

    def _current(self) -> Any:
        """What answers the next request: the pipeline itself, where the application tells it."""
        return getattr(self.application, 'wsgi', self.application)

    def _serve(self, sock: Any, peer: Any) -> None:
        from glancelike.wsgi.connection import HttpConnection
        settings = self._settings
        connection = HttpConnection(sock, peer, settings, self._current, lambda: self._stopping, self._threads,
                                    _wait_writable, _native_select.poll, lambda: self._patient, _give_way)
        self._connections.add(connection)
        try:
            if self._tls is not None:
                connection.secure(functools.partial(_handshake, self._tls, settings.timeout))
            connection.run()
        except (OSError, EOFError) as error:
            LOG.debug('the TLS handshake of %s failed: %s', peer, error)
            connection.close()
        except Exception:
            LOG.exception('the connection of %s failed', peer)
            connection.close()
        finally:
            self._connections.discard(connection)
            self._changed.set()


def _give_way() -> None:
    """Let others run. A client whose next request is there already would otherwise keep its worker, and others wait:
    beside uploads, four clients that ask without a pause have a p99 of 25 ms instead of 43."""
    hub = hubs.get_hub()
    hub.schedule_call_global(0, getcurrent().switch)
    hub.switch()


def _handshake(context: ssl.SSLContext, seconds: float | None, sock: Any) -> Any:
    sock.settimeout(seconds)
    secured = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    try:
        secured.settimeout(seconds)
        secured.do_handshake()
    except BaseException:
        secured.close()  # it has taken the descriptor over from *sock*
        raise
    return secured


def _wait_writable(fd: int, seconds: float | None) -> bool:
    try:
        hubs.trampoline(fd, write=True, timeout=seconds, timeout_exc=TimeoutError())
    except TimeoutError:
        return False
    return True


def _raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard one; connections that fit below it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return max(soft - SPARE_FILES, 64) if soft != resource.RLIM_INFINITY else 65536


# processes


def worker_count(conf: Any) -> int:
    """Worker processes that *conf* asks for; 0: serve in this one."""
    if conf.workers is not None:
        return conf.workers
    return min(len(os.sched_getaffinity(0)), 8)


def serve(conf: Any, make_app: Callable[[Any, GreenThreads], Any], load_conf: Callable[[], Any]) -> int:
    """Serve until a signal ends it; the exit code.

    :param conf: options of conf/server.py
    :param make_app: ``make_app(conf, threads)`` builds the application, once in each process. If the result has
        ``start_duties`` that is called when the process is about to accept; ``stop_duties`` when it stops.
    :param load_conf: reads the configuration again, for SIGHUP
    :returns: 0 stopped by a signal, 2 a worker could not start
    :raises ConfigurationError: the configuration cannot work, or make_app said so
    """
    from glancelike.wsgi import listener, workers
    listener.tls_context(conf)  # checked before the port is taken
    listening = listener.listen(conf)
    if worker_count(conf) == 0:
        return _Process(conf, make_app, load_conf).run(listening)

    def run_worker(conf: Any, listening: Any, lifeline: int, ready: Callable[[], None]) -> int:
        return _Process(conf, make_app, None, lifeline).run(listening, ready)

    return workers.Master(conf, listening, load_conf, run_worker, worker_count).run()


class _Process:
    """The life of one serving process: the only one, or a worker.

    :param load_conf: for SIGHUP; None in a worker, whose master takes care of that
    :param lifeline: descriptor of a pipe that ends when the master does
    """

    def __init__(self, conf: Any, make_app: Callable[[Any, GreenThreads], Any], load_conf: Callable[[], Any] | None,
                 lifeline: int | None = None):
        hubs.use_hub(conf.eventlet_hub)  # a hub of this process, not the one it was forked with
        self._conf = conf
        self._make_app = make_app
        self._load_conf = load_conf
        self._lifeline = lifeline
        self._threads = GreenThreads()
        self._signals: collections.deque[int] = collections.deque()
        self._woken = _Signal()
        self._seen: Any = None

    def run(self, listening: Any, ready: Callable[[], None] | None = None) -> int:
        """Build the application, serve, end when told to."""
        from glancelike.wsgi import listener, workers
        server = Server(self._conf, self._build(self._conf), self._threads)
        self._watch_signals()
        server.accept_from(listening)
        _start_duties(server.application)
        gc.enable()
        LOG.info('serving on %s:%s', *listener.address(self._conf))
        if ready is not None:
            ready()
        while True:
            number = self._next_signal()
            if number == signal.SIGHUP:
                self._reload(server)
                continue
            seconds = 0 if number == signal.SIGINT else self._conf.graceful_shutdown_timeout
            if not server.stop(seconds, patient=number == workers.RETIRE):
                LOG.warning('requests in flight were cut off')
            _stop_duties(server.application)
            return 0

    def _build(self, conf: Any) -> Any:
        application = self._make_app(conf, self._threads)
        make_drivers_green()
        return application

    def _watch_signals(self) -> None:
        from glancelike.wsgi import workers
        in_master = self._load_conf is None
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(workers.RETIRE, self._on_signal if in_master else signal.SIG_IGN)
        # Ctrl-C goes to the whole group; the master passes it on in its own way.
        signal.signal(signal.SIGINT, signal.SIG_IGN if in_master else self._on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN if in_master else self._on_signal)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        if self._lifeline is not None:
            eventlet.spawn_n(self._watch_master)

    def _on_signal(self, number: int, frame: Any) -> None:
        self._signals.append(number)
        self._woken.set()

    def _watch_master(self) -> None:
        hubs.trampoline(self._lifeline, read=True)
        LOG.warning('the master process is gone; this worker ends, too')
        self._on_signal(signal.SIGTERM, None)

    def _next_signal(self) -> int:
        while not self._signals:
            self._woken.wait()
        return self._signals.popleft()

    def _reload(self, server: Server) -> None:
        """Take over a new configuration, or keep everything as it was and say why."""
        from glancelike.wsgi import listener, workers
        old = self._conf
        try:
            conf = self._load_conf()
            if worker_count(conf) != 0:
                LOG.warning('workers counts after a restart only; requests are still served in process')
            application = self._build(conf)
            moved = None if listener.address(conf) == listener.address(old) else listener.listen(conf)
            server.configure(conf)
        except (Exception, SystemExit) as error:
            workers.log_kept(error)
            return
        self._conf = conf
        if moved is not None:
            server.accept_from(moved)
        previous, server.application = server.application, application
        _start_duties(application)
        _stop_duties(previous)
        LOG.info('the configuration was read again')


def _start_duties(application: Any) -> None:
    start = getattr(application, 'start_duties', None)
    if start is not None:
        start()


def _stop_duties(application: Any) -> None:
    stop = getattr(application, 'stop_duties', None)
    if stop is not None:
        stop()
