"""The contract of a notification driver: an entry point of ``glancelike.notification_drivers``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class NotificationDriver:
    """Base of all notification drivers.

    :cvar OPTIONS: oslo.config options, read from the group OPTION_GROUP
    :param conf: the service's configuration
    :param publisher_id: who the notifications come from
    :param name: the name under which the driver was asked for
    :raises ConfigurationError: it cannot work this way
    """

    OPTIONS: ClassVar[Sequence[Any]] = ()
    OPTION_GROUP: ClassVar[str] = 'oslo_messaging_notifications'

    def __init__(self, conf: Any, publisher_id: str, name: str):
        self.conf = conf
        self.publisher_id = publisher_id
        self.name = name

    def send(self, context: Mapping[str, Any], event_type: str, priority: str, payload: Mapping[str, Any]) -> None:
        """Send one notification; may raise: the caller logs it and the request goes on.

        :param priority: INFO or ERROR
        """
        raise NotImplementedError
