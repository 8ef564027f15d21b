"""Keystone's unified limits through oslo.limit; the only module that knows it, loaded with ``use_keystone_limits``.

oslo.limit is imported when the object is made: the service runs without it as long as the option is off.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

from glancelike import errors
from glancelike.core.quotas import COUNT_TOTAL, COUNT_UPLOADING, MIB, RESOURCES, SIZE_TOTAL, STAGE_TOTAL
from glancelike.model.upload import Usage

LOG = logging.getLogger(__name__)

GROUP = 'oslo_limit'


class KeystoneLimits:
    """Limits registered in Keystone for this service's endpoint, against usage from our database.

    Limits are read from Keystone at every check, so that a change there counts at once.

    :param conf: an oslo.config ConfigOpts; ``[oslo_limit]`` says how to reach Keystone and names our endpoint
    :param usage: what a project holds now (``DbDriver.usage``)
    :raises ConfigurationError: oslo.limit is not installed, or ``[oslo_limit]`` lacks what it needs
    """

    def __init__(self, conf: Any, usage: Callable[[str], Usage]):
        try:
            from oslo_limit import exception, limit, opts
        except ImportError as error:
            raise errors.ConfigurationError(
                '[DEFAULT] use_keystone_limits needs oslo.limit: pip install glancelike[limits].') from error
        # oslo.limit 2.12 reads the global oslo_config.cfg.CONF, whatever configuration its caller has, and keeps one
        # connection for the whole process. It knows both by these names only; the lines can go when it takes a
        # configuration as an argument.
        limit.CONF = opts.CONF = conf
        limit._SDK_CONNECTION = None
        opts.register_opts(conf)
        _check_options(conf)
        self._library = limit
        self._over_limit = exception.ProjectOverLimit
        self._usage = usage
        self._lock = threading.Lock()
        self._enforcer: Any = None

    def enforce(self, project_id: str, deltas: Mapping[str, int]) -> None:
        """See ``core.quotas.UnifiedLimits``. :raises ServiceUnavailable: Keystone does not answer."""
        self._ask(lambda enforcer: enforcer.enforce(project_id, dict(deltas)))

    def of(self, project_id: str) -> dict[str, tuple[int, int]]:
        """See ``core.quotas.UnifiedLimits``. :raises ServiceUnavailable: Keystone does not answer."""
        held = self._ask(lambda enforcer: enforcer.calculate_usage(project_id, list(RESOURCES)))
        return {name: (held[name].limit, held[name].usage) for name in RESOURCES}

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        try:
            return question(self._connected())
        except errors.GlanceError:
            raise  # from our own database, by way of the usage callback
        except self._over_limit as over:
            first = over.over_limit_info_list[0]
            raise errors.QuotaExceeded(resource=first.resource_name, limit=first.limit,
                                       wanted=first.current_usage + first.delta) from over
        except Exception as error:  # keystoneauth, the SDK and oslo.limit each raise their own, ValueError included
            LOG.error('Keystone could not be asked for limits: %s: %s', type(error).__name__, error)
            raise errors.ServiceUnavailable(reason='The limits of the project cannot be read at the moment; '
                                                   'try again.') from error

    def _connected(self) -> Any:
        """The enforcer, made at first use: Keystone may be down when the service starts."""
        with self._lock:
            if self._enforcer is None:
                self._enforcer = self._library.Enforcer(self._held, cache=False)
            return self._enforcer

    def _held(self, project_id: str | None, resources: Collection[str]) -> dict[str, int]:
        held = self._usage(project_id or '')
        values = {
            SIZE_TOTAL: held.stored_bytes // MIB,
            STAGE_TOTAL: held.staged_bytes // MIB,
            COUNT_TOTAL: held.images,
            COUNT_UPLOADING: held.uploading,
        }
        return {name: values[name] for name in resources}


def _check_options(conf: Any) -> None:
    group = conf[GROUP]
    if not (group.auth_type or group.auth_section):
        raise errors.ConfigurationError(f'use_keystone_limits needs [{GROUP}] auth_type and the options of that '
                                        'authentication.')
    if not (group.endpoint_id or group.endpoint_service_type or group.endpoint_service_name):
        raise errors.ConfigurationError(f'use_keystone_limits needs [{GROUP}] endpoint_id, or endpoint_service_type '
                                        'or endpoint_service_name, to know which limits are ours.')
