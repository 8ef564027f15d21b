"""What the service tells about itself: its stores, and the caller's usage."""

from __future__ import annotations

from typing import Any

from glancelike import errors
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
        return {'stores': [self._store(store) for store in self._visible_stores()]}

    def stores_detail(self, req: Request) -> dict[str, Any]:
        """GET /v2/info/stores/detail: 200 and how they are configured.

        :raises ResourceNotFound: as ``stores``
        :raises Forbidden: the policy ``stores_info_detail`` refuses
        """
        stores = self._visible_stores()
        self._enforcer.check(req.context, 'stores_info_detail')
        return {'stores': [{**self._store(store), 'type': 'file' if store.driver_name == 'filesystem'
                            else store.driver_name, 'weight': store.weight, 'properties': dict(store.facts())}
                           for store in stores]}

    def usage(self, req: Request) -> dict[str, Any]:
        """GET /v2/info/usage: 200 and what the caller's project uses of its Keystone limits; empty without them."""
        return {'usage': self._quotas.usage(req.context)}

    def _visible_stores(self) -> list[Any]:
        if not self._several_stores:
            raise errors.ResourceNotFound('The service has a single store; no upload need name it.')
        return self._stores.all()

    @staticmethod
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
