"""What the service tells about itself: its stores, what can be imported, and the caller's usage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from glancelike import errors
from glancelike.core.imports import ImportService
from glancelike.core.quotas import Quotas
from glancelike.policies.enforcer import Enforcer
from glancelike.store_drivers.stores import Stores
from glancelike.wsgi.request import Request


class DiscoveryController:
    """Actions on /v2/info/...

    :param several_stores: stores have ids that mean something to users (``enabled_backends``)
    """

    def __init__(self, stores: Stores, quotas: Quotas, enforcer: Enforcer, *, several_stores: bool):
        self._stores, self._quotas, self._enforcer = stores, quotas, enforcer
        self._several_stores = several_stores

    def stores(self, req: Request) -> dict[str, Any]:
        """GET /v2/info/stores: 200 and the stores that an upload may name.

        :raises ResourceNotFound: there is a single store, which nobody need name
        """
        return {'stores': [_store(store) for store in self._visible_stores()]}

    def stores_detail(self, req: Request) -> dict[str, Any]:
        """GET /v2/info/stores/detail: 200 and how they are configured.

        :raises ResourceNotFound: as ``stores``
        :raises Forbidden: the policy ``stores_info_detail`` refuses
        """
        stores = self._visible_stores()
        self._enforcer.check(req.context, 'stores_info_detail')
        return {'stores': [{**_store(store), 'type': 'file' if store.driver_name == 'filesystem'
                            else store.driver_name, 'weight': store.weight, 'properties': dict(store.facts())}
                           for store in stores]}

    def usage(self, req: Request) -> dict[str, Any]:
        """GET /v2/info/usage: 200 and what the caller's project uses of its Keystone limits; empty without them."""
        return {'usage': self._quotas.usage(req.context)}

    def _visible_stores(self) -> list[Any]:
        if not self._several_stores:
            raise errors.ResourceNotFound('The service has a single store; no upload need name it.')
        return self._stores.all()


class ImportInfoController:
    """Action on /v2/info/import.

    :param stores: those that an import may name; () where there is a single one
    :param disk_formats: that images may have, as *container_formats*
    :param max_bytes: most bytes of one image
    :param can_stage: data can be staged
    """

    def __init__(self, imports: ImportService, *, stores: Sequence[Any], disk_formats: Sequence[str],
                 container_formats: Sequence[str], max_bytes: int, can_stage: bool):
        self._imports, self._stores = imports, stores
        self._disk_formats, self._container_formats = list(disk_formats), list(container_formats)
        self._max_bytes, self._can_stage = max_bytes, can_stage

    def show(self, req: Request) -> dict[str, Any]:
        """GET /v2/info/import: 200 and what can be imported, and how.

        ``import-methods`` is what earlier releases showed; everything beside it has the same shape.
        """
        methods, plugins = self._imports.methods, self._imports.plugins
        return {
            'import-methods': _told('Import methods available.', 'array', list(methods)),
            'import-method-details': _told('What there is to know of each import method.', 'object', {
                name: dict(method.facts()) for name, method in methods.items()}),
            'import-plugins': _told('What is done to imported data, in this order.', 'array', [
                {'name': name, 'details': dict(plugin.facts())} for name, plugin in plugins.items()]),
            'disk-formats': _told('Disk formats that an image may be said to have.', 'array', self._disk_formats),
            'container-formats': _told('Container formats that an image may be said to have.', 'array',
                                       self._container_formats),
            'max-bytes': _told('Most bytes of one image, as stored and as sent.', 'integer', self._max_bytes),
            'stores': _told('Stores that an import may name; none where there is a single one.', 'array',
                            [_store(store) for store in self._stores]),
            'staging': _told('Can data be staged for import?', 'boolean', self._can_stage),
            'export-methods': _told('Ways to have an image exported: none. The name is reserved.', 'array', []),
        }


def _told(description: str, kind: str, value: Any) -> dict[str, Any]:
    return {'description': description, 'type': kind, 'value': value}


def _store(store: Any) -> dict[str, Any]:
    # 'default' and 'read-only' are texts, and only there when true: clients of Glance expect it so
    shown = {'id': store.id}
    if store.description:
        shown['description'] = store.description
    if store.is_default:
        shown['default'] = 'true'
    if store.read_only:
        shown['read-only'] = 'true'
    return shown
