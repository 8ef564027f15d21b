"""Tasks as callers see them: list, show, those of an image, and the deprecated way to make one."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glancelike import context, errors
from glancelike.context import RequestContext
from glancelike.core import access, endings
from glancelike.core.attributes import SETTABLE
from glancelike.core.images import ImageService
from glancelike.core.imports import ImportOrder, ImportService
from glancelike.db_drivers.base import DbDriver
from glancelike.model import task as tasks
from glancelike.model.task import Task, TaskQuery

if TYPE_CHECKING:
    from glancelike.core.endings import Endings
    from glancelike.policies.enforcer import Enforcer

#: Tasks of one image that are shown, newest first.
MOST_OF_AN_IMAGE = 100


class TaskService:
    """The rules of tasks."""

    def __init__(self, db: DbDriver, enforcer: Enforcer, images: ImageService, imports: ImportService,
                 endings: Endings):
        self._db = db
        self._enforcer = enforcer
        self._images = images
        self._imports = imports
        self._endings = endings

    def list(self, ctx: RequestContext, query: TaskQuery) -> list[Task]:
        """:raises Forbidden: the policies ``tasks_api_access``, ``get_tasks``. :raises InvalidMarker: unknown marker"""
        self._enforcer.check(ctx, 'tasks_api_access')
        self._enforcer.check(ctx, 'get_tasks')
        return self._db.task_list(ctx, query)

    def get(self, ctx: RequestContext, task_id: str) -> Task:
        """:raises Forbidden: the policies ``tasks_api_access``, ``get_task``. :raises TaskNotFound: absent"""
        self._enforcer.check(ctx, 'tasks_api_access')
        if not access.possible_id(task_id):
            raise errors.TaskNotFound(task_id=task_id)
        found = self._db.task_get(ctx, task_id)
        self._enforcer.check(ctx, 'get_task')
        return found

    def of_image(self, ctx: RequestContext, image_id: str) -> list[Task]:
        """The newest tasks of an image: all for its owner and administrators, else the caller's own.

        :raises ImageNotFound: absent, or not visible to the caller
        """
        image = access.image(self._db, self._enforcer, ctx, image_id, 'get_image')
        if image.owner is not None and ctx.project_id == image.owner:
            ctx = context.internal('owner of the image')
        return self._db.task_list(ctx, TaskQuery(image_id=image.id, limit=MOST_OF_AN_IMAGE))

    def create(self, ctx: RequestContext, task_type: str, given: Mapping[str, Any]) -> Task:
        """The deprecated form of an import: a new image with the properties given, its data fetched from a URI.

        :param given: ``import_from`` (a URI), ``import_from_format``, ``image_properties``
        :returns: the task; one that failed already if the image or the import was refused
        :raises Forbidden: the policies ``tasks_api_access``, ``add_task``
        :raises Invalid: the type is another than ``import``, or the input is not of that form
        """
        access.writable(ctx)
        self._enforcer.check(ctx, 'tasks_api_access')
        self._enforcer.check(ctx, 'add_task')
        if task_type != tasks.IMPORT:
            raise errors.Invalid(reason=f"Tasks of type '{task_type[:64]}' cannot be made; the type is 'import'.")
        uri, fmt, properties = _checked_input(given)
        wanted = dict(properties)
        tags = wanted.pop('tags', ())
        if fmt:
            wanted.setdefault('disk_format', fmt)
        wanted.setdefault('container_format', 'bare')
        attributes = {name: wanted.pop(name) for name in SETTABLE & wanted.keys()}
        image_id = None
        try:
            image_id = self._images.create(ctx, wanted.pop('id', None), attributes, wanted, tags).id
            made = self._imports.begin(ctx, image_id, ImportOrder('web-download', {'uri': uri}),
                                       task_type=tasks.IMPORT, shown=given)
        except errors.DatabaseUnavailable:
            raise
        except errors.GlanceError as error:
            if image_id is not None:
                self._images.withdraw(ctx, image_id)
            failed = Task(id=str(uuid.uuid4()), type=tasks.IMPORT, status=tasks.FAILURE, owner=ctx.project_id,
                          user_id=ctx.user_id, request_id=ctx.request_id, input=given, message=str(error),
                          caller=endings.caller_of(ctx))
            return self._db.task_create(ctx, self._endings.expiring(dataclasses.replace(failed)))
        return self._db.task_get(ctx, made.id)


def _checked_input(given: Mapping[str, Any]) -> tuple[str, str | None, Mapping[str, Any]]:
    uri, fmt, properties = (given.get(name) for name in ('import_from', 'import_from_format', 'image_properties'))
    if not isinstance(uri, str) or not uri:
        raise errors.Invalid(reason='The input of a task needs import_from, a URI.')
    if fmt is not None and not isinstance(fmt, str):
        raise errors.Invalid(reason='import_from_format must be the name of a disk format.')
    if properties is not None and not isinstance(properties, Mapping):
        raise errors.Invalid(reason='image_properties must be an object.')
    if not isinstance((properties or {}).get('tags', []), list):
        raise errors.Invalid(reason='tags must be a list of texts.')
    return uri, fmt, properties or {}
