"""Health check at ``/healthcheck``: 200 ``OK`` or 503 and the reason, as text, HTML or JSON by Accept.

Place: an application beside the pipeline (``/healthcheck: healthcheck`` in a composite), without authentication;
as a filter (Glance's older paste files) anywhere, which answers that path and passes everything else on.

Asked are: the database (503 when it does not answer), the stores (503 when none of them is up: with one store
down images of the others can still be had, so that is told in the reason only), and the back ends that
``backends`` names (``disable_by_file`` and others of oslo.middleware).

Options: the group ``[healthcheck]``, those in the section of the paste file win: ``backends``,
``disable_by_file_path``, ``detailed`` (tells versions and stack traces of all threads: never towards users),
``allowed_source_ranges``, ``ignore_proxied_requests``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from oslo_middleware import healthcheck
from oslo_middleware.healthcheck import opts, pluginbase

from glancelike import errors

PATH = '/healthcheck'


class Healthcheck(healthcheck.Healthcheck):
    """oslo.middleware's application, which asks our database and stores too."""

    def __init__(self, services: Any, local_conf: Mapping[str, Any]):
        services.conf.register_opts(opts.HEALTHCHECK_OPTS, group='healthcheck')
        services.conf.register_opts(opts.DISABLE_BY_FILE_OPTS, group='healthcheck')
        services.conf.register_opts(opts.DISABLE_BY_FILES_OPTS, group='healthcheck')
        services.conf.register_opts(opts.ENABLE_BY_FILES_OPTS, group='healthcheck')
        for name, value in local_conf.items():
            if name in services.conf.healthcheck:
                services.conf.set_override(name, value, group='healthcheck')
        super().__init__(None, services.conf)
        self._backends = [*self._backends, _Check(_database, services), _Check(_stores, services)]

    def _make_text_response(self, results: list[pluginbase.HealthcheckResult], healthy: bool) -> tuple[str, str]:
        lines = dict.fromkeys(one.reason for one in results)  # one OK is enough
        return '\n'.join(line for line in lines if healthy or line != 'OK'), 'text/plain'


class _Check:
    """Looks to oslo.middleware like one of its extensions."""

    def __init__(self, ask: Callable[[Any], pluginbase.HealthcheckResult], services: Any):
        self._ask, self._services = ask, services
        self.obj = self

    def healthcheck(self, server_port: int) -> pluginbase.HealthcheckResult:
        return self._ask(self._services)


def _database(services: Any) -> pluginbase.HealthcheckResult:
    try:
        services.db.ping()
    except errors.GlanceError:
        return pluginbase.HealthcheckResult(available=False, reason='database does not answer')
    return pluginbase.HealthcheckResult(available=True, reason='OK', details='database answers')


def _stores(services: Any) -> pluginbase.HealthcheckResult:
    stores = services.stores.all()
    down = [store for store in stores if not _answers(store)]
    if not down:
        return pluginbase.HealthcheckResult(available=True, reason='OK', details='stores are up')
    # A read-only store (http) that is up does not make a node useful whose own stores are all down.
    needed = [store for store in stores if not store.read_only] or stores
    return pluginbase.HealthcheckResult(available=any(store not in down for store in needed),
                                        reason=f'store {", ".join(store.id for store in down)} down',
                                        details=f'up: {len(stores) - len(down)} of {len(stores)}')


def _answers(store: Any) -> bool:
    try:
        store.check()
    except errors.StoreReadOnly:
        return True
    except errors.GlanceError:
        return False
    return True


def app_factory(global_conf: Mapping[str, Any], **local_conf: Any) -> Healthcheck:
    """For paste: the application ``healthcheck``."""
    return Healthcheck(global_conf['glancelike.services'], local_conf)


def filter_factory(global_conf: Mapping[str, Any], **local_conf: Any) -> Callable[[Any], Any]:
    """For paste: the filter ``healthcheck``; ``path`` in its section moves it."""
    path = local_conf.pop('path', PATH)
    check = app_factory(global_conf, **local_conf)

    def make(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        def choose(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            return (check if environ.get('PATH_INFO') == path else app)(environ, start_response)
        return choose
    return make
