"""Images: make, read, list, change, delete, deactivate, tag.

Every method calls what it needs by name and in this order: policy, protections, quotas, database, notification.
Images that go out lack the properties that the caller may not read; what is stored is never written back whole.

Who loses a race reads again. A change is repeated on the newer image as long as nothing that it touches has
changed meanwhile; if something has, the caller is told (409) instead of overwriting it.
"""

from __future__ import annotations

import dataclasses
import logging
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from glancelike import context, errors
from glancelike.context import RequestContext
from glancelike.core import access, attributes, bounds
from glancelike.core.location_patch import LocationEdits, Plan
from glancelike.core.locations import LocationService
from glancelike.core.pages import ImagePage, Pages
from glancelike.core.protections import Protections
from glancelike.core.query import ListRequest
from glancelike.core.quotas import Quotas
from glancelike.db_drivers.base import DbDriver
from glancelike.model.image import ACTIVE, DEACTIVATED, QUEUED, UPLOADING, Image, ImageChanges
from glancelike.notifications import events

if TYPE_CHECKING:
    from glancelike.notifications.notifier import Notifier
    from glancelike.policies.enforcer import Enforcer

LOG = logging.getLogger(__name__)

#: How often a change is tried on an image that others keep changing.
TRIES = 10


class ImageService:
    """The rules of image records.

    :param disk_formats: what ``disk_format`` may be (``[image_format] disk_formats``); *container_formats* likewise
    :param count_limit: a list's total is counted up to this many images
    """

    def __init__(self, db: DbDriver, enforcer: Enforcer, protections: Protections, quotas: Quotas,
                 locations: LocationService, notifier: Notifier, *, disk_formats: Collection[str],
                 container_formats: Collection[str], count_limit: int = 10_000):
        self._db = db
        self._enforcer = enforcer
        self._protections = protections
        self._quotas = quotas
        self._locations = locations
        self._notifier = notifier
        self._disk_formats = disk_formats
        self._container_formats = container_formats
        self._pages = Pages(db, enforcer, protections, count_limit)

    # --- make, read, list ------------------------------------------------------------------------------------

    def create(self, ctx: RequestContext, image_id: str | None = None,
               attributes: Mapping[str, Any] | None = None, properties: Mapping[str, Any] | None = None,
               tags: Iterable[str] = ()) -> Image:
        """A new image record, ``queued``.

        :param image_id: a UUID that the client chose, or None
        :param attributes: subset of ``core.attributes.SETTABLE``; ``owner`` is the caller's project by default and
            another one for administrators only
        :raises Invalid: a value of the wrong kind or size
        :raises ReservedAttribute: a name that a caller may not set
        :raises Forbidden: a policy (``add_image``, ``publicize_image``, ``communitize_image``) or a rule refuses
        :raises ProtectedProperty: the caller may not create one of the properties
        :raises QuotaExceeded: too many tags, properties or images
        :raises ImageExists: the id is taken
        """
        access.writable(ctx)
        image = self._new(ctx, image_id, attributes or {}, properties or {}, tags)
        self._enforcer.check(ctx, 'add_image', image)
        self._check_visibility(ctx, image, image.visibility)
        self._protections.check_create(ctx, image.properties)
        self._quotas.check_tags(len(image.tags))
        self._quotas.check_properties(len(image.properties))
        self._quotas.check_new_image(ctx, image.owner)
        created = self._db.image_create(ctx, image)
        self._notifier.send(ctx, events.image_create(created))
        return self._protections.readable(ctx, created)

    def _new(self, ctx: RequestContext, image_id: str | None, given: Mapping[str, Any],
             properties: Mapping[str, Any], tags: Iterable[str]) -> Image:
        if ctx.project_id is None and not ctx.is_admin:
            raise errors.Forbidden('Images are made in a project; your credentials name none.')
        checked = attributes.checked(given, self._disk_formats, self._container_formats)
        checked.setdefault('owner', ctx.project_id)
        if checked['owner'] != ctx.project_id and not ctx.is_admin:
            raise errors.Forbidden('Only an administrator may make an image for another project.')
        return Image(id=str(uuid.uuid4()) if image_id is None else attributes.image_id(image_id), status=QUEUED,
                     properties=attributes.checked_properties(properties), tags=attributes.checked_tags(tags),
                     **checked)

    def get(self, ctx: RequestContext, image_id: str) -> Image:
        """:raises ImageNotFound: absent, deleted, or not visible to the caller."""
        if not access.possible_id(image_id):
            raise errors.ImageNotFound(image_id=image_id)
        image = self._db.image_get(ctx, image_id)
        access.check(self._enforcer, ctx, 'get_image', image)
        return self._protections.readable(ctx, image)

    def list(self, ctx: RequestContext, request: ListRequest) -> ImagePage:
        """One page of what the caller sees.

        :raises Forbidden: the policy ``get_images`` refuses
        :raises InvalidMarker: the marker is no image that the caller sees
        """
        self._enforcer.check(ctx, 'get_images')
        return self._pages.page(ctx, request)

    # --- change ----------------------------------------------------------------------------------------------

    def patch(self, ctx: RequestContext, image_id: str, build: Callable[[Image], ImageChanges],
              if_version: int | None = None, edits: LocationEdits | None = None) -> Image:
        """Change the image.

        :param build: what to change, made from the image as the caller sees it; called again when somebody else
            was faster, so it must be a function of its argument. No changes: nothing is written.
        :param if_version: the only version that may be changed, or None for any
        :param edits: of the locations, done or not done together with the rest; their errors: ``LocationEdits.plan``
        :raises PreconditionFailed: *if_version* is given and the image is at another
        :raises VersionConflict: what is to be changed was changed by somebody else in between
        :raises ImageNotFound, Forbidden: absent or not visible; a policy or a rule refuses
        :raises Invalid, ReservedAttribute, ProtectedProperty, PropertyMissing, QuotaExceeded: as ``create``, and
            what *build* raises
        """
        access.writable(ctx)
        first = None
        for image in self._readings(ctx, image_id, 'modify_image', if_version):
            changes = build(self._protections.readable(ctx, image))
            if not changes and not edits:
                return self._protections.readable(ctx, image)
            first = first or image
            if not _untouched(first, image, changes) or (edits and first.locations != image.locations):
                raise errors.VersionConflict(image_id=image_id)
            changes = self._checked(ctx, image, changes)
            plan = edits.plan(ctx, image, changes) if edits else None
            updated = self._write(ctx, image, changes, plan)
            if updated is not None:
                self._notifier.send(ctx, events.image_update(updated))
                if edits and plan is not None:
                    updated = self._after_edits(ctx, image, updated, edits, plan)
                return self._protections.readable(ctx, updated)
        raise errors.VersionConflict(image_id=image_id)

    def _readings(self, ctx: RequestContext, image_id: str, rule: str,
                  if_version: int | None = None) -> Iterator[Image]:
        """The image as it is now, checked against *rule*; read again each time that the caller comes back,
        which it does when somebody else was faster."""
        for _ in range(TRIES):
            image = access.image(self._db, self._enforcer, ctx, image_id, rule)
            if if_version is not None and image.version != if_version:
                raise errors.PreconditionFailed(image_id=image_id)
            yield image

    def _after_edits(self, ctx: RequestContext, before: Image, updated: Image, edits: LocationEdits,
                     plan: Plan) -> Image:
        """Remove the bytes that the image has given up; the image as it is then."""
        if before.status == QUEUED:
            self._notifier.send(ctx, events.image_activate(updated))
        for location in plan.removed:
            edits.erase(updated.id, location)
        try:
            return self._db.image_get(ctx, updated.id) if plan.removed else updated  # the claim has made a new version
        except (errors.ImageNotFound, errors.DatabaseUnavailable):
            return updated

    def _write(self, ctx: RequestContext, image: Image, changes: ImageChanges,
               plan: Plan | None = None) -> Image | None:
        """The changed image, or None when the row is no longer what *image* says."""
        try:
            if plan is not None:
                return self._db.locations_set(ctx, image.id, plan.locations, plan.changes, from_status=image.status,
                                              if_version=image.version)
            return self._db.image_update(ctx, image.id, changes, from_status=image.status, if_version=image.version)
        except (errors.VersionConflict, errors.StatusConflict):
            return None

    def _checked(self, ctx: RequestContext, image: Image, changes: ImageChanges) -> ImageChanges:
        """The changes as they are stored, after every rule about *image* was asked."""
        checked = attributes.checked(changes.attributes, self._disk_formats, self._container_formats)
        if 'owner' in checked and not ctx.is_admin:
            raise errors.Forbidden('Only an administrator may change the owner of an image.')
        for name in ('disk_format', 'container_format'):
            # Not while an import is under way: it has begun to look for the formats that were declared then.
            if name in checked and image.status not in (QUEUED, UPLOADING):
                raise errors.Forbidden(f'{name} can be changed only while the image is queued, or its data are staged '
                                       f'and not yet imported; it is {image.status}.')
        if 'visibility' in checked:
            self._check_visibility(ctx, image, checked['visibility'])
        properties = attributes.checked_properties(changes.set_properties)
        tags = None if changes.tags is None else attributes.checked_tags(changes.tags)
        changes = dataclasses.replace(changes, attributes=checked, set_properties=properties, tags=tags)
        self._protections.check_changes(ctx, image, changes)
        self._check_counts(ctx, image, changes)
        return changes

    def _check_visibility(self, ctx: RequestContext, image: Image, wanted: str) -> None:
        if wanted == 'public':
            self._enforcer.check(ctx, 'publicize_image', image)
        elif wanted == 'community':
            self._enforcer.check(ctx, 'communitize_image', image)

    def _check_counts(self, ctx: RequestContext, image: Image, changes: ImageChanges) -> None:
        """Only what the caller may read is counted: the number in the message must not tell of the rest."""
        if changes.tags is not None:
            self._quotas.check_tags(len(changes.tags), len(image.tags))
        before = {name for name in self._protections.readable(ctx, image).properties
                  if not name.startswith(attributes.SERVICE_PREFIX)}
        after = (before | changes.set_properties.keys()) - changes.remove_properties
        self._quotas.check_properties(len(after), len(before))

    # --- delete ----------------------------------------------------------------------------------------------

    def delete(self, ctx: RequestContext, image_id: str, if_version: int | None = None) -> None:
        """Delete the image and its bytes.

        The row goes first, so that nobody starts to read what is about to vanish; when the store refuses, the row
        comes back. A crash in between leaves rows for recovery (``DbDriver.locations_pending_delete``), which
        removes the bytes; those of an upload in flight are removed by the uploader or by recovery.

        :raises ImageNotFound, Forbidden: absent or not visible; the policy ``delete_image`` refuses
        :raises ProtectedImage: ``protected`` is set
        :raises PreconditionFailed: *if_version* is given and the image is at another
        :raises Conflict: a store says that something depends on the bytes; the image stays
        :raises StoreUnavailable, StoreError: a store does not answer or refuses; the image stays
        """
        access.writable(ctx)
        for image in self._readings(ctx, image_id, 'delete_image', if_version):
            if image.protected:
                raise errors.ProtectedImage(image_id=image_id)
            try:
                deleted = self._db.image_delete(ctx, image_id, from_status=image.status, if_version=if_version)
            except (errors.StatusConflict, errors.VersionConflict):
                continue
            self._erase(ctx, deleted, image.status)
            self._notifier.send(ctx, events.image_delete(deleted))
            return
        raise errors.VersionConflict(image_id=image_id)

    def withdraw(self, ctx: RequestContext, image_id: str) -> None:
        """Remove a queued image that the service itself has made for a request that then could not be done.

        Neither ``protected`` nor a policy keeps it: to the caller it was never there.

        :raises ImageNotFound, StatusConflict, VersionConflict: somebody has deleted or used it meanwhile
        """
        ours = context.internal('withdraw')
        image = self._db.image_update(ours, image_id, ImageChanges({'protected': False}), from_status=QUEUED)
        deleted = self._db.image_delete(ours, image_id, from_status=QUEUED, if_version=image.version)
        self._notifier.send(ctx, events.image_delete(deleted))

    def _erase(self, ctx: RequestContext, deleted: Image, status: str) -> None:
        """Remove the bytes, or put the image back into *status* and pass on why it could not be done."""
        try:
            self._locations.erase(deleted.id, deleted.locations)
        except Exception as error:
            try:
                self._db.image_restore(ctx, deleted.id, status)
            except errors.ImageNotFound:
                return  # recovery removed the bytes meanwhile
            except errors.GlanceError:
                LOG.exception('Image %s could not be put back after its deletion failed; recovery will go on '
                              'with the deletion', deleted.id)
            if isinstance(error, errors.ObjectInUse):
                raise errors.Conflict(reason=f'Image {deleted.id} could not be deleted because it is in use: '
                                             f'{error}') from error
            raise

    # --- deactivate, reactivate --------------------------------------------------------------------------------

    def deactivate(self, ctx: RequestContext, image_id: str) -> None:
        """Keep the data of an active image from being downloaded; again is no error.

        :raises Forbidden: the policy refuses, or the image is neither active nor deactivated
        """
        self._move(ctx, image_id, 'deactivate', ACTIVE, DEACTIVATED)

    def reactivate(self, ctx: RequestContext, image_id: str) -> None:
        """Let the data be downloaded again; errors as ``deactivate``."""
        self._move(ctx, image_id, 'reactivate', DEACTIVATED, ACTIVE)

    def _move(self, ctx: RequestContext, image_id: str, rule: str, source: str, target: str) -> None:
        access.writable(ctx)
        for image in self._readings(ctx, image_id, rule):
            if image.status == target:
                return
            if image.status != source:
                raise errors.Forbidden(f'Image {image_id} is {image.status}; to {rule} it, it must be {source}.')
            updated = self._write(ctx, image, ImageChanges({'status': target}))
            if updated is not None:
                self._notifier.send(ctx, events.image_update(updated))
                return
        raise errors.VersionConflict(image_id=image_id)

    # --- tags ------------------------------------------------------------------------------------------------

    def tag_add(self, ctx: RequestContext, image_id: str, tag: str) -> None:
        """Give the image a tag; one that it has already changes nothing.

        :raises Invalid: more than 255 characters, or cannot be stored
        :raises ImageNotFound, Forbidden, QuotaExceeded: as their names say
        """
        access.writable(ctx)
        image = access.image(self._db, self._enforcer, ctx, image_id, 'modify_image')
        bounds.text('A tag', tag)
        if tag in image.tags:
            return
        self._db.tag_add(ctx, image_id, tag, at_most=self._quotas.most_tags)
        self._tell_of_update(ctx, image_id)

    def tag_remove(self, ctx: RequestContext, image_id: str, tag: str) -> None:
        """:raises TagNotFound, ImageNotFound, Forbidden: as their names say."""
        access.writable(ctx)
        image = access.image(self._db, self._enforcer, ctx, image_id, 'modify_image')
        if tag not in image.tags:
            raise errors.TagNotFound(image_id=image_id, tag=tag)
        self._db.tag_remove(ctx, image_id, tag)
        self._tell_of_update(ctx, image_id)

    def _tell_of_update(self, ctx: RequestContext, image_id: str) -> None:
        try:
            image = self._db.image_get(ctx, image_id)
        except errors.GlanceError:
            return  # deleted in the meantime, and told so; or the database went away after the change was made
        self._notifier.send(ctx, events.image_update(image))


def _untouched(before: Image, now: Image, changes: ImageChanges) -> bool:
    """Is everything that *changes* names the same in both?"""
    names = changes.set_properties.keys() | changes.remove_properties
    return (all(getattr(before, name, None) == getattr(now, name, None) for name in changes.attributes)
            and all(before.properties.get(name) == now.properties.get(name) for name in names)
            and (changes.tags is None or before.tags == now.tags))
