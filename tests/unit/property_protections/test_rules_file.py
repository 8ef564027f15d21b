"""The rules file of the shipped protections: what it may hold, and what stops the start."""

from glancelike import errors, plugin
from glancelike.plugin import RequestContext
from glancelike.property_protections import rules_file
from glancelike.property_protections.policies import PoliciesProtection
from glancelike.property_protections.roles import RolesProtection
from tests import base

OPEN = 'create = @\nread = @\nupdate = @\ndelete = @\n'


class RulesFileTest(base.TestCase):

    def write(self, text):
        path = self.tmp / 'rules.conf'
        path.write_text(text)
        return str(path)

    def refused(self, text):
        path = self.write(text)
        message = str(self.assertRaises(errors.ConfigurationError, rules_file.read, path))
        self.assertIn(path, message)
        return message

    def test_sections_keep_the_order_of_the_file(self):
        rules = rules_file.read(self.write(f'[b]\n{OPEN}[a]\n{OPEN}[b.*]\n{OPEN}'))
        self.assertEqual(['b', 'a', 'b.*'], [rule.pattern.pattern for rule in rules])

    def test_comments_blank_lines_and_brackets_in_patterns_are_no_trouble(self):
        (rule,) = rules_file.read(self.write(f'; one\n\n# two\n[^x_[a-z]+$]\n  # three\n{OPEN}'))
        self.assertEqual('^x_[a-z]+$', rule.pattern.pattern)

    def test_a_colon_separates_too_and_keys_may_be_upper_case(self):
        (rule,) = rules_file.read(self.write('[a]\nCREATE: x, y\nRead : z\nupdate=@\ndelete=!\n'))
        self.assertEqual((('x', 'y'), ('z',)), (rule.values['create'], rule.values['read']))

    def test_an_indented_line_goes_on_with_the_value(self):
        (rule,) = rules_file.read(self.write('[a]\ncreate = x,\n    y,\n    z\nread = @\nupdate = @\ndelete = @\n'))
        self.assertEqual(('x', 'y', 'z'), rule.values['create'])

    def test_indented_operations_are_operations(self):
        (rule,) = rules_file.read(self.write('[a]\n  create = x\n    read = y\n  update = @\n  delete = @\n'))
        self.assertEqual((('x',), ('y',)), (rule.values['create'], rule.values['read']))

    def test_an_empty_value_is_nobody(self):
        (rule,) = rules_file.read(self.write('[a]\ncreate =\nread = ,\nupdate = @\ndelete = @\n'))
        self.assertEqual((('!',), ('!',)), (rule.values['create'], rule.values['read']))

    def test_a_section_given_twice_stops_the_start(self):
        self.assertIn('line 6: [a] stands in line 1 already', self.refused(f'[a]\n{OPEN}[a]\n{OPEN}'))

    def test_a_file_that_is_not_there_stops_the_start(self):
        message = str(self.assertRaises(errors.ConfigurationError, rules_file.read, str(self.tmp / 'gone.conf')))
        self.assertIn('gone.conf', message)

    def test_a_file_that_is_no_text_stops_the_start(self):
        (self.tmp / 'bytes').write_bytes(b'[a\xff]')
        self.assertRaises(errors.ConfigurationError, rules_file.read, str(self.tmp / 'bytes'))

    def test_a_file_without_rules_stops_the_start(self):
        self.assertIn('holds no rule', self.refused('# nothing\n'))

    def test_a_missing_operation_is_told_with_the_line_of_its_section(self):
        message = self.refused(f'[a]\n{OPEN}\n[b]\ncreate = @\nread = @\nupdate = @\n')
        self.assertIn('line 7', message)
        self.assertIn('[b] lacks delete', message)

    def test_an_unknown_operation_is_told_with_its_line(self):
        message = self.refused(f'[a]\n{OPEN}remove = @\n')
        self.assertIn("line 6: 'remove' is no operation", message)

    def test_a_doubled_operation_is_told_with_its_line(self):
        self.assertIn("line 6: 'read' is given twice", self.refused(f'[a]\n{OPEN}read = !\n'))

    def test_a_line_that_is_nothing_is_told_with_its_number(self):
        self.assertIn("line 2: 'nonsense'", self.refused('[a]\nnonsense\n'))

    def test_a_value_before_the_first_section_is_told_with_its_line(self):
        self.assertIn('line 1', self.refused(f'{OPEN}[a]\n'))

    def test_a_pattern_that_is_none_is_told_with_its_line(self):
        self.assertIn('line 6: [(b] is no regular expression', self.refused(f'[a]\n{OPEN}[(b]\n{OPEN}'))

    def test_everyone_together_with_nobody_is_told_with_its_line(self):
        self.assertIn('line 4', self.refused('[a]\ncreate = @\nread = @\nupdate = @,!\ndelete = @\n'))


class FormatsTest(base.TestCase):
    """What the suite does not ask: how each format reads the values."""

    def make(self, kind, text, check_policy=None):
        path = self.tmp / 'rules.conf'
        path.write_text(text)
        return kind(plugin.Options(property_protection_file=str(path)), check_policy)

    def test_roles_are_compared_in_lower_case(self):
        protection = self.make(RolesProtection, '[a]\ncreate = Image_Admin\nread = @\nupdate = !\ndelete = !\n')
        self.assertTrue(protection.allows(RequestContext(roles=frozenset({'image_admin'})), 'create', 'a'))

    def test_everyone_among_roles_is_everyone(self):
        protection = self.make(RolesProtection, '[a]\ncreate = admin,@\nread = @\nupdate = !\ndelete = !\n')
        self.assertTrue(protection.allows(RequestContext(), 'create', 'a'))

    def test_a_role_called_like_a_mark_opens_nothing(self):
        protection = self.make(RolesProtection, '[a]\ncreate = !\nread = !\nupdate = !\ndelete = !\n')
        self.assertFalse(protection.allows(RequestContext(roles=frozenset({'@'})), 'read', 'a'))

    def test_two_policy_rules_for_one_operation_stop_the_start(self):
        error = self.assertRaises(errors.ConfigurationError, self.make, PoliciesProtection,
                                  '[a]\ncreate = @\nread = one,two\nupdate = @\ndelete = @\n')
        self.assertIn('line 3: read of [a] names 2 policy rules', str(error))

    def test_a_policy_rule_is_asked_with_the_caller(self):
        asked = []
        protection = self.make(PoliciesProtection, '[a]\ncreate = one\nread = @\nupdate = !\ndelete = !\n',
                               lambda ctx, rule: not asked.append((ctx.user_id, rule)))
        self.assertTrue(protection.allows(RequestContext(user_id='mia'), 'create', 'a'))
        self.assertEqual([('mia', 'one')], asked)

    def test_a_policy_that_cannot_be_asked_refuses(self):
        def check_policy(ctx, rule):
            raise errors.ServiceUnavailable(reason='down')
        protection = self.make(PoliciesProtection,
                               '[a]\ncreate = one\nread = @\nupdate = !\ndelete = !\n', check_policy)
        self.assertIs(False, protection.allows(RequestContext(), 'create', 'a'))
