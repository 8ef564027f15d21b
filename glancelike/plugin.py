"""The only module that other packages may import: contracts, capabilities, values, errors.

What stands in ``__all__`` keeps its meaning within a major version.
"""

from __future__ import annotations

from typing import Any

from glancelike import errors, network
from glancelike.context import RequestContext
from glancelike.db_drivers import query, visibility
from glancelike.db_drivers.base import MULTI_PROCESS, PERSISTENT, DbDriver
from glancelike.db_drivers.query import Filter, ImageQuery
from glancelike.location_strategies.base import LocationStrategy
from glancelike.model.image import Image, ImageChanges, ImportState, Location, Member
from glancelike.model.task import Task, TaskChanges, TaskQuery
from glancelike.model.upload import Upload, Usage
from glancelike.property_protections.base import ACTIONS, PropertyProtection
from glancelike.store_drivers.base import (
    ADD,
    DELETE,
    DISCARD,
    FREE_SPACE,
    LIST_UNFINISHED,
    LOCAL_FILE,
    NAMES,
    RANDOM_READ,
    READ,
    SHARE,
    Stored,
    StoreDriver,
)
from glancelike.tasks.base import HEAD_BYTES, Caller, Content, ImportJob
from glancelike.tasks.import_methods.base import OWN, STAGED, STORED, ImportMethod
from glancelike.tasks.import_plugins.base import ImportPlugin

__all__ = [
    'ACTIONS', 'ADD', 'DELETE', 'DISCARD', 'FREE_SPACE', 'HEAD_BYTES', 'LIST_UNFINISHED', 'LOCAL_FILE',
    'MULTI_PROCESS', 'NAMES', 'OWN', 'PERSISTENT', 'RANDOM_READ', 'READ', 'SHARE', 'STAGED', 'STORED',
    'Caller', 'Content', 'DbDriver', 'Filter', 'Image', 'ImageChanges', 'ImageQuery', 'ImportJob', 'ImportMethod',
    'ImportPlugin', 'ImportState', 'Location', 'LocationStrategy', 'Member', 'Options', 'PropertyProtection',
    'RequestContext', 'StoreDriver', 'Stored', 'Task', 'TaskChanges', 'TaskQuery', 'Upload', 'Usage',
    'errors', 'network', 'options_for', 'query', 'visibility',
]


class Options:
    """Option values by attribute, read-only: what a driver is given."""

    def __init__(self, **values: Any):
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError('options are read-only')

    def __repr__(self) -> str:
        return f'Options({", ".join(sorted(self.__dict__))})'  # names only: values may be secrets


def options_for(driver: type, **values: Any) -> Options:
    """Option values for a driver made by hand (in a test): its defaults, overridden by *values*.

    :raises TypeError: a value is given for an option that the driver does not have
    """
    defaults = {option.dest: option.default for option in driver.OPTIONS}
    unknown = values.keys() - defaults.keys()
    if unknown:
        raise TypeError(f'{driver.__name__} has no option {", ".join(sorted(unknown))}')
    return Options(**(defaults | values))
