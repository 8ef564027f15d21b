"""How much one image and one project may have."""

from oslo_config import cfg

OPTIONS = (
    cfg.IntOpt('image_member_quota', default=128, help="""
Most projects that one image may be shared with; more answer 413. A negative number is no limit."""),
    cfg.IntOpt('image_property_quota', default=128, help="""
Most properties of one image, those of the service itself (``os_glance...``) and those that the caller may not
read not counted; more answer 413. A negative number is no limit. An image that has more already (the value was
lowered) may keep or lose them, but gets no further ones."""),
    cfg.IntOpt('image_tag_quota', default=128, help="""
Most tags of one image; more answer 413. A negative number is no limit."""),
    cfg.IntOpt('image_location_quota', default=10, help="""
Most locations of one image; more answer 413. A negative number is no limit."""),
    cfg.StrOpt('user_storage_quota', default='0', help="""
Bytes that all images of one project may take, every copy counted: a whole number and a unit, ``B``, ``KB``,
``MB``, ``GB`` or ``TB`` (powers of 1024; bytes without a unit), for instance ``500GB``. ``0`` is no limit.

An upload reserves what it needs before it is stored, so that uploads at the same time, also through several API
nodes, stay below the limit together. Without effect when ``use_keystone_limits`` is true."""),
    cfg.BoolOpt('use_keystone_limits', default=False, help="""
Ask Keystone for the limits of each project (unified limits) instead of ``user_storage_quota``.

Register these limits in Keystone for the endpoint that ``[oslo_limit]`` names: ``image_size_total`` and
``image_stage_total`` (MiB), ``image_count_total``, ``image_count_uploading``. A limit that is not registered
counts as 0: nothing is allowed; -1 is no limit. ``[oslo_limit]`` also says how to log in to Keystone. Needs
``pip install glancelike[limits]``."""),
)

GROUPS = {'DEFAULT': OPTIONS}
