"""The bytes of one URL, each once and in order, over as many connections as it takes.

What was handed on cannot be taken back, so after a broken connection it must be certain that the rest belongs to the
same file:

* With a strong validator (an ETag, or a Last-Modified that is old enough, RFC 9110 section 8.8) the rest is asked for
  by Range and If-Range; the server answers for it.
* Without one, the rest is asked for together with the last 64 KiB that we have, which must be the same again.
* Where the hash of the whole is known beforehand, it decides at the end, and validators are not looked at: the mirrors
  behind one name have different ones for the same file.
* A server that sends everything again is read from the beginning; what we have is skipped, and compared by hash
  where the server does not answer for it.

A length or validator that became another one is BadSource: the source has changed.
"""

from __future__ import annotations

import dataclasses
import email.utils
import hashlib
import logging
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from oslo_config import cfg

from glancelike import errors
from glancelike.network.requests import Answer, Requests, judge
from glancelike.network.wire import Patience

LOG = logging.getLogger(__name__)
T = TypeVar('T')

_PIECE_BYTES = 2**20
_PIECE_SECONDS = 0.5     # after that a piece is handed on, full or not
_OVERLAP_BYTES = 2**16
_PROGRESS_BYTES = 2**20  # so much between two breaks, and they are not counted together
_STRONG_SECONDS = 60     # RFC 9110, section 8.8.2.2: a Last-Modified that much older than Date is a strong validator
_CONTENT_RANGE = re.compile(r'bytes (?:(?P<first>\d+)-(?P<last>\d+)|\*)/(?P<size>\d+|\*)')

DOWNLOAD_OPTIONS = (
    cfg.IntOpt('download_deadline', default=12 * 3600, min=1, max=30 * 86400, help="""
Seconds that one download may take from the first request to the last byte, all pauses included."""),
    cfg.IntOpt('download_timeout', default=60, min=1, max=3600, help="""
Seconds to wait for a connection, for the head of an answer, and for each next bytes, before the server counts as not
answering and is asked again."""),
    cfg.IntOpt('download_retries', default=8, min=0, max=1000, help="""
How often in a row a download is taken up again without getting on by 1 MiB in between. A download that gets on is taken
up again for as long as ``download_deadline`` allows."""),
    cfg.IntOpt('download_longest_pause', default=60, min=0, max=3600, help="""
Most seconds between two tries. The first pause is a second or less, and each is twice as long as the one before; a
server's ``Retry-After`` is kept up to this."""),
    cfg.StrOpt('download_ca_certificates_file', help="""
File with the CA certificates (PEM) to which https servers are held; unset: those of the operating system."""),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How long a download may take, and how often it is tried; see DOWNLOAD_OPTIONS."""

    deadline_seconds: float = 12 * 3600
    stall_seconds: float = 60
    retries: int = 8
    longest_pause_seconds: float = 60

    @classmethod
    def of(cls, options: Any) -> Limits:
        """The values of DOWNLOAD_OPTIONS."""
        return cls(options.download_deadline, options.download_timeout, options.download_retries,
                   options.download_longest_pause)


class Job(Protocol):
    """What a download needs of an import job."""

    max_bytes: int

    def check(self) -> None: ...
    def run(self, call: Callable[..., T], *args: Any) -> T: ...
    def sleep(self, seconds: float) -> None: ...


class Download:
    """One download; ``start`` it, then read ``chunks`` once.

    :param requests: their ``failures`` make SourceUnavailable of what may pass
    :param headers: go with every request, to every host that redirects lead to
    :param secrets: headers for the origin that *url* names, and for no other
    :param digest: (hashlib algorithm, hex digest) that the whole must have
    :ivar size: length in bytes, or None while it is unknown
    """

    def __init__(self, requests: Requests, url: str, job: Job, limits: Limits, *,
                 headers: Mapping[str, str] | None = None, secrets: Mapping[str, str] | None = None,
                 digest: tuple[str, str] | None = None):
        self.size: int | None = None
        self._requests = requests
        self._url = url
        self._job = job
        self._limits = limits
        self._headers = dict(headers or {})
        self._secrets = dict(secrets or {})
        self._wanted = digest
        self._hash = None if digest is None else hashlib.new(digest[0], usedforsecurity=False)
        self._deadline = time.monotonic() + limits.deadline_seconds
        self._patience = Patience(limits.stall_seconds, self._deadline, job.check)
        self._answer: Answer | None = None
        self._first: _Identity | None = None
        self._given = 0
        self._tail = b''          # the last bytes given, where the server does not answer for them
        self._trouble: errors.GlanceError | None = None  # met behind bytes that were given first
        self._use_ranges = True
        self._ended = False
        self._breaks = 0          # in a row
        self._given_at_break = 0

    def start(self) -> None:
        """Make the first request: what is wrong with the source mostly shows here.

        :raises BadSource, SourceUnavailable, ImageTooLarge: as the contract of import methods has them
        """
        self._repeated(self._connect)

    def chunks(self) -> Iterator[bytes]:
        """The bytes, in pieces of 1 B to 1 MiB. Closing it early gives up the connection.

        :raises HashMismatch: the whole is not what it should be; besides the errors of ``start``
        """
        return _Chunks(self, self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        try:
            while piece := self._repeated(self._read):
                yield piece
            if self._wanted is not None and self._hash.hexdigest() != self._wanted[1]:
                raise errors.HashMismatch(algorithm=self._wanted[0], found=self._hash.hexdigest(),
                                          wanted=self._wanted[1])
        finally:
            self.close()

    def close(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()

    # --- trying again -------------------------------------------------------------------------------------------

    def _repeated(self, call: Callable[[], T]) -> T:
        """The call's result; it is made again, beside others, after trouble that may pass."""
        while True:
            self._job.check()
            self._look_at_the_clock()
            try:
                return self._job.run(call)
            except errors.GlanceError as error:
                self.close()
                self._look_at_the_clock()
                if not isinstance(error, errors.SourceUnavailable):
                    raise
                pause = self._pause(error)
                LOG.info('a download broke off after %d bytes: %s; it is taken up again in %.1f s', self._given, error,
                         pause)
            except BaseException:
                self.close()
                raise
            self._sleep(pause)

    def _pause(self, error: errors.GlanceError) -> float:
        """Seconds until the next try. Raises *error* when there were enough."""
        got_on = self._given - self._given_at_break >= _PROGRESS_BYTES
        self._given_at_break = self._given
        self._breaks = 0 if got_on else self._breaks + 1
        if self._breaks > self._limits.retries:
            raise error
        if not self._breaks:
            return 0.0
        pause = random.uniform(0.5, 1.0) * 2.0 ** min(self._breaks - 1, 20)
        return min(max(pause, error.facts.get('retry_after', 0)), self._limits.longest_pause_seconds)

    def _sleep(self, seconds: float) -> None:
        end = min(time.monotonic() + seconds, self._deadline)
        while (left := end - time.monotonic()) > 0:
            self._job.sleep(min(left, 1.0))

    def _look_at_the_clock(self) -> None:
        if time.monotonic() >= self._deadline:
            self.close()
            raise errors.SourceUnavailable(
                reason=f'it was not read within {self._limits.deadline_seconds:g} seconds (download_deadline)')

    # --- reading, in a thread of its own --------------------------------------------------------------------------

    def _read(self) -> bytes:
        """The next piece; empty at the end."""
        if self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            raise trouble
        if self._answer is None and not self._ended:
            self._connect()
        parts, size, end = [], 0, time.monotonic() + _PIECE_SECONDS
        try:
            while not self._ended and size < _PIECE_BYTES and (not size or time.monotonic() < end):
                part = self._answer.read(_PIECE_BYTES - size)
                self._ended = not part
                parts.append(part)
                size += len(part)
                if self._given + size > self._job.max_bytes:
                    raise errors.ImageTooLarge(limit=self._job.max_bytes)
            if self._ended and self.size is not None and self._given + size != self.size:
                self._ended = False
                raise self._requests.failures.unavailable('the server broke off')
        except errors.GlanceError as error:
            if not size or not isinstance(error, errors.SourceUnavailable):
                raise
            self._trouble = error
        piece = b''.join(parts)
        self._note(piece)
        return piece

    def _note(self, piece: bytes) -> None:
        self._given += len(piece)
        if self._hash is not None:
            self._hash.update(piece)
        if self._wanted is None and self._first.validator is None:
            whole = piece if len(piece) >= _OVERLAP_BYTES else self._tail + piece
            self._tail = whole[-_OVERLAP_BYTES:]

    def _connect(self) -> None:
        """Ask for the bytes, or for the rest of them."""
        headers = dict(self._headers)
        begin = self._given - len(self._tail)
        if begin and self._use_ranges:
            headers['Range'] = f'bytes={begin}-'
            if self._wanted is None and self._first.validator is not None:
                headers['If-Range'] = self._first.validator
        answer = self._requests.send('GET', self._url, self._patience, headers, self._secrets)
        try:
            self._accept(answer, begin)
        except BaseException:
            answer.close()
            raise
        self._answer = answer

    def _accept(self, answer: Answer, begin: int) -> None:
        """Bring the answer to the first byte that was not given yet."""
        found = _CONTENT_RANGE.fullmatch(answer.header('Content-Range'))
        ranged = bool(begin) and self._use_ranges
        if answer.status == 416 and ranged:
            return self._accept_nothing_more(found)
        if answer.status not in (200, 206) or (answer.status == 206 and not ranged):
            raise judge(answer, self._requests.failures)
        self._refuse_encodings(answer)
        if answer.status == 206:
            if not found or found['first'] is None or int(found['first']) != begin:
                self._use_ranges = False
                raise self._requests.failures.unavailable('the server sent another range than it was asked for')
            here = _Identity.of(answer, int(found['size']) if found['size'] != '*' else None)
            self._compare(here)
            self._skip(answer, len(self._tail), lambda read: read == self._tail)
            self._ended = here.size == self._given  # its length was not told before, and all was there at the break
            return None
        here = _Identity.of(answer, answer.length)
        if self._given:
            self._compare(here)
            self._skip_all(answer, here)
        elif self._first is None or self.size in (None, here.size):
            self._learn(here)
        else:
            raise self._changed()  # its size was told to others
        return None

    def _accept_nothing_more(self, found: re.Match | None) -> None:
        told = found['size'] if found else '*'
        if told == '*' or int(told) == self.size:
            self._use_ranges = False
            raise self._requests.failures.unavailable('the server does not give the rest')
        if int(told) != self._given or self.size is not None:
            raise self._changed()
        self._ended = True  # of a body whose length was not told, all was there when the connection broke

    def _refuse_encodings(self, answer: Answer) -> None:
        """An encoded body is another file than the one that was asked for, and undoing it is not our business."""
        for name, plain in (('Content-Encoding', ('', 'identity')), ('Transfer-Encoding', ('', 'identity', 'chunked'))):
            if answer.header(name).strip().lower() not in plain:
                raise self._requests.failures.bad(f'the server sends it with a {name} that nobody asked for')

    def _learn(self, here: _Identity) -> None:
        if here.size is not None and here.size > self._job.max_bytes:
            raise errors.ImageTooLarge(limit=self._job.max_bytes)
        self._first = here
        self.size = here.size
        if self._wanted is None:
            self._hash = None if here.validator is not None else hashlib.blake2b()

    def _compare(self, here: _Identity) -> None:
        """Is it still the file that we began with, as far as the head tells?"""
        first = self._first
        if here.size is not None and first.size is not None and here.size != first.size:
            raise self._changed()
        if self._wanted is None and any(new and old and new != old for new, old in (
                (here.etag, first.etag), (here.last_modified, first.last_modified))):
            raise self._changed()

    def _skip_all(self, answer: Answer, here: _Identity) -> None:
        """Read from the beginning what was given already."""
        if self._wanted is not None:
            self._skip(answer, self._given, None)
        elif self._first.validator is None:
            again = hashlib.blake2b()
            self._skip(answer, self._given, None, again.update)
            if again.digest() != self._hash.digest():
                raise self._changed()
        elif here.validator == self._first.validator:
            self._skip(answer, self._given, None)
        else:
            raise self._changed()  # nothing says that it is the same

    def _skip(self, answer: Answer, size: int, same: Callable[[bytes], bool] | None,
              take: Callable[[bytes], None] | None = None) -> None:
        """Read *size* bytes of the answer. :raises BadSource: they are not the *same*, or not there"""
        kept = []
        while size:
            part = answer.read(min(size, _PIECE_BYTES))
            if not part:
                raise self._changed()
            size -= len(part)
            if take is not None:
                take(part)
            if same is not None:
                kept.append(part)
        if same is not None and not same(b''.join(kept)):
            raise self._changed()

    def _changed(self) -> errors.GlanceError:
        return self._requests.failures.bad('it has changed while it was read')


class _Chunks:
    """The pieces; unlike a generator it closes the download also when it is closed before the first of them."""

    def __init__(self, download: Download, pieces: Iterator[bytes]):
        self._download = download
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        self._pieces.close()
        self._download.close()

    __del__ = close


@dataclasses.dataclass(frozen=True, slots=True)
class _Identity:
    """By what a file on a server is known again.

    :ivar validator: what If-Range may name, or None
    """

    size: int | None
    etag: str
    last_modified: str
    validator: str | None

    @classmethod
    def of(cls, answer: Answer, size: int | None) -> _Identity:
        etag, modified = answer.header('ETag'), answer.header('Last-Modified')
        validator = etag if etag.startswith('"') else None
        if validator is None and not etag:
            made, sent = _seconds(modified), _seconds(answer.header('Date'))
            if made is not None and sent is not None and sent - made >= _STRONG_SECONDS:
                validator = modified
        return cls(size, etag, modified, validator)


def _seconds(date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
