"""Quotas: how much one image and one project may have. A negative number in glance.conf means no limit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from glancelike import errors
from glancelike.context import RequestContext

MIB = 2**20

#: The resources of Keystone unified limits, under Glance's names.
SIZE_TOTAL = 'image_size_total'
STAGE_TOTAL = 'image_stage_total'
COUNT_TOTAL = 'image_count_total'
COUNT_UPLOADING = 'image_count_uploading'
RESOURCES = (SIZE_TOTAL, STAGE_TOTAL, COUNT_TOTAL, COUNT_UPLOADING)

_UNITS = {'': 1, 'B': 1, 'KB': 2**10, 'MB': 2**20, 'GB': 2**30, 'TB': 2**40}


class UnifiedLimits(Protocol):
    """What quotas need of Keystone's unified limits; ``core.unified_limits`` provides it."""

    def enforce(self, project_id: str, deltas: Mapping[str, int]) -> None:
        """:raises QuotaExceeded: usage and *deltas* (resource -> more wanted) together exceed a limit."""

    def of(self, project_id: str) -> Mapping[str, tuple[int, int]]:
        """(limit, usage) of each of RESOURCES; sizes in MiB; a negative limit is none."""


def storage_bytes(text: str) -> int | None:
    """The value of ``user_storage_quota`` in bytes: digits, then B, KB, MB, GB, TB (powers of 1024) or nothing.

    :returns: None for 0: no quota
    :raises ConfigurationError: it is of another form
    """
    match = re.fullmatch(r'([0-9]{1,30})\s*([KMGT]?B|)', text.strip(), re.IGNORECASE | re.ASCII)
    if match is None:
        raise errors.ConfigurationError(
            f"[DEFAULT] user_storage_quota must be a number and a unit (B, KB, MB, GB, TB), such as 100GB, not "
            f"'{text}'.")
    return int(match[1]) * _UNITS[match[2].upper()] or None


class Quotas:
    """The limits of this service.

    :param members: ``image_member_quota``; negative is no limit, as in all the following
    :param properties: ``image_property_quota``
    :param tags: ``image_tag_quota``
    :param locations: ``image_location_quota``
    :param storage: bytes that the images of a project may take (``storage_bytes``), None for no limit;
        without effect when *unified* is given
    :param unified: Keystone's limits (``use_keystone_limits``), or None
    """

    def __init__(self, *, members: int = 128, properties: int = 128, tags: int = 128, locations: int = 10,
                 storage: int | None = None, unified: UnifiedLimits | None = None):
        self.most_members = _limit(members)
        self.most_properties = _limit(properties)
        self.most_tags = _limit(tags)
        self.most_locations = _limit(locations)
        self._storage = storage
        self._unified = unified

    def check_tags(self, count: int, before: int = 0) -> None:
        """An image is to have *count* tags; fewer than *before* is always allowed.

        :raises QuotaExceeded: more than ``image_tag_quota``
        """
        _check('image tags', count, before, self.most_tags)

    def check_properties(self, count: int, before: int = 0) -> None:
        """As ``check_tags`` for properties; those of the service itself (``os_glance``) are not counted."""
        _check('image properties', count, before, self.most_properties)

    def check_members(self, count: int, before: int = 0) -> None:
        """As ``check_tags`` for members."""
        _check('image members', count, before, self.most_members)

    def check_locations(self, count: int, before: int = 0) -> None:
        """As ``check_tags`` for locations."""
        _check('image locations', count, before, self.most_locations)

    def check_new_image(self, ctx: RequestContext, owner: str | None = None) -> None:
        """One more image record for *owner*, or for the caller's project.

        :raises QuotaExceeded: more than ``image_count_total``
        :raises ServiceUnavailable: Keystone does not answer
        """
        self._enforce(owner or ctx.project_id, {COUNT_TOTAL: 1})

    def check_new_upload(self, ctx: RequestContext, owner: str | None = None) -> None:
        """One more upload into an image of *owner*, or of the caller's project.

        :raises QuotaExceeded: more than ``image_count_uploading``
        :raises ServiceUnavailable: Keystone does not answer
        """
        self._enforce(owner or ctx.project_id, {COUNT_UPLOADING: 1})

    def check_new_staged(self, ctx: RequestContext, owner: str | None, size: int) -> None:
        """*size* more bytes in staging for *owner*, or for the caller's project.

        :raises QuotaExceeded: more than ``image_stage_total``
        :raises ServiceUnavailable: Keystone does not answer
        """
        self._enforce(owner or ctx.project_id, {STAGE_TOTAL: -(-size // MIB)})

    def storage_limit(self, ctx: RequestContext, owner: str | None) -> int | None:
        """Bytes that *owner* may store in total, or None for no limit; ``DbDriver.upload_reserve`` holds to it.

        :raises ServiceUnavailable: Keystone does not answer
        """
        if self._unified is None:
            return self._storage
        if not owner:
            return None
        limit, _ = self._unified.of(owner)[SIZE_TOTAL]
        return None if limit < 0 else limit * MIB

    def usage(self, ctx: RequestContext) -> dict[str, dict[str, int]]:
        """The caller's project in the form of ``GET /v2/info/usage``; empty without unified limits.

        :raises ServiceUnavailable: Keystone does not answer
        """
        if self._unified is None or not ctx.project_id:
            return {}
        held = self._unified.of(ctx.project_id)
        return {name: {'usage': usage, 'limit': limit} for name, (limit, usage) in held.items()}

    def _enforce(self, project_id: str | None, deltas: Mapping[str, int]) -> None:
        if self._unified is not None and project_id:
            self._unified.enforce(project_id, deltas)


def _limit(configured: int) -> int | None:
    return None if configured < 0 else configured


def _check(resource: str, count: int, before: int, limit: int | None) -> None:
    if limit is not None and count > limit and count > before:
        raise errors.QuotaExceeded(resource=resource, limit=limit, wanted=count)
