"""The data services built for a test: the real ones, on the ``simple`` database, memory and filesystem stores."""

import io
import uuid

from oslo_config import cfg

from glancelike.core.download import DownloadService
from glancelike.core.formats import FormatRules
from glancelike.core.leases import Leases
from glancelike.core.locations import LocationService
from glancelike.core.protections import Protections
from glancelike.core.quotas import Quotas
from glancelike.core.recovery import Recovery
from glancelike.core.signatures import Signatures
from glancelike.core.threads import NativeThreads
from glancelike.core.upload import UploadService
from glancelike.db_drivers.simple.driver import SimpleDriver
from glancelike.location_strategies.weight import Weight
from glancelike.model.image import Image
from glancelike.notifications.notifier import Notifier
from glancelike.plugin import Options, options_for
from glancelike.policies.enforcer import Enforcer
from glancelike.store_drivers.filesystem import FilesystemStore
from glancelike.store_drivers.memory import MemoryStore
from glancelike.store_drivers.stores import Stores, StoreSpec
from tests import base
from tests.unit.core.built import ADMIN, OWNER

MIB = 2**20


class ManualThreads(NativeThreads):
    """Native threads whose background duties are started and timed by the test."""

    def __init__(self):
        super().__init__()
        self.duties = {}

    def spawn(self, name, call):
        self.duties[name] = call


class EventLog:
    """A notification driver that remembers (type, priority, payload)."""

    name = 'log'

    def __init__(self):
        self.sent = []

    def send(self, context, event_type, priority, payload):
        self.sent.append((event_type, priority, payload))

    @property
    def kinds(self):
        return [(event_type, priority) for event_type, priority, _ in self.sent]


class BytesTestCase(base.TestCase):
    """Compares long bytes without printing them."""

    def assert_bytes(self, expected, found):
        self.assertEqual(len(expected), len(found))
        if expected != found:
            first = next(place for place, pair in enumerate(zip(expected, found, strict=True)) if pair[0] != pair[1])
            self.fail(f'the bytes differ from byte {first} on')


class DataTestCase(BytesTestCase):
    """Upload, download and recovery of one process; stores ``memory`` (the default) and ``files``.

    ``another_process`` gives the same services of a second one, on the same database and stores.
    """

    def setUp(self):
        super().setUp()
        self.db = SimpleDriver(options_for(SimpleDriver))
        self.memory = MemoryStore('memory', options_for(MemoryStore, memory_store_max_bytes=64 * MIB))
        self.folder = self.tmp / 'images'
        self.files = FilesystemStore('files', options_for(FilesystemStore, filesystem_store_datadir=str(self.folder)))
        self.events = EventLog()
        self.build()

    def specs(self):
        return [StoreSpec('memory', self.memory, weight=10, is_default=True), StoreSpec('files', self.files)]

    def build(self, policy='', quotas=None, specs=None, rules=None, **upload_options):
        """Make the services (again) on the same database."""
        self.threads = ManualThreads()
        self.stores = Stores(specs or self.specs(), self.threads)
        path = self.tmp / 'policy.yaml'
        path.write_text(policy)
        self.conf = cfg.ConfigOpts()
        self.conf([], default_config_files=[], default_config_dirs=[])
        self.enforcer = Enforcer(self.conf)
        self.conf.set_override('policy_file', str(path), 'oslo_policy')
        self.enforcer = Enforcer(self.conf)
        self.notifier = Notifier([self.events])
        self.locations = LocationService(self.db, self.stores, self.enforcer)
        self.clock = 0.0
        self.leases = Leases(self.db, self.threads)
        self.uploads = UploadService(
            db=self.db, stores=self.stores, threads=self.threads, leases=self.leases, enforcer=self.enforcer,
            quotas=quotas or Quotas(), protections=Protections(), notifier=self.notifier,
            signatures=Signatures(self.conf, self.threads), format_rules=rules or FormatRules(), **upload_options)
        self.downloads = DownloadService(
            db=self.db, stores=self.stores, threads=self.threads,
            strategy=Weight(Options(), self.stores.weights), enforcer=self.enforcer, notifier=self.notifier)
        self.recovery = self.new_recovery(self.leases)

    def new_recovery(self, leases=None):
        return Recovery(db=self.db, stores=self.stores, threads=self.threads,
                        leases=leases or Leases(self.db, self.threads), locations=self.locations,
                        clock=lambda: self.clock)

    def new_image(self, ctx=OWNER, disk_format='raw', container_format='bare', **attributes):
        return self.db.image_create(ctx, Image(
            id=str(uuid.uuid4()), owner=ctx.project_id, disk_format=disk_format, container_format=container_format,
            **attributes))

    def upload(self, image, data=b'data', ctx=OWNER, **options):
        body = data if hasattr(data, 'read') else io.BytesIO(data)
        return self.uploads.upload(ctx, image.id, body, **options)

    def stored(self, image):
        """The row with everything in it."""
        return self.db.image_get(ADMIN, image.id)

    def objects(self):
        """Names of all that is in the stores, temporary parts included."""
        files = [path.name for path in self.folder.iterdir()] if self.folder.exists() else []
        return sorted([url.partition('://')[2] for url in self.memory._objects] + files)

    def assert_as_before_the_upload(self, image):
        """Queued again, without size and hashes, nothing in the stores, no lease, no reservation."""
        row = self.stored(image)
        self.assertEqual('queued', row.status)
        self.assertEqual([None] * 5, [row.size, row.virtual_size, row.checksum, row.os_hash_algo, row.os_hash_value])
        self.assertEqual((), row.locations)
        self.assertEqual([], self.objects())
        self.assertIsNone(self.db.upload_of_image(image.id))
        self.assertEqual(0, self.db.usage(OWNER.project_id).reserved_bytes)
        self.assertEqual({}, self.leases._kept)


class Body:
    """A body made of parts: bytes are read, an exception is raised, a callable is called on the way."""

    def __init__(self, *parts):
        self._parts = list(parts)

    def read(self, size):
        while self._parts:
            part = self._parts.pop(0)
            if isinstance(part, BaseException):
                raise part
            if callable(part):
                part()
            elif part:
                if len(part) > size:
                    self._parts.insert(0, part[size:])
                return part[:size]
        return b''


class Failing:
    """A driver of which one call fails: ``Failing(driver, 'upload_finish', error)`` instead of it.

    :param after: do the call before raising, as when only the answer is lost
    """

    def __init__(self, driver, method, error, *, after=False, times=1):
        self._driver, self._method, self._error, self._after, self._times = driver, method, error, after, times

    def __getattr__(self, name):
        call = getattr(self._driver, name)
        if name != self._method:
            return call

        def fails(*args, **named):
            if not self._times:
                return call(*args, **named)
            self._times -= 1
            if self._after:
                call(*args, **named)
            raise self._error
        return fails


