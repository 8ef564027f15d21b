"""Programs that do not want to end, or want too much."""

import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import textwrap
import unittest.mock

from glancelike import errors
from glancelike.plugin import ImportJob
from glancelike.tasks.import_plugins.image_conversion.child import BoundedChild, Limits, OutOfTime, find_program
from tests import base
from tests.servers.process import wait_until
from tests.unit.tasks.import_plugins import jobs

MIB = 2**20
LIMITS = Limits(memory_bytes=2**30, cpu_seconds=60, seconds=120, file_bytes=64 * MIB)
_NUMBERS = itertools.count(1)


def marked():
    """A length of sleep that nobody else sleeps: to find the process by."""
    return f'9{os.getpid()}.{next(_NUMBERS)}'


def alive(mark):
    """Process ids of the processes with that argument."""
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
        try:
            words = path.read_bytes().split(b'\0')
        except OSError:
            continue
        if mark.encode() in words and words[0] != sys.executable.encode():
            found.append(int(path.parent.name))
    return found


class StoppedJob(ImportJob):
    """Is ended once a process is there."""

    mark = ''

    def check(self):
        if alive(self.mark):
            raise errors.TaskCancelled()


class Case(base.TestCase):

    def setUp(self):
        super().setUp()
        if sys.platform != 'linux':
            self.skipTest('setpriv, prlimit and unshare are there on Linux only')
        self.child = BoundedChild('the test')
        self.job = jobs.job_in(self.tmp)

    def run_it(self, *command, job=None, **limits):
        values = {field: getattr(LIMITS, field) for field in Limits.__slots__} | limits
        return self.child.run(job or self.job, command, Limits(**values))


class BoundsTest(Case):

    def test_what_it_says_and_its_code_are_given(self):
        result = self.run_it('sh', '-c', 'echo out; echo err >&2; exit 3')
        self.assertEqual((3, 'out\n', 'err\n'), (result.code, result.output, result.errors))

    def test_of_long_output_the_beginning_is_given(self):
        result = self.run_it('dd', 'if=/dev/zero', 'bs=1M', 'count=4')
        self.assertEqual((0, MIB), (result.code, len(result.output)))

    def test_processor_time_is_bounded(self):
        result = self.run_it('sh', '-c', 'while :; do :; done', cpu_seconds=1)
        self.assertEqual(-signal.SIGXCPU, result.code)

    def test_the_signal_that_ended_it_is_told(self):
        for number in (signal.SIGKILL, signal.SIGABRT, signal.SIGXFSZ):
            self.assertEqual(-number, self.run_it('sh', '-c', f'kill -{int(number)} $$').code)

    def test_memory_is_bounded(self):
        result = self.run_it('dd', 'if=/dev/zero', 'of=/dev/null', 'bs=1G', 'count=1', memory_bytes=2**28)
        self.assertNotEqual(0, result.code)
        self.assertIn('memory exhausted', result.errors)

    def test_files_are_bounded_and_no_core_is_left(self):
        result = self.run_it('dd', 'if=/dev/zero', 'of=made', 'bs=64k', 'count=100', file_bytes=MIB)
        self.assertNotEqual(0, result.code)
        self.assertEqual(['made'], os.listdir(self.job.folder))
        self.assertEqual(MIB, os.path.getsize(os.path.join(self.job.folder, 'made')))

    def test_time_is_bounded(self):
        mark = marked()
        self.assertRaises(OutOfTime, self.run_it, 'sleep', mark, seconds=0)
        self.assertEqual([], alive(mark))

    def test_nothing_of_this_process_is_passed_on(self):
        with open(self.tmp / 'open', 'wb') as opened, unittest.mock.patch.dict(os.environ, OS_PASSWORD='hush'):
            os.set_inheritable(opened.fileno(), True)
            result = self.run_it('sh', '-c', 'env; ls -l /proc/self/fd')
        self.assertNotIn('hush', result.output)
        self.assertNotIn(str(self.tmp / 'open'), result.output)

    def test_a_limit_that_is_lower_already_stays(self):
        code = textwrap.dedent('''
            import resource, sys
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
            from glancelike.tasks.import_plugins.image_conversion.child import _attainable
            print(_attainable('fsize', 2**30), _attainable('fsize', 5))
            ''')
        self.assertEqual('1048576 5\n', _python(code).communicate()[0])


class NamespacesTest(Case):

    def setUp(self):
        super().setUp()
        if not self.child.namespaces:
            self.skipTest('namespaces cannot be made here')

    def test_it_is_alone_and_without_a_network(self):
        result = self.run_it('sh', '-c', 'echo $$; tail -n +3 /proc/net/dev')
        self.assertLess(int(result.output.splitlines()[0]), 5)
        self.assertEqual(['lo'], [line.split(':')[0].strip() for line in result.output.splitlines()[1:]])

    def test_where_none_can_be_made_the_limits_are_left(self):
        for name in ('setpriv', 'prlimit', 'true', 'sh', 'dd'):
            (self.tmp / name).symlink_to(shutil.which(name))
        with unittest.mock.patch.dict(os.environ, PATH=str(self.tmp)):
            self.child = BoundedChild('the test')
        self.assertEqual([], self.child.namespaces)
        self.test_it_ends_with_the_job()
        result = self.run_it('dd', 'if=/dev/zero', 'of=made', 'bs=64k', 'count=100', file_bytes=MIB)
        self.assertNotEqual(0, result.code)

    def test_where_they_are_forbidden_the_limits_are_left(self):
        for name in ('setpriv', 'prlimit'):
            (self.tmp / name).symlink_to(shutil.which(name))
        (self.tmp / 'unshare').write_text('#!/bin/sh\necho "Operation not permitted" >&2\nexit 1\n')
        (self.tmp / 'unshare').chmod(0o755)
        with unittest.mock.patch.dict(os.environ, PATH=str(self.tmp)):
            self.assertEqual([], BoundedChild('the test').namespaces)

    def test_it_ends_with_the_job(self):
        mark = marked()
        job = jobs.job_in(self.tmp, job_class=StoppedJob)
        job.mark = mark
        self.assertRaises(errors.TaskCancelled, self.run_it, 'sleep', mark, job=job)
        self.assertEqual([], alive(mark))


class EndTest(Case):

    def test_all_that_it_has_started_ends_with_the_job(self):
        mark = marked()
        job = jobs.job_in(self.tmp, job_class=StoppedJob)
        job.mark = mark
        self.assertRaises(errors.TaskCancelled, self.run_it, 'sh', '-c', f'sleep {mark} & sleep {mark}', job=job)
        self.assertEqual([], alive(mark))

    def test_it_ends_when_this_process_is_killed(self):
        mark = marked()
        process = _python(textwrap.dedent(f'''
            import tempfile
            from glancelike.plugin import Image, ImportJob
            from glancelike.tasks.import_plugins.image_conversion.child import BoundedChild, Limits
            job = ImportJob(Image('x'), tempfile.mkdtemp(dir={str(self.tmp)!r}))
            BoundedChild('x').run(job, ['sleep', {mark!r}], Limits(2**30, 60, 600, 2**20))
            '''))
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        wait_until(lambda: alive(mark), 30, 'the program')
        process.kill()
        wait_until(lambda: not alive(mark), 30, 'its end')

    def test_a_program_that_cannot_be_started_is_told(self):
        result = self.run_it(str(self.tmp / 'nothing'))
        self.assertNotEqual(0, result.code)
        self.assertIn('No such file', result.errors)

    def test_a_missing_program_stops_the_start_and_names_its_package(self):
        with unittest.mock.patch.dict(os.environ, PATH=str(self.tmp)):
            error = self.assertRaises(errors.ConfigurationError, find_program, 'qemu-img', 'the test', 'qemu-utils')
            self.assertIn('qemu-utils', str(error))
            error = self.assertRaises(errors.ConfigurationError, BoundedChild, 'image_conversion')
            self.assertIn('util-linux', str(error))


def _python(code):
    return subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
                            cwd=pathlib.Path(__file__).parents[4])
