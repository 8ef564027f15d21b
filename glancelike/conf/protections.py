"""Which extra properties are protected, and by which rules."""

from oslo_config import cfg

OPTIONS = (
    cfg.StrOpt('property_protection_file', help="""
File with the rules that protect extra properties; nothing is protected when it is not set. A relative path is
looked for beside this file."""),
    cfg.StrOpt('property_protection_rule_format', default='roles', help="""
What the rules are made of: the name of an entry point in ``glancelike.property_protections``. ``roles``: lists
of role names; ``policies``: one policy rule for each operation."""),
)

GROUPS = {'DEFAULT': OPTIONS}
