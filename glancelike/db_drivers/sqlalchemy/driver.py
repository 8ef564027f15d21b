"""``data_api = sqlalchemy``: the catalogue in SQLite, PostgreSQL, MariaDB or MySQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glancelike.db_drivers.sqlalchemy import schema, trial
from glancelike.db_drivers.sqlalchemy.engine import Database
from glancelike.db_drivers.sqlalchemy.image_list import ImageListMethods
from glancelike.db_drivers.sqlalchemy.images import ImageMethods
from glancelike.db_drivers.sqlalchemy.locations import LocationMethods
from glancelike.db_drivers.sqlalchemy.members import MemberMethods
from glancelike.db_drivers.sqlalchemy.options import OPTIONS
from glancelike.db_drivers.sqlalchemy.purge import PurgeMethods
from glancelike.db_drivers.sqlalchemy.tasks import TaskMethods
from glancelike.db_drivers.sqlalchemy.uploads import UploadMethods
from glancelike.db_drivers.sqlalchemy.usage import UsageMethods
from glancelike.plugin import MULTI_PROCESS, PERSISTENT, DbDriver


class SqlalchemyDriver(ImageMethods, ImageListMethods, MemberMethods, UploadMethods, TaskMethods, LocationMethods,
                       UsageMethods, PurgeMethods, DbDriver):
    """The contract of db_drivers/base.py on SQLAlchemy Core; the methods stand in the files of the bases.

    Connects at first use, never in the constructor. Give up the connections (``close``) before a fork.
    """

    OPTIONS = OPTIONS
    OPTION_GROUP = 'database'
    CAPABILITIES = frozenset({PERSISTENT, MULTI_PROCESS})

    def __init__(self, options: Any):
        super().__init__(options)
        self._database = Database(options)
        self._prepare_lists()

    @property
    def schema(self) -> schema.Schema:
        """The tables and their versions, for glance-manage."""
        return schema.Schema(self._database)

    def create_schema(self) -> None:
        self._database.wait_until_up()
        self.schema.sync()

    def check_schema(self) -> None:
        self._database.wait_until_up()
        self.schema.check()

    def ping(self) -> None:
        self._database.ping()

    def close(self) -> None:
        self._database.close()

    @classmethod
    def for_compliance(cls, folder: str, url: str | None, *, again: bool) -> Mapping[str, Any]:
        return trial.options(folder, url, again=again)
