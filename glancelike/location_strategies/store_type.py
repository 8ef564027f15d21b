"""Copies by the kind of store, in a configured order."""

from oslo_config import cfg

from glancelike.plugin import LocationStrategy

#: Kind of store, as operators name it -> first part of the URL schemes that mean it (history of the option).
_SCHEMES = {
    'file': ('file', 'filesystem'), 'filesystem': ('file', 'filesystem'), 'http': ('http', 'https'),
    'rbd': ('rbd',), 'swift': ('swift',), 'cinder': ('cinder',), 'vmware': ('vsphere',), 's3': ('s3',),
}


class StoreType(LocationStrategy):
    """Kinds that are listed in ``store_type_preference`` first, in its order; all others after them."""

    OPTION_GROUP = 'store_type_location_strategy'
    OPTIONS = (
        cfg.ListOpt('store_type_preference', default=[], help="""
Kinds of store in the order in which copies are tried, for ``location_strategy = store_type``: ``file``,
``http``, ``rbd``, ``swift``, ``cinder``, ``vmware``, ``s3``, or a URL scheme. Kinds that are not listed come
last, in the stored order."""),
    )

    def __init__(self, options, weights):
        super().__init__(options, weights)
        self._rank = {}
        for position, kind in enumerate(options.store_type_preference or ()):
            kind = kind.strip().lower()
            for scheme in _SCHEMES.get(kind, (kind,)):
                self._rank.setdefault(scheme, position)

    def ordered(self, locations):
        """See LocationStrategy.ordered."""
        def rank(location):
            scheme = location.url.partition(':')[0].partition('+')[0].lower()
            return self._rank.get(scheme, len(self._rank))
        return sorted(locations, key=rank)
