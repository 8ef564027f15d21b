"""Rules of what the service tells about itself."""

from glancelike.policies.rules.base import SERVICE, rule

RULES = (
    rule('stores_info_detail', SERVICE, 'See how the stores are configured.', 'GET /v2/info/stores/detail'),
)
