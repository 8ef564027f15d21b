"""Asking the policy engine: one place, by rule name.

Rules have defaults in code (``policies/rules``) and are overridden by ``[oslo_policy] policy_file`` and the
files of ``policy_dirs``, in the language of oslo.policy. A rule that nobody defined allows nobody, unless the
operator's files define the one that ``policy_default_rule`` names.

A file that is wrong stops the start. A file that becomes wrong later is logged as an error, and the rules that
were in force stay in force until it is right again.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import operator
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from oslo_config import cfg
from oslo_policy import opts as policy_opts
from oslo_policy import policy

from glancelike import errors
from glancelike.conf import policies as policy_conf
from glancelike.context import RequestContext
from glancelike.model.image import Image
from glancelike.policies import checks, rules

LOG = logging.getLogger(__name__)

#: How often the policy files are looked at, at most.
LOOK_EVERY_SECONDS = 1.0

_ATTRIBUTES = tuple(name for name in Image.__dataclass_fields__ if name not in ('properties', 'tags', 'locations'))
_values_of = operator.attrgetter(*_ATTRIBUTES)
_REFERENCE = re.compile(r'(?<![\w:])rule:([^\s()]+)')


@dataclasses.dataclass(frozen=True, slots=True)
class _Rules:
    """All rules of one moment.

    :ivar checks: function by rule name
    :ivar scopes: scope types of the rules that name some
    :ivar overridden: rules that do not mean what they mean by default, directly or through a rule they refer to
    """

    checks: Mapping[str, checks.Check]
    scopes: Mapping[str, tuple[str, ...]]
    overridden: frozenset[str]
    undefined: checks.Check


class Enforcer:
    """The service's policy.

    A changed policy file counts from the first question *look_every_seconds* after the last look on.

    :param conf: where the ``[oslo_policy]`` options are
    :raises ConfigurationError: a policy file cannot be read or understood; names file and rule
    """

    def __init__(self, conf: cfg.ConfigOpts, *, look_every_seconds: float = LOOK_EVERY_SECONDS,
                 clock: Callable[[], float] = time.monotonic):
        policy_opts.set_defaults(conf)
        conf.register_opts(policy_conf.OPTIONS, group='oslo_policy')
        self._conf = conf
        self._enforce_scope = conf.oslo_policy.enforce_scope
        self._clock, self._look_every = clock, look_every_seconds
        self._lock = threading.Lock()
        if not conf.find_file(conf.oslo_policy.policy_file):
            where = conf.get_location('policy_file', 'oslo_policy')
            asked_for = where is not None and where.location.is_user_controlled
            LOG.log(logging.WARNING if asked_for else logging.INFO,
                    '[oslo_policy] policy_file %s does not exist: the default rules are in force',
                    conf.oslo_policy.policy_file)
        self._seen = _seen(conf)
        self._rules = _load(conf)
        self._next_look = clock() + look_every_seconds

    def allowed(self, ctx: RequestContext, rule: str, target: Image | Mapping[str, Any] | None = None,
                **extra: Any) -> bool:
        """Does the rule hold for the caller on the target?

        :param extra: further names for ``%(...)s`` in the rule
        :raises ServiceUnavailable: the rule asks a server (``http:``) that does not answer
        """
        current = self._current()
        scopes = current.scopes.get(rule)
        if scopes and self._enforce_scope and _scope(ctx) not in scopes:
            return False
        credentials = ctx.credentials()
        credentials['system'] = ctx.system_scope
        try:
            held = current.checks.get(rule, current.undefined)(_target(ctx, target, extra), credentials)
        except checks.Undecidable as error:
            LOG.warning('policy rule %s cannot be evaluated here and is refused: %s', rule, error)
            held = False
        LOG.debug('policy rule %s is %s for user %s of project %s with roles %s', rule, held,
                  ctx.user_id, ctx.project_id, credentials['roles'])
        return held

    def check(self, ctx: RequestContext, rule: str, target: Image | Mapping[str, Any] | None = None,
              **extra: Any) -> None:
        """:raises Forbidden: the rule does not hold."""
        if not self.allowed(ctx, rule, target, **extra):
            raise errors.Forbidden(f'You are not allowed to do this (policy rule {rule}).')

    def is_default(self, rule: str) -> bool:
        """True while no policy file changes the rule, or a rule that it refers to: then what it means is known
        without asking per row. Who is an administrator (``context_is_admin``) may differ; the database is told
        that with every call."""
        return rule not in self._current().overridden

    def context_is_admin(self, ctx: RequestContext) -> bool:
        """Is this caller an administrator?"""
        return self.allowed(ctx, 'context_is_admin', {})

    def _current(self) -> _Rules:
        if self._clock() >= self._next_look and self._lock.acquire(blocking=False):
            try:
                self._next_look = self._clock() + self._look_every
                self._look()
            finally:
                self._lock.release()
        return self._rules

    def _look(self) -> None:
        seen = _seen(self._conf)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._rules = _load(self._conf)
        except errors.ConfigurationError as error:
            LOG.error('The changed policy is not used, the rules from before stay in force: %s', error)
        else:
            LOG.info('The policy was read again')


def _scope(ctx: RequestContext) -> str:
    return 'system' if ctx.system_scope else 'domain' if ctx.domain_id and not ctx.project_id else 'project'


def _target(ctx: RequestContext, target: Image | Mapping[str, Any] | None, extra: Mapping[str, Any]) -> dict[str, Any]:
    """What ``%(...)s`` in a rule may name: attributes and properties (attributes win), project_id, member_id."""
    if isinstance(target, Image):
        values: dict[str, Any] = dict(target.properties)
        values.update(zip(_ATTRIBUTES, _values_of(target), strict=True))
        values.update(project_id=target.owner, member_id=None, image_id=target.id)
    elif target is None:
        values = {'project_id': ctx.project_id, 'owner': ctx.project_id, 'user_id': ctx.user_id}
    else:
        values = dict(target)
    values.update(extra)
    return values


# --- reading the files -------------------------------------------------------------------------------------


def _files(conf: cfg.ConfigOpts) -> list[str]:
    """The policy files that exist, in the order in which they are read: a later one overrides.

    :raises ConfigurationError: ``policy_dirs`` names something that is no readable directory
    """
    main = conf.find_file(conf.oslo_policy.policy_file)
    found = [main] if main else []
    for name in conf.oslo_policy.policy_dirs:
        folder = conf.find_file(name)
        if folder:
            try:
                paths = [os.path.join(folder, one) for one in sorted(os.listdir(folder)) if not one.startswith('.')]
            except OSError as error:
                raise errors.ConfigurationError(f'[oslo_policy] policy_dirs {folder}: {error.strerror}') from error
            found += [path for path in paths if os.path.isfile(path)]
    return found


def _seen(conf: cfg.ConfigOpts) -> tuple[Any, ...]:
    """Tells two states of the policy files apart without reading them."""
    try:
        stats = [(path, os.stat(path)) for path in _files(conf)]
    except (errors.ConfigurationError, OSError) as error:
        return (str(error),)
    return tuple((path, stat.st_mtime_ns, stat.st_size, stat.st_ino) for path, stat in stats)


def _load(conf: cfg.ConfigOpts) -> _Rules:
    registered = {rule.name: rule for rule in rules.list_rules()}
    written: dict[str, policy.RuleDefault] = {}
    for path in _files(conf):
        written.update(_read(path))
    known = {**registered, **written}
    default = conf.oslo_policy.policy_default_rule
    parsed = {name: rule.check for name, rule in known.items()}
    foreign = policy.Enforcer(conf, use_conf=False)
    foreign.set_rules(parsed)
    compiler = checks.Compiler(parsed, default if default in written else None, foreign)
    compiled = {name: compiler.rule(name) for name in known}
    if compiler.undefined:
        LOG.warning('Policy rules refer to rules that are not defined: %s', ', '.join(sorted(compiler.undefined)))
    return _Rules(
        checks=compiled, undefined=compiler.rule(default) if default in written else checks.never,
        scopes={name: tuple(rule.scope_types) for name, rule in registered.items() if rule.scope_types},
        overridden=frozenset(name for name in known if not _means_default(name, registered, written)))


def _read(path: str) -> dict[str, policy.RuleDefault]:
    try:
        with open(path, encoding='utf-8') as opened:
            parsed = policy.parse_file_contents(opened.read())
    except (OSError, ValueError) as error:  # also what is no UTF-8 and no YAML
        raise errors.ConfigurationError(f'[oslo_policy] policy_file {path} cannot be used: {error}') from error
    if not isinstance(parsed, dict):
        raise errors.ConfigurationError(f'[oslo_policy] policy_file {path} cannot be used: it is no mapping of rules')
    found = {}
    for name, text in parsed.items():
        if not isinstance(name, str) or not isinstance(text, str | list):
            raise errors.ConfigurationError(
                f"[oslo_policy] policy_file {path}: rule '{name}' must be a text, not {text!r}")
        try:
            rule = policy.RuleDefault(name, text)
        except Exception as error:  # the parser of oslo.policy fails in several ways on what it does not expect
            raise errors.ConfigurationError(
                f"[oslo_policy] policy_file {path}: rule '{name}' cannot be understood: {error}") from error
        if _was_not_understood(rule.check, text):
            raise errors.ConfigurationError(
                f"[oslo_policy] policy_file {path}: rule '{name}' cannot be understood: {text!r}")
        found[name] = rule
    return found


def _was_not_understood(check: Any, text: str | list[Any]) -> bool:
    """oslo.policy makes "nobody" of what it does not understand; only ``!`` asks for that."""
    inner = [*(getattr(check, 'rules', None) or ()), *([check.rule] if hasattr(check, 'rule') else ())]
    if str(check) == '!':
        return '!' not in str(text)
    return any(_was_not_understood(one, text) for one in inner)


def _means_default(name: str, registered: Mapping[str, policy.RuleDefault],
                   written: Mapping[str, policy.RuleDefault]) -> bool:
    todo, met = [name], set()
    while todo:
        one = todo.pop()
        if one in met or one == 'context_is_admin' and one != name:
            continue
        met.add(one)
        if one in written and (one not in registered or written[one].check != registered[one].check):
            return False
        rule = registered.get(one) or written.get(one)
        if rule is not None:
            todo += _REFERENCE.findall(str(rule.check))
    return True


def for_generator() -> policy.Enforcer:
    """The enforcer that oslopolicy-policy-generator and oslopolicy-list-redundant ask for.

    They give it nothing, so it reads ``--config-file`` and ``--config-dir`` from their command line itself.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument('--config-file', action='append')
    parser.add_argument('--config-dir', action='append')
    given, _ = parser.parse_known_args(sys.argv[1:])
    conf = cfg.ConfigOpts()
    conf([], project='glance', prog='glance-api', default_config_files=given.config_file,
         default_config_dirs=given.config_dir)
    enforcer = policy.Enforcer(conf)
    enforcer.register_defaults(rules.list_rules())
    return enforcer
