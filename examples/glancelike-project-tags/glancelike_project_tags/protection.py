"""A property belongs to the project whose id its name begins with: that project writes it, everybody reads it.

The rules file has one regular expression in a line, matched from the beginning of the name; the first that matches
decides. The group of an expression is the project's id; an expression without a group leaves the property free::

    # 3f2b8a...c1:cost-centre
    ([0-9a-f]{32}):
    .*
"""

import re

from glancelike.plugin import PropertyProtection, errors


class ProjectTags(PropertyProtection):
    """Names that carry a project's id are that project's."""

    def __init__(self, options, check_policy):
        super().__init__(options, check_policy)
        self._patterns = list(_read(options.property_protection_file))

    def allows(self, ctx, action, name):
        """See PropertyProtection.allows."""
        match = next(filter(None, (pattern.match(name) for pattern in self._patterns)), None)
        if match is None or action not in ('create', 'read', 'update', 'delete'):
            return False
        return action == 'read' or not match.re.groups or match.group(1) == ctx.project_id


def _read(path):
    try:
        with open(path, encoding='utf-8') as opened:
            for number, line in enumerate(map(str.strip, opened), start=1):
                if line and not line.startswith('#'):
                    pattern = re.compile(line)
                    if pattern.groups > 1:
                        raise errors.ConfigurationError(f'{path}, line {number}: more than one group')
                    yield pattern
    except re.error as error:
        raise errors.ConfigurationError(f'{path}, line {number}: {error}') from error
    except (OSError, UnicodeDecodeError) as error:
        raise errors.ConfigurationError(f'{path} cannot be read: {error}') from error
