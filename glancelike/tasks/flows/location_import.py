"""The flow of a location that was set: its data are hashed. It stores nothing, so that there is nothing to undo."""

from __future__ import annotations

from typing import Any

from taskflow import task as taskflow_task
from taskflow.flow import Flow
from taskflow.patterns import linear_flow

from glancelike.core.location_hashing import LocationHashing
from glancelike.tasks.job import RunningJob


def make(hashing: LocationHashing, job: RunningJob) -> Flow:
    """The flow that hashes the data of the job's location."""
    return linear_flow.Flow('location import').add(Hash(hashing, job))


class Hash(taskflow_task.Task):
    """Read, hash, compare, record."""

    def __init__(self, hashing: LocationHashing, job: RunningJob):
        super().__init__('hash')
        self._hashing = hashing
        self._job = job

    def execute(self) -> None:
        self._job.progress.begin('hash', self._job.task.caller.get('size'))
        self._hashing.hash_location(self._job)

    def revert(self, **_kwargs: Any) -> None:
        """The bytes are the caller's, and nothing was recorded; ``Endings.fail`` sets the image back."""
