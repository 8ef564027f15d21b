"""Token check: asks Keystone who sent the token (keystonemiddleware's filter over our configuration).

Place: before ``context``. Identity headers that a client sends itself are removed here.

Options: the group ``[keystone_authtoken]``; those in the filter's section of the paste file win. The decision
what to do without a token is left to ``context`` (``delay_auth_decision``), so that anonymous access can work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def filter_factory(global_conf: Mapping[str, Any], **local_conf: Any) -> Callable[[Any], Any]:
    """For paste."""
    from keystonemiddleware import auth_token  # slow to import, and not needed without Keystone

    conf = {'delay_auth_decision': True, **local_conf,
            'oslo_config_config': global_conf['glancelike.services'].conf}
    return lambda app: auth_token.AuthProtocol(app, dict(conf))
