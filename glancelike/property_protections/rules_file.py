"""The rules file that both shipped protections read.

An INI file. A section's name is a regular expression, searched (not anchored) in the property's name; the first
section in file order that matches decides. Each section has the four keys ``create``, ``read``, ``update`` and
``delete``, with ``=`` or ``:`` before the value; an indented line goes on with the value above it. ``@`` allows
everyone, ``!`` nobody; an empty value is nobody. Lines that begin with ``#`` or ``;`` are comments.

::

    [^x_owner_.*]
    create = admin,member
    read = @
    update = admin
    delete = !
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections.abc import Mapping, Sequence

from glancelike.plugin import ACTIONS, errors

LOG = logging.getLogger(__name__)

EVERYONE = '@'
NOBODY = '!'
_SECTION = re.compile(r'\[(.*)\]\s*$')
_PAIR = re.compile(r'([^=:]*?)\s*[=:]\s*(.*)')


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """One section: the pattern, and for each action the values as written, split at commas.

    :ivar lines: line number of each action's value, for messages
    """

    pattern: re.Pattern[str]
    values: Mapping[str, tuple[str, ...]]
    lines: Mapping[str, int]


def read(path: str) -> list[Rule]:
    """The rules of the file, in file order.

    :raises ConfigurationError: the file cannot be read or breaks a rule; names file and line
    """
    try:
        with open(path, encoding='utf-8') as opened:
            lines = opened.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.ConfigurationError(f'property_protection_file {path} cannot be read: {error}') from error
    sections = _sections(path, lines)
    if not sections:
        raise errors.ConfigurationError(f'property_protection_file {path} holds no rule')
    return [_rule(path, one) for one in sections]


@dataclasses.dataclass(slots=True)
class _Section:
    """A section as written.

    :ivar texts: value of each key, with its line number
    """

    name: str
    line: int
    texts: dict[str, tuple[str, int]]


def _sections(path: str, lines: list[str]) -> list[_Section]:
    sections: list[_Section] = []
    last = ''
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith(('#', ';')):
            continue
        header = _SECTION.match(text)
        if header:
            twin = next((one for one in sections if one.name == header.group(1)), None)
            if twin is not None:
                raise _wrong(path, number, f'[{twin.name}] stands in line {twin.line} already')
            sections.append(_Section(header.group(1), number, {}))
            last = ''
            continue
        pair = _PAIR.match(text)
        if last and line[0].isspace() and (pair is None or pair.group(1).lower() not in ACTIONS):
            value, first = sections[-1].texts[last]
            sections[-1].texts[last] = (f'{value} {text}', first)
            continue
        if not sections or pair is None:
            raise _wrong(path, number, f"'{text}' is neither a [section] nor an operation = value")
        last = pair.group(1).lower()
        if last not in ACTIONS:
            raise _wrong(path, number, f"'{last}' is no operation; use one of {', '.join(ACTIONS)}")
        if last in sections[-1].texts:
            raise _wrong(path, number, f"'{last}' is given twice in [{sections[-1].name}]")
        sections[-1].texts[last] = (pair.group(2), number)
    return sections


def _rule(path: str, section: _Section) -> Rule:
    missing = [action for action in ACTIONS if action not in section.texts]
    if missing:
        raise _wrong(path, section.line, f"[{section.name}] lacks {', '.join(missing)}; "
                                         f"write '{missing[0]} = {NOBODY}' to allow nobody")
    try:
        pattern = re.compile(section.name)
    except (re.error, RecursionError, OverflowError) as error:
        raise _wrong(path, section.line, f'[{section.name}] is no regular expression: {error}') from error
    return Rule(pattern, {action: _split(path, number, action, section.name, text)
                          for action, (text, number) in section.texts.items()},
                {action: number for action, (_, number) in section.texts.items()})


def _split(path: str, number: int, key: str, section: str, value: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in value.split(',') if part.strip())
    if not parts:
        LOG.warning('%s line %d: %s of [%s] is empty: nobody may do it', path, number, key, section)
        return (NOBODY,)
    if EVERYONE in parts and NOBODY in parts:
        raise _wrong(path, number, f"{key} of [{section}] has both '{EVERYONE}' and '{NOBODY}'")
    return parts


def _wrong(path: str, number: int, what: str) -> errors.ConfigurationError:
    return errors.ConfigurationError(f'property_protection_file {path}, line {number}: {what}')


def wrong_value(path: str, rule: Rule, action: str, what: str) -> errors.ConfigurationError:
    """The error for a value that the rule format does not allow."""
    return _wrong(path, rule.lines[action], f'{action} of [{rule.pattern.pattern}] {what}')


def for_compliance(folder: str, table: Sequence[tuple[str, Mapping[str, str]]]) -> Mapping[str, str]:
    """PropertyProtection.for_compliance of the protections that read such a file."""
    words = {'everyone': EVERYONE, 'nobody': NOBODY}
    path = os.path.join(folder, 'property-protections.conf')
    with open(path, 'w', encoding='utf-8') as opened:
        for pattern, rule in table:
            opened.write(f'[{pattern}]\n')
            opened.writelines(f'{action} = {words.get(who, who)}\n' for action, who in rule.items())
    return {'property_protection_file': path}
