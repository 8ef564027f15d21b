"""Imports as callers ask for them: checked, locked and handed over in one step; cancelled; listed methods and plugins.

What is done then stands in ``tasks/``. The lock of an import is the image's Upload, which names the task.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.core import access, endings, signatures
from glancelike.core.leases import Leases
from glancelike.core.quotas import Quotas
from glancelike.core.secrets import Secrets
from glancelike.db_drivers.base import DbDriver
from glancelike.model import task as tasks
from glancelike.model.image import ACTIVE, IMPORTING, QUEUED, UPLOADING, Image, ImageChanges, ImportState
from glancelike.model.task import Task
from glancelike.model.upload import Upload
from glancelike.store_drivers.stores import CheckedStore, Stores
from glancelike.tasks.import_methods.base import OWN, STAGED, STORED, ImportMethod
from glancelike.tasks.import_plugins.base import ImportPlugin

if TYPE_CHECKING:
    from glancelike.core.endings import Endings
    from glancelike.policies.enforcer import Enforcer

#: What an image must be in for an import from that source, and what it is in meanwhile.
_STATUS: Mapping[str, tuple[str, str]] = {
    STAGED: (UPLOADING, IMPORTING), OWN: (QUEUED, IMPORTING), STORED: (ACTIVE, ACTIVE),
}
#: Copies cost one statement and one file each; nobody has that many stores.
MOST_STORES = 64


class Executor(Protocol):
    """Who does tasks; ``tasks/executor.py`` has those that there are."""

    def holder(self) -> str:
        """What stands in ``Upload.node`` of a task that nobody has begun: this process, or '' for whoever comes."""

    def post(self, task: Task, upload: Upload) -> None:
        """Have the task done, soon. What cannot be handed over now is logged: recovery hands it over later."""


@dataclasses.dataclass(frozen=True, slots=True)
class ImportOrder:
    """What ``POST /v2/images/{id}/import`` asks for.

    :ivar method: name of the import method
    :ivar given: the rest of its ``method`` object, as sent
    :ivar stores: ids of the stores that shall have the data; () for the default store
    :ivar all_stores: every store that takes images, in place of *stores*
    :ivar all_stores_must_succeed: one store that fails makes the import fail
    """

    method: str
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    stores: tuple[str, ...] = ()
    all_stores: bool = False
    all_stores_must_succeed: bool = True


class ImportService:
    """The rules of imports.

    :param methods: those that may be used, by name, in the order of ``enabled_import_methods``
    :param plugins: those that every import runs, by name, in order
    """

    def __init__(self, db: DbDriver, stores: Stores, enforcer: Enforcer, quotas: Quotas, leases: Leases,
                 endings: Endings, executor: Executor, secrets: Secrets, methods: Mapping[str, ImportMethod],
                 plugins: Mapping[str, ImportPlugin]):
        self._db = db
        self._stores = stores
        self._enforcer = enforcer
        self._quotas = quotas
        self._leases = leases
        self._endings = endings
        self._executor = executor
        self._secrets = secrets
        self.methods = dict(methods)
        self.plugins = dict(plugins)

    def begin(self, ctx: RequestContext, image_id: str, order: ImportOrder, *,
              task_type: str = tasks.IMAGE_IMPORT, shown: Mapping[str, Any] | None = None) -> Task:
        """Lock the image and have its import done; the task that does it.

        :param shown: what the task shows as its input; None: the order
        :raises Invalid: the method is not known or not enabled, or the order contradicts itself
        :raises ImageNotFound, Forbidden, ReadOnlyContext: absent, not visible, or a policy refuses
        :raises StatusConflict: the image is not in the status that the method begins with, or something else has it
        :raises Conflict: a store is not known, or the formats of the image are not set
        :raises BadSource: the source is refused
        :raises StoreReadOnly, QuotaExceeded, DatabaseUnavailable: as their names say
        """
        access.writable(ctx)
        method = self._method(order.method)
        image = access.image(self._db, self._enforcer, ctx, image_id,
                             'copy_image' if method.SOURCE == STORED else 'modify_image')
        status, meanwhile = _STATUS[method.SOURCE]
        self._check_image(image, order, method, status)
        wanted = self._wanted_stores(image, order, method)
        given = dict(method.check(ctx, order.given))
        new = self._new_task(ctx, image, order, method, given, wanted, task_type, shown)
        if not wanted:
            done = dataclasses.replace(new, status=tasks.SUCCESS, result={'image_id': image.id}, secret=None,
                                       message='Every store that takes images has this one already.')
            return self._db.task_create(ctx, self._endings.expiring(done))
        self._quotas.check_locations(len(image.locations) + len(wanted), len(image.locations))
        self._quotas.check_new_upload(ctx, image.owner)
        upload = Upload(id=str(uuid.uuid4()), image_id=image.id, node=self._executor.holder(), store=wanted[0],
                        owner=image.owner, task_id=new.id)
        state = ImportState(task_id=new.id, importing_to=tuple(wanted))
        try:
            self._db.upload_begin(ctx, upload, from_status=status, to_status=meanwhile, task=new,
                                  changes=ImageChanges({'import_state': state}))
        except errors.DatabaseUnavailable:
            self._leases.abandon(upload.id)  # it may have been committed all the same: then it is done later
            raise
        self._endings.tell_created(ctx, new)
        self._executor.post(new, upload)
        return new

    def cancel(self, ctx: RequestContext, image_id: str) -> None:
        """Ask for the end of the image's import: at once when nobody has begun it, else as soon as its worker looks.

        :raises ImageNotFound, Forbidden, ReadOnlyContext: as ``begin``
        :raises Conflict: no import of the image is under way
        """
        access.writable(ctx)
        image = access.image(self._db, self._enforcer, ctx, image_id, 'modify_image')
        upload = self._db.upload_of_image(image.id)
        if upload is None or upload.task_id is None:
            raise errors.Conflict(reason=f'No import of image {image.id} is under way; the image is {image.status}.')
        try:
            task = self._db.task_update(upload.task_id, tasks.TaskChanges({'cancelled': True}))
        except (errors.TaskNotFound, errors.StatusConflict) as error:
            raise errors.Conflict(reason=f'The import of image {image.id} is just ending.') from error
        if task.status == tasks.PENDING:
            mine = str(uuid.uuid4())
            if self._db.upload_take_over(upload, mine, self._leases.node.name):
                self._endings.fail(mine, task, str(errors.TaskCancelled()))

    # --- what is asked for ----------------------------------------------------------------------------------------

    def _method(self, name: str) -> ImportMethod:
        method = self.methods.get(name)
        if method is None:
            raise errors.Invalid(
                reason=f"Import method '{name[:64]}' is not one of: {', '.join(self.methods)}." if self.methods
                else 'No import method can be used here.')
        return method

    @staticmethod
    def _check_image(image: Image, order: ImportOrder, method: ImportMethod, status: str) -> None:
        if image.status != status:
            raise errors.StatusConflict(image_id=image.id, status=image.status, wanted=status)
        if method.SOURCE == STORED:
            return
        missing = [name for name in ('container_format', 'disk_format') if not getattr(image, name)]
        if missing and order.method != 'glance-download':  # which brings the formats along
            raise errors.Conflict(reason=f'{" and ".join(missing)} must be set before image {image.id} is imported.')

    def _wanted_stores(self, image: Image, order: ImportOrder, method: ImportMethod) -> list[str]:
        if order.all_stores and order.stores:
            raise errors.Invalid(reason='all_stores and stores exclude each other.')
        if len(order.stores) > MOST_STORES or len(set(order.stores)) != len(order.stores):
            raise errors.Invalid(reason=f'stores must name at most {MOST_STORES} different stores.')
        has = {location.store for location in image.locations}
        if order.all_stores:
            takers = [one.id for one in self._stores.all() if not one.read_only]
            if not takers:
                raise errors.StoreReadOnly(store=', '.join(one.id for one in self._stores.all()))
            return [one for one in takers if not (method.SOURCE == STORED and one in has)]
        wanted = [self._store(name).id for name in order.stores or (self._stores.default.id,)]
        if method.SOURCE == STORED:
            if not order.stores:
                raise errors.Invalid(reason='copy-image needs the stores to copy to: stores, or all_stores.')
            there = sorted(has & set(wanted))
            if there:
                raise errors.Invalid(reason=f'Store {there[0]} has image {image.id} already.')
        return wanted

    def _store(self, name: str) -> CheckedStore:
        try:
            store = self._stores.get(name)
        except errors.UnknownStore as error:
            raise errors.Conflict(reason=f"There is no store '{name[:64]}'.") from error
        if store.read_only:
            raise errors.StoreReadOnly(store=store.id)
        return store

    def _new_task(self, ctx: RequestContext, image: Image, order: ImportOrder, method: ImportMethod,
                  given: Mapping[str, Any], wanted: Sequence[str], task_type: str,
                  shown: Mapping[str, Any] | None) -> Task:
        request = {
            'image_id': image.id,
            'import_req': {'method': {'name': order.method, **given}, 'stores': list(wanted),
                           'all_stores': order.all_stores,
                           'all_stores_must_succeed': order.all_stores_must_succeed},
        }
        secret = method.secret(ctx, given)
        signed = ctx.token if signatures.is_signed(image.properties) else None
        return Task(
            id=str(uuid.uuid4()), type=task_type, owner=ctx.project_id or image.owner, user_id=ctx.user_id,
            request_id=ctx.request_id, image_id=image.id, input=request if shown is None else shown,
            secret=self._secrets.sealed({'method': secret, 'token': signed}) if secret or signed else None,
            caller={
                **endings.caller_of(ctx), 'method': order.method, 'given': dict(given), 'stores': list(wanted),
                'must_succeed': order.all_stores_must_succeed,
                'back_to': ACTIVE if method.SOURCE == STORED else QUEUED,
            })
