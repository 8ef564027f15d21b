"""Image import: stage data, have an image imported, cancel that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import webob

from glancelike import errors
from glancelike.api.v2 import image_data
from glancelike.core import bounds
from glancelike.core.imports import MOST_STORES, ImportOrder, ImportService
from glancelike.core.staging import StagingService
from glancelike.wsgi.request import Request
from glancelike.wsgi.resource import reply

#: Most bytes of the ``method`` object and of a task's ``input``, as ASCII JSON; they are kept with the task, and every
#: database has room for them.
MOST_ASKED_BYTES = 2**15


class ImageStageController:
    """Actions on /v2/images/{image_id}/stage."""

    def __init__(self, staging: StagingService):
        self._staging = staging

    def stage(self, req: Request, image_id: str) -> None:
        """PUT: 204 when the data wait for their import; the image is then ``uploading``.

        The size is announced as for ``PUT /v2/images/{image_id}/file``.

        :raises UnsupportedMediaType, Invalid: see ``image_data.announced``; more: ``StagingService.stage``
        """
        self._staging.stage(req.context, image_id, req.data(), image_data.announced(req))


class ImageImportController:
    """Actions on /v2/images/{image_id}/import.

    :param several_stores: stores have ids that mean something to users (``enabled_backends``); else whatever the
        request says of stores is put aside, as in Glance
    """

    def __init__(self, imports: ImportService, *, several_stores: bool):
        self._imports = imports
        self._several_stores = several_stores

    def begin(self, req: Request, image_id: str, document: Any) -> webob.Response:
        """POST: 202; a task of the image does the rest.

        :raises InvalidBody: the document is not of that form; more: ``ImportService.begin``
        """
        self._imports.begin(req.context, image_id, self._order(document, req.header('X-Image-Meta-Store') or None))
        return reply(status=202)

    def cancel(self, req: Request, image_id: str) -> webob.Response:
        """DELETE: 202; the import that is under way ends soon. Glance has no such call.

        :raises Conflict: none is under way; more: ``ImportService.cancel``
        """
        self._imports.cancel(req.context, image_id)
        return reply(status=202)

    def _order(self, document: Any, header: str | None) -> ImportOrder:
        given = dict(_object(document, 'method'))
        name = given.pop('name', None)
        if not isinstance(name, str) or not 0 < len(name) <= bounds.TEXT_LENGTH:
            raise errors.InvalidBody(reason="'method' needs 'name', the name of an import method.")
        check_size(given, "'method'")
        all_stores = _flag(document, 'all_stores', False)
        must_succeed = _flag(document, 'all_stores_must_succeed', True)
        stores = _stores(document)
        if not self._several_stores:
            return ImportOrder(name, given, all_stores_must_succeed=must_succeed)
        if header is not None and (all_stores or stores not in ((), (header,))):
            raise errors.InvalidBody(
                reason="X-Image-Meta-Store names one store; it cannot stand beside 'all_stores' or other 'stores'.")
        return ImportOrder(name, given, stores or ((header,) if header else ()), all_stores, must_succeed)


def check_size(given: Mapping[str, Any], what: str) -> None:
    """:raises InvalidBody: more than can be kept with a task."""
    size = len(json.dumps(given))
    if size > MOST_ASKED_BYTES:
        raise errors.InvalidBody(reason=f'{what} may have up to {MOST_ASKED_BYTES} bytes of JSON, not {size}.')


def _object(document: Any, name: str) -> Mapping[str, Any]:
    found = document.get(name) if isinstance(document, dict) else None
    if not isinstance(found, dict):
        raise errors.InvalidBody(reason=f"The body must be a JSON object with '{name}', an object.")
    return found


def _flag(document: Mapping[str, Any], name: str, default: bool) -> bool:
    value = document.get(name, default)
    if not isinstance(value, bool):
        raise errors.InvalidBody(reason=f"'{name}' must be true or false.")
    return value


def _stores(document: Mapping[str, Any]) -> tuple[str, ...]:
    if 'stores' not in document:
        return ()
    found = document['stores']
    if not isinstance(found, list) or not 0 < len(found) <= MOST_STORES or not all(
            isinstance(one, str) and 0 < len(one) <= bounds.TEXT_LENGTH for one in found):
        raise errors.InvalidBody(reason=f"'stores' must be a list of 1 to {MOST_STORES} ids of stores.")
    return tuple(found)
