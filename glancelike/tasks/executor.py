"""Who does tasks (placeholder of the lead until the executor part is merged)."""

from __future__ import annotations

from typing import Any


class LocalExecutor:
    def __init__(self, threads: Any, leases: Any, runner: Any):
        self._threads, self._leases, self._runner = threads, leases, runner

    def holder(self) -> str:
        return self._leases.node.name

    def post(self, task: Any, upload: Any) -> None:
        self._threads.spawn(f'task {task.id}', lambda: self._runner.run(task.id))


def make(conf: Any, threads: Any, leases: Any, db: Any, runner: Any) -> LocalExecutor:
    return LocalExecutor(threads, leases, runner)
