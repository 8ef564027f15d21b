"""Sends notifications to the message bus through oslo.messaging (``pip install glancelike[messaging]``).

oslo.messaging gets a configuration object of its own, read from the same files: its options and ours share
the group ``[oslo_messaging_notifications]``.

Requests wait for the bus, so it matters what happens when it does not answer. Where the operator does not set
``[oslo_messaging_notifications] retry``, a notification is tried once more after a second and then given up with an
error in the log; oslo.messaging's own default is to try for ever, and so would the request.
"""

from __future__ import annotations

from oslo_config import cfg

from glancelike import errors
from glancelike.notifications.base import NotificationDriver

_RETRIES = 1


class MessagingDriver(NotificationDriver):
    """Notifications on the bus that ``transport_url`` names, topic ``notifications`` unless set otherwise."""

    def __init__(self, conf, publisher_id, name):
        super().__init__(conf, publisher_id, name)
        try:
            import oslo_messaging
        except ImportError as error:
            raise errors.ConfigurationError(
                f'the notification driver {name} needs oslo.messaging: pip install glancelike[messaging]') from error
        own = cfg.ConfigOpts()
        own([], project='glance', default_config_files=list(conf.config_file or []),
            default_config_dirs=list(conf.config_dir or []))
        try:
            transport = oslo_messaging.get_notification_transport(own)
            self._notifier = oslo_messaging.Notifier(
                transport, publisher_id=publisher_id, driver='messagingv2' if name == 'messaging' else name)
            retry = own.get_location('retry', 'oslo_messaging_notifications')
            if not retry.location.is_user_controlled:
                self._notifier = self._notifier.prepare(retry=_RETRIES)
        except Exception as error:  # oslo.messaging raises several kinds; none may show the URL's password
            raise errors.ConfigurationError(
                f'notification driver {name}: the transport cannot be set up ({type(error).__name__}); '
                'see transport_url') from error

    def send(self, context, event_type, priority, payload):
        """Hand the notification to oslo.messaging; its context is empty, as consumers of Glance know it."""
        emit = self._notifier.error if priority == 'ERROR' else self._notifier.info
        emit({}, event_type, dict(payload))
