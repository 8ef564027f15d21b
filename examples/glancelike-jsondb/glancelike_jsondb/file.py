"""One JSON file that several threads and processes read and write in whole transactions."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from typing import Any


class JsonFile:
    """The file at *path*; ``PATH.lock`` and ``PATH.new`` stand beside it.

    :raises OSError: from every method, when the file cannot be read or written
    """

    def __init__(self, path: str):
        self.path = path

    def read(self) -> Any:
        """The document: all of the last write, and nothing of one under way."""
        with open(self.path, encoding='utf-8') as file:
            return json.load(file)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """No other writer, in this process or another, until the block ends; a killed holder holds nothing."""
        with open(f'{self.path}.lock', 'a') as lock:  # opened anew each time, so threads exclude each other too
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def write(self, document: Any) -> None:
        """Put *document* in the place of the old one; call it in ``locked``. After a crash it is one or the other."""
        with open(f'{self.path}.new', 'w', encoding='utf-8') as file:
            json.dump(document, file, ensure_ascii=False, separators=(',', ':'))
            file.flush()
            os.fsync(file.fileno())
        os.rename(f'{self.path}.new', self.path)
        folder = os.open(os.path.dirname(os.path.abspath(self.path)), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
