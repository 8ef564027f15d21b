"""Database drivers with one fault each, in images and tags."""

from __future__ import annotations

import dataclasses
import time

from glancelike.db_drivers.simple.driver import SimpleDriver
from glancelike.plugin import errors

#: Long enough for the other threads of a race to come by, so that a fault in a race shows every time.
TURN_SECONDS = 0.02


class ForgetsVisibilityDriver(SimpleDriver):
    """Gives a private image to whoever knows its id."""

    def image_get(self, ctx, image_id):
        with self._lock:
            return self._live(image_id).value()


class RejectedReadsDriver(SimpleDriver):
    """Lets a member read the image that it has rejected."""

    def image_get(self, ctx, image_id):
        with self._lock:
            row = self._live(image_id)
            if ctx.project_id in row.members and row.image.visibility == 'shared':
                return row.value()
            return super().image_get(ctx, image_id)


class ReusesIdsDriver(SimpleDriver):
    """Takes the id of a deleted image for a new one."""

    def image_create(self, ctx, image):
        with self._lock:
            row = self._rows.get(image.id)
            if row is not None and row.image.deleted:
                del self._rows[image.id]
            return super().image_create(ctx, image)


class OverwritesPropertiesDriver(SimpleDriver):
    """Takes the properties that a change names for all that the image shall have."""

    def image_update(self, ctx, image_id, changes, **expected):
        with self._lock:
            row = self._live(image_id)
            if changes.set_properties:
                kept = dict.fromkeys(row.properties)
                changes = dataclasses.replace(changes, remove_properties=changes.remove_properties
                                              | (kept.keys() - changes.set_properties.keys()))
            return super().image_update(ctx, image_id, changes, **expected)


class TwoWinnersDriver(SimpleDriver):
    """Looks at the status and the version first, and writes later without looking again."""

    def image_update(self, ctx, image_id, changes, *, from_status=None, if_version=None):
        if from_status is not None or if_version is not None:
            with self._lock:
                self._writable(ctx, image_id, from_status, if_version)
            time.sleep(TURN_SECONDS)
        return super().image_update(ctx, image_id, changes)


class KeepsSizeDriver(SimpleDriver):
    """Takes None for "not given", so that nothing can be cleared."""

    def image_update(self, ctx, image_id, changes, **expected):
        given = {name: value for name, value in changes.attributes.items() if value is not None}
        return super().image_update(ctx, image_id, dataclasses.replace(changes, attributes=given), **expected)


class DeletesProtectedDriver(SimpleDriver):
    """Lets an administrator delete a protected image."""

    def image_delete(self, ctx, image_id, **expected):
        with self._lock:
            row = self._readable(ctx, image_id)
            if ctx.is_admin:
                row.image = dataclasses.replace(row.image, protected=False)
            return super().image_delete(ctx, image_id, **expected)


class DeleteForgetsLocationsDriver(SimpleDriver):
    """Deletes an image and never tells where its bytes were."""

    def locations_pending_delete(self, older_than_seconds, limit=100):
        return []


class RestoresWithoutTagsDriver(SimpleDriver):
    """Removes the tags of a deleted image at once."""

    def image_delete(self, ctx, image_id, **expected):
        with self._lock:
            deleted = super().image_delete(ctx, image_id, **expected)
            self._rows[image_id].tags.clear()
            return deleted


class TagsLeaveVersionDriver(SimpleDriver):
    """Adds a tag without a new version, so that a lost update goes unseen."""

    def tag_add(self, ctx, image_id, tag, *, at_most=None):
        with self._lock:
            before = self._readable(ctx, image_id).image
            super().tag_add(ctx, image_id, tag, at_most=at_most)
            self._rows[image_id].image = before


class OneTagTooManyDriver(SimpleDriver):
    """Counts the tags first and adds one later."""

    def tag_add(self, ctx, image_id, tag, *, at_most=None):
        with self._lock:
            row = self._readable(ctx, image_id)
            if tag not in row.tags and at_most is not None and len(row.tags) >= at_most:
                raise errors.QuotaExceeded(resource='tags', limit=at_most, wanted=len(row.tags) + 1)
        if at_most is not None:
            time.sleep(TURN_SECONDS)
        super().tag_add(ctx, image_id, tag)


class LiveValuesDriver(SimpleDriver):
    """Hands out the very dictionary that it keeps."""

    def image_get(self, ctx, image_id):
        with self._lock:
            row = self._readable(ctx, image_id)
            return dataclasses.replace(row.value(), properties=row.properties)


class CutsTextDriver(SimpleDriver):
    """Keeps the first 191 characters of a name, as an old index of four bytes a character made one do."""

    def image_create(self, ctx, image):
        return super().image_create(ctx, dataclasses.replace(image, name=image.name and image.name[:191]))


class SecondsOnlyDriver(SimpleDriver):
    """Keeps times by the second."""

    def image_create(self, ctx, image):
        with self._lock:
            super().image_create(ctx, image)
            row = self._rows[image.id]
            moment = row.image.created_at.replace(microsecond=0)
            row.image = dataclasses.replace(row.image, created_at=moment, updated_at=moment)
            return row.value()
