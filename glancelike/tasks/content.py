"""Bytes between a source and a store: looked at from the front, put into a file where somebody needs one, read."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from glancelike import errors
from glancelike.tasks.base import HEAD_BYTES, Content, ImportJob

T = TypeVar('T')
READ_BYTES = 2**20


class ContentBody:
    """Content to ``read`` from, as an upload's body is (``core.streams.Body``); close it."""

    def __init__(self, content: Content, job: ImportJob):
        self._chunks = iter(chunks_of(content, job))
        self._rest = memoryview(b'')

    def read(self, size: int) -> bytes:
        """At most *size* bytes; ``b''`` at the end only; errors of the chunks pass."""
        while not self._rest:
            try:
                chunk = next(self._chunks, None)
            except (OSError, ValueError) as error:  # which would pass for a client that went away
                raise RuntimeError('a source or plugin failed in a way that it does not mean to') from error
            if chunk is None:
                return b''
            if len(chunk) <= size:
                if chunk:
                    return chunk
                continue
            self._rest = memoryview(chunk)
        piece, self._rest = bytes(self._rest[:size]), self._rest[size:]
        return piece

    def close(self) -> None:
        """Give up what the chunks are made of."""
        close(self._chunks)


def chunks_of(content: Content, job: ImportJob) -> Iterable[bytes]:
    """The bytes of the content, whichever form it has."""
    return content.chunks if content.path is None else _of_file(content.path, job)


def _of_file(path: str, job: ImportJob) -> Iterator[bytes]:
    with open(path, 'rb', buffering=0) as file:
        while chunk := job.run(file.read, READ_BYTES):
            job.check()
            yield chunk


def close(chunks: Any) -> None:
    """Close an iterator that can be closed."""
    if hasattr(chunks, 'close'):
        chunks.close()


def with_head(content: Content, job: ImportJob) -> Content:
    """The same content, its ``head`` filled in."""
    if content.path is not None:
        return dataclasses.replace(content, head=job.run(_head_of_file, content.path))
    chunks, seen, count = iter(content.chunks), [], 0
    try:
        while count < HEAD_BYTES:
            chunk = next(chunks, None)
            if chunk is None:
                break
            seen.append(chunk)
            count += len(chunk)
    except BaseException:
        close(chunks)
        raise
    return dataclasses.replace(content, head=b''.join(seen)[:HEAD_BYTES], chunks=_Again(seen, chunks))


def _head_of_file(path: str) -> bytes:
    with open(path, 'rb') as file:
        return file.read(HEAD_BYTES)


class _Again:
    """Chunks that were looked at, then the rest."""

    def __init__(self, seen: list[bytes], rest: Iterator[bytes]):
        self._rest = rest
        self._all = itertools.chain(seen, rest)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._all)

    def close(self) -> None:
        close(self._rest)


def as_file(content: Content, job: ImportJob, local_path: Callable[[], str | None] = lambda: None) -> Content:
    """The same content as a file: the one that *local_path* tells of, else a new one in the job's folder.

    :raises ImageTooLarge: more than ``job.max_bytes``
    :raises ServiceUnavailable: no room in the work directory
    """
    if content.path is not None:
        return content
    path = local_path()
    if path is not None:
        close(content.chunks)
        return dataclasses.replace(content, chunks=None, path=path)
    size = 0
    try:
        handle, path = _on_disk(lambda: job.run(_new_file, job.folder))
        with open(handle, 'wb', buffering=0) as file:
            for chunk in content.chunks:
                job.check()
                size += len(chunk)
                if size > job.max_bytes:
                    raise errors.ImageTooLarge(limit=job.max_bytes)
                _on_disk(job.run, _write, file, chunk)
    finally:
        close(content.chunks)
    return dataclasses.replace(content, chunks=None, path=path, size=size)


def _on_disk(call: Callable[..., T], *args: Any) -> T:
    try:
        return call(*args)
    except OSError as error:
        raise errors.ServiceUnavailable('The work directory of this service cannot take the data now.') from error


def _new_file(folder: str) -> tuple[int, str]:
    return tempfile.mkstemp(prefix='content-', dir=folder)  # a name of its own: it may be made of another such file


def _write(file: Any, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view):]
