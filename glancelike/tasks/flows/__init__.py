"""What tasks do, as taskflow flows: each step undoes in ``revert`` what it did in ``execute``."""

from __future__ import annotations

from typing import Any

from glancelike.core.endings import Endings
from glancelike.model import task as tasks
from glancelike.model.task import Task
from glancelike.tasks.flows import import_image, location_import
from glancelike.tasks.importing import Importing, Parts
from glancelike.tasks.job import RunningJob


def make(task: Task, job: RunningJob, parts: Parts, endings: Endings, token: str | None, parallel: int) -> Any:
    """The flow that does the task.

    :param token: the token of the caller, where the task needs one
    :param parallel: how many stores may be written side by side
    :raises ValueError: there is none for tasks of this type
    """
    if task.type in (tasks.IMPORT, tasks.IMAGE_IMPORT):
        return import_image.make(Importing(parts, job, endings, token), endings, parallel)
    if task.type == tasks.LOCATION_IMPORT and parts.hashing is not None:
        return location_import.make(parts.hashing, job)
    raise ValueError(f'no flow for tasks of type {task.type}')
