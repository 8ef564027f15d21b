"""Sends nothing."""

from glancelike.notifications.base import NotificationDriver


class NoopDriver(NotificationDriver):
    """Nobody is told."""

    def send(self, context, event_type, priority, payload):
        """Do nothing."""
