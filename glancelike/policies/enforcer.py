"""Asking the policy engine: one place, by rule name."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Any

from oslo_config import cfg
from oslo_policy import opts as policy_opts
from oslo_policy import policy

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.model.image import Image
from glancelike.policies import rules

LOG = logging.getLogger(__name__)

_ATTRIBUTES = tuple(name for name in Image.__dataclass_fields__ if name not in ('properties', 'tags', 'locations'))


class Enforcer:
    """The service's policy: defaults in code, overridden by ``[oslo_policy] policy_file`` and ``policy_dirs``.

    A changed policy file counts from the next check on.

    :param conf: where the ``[oslo_policy]`` options are
    :raises ConfigurationError: the policy file cannot be read
    """

    def __init__(self, conf: cfg.ConfigOpts):
        policy_opts.set_defaults(conf)
        self._enforcer = policy.Enforcer(conf)
        self._enforcer.suppress_deprecation_warnings = True
        self._enforcer.register_defaults(rules.list_rules())
        try:
            self._enforcer.load_rules(force_reload=True)
        except Exception as error:  # oslo.policy, PyYAML and the file system each raise their own
            raise errors.ConfigurationError(f'[oslo_policy] policy_file cannot be used: {error}') from error

    def allowed(self, ctx: RequestContext, rule: str, target: Image | Mapping[str, Any] | None = None,
                **extra: Any) -> bool:
        """Does the rule hold for the caller on the target? A rule that nobody defined does not."""
        if rule not in self._enforcer.registered_rules:
            self._enforcer.load_rules()
            if rule not in self._enforcer.rules:
                return False
        credentials = ctx.credentials()
        credentials['system'] = ctx.system_scope
        try:
            return bool(self._enforcer.enforce(rule, _target(ctx, target, extra), credentials))
        except (policy.InvalidScope, policy.PolicyNotAuthorized):
            return False

    def check(self, ctx: RequestContext, rule: str, target: Image | Mapping[str, Any] | None = None,
              **extra: Any) -> None:
        """:raises Forbidden: the rule does not hold."""
        if not self.allowed(ctx, rule, target, **extra):
            raise errors.Forbidden(f'You are not allowed to do this (policy rule {rule}).')

    def is_default(self, rule: str) -> bool:
        """True while no policy file overrides the rule; then what it means is known without asking per row."""
        self._enforcer.load_rules()
        return rule not in self._enforcer.file_rules

    def context_is_admin(self, ctx: RequestContext) -> bool:
        """Is this caller an administrator?"""
        return self.allowed(ctx, 'context_is_admin', {})


def _target(ctx: RequestContext, target: Image | Mapping[str, Any] | None, extra: Mapping[str, Any]) -> dict[str, Any]:
    """What ``%(...)s`` in a rule may name: attributes and properties (attributes win), project_id, member_id."""
    if isinstance(target, Image):
        values: dict[str, Any] = {**target.properties}
        values.update({name: getattr(target, name) for name in _ATTRIBUTES})
        values.update(project_id=target.owner, member_id=None, image_id=target.id)
    elif target is None:
        values = {'project_id': ctx.project_id, 'owner': ctx.project_id, 'user_id': ctx.user_id}
    else:
        values = dict(target)
    values.update(extra)
    return values


@functools.cache
def for_generator() -> policy.Enforcer:
    """The enforcer that oslopolicy-policy-generator and oslopolicy-list-redundant ask for."""
    conf = cfg.ConfigOpts()
    conf([], project='glance')
    enforcer = policy.Enforcer(conf)
    enforcer.register_defaults(rules.list_rules())
    return enforcer
