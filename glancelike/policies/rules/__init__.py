"""Every policy rule with its default and the routes that ask it, one file per noun."""

from __future__ import annotations

import itertools

from oslo_policy import policy

from glancelike.policies import kinds

with kinds.built_in():  # the rules are parsed as they are made
    from glancelike.policies.rules import base, discovery, images, members, tasks


def list_rules() -> list[policy.RuleDefault]:
    """All rules, for the enforcer and for oslopolicy-sample-generator."""
    return list(itertools.chain(base.RULES, images.RULES, members.RULES, tasks.RULES,
                                discovery.RULES))
