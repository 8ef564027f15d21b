"""glance-worker: does the tasks (imports) that API nodes post to the job board."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

PROG = 'glance-worker'
LOG = logging.getLogger(__name__)
EPILOG = """\
The configuration is the glance.conf of the API nodes: the same database, stores and staging, and
[task] task_executor = jobboard. Any number of workers on any number of machines share the work; one
that dies is replaced by the others.

SIGTERM or SIGINT: claim nothing more, give back what is being done (other workers go on with it), end.
Again: end at once.

Exit codes: 0 told to stop, or drained; 1 the configuration cannot work (standard error says why);
3 stopped, and after [jobboard] stop_seconds some work was not given back (others find out by its lease).
"""
#: Longest wait of the main thread, which alone runs handlers of signals: the kernel may give a signal to any thread,
#: and only the one that got it is woken.
WAIT_SECONDS = 0.5
#: A signal that comes again so soon is the same: Ctrl-C and timeout(1) reach a process directly and by its group.
SAME_SECONDS = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Work until told to stop; the exit code, as the help text says.

    :param argv: arguments after the program's name; None: those of the process
    """
    arguments, rest = _parser().parse_known_args(argv)
    # Libraries that could use eventlet import it where it is installed: 10 MiB and a warning for nothing here.
    sys.modules.setdefault('eventlet', None)
    from glancelike import config, errors, loading
    try:
        conf = config.load(PROG, [*arguments.passed_on, *rest])
        loading.register_driver_options(conf)
        return _Process(conf, arguments.workers, arguments.drain).run()
    except errors.GlanceError as error:
        print(f'ERROR: {error}', file=sys.stderr)
        return 1


class _PassOn(argparse.Action):
    """Keeps an option for oslo.config, which reads it."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        namespace.passed_on = [*namespace.passed_on, option_string, *([values] if self.nargs != 0 else [])]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROG, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EPILOG,
        description='Do the tasks (imports of images) that API nodes post to the job board.')
    parser.set_defaults(passed_on=[])
    parser.add_argument('--drain', action='store_true',
                        help='finish every task that is posted and nobody else does, then end with exit code 0')
    parser.add_argument('--workers', type=_count, metavar='N',
                        help='tasks that are done at once, 1 to 256; default: [taskflow_executor] max_workers')
    for name, metavar, text in (
            ('--config-file', 'FILE', 'configuration file; several are read in order (default: as glance-api)'),
            ('--config-dir', 'DIR', 'folder with further configuration files'),
            ('--log-file', 'FILE', 'where to log; default: standard output')):
        parser.add_argument(name, metavar=metavar, action=_PassOn, help=text)
    parser.add_argument('--debug', '-d', nargs=0, action=_PassOn, help='log more')
    parser.add_argument('--version', nargs=0, action=_PassOn, help='show the version and end')
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError('must be a number from 1 to 256')
    return int(text)


class _Process:
    """The life of one worker process.

    :param workers: tasks at once; None: what the configuration says
    """

    def __init__(self, conf: Any, workers: int | None, drain: bool):
        from glancelike import app, errors
        from glancelike.core.threads import NativeThreads
        from glancelike.tasks import jobboard
        from glancelike.tasks.flow_book import FlowBook
        from glancelike.tasks.worker import Worker, WorkerSettings
        if conf.task.task_executor != 'jobboard':
            raise errors.ConfigurationError(
                f'[task] task_executor is {conf.task.task_executor}: API processes do the tasks themselves, and '
                'a worker would find none. Set it to jobboard for them and for the workers.')
        settings = jobboard.read_settings(conf.jobboard)
        connection = conf.jobboard.persistence_connection or conf.database.connection
        if not connection:
            raise errors.ConfigurationError('glance-worker needs a database: set connection in the group [database].')
        at_once = workers or conf.taskflow_executor.max_workers
        self._conf = conf
        self._drain = drain
        self._threads = NativeThreads(workers=256)
        self._book = FlowBook(connection)
        self._services = app.build(conf, self._threads, flow_book=self._book, engine=_engine(conf))
        self._worker = Worker(
            jobboard.Board(settings, self._services.leases.node.name), self._services.runner, self._threads,
            WorkerSettings(max_workers=at_once, max_per_owner=conf.task.max_per_owner,
                           look_seconds=conf.jobboard.look_seconds,
                           renew_seconds=None if settings.backend == jobboard.ZOOKEEPER
                           else settings.claim_seconds / 3), drain=drain)
        self._told = threading.Event()
        self._told_at: float | None = None
        self._over = threading.Event()

    def run(self) -> int:
        """Work until a signal or, drained, the end; the exit code."""
        from glancelike.tasks.worker import sweep_forever
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._threads.spawn('recovery', self._services.recovery.forever)
        self._threads.spawn('finished steps', lambda: sweep_forever(self._book, self._services.db, self._threads))
        self._threads.spawn('job board', self._work)
        while not self._told.wait(WAIT_SECONDS):
            pass
        code = 0
        if not self._over.is_set():
            LOG.info('Told to stop; giving back %d tasks.', self._worker.running)
            self._services.recovery.stop()
            self._worker.stop()
            end = time.monotonic() + self._conf.jobboard.stop_seconds
            while not self._over.wait(WAIT_SECONDS) and time.monotonic() < end:
                pass
            if not self._over.is_set():
                LOG.warning('%d tasks were not given back in time.', self._worker.running)
                code = 3
        LOG.info('Ended.')
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)  # threads of libraries that still wait for something must not hold up the end

    def _work(self) -> None:
        try:
            self._worker.run()
        finally:
            self._over.set()
            self._told.set()

    def _on_signal(self, number: int, _frame: Any) -> None:
        now = time.monotonic()
        if self._told_at is None:
            self._told_at = now
            self._told.set()
        elif now >= self._told_at + SAME_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def _engine(conf: Any) -> dict[str, Any] | None:
    """How taskflow does steps that may run side by side."""
    count = conf.image_import_opts.max_parallel_stores
    return {'engine': 'parallel', 'executor': 'threaded', 'max_workers': count} if count > 1 else None


if __name__ == '__main__':
    sys.exit(main())
