"""The parts of ``core`` built for a test: the real ones, on the ``simple`` database and stores in a dict."""

import dataclasses

from oslo_config import cfg

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.core.images import ImageService
from glancelike.core.locations import LocationService
from glancelike.core.members import MemberService
from glancelike.core.protections import Protections
from glancelike.core.quotas import Quotas
from glancelike.db_drivers.simple.driver import SimpleDriver
from glancelike.model.image import ImageChanges, Location
from glancelike.model.upload import Upload
from glancelike.notifications.notifier import Notifier
from glancelike.plugin import PropertyProtection, options_for
from glancelike.policies.enforcer import Enforcer
from tests import base

DISK_FORMATS = ('raw', 'qcow2')
CONTAINER_FORMATS = ('bare', 'ovf')


def member_of(project, *roles, **fields):
    """A caller of *project* with the roles member and reader, and further ones."""
    return RequestContext(user_id=f'user of {project}', project_id=project,
                          roles=frozenset({'member', 'reader', *roles}), **fields)


ADMIN = RequestContext(user_id='root', project_id='admins', roles=frozenset({'admin'}), is_admin=True)
OWNER = member_of('owner')
FRIEND = member_of('friend')
STRANGER = member_of('stranger')
ANONYMOUS = RequestContext(read_only=True, roles=frozenset({'reader'}))


class Rules(PropertyProtection):
    """Protection by a table: name -> action -> roles; names that are not in it are everyone's."""

    def __init__(self, table):
        self.table = table
        self.asked = []

    def allows(self, ctx, action, name):
        self.asked.append((action, name))
        if name not in self.table:
            return True
        return not ctx.roles.isdisjoint(self.table[name].get(action, ()))


class Recorder:
    """A notification driver that remembers."""

    name = 'recorder'

    def __init__(self):
        self.sent = []

    def send(self, context, event_type, priority, payload):
        self.sent.append((event_type, payload))

    @property
    def types(self):
        return [event_type for event_type, _ in self.sent]


class DictStore:
    """A store whose objects are the keys of a dict; *failure* is raised by every delete."""

    def __init__(self, store_id):
        self.id = store_id
        self.objects = {}
        self.failure = None

    def delete(self, url):
        if self.failure is not None:
            raise self.failure
        if url not in self.objects:
            raise errors.ObjectNotFound(store=self.id)
        del self.objects[url]


class DictStores:
    """Some stores by id."""

    def __init__(self, *ids):
        self.by_id = {one: DictStore(one) for one in ids}

    def for_location(self, location):
        try:
            return self.by_id[location.store]
        except KeyError:
            raise errors.UnknownStore(store=location.store) from None


class CoreTestCase(base.TestCase):
    """Services on an empty database; ``build`` again with other rules keeps the database."""

    def setUp(self):
        super().setUp()
        self.db = SimpleDriver(options_for(SimpleDriver))
        self.stores = DictStores('fast', 'cold')
        self.events = Recorder()
        self.build()

    def build(self, policy='', rules=None, quotas=None, count_limit=10_000):
        """Make the services.

        :param policy: text of a policy file
        :param rules: table of ``Rules``, or None for no protection
        """
        (self.tmp / 'policy.yaml').write_text(policy)
        (self.tmp / 'glance.conf').write_text(f'[oslo_policy]\npolicy_file = {self.tmp}/policy.yaml\n')
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[str(self.tmp / 'glance.conf')], default_config_dirs=[])
        self.enforcer = Enforcer(conf)
        self.rules = Rules(rules) if rules is not None else None
        notifier = Notifier([self.events])
        quotas = quotas or Quotas()
        self.locations = LocationService(self.db, self.stores, self.enforcer)
        self.images = ImageService(
            self.db, self.enforcer, Protections(self.rules), quotas, self.locations, notifier,
            disk_formats=DISK_FORMATS, container_formats=CONTAINER_FORMATS, count_limit=count_limit)
        self.members = MemberService(self.db, self.enforcer, quotas, notifier)

    def new_image(self, ctx=OWNER, properties=None, tags=(), **attributes):
        """An image made by *ctx*; an administrator helps with public ones."""
        public = attributes.get('visibility') == 'public' and not ctx.is_admin
        if public:
            attributes['owner'] = ctx.project_id
        return self.images.create(ADMIN if public else ctx, None, attributes, properties or {}, tags)

    def activate(self, image_id, *stores):
        """Give the image data in *stores* as an upload would."""
        upload = Upload(id=image_id, image_id=image_id, node='test', store=stores[0])
        self.db.upload_begin(ADMIN, upload)
        places = [Location(url=f'dict://{store}/{image_id}', store=store) for store in stores]
        for place in places:
            if place.store in self.stores.by_id:
                self.stores.by_id[place.store].objects[place.url] = b'data'
        return self.db.upload_finish(ADMIN, upload.id, ImageChanges({'status': 'active', 'size': 4}), places)

    def stored(self, image_id):
        """The row with everything in it."""
        return self.db.image_get(ADMIN, image_id)

    def change(self, **fields):
        """A ``build`` function for patch that asks for the same changes whatever the image."""
        changes = ImageChanges(**fields)
        return lambda image: changes

    def read_only(self, ctx):
        return dataclasses.replace(ctx, read_only=True)
