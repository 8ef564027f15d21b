"""glance-api: the image service with its bundled server."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Sequence
from typing import Any


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop; the exit code.

    :param argv: arguments after the program's name; None: those of the process
    :returns: 0 stopped by a signal; 1 the configuration cannot work (``ERROR: ...`` on standard error says why);
        2 a worker process could not start
    """
    # Some parents ignore it and hand that down; ended children could then not be waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    gc.disable()  # the server enables it: nothing made while it starts is garbage (13 % of the CPU of a start)
    from glancelike.wsgi import server
    server.patch()  # before everything else: what is imported now is green

    from glancelike import app, errors
    from glancelike.wsgi import workers

    arguments = sys.argv[1:] if argv is None else list(argv)

    def load_conf() -> Any:
        return app.read(arguments)

    def make_app(conf: Any, threads: Any) -> Any:
        application = app.load(conf, threads=threads)
        _check_workers(conf, application)
        return application

    try:
        conf = load_conf()
        if conf.db_auto_create:
            workers.aside(lambda: app.make_tables(conf))
        return server.serve(conf, make_app, load_conf)
    except errors.GlanceError as error:
        print(f'ERROR: {error}', file=sys.stderr)
        return 1


def _check_workers(conf: Any, application: Any) -> None:
    """:raises ConfigurationError: several processes are asked for, and the database driver works in one only"""
    from glancelike import errors
    from glancelike.wsgi import server

    count = server.worker_count(conf)
    if count > 0 and application.only_one_process:
        raise errors.ConfigurationError(f'workers is {count}, and {application.only_one_process} Set workers = 0.')


if __name__ == '__main__':
    sys.exit(main())
