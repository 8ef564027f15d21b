"""Telling others what happened to images."""

from oslo_config import cfg

OPTIONS = (
    cfg.StrOpt('default_publisher_id', default='image.localhost', help="""
Who notifications say they come from."""),
    cfg.ListOpt('disabled_notifications', default=[], help="""
Notifications that are not sent: event types (``image.create``) or groups of them (``image``,
``image.member``). A group is what stands before the last dot, so ``image`` leaves ``image.member.create`` on."""),
)

MESSAGING_OPTIONS = (
    cfg.MultiStrOpt('driver', default=[], help="""
How notifications are sent; may be given several times. Names of entry points in
``glancelike.notification_drivers`` (``noop``, ``log``, ``messaging``), or the names that oslo.messaging gives
its drivers (``messagingv2``, ``routing``), which need ``pip install glancelike[messaging]``. The other options
of this group, and ``transport_url``, are oslo.messaging's; ``retry`` is 1 here when it is not set, so that no request
waits for a bus that does not answer."""),
)

GROUPS = {'DEFAULT': OPTIONS, 'oslo_messaging_notifications': MESSAGING_OPTIONS}
