"""SQLite for a server of green threads: what can block runs on native threads, SQLAlchemy stays where it is.

SQLite is a C library: while it waits for a lock or a disk, the native thread that called it waits. So statements are
handed to native threads, and the green thread goes on when they are done. The rows of a statement come along with
its execution, so that a query costs one hop, not two; a transaction that changed nothing ends without one.

A hop costs about 40 us of CPU, a point query 8 us (2 shared cores, Python 3.11). Therefore short reads are done in
the hub's thread. That is safe in WAL mode, where a reader waits for no writer, and because SQLite is asked to stop
after INLINE_SECONDS: a query that takes longer (a substring search) is broken off and done again on a native thread.
Reads in other journal modes, and everything that writes, always hop.
"""

from __future__ import annotations

import collections
import math
import sqlite3
from collections.abc import Callable
from time import monotonic
from typing import Any

PREFETCH_ROWS = 1000     #: rows that come with a statement; more are fetched as many at a time
INLINE_SECONDS = 0.002   #: after which a read in the hub's thread is broken off
CHECK_STEPS = 2000       #: instructions of SQLite's machine between two looks at the clock, some 50 us


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
        if statement.startswith(('SELECT', 'select')) and connection.reads_inline():
            connection.stop_at = monotonic() + INLINE_SECONDS
            try:
                self._rows, self._more = self._execute(statement, parameters)
                return self
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                    raise
            finally:
                connection.stop_at = math.inf
        elif 'journal_mode' in statement:
            connection.forget_mode()
        self._rows, self._more = self._run(self._execute, statement, parameters)
        return self

    def executemany(self, statement: str, parameters: Any) -> _Cursor:
        self._rows, self._more = collections.deque(), False
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

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._changes = self.total_changes
        self._is_wal: bool | None = None
        self.stop_at = math.inf  # of the clock monotonic(); what runs then is broken off
        self.set_progress_handler(lambda: monotonic() > self.stop_at, CHECK_STEPS)

    def reads_inline(self) -> bool:
        """Can a read wait for nobody?"""
        if self._is_wal is None:
            # The first statement of a connection also reads the schema, which may mean the disk.
            mode, = self._run(lambda: sqlite3.Cursor(self).execute('PRAGMA journal_mode').fetchone())
            self._is_wal = mode == 'wal'
        return self._is_wal

    def forget_mode(self) -> None:
        """The journal mode is about to change."""
        self._is_wal = None

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

    def close(self) -> None:
        self._run(super().close)  # the last one to close checkpoints the WAL
