"""How a task that has an image ends: rows first, in one transaction; then bytes, which recovery removes otherwise."""

from __future__ import annotations

import dataclasses
import datetime
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.core.locations import LocationService
from glancelike.db_drivers.base import DbDriver
from glancelike.model import task as tasks
from glancelike.model.image import IMPORTING, QUEUED, Image, ImageChanges, ImportState, Location
from glancelike.model.task import Task, TaskChanges
from glancelike.notifications import events

if TYPE_CHECKING:
    from glancelike.notifications.notifier import Notifier

LOG = logging.getLogger(__name__)


def caller_of(ctx: RequestContext) -> dict[str, Any]:
    """What of the caller a task keeps."""
    return {'user_id': ctx.user_id, 'project_id': ctx.project_id, 'roles': sorted(ctx.roles),
            'is_admin': ctx.is_admin}


def context_of(task: Task) -> RequestContext:
    """The caller of a task, as notifications name it; without a token."""
    return RequestContext(user_id=task.user_id, project_id=task.caller.get('project_id'),
                          roles=frozenset(task.caller.get('roles', ())),
                          is_admin=bool(task.caller.get('is_admin')), request_id=task.request_id or 'req-none')


class Endings:
    """Ends tasks.

    :param keep_seconds: how long a finished task can still be seen
    """

    def __init__(self, db: DbDriver, locations: LocationService, notifier: Notifier, keep_seconds: float = 48 * 3600):
        self._db = db
        self._locations = locations
        self._notifier = notifier
        self.keep_seconds = keep_seconds

    def expiring(self, task: Task) -> Task:
        """A finished task to be created, with the time until which it can be seen."""
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=self.keep_seconds)
        return dataclasses.replace(task, expires_at=end)

    def tell_created(self, ctx: RequestContext, task: Task) -> None:
        """Notify that the task was made."""
        self._notifier.send(ctx, events.task_create(task))

    def tell_stored(self, task: Task, image: Image, stores: Sequence[str | None], *, activated: bool) -> None:
        """Notify that stores have the image's data, and that it can be used from now on."""
        for store in stores:
            self._notifier.send(context_of(task), events.image_upload(image, store))
        if activated and stores:
            self._notifier.send(context_of(task), events.image_activate(image))

    def succeed(self, upload_id: str, task: Task, changes: ImageChanges, locations: Sequence[Location],
                from_status: str, message: str = '') -> Image:
        """End the task's lease with success; the image then has the changes and the locations.

        :raises StatusConflict, ImageGone, DatabaseUnavailable: as ``DbDriver.upload_finish``; nothing was done, or in
            the last case perhaps
        """
        ended = TaskChanges({'status': tasks.SUCCESS, 'result': {'image_id': task.image_id}, 'message': message,
                             'step': ''}, self.keep_seconds)
        staged = self._db.location_staged(task.image_id)
        image = self._db.upload_finish(context_of(task), upload_id, changes, locations, from_status=from_status,
                                       task=ended)
        self._notifier.send(context_of(task), events.task_ended(task, tasks.SUCCESS, message))
        self.tell_stored(task, image, [one.store for one in locations], activated=from_status == IMPORTING)
        if staged is not None:  # nobody can stage again: the image has its data
            try:
                self._locations.erase_one(image.id, staged)
            except errors.GlanceError as error:
                LOG.warning('Staged data of image %s stay for recovery: %s', image.id, error)
        return image

    def fail(self, upload_id: str, task: Task, message: str, failed_stores: Sequence[str] = ()) -> bool:
        """End the task's lease, which must be ours, with failure: the image goes back to where it was, what was staged
        goes, before anybody can stage again.

        :returns: False when the lease was not ours any more: somebody else ends the task
        :raises DatabaseUnavailable: perhaps it was done
        """
        if not self._db.upload_heartbeat(upload_id):
            return False
        erased = self._staged_erased(task.image_id)
        ended = TaskChanges({'status': tasks.FAILURE, 'message': message, 'step': ''}, self.keep_seconds)
        back_to = task.caller.get('back_to', QUEUED)
        state = ImportState(failed=tuple(failed_stores) or tuple(task.caller.get('failed_stores', ())))
        done = self._db.upload_abort(upload_id, to_status=back_to, task=ended,
                                     changes=ImageChanges({'import_state': state}))
        if done:
            LOG.info('Task %s of image %s failed: %s', task.id, task.image_id, message)
            self._notifier.send(context_of(task), events.task_ended(task, tasks.FAILURE, message))
            if task.image_id is not None:
                self._notifier.send(context_of(task), events.image_upload_failed(
                    Image(id=task.image_id, owner=task.owner), message))
            if erased is not None:
                self._db.location_forget(erased.id)
        return done

    def _staged_erased(self, image_id: str | None) -> Location | None:
        """The staged location whose bytes are gone now; None: there is none, or recovery has to remove them."""
        staged = self._db.location_staged(image_id) if image_id else None
        try:
            return staged if staged is not None and self._locations.remove(image_id, staged) else None
        except errors.StoreError as error:
            LOG.warning('Staged data of image %s stay for recovery: %s', image_id, error)
            return None


def message_of(error: BaseException) -> str:
    """What the owner of a task may read of an error."""
    return str(error) if isinstance(error, errors.GlanceError) else 'The service had an unexpected error.'


def as_mapping(value: Any) -> Mapping[str, Any]:
    """*value* if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}
