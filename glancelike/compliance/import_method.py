"""The suite for import methods: every clause of ``glancelike/tasks/import_methods/base.py``.

::

    class FtpDownloadTest(ImportMethodSuite, testtools.TestCase):
        def make_method(self):
            return FtpDownload(plugin.options_for(FtpDownload, ftp_timeout=1))

        def make_request(self, data):
            return {'name': 'ftp-download', 'uri': self.server.put(data)}
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import logging
import os
import random
import socket
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

from glancelike.plugin import OWN, Caller, Content, Image, ImportJob, ImportMethod, RequestContext, errors

_MIB = 2**20
_MOST_PIECE_BYTES = 4 * _MIB
_TOKEN = 'token-of-the-suite-5b1c9a'
_ODD_VALUES = (5, -1.5, True, [], [1], {}, {'a': None}, '', ' ', '\0', 'a\r\nb: c', '🦊', '../../etc/passwd',
               'x' * 100_000, 'http://[', '://', 'file:///etc/passwd')


def sample(size: int, seed: int = 1) -> bytes:
    """Bytes in which no part is like another."""
    return random.Random(seed).randbytes(size)


class SuiteJob(ImportJob):
    """An import job that counts, and that can be told to end.

    :ivar checks: how often ``check`` was called
    :ivar end_with: what ``check`` raises; None: nothing
    """

    def __init__(self, folder: str, **values: Any):
        super().__init__(Image(id='11111111-2222-4333-8444-555555555555'), folder, **values)
        self.checks = 0
        self.end_with: Exception | None = None

    def check(self) -> None:
        self.checks += 1
        if self.end_with is not None:
            raise self.end_with


class ImportMethodSuite:
    """Mix into ``testtools.TestCase`` or ``unittest.TestCase``. The method's SOURCE must be OWN.

    :cvar end_seconds: after what time a source that says nothing must have been given up
    """

    end_seconds = 30

    # --- what the author gives -----------------------------------------------------------------------------------

    def make_method(self) -> ImportMethod:
        """The method, with options under which it gives up after seconds. Called several times in a test."""
        raise NotImplementedError('give make_method()')

    def make_request(self, data: bytes) -> Mapping[str, Any]:
        """A source with exactly these bytes; the ``method`` object of a request for it."""
        raise NotImplementedError('give make_request()')

    def make_context(self) -> RequestContext:
        """Who asks; with a token."""
        return RequestContext(user_id='suite', project_id='suite', roles=frozenset({'member'}), token=_TOKEN)

    def wrong_requests(self) -> Iterable[tuple[Mapping[str, Any], str]]:
        """Requests that ``check`` must refuse, each with the name of the field that is wrong."""
        return ()

    def missing_request(self) -> Mapping[str, Any] | None:
        """A request in order, for a source that is not there and will not be."""

    def dead_request(self) -> Mapping[str, Any] | None:
        """A request in order, for a source that does not answer now (a closed port)."""

    def broken_request(self, data: bytes) -> Mapping[str, Any] | None:
        """A request for a source that never comes further than to a part of these bytes."""

    def silent_request(self) -> Mapping[str, Any] | None:
        """A request for a source that takes the connection and says nothing."""

    def secrets(self) -> Sequence[str]:
        """Credentials that the method has used in this test, beside the token of ``make_context``."""
        return ()

    # --- helpers -------------------------------------------------------------------------------------------------

    def _given(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the service keeps of the request: as read from a row again."""
        return json.loads(json.dumps(self.make_method().check(self.make_context(), request)))

    def _job(self, request: Mapping[str, Any], **values: Any) -> SuiteJob:
        folder = tempfile.TemporaryDirectory(prefix='glancelike-suite-')
        self.addCleanup(folder.cleanup)
        ctx, given = self.make_context(), self._given(request)
        return SuiteJob(folder.name, input=given, secret=self.make_method().secret(ctx, given),
                        caller=Caller(ctx.user_id, ctx.project_id, ctx.roles, ctx.is_admin), **values)

    def _pieces(self, content: Content) -> Iterator[bytes]:
        if content.path is None:
            yield from content.chunks
            return
        with open(content.path, 'rb') as opened:
            yield from iter(lambda: opened.read(_MIB), b'')

    def _read(self, request: Mapping[str, Any], **values: Any) -> bytes:
        return b''.join(self._pieces(self.make_method().open(self._job(request, **values))))

    def _error(self, request: Mapping[str, Any], **values: Any) -> Exception:
        try:
            self._read(request, **values)
        except Exception as error:
            return error
        raise AssertionError('the source was read without an error')

    def _optional(self, hook: Callable[..., Mapping[str, Any] | None], *args: Any) -> Mapping[str, Any]:
        request = hook(*args)
        if request is None:
            self.skipTest(f'{hook.__name__}() is not given')
        return request

    def _troubles(self) -> Iterator[Mapping[str, Any]]:
        """Requests of every kind that the author has given."""
        yield from (self.make_request(sample(100_000)), self.missing_request(), self.dead_request(),
                    self.broken_request(sample(300_000)))

    # --- METHOD-1: check asks nobody -----------------------------------------------------------------------------

    def test_the_method_gets_the_bytes_itself(self):
        """METHOD-3: a method of another package has no other source than its own."""
        self.assertEqual(OWN, self.make_method().SOURCE)

    def test_a_check_makes_no_connection(self):
        """METHOD-1: no name is looked up and nobody is asked, whether the source is there or not."""
        asked = []

        def note(*args, **_options):
            asked.append(args[1:])
            raise OSError('no network in a check')

        def look_up(host, *args, **options):
            if not options.get('flags', 0) & socket.AI_NUMERICHOST:
                note(None, host)
            return original(host, *args, **options)

        method, ctx, original = self.make_method(), self.make_context(), socket.getaddrinfo
        requests = [one for one in self._troubles() if one is not None]
        with mock.patch.object(socket.socket, 'connect', note), mock.patch.object(socket.socket, 'connect_ex', note), \
                mock.patch.object(socket, 'getaddrinfo', look_up):
            for request in requests:
                method.check(ctx, request)
        self.assertEqual([], asked)

    def test_a_source_that_is_not_there_passes_the_check(self):
        """METHOD-1: whether it is there is found out later, by the one who reads it."""
        self.make_method().check(self.make_context(), self._optional(self.missing_request))

    def test_what_is_kept_can_be_written_as_json(self):
        """METHOD-1: it is written to a row, and another process reads it."""
        given = self.make_method().check(self.make_context(), self.make_request(b'x'))
        self.assertEqual(dict(given), json.loads(json.dumps(given)))

    def test_what_is_kept_holds_no_secret(self):
        """METHOD-1: tokens and passwords do not get into the row."""
        given = json.dumps(self.make_method().check(self.make_context(), self.make_request(b'x')))
        for secret in (self.make_context().token, *self.secrets()):
            self.assertNotIn(secret, given)

    def test_the_request_is_left_alone(self):
        """METHOD-1: it belongs to the caller."""
        request = self.make_request(b'x')
        before = copy.deepcopy(request)
        self.make_method().check(self.make_context(), request)
        self.assertEqual(before, request)

    # --- METHOD-2: what is wrong with a request ------------------------------------------------------------------

    def test_wrong_requests_are_refused_and_the_field_is_named(self):
        """METHOD-2: the caller learns which field to correct."""
        for request, field in self.wrong_requests():
            try:
                self.make_method().check(self.make_context(), request)
            except errors.Invalid as error:
                self.assertIn(field, str(error))
            else:
                self.fail(f'this was not refused: {request}')

    def test_no_value_makes_the_check_raise_something_else(self):
        """METHOD-2: values of every kind, and missing ones, pass or are Invalid."""
        good = dict(self.make_request(b'x'))
        for key in [key for key in good if key != 'name']:
            requests = [{**good, key: value} for value in _ODD_VALUES]
            requests.append({one: value for one, value in good.items() if one != key})
            for request in requests:
                with contextlib.suppress(errors.Invalid):
                    self.make_method().check(self.make_context(), request)

    # --- METHOD-3: the bytes -------------------------------------------------------------------------------------

    def test_the_bytes_are_those_of_the_source(self):
        """METHOD-3: all of them, in order; none too."""
        for size in (0, 1, _MIB, 3 * _MIB + 7):
            data = sample(size, size)
            self.assertTrue(self._read(self.make_request(data)) == data, f'{size} bytes came out otherwise')

    def test_a_size_that_is_told_is_right(self):
        """METHOD-3: a store may reserve room by it."""
        data = sample(70_001)
        content = self.make_method().open(self._job(self.make_request(data)))
        self.assertIn(content.size, (None, len(data)))
        self.assertEqual(len(data), sum(map(len, self._pieces(content))))

    def test_content_has_chunks_or_a_path(self):
        """METHOD-3: one of the two, never both."""
        content = self.make_method().open(self._job(self.make_request(b'abc')))
        self.assertEqual(1, sum(one is not None for one in (content.chunks, content.path)))
        list(self._pieces(content))

    def test_each_open_begins_at_the_beginning(self):
        """METHOD-3: also with the same job, after a reading that was given up."""
        data = sample(2 * _MIB + 5)
        method, job = self.make_method(), self._job(self.make_request(data))
        pieces = self._pieces(method.open(job))
        next(pieces)
        pieces.close()
        for _ in range(2):
            self.assertTrue(b''.join(self._pieces(method.open(job))) == data)

    def test_another_process_can_open_it(self):
        """METHOD-3: it needs nothing but the job's input and secret."""
        data = sample(300_000)
        request = self.make_request(data)
        with _elsewhere(self._read_from_json) as read:
            job = self._job(request)
            told = read(json.dumps([job.input, job.secret]))
        self.assertEqual(f'{len(data)} bytes, {hash_of(data)}', told)

    def _read_from_json(self, text: str) -> str:
        given, secret = json.loads(text)
        ctx = self.make_context()
        with tempfile.TemporaryDirectory() as folder:
            job = SuiteJob(folder, input=given, secret=secret,
                           caller=Caller(ctx.user_id, ctx.project_id, ctx.roles, ctx.is_admin))
            data = b''.join(self._pieces(self.make_method().open(job)))
        return f'{len(data)} bytes, {hash_of(data)}'

    # --- METHOD-4: errors ----------------------------------------------------------------------------------------

    def test_a_missing_source_is_bad(self):
        """METHOD-4: trying again does not help."""
        error = self._error(self._optional(self.missing_request))
        self.assertIsInstance(error, errors.BadSource)

    def test_a_source_that_does_not_answer_is_unavailable(self):
        """METHOD-4: it may pass."""
        error = self._error(self._optional(self.dead_request))
        self.assertIsInstance(error, errors.SourceUnavailable)

    def test_a_source_that_breaks_off_is_no_short_image(self):
        """METHOD-4: what comes out of the chunks is an error of the contract, not an end."""
        error = self._error(self._optional(self.broken_request, sample(300_000)))
        self.assertIsInstance(error, (errors.SourceUnavailable, errors.BadSource, errors.HashMismatch))

    # --- METHOD-5: pieces ----------------------------------------------------------------------------------------

    def test_pieces_are_neither_empty_nor_large(self):
        """METHOD-5: 1 B to 4 MiB each."""
        for piece in self._pieces(self.make_method().open(self._job(self.make_request(sample(9 * _MIB))))):
            self.assertIsInstance(piece, (bytes, bytearray, memoryview))
            self.assertTrue(1 <= len(piece) <= _MOST_PIECE_BYTES, f'a piece of {len(piece)} bytes')

    def test_the_job_is_checked_for_each_piece(self):
        """METHOD-5: so that an end that was asked for comes soon."""
        job = self._job(self.make_request(sample(5 * _MIB)))
        content = self.make_method().open(job)
        if content.chunks is None:
            self.assertGreater(job.checks, 0)
            return
        for _ in content.chunks:
            self.assertGreater(job.checks, 0, 'a piece without a check')
            job.checks = 0

    def test_what_the_check_raises_passes_unchanged(self):
        """METHOD-5: in the middle of the bytes."""
        for end in (errors.TaskCancelled(), errors.ImageGone(image_id='x')):
            job = self._job(self.make_request(sample(9 * _MIB)))
            content = self.make_method().open(job)
            if content.chunks is not None:
                pieces = iter(content.chunks)
                next(pieces)
                self._hold_to_the_end(job, end, lambda pieces=pieces: list(pieces))

    def test_an_end_that_was_asked_for_before_is_noticed(self):
        """METHOD-5: at the latest with the first piece."""
        job = self._job(self.make_request(sample(_MIB)))
        self._hold_to_the_end(job, errors.TaskCancelled(),
                              lambda: list(self._pieces(self.make_method().open(job))))

    def _hold_to_the_end(self, job: SuiteJob, end: Exception, call: Callable[[], Any]) -> None:
        job.end_with = end
        try:
            call()
        except Exception as error:
            self.assertIs(end, error)
        else:
            self.fail('the end that was asked for was not noticed')

    def test_closing_early_gives_up_what_is_open(self):
        """METHOD-5: connections and files, in the middle and before the first piece."""
        method = self.make_method()
        requests = [self.make_request(sample(3 * _MIB, seed)) for seed in range(3)]
        jobs = [self._job(request) for request in requests]
        before = _open_files()
        for job, begin in zip(jobs, (True, True, False), strict=True):
            content = method.open(job)
            if content.chunks is not None:
                pieces = iter(content.chunks)
                if begin:
                    next(pieces)
                getattr(pieces, 'close', lambda: None)()
                del content, pieces
        self.assertTrue(_comes_true(lambda: _open_files() <= before), 'something is still open')

    def test_more_than_the_job_may_have_is_never_given(self):
        """METHOD-5: ImageTooLarge comes before the byte that is too many."""
        data = sample(2 * _MIB)
        job, given = self._job(self.make_request(data), max_bytes=len(data) - 1), 0
        try:
            content = self.make_method().open(job)
            if content.path is not None:
                given = os.path.getsize(content.path)
            else:
                for piece in content.chunks:
                    given += len(piece)
        except errors.ImageTooLarge:
            self.assertLess(given, len(data))
        else:
            self.fail(f'{given} bytes were given where {len(data) - 1} are allowed')

    def test_as_much_as_the_job_may_have_is_given(self):
        """METHOD-5: the limit itself is allowed."""
        data = sample(_MIB)
        self.assertTrue(self._read(self.make_request(data), max_bytes=len(data)) == data)

    # --- METHOD-6: secrets ---------------------------------------------------------------------------------------

    def test_no_error_and_no_log_line_carries_a_credential(self):
        """METHOD-6: whatever goes wrong; properties neither."""
        said = _Listener()
        with said:
            for request in self._troubles():
                if request is None:
                    continue
                try:
                    content = self.make_method().open(self._job(request))
                    said.lines.append(repr(content) + repr(dict(content.properties)))
                    list(self._pieces(content))
                except Exception as error:
                    said.lines.append(_told(error))
            for request, _ in self.wrong_requests():
                try:
                    self.make_method().check(self.make_context(), request)
                except Exception as error:
                    said.lines.append(_told(error))
        for secret in (self.make_context().token, *self.secrets()):
            self.assertEqual([], [line for line in said.lines if secret and secret in line])

    # --- METHOD-7: waiting ---------------------------------------------------------------------------------------

    def test_a_source_that_says_nothing_is_given_up(self):
        """METHOD-7: no call blocks for ever."""
        request, found = self._optional(self.silent_request), []
        job = self._job(request)

        def read() -> None:
            try:
                b''.join(self._pieces(self.make_method().open(job)))
            except Exception as error:
                found.append(error)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        reader.join(self.end_seconds)
        self.assertFalse(reader.is_alive(), f'it still waits after {self.end_seconds} s')
        self.assertEqual(1, len(found), 'it ended without an error')

    # --- METHOD-8: facts -----------------------------------------------------------------------------------------

    def test_facts_can_be_written_as_json(self):
        """METHOD-8: callers read them."""
        facts = self.make_method().facts()
        self.assertEqual(dict(facts), json.loads(json.dumps(facts)))

    def test_facts_hold_no_credential(self):
        """METHOD-8: everybody may read them."""
        self._read(self.make_request(b'x'))
        facts = json.dumps(self.make_method().facts(), default=repr)
        for secret in (self.make_context().token, *self.secrets()):
            self.assertNotIn(secret, facts)


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _told(error: Exception) -> str:
    return f'{error} {error!r} {getattr(error, "facts", "")!r}'


@contextlib.contextmanager
def _elsewhere(call: Callable[[str], str]) -> Iterator[Callable[[str], str]]:
    """A process that was started before the block, and does ``call(text)`` with a text of the block."""
    to_child, from_child = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(to_child[1])
        os.close(from_child[0])
        try:
            with os.fdopen(to_child[0], encoding='utf-8') as opened:
                text = opened.read()
            answer = call(text) if text else ''
        except BaseException:
            answer = traceback.format_exc()
        with os.fdopen(from_child[1], 'w', encoding='utf-8') as opened:
            opened.write(answer)
        os._exit(0)
    os.close(to_child[0])
    os.close(from_child[1])

    def ask(text: str) -> str:
        with os.fdopen(os.dup(to_child[1]), 'w', encoding='utf-8') as opened:
            opened.write(text)
        os.close(to_child[1])
        with os.fdopen(os.dup(from_child[0]), encoding='utf-8') as opened:
            return opened.read()

    try:
        yield ask
    finally:
        with contextlib.suppress(OSError):
            os.close(to_child[1])
        os.close(from_child[0])
        os.waitpid(child, 0)


class _Listener(logging.Handler):
    """Hears every log line of the block, with tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter('%(message)s'))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def __enter__(self) -> _Listener:
        root = logging.getLogger()
        self._level = root.level
        root.addHandler(self)
        root.setLevel(logging.DEBUG)
        return self

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._level)


def _open_files() -> int:
    """How many files and sockets this process has open; 0 where the system does not tell."""
    try:
        return len(os.listdir('/proc/self/fd'))
    except OSError:
        return 0


def _comes_true(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Does it hold within that time? The other end of a connection closes a little later than ours."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
