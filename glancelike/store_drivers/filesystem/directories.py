"""The directories of a filesystem store: which are there, which have room, which may be written to."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import math
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence

from glancelike.plugin import errors

LOG = logging.getLogger(__name__)

_PROBE_SECONDS = 60.0
_UNREACHABLE = frozenset({errno.ESTALE, errno.EIO, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN,
                          errno.EHOSTUNREACH, errno.EREMOTEIO})


class Directory:
    """One directory of images.

    :ivar path: absolute, as configured; what URLs carry
    :ivar real_path: with symbolic links resolved; URLs written that way are understood too
    :ivar priority: higher is filled first
    """

    def __init__(self, path: str, priority: int):
        self.path = os.path.abspath(path)
        self.real_path = os.path.realpath(path)
        self.priority = priority
        self._mount = _mount_point(self.real_path)
        self._probe_again = 0.0

    def available(self) -> bool:
        """Is it there, on the file system on which it was when the service started?"""
        return os.path.isdir(self.path) and (self._mount == '/' or os.path.ismount(self._mount))

    def writable(self) -> bool:
        """May we make files there? Asked of the permissions every time, by a real write once a minute."""
        if not os.access(self.path, os.W_OK | os.X_OK):
            return False
        if time.monotonic() < self._probe_again:
            return True
        try:
            _write_probe(self.path)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):  # full is not forbidden
                return False
        self._probe_again = time.monotonic() + _PROBE_SECONDS
        return True

    def free_bytes(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def device(self) -> int:
        return os.stat(self.path).st_dev

    def sync(self) -> None:
        """Names made and removed so far survive a crash of the machine."""
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class HangLimit:
    """Watches file operations: refuses new ones while too many have been running for too long.

    :param seconds: after which a running operation hangs; 0 never
    :param operations: how many hanging operations are 100 percent
    :param percent: at how many percent new operations are refused
    """

    def __init__(self, store_id: str, seconds: int, operations: int, percent: int,
                 clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._store_id = store_id
        self._seconds = seconds
        self._most = max(1, math.ceil(operations * percent / 100))
        # Single operations on these are atomic in CPython; a lock would be held in the way of every read.
        self._started: dict[int, float] = {}
        self._tokens = itertools.count()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Around one operation. :raises StoreUnavailable: too many others hang"""
        if not self._seconds:
            yield
            return
        now = self._clock()
        if sum(now - started > self._seconds for started in list(self._started.values())) >= self._most:
            LOG.warning('store %s: %d file operations hang; new ones are refused', self._store_id, self._most)
            raise errors.StoreUnavailable(store=self._store_id)
        token = next(self._tokens)
        self._started[token] = now
        try:
            yield
        finally:
            del self._started[token]


def directories_of(path: str | None, paths: Sequence[str], *, default: str) -> list[Directory]:
    """The directories, made where they were missing, the highest priority first.

    :param path: value of filesystem_store_datadir
    :param paths: value of filesystem_store_datadirs
    :param default: of filesystem_store_datadir, which counts as not set beside *paths*
    :raises ConfigurationError: neither or both are set, a priority is no number, a directory cannot be used
    """
    option, wanted = 'filesystem_store_datadirs', {}
    if paths and path and path != default:
        raise errors.ConfigurationError(
            reason='filesystem_store_datadir and filesystem_store_datadirs are both set; use one of them')
    if not paths:
        option, wanted = 'filesystem_store_datadir', {path: 0}
    for entry in paths:
        folder, priority = _split(entry)
        if wanted.setdefault(folder, priority) != priority:
            raise errors.ConfigurationError(reason=f'{option}: {folder} is given with two priorities')
    if len(wanted) < len(paths):
        LOG.warning('%s: a directory is given twice', option)
    for folder in wanted:
        _make(option, folder)
    return sorted((Directory(folder, priority) for folder, priority in wanted.items()),
                  key=lambda one: -one.priority)


def _split(entry: str) -> tuple[str, int]:
    folder, found, priority = entry.strip().rpartition(':')
    if not found:
        return os.path.normpath(entry.strip()), 0
    try:
        return os.path.normpath(folder), int(priority or 0)
    except ValueError:
        raise errors.ConfigurationError(
            reason=f'filesystem_store_datadirs: the priority in {entry} is no whole number') from None


def _make(option: str, folder: str | None) -> None:
    if not folder:
        raise errors.ConfigurationError(reason=f'{option} names no directory')
    try:
        os.makedirs(folder, exist_ok=True)
        os.listdir(folder)
    except OSError as error:
        if error.errno in _UNREACHABLE:
            return  # a server that does not answer is no wrong configuration; ``check`` says that it is down
        raise errors.ConfigurationError(
            reason=f'{option}: {folder} cannot be made or read: {error.strerror}') from error


def _mount_point(path: str) -> str:
    while not os.path.ismount(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


def _write_probe(folder: str) -> None:
    """Write a few bytes into a file that has no name, or at once has none."""
    try:
        fd = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
            raise
        name = os.path.join(folder, f'.probe.{secrets.token_hex(8)}')
        fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        os.unlink(name)
    try:
        os.write(fd, b'glancelike')
    finally:
        os.close(fd)
