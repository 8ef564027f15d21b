"""Tasks: what the service does, or did, after it answered a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import webob

from glancelike import errors
from glancelike.api.v2 import views
from glancelike.api.v2.image_import import check_size
from glancelike.core import bounds, query
from glancelike.core.access import ID_LENGTH
from glancelike.core.tasks import TaskService
from glancelike.model.task import TASK_SORT_KEYS, TASK_STATUSES, TASK_TYPES, TaskQuery
from glancelike.wsgi.request import Request, printable
from glancelike.wsgi.resource import reply

_PARAMETERS = ('type', 'status', 'image_id', 'sort_key', 'sort_dir', 'limit', 'marker')


class TasksController:
    """Actions on /v2/tasks, /v2/tasks/{task_id} and /v2/images/{image_id}/tasks.

    :param default_limit: ``limit_param_default``, *max_limit*: ``api_limit_max``
    """

    def __init__(self, tasks: TaskService, *, default_limit: int, max_limit: int):
        self._tasks = tasks
        self._default_limit, self._max_limit = default_limit, max_limit

    def create(self, req: Request, document: Any) -> webob.Response:
        """POST /v2/tasks: 201, Location and the task. Deprecated: ``POST /v2/images/{image_id}/import`` does the same.

        :raises InvalidBody: the document has no ``type``, a text, or no ``input``, an object
        :raises Invalid, Forbidden: see ``TaskService.create``
        """
        fields = document if isinstance(document, dict) else {}
        task_type, given = fields.get('type'), fields.get('input')
        if not isinstance(task_type, str) or not isinstance(given, dict):
            raise errors.InvalidBody(
                reason="The body must be a JSON object with 'type', a text, and 'input', an object.")
        if len(task_type) > bounds.TEXT_LENGTH:
            raise errors.InvalidBody(reason=f"'type' may have up to {bounds.TEXT_LENGTH} characters.")
        check_size(given, "'input'")
        task = self._tasks.create(req.context, task_type, given)
        return reply(views.task(task), 201, {'Location': f'/v2/tasks/{task.id}'})

    def index(self, req: Request) -> dict[str, Any]:
        """GET /v2/tasks: 200 and a page of tasks.

        :raises InvalidFilter, InvalidSort, InvalidLimit, InvalidMarker: names the parameter
        """
        parameters = req.parameters()
        asked = parse(parameters, default_limit=self._default_limit, max_limit=self._max_limit)
        echoed = [(name, value) for name, value in parameters if name != 'marker']
        if asked.limit == 0:
            return views.task_list([], echoed, None)
        # One more than asked for: only so is it known whether there is a next page.
        found = self._tasks.list(req.context, TaskQuery(
            asked.status, asked.type, asked.image_id, asked.sort, asked.marker, asked.limit + 1))
        page = found[:asked.limit]
        return views.task_list(page, echoed, page[-1].id if len(found) > len(page) else None)

    def show(self, req: Request, task_id: str) -> dict[str, Any]:
        """GET /v2/tasks/{task_id}: 200 and the task. :raises TaskNotFound: absent, or not to be seen."""
        return views.task(self._tasks.get(req.context, task_id))

    def of_image(self, req: Request, image_id: str) -> dict[str, Any]:
        """GET /v2/images/{image_id}/tasks: 200 and the newest tasks of the image. :raises ImageNotFound: as GET."""
        return views.image_tasks(self._tasks.of_image(req.context, image_id))


def parse(parameters: Sequence[tuple[str, str]], *, default_limit: int, max_limit: int) -> TaskQuery:
    """What the query string of ``GET /v2/tasks`` asks for.

    :raises InvalidFilter, InvalidSort, InvalidLimit, InvalidMarker: names the parameter
    """
    given: dict[str, str] = {}
    for name, value in parameters:
        if name not in _PARAMETERS:
            raise errors.InvalidFilter(
                reason=f"'{printable(name)}' is no parameter of a list of tasks; there are {', '.join(_PARAMETERS)}.")
        given[name] = value  # of a repeated one the last counts, as in Glance
    sort = given.get('sort_key', 'created_at').strip(), given.get('sort_dir', 'desc').strip()
    if sort[0] not in TASK_SORT_KEYS:
        raise errors.InvalidSort(
            reason=f"Tasks can be sorted by {', '.join(TASK_SORT_KEYS)}, not by '{printable(sort[0])}'.")
    if sort[1] not in ('asc', 'desc'):
        raise errors.InvalidSort(reason=f"sort_dir must be asc or desc, not '{printable(sort[1])}'.")
    for name, allowed in (('status', TASK_STATUSES), ('type', TASK_TYPES)):
        if name in given and given[name] not in allowed:
            raise errors.InvalidFilter(
                reason=f"{name} must be one of {', '.join(allowed)}, not '{printable(given[name])}'.")
    image_id = given.get('image_id')
    if image_id is not None and not 0 < len(image_id) <= ID_LENGTH:
        raise errors.InvalidFilter(reason=f"image_id must be the id of an image, not '{printable(image_id)}'.")
    return TaskQuery(
        status=given.get('status'), type=given.get('type'), image_id=image_id, sort=sort,
        marker=query.marker(given.get('marker')), limit=query.limit(given.get('limit'), default_limit, max_limit))
