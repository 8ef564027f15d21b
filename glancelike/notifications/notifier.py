"""Sends events to the configured drivers; a failing bus never fails a request."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from glancelike.context import RequestContext
from glancelike.notifications.base import NotificationDriver
from glancelike.notifications.events import Event

LOG = logging.getLogger(__name__)


class Notifier:
    """Where ``core`` sends its events.

    :param disabled: event types or groups (``image``, ``image.member``) that are not sent
    """

    def __init__(self, drivers: Sequence[NotificationDriver], disabled: Collection[str] = ()):
        self._drivers = tuple(drivers)
        self._disabled = frozenset(disabled)

    def send(self, ctx: RequestContext, event: Event) -> None:
        """Send the event unless it is disabled; never raises."""
        group = event.type.rpartition('.')[0]
        if not self._drivers or event.type in self._disabled or group in self._disabled:
            return
        context = {'request_id': ctx.request_id, 'user_id': ctx.user_id, 'project_id': ctx.project_id}
        for driver in self._drivers:
            try:
                driver.send(context, event.type, event.priority, event.payload)
            except Exception:  # whatever a bus raises: the change is made, the request must not fail
                LOG.exception('Notification %s could not be sent by %s', event.type, driver.name)
