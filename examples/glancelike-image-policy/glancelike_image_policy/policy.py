"""Refuses images by rule, by what the first bytes say and what is known of them. Of glancelike: ``plugin`` only."""

from __future__ import annotations

import configparser
import dataclasses
import logging
import os
from collections.abc import Mapping
from typing import Any

from oslo_config import cfg
from oslo_utils.imageutils import format_inspector

from glancelike.plugin import Content, ImportJob, ImportPlugin, errors

LOG = logging.getLogger(__name__)

_NAME = 'image_policy'
_GIB = 2**30
_HEAD_BYTES = 2**16


@dataclasses.dataclass(frozen=True)
class Rule:
    """One section of the rules file; what is empty or None does not count.

    :ivar disk_formats: the rule is for images of these formats only
    :ivar except_roles: and not for importers with one of these roles
    """

    name: str
    disk_formats: frozenset[str]
    except_roles: frozenset[str]
    refuse: bool
    max_virtual_gib: int | None
    required_properties: tuple[str, ...]

    def objection(self, job: ImportJob, content: Content, disk_format: str | None) -> str | None:
        """Why the image is refused, or None."""
        roles = job.caller.roles | ({'admin'} if job.caller.is_admin else set())
        if roles & self.except_roles or (self.disk_formats and disk_format not in self.disk_formats):
            return None
        if self.refuse:
            return 'such images are not accepted'
        missing = [name for name in self.required_properties
                   if not (content.properties.get(name) or job.image.properties.get(name))]
        if missing:
            return f'it has no property {", ".join(missing)}; set it and import again'
        size = virtual_bytes(content, disk_format)
        if self.max_virtual_gib is not None and size is not None and size > self.max_virtual_gib * _GIB:
            return f'its disk has {size} bytes; up to {self.max_virtual_gib} GiB are accepted'
        return None


class ImagePolicy(ImportPlugin):
    """Lets an image pass as it is, or refuses it and says by which rule."""

    OPTION_GROUP = _NAME
    OPTIONS = (cfg.StrOpt('rules_file', default='/etc/glance/image-policy.ini', help='Rules, one in each section.'),)

    def __init__(self, options: Any):
        super().__init__(options)
        self._rules = _read(options.rules_file)

    def process(self, job: ImportJob, content: Content) -> Content:
        """See ImportPlugin.process.

        :raises ImportRejected: a rule is against it
        """
        disk_format = content.disk_format or job.image.disk_format
        for rule in self._rules:
            objection = rule.objection(job, content, disk_format)
            if objection is not None:
                raise errors.ImportRejected(plugin=_NAME, reason=f'{objection} (rule "{rule.name}").')
        return content

    def facts(self) -> Mapping[str, Any]:
        """What callers may know: how the rules are called."""
        return {'rules': [rule.name for rule in self._rules]}

    @classmethod
    def for_compliance(cls, folder: str) -> Mapping[str, Any]:
        """Options for ``glance-drivers check import-plugin image_policy``."""
        path = os.path.join(folder, 'rules.ini')
        with open(path, 'w', encoding='utf-8') as opened:
            opened.write('[small disks]\nmax_virtual_gib = 1\n')
        return {'rules_file': path}


def virtual_bytes(content: Content, disk_format: str | None) -> int | None:
    """Length of the disk: what the head of the file says, or that of a file that is the disk; None: not known."""
    if disk_format in (None, 'raw', 'iso'):
        return content.size
    kind = format_inspector.ALL_FORMATS.get(disk_format)
    if kind is None:
        return None
    inspector = kind()
    try:
        inspector.eat_chunk(content.head[:_HEAD_BYTES])
        size = inspector.virtual_size if inspector.format_match else 0
    except Exception as error:  # of another format, or damaged: each inspector says so in its own way
        LOG.debug('Not recognised as %s: %s', disk_format, error)
        return None
    return size if size > 0 else None


def _read(path: str) -> list[Rule]:
    """:raises ConfigurationError: the file cannot be read, or a rule cannot be"""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with open(path, encoding='utf-8') as opened:
            parser.read_file(opened)
    except (OSError, ValueError, configparser.Error) as error:
        raise errors.ConfigurationError(f'[{_NAME}] rules_file {path} cannot be read: {error}') from error
    return [_rule(path, section) for section in map(parser.__getitem__, parser.sections())]


def _rule(path: str, section: configparser.SectionProxy) -> Rule:
    known = {field.name for field in dataclasses.fields(Rule)} - {'name'}
    unknown = sorted(set(section) - known)
    if unknown:
        raise errors.ConfigurationError(f'{path}, [{section.name}]: no rule can say {", ".join(unknown)}.')

    def words(name: str) -> list[str]:
        return [word.strip() for word in section.get(name, '').split(',') if word.strip()]

    try:
        return Rule(section.name, frozenset(words('disk_formats')), frozenset(map(str.lower, words('except_roles'))),
                    section.getboolean('refuse', False), section.getint('max_virtual_gib'),
                    tuple(words('required_properties')))
    except ValueError as error:
        raise errors.ConfigurationError(f'{path}, [{section.name}]: {error}') from error
