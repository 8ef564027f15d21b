"""The contract of a property protection, clause by clause.

A protection subclasses :class:`PropertyProtection`, is an entry point of ``glancelike.property_protections``
and is chosen by ``property_protection_rule_format``. It answers one question; applying the answer to documents
and change sets is done once for all of them in ``glancelike.core.protections``.

ALLOWS-1  ``allows`` is a function of its arguments and the rules read at start: same question, same answer.
ALLOWS-2  It changes nothing, the context least of all, and never raises: what it cannot decide is refused.
ALLOWS-3  Names are compared as stored, case-sensitively.
ALLOWS-4  A name that no rule speaks of is refused for everyone, administrators too.
ALLOWS-5  It may be called from several threads at once.
INIT-1    Rules that cannot work raise ConfigurationError in the constructor, naming file and line.

Most protections have rules in a file: patterns of names, and who may do what. For those also

RULES-1   The first rule, in the order of the file, whose pattern is found in the name decides alone.
RULES-2   Each of the four operations has an answer of its own.
RULES-3   What is open to everyone is open to a caller without any role; what is closed to everyone is closed to
          administrators too.
RULES-4   A role counts whether the caller's own token has it or a service token beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from glancelike.context import RequestContext

CREATE = 'create'
READ = 'read'
UPDATE = 'update'
DELETE = 'delete'
ACTIONS = (CREATE, READ, UPDATE, DELETE)

#: ``check_policy(ctx, rule) -> bool``: asks the service's policy engine; unknown rules are refused.
PolicyCheck = Callable[[RequestContext, str], bool]


class PropertyProtection:
    """Base of all property protections.

    :cvar OPTIONS: oslo.config options of the driver, read from group DEFAULT
    :param options: attribute access to the values of OPTIONS and to ``property_protection_file``, the absolute
        path of the rules file (a ConfigurationError names it when it cannot be read)
    :param check_policy: see PolicyCheck
    """

    OPTIONS: ClassVar[Sequence[Any]] = ()

    def __init__(self, options: Any, check_policy: PolicyCheck):
        self.options = options
        self.check_policy = check_policy

    def allows(self, ctx: RequestContext, action: str, name: str) -> bool:
        """May the caller do *action* (one of ACTIONS) to the property *name*?"""
        raise NotImplementedError

    @classmethod
    def for_compliance(cls, folder: str, table: Sequence[tuple[str, Mapping[str, str]]]) -> Mapping[str, Any] | None:
        """Option values, ``property_protection_file`` among them, for a protection with exactly these rules: what
        ``glance-drivers check property NAME`` uses. May be left out; the suite then runs from a test file only.

        :param folder: where the rules file can be written
        :param table: (pattern searched in the name, action -> ``everyone``, ``nobody`` or a role), first match
            decides; for ``check_policy`` each role is a rule of the same name
        :returns: None where the rules are of another kind
        """
        return None
