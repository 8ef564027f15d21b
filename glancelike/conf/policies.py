"""The one option of the policy engine that its library, oslo.policy, no longer has; the others are the library's."""

from oslo_config import cfg

OPTIONS = (
    cfg.BoolOpt('enforce_scope', default=True, help="""
Refuse tokens of another scope (system, domain) than the policy rule is meant for (project). When false only the
roles and the project of a token count."""),
)

GROUPS = {'oslo_policy': OPTIONS}
