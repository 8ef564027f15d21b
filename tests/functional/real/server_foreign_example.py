"""The example application as uWSGI and gunicorn load it."""

import os

from glancelike.core.threads import NativeThreads
from glancelike.wsgi.foreign import ForeignServer
from tests.functional.real.server_example import Example, load

application = ForeignServer(lambda: Example(load(os.environ['EXAMPLE_CONFIG']), NativeThreads()))
application.start_after_fork()
