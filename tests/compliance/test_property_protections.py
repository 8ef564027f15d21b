"""The property protections of this tree are held to their contract."""

from oslo_config import cfg

from glancelike import plugin
from glancelike.compliance.property_policy import EVERYONE, NOBODY, RuleTableSuite
from glancelike.policies.enforcer import Enforcer
from glancelike.property_protections.policies import PoliciesProtection
from glancelike.property_protections.roles import RolesProtection
from tests import base

WORDS = {EVERYONE: '@', NOBODY: '!'}


class RulesFileSuite(RuleTableSuite):
    """What both formats of the rules file have in common."""

    kind: type
    prefix = ''

    def make_from_table(self, table):
        return self.make(''.join(
            f'[{pattern}]\n' + ''.join(f'{action} = {WORDS.get(who) or self.prefix + who}\n'
                                       for action, who in rule.items()) for pattern, rule in table))

    def make(self, text):
        path = self.tmp / 'rules.conf'
        path.write_text(text)
        return self.kind(plugin.Options(property_protection_file=str(path)), self.check_policy)

    def check_policy(self, ctx, rule):
        raise AssertionError('roles are not asked of the policy')

    def broken_rules(self):
        path, rest = str(self.tmp / 'rules.conf'), 'create = @\nread = @\nupdate = @\ndelete = @\n'
        return [(lambda: self.make(f'# one\n[(]\n{rest}'), path, 2),
                (lambda: self.make('[a]\ncreate = @\nread = @,!\nupdate = @\ndelete = @\n'), path, 3),
                (lambda: self.make(f'[a]\n{rest}[b]\ncreate = @\n'), path, 6)]


class RolesProtectionTest(RulesFileSuite, base.TestCase):
    kind = RolesProtection


class PoliciesProtectionTest(RulesFileSuite, base.TestCase):
    """Over the real policy engine, with a policy file that has a rule for each role."""

    kind = PoliciesProtection
    prefix = 'has_'

    def setUp(self):
        super().setUp()
        policy = self.tmp / 'policy.yaml'
        policy.write_text(''.join(f'"has_{role}": "role:{role} or service_roles:{role}"\n'
                                  for role in ('admin', 'member', 'reader', 'service')))
        (self.tmp / 'glance.conf').write_text(f'[oslo_policy]\npolicy_file = {policy}\n')
        conf = cfg.ConfigOpts()
        conf(['--config-file', str(self.tmp / 'glance.conf')], project='glance')
        self.enforcer = Enforcer(conf)

    def check_policy(self, ctx, rule):
        return self.enforcer.allowed(ctx, rule)

