"""Who asks: the identity and the roles behind one request."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from typing import Any


def new_request_id() -> str:
    """A fresh request id: ``req-`` and a UUID4."""
    return f'req-{uuid.uuid4()}'


@dataclasses.dataclass(frozen=True, slots=True)
class RequestContext:
    """One caller, for the length of one request.

    :ivar user_id: the caller's user, or None when anonymous
    :ivar project_id: the project that will own what the caller makes; None for an anonymous
        caller and for an administrator without a project
    :ivar roles: lower-cased role names
    :ivar service_roles: lower-cased roles of a service token that came beside the user's
    :ivar is_admin: the policy rule ``context_is_admin`` held when the request came in
    :ivar read_only: no change may be made (anonymous access)
    :ivar domain_id: the domain that a domain-scoped token is for; such a caller has no project
    :ivar token: the caller's token; never logged
    :ivar service_catalog: the Keystone catalog of the token, a list of endpoint groups
    """

    user_id: str | None = None
    project_id: str | None = None
    roles: frozenset[str] = frozenset()
    service_roles: frozenset[str] = frozenset()
    is_admin: bool = False
    read_only: bool = False
    request_id: str = dataclasses.field(default_factory=new_request_id)
    user_domain_id: str | None = None
    project_domain_id: str | None = None
    system_scope: str | None = None
    domain_id: str | None = None
    token: str | None = dataclasses.field(default=None, repr=False)
    service_catalog: tuple[Mapping[str, Any], ...] = dataclasses.field(default=(), repr=False)

    def credentials(self) -> dict[str, Any]:
        """What a policy rule may look at, under oslo.policy's usual names."""
        return {
            'user_id': self.user_id,
            'project_id': self.project_id,
            'tenant': self.project_id,
            'tenant_id': self.project_id,
            'roles': sorted(self.roles),
            'service_roles': sorted(self.service_roles),
            'is_admin': self.is_admin,
            'user_domain_id': self.user_domain_id,
            'project_domain_id': self.project_domain_id,
            'system_scope': self.system_scope,
            'domain_id': self.domain_id,
            'read_only': self.read_only,
        }


def internal(reason: str = 'internal') -> RequestContext:
    """The service acting for itself (recovery, clean-up): sees and may change everything."""
    return RequestContext(user_id=reason, is_admin=True, roles=frozenset({'admin', 'service'}))
