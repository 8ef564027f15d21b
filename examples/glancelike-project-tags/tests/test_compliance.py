"""ProjectTags, held to glancelike's contract of property protections."""

import tempfile

import testtools
from glancelike_project_tags.protection import ProjectTags

from glancelike import plugin
from glancelike.compliance.property_policy import ADMIN, ANONYMOUS, MEMBER, PropertyProtectionSuite


class ProjectTagsTest(PropertyProtectionSuite, testtools.TestCase):
    """Every clause. MEMBER is of the project ``films``."""

    def make_protection(self, rules='# one\n([a-z]+):\nfree_\n'):
        opened = tempfile.NamedTemporaryFile('w', suffix='.conf')
        self.addCleanup(opened.close)
        opened.write(rules)
        opened.flush()
        self.path = opened.name
        return ProjectTags(plugin.Options(property_protection_file=self.path), None)

    def examples(self):
        return [(MEMBER, 'create', 'films:cost', True), (MEMBER, 'delete', 'films:', True),
                (MEMBER, 'update', 'books:cost', False), (ADMIN, 'update', 'films:cost', False),
                (ANONYMOUS, 'read', 'films:cost', True), (ANONYMOUS, 'create', 'free_x', True)]

    def case_examples(self):
        return [(MEMBER, 'read', 'films:a', True), (MEMBER, 'read', 'Films:a', False)]

    def unspoken_names(self):
        return ['films', 'Films:x', ' free_x']

    def broken_rules(self):
        return [(lambda: self.make_protection('a\n(b\n'), '.conf', 2),
                (lambda: self.make_protection('a\n\n(b)(c)\n'), '.conf', 3)]
