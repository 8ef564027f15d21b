"""Locations as callers set, see and remove them; their data are hashed afterwards, by a task (``location_hashing.py``).

How an image comes by its first location (``add``), by what is configured and announced:

==================  =================  ===============================================================================
``do_secure_hash``  announced hash     what happens
==================  =================  ===============================================================================
true                yes                ``importing``; hashed and compared by a task; then ``active``, else ``queued``
true                no                 ``active`` at once, hashed by a task (a store that cannot tell the length of the
                                       data: as above)
false               yes                ``active`` at once, with what is announced, which nobody has verified
false               no                 ``active`` at once, without a hash
==================  =================  ===============================================================================

An announced hash becomes the image's, in the algorithm announced. Each way leaves a task: clients wait for its success.

The task has the image by its Upload, as every import has: until it ended nobody else changes the locations.
"""

from __future__ import annotations

import dataclasses
import logging
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from glancelike import context, errors
from glancelike.context import RequestContext
from glancelike.core import access, endings
from glancelike.core.imports import Executor
from glancelike.core.leases import Leases
from glancelike.core.location_patch import Edit, LocationEdits
from glancelike.core.location_rules import Announced, LocationRules
from glancelike.core.locations import LocationService
from glancelike.core.quotas import Quotas
from glancelike.db_drivers.base import DbDriver
from glancelike.model import task as tasks
from glancelike.model.image import ACTIVE, DEACTIVATED, IMPORTING, QUEUED, Image, ImageChanges, Location
from glancelike.model.task import Task
from glancelike.model.upload import Upload
from glancelike.notifications import events
from glancelike.store_drivers.checked import DOWN
from glancelike.store_drivers.stores import Stores

if TYPE_CHECKING:
    from glancelike.core.endings import Endings
    from glancelike.notifications.notifier import Notifier
    from glancelike.policies.enforcer import Enforcer

LOG = logging.getLogger(__name__)

#: What ``Upload.store`` says of a task that stores nothing: recovery finds nothing to clear.
NO_STORE = ''
#: How often a row is written that others keep changing.
TRIES = 10


class ImageLocationService:
    """The rules of setting, listing and removing locations.

    :param hashes: ``do_secure_hash``
    :param algorithm: ``hashing_algorithm``
    :param several_stores: stores have ids that mean something to users (``enabled_backends``)
    """

    def __init__(self, *, db: DbDriver, stores: Stores, enforcer: Enforcer, quotas: Quotas, leases: Leases,
                 rules: LocationRules, locations: LocationService, endings: Endings, executor: Executor,
                 notifier: Notifier, hashes: bool = True, algorithm: str = 'sha512', several_stores: bool = False):
        self._db = db
        self._stores = stores
        self._enforcer = enforcer
        self._quotas = quotas
        self._leases = leases
        self._rules = rules
        self._locations = locations
        self._endings = endings
        self._executor = executor
        self._notifier = notifier
        self._hashes = hashes
        self._algorithm = algorithm
        self._several_stores = several_stores

    def edits(self, edits: Sequence[Edit]) -> LocationEdits:
        """Edits for ``ImageService.patch``."""
        return LocationEdits(self._rules, self._enforcer, self._quotas, self._algorithm, edits, self._erase)

    def list(self, ctx: RequestContext, image_id: str) -> Sequence[Location]:
        """The locations of an image, as they are stored; none of a deactivated image but for administrators.

        :raises ImageNotFound, Forbidden: absent, not visible; the policy ``fetch_image_location`` refuses
        """
        image = access.image(self._db, self._enforcer, ctx, image_id, 'fetch_image_location')
        return () if image.status == DEACTIVATED and not ctx.is_admin else image.locations

    # --- add ------------------------------------------------------------------------------------------------------

    def add(self, ctx: RequestContext, image_id: str, url: str, announced: Announced | None = None) -> None:
        """Give a queued image its data by telling where they are; see the table above.

        :raises ImageNotFound, Forbidden, ReadOnlyContext: absent, not visible; the policy ``add_image_location``
            refuses; a store other than web servers, and the caller is no service
        :raises StatusConflict: the image is not queued, or something else has it
        :raises FormatsMissing, BadLocation, Invalid: the formats of the image are not set, the URL cannot be a
            location, what is announced is no hash
        :raises QuotaExceeded, ImageTooLarge, UnsafeImage: what is there must not become this image
        :raises StoreUnavailable, DatabaseUnavailable: as their names say
        """
        access.writable(ctx)
        image = access.image(self._db, self._enforcer, ctx, image_id, 'add_image_location')
        _check_ready(image)
        flaw = announced.flaw() if announced is not None else None
        if flaw:
            raise errors.Invalid(reason=flaw)
        place = self._rules.place(image.id, url, {},
                                  web_only=not self._enforcer.allowed(ctx, 'service_api', image))
        self._quotas.check_locations(len(image.locations) + 1, len(image.locations))
        size = self._rules.look(place, image, image.disk_format or '', image.container_format or '')
        self._rules.check_room(ctx, image, size or 0)
        if self._hashes:
            self._hash_later(ctx, image, place, size, announced)
        else:
            self._set_at_once(ctx, image, place, size, announced)

    def _set_at_once(self, ctx: RequestContext, image: Image, place: Location, size: int | None,
                     announced: Announced | None) -> None:
        if size is None:
            raise errors.BadLocation(reason='The location cannot be used: its server does not tell how long the data '
                                            'are.')
        known = announced.attributes() if announced is not None else {}
        changes = ImageChanges({'status': ACTIVE, 'size': size, **known})
        updated = self._db.locations_set(ctx, image.id, [*image.locations, place], changes, from_status=QUEUED)
        self._tell_active(ctx, updated)
        # Clients of Glance look for a task in any case.
        done = dataclasses.replace(self._new_task(ctx, image, place, size, announced), status=tasks.SUCCESS,
                                   result={'image_id': image.id})
        try:
            self._db.task_create(ctx, self._endings.expiring(done))
        except errors.DatabaseUnavailable as error:  # the image has its location, that is what was asked for
            LOG.warning('The task that set the location of image %s is not recorded: %s', image.id, error)

    def _hash_later(self, ctx: RequestContext, image: Image, place: Location, size: int | None,
                    announced: Announced | None) -> None:
        self._quotas.check_new_upload(ctx, image.owner)
        task = self._new_task(ctx, image, place, size, announced)
        upload = Upload(id=str(uuid.uuid4()), image_id=image.id, node=self._executor.holder(), store=NO_STORE,
                        owner=image.owner, reserved=size or 0, task_id=task.id)
        at_once = announced is None and size is not None
        try:
            self._db.upload_begin(ctx, upload, to_status=IMPORTING, task=task)
            self._endings.tell_created(ctx, task)
            if at_once:
                updated = self._db.upload_finish(
                    ctx, upload.id, ImageChanges({'status': ACTIVE, 'size': size, 'os_hash_algo': self._algorithm}),
                    [place], from_status=IMPORTING, ends=False)
                self._tell_active(ctx, updated)
        except errors.DatabaseUnavailable:
            self._leases.abandon(upload.id)  # it may have been committed all the same: then it is done later
            raise
        self._executor.post(task, upload)

    @staticmethod
    def _new_task(ctx: RequestContext, image: Image, place: Location, size: int | None,
                  announced: Announced | None) -> Task:
        shown = {} if announced is None else {'os_hash_algo': announced.algorithm, 'os_hash_value': announced.value}
        waited_for = announced is not None or size is None
        return Task(
            id=str(uuid.uuid4()), type=tasks.LOCATION_IMPORT, owner=ctx.project_id or image.owner, user_id=ctx.user_id,
            request_id=ctx.request_id, image_id=image.id,
            input={'image_id': image.id, 'validation_data': shown},  # not the URL: whoever sees tasks need not see it
            caller={**endings.caller_of(ctx), 'back_to': QUEUED, 'announced': shown, 'size': size,
                    'failed_stores': [place.store] if waited_for else [],
                    'location': {'url': place.url, 'store': place.store, 'metadata': dict(place.metadata)}})

    def _tell_active(self, ctx: RequestContext, image: Image) -> None:
        self._notifier.send(ctx, events.image_update(image))
        self._notifier.send(ctx, events.image_activate(image))

    # --- remove ---------------------------------------------------------------------------------------------------

    def remove_from_store(self, ctx: RequestContext, store_id: str, image_id: str) -> None:
        """Remove the copies that an active image has in one store.

        The row goes first, then the bytes: what cannot be removed now is removed by recovery.

        :raises ResourceNotFound: there is a single store, no such store, or the image has nothing there
        :raises ImageNotFound, Forbidden, ReadOnlyContext: absent, not visible; the policies ``get_image_location`` and
            ``delete_image_location``; it is the only copy
        :raises Conflict: the image is not active, something else has it, or the store says that the data are in use
        :raises StoreUnavailable, DatabaseUnavailable: as their names say; nothing was done
        """
        access.writable(ctx)
        if not self._several_stores:
            raise errors.ResourceNotFound('The service has a single store; its copy of an image goes with the image.')
        image = access.image(self._db, self._enforcer, ctx, image_id, 'get_image_location')
        access.check(self._enforcer, ctx, 'delete_image_location', image)
        try:
            store = self._stores.get(store_id)
        except errors.UnknownStore as error:
            raise errors.ResourceNotFound(str(error)) from error
        if image.status != ACTIVE:
            raise errors.StatusConflict(image_id=image.id, status=image.status, wanted=ACTIVE)
        gone = [place for place in image.locations if place.store == store.id]
        if not gone:
            raise errors.ResourceNotFound(f'Image {image.id} has no data in store {store.id}.')
        if len(gone) == len(image.locations):
            raise errors.Forbidden(f'Store {store.id} has the only copy of image {image.id}, which cannot be removed.')
        if store.state == DOWN:
            raise errors.StoreUnavailable(store=store.id)
        left = [place for place in image.locations if place not in gone]
        updated = self._db.locations_set(ctx, image.id, left, from_status=ACTIVE, if_version=image.version)
        for place in gone:
            try:
                self._erase(image.id, place, in_use_matters=True)
            except errors.ObjectInUse as error:
                self._put_back(image.id, place)
                raise errors.Conflict(reason=f'The copy of image {image.id} in store {store.id} is in use and stays.'
                                      ) from error
        self._notifier.send(ctx, events.image_update(updated))

    def _erase(self, image_id: str, place: Location, *, in_use_matters: bool = False) -> None:
        """Remove the bytes of a location that its image has given up; what cannot go now goes with recovery.

        :raises ObjectInUse: *in_use_matters*, and something depends on the bytes
        """
        try:
            self._locations.erase_unclaimed(image_id, place, self._leases.node.name)
        except (errors.StoreError, errors.DatabaseUnavailable) as error:
            if in_use_matters and isinstance(error, errors.ObjectInUse):
                raise
            LOG.warning('A copy of image %s stays in store %s until recovery can remove it: %s', image_id, place.store,
                        error)

    def _put_back(self, image_id: str, place: Location) -> None:
        """The image has the copy again. The new row goes first: from then on recovery leaves the bytes alone."""
        ctx = context.internal('locations')
        for _ in range(TRIES):
            image = self._db.image_get(ctx, image_id)
            new = Location(place.url, place.store, place.metadata)
            try:
                self._db.locations_set(ctx, image_id, [*image.locations, new], from_status=image.status,
                                       if_version=image.version)
            except errors.VersionConflict:
                continue
            if place.id is not None:
                self._db.location_forget(place.id)
            return


def _check_ready(image: Image) -> None:
    if image.status != QUEUED:
        raise errors.StatusConflict(image_id=image.id, status=image.status, wanted=QUEUED)
    missing = [name for name in ('disk_format', 'container_format') if not getattr(image, name)]
    if missing:
        raise errors.FormatsMissing(missing=' and '.join(missing))
