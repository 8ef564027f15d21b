"""Stop what a test process started, after that process has ended in whatever way.

Run as a program by ``process.py``, one for each test process. Standard input carries one order a line:
``+group PGID``, ``-group PGID``, ``+folder PATH``, ``-folder PATH``. Standard input ends when the test
process ends, ``kill -9`` included; then every group left is killed and every folder left is removed. A death
signal (PR_SET_PDEATHSIG) would not do: it is lost when a server changes its user, and it does not reach
grandchildren.
"""

import os
import shutil
import signal
import sys


def main() -> None:
    groups: set[str] = set()
    folders: set[str] = set()
    for line in sys.stdin:
        order, _, value = line.rstrip('\n').partition(' ')
        kept = groups if order.endswith('group') else folders
        if order.startswith('+'):
            kept.add(value)
        else:
            kept.discard(value)
    for group in groups:
        try:
            os.killpg(int(group), signal.SIGKILL)
        except ProcessLookupError:
            pass
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == '__main__':
    main()
