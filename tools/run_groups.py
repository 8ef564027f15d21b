"""Run the test groups one after another and count what really happened; `tools/test` calls this.

The counts come from the result stream of each group as its workers write it, never from an exit code alone: a
group without tests, a test module that cannot be imported, a test that does not finish and one that a dying
worker never came to all count as failed. The last line of the output is "N passed, N failed, N skipped".
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
FAILED, PASSED, SKIPPED = 'failed', 'passed', 'skipped'
# The name under which unittest reports the set-up of a class or a module.
SETUP = re.compile(r'setUp(?:Class|Module) \((.+)\)$')
# What a result stream says of a finished test; whatever is missing here has failed.
OUTCOMES = {'success': PASSED, 'xfail': PASSED, 'skip': SKIPPED}


@dataclass(frozen=True)
class Group:
    """Tests run together.

    :param folders: where they are, each discovered by itself, so that a group does not import the tests of
        others
    :param exclude: regular expression of test ids that belong to another group
    :param workers: how many processes may run them at once
    """

    name: str
    folders: tuple[str, ...]
    what: str
    exclude: str = ''
    workers: int = 2
    by_default: bool = True


GROUPS = (
    Group('unit', ('tests/unit', 'tests/contract'), 'functions, and the rules of the source tree'),
    Group('functional', ('tests/functional',), 'the whole service in one process',
          exclude=r'^tests\.functional\.real\.'),
    Group('compliance', ('tests/compliance',), 'the compliance suites on the drivers of this tree'),
    Group('servers', ('tests/functional/real',), 'with real servers, started privately'),
    Group('heavy', ('tests/heavy',), 'large images, long runs', workers=1, by_default=False),
)


@dataclass
class Counts:
    """Outcomes of the tests of one group."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    skips: list[str] = field(default_factory=list)

    def fail(self, name: str, why: str) -> None:
        self.failed += 1
        self.failures.append(name)
        print(f'\nFAILED {name}\n{why.rstrip()}\n', flush=True)

    def skip(self, name: str, why: str) -> None:
        self.skipped += 1
        self.skips.append(why or 'no reason given')
        print(f'skipped {name}: {self.skips[-1]}', flush=True)

    def add(self, other: 'Counts') -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures
        self.skips += other.skips

    def __str__(self) -> str:
        return f'{self.passed} passed, {self.failed} failed, {self.skipped} skipped'


def main() -> int:
    arguments = parse()
    chosen = [group for group in GROUPS if
              (group.name in arguments.group if arguments.group else group.by_default or arguments.all)]
    total = Counts()
    times = []
    for group in chosen:
        print(f'=== {group.name}: {group.what}', flush=True)
        started = time.monotonic()
        counts = run_group(group, arguments.stestr)
        seconds = time.monotonic() - started
        times.append((group, counts, seconds))
        print(f'=== {group.name}: {counts} in {seconds:.1f} s\n', flush=True)
        total.add(counts)
    if total.passed + total.failed + total.skipped == 0:
        total.fail('nothing', f'no test matches {" ".join(arguments.stestr)}')
    for reason in sorted(set(total.skips)):
        print(f'skipped {total.skips.count(reason)}: {reason}')
    for group, counts, seconds in times:
        print(f'{group.name:<12} {seconds:7.1f} s   {counts}')
    for name in total.failures:
        print(f'FAILED {name}')
    print(total, flush=True)
    return 1 if total.failed else 0


def parse() -> argparse.Namespace:
    listing = '\n'.join(f'  {group.name:<12} {group.what}{"" if group.by_default else " (only with --all)"}'
                        for group in GROUPS)
    parser = argparse.ArgumentParser(
        prog='tools/test', formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Run the tests of this checkout in an environment of its own (.venv-test, made once).',
        epilog=f'groups, in this order:\n{listing}\n\n'
               'With CI=true or GLANCELIKE_REQUIRE_SERVERS=1 a real server that cannot run here fails its\n'
               'tests; otherwise they are skipped.\n'
               'Example, one class:  tools/test --group unit -- test_quotas.QuotaTest')
    parser.add_argument('--all', action='store_true', help='the heavy groups too')
    parser.add_argument('--group', action='append', metavar='NAME', choices=[group.name for group in GROUPS],
                        help='only this group; may be given several times')
    parser.add_argument('stestr', nargs='*', metavar='-- ARGUMENT',
                        help='arguments of "stestr run": a regular expression of test ids, --serial, ...')
    return parser.parse_args()


def run_group(group: Group, stestr_arguments: list[str]) -> Counts:
    """Run all folders of a group."""
    counts = Counts()
    for folder in group.folders:
        if not (CHECKOUT / folder).is_dir():
            if len(group.folders) == 1:
                counts.fail(folder, f'there is no folder {folder}')
            continue
        run_folder(group, folder, stestr_arguments, counts)
    if not stestr_arguments and counts.passed + counts.failed + counts.skipped == 0:
        counts.fail(f'{group.name}.empty', 'the group has no tests')
    return counts


def run_folder(group: Group, folder: str, stestr_arguments: list[str], counts: Counts) -> None:
    """Run the tests of one folder under stestr and add their outcomes to *counts*."""
    repository = tempfile.mkdtemp(prefix='glancelike-stestr-')
    command = [sys.executable, '-m', 'stestr', '--test-path', f'./{folder}', '--top-dir', '.', '--repo-url',
               repository, 'run', '--subunit', '--concurrency', str(group.workers)]
    if group.exclude:
        command += ['--exclude-regex', group.exclude]
    # Programs installed in our environment (stestr's workers, glance-api, qemu-img wrappers) come first.
    env = {**os.environ, 'PATH': f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command + stestr_arguments, cwd=CHECKOUT, env=env,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        try:
            before = counts.failed
            seen, noise = read_stream(process.stdout, counts)
        finally:
            if process.poll() is None and sys.exc_info()[0]:
                process.terminate()
            code = process.wait()
            shutil.rmtree(repository, ignore_errors=True)
        errors.seek(0)
        said = (noise + errors.read()).decode(errors='replace').strip()
    if nothing_selected(said):
        if not stestr_arguments:
            counts.fail(folder, f'no tests found in {folder}')
    elif code != 0 and counts.failed == before:
        counts.fail(folder, f'stestr ended with code {code}\n{said[-8000:]}')
    elif not seen:
        counts.fail(folder, f'stestr reported no test\n{said[-8000:]}')
    elif said:
        print(said, flush=True)


def nothing_selected(said: str) -> bool:
    return 'The specified regex doesn\'t match with anything' in said


def read_stream(stream, counts: Counts) -> tuple[int, bytes]:
    """Print and count the outcomes of a subunit stream as they arrive.

    :returns: how many outcomes there were, and whatever in the stream was none (a traceback of stestr, say)
    """
    import subunit
    import testtools

    seen = 0
    noise = bytearray()
    due: set[str] = set()  # announced by a worker, not reported yet
    skipped_setups: dict[str, str] = {}

    def finished(test: dict) -> None:
        nonlocal seen
        name, status = test['id'], test['status']
        if status == 'exists':
            due.add(name)
            return
        seen += 1
        due.discard(name)
        setup = SETUP.match(name)
        if setup and status == 'skip':  # a whole class or module: its tests are counted below
            skipped_setups[f'{setup.group(1)}.'] = details(test, ('reason',))
            return
        outcome = OUTCOMES.get(status, FAILED)
        if outcome == PASSED:
            counts.passed += 1
            print(f'ok      {name}{duration(test)}', flush=True)
        elif outcome == SKIPPED:
            counts.skip(name, details(test, ('reason',)))
        else:
            why = details(test) or ''
            counts.fail(name, why if status == 'fail' else f'it ended as "{status}"\n{why}')

    class Noise(testtools.StreamResult):
        """What stestr writes outside of the stream: a line of text, or the traceback of an import."""

        def status(self, test_id=None, file_name=None, file_bytes=None, **_):
            if test_id is None and file_bytes:
                noise.extend(file_bytes)

    results = testtools.StreamToDict(finished)
    everything = testtools.CopyStreamResult([results, Noise()])
    everything.startTestRun()
    try:
        subunit.ByteStreamToStreamResult(stream, non_subunit_name='stdout').run(everything)
    finally:
        everything.stopTestRun()  # reports the tests that began and did not finish
    for name in sorted(due):
        reason = next((why for scope, why in skipped_setups.items() if name.startswith(scope)), None)
        if reason is None:
            counts.fail(name, 'it was to run and has not: its class could not be set up, or its worker died')
        else:
            counts.skip(name, reason)
    return seen, bytes(noise)


def duration(test: dict) -> str:
    start, end = (test.get('timestamps') or (None, None))[:2]
    return f' [{(end - start).total_seconds():.2f} s]' if start and end else ''


def details(test: dict, names: tuple[str, ...] = ()) -> str:
    """Return the texts a test attached (traceback, log, ...), those called *names* only when given."""
    texts = []
    for name, content in sorted((test.get('details') or {}).items()):
        if names and name not in names:
            continue
        text = b''.join(content.iter_bytes()).decode(errors='replace').strip()
        if text:
            texts.append(text)
    return '\n'.join(texts)


if __name__ == '__main__':
    sys.exit(main())
