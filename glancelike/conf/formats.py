"""Formats of images, and what is checked of them while data come in."""

from oslo_config import cfg

OPTIONS = (
    cfg.ListOpt('container_formats', deprecated_group='DEFAULT',
                default=['ami', 'ari', 'aki', 'bare', 'ovf', 'ova', 'docker', 'compressed'],
                help='Values that ``container_format`` of an image may have.'),
    cfg.ListOpt('disk_formats', deprecated_group='DEFAULT',
                default=['ami', 'ari', 'aki', 'vhd', 'vhdx', 'vmdk', 'raw', 'qcow2', 'vdi', 'iso', 'ploop'],
                help='Values that ``disk_format`` of an image may have.'),
    cfg.ListOpt('vmdk_allowed_types', default=['streamOptimized', 'monolithicSparse'], help="""
Subformats (``createType``) of VMDK images that may be uploaded; upper and lower case are the same.

The safety check itself accepts ``streamOptimized`` and ``monolithicSparse`` only, since all others name files outside
of the image: more names in this list do not widen it. An empty list refuses every VMDK image."""),
    cfg.BoolOpt('require_image_format_match', default=True, help="""
Refuse (415) data that are not of the image's ``disk_format``. Counts for ``container_format`` ``bare``.

When false such data are stored, with a warning in the log. Data that fail the safety check of what they are (a qcow2
with a backing file, for instance) are refused in any case."""),
    cfg.ListOpt('gpt_safety_checks_nonfatal', default=[], help="""
Safety checks of GPT and MBR partition tables whose failure is logged and does not refuse the image: ``mbr``."""),
)

GROUPS = {'image_format': OPTIONS}
