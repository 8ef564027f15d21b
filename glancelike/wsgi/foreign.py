"""The application under servers that are not ours: uWSGI, gunicorn, mod_wsgi."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

from glancelike.wsgi.body import BodyReader

LOG = logging.getLogger(__name__)


class ForeignServer:
    """The application with what other servers leave out: bodies that end surely, duties started after the fork.

    :param build: makes the application. Called now, so that a configuration that cannot work is seen at once, and
        again in a process that was forked afterwards: no database connection and no thread is shared.
    """

    def __init__(self, build: Callable[[], Any]):
        self._build = build
        self._lock = threading.Lock()
        self._application = build()
        self._built_by = os.getpid()
        self._inherited: Any = None    # kept: to collect it would close the parent's connections
        self._started_by: int | None = None

    def start(self) -> None:
        """Make this process ready and start its background duties; again: nothing happens."""
        if self._started_by == os.getpid():
            return
        with self._lock:
            if self._started_by == os.getpid():
                return
            if self._built_by != os.getpid():
                self._inherited = self._application
                self._application = self._build()
                self._built_by = os.getpid()
            self._application.start_duties()
            self._started_by = os.getpid()

    def start_after_fork(self) -> None:
        """Have uWSGI start each worker process by itself; under other servers its first request does."""
        try:
            import uwsgi  # exists only inside a uWSGI process
        except ImportError:
            return
        if uwsgi.worker_id():
            self.start()  # lazy-apps: this is the worker already
        elif uwsgi.masterpid():
            # Set by hand: the module uwsgidecorators is there only where uWSGI was installed beside us.
            before = getattr(uwsgi, 'post_fork_hook', None)

            def after_fork() -> None:
                if before is not None:
                    before()
                self.start()
            uwsgi.post_fork_hook = after_fork

    def __call__(self, environ: MutableMapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.start()
        if environ.get('wsgi.multiprocess') and self._application.only_one_process:
            return _refuse(self._application.only_one_process, start_response)
        environ['wsgi.input'] = body = BodyReader(environ)
        environ['wsgi.input_terminated'] = True
        result = self._application.wsgi(environ, start_response)
        body.drop()
        return result


def _refuse(reason: str, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Each process would serve rows of its own; the server alone knows, and not before the first request."""
    LOG.error('%s', reason)
    start_response('503 Service Unavailable', [('Content-Type', 'text/plain; charset=utf-8')])
    return [reason.encode() + b'\n']
