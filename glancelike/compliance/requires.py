"""What a test of a suite says of itself: the capability that it needs, and the clauses that it tests.

Every suite offers two attributes that the decorators here read:

``claimed``      frozenset of the capabilities that the driver under test claims
``driver_name``  how the driver is called in messages
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

_CLAUSE = r'[A-Z]+(?:-[A-Z]+)*-[0-9]+'
_TESTED = re.compile(rf'\s*({_CLAUSE}(?:, {_CLAUSE})*):\s')
_DEFINED = re.compile(rf'^\s*(?:[rf]?""")?({_CLAUSE})\s\s', re.MULTILINE)


def requires(*capabilities: str) -> Callable[[Callable], Callable]:
    """Decorator: the test runs only for a driver that claims all of *capabilities*, others skip it.

    The skip reads ``NAME does not claim CAPABILITY``; the decorated test has them as ``requires``.
    """
    def decorate(test: Callable) -> Callable:
        @functools.wraps(test)
        def run(self: Any) -> None:
            for capability in capabilities:
                if capability not in self.claimed:
                    self.skipTest(f'{self.driver_name} does not claim {capability.upper()}')
            test(self)
        run.requires = frozenset(capabilities)
        return run
    return decorate


def refuses(capability: str) -> Callable[[Callable], Callable]:
    """Decorator: the test shows the refusal of what is not claimed; a driver that claims it skips the test.

    The skip reads ``NAME claims CAPABILITY``; the decorated test has it as ``refuses``, so that a certificate
    can say "refused as it should".
    """
    def decorate(test: Callable) -> Callable:
        @functools.wraps(test)
        def run(self: Any) -> None:
            if capability in self.claimed:
                self.skipTest(f'{self.driver_name} claims {capability.upper()}')
            test(self)
        run.refuses = capability
        return run
    return decorate


def clauses_of(test: Any) -> tuple[str, ...]:
    """The clause ids with which the test's docstring begins: ``ADD-2, ADD-3: text`` gives both.

    :param test: a test case instance (its running method is meant), or a test function
    :returns: ids in the order written; empty when the docstring does not begin with one
    """
    if hasattr(test, '_testMethodName'):
        test = getattr(test, test._testMethodName)
    found = _TESTED.match((inspect.getdoc(test) or '') + ' ')
    return tuple(found.group(1).split(', ')) if found else ()


def clauses_in(contract: Any) -> tuple[str, ...]:
    """The clause ids that a contract module defines.

    A definition stands at the start of a line (or of a docstring) and two blanks follow it; an id anywhere
    else is a mention.

    :param contract: the module; its source is read
    :returns: ids in the order of the file
    """
    return tuple(dict.fromkeys(_DEFINED.findall(inspect.getsource(contract))))
