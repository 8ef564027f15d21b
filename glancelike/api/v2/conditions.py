"""Conditional requests (RFC 9110, section 13): ``If-Match``, ``If-None-Match``, ``If-Range``."""

from __future__ import annotations

import re
from collections.abc import Callable

from glancelike.model.image import Image
from glancelike.wsgi.request import Request

_TAG = re.compile(r'(?:W/)?("[^"]*")')
#: A version that no image has, for an If-Match that names none of ours.
NO_VERSION = -1


def tags(header: str | None) -> list[str]:
    """The entity tags of a header, in quotes, without ``W/``; ``['*']`` for the star."""
    if header is None:
        return []
    return ['*'] if header.strip() == '*' else _TAG.findall(header)


def none_match(req: Request, etag: str | None) -> bool:
    """Does the client have this very representation already (304)?"""
    wanted = tags(req.header('If-None-Match'))
    return bool(wanted) and (wanted == ['*'] or etag in wanted)


def matched_versions(req: Request, image_id: str) -> list[int] | None:
    """The versions of the image that ``If-Match`` lets the request work on; None without a condition.

    A weak tag counts too (our gzip filter makes weak ones): a version is a version in any encoding.
    """
    header = req.header('If-Match')
    wanted = tags(header)
    if header is None or wanted == ['*']:
        return None
    pattern = re.compile(f'"{re.escape(image_id)}-([0-9]{{1,9}})"')
    return [int(found[1]) for found in map(pattern.fullmatch, wanted) if found] or [NO_VERSION]


def one_version(versions: list[int] | None, read: Callable[[], Image]) -> int | None:
    """The single version to compare with; several are narrowed to the present one.

    :param read: returns the image as it is now
    """
    if versions is None or len(versions) == 1:
        return None if versions is None else versions[0]
    now = read().version
    return now if now in versions else NO_VERSION
