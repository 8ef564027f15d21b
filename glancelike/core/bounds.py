"""What a value must be before it may reach a database: clause ALL-8 of the database contract, in one place."""

from __future__ import annotations

from typing import Any

from glancelike import errors

TEXT_LENGTH = 255
PROPERTY_BYTES = 65_535
LARGEST_INT32 = 2**31 - 1
LARGEST_INT64 = 2**63 - 1


def storable(value: str) -> bool:
    """Can every database keep this text? Not with U+0000 (PostgreSQL) and not with half a surrogate pair."""
    if '\x00' in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def text(what: str, value: Any, longest: int = TEXT_LENGTH) -> str:
    """*value*, a text of at most *longest* characters.

    :param what: what the message calls it
    :raises Invalid: it is no text, too long, or cannot be stored
    """
    if not isinstance(value, str):
        raise errors.Invalid(reason=f'{what} must be a text.')
    if len(value) > longest:
        raise errors.Invalid(reason=f'{what} may have up to {longest} characters, not {len(value)}.')
    if not storable(value):
        raise errors.Invalid(reason=f'{what} holds characters that cannot be stored (U+0000 or a lone surrogate).')
    return value


def property_value(name: str, value: Any) -> str:
    """*value* as it is stored: a text of up to PROPERTY_BYTES bytes of UTF-8; None becomes an empty text.

    :raises Invalid: it is something else
    """
    if value is None:
        return ''
    text(f"The value of property '{name}'", value, PROPERTY_BYTES)
    size = len(value.encode())
    if size > PROPERTY_BYTES:
        raise errors.Invalid(
            reason=f"The value of property '{name}' may have up to {PROPERTY_BYTES} bytes of UTF-8, not {size}.")
    return value


def flag(what: str, value: Any) -> bool:
    """:raises Invalid: *value* is neither true nor false."""
    if not isinstance(value, bool):
        raise errors.Invalid(reason=f'{what} must be true or false.')
    return value


def whole_number(what: str, value: Any, largest: int = LARGEST_INT32) -> int:
    """:raises Invalid: *value* is no whole number from 0 to *largest*."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise errors.Invalid(reason=f'{what} must be a whole number from 0 to {largest}.')
    return value
