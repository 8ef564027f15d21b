"""Images as files, one file an image, in one directory or several.

What the operator should know:

* An upload is written to ``.<image id>.<random>.part`` in its final directory, synced to disk, then given its
  name, never over another file. ``kill -9`` leaves at most such a part, which recovery removes.
* With several directories the highest priority is filled first; among equals the one with most free space.
  Two nodes that add one image at once are kept apart by a lock on the first directory; where the file system
  has no such locks (some network file systems) only adds to the same directory are.
* A directory that vanishes while the service runs (unmounted, network gone) makes the store unavailable; it
  is not made anew under the mount point, and it is used again as soon as it is back.
* A directory that may not be written to: the store goes on reading. An add that meets such a refusal in the
  middle of work raises StoreUnavailable (HTTP 503, what Glance answers), since a person can repair it.
* A file operation in the kernel cannot be interrupted, so ``filesystem_store_timeout`` does not cut off the
  call that hangs; it keeps a dead network file system from taking all threads (see its help text).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import re
import secrets
import stat
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from oslo_config import cfg

from glancelike.plugin import (
    ADD,
    DELETE,
    DISCARD,
    FREE_SPACE,
    LIST_UNFINISHED,
    LOCAL_FILE,
    NAMES,
    PERSISTENT,
    RANDOM_READ,
    READ,
    Stored,
    StoreDriver,
    errors,
)

from .directories import Directory, HangLimit, directories_of

LOG = logging.getLogger(__name__)

_MAX_PIECE_BYTES = 4 * 2**20  # GET-6
#: The disk begins to write each such part of an upload while the rest comes in, instead of all under the last fsync.
_WRITE_BACK_BYTES = 8 * 2**20
_SPARSE_BLOCK_BYTES = 64 * 2**10
_ZEROS = bytes(_SPARSE_BLOCK_BYTES)
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,199}')
_PART = re.compile(r'\.(?P<image_id>[A-Za-z0-9][A-Za-z0-9._-]{0,199})\.[0-9a-f]{16}\.part')
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

_DEFAULT_DIRECTORY = '/var/lib/glance/images'

_OPTIONS = (
    cfg.StrOpt('filesystem_store_datadir', default=_DEFAULT_DIRECTORY, help="""
Directory of the image files; made at start when it is missing. Not together with filesystem_store_datadirs."""),
    cfg.MultiStrOpt('filesystem_store_datadirs', default=[], help="""
Several directories, one a line, each ``path`` or ``path:priority`` (a whole number, default 0). The highest
priority is used first; among equals the directory with most free space; a directory too small for an image of
known size is passed over."""),
    cfg.StrOpt('filesystem_store_metadata_file', help="""
JSON file with an object, or a list of objects, each with ``id`` and ``mountpoint`` (text). The object whose
mountpoint contains the image's directory becomes the metadata of the image's location. Read at start."""),
    cfg.IntOpt('filesystem_store_file_perm', default=0, help="""
Permissions of new image files, in octal (640). Must include reading by the owner; 0 leaves what the umask gives."""),
    cfg.IntOpt('filesystem_store_chunk_size', default=2**20, min=1, help="""
Most bytes read at once, up to 4194304 (more counts as that). Uploads are written as they come."""),
    cfg.BoolOpt('filesystem_thin_provisioning', default=False, help="""
Leave holes in the file where 64 KiB of an upload are zero; reading gives the zeros back."""),
    cfg.IntOpt('filesystem_store_timeout', default=0, min=0, help="""
Seconds after which a running file operation counts as hanging; 0 never. Once filesystem_store_threadpool_threshold
percent of filesystem_store_thread_pool_size operations hang, the store refuses new ones at once (HTTP 503) until
one of them ends. The operation that hangs is waited for: the kernel cannot give it up."""),
    cfg.IntOpt('filesystem_store_thread_pool_size', default=10, min=1, help="""
With filesystem_store_timeout: how many hanging operations are 100 percent."""),
    cfg.IntOpt('filesystem_store_threadpool_threshold', default=75, min=1, max=100, help="""
With filesystem_store_timeout: percent of filesystem_store_thread_pool_size that may hang."""),
)


class FilesystemStore(StoreDriver):
    """Images as files named by image id, with URLs ``file:///<directory>/<image id>``.

    :raises ConfigurationError: a directory cannot be made or read, or an option has an impossible value
    """

    SCHEMES = ('file', 'filesystem')
    CAPABILITIES = frozenset({ADD, DELETE, READ, RANDOM_READ, LOCAL_FILE, NAMES, DISCARD, LIST_UNFINISHED, FREE_SPACE,
                              PERSISTENT})
    OPTIONS = _OPTIONS

    def __init__(self, store_id: str, options: Any):
        super().__init__(store_id, options)
        self._directories = directories_of(
            options.filesystem_store_datadir, options.filesystem_store_datadirs, default=_DEFAULT_DIRECTORY)
        self._by_path = {path: one for one in self._directories for path in (one.real_path, one.path)}
        self._permissions = _permissions(options.filesystem_store_file_perm)
        self._piece_bytes = min(options.filesystem_store_chunk_size, _MAX_PIECE_BYTES)
        self._sparse = options.filesystem_thin_provisioning
        self._mounts = _read_mounts(options.filesystem_store_metadata_file)
        self._hangs = HangLimit(store_id, options.filesystem_store_timeout,
                                options.filesystem_store_thread_pool_size,
                                options.filesystem_store_threadpool_threshold)

    # --- state ------------------------------------------------------------------------------------------------

    def check(self) -> None:
        with self._calls():
            there = [one for one in self._directories if one.available()]
            if not there:
                raise errors.StoreUnavailable(store=self.id)
            if not any(one.writable() for one in there):
                raise errors.StoreReadOnly(store=self.id)

    def free_bytes(self) -> int:
        with self._calls():
            by_device = {one.device(): one.free_bytes() for one in self._available()}
        return sum(by_device.values())

    def facts(self) -> Mapping[str, Any]:
        paths = [one.path for one in self._directories]
        return {'data_dir': paths[0] if len(paths) == 1 else paths,
                'chunk_size': self._piece_bytes, 'thin_provisioning': self._sparse}

    # --- names ------------------------------------------------------------------------------------------------

    def url_for(self, image_id: str) -> str:
        return _url(self._directories[0], self._name(image_id))

    def url_prefixes(self) -> Sequence[str]:
        return [_url(one, '', scheme) for one in self._directories for scheme in self.SCHEMES]

    def _name(self, image_id: str) -> str:
        if not _NAME.fullmatch(image_id):
            raise errors.BadStoreUrl(store=self.id)
        return image_id

    def _path(self, url: str) -> str:
        """Path of the object: always a plain name directly in one of our directories."""
        scheme, found, rest = url.partition('://')
        try:
            folder, _, name = urllib.parse.unquote(rest, errors='strict').rpartition('/')
        except UnicodeDecodeError:
            raise errors.BadStoreUrl(store=self.id) from None
        directory = self._by_path.get(folder)
        if not found or scheme not in self.SCHEMES or directory is None or not _NAME.fullmatch(name):
            raise errors.BadStoreUrl(store=self.id)
        return os.path.join(directory.path, name)

    # --- writing ----------------------------------------------------------------------------------------------

    def add(self, image_id: str, chunks: Iterable[bytes], size: int | None) -> Stored:
        """See the contract; StoreUnavailable also where the directory may not be written to."""
        name = self._name(image_id)
        with self._calls(writing=True):
            self._refuse_existing(name)
            directory, part, fd = self._open_part(name, size)
        try:
            try:
                received = self._write(fd, chunks, size)
                with self._calls(writing=True):
                    if self._permissions:
                        os.fchmod(fd, self._permissions)
                    os.fsync(fd)
            finally:
                with contextlib.suppress(OSError):  # fsync has told what there was to tell
                    os.close(fd)
            with self._calls(writing=True):
                self._publish(directory, part, name)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
        return Stored(_url(directory, name), received, self._metadata(directory))

    def _refuse_existing(self, name: str) -> None:
        for directory in self._directories:
            with contextlib.suppress(OSError):  # not there, or not to be seen
                os.lstat(os.path.join(directory.path, name))
                raise errors.ObjectExists(store=self.id, image_id=name)

    def _open_part(self, name: str, size: int | None) -> tuple[Directory, str, int]:
        """A new part file in the best directory that has room and lets us write."""
        refused = None
        for directory in sorted(self._available(), key=lambda one: (-one.priority, -one.free_bytes())):
            if size is not None and size > directory.free_bytes() and not self._sparse:
                continue
            part = os.path.join(directory.path, f'.{name}.{secrets.token_hex(8)}.part')
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                return directory, part, os.open(part, flags, 0o666)
            except OSError as error:
                if error.errno not in _FULL | _DENIED:
                    raise
                refused = error
        if refused is not None:
            raise refused
        raise errors.StoreFull(store=self.id)

    def _write(self, fd: int, chunks: Iterable[bytes], size: int | None) -> int:
        received = begun = 0
        for chunk in chunks:  # outside of _calls: an OSError of the caller's own passes unchanged
            received += len(chunk)
            if size is not None and received > size:
                raise errors.SizeMismatch(declared=size, received=received)
            with self._calls(writing=True):
                if self._sparse:
                    _write_sparse(fd, chunk)
                else:
                    _write_all(fd, chunk)
                if received - begun >= _WRITE_BACK_BYTES:
                    _begin_write_back(fd, begun, received - begun)
                    begun = received
        if size is not None and received != size:
            raise errors.SizeMismatch(declared=size, received=received)
        if self._sparse:
            with self._calls(writing=True):
                os.ftruncate(fd, received)  # a hole at the end has no length before
        return received

    def _publish(self, directory: Directory, part: str, name: str) -> None:
        """Give the part its name, unless the name is taken in any directory."""
        final = os.path.join(directory.path, name)
        with self._only_publisher():
            self._refuse_existing(name)
            try:
                os.link(part, final, follow_symlinks=False)
            except FileExistsError:
                raise errors.ObjectExists(store=self.id, image_id=name) from None
            except FileNotFoundError as error:
                if directory.available():
                    raise errors.StoreError(store=self.id, reason='the upload was discarded meanwhile') from error
                raise
        try:
            os.unlink(part)
            directory.sync()
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(final)
            raise

    @contextlib.contextmanager
    def _only_publisher(self) -> Iterator[None]:
        """With several directories: nobody else gives a name meanwhile, on no node (where the locks reach)."""
        if len(self._directories) == 1:
            yield
            return
        fd = os.open(self._available()[0].path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(OSError):  # EBADF, ENOLCK, EOPNOTSUPP: no locks on directories there
                fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _metadata(self, directory: Directory) -> Mapping[str, Any]:
        fitting = [one for one in self._mounts
                   if os.path.commonpath((one['mountpoint'], directory.path)) == os.path.normpath(one['mountpoint'])]
        return dict(max(fitting, key=lambda one: len(one['mountpoint']))) if fitting else {}

    # --- reading ----------------------------------------------------------------------------------------------

    def get(self, url: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        path = self._path(url)
        with self._calls(path):
            # O_NONBLOCK: a pipe that somebody put there must not hold us up.
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                wanted = max(self._size_of(os.fstat(fd)) - offset, 0)
                os.lseek(fd, offset, os.SEEK_SET)
            except BaseException:
                os.close(fd)
                raise
        return _Pieces(self, fd, wanted if length is None else min(length, wanted), self._piece_bytes)

    def local_file(self, url: str) -> str:
        path = self._path(url)
        with self._calls(path):
            self._size_of(os.lstat(path))
        return path

    def size(self, url: str) -> int:
        path = self._path(url)
        with self._calls(path):
            return self._size_of(os.lstat(path))

    def _size_of(self, found: os.stat_result) -> int:
        if not stat.S_ISREG(found.st_mode):  # a symbolic link, a directory: not made by us, may lead out
            raise errors.BadStoreUrl(store=self.id)
        return found.st_size

    # --- removing ---------------------------------------------------------------------------------------------

    def delete(self, url: str) -> None:
        path = self._path(url)
        with self._calls(path):
            self._size_of(os.lstat(path))
            os.unlink(path)
            self._by_path[os.path.dirname(path)].sync()

    def discard(self, image_id: str) -> None:
        name = self._name(image_id)
        with self._calls():
            for directory in self._directories:
                if not directory.available():
                    raise errors.StoreUnavailable(store=self.id)
                for found in os.listdir(directory.path):
                    part = _PART.fullmatch(found)
                    if found == name or (part and part['image_id'] == name):
                        with contextlib.suppress(FileNotFoundError):
                            os.unlink(os.path.join(directory.path, found))
                directory.sync()

    def unfinished(self) -> Iterator[str]:
        with self._calls():
            parts = [_PART.fullmatch(name) for one in self._available() for name in os.listdir(one.path)]
        return iter({part['image_id'] for part in parts if part})

    # --- errors -----------------------------------------------------------------------------------------------

    def _available(self) -> list[Directory]:
        there = [one for one in self._directories if one.available()]
        if not there:
            raise errors.StoreUnavailable(store=self.id)
        return there

    @contextlib.contextmanager
    def _calls(self, path: str | None = None, *, writing: bool = False) -> Iterator[None]:
        """Calls of the file system: their errors become errors of the contract, hanging ones are counted.

        :param path: of the object in question; that it is missing is ObjectNotFound
        :param writing: an add: a refused permission is StoreUnavailable, else StoreForbidden
        """
        with self._hangs.running():
            try:
                yield
            except OSError as error:
                raise self._translated(error, path, writing) from error

    def _translated(self, error: OSError, path: str | None, writing: bool) -> errors.StoreError:
        if error.errno in _FULL:
            return errors.StoreFull(store=self.id)
        if error.errno in _DENIED:
            if writing:
                return errors.StoreUnavailable(f'Store {self.id} cannot be written to at the moment.', store=self.id)
            return errors.StoreForbidden(store=self.id)
        if error.errno == errno.ELOOP:  # O_NOFOLLOW met a symbolic link
            return errors.BadStoreUrl(store=self.id)
        if error.errno == errno.ENOENT and path is not None and self._by_path[os.path.dirname(path)].available():
            return errors.ObjectNotFound(store=self.id)
        LOG.warning('store %s: %s', self.id, errno.errorcode.get(error.errno or 0, 'unknown error'))
        return errors.StoreUnavailable(store=self.id)

    @classmethod
    def for_compliance(cls, folder: str, max_bytes: int | None = None) -> Mapping[str, Any] | None:
        return None if max_bytes else {'filesystem_store_datadir': os.path.join(folder, 'images')}


class _Pieces:
    """The bytes that are left to read of an open file; owns the descriptor."""

    def __init__(self, store: FilesystemStore, fd: int, wanted: int, piece_bytes: int):
        self._store = store
        self._fd: int | None = fd
        self._wanted = wanted
        self._piece_bytes = piece_bytes

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._fd is None:
            raise StopIteration
        piece = b''
        if self._wanted:
            with self._store._calls():
                piece = os.read(self._fd, min(self._piece_bytes, self._wanted))
        if not piece:
            self.close()
            raise StopIteration
        self._wanted -= len(piece)
        return piece

    def close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    __del__ = close


def _url(directory: Directory, name: str, scheme: str = 'file') -> str:
    return f'{scheme}://{urllib.parse.quote(os.path.join(directory.path, name))}'


def _write_all(fd: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


def _begin_write_back(fd: int, offset: int, length: int) -> None:
    """Start writing this part of the file to the disk, and wait for nothing.

    On Linux this advice starts write-back of dirty pages and drops clean ones (mm/fadvise.c): of what was just written
    98 % stay in the cache. Measured with 512 MiB that came at 450 MB/s: the fsync takes 12 to 24 ms instead of 300 to
    370. Parts of 32 MiB lose up to a quarter of the cache; sync_file_range loses none, but needs ctypes.
    """
    with contextlib.suppress(OSError):  # an advice; fsync tells what is wrong with the disk
        os.posix_fadvise(fd, offset, length, os.POSIX_FADV_DONTNEED)


def _write_sparse(fd: int, data: bytes) -> None:
    view = memoryview(data)
    for start in range(0, len(view), _SPARSE_BLOCK_BYTES):
        block = view[start:start + _SPARSE_BLOCK_BYTES]
        if block == _ZEROS[:len(block)]:
            os.lseek(fd, len(block), os.SEEK_CUR)
        else:
            _write_all(fd, block)


def _permissions(value: int) -> int:
    try:
        permissions = int(str(value), 8)
    except ValueError:
        permissions = -1
    if permissions and not (0 < permissions <= 0o7777 and permissions & stat.S_IRUSR):
        raise errors.ConfigurationError(reason='filesystem_store_file_perm must be octal and let the owner read '
                                        f'(640, for instance), not {value}')
    return permissions


def _read_mounts(path: str | None) -> list[Mapping[str, Any]]:
    if not path:
        return []
    try:
        with open(path, encoding='utf-8') as file:
            found = json.load(file)
    except (OSError, ValueError) as error:
        raise errors.ConfigurationError(
            reason=f'filesystem_store_metadata_file {path} cannot be used: {error}') from error
    entries = found if isinstance(found, list) else [found]
    for entry in entries:
        if not (isinstance(entry, dict) and isinstance(entry.get('id'), str)
                and isinstance(entry.get('mountpoint'), str) and os.path.isabs(entry['mountpoint'])):
            raise errors.ConfigurationError(
                reason=f'filesystem_store_metadata_file {path}: each entry needs an id and an absolute mountpoint')
    return entries
