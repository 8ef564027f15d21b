"""The Images API v2 as one table: which path and method is which action.

A capability that is not here yet (cache, metadefs) has no line, so that its paths are answered with 404, and no version
in ``api/versions.py``. Likewise import, and staging, where the configuration leaves them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glancelike import errors
from glancelike.api.v2.discovery import DiscoveryController, ImportInfoController
from glancelike.api.v2.image_actions import ImageActionsController
from glancelike.api.v2.image_data import ImageDataController
from glancelike.api.v2.image_import import ImageImportController, ImageStageController
from glancelike.api.v2.image_locations import ImageLocationsController
from glancelike.api.v2.image_members import ImageMembersController
from glancelike.api.v2.image_tags import ImageTagsController
from glancelike.api.v2.images import ImagesController
from glancelike.api.v2.schemas import Schemas, SchemasController, base_properties, read_extra_properties
from glancelike.api.v2.tasks import TasksController
from glancelike.api.v2.views import ImageView
from glancelike.tasks.import_methods.base import STAGED
from glancelike.wsgi.resource import Resource
from glancelike.wsgi.router import JSON, RAW, Route


def table(images: ImagesController, data: ImageDataController, actions: ImageActionsController,
          tags: ImageTagsController, members: ImageMembersController, discovery: DiscoveryController,
          tasks: TasksController, schemas: SchemasController, locations: ImageLocationsController) -> list[Route]:
    """Every route below /v2 but those of import."""
    return [
        Route('GET', '/images', images.index),
        Route('POST', '/images', images.create, JSON),
        Route('GET', '/images/{image_id}', images.show),
        Route('PATCH', '/images/{image_id}', images.update, RAW),
        Route('DELETE', '/images/{image_id}', images.delete),

        Route('GET', '/images/{image_id}/file', data.download),
        Route('HEAD', '/images/{image_id}/file', data.describe),
        Route('PUT', '/images/{image_id}/file', data.upload, RAW),

        Route('POST', '/images/{image_id}/actions/deactivate', actions.deactivate),
        Route('POST', '/images/{image_id}/actions/reactivate', actions.reactivate),

        Route('PUT', '/images/{image_id}/tags/{tag}', tags.add),
        Route('DELETE', '/images/{image_id}/tags/{tag}', tags.remove),

        Route('GET', '/images/{image_id}/members', members.index),
        Route('POST', '/images/{image_id}/members', members.create, JSON),
        Route('GET', '/images/{image_id}/members/{member_id}', members.show),
        Route('PUT', '/images/{image_id}/members/{member_id}', members.update, JSON),
        Route('DELETE', '/images/{image_id}/members/{member_id}', members.delete),

        Route('GET', '/images/{image_id}/locations', locations.index),
        Route('POST', '/images/{image_id}/locations', locations.create, JSON),
        Route('DELETE', '/stores/{store_id}/{image_id}', locations.delete_from_store),

        Route('GET', '/images/{image_id}/tasks', tasks.of_image),
        Route('GET', '/tasks', tasks.index),
        Route('POST', '/tasks', tasks.create, JSON),
        Route('GET', '/tasks/{task_id}', tasks.show),

        Route('GET', '/info/stores', discovery.stores),
        Route('GET', '/info/stores/detail', discovery.stores_detail),
        Route('GET', '/info/usage', discovery.usage),

        Route('GET', '/schemas/image', schemas.of('image')),
        Route('GET', '/schemas/images', schemas.of('images')),
        Route('GET', '/schemas/member', schemas.of('member')),
        Route('GET', '/schemas/members', schemas.of('members')),
        Route('GET', '/schemas/task', schemas.of('task')),
        Route('GET', '/schemas/tasks', schemas.of('tasks')),
    ]


def import_table(imports: ImageImportController, info: ImportInfoController,
                 stage: ImageStageController | None) -> list[Route]:
    """The routes of import. :param stage: None where data cannot be staged"""
    staging = [Route('PUT', '/images/{image_id}/stage', stage.stage, RAW)] if stage is not None else []
    return [
        *staging,
        Route('POST', '/images/{image_id}/import', imports.begin, JSON),
        Route('DELETE', '/images/{image_id}/import', imports.cancel),
        Route('GET', '/info/import', info.show),
    ]


def app_factory(global_conf: Mapping[str, Any], **local_conf: Any) -> Resource:
    """For paste: ``apiv2app``."""
    services = global_conf['glancelike.services']
    conf = services.conf
    several_stores = bool(conf.enabled_backends)
    schemas = image_schemas(conf)
    view = ImageView(services.locations.shown, direct_url=conf.show_image_direct_url,
                     all_locations=conf.show_multiple_locations, several_stores=several_stores,
                     nullable=schemas.nullable,
                     read_only=frozenset(store.id for store in services.stores.all() if store.read_only))
    store_ids = tuple(store.id for store in services.stores.all()) if several_stores else ()
    images = ImagesController(
        services.images, schemas, view, default_limit=conf.limit_param_default, max_limit=conf.api_limit_max,
        max_json_body=conf.max_json_body, store_ids=store_ids,
        import_methods=tuple(services.imports.methods) if services.imports is not None else (),
        locations=services.image_locations if conf.show_multiple_locations else None)
    return Resource(table(
        images,
        ImageDataController(services.uploads, services.downloads),
        ImageActionsController(services.images),
        ImageTagsController(services.images),
        ImageMembersController(services.members),
        DiscoveryController(services.stores, services.quotas, services.enforcer, several_stores=several_stores),
        TasksController(services.tasks, default_limit=conf.limit_param_default, max_limit=conf.api_limit_max),
        SchemasController(schemas),
        ImageLocationsController(services.image_locations, view),
    ) + _import_routes(services, several_stores), conf.max_json_body)


def _import_routes(services: Any, several_stores: bool) -> list[Route]:
    imports, conf = services.imports, services.conf
    if imports is None:
        return []
    can_stage = services.staging is not None and any(one.SOURCE == STAGED for one in imports.methods.values())
    info = ImportInfoController(
        imports, stores=services.stores.all() if several_stores else (), disk_formats=conf.image_format.disk_formats,
        container_formats=conf.image_format.container_formats, max_bytes=conf.image_size_cap, can_stage=can_stage)
    return import_table(ImageImportController(imports, several_stores=several_stores), info,
                        ImageStageController(services.staging) if can_stage else None)


def image_schemas(conf: Any) -> Schemas:
    """The schemas as ``[image_format]``, ``image_schema_file`` and ``allow_additional_image_properties`` shape them.

    :raises ConfigurationError: the file cannot be used, or one that was named cannot be found
    """
    base = base_properties(conf.image_format.container_formats, conf.image_format.disk_formats)
    path = conf.find_file(conf.image_schema_file)
    if path is None and conf.image_schema_file != 'schema-image.json':
        raise errors.ConfigurationError(f'image_schema_file {conf.image_schema_file} cannot be found.')
    return Schemas(base, read_extra_properties(path) if path else None,
                   more_properties=conf.allow_additional_image_properties)
