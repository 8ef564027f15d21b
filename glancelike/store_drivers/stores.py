"""The configured stores, by name and by location."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from glancelike import errors
from glancelike.model.image import Location
from glancelike.store_drivers.base import StoreDriver
from glancelike.store_drivers.checked import CheckedStore

if TYPE_CHECKING:
    from glancelike.core.threads import NativeThreads

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class StoreSpec:
    """What is to be one store.

    :ivar weight: higher is read from first
    :ivar reserved: serves the service itself (staging); not listed, not for images
    :ivar driver_name: as configured
    """

    id: str
    driver: StoreDriver
    description: str | None = None
    weight: int = 0
    is_default: bool = False
    reserved: bool = False
    driver_name: str = ''


class Stores:
    """All stores, each in its one wrapper.

    :param specs: in the order of the configuration
    :raises ConfigurationError: an id is given twice, or not exactly one store is the default
    """

    def __init__(self, specs: Sequence[StoreSpec], threads: NativeThreads):
        self._stores: dict[str, CheckedStore] = {}
        for spec in specs:
            if spec.id in self._stores:
                raise errors.ConfigurationError(reason=f"store '{spec.id}' is configured twice")
            self._stores[spec.id] = CheckedStore(
                spec.driver, threads, description=spec.description, weight=spec.weight, reserved=spec.reserved,
                is_default=spec.is_default, driver_name=spec.driver_name)
        defaults = [one for one in self._stores.values() if one.is_default]
        if len(defaults) != 1 or defaults[0].reserved:
            raise errors.ConfigurationError(reason='exactly one store must be the default, and no reserved one')
        self._default = defaults[0]
        self._prefixes = [(prefix, one) for one in self._stores.values() for prefix in one.url_prefixes()]

    @property
    def default(self) -> CheckedStore:
        """Takes uploads that name no store."""
        return self._default

    @property
    def weights(self) -> Mapping[str, int]:
        """Weight by id, of stores for images."""
        return {one.id: one.weight for one in self.all()}

    def all(self) -> list[CheckedStore]:
        """The stores for images, in the order of the configuration; reserved ones are not among them."""
        return [one for one in self._stores.values() if not one.reserved]

    def every(self) -> list[CheckedStore]:
        """All stores, reserved ones too."""
        return list(self._stores.values())

    def any(self, store_id: str) -> CheckedStore:
        """A store, reserved or not. :raises UnknownStore: there is none of that id"""
        try:
            return self._stores[store_id]
        except KeyError:
            raise errors.UnknownStore(store=store_id) from None

    def get(self, store_id: str) -> CheckedStore:
        """A store for images. :raises UnknownStore: there is none of that id, or it is reserved"""
        found = self._stores.get(store_id)
        if found is None or found.reserved:
            raise errors.UnknownStore(store=store_id)
        return found

    def reserved(self, store_id: str) -> CheckedStore | None:
        """The reserved store of that id (``os_glance_staging_store``), or None where it is not configured."""
        found = self._stores.get(store_id)
        return found if found is not None and found.reserved else None

    def for_location(self, location: Location) -> CheckedStore:
        """The store that serves the location: the one it names, else the one with the longest URL prefix.

        Rows of an earlier configuration may name no store, or one that was renamed. Among equal prefixes the
        default store, then the first configured, is taken.

        :raises UnknownStore: no configured store serves it
        """
        named = self._stores.get(location.store or '')
        if named is not None:
            return named
        fitting = [(len(prefix), one.is_default, one) for prefix, one in self._prefixes
                   if location.url.startswith(prefix) and not one.reserved]
        if not fitting:
            raise errors.UnknownStore(store=location.store or location.url.partition('://')[0][:32])
        return max(fitting, key=lambda fit: fit[:2])[2]  # max gives the first of equals

    def state(self, store_id: str) -> str:
        """``up``, ``read_only`` or ``down``, as last seen. :raises UnknownStore: no such store"""
        return self.get(store_id).state

    def start_check(self) -> None:
        """Ask every store once, at start: one that does not answer is served as down.

        :raises ConfigurationError: a store answers that it will never work as configured; names the store
        """
        for store in self._stores.values():
            try:
                store.check()
            except errors.StoreReadOnly:
                LOG.warning('store %s can be read but takes no data for now', store.id)
            except errors.ConfigurationError as error:
                raise errors.ConfigurationError(
                    reason=f"store '{store.id}' (driver {store.driver_name}) cannot be used: {error}") from error
            except errors.StoreError as error:
                LOG.warning('store %s is not available; it will be asked again: %s', store.id, error)
