"""What image records may hold, and what a list of them may cost."""

from oslo_config import cfg

OPTIONS = (
    cfg.BoolOpt('allow_additional_image_properties', default=True, help="""
May users give images properties that neither the API nor ``schema-image.json`` knows? When false, such a
property in a request answers 400; images that have some already keep them."""),
    cfg.IntOpt('count_limit', default=10_000, min=0, max=1_000_000, help="""
A list that is asked for its total (``with_count=true``) is counted up to this many images; beyond it the answer
says that there are at least that many."""),
)

GROUPS = {'DEFAULT': OPTIONS}
