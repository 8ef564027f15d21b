"""The built parts of the service, passed down by hand."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # names for readers and checkers; nothing here is called
    from oslo_config import cfg

    from glancelike.core.download import DownloadService
    from glancelike.core.image_locations import ImageLocationService
    from glancelike.core.images import ImageService
    from glancelike.core.imports import ImportService
    from glancelike.core.leases import Leases
    from glancelike.core.locations import LocationService
    from glancelike.core.members import MemberService
    from glancelike.core.quotas import Quotas
    from glancelike.core.recovery import Recovery
    from glancelike.core.staging import StagingService
    from glancelike.core.tasks import TaskService
    from glancelike.core.threads import NativeThreads
    from glancelike.core.upload import UploadService
    from glancelike.db_drivers.base import DbDriver
    from glancelike.policies.enforcer import Enforcer
    from glancelike.store_drivers.stores import Stores
    from glancelike.tasks.executor import LocalExecutor
    from glancelike.tasks.jobboard import JobBoardExecutor
    from glancelike.tasks.runner import TaskRunner


@dataclasses.dataclass(frozen=True, slots=True)
class Services:
    """What the API is given; made once per process by ``glancelike.app``.

    :ivar imports: None where import is switched off, as ``staging``
    :ivar runner: does tasks, where this process does any
    :ivar executor: has tasks done: here, or by workers
    """

    conf: cfg.ConfigOpts
    threads: NativeThreads
    db: DbDriver
    stores: Stores
    enforcer: Enforcer
    quotas: Quotas
    locations: LocationService
    image_locations: ImageLocationService
    images: ImageService
    members: MemberService
    uploads: UploadService
    downloads: DownloadService
    imports: ImportService | None
    staging: StagingService | None
    tasks: TaskService
    leases: Leases
    runner: TaskRunner
    executor: LocalExecutor | JobBoardExecutor
    recovery: Recovery
