"""A small application under the bundled server, run as a program: ``python -m ... CONFIG_FILE``.

What it answers tells the tests who served them and with which configuration. ``application`` is the same for other
servers.
"""

import hashlib
import os
import sys
import time
from pathlib import Path

from oslo_config import cfg

TEST_OPTIONS = (cfg.StrOpt('greeting', default='hello'), cfg.StrOpt('start', default=''), cfg.StrOpt('file'),
                cfg.StrOpt('database'), cfg.StrOpt('duties'))


class Example:
    """The application of one configuration."""

    def __init__(self, conf, threads):
        from glancelike import errors
        self._conf = conf.test
        self._threads = threads
        if self._conf.start == 'refuse':
            raise errors.ConfigurationError('greeting is too rude')
        if self._conf.start == 'crash':
            raise RuntimeError('cannot start')

        if '://' in (self._conf.database or ''):
            import sqlalchemy
            self._engine = sqlalchemy.create_engine(self._conf.database, pool_size=2, max_overflow=3)

    def start_duties(self):
        if self._conf.duties:
            with open(self._conf.duties, 'a') as file:
                file.write(f'{os.getpid()}\n')

    only_one_process = None

    def wsgi(self, environ, start_response):
        name = environ['PATH_INFO'].strip('/') or 'greet'
        return getattr(self, name)(environ, start_response)

    def answer(self, start_response, text, status='200 OK'):
        body = str(text).encode()
        start_response(status, [('Content-Type', 'text/plain'), ('Content-Length', str(len(body)))])
        return [body]

    def greet(self, environ, start_response):
        return self.answer(start_response, self._conf.greeting)

    def pid(self, environ, start_response):
        return self.answer(start_response, os.getpid())

    def sleep(self, environ, start_response):
        time.sleep(float(environ['QUERY_STRING']))
        return self.answer(start_response, self._conf.greeting)

    def block(self, environ, start_response):
        """A call that blocks in C, handed to a native thread."""
        import ctypes
        self._threads.run(ctypes.CDLL(None).usleep, int(float(environ['QUERY_STRING']) * 1e6))
        return self.answer(start_response, 'blocked')

    def put(self, environ, start_response):
        """The body's length and md5, read through a native thread as an upload is."""
        from glancelike.wsgi.body import BodyReader
        body = BodyReader(environ)
        digest = hashlib.md5()

        def consume(pieces):
            count = 0
            for piece in pieces:
                digest.update(piece)
                count += len(piece)
            return count
        count = self._threads.feed(consume, iter(lambda: body.read(65536), b''))
        return self.answer(start_response, f'{count} {digest.hexdigest()}')

    def vanish(self, environ, start_response):
        """Writes to a file how the body ended."""
        from glancelike.wsgi.body import BodyReader
        body = BodyReader(environ)
        count = 0
        try:
            while (piece := body.read(1000)):
                count += len(piece)
            outcome = 'complete'
        except Exception as error:
            outcome = type(error).__name__
        Path(self._conf.file).write_text(f'{outcome} {count}')
        return self.answer(start_response, outcome)

    def refuse(self, environ, start_response):
        return self.answer(start_response, 'too large', '413 Payload Too Large')

    def file(self, environ, start_response):
        from glancelike.wsgi.body import LocalFileBody
        size = os.path.getsize(self._conf.file)
        offset, length = map(int, environ['QUERY_STRING'].split('-')) if environ['QUERY_STRING'] else (0, size)
        body = LocalFileBody(self._conf.file, offset, length)
        start_response('200 OK', [('Content-Length', str(length))])
        return body.for_server(environ)

    def lock(self, environ, start_response):
        """Hold SQLite's write lock for a while; others wait for it in C."""
        import sqlite3
        connection = sqlite3.connect(self._conf.database, timeout=30, isolation_level=None)
        connection.execute('BEGIN IMMEDIATE')
        time.sleep(float(environ['QUERY_STRING']))
        connection.execute('COMMIT')
        connection.close()
        return self.answer(start_response, 'done')

    def query(self, environ, start_response):
        """A statement that takes its time in the database server."""
        function = 'pg_sleep' if self._engine.dialect.name == 'postgresql' else 'sleep'
        with self._engine.connect() as connection:
            connection.exec_driver_sql(f'SELECT {function}({float(environ["QUERY_STRING"])})')
        return self.answer(start_response, 'done')

    def resolve(self, environ, start_response):
        import socket
        return self.answer(start_response, socket.getaddrinfo('localhost', 80)[0][4][1])

    def log(self, environ, start_response):
        """Log from many native threads and green ones at once."""
        import logging
        logger = logging.getLogger('example')

        def shout():
            for _ in range(200):
                logger.warning('x')
        pending = [self._threads.start(shout) for _ in range(8)]
        shout()
        for one in pending:
            one.result()
        return self.answer(start_response, 'logged')

    def executor(self, environ, start_response):
        """A library's own thread pool, started inside a native call, as SDKs do."""
        def native():
            import concurrent.futures
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                return sum(pool.map(lambda number: time.sleep(0.01) or number, range(20)))
        return self.answer(start_response, self._threads.run(native))

    def crash(self, environ, start_response):
        os._exit(9)


def load(path):
    from glancelike import errors
    from glancelike.conf import server as options
    conf = cfg.ConfigOpts()
    conf.register_opts(options.OPTIONS)
    conf.register_opts(TEST_OPTIONS, 'test')
    try:
        conf(['--config-file', path])
    except cfg.Error as error:
        raise errors.ConfigurationError(str(error)) from error
    return conf


def main():
    from glancelike.wsgi import server
    server.patch()
    import logging

    from glancelike import errors
    logging.basicConfig(level=logging.INFO, format='%(process)d %(levelname)s %(name)s %(message)s')
    try:
        return server.serve(load(sys.argv[1]), Example, lambda: load(sys.argv[1]))
    except errors.ConfigurationError as error:
        print(f'ERROR: {error}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
