"""``inject_image_metadata``: the operator's properties on what others import."""

from __future__ import annotations

import dataclasses
from typing import Any

from oslo_config import cfg
from oslo_config import types as cfg_types

from glancelike.plugin import Content, Image, ImportJob, ImportPlugin, errors

_GROUP = 'inject_metadata_properties'
#: Names that begin so are the service's own (Images API, "Reserved properties").
_RESERVED_PREFIX = 'os_glance'
_NAME_LENGTH = 255  # of a property's name in every database
_ADMIN = 'admin'


class InjectImageMetadata(ImportPlugin):
    """Sets properties on every image that is imported, unless its importer has one of certain roles."""

    OPTION_GROUP = _GROUP
    OPTIONS = (
        cfg.Opt('inject', type=cfg_types.Dict(cfg_types.String()), default={}, sample_default='', help="""
Properties that an imported image gets, as ``name:value`` pairs with commas between them; names and values may stand in
double quotes, and have no comma in them. They replace those of the same name. Names that begin with ``os_glance`` are
left out."""),
        cfg.ListOpt('ignore_user_roles', default=[_ADMIN], bounds=False, help="""
Whoever imports with one of these roles gets no properties from ``inject``."""),
    )

    def __init__(self, options: Any):
        super().__init__(options)
        given = {_bare(name): _bare(value) for name, value in options.inject.items()}
        attributes = {field.name for field in dataclasses.fields(Image)} | {'self', 'schema', 'file', 'stores'}
        for name in given:
            if not 0 < len(name) <= _NAME_LENGTH or name in attributes:
                raise errors.ConfigurationError(
                    f"[{_GROUP}] inject: '{name}' cannot be the name of a property: it is an attribute of every image, "
                    f'or not 1 to {_NAME_LENGTH} characters long.')
        self._properties = {name: value for name, value in given.items()
                            if not name.lower().startswith(_RESERVED_PREFIX)}
        self._ignored = {role.strip().lower() for role in options.ignore_user_roles}

    def process(self, job: ImportJob, content: Content) -> Content:
        """See ImportPlugin.process."""
        roles = job.caller.roles | ({_ADMIN} if job.caller.is_admin else frozenset())
        if not self._properties or roles & self._ignored:
            return content
        return dataclasses.replace(content, properties={**content.properties, **self._properties})


def _bare(text: str) -> str:
    """Without the quotes that the sample files of earlier releases put round names and values. oslo.config has taken
    the first and the last one away where all of the value began and ended with one."""
    return text.strip().strip('"')
