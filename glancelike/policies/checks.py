"""Policy rules as plain functions: what oslo.policy's parsed checks mean, without what they cost.

oslo.policy inspects the signature of every check it calls, parses the left side of ``a:b`` again at every
question and looks at the policy file each time. One question of a rule of ours costs 150-200 microseconds
that way, and a request asks several. Here each rule is turned once into nested functions.

Two things are stricter than in oslo.policy, on purpose:

- A value of the caller that is not there (None: no project, say) never equals a missing value of the target,
  so a caller without a project is not the owner of an image without one.
- What cannot be evaluated (a template such as ``%(owner`` or ``%(owner)d`` with a text) refuses the rule as a
  whole, also below ``not``; where it shows in the text already, it stops the start.

Checks of other packages (``http:``, and what entry points of ``oslo.policy.rule_checks`` add) are called as
oslo.policy would call them.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from oslo_policy import policy

from glancelike import errors
from glancelike.policies import kinds

# The classes of oslo.policy's checks, by what its parser makes; not all of them have a public name.
with kinds.built_in():
    _TRUE, _FALSE, _ROLE, _GENERIC, _RULE, _NOT, _AND, _OR = (
        type(policy.RuleDefault('any', text).check)
        for text in ('@', '!', 'role:r', 'a:b', 'rule:r', 'not a:b', 'a:b and c:d', 'a:b or c:d'))

#: (target, credentials) -> does the rule hold
Check = Callable[[Mapping[str, Any], Mapping[str, Any]], bool]


class Undecidable(Exception):
    """A check cannot be evaluated on this target: the rule as a whole does not hold."""


class _AnyTarget(dict):
    """Has every name; to try templates with."""

    def __missing__(self, name: str) -> int:
        return 0


class Compiler:
    """Turns rules that refer to each other into functions.

    :param rules: parsed check by rule name
    :param default: name of the rule that stands for undefined ones, or None: those do not hold
    :param enforcer: what checks of other packages are given as their enforcer
    """

    def __init__(self, rules: Mapping[str, Any], default: str | None, enforcer: policy.Enforcer):
        self._rules, self._default, self._enforcer = rules, default, enforcer
        self._done: dict[str, Check] = {}
        self._open: list[str] = []
        self.undefined: set[str] = set()

    def rule(self, name: str) -> Check:
        """The function of one rule.

        :raises ConfigurationError: it refers to itself, or a part of it can never be evaluated
        """
        if name not in self._rules:
            self.undefined.add(name)
            if self._default is None:
                return never
            name = self._default
        if name not in self._done:
            if name in self._open:
                raise errors.ConfigurationError(
                    f"policy rule '{name}' refers to itself: {' -> '.join([*self._open, name])}")
            self._open.append(name)
            self._done[name] = self._check(self._rules[name])
            self._open.pop()
        return self._done[name]

    def _check(self, check: Any) -> Check:
        kind = type(check)  # exactly: a subclass may mean something else
        if kind is _TRUE:
            return _always
        if kind is _FALSE:
            return never
        if kind is _AND:
            return _all([self._check(one) for one in check.rules])
        if kind is _OR:
            return _any([self._check(one) for one in check.rules])
        if kind is _NOT:
            inner = self._check(check.rule)
            return lambda target, creds: not inner(target, creds)
        if kind is _RULE:
            return self.rule(check.match)
        if kind is _ROLE:
            return _role(self._template(check), None if '%' in check.match else check.match)
        if kind is _GENERIC:
            return self._generic(check)
        return self._foreign(check)

    def _template(self, check: Any) -> Callable[[Mapping[str, Any]], str | None]:
        """What stands right of the colon, filled from the target; None when the target lacks a name in it."""
        text = check.match
        try:
            text % _AnyTarget()
        except (TypeError, ValueError) as error:
            raise self._wrong(check, error) from error
        try:
            fixed = text % {}
        except KeyError:
            pass
        else:
            return lambda target: fixed

        def fill(target: Mapping[str, Any]) -> str | None:
            try:
                return text % target
            except KeyError:
                return None
            except (TypeError, ValueError) as error:
                raise Undecidable(str(check)) from error
        return fill

    def _generic(self, check: Any) -> Check:
        fill = self._template(check)
        try:
            literal = str(ast.literal_eval(check.kind))
        except ValueError:
            return _attribute(check.kind.split('.'), fill, may_be_none='%(' not in check.match)
        except SyntaxError as error:
            raise self._wrong(check, error) from error
        return lambda target, creds: fill(target) == literal

    def _foreign(self, check: Any) -> Check:
        rule, enforcer = self._open[-1], self._enforcer
        named = len(inspect.getfullargspec(check.__call__).args) > 4

        def ask(target: Mapping[str, Any], creds: Mapping[str, Any]) -> bool:
            try:
                return bool(check(target, creds, enforcer, rule) if named else check(target, creds, enforcer))
            except Exception as error:  # whatever another package raises: a server that does not answer, mostly
                raise errors.ServiceUnavailable(reason=f'Policy rule {rule} cannot be asked at the moment.') from error
        return ask

    def _wrong(self, check: Any, error: Exception) -> errors.ConfigurationError:
        return errors.ConfigurationError(f"policy rule '{self._open[-1]}': '{check}' cannot be evaluated: {error}")


def _always(target: Mapping[str, Any], creds: Mapping[str, Any]) -> bool:
    return True


def never(target: Mapping[str, Any], creds: Mapping[str, Any]) -> bool:
    """Allows nobody."""
    return False


def _all(checks: list[Check]) -> Check:
    def every(target: Mapping[str, Any], creds: Mapping[str, Any]) -> bool:
        for check in checks:
            if not check(target, creds):
                return False
        return True
    return every


def _any(checks: list[Check]) -> Check:
    def some(target: Mapping[str, Any], creds: Mapping[str, Any]) -> bool:
        for check in checks:
            if check(target, creds):
                return True
        return False
    return some


def _role(fill: Callable[[Mapping[str, Any]], str | None], fixed: str | None) -> Check:
    """``role:admin``, or ``role:%(...)s``; *fixed* is the name where it does not depend on the target."""
    if fixed is not None:
        name = fixed.lower()

        def has_fixed(target: Mapping[str, Any], creds: Mapping[str, Any]) -> bool:
            return name in creds['roles']
        return has_fixed

    def has(target: Mapping[str, Any], creds: Mapping[str, Any]) -> bool:
        wanted = fill(target)
        return wanted is not None and wanted.lower() in creds['roles']
    return has


def _attribute(path: list[str], fill: Callable[[Mapping[str, Any]], str | None], may_be_none: bool) -> Check:
    """``project_id:%(owner)s``: a value of the caller, or of one of several, is that of the target."""
    def equal(target: Mapping[str, Any], creds: Mapping[str, Any]) -> bool:
        wanted = fill(target)
        return wanted is not None and _found(creds, path, wanted, may_be_none)
    return equal


def _found(value: Any, path: list[str], wanted: str, may_be_none: bool) -> bool:
    for place, name in enumerate(path):
        if not isinstance(value, Mapping) or name not in value:
            return False
        value = value[name]
        if isinstance(value, list):
            return any(_found(one, path[place + 1:], wanted, may_be_none) for one in value)
    return (may_be_none or value is not None) and str(value) == wanted
