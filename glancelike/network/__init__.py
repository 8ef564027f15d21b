"""Requests to web servers that a user named: addresses checked and pinned, waits bounded, downloads resumed.

Stores and import methods use it as ``glancelike.plugin.network``.
"""

from glancelike.network.addresses import AddressGuard, network_of
from glancelike.network.download import DOWNLOAD_OPTIONS, Download, Limits
from glancelike.network.failures import Failures
from glancelike.network.requests import Answer, Proxies, Requests, Target, judge, tls_context
from glancelike.network.wire import Patience

__all__ = ['DOWNLOAD_OPTIONS', 'AddressGuard', 'Answer', 'Download', 'Failures', 'Limits', 'Patience', 'Proxies',
           'Requests', 'Target', 'judge', 'network_of', 'tls_context']
