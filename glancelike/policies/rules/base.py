"""Who is who: the rules that other rules stand on.

Default roles follow Keystone's secure RBAC: ``reader`` looks, ``member`` changes what its project owns,
``admin`` does everything, ``service`` is another OpenStack service. Keystone's member implies reader; the
rules say so themselves, because identity headers of a trusted proxy do not.
"""

from oslo_policy import policy

ADMIN = 'rule:context_is_admin'
READER = '(role:reader or role:member)'
ANONYMOUS = 'rule:anonymous'
ADMIN_OR_MEMBER = 'rule:context_is_admin or (role:member and project_id:%(project_id)s)'
ADMIN_OR_READER = f'rule:context_is_admin or ({READER} and project_id:%(project_id)s)'
SERVICE = 'rule:service_api'

_SEEN = ("(project_id:%(project_id)s or project_id:%(member_id)s or 'community':%(visibility)s "
         "or 'public':%(visibility)s or 'shared':%(visibility)s)")
ADMIN_OR_IMAGE_READER = f'rule:context_is_admin or (({READER} or {ANONYMOUS}) and {_SEEN})'
ADMIN_OR_IMAGE_MEMBER = f'rule:context_is_admin or ((role:member or {ANONYMOUS}) and {_SEEN})'

SCOPE = ['project']


def rule(name: str, check: str, description: str, *operations: str) -> policy.DocumentedRuleDefault:
    """A documented rule; an operation is ``'GET /v2/images'``."""
    return policy.DocumentedRuleDefault(
        name=name, check_str=check, description=description, scope_types=SCOPE,
        operations=[dict(zip(('method', 'path'), one.split(' ', 1), strict=True)) for one in operations])


RULES = (
    policy.RuleDefault('default', '', description=(
        'Everyone. When a policy file defines it, it also stands for every rule that is defined nowhere; while none '
        'does, such a rule allows nobody.')),
    policy.RuleDefault('context_is_admin', 'role:admin',
                       description='Who is an administrator: sees and may do everything.'),
    policy.RuleDefault('service_api', 'role:service or service_roles:service or rule:context_is_admin',
                       description='Calls that other OpenStack services make for themselves.'),
    policy.RuleDefault('anonymous', 'read_only:True', description=(
        'A caller without a valid token, where allow_anonymous_access lets such callers in: sees public and community '
        'images and their data, and changes nothing whatever the rules say.')),
)
