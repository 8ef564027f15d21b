"""Which kinds of checks (``kind:match``) oslo.policy knows while it parses a rule."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from oslo_policy import _checks


@contextlib.contextmanager
def built_in() -> Iterator[None]:
    """Those of oslo.policy itself, which is all that our own rules use.

    For any other rule it imports the checks of every installed package, and with its own ``http:`` comes requests:
    60 ms and 5 MiB. There is no public way to put that off until a policy file needs it (oslo.policy 6.0); this can
    go when there is one.
    """
    before, _checks.extension_checks = _checks.extension_checks, {}
    try:
        yield
    finally:
        _checks.extension_checks = before
