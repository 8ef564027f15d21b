"""Paste pipelines: finding the paste file, and understanding one written for Glance.

A paste file names factories by dotted path. Those of Glance 33 are mapped to ours, so that an operator's
``glance-api-paste.ini`` works as it is; a filter whose capability is not here yet is passed through with one
warning.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from oslo_config import cfg
from paste.deploy import loadwsgi

from glancelike import config, errors

#: Key of the paste configuration under which factories find the built service.
SERVICES_KEY = 'glancelike.services'

_MIDDLEWARE = 'glancelike.api.middleware'

#: Factory as Glance's paste files name it -> ours.
FACTORIES: Mapping[str, str] = {
    'glance.api:root_app_factory': 'glancelike.api.versions:root_app_factory',
    'glance.api.versions:create_resource': 'glancelike.api.versions:app_factory',
    'glance.api.v2.router:API.factory': 'glancelike.api.v2.router:app_factory',
    'glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory':
        f'{_MIDDLEWARE}.version_negotiation:filter_factory',
    'glance.api.middleware.context:ContextMiddleware.factory': f'{_MIDDLEWARE}.context:filter_factory',
    'glance.api.middleware.context:UnauthenticatedContextMiddleware.factory':
        f'{_MIDDLEWARE}.context:unauthenticated_filter_factory',
    'glance.api.middleware.gzip:GzipMiddleware.factory': f'{_MIDDLEWARE}.gzip:filter_factory',
    'keystonemiddleware.auth_token:filter_factory': f'{_MIDDLEWARE}.authtoken:filter_factory',
    'oslo_middleware.cors:filter_factory': f'{_MIDDLEWARE}.cors:filter_factory',
    'oslo_middleware:CORS.factory': f'{_MIDDLEWARE}.cors:filter_factory',
    'oslo_middleware.http_proxy_to_wsgi:HTTPProxyToWSGI.factory': f'{_MIDDLEWARE}.http_proxy_to_wsgi:filter_factory',
    'oslo_middleware:HTTPProxyToWSGI.factory': f'{_MIDDLEWARE}.http_proxy_to_wsgi:filter_factory',
    'oslo_middleware:Healthcheck.app_factory': f'{_MIDDLEWARE}.healthcheck:app_factory',
    'oslo_middleware.healthcheck:Healthcheck.app_factory': f'{_MIDDLEWARE}.healthcheck:app_factory',
    'oslo_middleware:Healthcheck.factory': f'{_MIDDLEWARE}.healthcheck:filter_factory',
    'oslo_middleware.healthcheck:Healthcheck.factory': f'{_MIDDLEWARE}.healthcheck:filter_factory',
    'oslo_middleware:RequestId.factory': f'{_MIDDLEWARE}.request_id:filter_factory',
}

#: Filters of capabilities that are not here yet -> what they would do.
PASSED_THROUGH: Mapping[str, str] = {
    'glance.api.middleware.cache:CacheFilter.factory': 'the image cache',
    'glance.api.middleware.cache_manage:CacheManageFilter.factory': 'the management of the image cache',
    'osprofiler.web:WsgiMiddleware.factory': 'profiling',
}

_KINDS = ('paste.app_factory', 'paste.filter_factory', 'paste.composite_factory')


def paste_file(conf: cfg.ConfigOpts, prog: str) -> str:
    """Path of the paste file: ``[paste_deploy] config_file``, else ``<prog>-paste.ini`` beside the configuration.

    :raises ConfigurationError: there is none
    """
    name = conf.paste_deploy.config_file
    if not name:
        main = config.main_file(conf) or ''
        own = main.removesuffix('.conf') + '-paste.ini'
        name = own if main.endswith('.conf') and config.beside(conf, own) else f'{prog}-paste.ini'
    path = config.beside(conf, name)
    if path is None:
        raise errors.ConfigurationError(f"The paste configuration file '{name}' of {prog} cannot be located. "
                                        'Set [paste_deploy] config_file.')
    return path


def load(conf: cfg.ConfigOpts, prog: str, services: Any) -> Callable[..., Any]:
    """The WSGI application of *prog*, built as its paste file and ``[paste_deploy] flavor`` say.

    :raises ConfigurationError: no such file or pipeline, or a factory that cannot be loaded
    """
    path, name = paste_file(conf, prog), _name(conf, prog)
    try:
        loader = loadwsgi.ConfigLoader(path)
        _map_factories(loader.parser, path)
        context = loader.get_context(loadwsgi.APP, name, global_conf={SERVICES_KEY: services})
        return context.create()
    except errors.GlanceError:
        raise
    except LookupError as error:
        raise errors.ConfigurationError(
            f"The paste configuration file {path} has no application '{name}' "
            f'([paste_deploy] flavor is {conf.paste_deploy.flavor or "not set"}): {error}') from error
    except Exception as error:  # PasteDeploy and every factory raise their own
        raise errors.ConfigurationError(f'The pipeline {name} of {path} cannot be built: '
                                        f'{type(error).__name__}: {error}') from error


def import_factories(conf: cfg.ConfigOpts, prog: str) -> None:
    """Import what the pipeline of *prog* is made of, so that processes forked later share it. What cannot be found or
    imported is left to ``load``, which says why.

    :raises ConfigurationError: no such file
    """
    path = paste_file(conf, prog)
    with contextlib.suppress(Exception):  # whatever it is, ``load`` meets it again
        parser = loadwsgi.ConfigLoader(path).parser
        _map_factories(parser, path)
        for section in _in_use(parser, _name(conf, prog)):
            for key in _KINDS:
                if parser.has_option(section, key):
                    with contextlib.suppress(Exception):
                        importlib.import_module(parser.get(section, key).partition(':')[0])


def _name(conf: cfg.ConfigOpts, prog: str) -> str:
    flavor = conf.paste_deploy.flavor
    return f'{prog}-{flavor}' if flavor else prog


def _in_use(parser: Any, name: str) -> Iterator[str]:
    """The sections that make up the application of that name: all that it, or one of them, mentions."""
    sections = {section.partition(':')[2]: section for section in parser.sections()}
    todo, met = [name], set()
    while todo:
        section = sections.get(todo.pop())
        if section is not None and section not in met:
            met.add(section)
            yield section
            todo += [word for _key, value in parser.items(section) for word in value.split()]


def _map_factories(parser: Any, path: str) -> None:
    for section in parser.sections():
        for key in _KINDS:
            if not parser.has_option(section, key):
                continue
            factory = parser.get(section, key)
            if factory in PASSED_THROUGH:
                parser.set(section, key, f'{_MIDDLEWARE}.absent:filter_factory')
                parser.set(section, 'capability', PASSED_THROUGH[factory])
            elif factory in FACTORIES:
                parser.set(section, key, FACTORIES[factory])
            elif factory.startswith('glance.'):
                raise errors.ConfigurationError(f'[{section}] of {path}: there is no {factory} here.')
