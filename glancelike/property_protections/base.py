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
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
