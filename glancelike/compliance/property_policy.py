"""Suites for property protections: every clause of ``glancelike/property_protections/base.py``.

``PropertyProtectionSuite`` is for any protection: the author gives one with rules of his own and says, in
``examples``, what it must answer. ``RuleTableSuite`` is for protections whose rules are patterns in an order,
whatever their file looks like: the author turns a small table into a protection, and the answers come with the
suite::

    class AcmeProtectionTest(RuleTableSuite, testtools.TestCase):
        def make_from_table(self, table):
            path = write_acme_rules(table)
            return AcmeProtection(plugin.Options(property_protection_file=path), check_policy)
"""

from __future__ import annotations

import copy
import random
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from glancelike.plugin import ACTIONS, PropertyProtection, RequestContext, errors

EVERYONE = 'everyone'
NOBODY = 'nobody'

#: (pattern searched in the name, action -> EVERYONE, NOBODY or the name of a role), in order
RuleTable = Sequence[tuple[str, Mapping[str, str]]]
#: (caller, action, name of the property, may it)
Example = tuple[RequestContext, str, str, bool]

ADMIN = RequestContext(user_id='root', project_id='operators', roles=frozenset({'admin', 'member', 'reader'}),
                       is_admin=True)
MEMBER = RequestContext(user_id='mia', project_id='films', roles=frozenset({'member', 'reader'}))
READER = RequestContext(user_id='rob', project_id='films', roles=frozenset({'reader'}))
SERVICE = RequestContext(user_id='mia', project_id='films', roles=frozenset({'member', 'reader'}),
                         service_roles=frozenset({'service'}))
ANONYMOUS = RequestContext(read_only=True)
CALLERS = (ADMIN, MEMBER, READER, SERVICE, ANONYMOUS)

_HOSTILE_NAMES = ('', ' ', '\n', 'a\x00b', 'x' * 100_000, 'naïve', '🦊', '\ud800', '(', '[a', '%s', '%(x)s', '../x',
                  'a' * 40 + '!')
_THREADS, _ROUNDS = 4, 50


class PropertyProtectionSuite:
    """Mix into ``testtools.TestCase`` or ``unittest.TestCase``."""

    # --- what the author gives ---------------------------------------------------------------------------------

    def make_protection(self) -> PropertyProtection:
        """A protection with some rules; called more than once in a test, always with the same rules."""
        raise NotImplementedError('give make_protection()')

    def examples(self) -> Sequence[Example]:
        """What these rules must answer: at least one refusal and one permission, better a dozen questions."""
        raise NotImplementedError('give examples()')

    def case_examples(self) -> Sequence[Example]:
        """The same question about names that differ in upper and lower case only, with different answers."""
        return ()

    def unspoken_names(self) -> Sequence[str]:
        """Names that no rule speaks of; empty where the rules speak of every name."""
        return ()

    def broken_rules(self) -> Sequence[tuple[Callable[[], Any], str, int]]:
        """(makes a protection with rules that cannot work, path of the rules file, line that is wrong)."""
        return ()

    # --- the tests ---------------------------------------------------------------------------------------------

    @property
    def driver_name(self) -> str:
        return type(self.make_protection()).__name__

    def test_every_example_is_answered_as_the_rules_say(self):
        """ALLOWS-1: the answer follows from the arguments and the rules."""
        protection, examples = self.make_protection(), self.examples()
        self.assertEqual({True, False}, {allowed for *_, allowed in examples},
                         'examples() must have a permission and a refusal')
        self.assertEqual([], self._wrong(protection, examples))

    def test_what_was_asked_before_does_not_matter(self):
        """ALLOWS-1: each question has the same answer first, last, and from another instance."""
        examples = list(self.examples())
        used = self.make_protection()
        for seed in range(5):
            random.Random(seed).shuffle(examples)
            self.assertEqual([], self._wrong(used, examples))
        alone = [one for one in examples if self._wrong(self.make_protection(), [one])]
        self.assertEqual([], alone)

    def test_no_name_makes_it_raise(self):
        """ALLOWS-2: whatever stands in a request is answered with True or False."""
        protection = self.make_protection()
        for ctx in CALLERS:
            for action in ACTIONS:
                for name in _HOSTILE_NAMES:
                    self.assertIsInstance(protection.allows(ctx, action, name), bool, f'{action} {name[:20]!r}')

    def test_an_operation_that_it_does_not_know_is_refused(self):
        """ALLOWS-2: it does not raise, and does not allow what it cannot decide."""
        protection = self.make_protection()
        for ctx, _, name, _ in self.examples():
            self.assertEqual(False, protection.allows(ctx, 'frobnicate', name))

    def test_the_caller_is_not_changed(self):
        """ALLOWS-2: the context is the same afterwards."""
        protection = self.make_protection()
        for ctx, action, name, _ in self.examples():
            before = copy.deepcopy(ctx)
            protection.allows(ctx, action, name)
            self.assertEqual(before, ctx)

    def test_upper_and_lower_case_are_different_names(self):
        """ALLOWS-3: two names that differ in case only may have different answers, and get them."""
        examples = self.case_examples()
        if not examples:
            self.skipTest('case_examples() is not given')
        self.assertEqual(1, len({name.casefold() for _, _, name, _ in examples}), 'names must differ in case only')
        self.assertEqual([], self._wrong(self.make_protection(), examples))

    def test_a_name_that_no_rule_speaks_of_is_refused(self):
        """ALLOWS-4: for everyone, administrators too."""
        names = self.unspoken_names()
        if not names:
            self.skipTest(f'the rules of {self.driver_name} speak of every name')
        protection = self.make_protection()
        allowed = [(ctx.user_id, action, name) for ctx in CALLERS for action in ACTIONS for name in names
                   if protection.allows(ctx, action, name)]
        self.assertEqual([], allowed)

    def test_threads_do_not_mix_their_questions(self):
        """ALLOWS-5: threads that ask different questions at once get the answers that one alone gets."""
        protection, wrong = self.make_protection(), []
        examples = [(*question, protection.allows(*question)) for *question, _ in self.examples()]
        together = threading.Barrier(_THREADS)

        def ask(number: int) -> None:
            own = list(examples)
            random.Random(number).shuffle(own)
            together.wait(timeout=60)
            for _ in range(_ROUNDS):
                wrong.extend(self._wrong(protection, own))

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(_THREADS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(timeout=60)
        finally:
            sys.setswitchinterval(interval)
        self.assertEqual([False] * _THREADS, [thread.is_alive() for thread in threads])
        self.assertEqual([], wrong[:5])

    def test_rules_that_cannot_work_stop_the_start(self):
        """INIT-1: ConfigurationError from the constructor, naming file and line."""
        broken = self.broken_rules()
        if not broken:
            self.skipTest('broken_rules() is not given')
        for make, path, line in broken:
            try:
                make()
            except errors.ConfigurationError as error:
                self.assertIn(path, str(error))
                self.assertRegex(str(error), rf'\b{line}\b')
            else:
                self.fail(f'line {line} of the rules is wrong, and the protection starts all the same')

    def _wrong(self, protection: PropertyProtection, examples: Sequence[Example]) -> list[str]:
        return [f'{ctx.user_id} {action} {name}: {not allowed}' for ctx, action, name, allowed in examples
                if protection.allows(ctx, action, name) is not allowed]


def _same(who: str) -> dict[str, str]:
    return dict.fromkeys(ACTIONS, who)


_TABLE: RuleTable = (
    (r'^secret_', _same(NOBODY)),
    (r'^hw_', _same('admin')),
    (r'^Hw_', _same(EVERYONE)),
    (r'^free_', _same(EVERYONE)),
    (r'^team', _same('member')),
)


class RuleTableSuite(PropertyProtectionSuite):
    """For protections whose rules are patterns in an order; also holds them to RULES-1 to RULES-4."""

    def make_from_table(self, table: RuleTable) -> PropertyProtection:
        """A protection with these rules. Roles in the table are ``admin``, ``member``, ``reader``, ``service``."""
        raise NotImplementedError('give make_from_table()')

    def make_protection(self) -> PropertyProtection:
        return self.make_from_table(_TABLE)

    def unspoken_names(self) -> Sequence[str]:
        return ('unspoken', 'free', ' hw_x', 'a team')

    def examples(self) -> Sequence[Example]:
        return (
            (ADMIN, 'create', 'hw_x', True), (MEMBER, 'create', 'hw_x', False), (ADMIN, 'delete', 'hw_', True),
            (MEMBER, 'update', 'team', True), (READER, 'update', 'team', False), (ADMIN, 'update', 'team_b', True),
            (MEMBER, 'read', 'secret_a', False), (READER, 'read', 'secret_a', False),
            (MEMBER, 'delete', 'free_x', True), (READER, 'create', 'free_x', True),
        )

    def case_examples(self) -> Sequence[Example]:
        return (MEMBER, 'create', 'hw_x', False), (MEMBER, 'create', 'Hw_x', True)

    def test_the_first_rule_that_matches_decides(self):
        """RULES-1: a later rule neither opens nor closes what an earlier one has decided."""
        protection = self.make_from_table(((r'^a', _same(NOBODY)), (r'^ab', _same(EVERYONE)),
                                           (r'^c', _same(EVERYONE)), (r'^cd', _same(NOBODY))))
        self.assertEqual([False, True], [protection.allows(MEMBER, 'update', name) for name in ('abc', 'cde')])

    def test_patterns_are_searched_anywhere_in_the_name(self):
        """RULES-1: found, not matched from the beginning."""
        protection = self.make_from_table(((r'key', _same(NOBODY)), (r'.', _same(EVERYONE))))
        self.assertEqual([False, True], [protection.allows(MEMBER, 'read', name) for name in ('my_key_a', 'my_ke')])

    def test_each_operation_has_its_own_answer(self):
        """RULES-2: allowing one operation allows no other."""
        for open_one in ACTIONS:
            rule = {action: EVERYONE if action == open_one else NOBODY for action in ACTIONS}
            protection = self.make_from_table(((r'^x', rule),))
            self.assertEqual([open_one], [action for action in ACTIONS if protection.allows(MEMBER, action, 'x')])

    def test_everyone_is_everyone_and_nobody_is_nobody(self):
        """RULES-3: a caller without roles may do what is open, an administrator not what is closed."""
        protection = self.make_from_table(((r'^open', _same(EVERYONE)), (r'^closed', _same(NOBODY))))
        for ctx in CALLERS:
            self.assertEqual((True, False), (protection.allows(ctx, 'delete', 'open'),
                                             protection.allows(ctx, 'delete', 'closed')), ctx.user_id)

    def test_a_role_of_a_service_token_counts(self):
        """RULES-4: a user with a service's token beside his own may do what the service may, without it not."""
        may = [self.make_from_table(((r'^kernel_id$', _same('service')),)).allows(ctx, 'update', 'kernel_id')
               for ctx in (SERVICE, MEMBER)]
        self.assertEqual([True, False], may)
