"""SQLite for a server of green threads: what can block runs on native threads, SQLAlchemy stays where it is.

SQLite is a C library: while it waits for a lock or a disk, the native thread that called it waits. So statements are
handed to native threads, and the green thread goes on when they are done. The rows of a statement come along with
its execution, so that a query costs one hop, not two; a transaction that changed nothing ends without one.

A hop costs 80 to 95 us of CPU, a point query or the change of a row 8 us (2 shared cores, Python 3.11). So what waits
for nobody is done in the hub's thread. In WAL mode, where a reader waits for no writer, and a writer for the disk only
when it commits, that is:

* a read, unless it takes long: SQLite is asked to stop after INLINE_SECONDS, and a query that was broken off (a
  substring search) is done again on a native thread. The rows of a page of 100 images take 2 ms; broken off after
  that, such a page cost 11.0 ms instead of 8.7;
* BEGIN, which takes no lock (0.2 ms of a list);
* BEGIN IMMEDIATE, when the lock is free at once; else the wait is a native thread's;
* changes of rows under that lock, sub-queries excepted.

What is left for a write is one hop, the commit. In other journal modes every statement hops.
"""

from __future__ import annotations

import collections
import math
import sqlite3
from collections.abc import Callable
from time import monotonic
from typing import Any

PREFETCH_ROWS = 1000     #: rows that come with a statement; more are fetched as many at a time
INLINE_SECONDS = 0.005   #: after which a read in the hub's thread is broken off
CHECK_STEPS = 2000       #: instructions of SQLite's machine between two looks at the clock, some 50 us

_CHANGES = ('INSERT', 'UPDATE', 'DELETE')


def connect_function(run: Callable[..., Any], connect: Callable[..., Any]) -> Callable[..., Any]:
    """A stand-in for ``sqlite3.connect`` whose connections do what can block through *run*.

    :param run: ``run(call, *args)`` does the call on a native thread and returns or raises what it does
    :param connect: the real ``sqlite3.connect``
    """

    class ThreadedCursor(_Cursor):
        _run = staticmethod(run)

    class ThreadedConnection(_Connection):
        _run = staticmethod(run)
        _cursor_class = ThreadedCursor

    def threaded_connect(*args: Any, **options: Any) -> sqlite3.Connection:
        """``sqlite3.connect`` of the bundled server."""
        options.setdefault('factory', ThreadedConnection)
        options['check_same_thread'] = False  # SQLite is built to be called from any thread, one at a time
        return run(lambda: connect(*args, **options))

    return threaded_connect


class _Cursor(sqlite3.Cursor):
    """A cursor that fetches as it executes."""

    _run: Callable[..., Any]

    def __init__(self, *args: Any):
        super().__init__(*args)
        self._rows: collections.deque[Any] = collections.deque()
        self._more = False

    def execute(self, statement: str, parameters: Any = ()) -> _Cursor:
        connection = self.connection
        if connection.begins_inline(statement):
            self._rows, self._more = collections.deque(), False
            return self
        try:
            if connection.runs_inline(statement):
                self._rows, self._more = self._execute(statement, parameters)
                return self
        except sqlite3.OperationalError as error:
            if getattr(error, 'sqlite_errorcode', None) != sqlite3.SQLITE_INTERRUPT:  # the module's own have none
                raise
        finally:
            connection.stop_at = math.inf
        self._rows, self._more = self._run(self._execute, statement, parameters)
        return self

    def executemany(self, statement: str, parameters: Any) -> _Cursor:
        self._rows, self._more = collections.deque(), False
        if self.connection.runs_inline(statement):
            super().executemany(statement, parameters)
        else:
            self._run(super().executemany, statement, list(parameters))
        return self

    def executescript(self, script: str) -> _Cursor:
        self._rows, self._more = collections.deque(), False
        self._run(super().executescript, script)
        return self

    def _execute(self, statement: str, parameters: Any) -> tuple[collections.deque[Any], bool]:
        super().execute(statement, parameters)
        return self._next_rows() if self.description is not None else (collections.deque(), False)

    def _next_rows(self) -> tuple[collections.deque[Any], bool]:
        rows = collections.deque(super().fetchmany(PREFETCH_ROWS))
        return rows, len(rows) == PREFETCH_ROWS

    def _fill(self) -> bool:
        """Is there a row in ``_rows``, fetched now if need be?"""
        if not self._rows and self._more:
            self._rows, self._more = self._run(self._next_rows)
        return bool(self._rows)

    def fetchone(self) -> Any:
        return self._rows.popleft() if self._fill() else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        rows: list[Any] = []
        wanted = self.arraysize if size is None else size
        while len(rows) < wanted and self._fill():
            rows.append(self._rows.popleft())
        return rows

    def fetchall(self) -> list[Any]:
        rows: list[Any] = []
        while self._fill():
            rows.extend(self._rows)
            self._rows.clear()
        return rows

    def __iter__(self) -> _Cursor:
        return self

    def __next__(self) -> Any:
        if not self._fill():
            raise StopIteration
        return self._rows.popleft()

    def close(self) -> None:
        self._rows, self._more = collections.deque(), False
        super().close()


class _Connection(sqlite3.Connection):
    """A connection whose cursors are of ``_cursor_class``."""

    _run: Callable[..., Any]
    _cursor_class: type[_Cursor]

    def __init__(self, *args: Any, timeout: float = 5.0, **options: Any):
        super().__init__(*args, timeout=timeout, **options)
        self._busy_ms = round(timeout * 1000)
        self._changes = self.total_changes
        self._is_wal: bool | None = None
        self._is_writer = False  # the lock of the only writer was taken by the transaction under way
        self.stop_at = math.inf  # of the clock monotonic(); what runs then is broken off
        self.set_progress_handler(lambda: monotonic() > self.stop_at, CHECK_STEPS)

    def begins_inline(self, statement: str) -> bool:
        """Was this a BEGIN, and has it begun the transaction?"""
        if not statement.startswith('BEGIN'):
            return False
        self._is_writer = False
        statements = sqlite3.Cursor(self)
        if statement == 'BEGIN':  # locks nothing yet
            statements.execute(statement)
            return True
        if statement != 'BEGIN IMMEDIATE' or not self._in_wal():
            return False
        statements.execute('PRAGMA busy_timeout = 0')
        try:
            statements.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            return False
        finally:
            statements.execute(f'PRAGMA busy_timeout = {self._busy_ms}')
        self._is_writer = True
        return True

    def runs_inline(self, statement: str) -> bool:
        """May the statement run on this thread? A read is given its time from now on."""
        verb = statement[:6].upper()
        if verb == 'SELECT' and self._in_wal():
            self.stop_at = monotonic() + INLINE_SECONDS
            return True
        if verb in _CHANGES:
            # Never broken off: that would undo the whole transaction.
            return self._is_writer and self.in_transaction and 'SELECT' not in statement
        self._is_writer = False
        if 'journal_mode' in statement:
            self._is_wal = None
        return False

    def _in_wal(self) -> bool:
        if self._is_wal is None:
            # The first statement of a connection also reads the schema, which may mean the disk.
            mode, = self._run(lambda: sqlite3.Cursor(self).execute('PRAGMA journal_mode').fetchone())
            self._is_wal = mode == 'wal'
        return self._is_wal

    def cursor(self, factory: Any = None) -> sqlite3.Cursor:
        return super().cursor(factory or self._cursor_class)

    def execute(self, statement: str, parameters: Any = ()) -> sqlite3.Cursor:
        return self.cursor().execute(statement, parameters)

    def executemany(self, statement: str, parameters: Any) -> sqlite3.Cursor:
        return self.cursor().executemany(statement, parameters)

    def executescript(self, script: str) -> sqlite3.Cursor:
        return self.cursor().executescript(script)

    def commit(self) -> None:
        self._end(super().commit)

    def rollback(self) -> None:
        self._end(super().rollback)

    def _end(self, call: Callable[[], None]) -> None:
        """A transaction that changed no row ends without touching the disk: no hop."""
        if self.in_transaction and self.total_changes != self._changes:
            self._run(call)
        else:
            call()
        self._changes = self.total_changes
        self._is_writer = False

    def close(self) -> None:
        self._run(super().close)  # the last one to close checkpoints the WAL
