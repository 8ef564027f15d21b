"""The suite for import plugins: every clause of ``glancelike/tasks/import_plugins/base.py``.

::

    class VirusScanTest(ImportPluginSuite, testtools.TestCase):
        def make_plugin(self):
            return VirusScan(plugin.options_for(VirusScan))

        def refused_samples(self):
            return [Sample('a virus', EICAR)]

Whatever a plugin is for, bytes of many kinds come by: SAMPLES are some of each kind, and every plugin meets them all.
"""

from __future__ import annotations

import bz2
import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import lzma
import os
import pathlib
import shutil
import struct
import tempfile
import tracemalloc
import unittest.mock
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from glancelike.plugin import HEAD_BYTES, Caller, Content, Image, ImportJob, ImportPlugin, errors

_MIB = 2**20
_PIECE_BYTES = 4 * _MIB  # the longest piece
_LONG_BYTES = 96 * _MIB
_HELD_BYTES = 40 * _MIB  # at most, of a long image: some pieces on their way, and what a decoder keeps

#: How files of some formats begin; others cannot be told by their beginning.
_BEGINNINGS: Mapping[str, bytes] = {'qcow2': b'QFI\xfb', 'vmdk': b'KDMV', 'vhdx': b'vhdxfile', 'vhd': b'conectix'}


@dataclasses.dataclass(frozen=True)
class Sample:
    """An image that comes by.

    :ivar name: for messages
    :ivar data: its bytes
    :ivar properties: of the image, as stored
    """

    name: str
    data: bytes = dataclasses.field(repr=False)
    disk_format: str = 'raw'
    container_format: str = 'bare'
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Outcome:
    """What has become of a sample.

    :ivar pieces: lengths of the chunks in order; empty where the result is a file
    :ivar passed: the result is what was given, chunks or path
    :ivar same: the bytes are those of the sample
    """

    content: Content
    data: bytes
    pieces: list[int]
    passed: bool
    same: bool

    def facts(self) -> tuple:
        """What must be alike for the same bytes."""
        return (hashlib.sha256(self.data).hexdigest(), len(self.data), self.content.disk_format,
                self.content.container_format, dict(self.content.properties))


def _zipped(data: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo('disk.img'), data, zipfile.ZIP_DEFLATED)
    return written.getvalue()


def _qcow2(disk_bytes: int) -> bytes:
    """An empty disk (QEMU, docs/interop/qcow2.txt, version 2): header, reference counts, first level table."""
    cluster = 2**16
    header = struct.pack('>4sIQIIQIIQQIIQ', b'QFI\xfb', 2, 0, 0, 16, disk_bytes, 0, 1, 3 * cluster, cluster, 1, 0, 0)
    counts = struct.pack('>4H', 1, 1, 1, 1)
    return b''.join(part.ljust(cluster, b'\0') for part in (header, struct.pack('>Q', 2 * cluster), counts, b''))


_NOISE = b''.join(hashlib.sha256(str(number).encode()).digest() for number in range(6000))
_DISK = _NOISE + bytes(2 * _MIB) + _NOISE[:70001]

#: One of each kind of bytes that an import may bring.
SAMPLES: Sequence[Sample] = (
    Sample('a raw disk', _DISK),
    Sample('one byte', b'\1'),
    Sample('no byte', b''),
    Sample('noise', _NOISE, 'ami', 'ami'),
    Sample('a disk with properties', _NOISE, properties={'os_distro': 'plan9', 'hw_vif_model': 'e1000'}),
    Sample('gzip', gzip.compress(_DISK, mtime=0)),
    Sample('gzip, twice', gzip.compress(gzip.compress(_DISK, mtime=0), mtime=0)),
    Sample('bzip2', bz2.compress(_DISK)),
    Sample('xz', lzma.compress(_DISK)),
    Sample('zip', _zipped(_DISK)),
    Sample('gzip that is to stay', gzip.compress(_DISK, mtime=0), 'raw', 'compressed'),
    Sample('qcow2', _qcow2(3 * _MIB), 'qcow2'),
    Sample('qcow2 in an archive', gzip.compress(_qcow2(3 * _MIB), mtime=0), 'qcow2'),
    Sample('an archive of a package', _zipped(_NOISE), 'vmdk', 'ova'),
)


class _Source(Iterator[bytes]):
    """Pieces that count what is asked of them."""

    def __init__(self, pieces: Iterable[bytes]):
        self._pieces = iter(pieces)
        self.given = 0
        self.closed = self.broken = False

    def __next__(self) -> bytes:
        try:
            piece = next(self._pieces)
        except errors.GlanceError:
            self.broken = True
            raise
        self.given += 1
        return piece

    def close(self) -> None:
        self.closed = True


class _Job(ImportJob):
    """Counts the calls, and can be made to end the work at one of them."""

    def __init__(self, sample: Sample, folder: str, max_bytes: int, stop_at: int | None):
        image = Image('11111111-2222-4333-8444-555555555555', status='importing', disk_format=sample.disk_format,
                      container_format=sample.container_format, properties=dict(sample.properties))
        super().__init__(image, folder, caller=Caller('user', 'project', frozenset({'member'})), max_bytes=max_bytes)
        self.checks = self.runs = 0
        self.inside = 0  # of run or sleep
        self.stop = errors.TaskCancelled()
        self._stop_at = stop_at

    def check(self) -> None:
        self.checks += 1
        if self._stop_at is not None and self.checks > self._stop_at:
            raise self.stop

    def run(self, call: Callable[..., Any], *args: Any) -> Any:
        self.runs += 1
        self.inside += 1
        try:
            return call(*args)
        finally:
            self.inside -= 1

    def sleep(self, seconds: float) -> None:
        self.runs += 1
        self.inside += 1
        try:
            super().sleep(seconds)
        finally:
            self.inside -= 1


class _Trial:
    """One sample on its way through the plugin, in folders of its own.

    :param as_file: give a path even where the plugin does not need one
    """

    def __init__(self, plugin: ImportPlugin, sample: Sample, folder: str, *, as_file: bool = False,
                 max_bytes: int = 2**40, stop_at: int | None = None, pieces: Iterable[bytes] | None = None,
                 piece_bytes: int = 100_000):
        self.plugin, self.sample = plugin, sample
        self.folder = tempfile.mkdtemp(dir=folder)
        work = os.path.join(self.folder, 'work')
        os.mkdir(work)
        self.job = _Job(sample, work, max_bytes, stop_at)
        data = sample.data
        if pieces is None:
            pieces = (data[start:start + piece_bytes] for start in range(0, len(data), piece_bytes))
        self.source = _Source(pieces)
        self.given = Content(
            chunks=self.source, size=None, head=data[:HEAD_BYTES], disk_format=sample.disk_format,
            container_format=sample.container_format, properties={'trial': 'kept'})
        self.has_file = as_file or plugin.needs_file(self.job, self.given)
        if self.has_file:
            path = os.path.join(self.folder, 'given')
            with open(path, 'wb') as opened:
                opened.writelines(self.source)
            self.given = dataclasses.replace(self.given, chunks=None, path=path, size=os.path.getsize(path))

    def process(self) -> Content:
        return self.plugin.process(self.job, self.given)

    def chunks(self, content: Content) -> Iterator[bytes]:
        """The result's bytes, closed at the end."""
        if content.path is not None:
            with open(content.path, 'rb') as opened:
                while piece := opened.read(_MIB):
                    yield piece
            return
        try:
            yield from content.chunks
        finally:
            close(content)

    def outcome(self) -> Outcome:
        content = self.process()
        pieces = list(self.chunks(content))
        data = b''.join(pieces)
        passed = content.chunks is self.given.chunks and content.path == self.given.path
        return Outcome(content, data, [] if content.path else [len(one) for one in pieces], passed,
                       data == self.sample.data)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def close(content: Content) -> None:
    """Give up the chunks, if there are any that can be."""
    closing = getattr(content.chunks, 'close', None)
    if closing is not None:
        closing()


class ImportPluginSuite:
    """Mix into ``testtools.TestCase`` or ``unittest.TestCase``."""

    # --- what the author gives ---------------------------------------------------------------------------------

    def make_plugin(self) -> ImportPlugin:
        """A plugin that is ready for use; called again for each of several."""
        raise NotImplementedError('give make_plugin()')

    def own_samples(self) -> Sequence[Sample]:
        """Images that the plugin does something to, beside SAMPLES."""
        return ()

    def refused_samples(self) -> Sequence[Sample]:
        """Images that the plugin refuses."""
        return ()

    def secrets(self) -> Sequence[str]:
        """Texts of the plugin's options that callers must not see."""
        return ()

    # --- helpers -----------------------------------------------------------------------------------------------

    def _folder(self) -> str:
        if not hasattr(self, '_suite_folder'):
            self._suite_folder = tempfile.mkdtemp(prefix='import-plugin-')
            self.addCleanup(shutil.rmtree, self._suite_folder, ignore_errors=True)
        return self._suite_folder

    @contextlib.contextmanager
    def _trial(self, sample: Sample, **how: Any) -> Iterator[_Trial]:
        trial = _Trial(self.make_plugin(), sample, self._folder(), **how)
        try:
            yield trial
        finally:
            trial.remove()

    def _samples(self) -> list[Sample]:
        return [*SAMPLES, *self.own_samples()]

    def _outcomes(self) -> Iterator[tuple[Sample, _Trial, Outcome]]:
        """Every sample that is not refused, as a stream and as a file."""
        for sample in self._samples():
            for as_file in (False, True):
                with self._trial(sample, as_file=as_file) as trial:
                    try:
                        outcome = trial.outcome()
                    except Exception:  # which ones may come is the business of PLUGIN-2
                        continue
                    yield sample, trial, outcome

    def _changed(self) -> list[tuple[Sample, Outcome]]:
        """The samples of which the plugin makes other bytes."""
        found = [(sample, outcome) for sample, trial, outcome in self._outcomes() if not outcome.same]
        if not found:
            self.skipTest(f'{type(self.make_plugin()).__name__} makes no other bytes of any sample')
        return found

    # --- PLUGIN-1 ----------------------------------------------------------------------------------------------

    def test_the_result_is_a_content_with_chunks_or_a_path(self):
        """PLUGIN-1: never both, never neither."""
        for sample, _, outcome in self._outcomes():
            self.assertIsInstance(outcome.content, Content, sample.name)
            self.assertNotEqual(outcome.content.chunks is None, outcome.content.path is None, sample.name)

    def test_the_size_is_that_of_the_bytes(self):
        """PLUGIN-1: a size that is said is the length of what comes."""
        for sample, _, outcome in self._outcomes():
            if outcome.content.size is not None:
                self.assertEqual(len(outcome.data), outcome.content.size, sample.name)

    def test_the_formats_are_those_of_the_bytes(self):
        """PLUGIN-1: what was converted says so, and nothing else does."""
        for sample, _, outcome in self._outcomes():
            beginning = _BEGINNINGS.get(outcome.content.disk_format, b'')
            if not outcome.same and outcome.content.container_format == 'bare':
                self.assertEqual(beginning, outcome.data[:len(beginning)],
                                 f'{sample.name} is said to be {outcome.content.disk_format}')
            elif outcome.same and outcome.content.container_format == sample.container_format:
                self.assertEqual(sample.disk_format, outcome.content.disk_format, sample.name)

    def test_properties_that_were_given_stay(self):
        """PLUGIN-1: names and values are text, and those of the plugins before are not lost."""
        for sample, _, outcome in self._outcomes():
            properties = outcome.content.properties
            self.assertIn('trial', properties, sample.name)
            wrong = [name for name, value in properties.items()
                     if not isinstance(name, str) or not isinstance(value, str)]
            self.assertEqual([], wrong, sample.name)

    def test_chunks_are_bytes_of_at_least_one_and_at_most_4_mib(self):
        """PLUGIN-1: as every Content has them."""
        for sample, _, outcome in self._outcomes():
            self.assertEqual([], [size for size in outcome.pieces if not 1 <= size <= _PIECE_BYTES], sample.name)

    # --- PLUGIN-2 ----------------------------------------------------------------------------------------------

    def test_a_refusal_is_one_of_the_two_errors(self):
        """PLUGIN-2: ImportRejected or UnsafeImage, which callers can tell from a fault."""
        samples = self.refused_samples()
        if not samples:
            self.skipTest('refused_samples() gives none')
        for sample in samples:
            with self._trial(sample) as trial:
                error = self._error_of(trial)
                self.assertIsInstance(error, errors.ImportRejected | errors.UnsafeImage, f'{sample.name}: {error!r}')

    def test_no_image_makes_it_raise_another_error(self):
        """PLUGIN-2: whatever comes, what is raised is a GlanceError, and it names none of the service's files."""
        for sample in [*self._samples(), *self.refused_samples()]:
            for name, data in self._damaged(sample.data):
                with self._trial(dataclasses.replace(sample, data=data)) as trial:
                    error = self._error_of(trial)
                    if error is not None:
                        self.assertIsInstance(error, errors.GlanceError, f'{sample.name}, {name}: {error!r}')
                        self.assertNotIn(self._folder(), str(error), f'{sample.name}, {name}')

    def test_an_error_of_the_source_passes(self):
        """PLUGIN-2: a source that fails is no image that is refused."""
        for sample in self._samples():
            gone = errors.SourceUnavailable(reason='the connection broke')
            with self._trial(sample) as trial:
                if trial.has_file:
                    continue
            with self._trial(sample, pieces=self._breaking(sample.data, gone)) as trial:
                error = self._error_of(trial)
                if trial.source.broken:
                    self.assertIs(gone, error, sample.name)

    def _error_of(self, trial: _Trial) -> Exception | None:
        try:
            trial.outcome()
        except Exception as error:  # a plugin may raise anything: this is what is looked at
            return error
        return None

    def _damaged(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        middle = len(data) // 2
        yield 'whole', data
        yield 'half of it', data[:middle]
        yield 'without the last byte', data[:-1]
        yield 'the first bytes', data[:20]
        yield 'with something behind it', data + b'something'
        yield 'with a hole', data[:middle] + bytes(64) + data[middle + 64:]

    def _breaking(self, data: bytes, error: Exception) -> Iterator[bytes]:
        for start in range(0, len(data) // 2, 50_000):
            yield data[start:start + 50_000]
        raise error

    # --- PLUGIN-3 ----------------------------------------------------------------------------------------------

    def test_a_stream_is_passed_on_piece_by_piece(self):
        """PLUGIN-3: the source is not read to its end before the first piece is there."""
        sample = Sample('a long raw disk', bytes(HEAD_BYTES))
        with self._trial(sample, pieces=(bytes(_MIB) for _ in range(64))) as trial:
            if trial.has_file:
                self.skipTest(f'{type(trial.plugin).__name__} needs a file for a raw disk')
            with self._refusal_skips(trial):
                chunks = iter(trial.chunks(trial.process()))
                next(chunks)
            self.assertLess(trial.source.given, 32)
            chunks.close()

    def test_memory_does_not_grow_with_the_image(self):
        """PLUGIN-3: of a long one no more than some pieces are held, and of a long expansion neither."""
        for name, pieces in (('raw', lambda: (bytes(_MIB) for _ in range(_LONG_BYTES // _MIB))),
                             ('gzip', self._long_gzip)):
            head = next(iter(pieces()))[:HEAD_BYTES]
            with self._trial(Sample(name, head), pieces=pieces()) as trial, self._refusal_skips(trial):
                tracemalloc.start()
                try:
                    for _ in trial.chunks(trial.process()):
                        self.assertLess(tracemalloc.get_traced_memory()[0], _HELD_BYTES, name)
                    peak = tracemalloc.get_traced_memory()[1]
                finally:
                    tracemalloc.stop()
                self.assertLess(peak, _HELD_BYTES, f'bytes of memory for {_LONG_BYTES} bytes of {name}')

    def test_closing_early_closes_the_source(self):
        """PLUGIN-3: before the first piece and after it."""
        for sample in self._samples():
            for count in (0, 1):
                with self._trial(sample) as trial:
                    if trial.has_file:
                        continue
                    try:
                        content = trial.process()
                        for _ in zip(range(count), content.chunks or (), strict=False):
                            pass
                    except Exception:  # who gave the source closes it then
                        continue
                    close(content)
                    self.assertTrue(trial.source.closed, f'{sample.name}, closed after {count} pieces')

    @contextlib.contextmanager
    def _refusal_skips(self, trial: _Trial) -> Iterator[None]:
        """Who refuses the long image of the suite, which is empty, cannot be tried with it."""
        try:
            yield
        except (errors.ImportRejected, errors.UnsafeImage) as error:
            self.skipTest(f'{type(trial.plugin).__name__} refuses a long empty disk: {error}')

    def _long_gzip(self) -> Iterator[bytes]:
        packer = zlib.compressobj(wbits=31)
        for _ in range(_LONG_BYTES // _MIB):
            piece = packer.compress(bytes(_MIB))
            if piece:
                yield piece
        yield packer.flush()

    # --- PLUGIN-4 ----------------------------------------------------------------------------------------------

    def test_the_job_is_looked_at_for_each_piece(self):
        """PLUGIN-4: at least as often as pieces are made."""
        looked = [(sample.name, outcome, trial.job.checks) for sample, trial, outcome in self._outcomes()
                  if not outcome.passed and outcome.data]
        if not looked:
            self.skipTest(f'{type(self.make_plugin()).__name__} passes on what it is given')
        for name, outcome, checks in looked:
            self.assertGreaterEqual(checks, max(1, sum(map(bool, outcome.pieces))), name)

    def test_the_end_of_the_job_passes_unchanged(self):
        """PLUGIN-4: what ``check`` raises comes out as it is, whichever call of it."""
        for sample in self._samples():
            for stop_at in (0, 1, 3, 7):
                with self._trial(sample, stop_at=stop_at) as trial:
                    error = self._error_of(trial)
                    if trial.job.checks > stop_at:
                        self.assertIs(trial.job.stop, error, f'{sample.name}, at look {stop_at + 1}: {error!r}')

    # --- PLUGIN-5 ----------------------------------------------------------------------------------------------

    def test_the_given_file_is_not_changed(self):
        """PLUGIN-5: it may be needed again."""
        for sample in self._samples():
            with self._trial(sample, as_file=True) as trial:
                before = os.stat(trial.given.path)
                self._error_of(trial)
                after = os.stat(trial.given.path)
                with open(trial.given.path, 'rb') as opened:
                    self.assertEqual(sample.data, opened.read(), sample.name)
                self.assertEqual((before.st_mtime_ns, before.st_mode), (after.st_mtime_ns, after.st_mode), sample.name)

    def test_files_are_made_in_the_folder_of_the_job_only(self):
        """PLUGIN-5: not in the system's folder for temporary files, not beside what was given, not where it runs."""
        elsewhere = tempfile.mkdtemp(dir=self._folder())
        where = os.getcwd()
        for sample in self._samples():
            with self._trial(sample) as trial, unittest.mock.patch('tempfile.tempdir', elsewhere), \
                    unittest.mock.patch.dict(os.environ, TMPDIR=elsewhere):
                os.chdir(elsewhere)
                try:
                    self._error_of(trial)
                finally:
                    os.chdir(where)
                self.assertEqual([], os.listdir(elsewhere), sample.name)
                self.assertEqual([], sorted(set(os.listdir(trial.folder)) - {'work', 'given'}), sample.name)

    def test_a_result_that_is_a_file_is_in_the_folder_of_the_job(self):
        """PLUGIN-5: or it is the given one."""
        for sample, trial, outcome in self._outcomes():
            if outcome.content.path not in (None, trial.given.path):
                self.assertEqual(os.path.realpath(trial.job.folder),
                                 os.path.realpath(os.path.dirname(outcome.content.path)), sample.name)

    def test_no_child_is_left(self):
        """PLUGIN-5: whether the work was done, ended by the job, or given up after the first piece."""
        for sample in self._samples():
            before = _children()
            for stop_at in (None, 0, 2):
                with self._trial(sample, stop_at=stop_at) as trial:
                    self._error_of(trial)
                    self.assertEqual(set(), _children() - before, f'{sample.name}, stopped at {stop_at}')
            with self._trial(sample) as trial:
                with contextlib.suppress(Exception):
                    content = trial.process()
                    next(iter(content.chunks or ()), None)
                    close(content)
                self.assertEqual(set(), _children() - before, f'{sample.name}, given up')

    # --- PLUGIN-6 ----------------------------------------------------------------------------------------------

    def test_what_is_made_is_bounded(self):
        """PLUGIN-6: one byte more than an image may have is not given."""
        for sample, outcome in self._changed():
            length = len(outcome.data)
            with self._trial(sample, max_bytes=length) as trial:
                self.assertEqual(length, len(trial.outcome().data), sample.name)
            with self._trial(sample, max_bytes=length - 1) as trial:
                came = 0
                try:
                    for piece in trial.chunks(trial.process()):
                        came += len(piece)
                except errors.ImageTooLarge:
                    self.assertLess(came, length, sample.name)
                else:
                    self.fail(f'{sample.name}: {came} bytes came where {length - 1} are allowed')

    # --- PLUGIN-7 ----------------------------------------------------------------------------------------------

    def test_work_goes_through_the_job(self):
        """PLUGIN-7: other bytes are not made without ``run``."""
        for sample, _ in self._changed():
            with self._trial(sample) as trial:
                trial.outcome()
                self.assertGreater(trial.job.runs, 0, sample.name)

    def test_nothing_waits_by_itself(self):
        """PLUGIN-7: a pause is the job's, which others may use."""
        for sample in self._samples():
            with self._trial(sample) as trial:
                waits = []

                def sleep(seconds: float, job: _Job = trial.job, waits: list = waits) -> None:
                    if not job.inside:
                        waits.append(seconds)

                with unittest.mock.patch('time.sleep', sleep):
                    self._error_of(trial)
                self.assertEqual([], waits, sample.name)

    # --- PLUGIN-8 ----------------------------------------------------------------------------------------------

    def test_the_same_bytes_give_the_same_result(self):
        """PLUGIN-8: from a new plugin, from one that has done other work, from a stream and from a file."""
        used = self.make_plugin()
        for sample in self._samples():
            results = []
            for plugin, how in ((self.make_plugin(), {}), (used, {}), (used, {'as_file': True}),
                                (used, {'piece_bytes': 7001})):
                trial = _Trial(plugin, sample, self._folder(), **how)
                try:
                    results.append(trial.outcome().facts())
                except Exception as error:
                    results.append(type(error))
                finally:
                    trial.remove()
            self.assertEqual([results[0]] * 4, results, sample.name)

    # --- PLUGIN-9 ----------------------------------------------------------------------------------------------

    def test_facts_are_for_everybody(self):
        """PLUGIN-9: JSON, the same each time, without a path and without a secret."""
        plugin = self.make_plugin()
        facts = plugin.facts()
        text = json.dumps(facts)
        self.assertIsInstance(json.loads(text), dict)
        self.assertEqual(text, json.dumps(plugin.facts()))
        self.assertEqual([], [word for word in _texts(facts) if word.startswith('/') or os.path.exists(word)])
        self.assertEqual([], [number for number, secret in enumerate(self.secrets()) if secret in text],
                         'places in secrets() of what the facts show')


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from (*_texts(key), *_texts(inner))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _children() -> set[int]:
    """Process ids of the children of this process, the dead that nobody has asked about among them."""
    found = set()
    for listing in pathlib.Path('/proc/self/task').glob('*/children'):
        with contextlib.suppress(FileNotFoundError):
            found.update(map(int, listing.read_text().split()))
    return found
