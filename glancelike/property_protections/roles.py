"""Property protection by role: each operation lists the roles that may do it."""

from __future__ import annotations

from glancelike.plugin import ACTIONS, PropertyProtection, RequestContext
from glancelike.property_protections import rules_file


class RolesProtection(PropertyProtection):
    """A caller may do what one of its roles, or of its service token's roles, is listed for."""

    def __init__(self, options, check_policy):
        super().__init__(options, check_policy)
        self._rules = [
            (rule.pattern, {action: frozenset(value.lower() for value in rule.values[action]) for action in ACTIONS})
            for rule in rules_file.read(options.property_protection_file)]

    def allows(self, ctx: RequestContext, action: str, name: str) -> bool:
        """See PropertyProtection.allows."""
        for pattern, allowed in self._rules:
            if pattern.search(name):
                wanted = allowed.get(action, frozenset())
                return (rules_file.EVERYONE in wanted
                        or not wanted.isdisjoint(ctx.roles) or not wanted.isdisjoint(ctx.service_roles))
        return False

    @classmethod
    def for_compliance(cls, folder, table):
        """See PropertyProtection.for_compliance."""
        return rules_file.for_compliance(folder, table)
