"""The suite of the database contract (``glancelike/db_drivers/base.py``), by noun::

    class JsonDbTest(DbSuite, testtools.TestCase):
        def make_driver(self):
            return JsonDbDriver(plugin.options_for(JsonDbDriver, path=...))

        def reopen(self, driver):  # only where PERSISTENT is claimed
            return JsonDbDriver(driver.options)

The hooks that an author may give are the first methods of ``case.DbCase``.
"""

from glancelike.compliance.db.deletion import DeletionSuite
from glancelike.compliance.db.image_list import ImageListSuite
from glancelike.compliance.db.images import ImageSuite
from glancelike.compliance.db.life import LifeSuite
from glancelike.compliance.db.locations import LocationSuite
from glancelike.compliance.db.members import MemberSuite
from glancelike.compliance.db.tags import TagSuite
from glancelike.compliance.db.task_uploads import TaskUploadSuite
from glancelike.compliance.db.tasks import TaskSuite
from glancelike.compliance.db.uploads import UploadSuite
from glancelike.compliance.db.values import ValueSuite

__all__ = ['DbSuite', 'DeletionSuite', 'ImageListSuite', 'ImageSuite', 'LifeSuite', 'LocationSuite', 'MemberSuite',
           'TagSuite', 'TaskSuite', 'TaskUploadSuite', 'UploadSuite', 'ValueSuite']


class DbSuite(ImageSuite, DeletionSuite, ValueSuite, ImageListSuite, TagSuite, MemberSuite, UploadSuite, TaskSuite,
              TaskUploadSuite, LocationSuite, LifeSuite):
    """Everything that the contract says; a mixin for a ``testtools.TestCase`` or a ``unittest.TestCase``."""
