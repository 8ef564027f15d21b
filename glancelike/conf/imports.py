"""Image import: what it may do, and where its data wait."""

from oslo_config import cfg

DEFAULT_OPTIONS = (
    cfg.BoolOpt('enable_image_import', default=True, help="""
Serve image import: ``PUT /v2/images/{id}/stage``, ``POST /v2/images/{id}/import`` and ``GET /v2/info/import``.
When false they answer 404."""),
    cfg.ListOpt('enabled_import_methods', default=['glance-direct', 'web-download', 'copy-image'], help="""
Import methods that may be used: names of entry points in ``glancelike.import_methods``; brackets round the list
are understood. ``glance-direct`` needs staging, ``copy-image`` several stores: it is left out where there is one."""),
    cfg.StrOpt('node_staging_uri', help="""
Directory for staged data as ``file:///directory``, the form of earlier releases. ``[staging] store`` and the group
``[os_glance_staging_store]`` come first. When none of the three is set, staged data go into
``os_glance_staging_store`` beside the directory of the default store, if that is a filesystem store."""),
)

IMPORT_OPTIONS = (
    cfg.ListOpt('image_import_plugins', default=[], help="""
What is done to the data of every image that is imported (but for ``copy-image``), in this order: names of entry
points in ``glancelike.import_plugins``, for instance ``image_decompression, image_conversion,
inject_image_metadata``. Brackets round the list are understood."""),
    cfg.IntOpt('max_parallel_stores', default=1, min=1, max=64, help="""
To how many further stores one import writes at the same time, once the first store has the data."""),
)

STAGING_OPTIONS = (
    cfg.StrOpt('store', help="""
Store in which data wait for their import: one of ``enabled_backends``. It is reserved for that then: images are
not stored there, and it is not listed. Use one that all nodes and workers reach (Swift, S3, Ceph, a shared file
system) when there is more than one; each node having its own directory, an import may run only where its data are."""),
)

GROUPS = {'DEFAULT': DEFAULT_OPTIONS, 'image_import_opts': IMPORT_OPTIONS, 'staging': STAGING_OPTIONS}
