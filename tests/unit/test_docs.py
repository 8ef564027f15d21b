"""The pages say what the code does, where that can be compared."""

import re
from pathlib import Path

from testtools.matchers import Contains, Equals

from glancelike import errors
from glancelike.conf import obsolete
from glancelike.wsgi import faults
from tests import base

DOCS = Path(__file__).parents[2] / 'docs'


def subclasses(cls):
    """*cls* and all classes below it."""
    return {cls}.union(*(subclasses(one) for one in cls.__subclasses__()))


def error_classes():
    """Every error of errors.py and wsgi/faults.py."""
    return {one for one in subclasses(errors.GlanceError) if one.__module__ in (errors.__name__, faults.__name__)}


def never_answers(cls):
    """Is it raised while the service starts or a task runs, or only the base of others?"""
    return cls is errors.GlanceError or issubclass(
        cls, (errors.ConfigurationError, errors.TaskCancelled, errors.JobBoardUnavailable))


class ErrorCodesTest(base.TestCase):
    """The table of docs/api/index.rst against the classes."""

    def setUp(self):
        super().setUp()
        self.text = (DOCS / 'api' / 'index.rst').read_text()
        self.rows = {code: int(status) for code, status in
                     re.findall(r'^``([a-z_]+)`` +([45][0-9]{2}) ', self.text, re.MULTILINE)}

    def test_every_code_that_an_answer_can_have_is_in_the_table_with_its_status(self):
        expected = {cls.code: faults.status_of(cls('x')) for cls in error_classes() if not never_answers(cls)}
        self.assertThat(self.rows, Equals({**expected, 'internal_error': 500}))

    def test_codes_that_no_answer_has_are_named_too(self):
        for cls in filter(never_answers, error_classes()):
            self.assertThat(self.text, Contains(f'``{cls.code}``'))


class ConfigurationTest(base.TestCase):
    """The table of options without effect against conf/obsolete.py."""

    def test_every_group_without_effect_is_on_the_page(self):
        text = (DOCS / 'operators' / 'configuration.rst').read_text()
        missing = [group for group in obsolete.REASONS if group != 'DEFAULT' and f'``[{group}]``' not in text]
        self.assertThat(missing, Equals([]))

    def test_every_option_without_effect_is_on_the_page(self):
        text = (DOCS / 'operators' / 'configuration.rst').read_text()
        missing = [name for name in obsolete.REASONS['DEFAULT'] if f'``{name}``' not in text]
        self.assertThat(missing, Equals([]))
