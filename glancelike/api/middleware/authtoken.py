"""Token check: asks Keystone who sent the token (keystonemiddleware's filter over our configuration).

Place: before ``context``. Identity headers that a client sends itself are removed here.

Options: the group ``[keystone_authtoken]``; those in the filter's section of the paste file win. The decision
what to do without a token is left to ``context`` (``delay_auth_decision``), so that anonymous access can work.

A token that cannot be checked because Keystone does not answer is not called wrong: the request is answered 503.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from glancelike import errors
from glancelike.wsgi import faults
from glancelike.wsgi.request import Request


def filter_factory(global_conf: Mapping[str, Any], **local_conf: Any) -> Callable[[Any], Any]:
    """For paste."""
    # Slow to import, and not needed without Keystone.
    from keystoneauth1 import exceptions as client
    from keystonemiddleware import auth_token
    from keystonemiddleware.auth_token import _exceptions as refusals

    unreachable = (client.ConnectFailure, client.DiscoveryFailure, client.RequestTimeout, refusals.ServiceError)

    class TokenCheck(auth_token.AuthProtocol):
        """The filter, which tells a wrong token from one that could not be checked.

        With ``delay_auth_decision`` keystonemiddleware (13.0) itself takes both for wrong, which a client answers
        with a new log-in instead of a later try.
        """

        def fetch_token(self, token: str, **options: Any) -> Any:
            """What Keystone says of the token. :raises ServiceUnavailable: Keystone does not answer"""
            try:
                return super().fetch_token(token, **options)
            except refusals.InvalidToken as error:
                if isinstance(error.__context__, unreachable):
                    raise errors.ServiceUnavailable(
                        reason='Keystone does not answer, so the token cannot be checked; try again.') from error
                raise

        def process_request(self, request: Any) -> Any:
            """None, or the answer."""
            try:
                return super().process_request(request)
            except errors.ServiceUnavailable as error:
                return faults.response(Request(request.environ), error)

    conf = {'delay_auth_decision': True, **local_conf,
            'oslo_config_config': global_conf['glancelike.services'].conf}
    return lambda app: TokenCheck(app, dict(conf))
