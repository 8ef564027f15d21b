"""Property protection by policy: each operation names one rule of the policy file."""

from __future__ import annotations

import logging

from glancelike.plugin import ACTIONS, PropertyProtection, RequestContext, errors
from glancelike.property_protections import rules_file

LOG = logging.getLogger(__name__)


class PoliciesProtection(PropertyProtection):
    """A caller may do what the named policy rule allows; ``@`` and ``!`` work as with roles."""

    def __init__(self, options, check_policy):
        super().__init__(options, check_policy)
        path = options.property_protection_file
        self._rules = []
        for rule in rules_file.read(path):
            for action in ACTIONS:
                if len(rule.values[action]) != 1:
                    raise rules_file.wrong_value(
                        path, rule, action, f'names {len(rule.values[action])} policy rules; exactly one is allowed')
            self._rules.append((rule.pattern, {action: rule.values[action][0] for action in ACTIONS}))

    def allows(self, ctx: RequestContext, action: str, name: str) -> bool:
        """See PropertyProtection.allows."""
        for pattern, named in self._rules:
            if pattern.search(name):
                wanted = named.get(action, rules_file.NOBODY)
                if wanted in (rules_file.EVERYONE, rules_file.NOBODY):
                    return wanted == rules_file.EVERYONE
                return self._holds(ctx, wanted)
        return False

    def _holds(self, ctx: RequestContext, rule: str) -> bool:
        try:
            return self.check_policy(ctx, rule)
        except errors.GlanceError as error:  # a rule that asks a server, which does not answer
            LOG.warning('The policy rule %s of a property cannot be asked, it is refused: %s', rule, error)
            return False

    @classmethod
    def for_compliance(cls, folder, table):
        """See PropertyProtection.for_compliance."""
        return rules_file.for_compliance(folder, table)
