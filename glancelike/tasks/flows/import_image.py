"""The flow of an import.

::

    [fetch]  ->  store A  ->  store B, store C, ...  ->  finish

``fetch`` only where a plugin may need a file and the method gets its data from elsewhere. The first store that succeeds
gets the data from the source, through the plugins; the others get them from it. All copies become the image's locations
in ``finish``, in the transaction that makes it active and ends the task; or one by one, where a store may fail. The
reverse direction, an export, would be the same steps with a store as the source and a method as the target.
"""

from __future__ import annotations

import logging
from typing import Any

from taskflow import task as taskflow_task
from taskflow.flow import Flow
from taskflow.patterns import linear_flow, unordered_flow

from glancelike import errors
from glancelike.core.endings import Endings
from glancelike.model.image import IMPORTING, ImageChanges, ImportState, Location
from glancelike.tasks.importing import Importing, location_of

LOG = logging.getLogger(__name__)

#: What one store cannot help: the import is over, not only the copy.
_ENDS_ALL = (errors.TaskCancelled, errors.ImageGone, errors.StatusConflict, errors.DatabaseUnavailable)


def make(work: Importing, endings: Endings, parallel: int = 1) -> Flow:
    """The flow of that import.

    :param parallel: how many further stores are written at once
    """
    flow = linear_flow.Flow('import')
    if work.wants_staging:
        flow.add(Fetch(work))
    if work.copies:
        _add_copies(flow, [Copy(work, index) for index in range(len(work.stores))], parallel)
    else:
        flow.add(StoreFirst(work))
        _add_copies(flow, [Copy(work, index) for index in range(1, len(work.stores))], parallel)
    flow.add(Finish(work, endings))
    return flow


def _add_copies(flow: Flow, copies: list[Copy], parallel: int) -> None:
    if parallel == 1 or len(copies) < 2:
        flow.add(*copies)
        return
    for start in range(0, len(copies), parallel):
        flow.add(unordered_flow.Flow(f'copies from {start}').add(*copies[start:start + parallel]))


class Fetch(taskflow_task.Task):
    """Source to staging."""

    def __init__(self, work: Importing):
        super().__init__('fetch', provides='told')
        self._work = work

    def execute(self) -> dict[str, Any]:
        return self._work.fetch()

    def revert(self, **_kwargs: Any) -> None:
        """What is recorded as staged goes when the task ends."""
        self._work.clear_staging()


class StoreFirst(taskflow_task.Task):
    """Source, or staging, through the plugins to the first store that takes it."""

    def __init__(self, work: Importing):
        super().__init__('store first', provides='copy_0', requires=['told'] if work.wants_staging else [],
                         auto_extract=False)
        self._work = work

    def execute(self, **results: dict[str, Any]) -> dict[str, Any]:
        """What is to be recorded; ``tried``: how many stores were tried, ``failed``: those that could not."""
        work, failed, told = self._work, [], results.get('told', {})
        recorded = work.recorded()
        for tried, store_id in enumerate(work.stores, start=1):
            work.job.check()
            if recorded and store_id not in recorded:
                # An earlier process went on to the next store, and the image is what that one got: read from the
                # source again, the data might be others.
                work.refused(store_id)
                failed.append(store_id)
                continue
            done = work.already(store_id)
            if done is None:
                try:
                    done = work.store_first(store_id, told)
                except errors.StoreError as error:  # anything else is not the store's, another one would not help
                    if work.must_succeed or tried == len(work.stores):
                        raise
                    LOG.warning('Store %s cannot take image %s: %s', store_id, work.image.id, error)
                    work.refused(store_id)
                    failed.append(store_id)
                    continue
                work.took(done)
            return {**done, 'tried': tried, 'failed': failed}
        raise errors.StoreError(store=', '.join(work.stores), reason='no store took the data')

    def revert(self, result: Any, **_kwargs: Any) -> None:
        """Also after a death in the middle of ``execute``, whatever it had done by then."""
        for store_id in self._work.stores[:1] if self._work.must_succeed else self._work.stores:
            self._work.clear(store_id, _url(result, store_id))


class Copy(taskflow_task.Task):
    """One store to another."""

    def __init__(self, work: Importing, index: int):
        super().__init__(f'copy to {work.stores[index]}', provides=f'copy_{index}',
                         requires=[] if work.copies else ['copy_0'], auto_extract=False)
        self._work = work
        self._index = index
        self._store = work.stores[index]

    def execute(self, **results: dict[str, Any]) -> dict[str, Any]:
        work, copy_0 = self._work, results.get('copy_0')
        if copy_0 is not None and self._index < copy_0['tried']:
            return {'failed': []}  # the first step tried this store
        work.job.check()
        done = work.already(self._store)
        if done is None:
            try:
                done = work.copy(self._store, copy_0, self._index)
            except Exception as error:
                if isinstance(error, _ENDS_ALL) or work.must_succeed:
                    raise
                LOG.warning('Store %s cannot take image %s: %s', self._store, work.image.id, error)
                work.refused(self._store)
                return {'failed': [self._store]}
            work.took(done)
        return {**done, 'failed': []}

    def revert(self, result: Any, **_kwargs: Any) -> None:
        """Also after a death in the middle of ``execute``."""
        self._work.clear(self._store, _url(result, self._store))


class Finish(taskflow_task.Task):
    """All that is to be recorded, in one transaction with the end of the task."""

    def __init__(self, work: Importing, endings: Endings):
        super().__init__('finish', requires=[f'copy_{index}' for index in range(len(work.stores))],
                         auto_extract=False)
        self._work = work
        self._endings = endings

    def execute(self, **copies: dict[str, Any]) -> None:
        work = self._work
        ordered = [copies[f'copy_{index}'] for index in range(len(work.stores))]
        failed = list(dict.fromkeys(name for one in ordered for name in one['failed']))
        done = [one for one in ordered if 'url' in one]
        if not done:
            raise errors.StoreError(store=', '.join(failed), reason='no store took the data')
        changes, locations, status = ImageChanges({'import_state': ImportState(failed=tuple(failed))}), [], None
        if work.must_succeed:
            changes, locations = work.changes(done[0], ImportState()), [location_of(one) for one in done]
            status = None if work.copies else IMPORTING
        message = f'Could not be stored in: {", ".join(failed)}.' if failed else ''
        self._until_known(changes, locations, status, message)

    def _until_known(self, changes: ImageChanges, locations: list[Location], status: str | None, message: str) -> None:
        """While nobody knows whether the commit went through, what is stored must neither go nor be stored again."""
        work, wait = self._work, 1.0
        while True:
            try:
                self._endings.succeed(work.job.lease.id, work.task, changes, locations, status or work.status(),
                                      message)
                return
            except errors.DatabaseUnavailable:
                LOG.warning('The end of task %s cannot be recorded now; trying again.', work.task.id)
                work.job.pause(wait)
                wait = min(wait * 2, 30.0)


def _url(result: Any, store_id: str) -> str | None:
    return result.get('url') if isinstance(result, dict) and result.get('store') == store_id else None
