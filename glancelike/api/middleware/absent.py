"""A filter of a capability that this version does not have: passes everything through, and says so once.

Place: anywhere. The flavors ``caching`` and ``cachemanagement`` of Glance keep working with it.

Options (in the paste file): ``capability``, what the filter would do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

LOG = logging.getLogger(__name__)


def filter_factory(global_conf: Mapping[str, Any], capability: str = 'a filter', **local_conf: Any
                   ) -> Callable[[Any], Any]:
    """For paste; the warning comes when a pipeline with the filter is built."""
    LOG.warning('%s is not part of this version; its filter passes everything through.', capability.capitalize())
    return lambda app: app
