"""Virtual environments of servers whose libraries could fight ours, kept in ``.venv-servers``."""

import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.servers.process import CannotRun

CHECKOUT = Path(__file__).resolve().parents[2]
INSTALL_SECONDS = 900


def server_venv(name: str, requirements: Sequence[str]) -> Path:
    """Return the folder of a virtual environment that holds *requirements*.

    Made again when they or the Python version change. Two test processes that ask at once make it once.

    :raises CannotRun: pip cannot install them; the message ends with what pip said
    """
    folder = CHECKOUT / '.venv-servers' / name
    folder.parent.mkdir(exist_ok=True)
    wanted = hashlib.sha256('\n'.join([sys.version, *requirements]).encode()).hexdigest()
    stamp = folder / 'installed'
    with open(folder.parent / f'{name}.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            _install(name, folder, requirements)
            stamp.write_text(wanted)
    return folder


def _install(name: str, folder: Path, requirements: Sequence[str]) -> None:
    pip = [folder / 'bin' / 'pip', 'install', '--quiet', '--disable-pip-version-check']
    for command in ([sys.executable, '-m', 'venv', '--clear', folder], [*pip, *requirements]):
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=INSTALL_SECONDS)
        except subprocess.TimeoutExpired:
            raise CannotRun(f'installing {name} took longer than {INSTALL_SECONDS} s') from None
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()[-1000:]
            raise CannotRun(f'cannot install {" ".join(requirements)}: {said}')
