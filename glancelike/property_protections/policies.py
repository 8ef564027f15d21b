"""Property protection by policy: each operation names one rule of the policy file."""

from __future__ import annotations

from glancelike.plugin import ACTIONS, PropertyProtection, RequestContext
from glancelike.property_protections import rules_file


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
                return self.check_policy(ctx, wanted)
        return False
