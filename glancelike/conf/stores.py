"""Which stores there are, and which drivers serve them."""

from oslo_config import cfg, types

DEFAULT_OPTIONS = (
    cfg.ListOpt('known_stores', default=['filesystem', 'http'], help="""
Store drivers of the short form: one store per driver.

Each entry is the name of an entry point in ``glancelike.store_drivers`` or the dotted path of a class; names
of earlier releases (``file``, ``glance.store.filesystem.Store``) are understood. The options of the drivers
stand in the group ``[glance_store]``. Not used when ``enabled_backends`` is set."""),
    cfg.StrOpt('default_store', default='filesystem', help="""
Store of the short form that takes uploads which name no store: one of ``known_stores``, by driver name or by
URL scheme."""),
    cfg.Opt('enabled_backends', type=types.Dict(types.String()), default={}, help="""
The stores of the service, ``id:driver`` separated by commas, for instance ``fast:filesystem, cold:filesystem``.

Each id is a group of its own in this file with the options of its driver, ``store_description`` and
``weight``. ``[glance_store] default_backend`` must name one of them. Ids that begin with ``os_glance_`` are
reserved. When empty, ``known_stores`` is used."""),
    cfg.StrOpt('location_strategy', default='weight', help="""
Which copy of an image is tried first: the name of an entry point in ``glancelike.location_strategies``.
``weight`` prefers stores of higher ``weight`` and keeps the stored order among equals; ``location_order``
keeps the stored order; ``store_type`` prefers drivers in the order of ``store_type_preference``."""),
)

GLANCE_STORE_OPTIONS = (
    cfg.StrOpt('default_backend', help="""
Id of the store that takes uploads which name no store. Required with ``enabled_backends``."""),
    cfg.ListOpt('stores', help="""
The short form under the name of later releases: used like ``known_stores``, which it overrides."""),
    cfg.StrOpt('default_store', help="""
The short form under the name of later releases: used like ``[DEFAULT] default_store``, which it overrides."""),
)

#: Options that every store group of the long form has beside its driver's.
STORE_GROUP_OPTIONS = (
    cfg.StrOpt('store_description', help='Text shown to users in /v2/info/stores.'),
    cfg.IntOpt('weight', default=0, help='Preference on download; a higher weight is tried first.'),
)

GROUPS = {'DEFAULT': DEFAULT_OPTIONS, 'glance_store': GLANCE_STORE_OPTIONS}
