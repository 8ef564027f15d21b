"""Property protections of a rules format of their own: one that keeps the contract, and many that break it.

The format: one rule in a line, ``pattern create read update delete``, each of the four ``*``, ``-`` or a role.
"""

import re
import time

from glancelike.plugin import ACTIONS, PropertyProtection, errors


class LinesProtection(PropertyProtection):
    """Keeps every clause; the broken ones change one thing of it."""

    default = False

    def __init__(self, options, check_policy):
        super().__init__(options, check_policy)
        self.rules = []
        path = options.property_protection_file
        with open(path, encoding='utf-8') as opened:
            for number, line in enumerate(opened, start=1):
                words = line.split()
                if len(words) != 5:
                    raise errors.ConfigurationError(f'{path}, line {number}: five words are wanted')
                self.rules.append((self.pattern(words[0], path, number), dict(zip(ACTIONS, words[1:], strict=True))))

    def pattern(self, text, path, number):
        try:
            return re.compile(text)
        except re.error as error:
            raise errors.ConfigurationError(f'{path}, line {number}: {error}') from error

    def find(self, name):
        return next((who for pattern, who in self.rules if pattern.search(name)), None)

    def holds(self, ctx, who):
        return who == '*' or who in ctx.roles or who in ctx.service_roles

    def allows(self, ctx, action, name):
        found = self.find(name)
        return self.default if found is None else self.holds(ctx, found.get(action, '-'))


class CachesByProject(LinesProtection):
    """Remembers an answer for a whole project."""

    def __init__(self, options, check_policy):
        super().__init__(options, check_policy)
        self.known = {}

    def allows(self, ctx, action, name):
        key = ctx.project_id, action, name
        if key not in self.known:
            self.known[key] = super().allows(ctx, action, name)
        return self.known[key]


class StumblesOverEmptyName(LinesProtection):
    """Looks at the first letter before anything else."""

    def allows(self, ctx, action, name):
        return name[0] != '\0' and super().allows(ctx, action, name)


class AllowsUnknownOperations(LinesProtection):
    """Refuses the three operations that write, and takes everything else for reading."""

    def allows(self, ctx, action, name):
        return super().allows(ctx, action if action in ACTIONS else 'read', name)


class ForgetsCase(LinesProtection):
    """Compares names as if case did not matter."""

    def pattern(self, text, path, number):
        return re.compile(text, re.IGNORECASE) if super().pattern(text, path, number) else None


class OpenByDefault(LinesProtection):
    """What no rule speaks of is free."""

    default = True


class RemembersTheCaller(LinesProtection):
    """Keeps the caller in the instance while it thinks."""

    def allows(self, ctx, action, name):
        self.ctx = ctx
        found = self.find(name)
        time.sleep(0)
        return False if found is None else self.holds(self.ctx, found.get(action, '-'))


class FindsErrorsLate(LinesProtection):
    """Notices a wrong pattern when somebody asks for it."""

    def pattern(self, text, path, number):
        try:
            return super().pattern(text, path, number)
        except errors.ConfigurationError:
            return re.compile('$^')


class HidesTheLine(LinesProtection):
    """Says which file is wrong, but not where."""

    def pattern(self, text, path, number):
        try:
            return super().pattern(text, path, number)
        except errors.ConfigurationError as error:
            raise errors.ConfigurationError(f'{path}: a pattern is wrong') from error


class LastMatchWins(LinesProtection):
    """Goes on looking after the first rule that matches."""

    def find(self, name):
        return next((who for pattern, who in reversed(self.rules) if pattern.search(name)), None)


class AnchoredPatterns(LinesProtection):
    """Matches patterns at the beginning of the name only."""

    def find(self, name):
        return next((who for pattern, who in self.rules if pattern.match(name)), None)


class DeleteIsUpdate(LinesProtection):
    """Whoever may update may delete."""

    def allows(self, ctx, action, name):
        return super().allows(ctx, 'update' if action == 'delete' else action, name)


class AdministratorsAlways(LinesProtection):
    """Closed to everyone, but not to administrators."""

    def allows(self, ctx, action, name):
        spoken = self.find(name) is not None and action in ACTIONS
        return ctx.is_admin and spoken or super().allows(ctx, action, name)


class EveryoneHasARole(LinesProtection):
    """Open to everyone who has a role."""

    def holds(self, ctx, who):
        return bool(ctx.roles) and super().holds(ctx, who)


class UserRolesOnly(LinesProtection):
    """Knows nothing of service tokens."""

    def holds(self, ctx, who):
        return who == '*' or who in ctx.roles
