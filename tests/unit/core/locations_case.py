"""Services that change locations, built for a test: stores ``memory``, ``files``, ``web`` and a real web server."""

import contextlib
import hashlib
import time

from glancelike import errors
from glancelike.compliance.web_server import WebServer
from glancelike.core.endings import Endings, message_of
from glancelike.core.formats import FormatRules
from glancelike.core.image_locations import ImageLocationService
from glancelike.core.images import ImageService
from glancelike.core.leases import Lease
from glancelike.core.location_hashing import LocationHashing
from glancelike.core.location_rules import LocationRules
from glancelike.core.protections import Protections
from glancelike.core.quotas import Quotas
from glancelike.plugin import options_for
from glancelike.store_drivers.http import HttpStore
from glancelike.store_drivers.stores import StoreSpec
from tests.unit.core.built import CONTAINER_FORMATS, DISK_FORMATS, OWNER, member_of
from tests.unit.core.data import DataTestCase

SERVICE = member_of('owner', 'service')
DATA = b'data of an image that is elsewhere'


def sha512(data):
    return hashlib.sha512(data).hexdigest()


class Posted:
    """An executor that remembers what it was given."""

    def __init__(self):
        self.posted = []

    def holder(self):
        return 'nobody yet'

    def post(self, task, upload):
        self.posted.append((task, upload))


class Work:
    """A task under way, done in the calling thread; *before* each chunk the function is called."""

    def __init__(self, db, task, upload, limit=None, before=lambda: None):
        self.task = task
        self.lease = Lease(db, upload, limit)
        self.slept = []
        self._before = before

    def check(self):
        self.lease.check()

    def sleep(self, seconds):
        self.slept.append(seconds)

    def counted(self, chunks):
        for chunk in chunks:
            self._before()
            yield chunk


class LocationsTestCase(DataTestCase):
    """``self.web`` is the web server, ``self.url(data)`` the URL of an object on it."""

    def setUp(self):
        self.web = WebServer()
        self.addCleanup(self.web.stop)
        super().setUp()

    def specs(self):
        web = HttpStore('web', options_for(HttpStore, http_store_allow_private=True, http_store_timeout=5))
        return [*super().specs(), StoreSpec('web', web)]

    def build(self, policy='', quotas=None, *, several_stores=True, hashes=True, url_filter=None, retries=3, cap=2**40,
              clock=time.monotonic, **more):
        super().build(policy, quotas, **more)
        quotas = quotas or Quotas()
        rules = LocationRules(self.db, self.stores, quotas, several_stores=several_stores, url_filter=url_filter,
                              image_size_cap=cap, clock=clock)
        self.endings = Endings(self.db, self.locations, self.notifier)
        self.executor = Posted()
        self.image_locations = ImageLocationService(
            db=self.db, stores=self.stores, enforcer=self.enforcer, quotas=quotas, leases=self.leases, rules=rules,
            locations=self.locations, endings=self.endings, executor=self.executor, notifier=self.notifier,
            hashes=hashes, several_stores=several_stores)
        self.hashing = LocationHashing(
            db=self.db, stores=self.stores, threads=self.threads, endings=self.endings, notifier=self.notifier,
            format_rules=FormatRules(), image_size_cap=cap, retries=retries, deadline_seconds=60, clock=clock)
        self.images = ImageService(
            self.db, self.enforcer, Protections(), quotas, self.locations, self.notifier, disk_formats=DISK_FORMATS,
            container_formats=CONTAINER_FORMATS)

    def url(self, data=DATA, **options):
        return self.web.url(self.web.put(data), **options)

    def put_by_hand(self, name, data=DATA):
        """An object in store memory of which the service knows nothing; its URL."""
        return self.memory.add(name, iter([data]), None).url

    def active(self, *stores, data=DATA, ctx=OWNER):
        """An image with data in those stores."""
        image = self.new_image(ctx)
        self.upload(image, data, ctx, store=stores[0])
        for store in stores[1:]:
            self.patch(image, ('add', None, {'url': self.url(data), 'metadata': {}}), ctx=ctx)
            assert store == 'web'
        return self.stored(image)

    def patch(self, image, *edits, ctx=OWNER, build=None, if_version=None):
        """Patch the image by edits (op, index, value)."""
        from glancelike.core.location_patch import Edit
        from glancelike.model.image import ImageChanges
        made = self.image_locations.edits([Edit(*edit) for edit in edits])
        return self.images.patch(ctx, image.id, build or (lambda image: ImageChanges()), if_version, made)

    def do(self, work=None, **options):
        """Do the newest task as a worker would: its failure is its end. The error, or None."""
        task, upload = self.executor.posted[-1]
        work = work or Work(self.db, task, upload, **options)
        self.work = work
        try:
            self.hashing.hash_location(work)
        except Exception as error:
            with contextlib.suppress(errors.GlanceError):
                self.endings.fail(work.lease.id, task, message_of(error))
            return error
        return None

    def urls(self, image):
        return [place.url for place in self.stored(image).locations]
