"""``application``: the service for any WSGI server (uWSGI, gunicorn, mod_wsgi).

The configuration is found as ``glance-api`` finds it, with ``OS_GLANCE_CONFIG_DIR`` for another folder; the
command line is the server's and is not read. A configuration that cannot work stops the import with its reason.

uWSGI needs ``--enable-threads`` for the background duties, and ``--need-app`` to stop where the import fails. A
chunked upload needs ``--chunked-input-limit`` to be at least as large as the client's chunks.
"""

from __future__ import annotations

from glancelike import app
from glancelike.core.threads import NativeThreads
from glancelike.wsgi.foreign import ForeignServer

_conf = app.read([])

application = ForeignServer(lambda: app.load(_conf, threads=NativeThreads()))
application.start_after_fork()
