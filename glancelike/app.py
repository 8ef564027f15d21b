"""The one place that builds everything: configuration to Services to the WSGI application."""

from __future__ import annotations

import contextlib
import importlib
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from oslo_config import cfg

from glancelike import config, errors, loading, pipelines
from glancelike.core import quotas as quota_rules
from glancelike.core.download import DownloadService
from glancelike.core.endings import Endings
from glancelike.core.formats import FormatRules
from glancelike.core.image_locations import ImageLocationService
from glancelike.core.images import ImageService
from glancelike.core.imports import ImportService
from glancelike.core.leases import Leases
from glancelike.core.location_hashing import LocationHashing
from glancelike.core.location_rules import LocationRules
from glancelike.core.locations import LocationService
from glancelike.core.members import MemberService
from glancelike.core.protections import Protections
from glancelike.core.quotas import Quotas
from glancelike.core.recovery import Recovery
from glancelike.core.secrets import Secrets
from glancelike.core.signatures import Signatures
from glancelike.core.staging import StagingService
from glancelike.core.tasks import TaskService
from glancelike.core.threads import NativeThreads
from glancelike.core.unified_limits import KeystoneLimits
from glancelike.core.upload import UploadService
from glancelike.db_drivers.base import MULTI_PROCESS, DbDriver
from glancelike.notifications.notifier import Notifier
from glancelike.policies.enforcer import Enforcer
from glancelike.services import Services
from glancelike.store_drivers.checked import CheckedStore
from glancelike.store_drivers.stores import Stores, StoreSpec
from glancelike.tasks import executor as executors
from glancelike.tasks.import_methods.base import STAGED, STORED, ImportMethod
from glancelike.tasks.importing import Parts, Rules
from glancelike.tasks.job import Throttle, WorkFolders
from glancelike.tasks.runner import FlowBook, TaskRunner

LOG = logging.getLogger(__name__)

#: How long a process that ends waits for its tasks to be given back: each looks at least once a megabyte.
GIVE_BACK_SECONDS = 5


class Application:
    """The WSGI application of one process, with what it was built from.

    :ivar wsgi: the pipeline; what servers call
    :ivar services: the built parts
    """

    def __init__(self, wsgi: Callable[..., Iterable[bytes]], services: Services):
        self.wsgi = wsgi
        self.services = services

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return self.wsgi(environ, start_response)

    @property
    def only_one_process(self) -> str | None:
        """Why several processes must not serve this, or None when they may."""
        if MULTI_PROCESS in self.services.db.CAPABILITIES:
            return None
        return (f'data_api = {self.services.conf.data_api} keeps its rows in one process: run one process only, or '
                'choose a database that processes can share (data_api = sqlalchemy).')

    def start_duties(self) -> None:
        """Begin what a process does beside requests; call it once, after the last fork."""
        self.services.threads.spawn('recovery', self.services.recovery.forever)

    def stop_duties(self) -> None:
        """End them; a round that is under way is finished, tasks are left to other processes."""
        self.services.recovery.stop()
        if not self.services.executor.stop(GIVE_BACK_SECONDS):
            LOG.warning('Some tasks were not given back; others find out by their leases.')

    def close(self) -> None:
        """Give up the database's connections."""
        self.services.db.close()


def read(argv: Sequence[str], *, prog: str = 'glance-api') -> cfg.ConfigOpts:
    """The configuration of the service; what in it has no effect is warned about.

    Called once, before a server forks: each warning comes once, and the workers share the memory of what the drivers
    and the API import.

    :raises ConfigurationError: no configuration, or one that names drivers or values that cannot be
    """
    conf = config.load(prog, argv, positional_file=True)
    loading.register_driver_options(conf)
    importlib.import_module('glancelike.api.v2.router')
    pipelines.import_factories(conf, prog)
    config.warn_without_effect(conf)
    return conf


def load(conf: cfg.ConfigOpts, threads: NativeThreads | None = None, *, prog: str = 'glance-api') -> Application:
    """The service that *conf* describes.

    :param threads: how blocking work is done; None for servers with a native thread per request
    :raises ConfigurationError: something in the configuration cannot work; the message says what and where
    """
    services = build(conf, threads or NativeThreads())
    return Application(pipelines.load(conf, prog, services), services)


def make_tables(conf: cfg.ConfigOpts) -> None:
    """Bring the tables up to date, if the database answers now. For a process of its own: it logs nothing of what is
    wrong, which ``load`` will meet again and say."""
    with contextlib.suppress(errors.GlanceError):
        logging.disable(logging.WARNING)
        db = loading.load_db_driver(conf)
        try:
            db.ping()
            logging.disable(logging.NOTSET)
            db.create_schema()
        finally:
            db.close()


def build(conf: cfg.ConfigOpts, threads: NativeThreads, *, flow_book: FlowBook | None = None,
          engine: dict[str, Any] | None = None) -> Services:
    """The parts of the service, from the bottom up.

    :param flow_book: remembers finished steps of tasks for other processes; as *engine*, see ``TaskRunner``
    """
    db = loading.load_db_driver(conf)
    _prepare_schema(conf, db)
    configs = loading.store_configs(conf)
    stores = _stores(conf, configs, threads)
    strategy = loading.load_location_strategy(conf, stores.weights)
    enforcer = Enforcer(conf)
    notifier = _notifier(conf)
    protections = _protections(conf, enforcer)
    quotas = Quotas(
        members=conf.image_member_quota, properties=conf.image_property_quota, tags=conf.image_tag_quota,
        locations=conf.image_location_quota, storage=quota_rules.storage_bytes(conf.user_storage_quota),
        unified=KeystoneLimits(conf, db.usage) if conf.use_keystone_limits else None)
    locations = LocationService(db, stores, enforcer, strategy)
    leases = Leases(db, threads, heartbeat_seconds=conf.upload_heartbeat_seconds,
                    lease_seconds=conf.upload_lease_seconds)
    images = ImageService(
        db, enforcer, protections, quotas, locations, notifier, disk_formats=conf.image_format.disk_formats,
        container_formats=conf.image_format.container_formats, count_limit=conf.count_limit)
    rules = _storing_rules(conf)
    signatures = Signatures(conf, threads)
    uploads = UploadService(
        db=db, stores=stores, threads=threads, leases=leases, enforcer=enforcer, quotas=quotas,
        protections=protections, notifier=notifier, signatures=signatures, format_rules=rules.formats,
        image_size_cap=rules.image_size_cap, hashing_algorithm=rules.hashing_algorithm,
        legacy_checksum=rules.legacy_checksum)
    staging = next((store for store in stores.every() if store.reserved), None)
    endings = Endings(db, locations, notifier, conf.task.task_time_to_live * 3600)
    methods = _import_methods(conf, stores, staging)
    parts = Parts(db, stores, staging, threads, locations, signatures, protections, rules, methods,
                  loading.load_import_plugins(conf) if conf.enable_image_import else {},
                  LocationHashing(db=db, stores=stores, threads=threads, endings=endings, notifier=notifier,
                                  format_rules=rules.formats, algorithm=rules.hashing_algorithm,
                                  legacy_checksum=rules.legacy_checksum, image_size_cap=rules.image_size_cap,
                                  retries=conf.http_retries, deadline_seconds=conf.location_hash_deadline))
    secrets = Secrets(conf.task.secret_key)
    folders = WorkFolders(loading.work_directory(conf, next((one for one in configs if one.reserved), None)))
    runner = TaskRunner(parts, leases, endings, quotas, secrets, notifier, folders,
                        Throttle(conf.task.max_bytes_per_second), flow_book=flow_book, engine=engine,
                        max_attempts=conf.task.max_attempts)
    executor = executors.make(conf, threads, leases, db, runner)
    imports = ImportService(db, stores, enforcer, quotas, leases, endings, executor, secrets, methods, parts.plugins)
    image_locations = ImageLocationService(
        db=db, stores=stores, enforcer=enforcer, quotas=quotas, leases=leases, locations=locations, endings=endings,
        executor=executor, notifier=notifier, hashes=conf.do_secure_hash, algorithm=rules.hashing_algorithm,
        several_stores=bool(conf.enabled_backends),
        rules=LocationRules(db, stores, quotas, format_rules=rules.formats, several_stores=bool(conf.enabled_backends),
                            image_size_cap=rules.image_size_cap, url_filter=loading.load_url_filter(conf)))
    return Services(
        conf=conf, threads=threads, db=db, stores=stores, enforcer=enforcer, quotas=quotas, locations=locations,
        image_locations=image_locations, images=images, members=MemberService(db, enforcer, quotas, notifier),
        uploads=uploads,
        downloads=DownloadService(db=db, stores=stores, threads=threads, strategy=strategy, enforcer=enforcer,
                                  notifier=notifier),
        imports=imports if conf.enable_image_import else None,
        staging=StagingService(db, staging, threads, leases, enforcer, quotas, conf.image_size_cap)
        if conf.enable_image_import else None,
        tasks=TaskService(db, enforcer, images, imports, endings), leases=leases, runner=runner, executor=executor,
        recovery=Recovery(db=db, stores=stores, threads=threads, leases=leases, locations=locations,
                          interval_seconds=conf.recovery_interval_seconds, executor=executor, endings=endings,
                          sweep_files=lambda: folders.sweep(db)))


def _storing_rules(conf: cfg.ConfigOpts) -> Rules:
    formats = FormatRules(vmdk_allowed_types=conf.image_format.vmdk_allowed_types,
                          match_required=conf.image_format.require_image_format_match,
                          gpt_nonfatal=conf.image_format.gpt_safety_checks_nonfatal)
    return Rules(formats, conf.image_size_cap, conf.hashing_algorithm, conf.legacy_checksum,
                 conf.image_import_opts.max_parallel_stores)


def _import_methods(conf: cfg.ConfigOpts, stores: Stores, staging: CheckedStore | None) -> dict[str, ImportMethod]:
    """The methods that can work here."""
    if not conf.enable_image_import:
        return {}
    methods = loading.load_import_methods(conf)
    if not conf.enabled_backends:
        methods = {name: one for name, one in methods.items() if one.SOURCE != STORED}
    if staging is None and any(one.SOURCE == STAGED for one in methods.values()):
        LOG.warning('No store is set aside for staged data, so that images cannot be staged: see [staging] store, '
                    'node_staging_uri.')
        methods = {name: one for name, one in methods.items() if one.SOURCE != STAGED}
    return methods


def _prepare_schema(conf: cfg.ConfigOpts, db: DbDriver) -> None:
    """Make or check the tables; a database that does not answer yet is waited for by the requests, not here."""
    try:
        if conf.db_auto_create:
            db.create_schema()
        else:
            db.check_schema()
    except errors.DatabaseUnavailable:
        LOG.warning('The database does not answer. The service starts all the same and answers 503 until it does.')


def _stores(conf: cfg.ConfigOpts, configs: Sequence[loading.StoreConfig], threads: NativeThreads) -> Stores:
    specs = []
    for one in configs:
        try:
            driver = loading.store_driver(conf, one)
        except errors.ConfigurationError as error:
            if not one.implied:
                raise
            LOG.warning('The directory for staged data beside that of the default store cannot be used: %s', error)
            continue
        specs.append(StoreSpec(one.id, driver, description=one.description, weight=one.weight,
                               is_default=one.is_default, reserved=one.reserved, driver_name=one.driver_name))
    stores = Stores(specs, threads)
    stores.start_check()
    return stores


def _notifier(conf: cfg.ConfigOpts) -> Notifier:
    names = dict.fromkeys(conf.oslo_messaging_notifications.driver)
    drivers = [loading.load_notification_driver(conf, name) for name in names if name not in ('', 'noop')]
    return Notifier(drivers, conf.disabled_notifications)


def _protections(conf: cfg.ConfigOpts, enforcer: Enforcer) -> Protections:
    if not conf.property_protection_file:
        return Protections(None)
    path = config.beside(conf, conf.property_protection_file)
    if path is None:
        raise errors.ConfigurationError(
            f"property_protection_file '{conf.property_protection_file}' cannot be found beside "
            f'{config.main_file(conf)} or in the search list.')
    return Protections(loading.load_property_protection(conf, path, enforcer.allowed))
