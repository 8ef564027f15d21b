"""The rules file that both shipped protections read.

An INI file. A section's name is a regular expression, searched (not anchored) in the property's name; the first
section in file order that matches decides. Each section has the four keys ``create``, ``read``, ``update`` and
``delete``. ``@`` allows everyone, ``!`` nobody; an empty value is nobody. Lines that begin with ``#`` or ``;``
are comments.

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
import re
from collections.abc import Mapping

from glancelike.plugin import ACTIONS, errors

LOG = logging.getLogger(__name__)

EVERYONE = '@'
NOBODY = '!'
_SECTION = re.compile(r'\[(.*)\]\s*$')


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
    rules: list[Rule] = []
    section: tuple[str, int] | None = None
    values: dict[str, tuple[str, ...]] = {}
    found: dict[str, int] = {}

    def finish() -> None:
        if section is not None:
            rules.append(_rule(path, section[0], section[1], values, found))

    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith(('#', ';')):
            continue
        match = _SECTION.match(text)
        if match:
            finish()
            section, values, found = (match.group(1), number), {}, {}
            continue
        key, separator, value = text.partition('=')
        key = key.strip().lower()
        if section is None or not separator:
            raise _wrong(path, number, f"'{text}' is neither a [section] nor an operation = value")
        if key not in ACTIONS:
            raise _wrong(path, number, f"'{key}' is no operation; use one of {', '.join(ACTIONS)}")
        if key in values:
            raise _wrong(path, number, f"'{key}' is given twice in [{section[0]}]")
        values[key] = _split(path, number, key, section[0], value)
        found[key] = number
    finish()
    if not rules:
        raise errors.ConfigurationError(f'property_protection_file {path} holds no rule')
    return rules


def _rule(path: str, name: str, number: int, values: Mapping[str, tuple[str, ...]],
          found: Mapping[str, int]) -> Rule:
    missing = [action for action in ACTIONS if action not in values]
    if missing:
        raise _wrong(path, number, f"[{name}] lacks {', '.join(missing)}; write '{missing[0]} = {NOBODY}' to allow nobody")
    try:
        pattern = re.compile(name)
    except re.error as error:
        raise _wrong(path, number, f'[{name}] is no regular expression: {error}') from error
    return Rule(pattern, values, found)


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
