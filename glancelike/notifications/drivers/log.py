"""Writes each notification to the log as one line of JSON."""

import datetime
import json
import logging
import uuid

from glancelike.notifications.base import NotificationDriver

LOG = logging.getLogger('glancelike.notification')
_LEVELS = {'INFO': logging.INFO, 'ERROR': logging.ERROR}


class LogDriver(NotificationDriver):
    """Notifications as log lines of the logger ``glancelike.notification``."""

    def send(self, context, event_type, priority, payload):
        """Log the notification at the level of its priority."""
        LOG.log(_LEVELS[priority], '%s', json.dumps({
            'message_id': str(uuid.uuid4()), 'publisher_id': self.publisher_id, 'event_type': event_type,
            'priority': priority, 'payload': payload, 'timestamp': datetime.datetime.now(datetime.UTC).isoformat(),
        }, sort_keys=True, default=str))
