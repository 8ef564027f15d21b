"""A function that runs in a process of its own, so that its work is not taken for ours or the server's."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from bench import processes

T = TypeVar('T')
_FORK = multiprocessing.get_context('fork')  # arguments need no pickling


class Child(Generic[T]):
    """``Child(function, *arguments).result()`` is what the function returns."""

    def __init__(self, function: Callable[..., T], *arguments: Any):
        self._reader, writer = _FORK.Pipe(duplex=False)
        self._process = _FORK.Process(target=_run, args=(writer, function, arguments), daemon=True)
        self._process.start()
        writer.close()
        self.pid = self._process.pid

    def result(self) -> T:
        """Wait for the function to end.

        :raises RuntimeError: it raised; with its traceback
        """
        try:
            good, value = self._reader.recv()
        except EOFError:
            good, value = False, 'the process died'
        self._process.join()
        if not good:
            raise RuntimeError(value)
        return value

    def end(self) -> None:
        """End the process and those that it has made, whatever they do."""
        for pid in processes.tree(self.pid):
            os.kill(pid, signal.SIGTERM)
        self._process.join()


def event() -> Any:
    """An event that processes share."""
    return _FORK.Event()


def _run(writer: Any, function: Callable[..., Any], arguments: tuple) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        outcome = True, function(*arguments)
    except Exception:
        outcome = False, traceback.format_exc()
    writer.send(outcome)
    writer.close()
    os._exit(0)  # nothing of the parent's is cleared up here
