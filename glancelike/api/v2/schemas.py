"""JSON schemas of what this API takes and gives, as it publishes them under /v2/schemas, and checks by them.

python-glanceclient builds its command line and its model of an image from ``/v2/schemas/image``: ``readOnly``
keeps a field out of both, ``is_base: false`` marks a property of the operator's file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jsonschema

from glancelike import errors
from glancelike.core import attributes, bounds
from glancelike.model.image import MEMBER_STATUSES, VISIBILITIES
from glancelike.model.task import TASK_STATUSES, TASK_TYPES
from glancelike.wsgi.request import Request, printable

UUID = '^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$'
#: What in a schema of a value is for readers only.
_ANNOTATIONS = frozenset({'description', 'readOnly', 'is_base', 'title', 'default'})
_STATUSES = ('queued', 'saving', 'active', 'killed', 'deleted', 'uploading', 'importing', 'pending_delete',
             'deactivated')


def base_properties(container_formats: Sequence[str], disk_formats: Sequence[str]) -> dict[str, Any]:
    """The attributes of an image, as JSON schemas by name."""
    def text(description: str, longest: int | None = bounds.TEXT_LENGTH, null: bool = True) -> dict[str, Any]:
        schema: dict[str, Any] = {'type': ['null', 'string'] if null else 'string'}
        if longest is not None:
            schema['maxLength'] = longest
        return {**schema, 'description': description}

    def read_only(schema: dict[str, Any]) -> dict[str, Any]:
        return {**schema, 'readOnly': True}

    def number(description: str) -> dict[str, Any]:
        return {'type': 'integer', 'minimum': 0, 'maximum': bounds.LARGEST_INT32, 'description': description}

    return {
        'id': {'type': 'string', 'pattern': UUID, 'description': 'Identifier of the image, a UUID'},
        'name': text('Name for people; need not be unique'),
        'status': read_only({'type': 'string', 'enum': list(_STATUSES),
                             'description': 'Where the image is in its life'}),
        'visibility': {'type': 'string', 'enum': sorted(VISIBILITIES),
                       'description': 'Who may see the image'},
        'protected': {'type': 'boolean', 'description': 'While true the image cannot be deleted'},
        'os_hidden': {'type': 'boolean',
                      'description': 'While true the image is left out of lists that do not ask for it'},
        'checksum': read_only(text('MD5 of the data, in hex', 32)),
        'os_hash_algo': read_only(text('Algorithm of os_hash_value', 64)),
        'os_hash_value': read_only(text('Hash of the data by os_hash_algo, in hex', 128)),
        'owner': text('Project that owns the image'),
        'size': read_only({'type': ['null', 'integer'], 'description': 'Length of the data in bytes'}),
        'virtual_size': read_only({'type': ['null', 'integer'],
                                   'description': 'Bytes that a disk made from the image needs'}),
        'container_format': {'type': ['null', 'string'], 'enum': [None, *container_formats],
                             'description': 'Format of the container round the disk image'},
        'disk_format': {'type': ['null', 'string'], 'enum': [None, *disk_formats],
                        'description': 'Format of the disk image'},
        'created_at': read_only(text('When the image was registered', None, null=False)),
        'updated_at': read_only(text('When the image was last changed', None, null=False)),
        'tags': {'type': 'array', 'items': {'type': 'string', 'maxLength': bounds.TEXT_LENGTH},
                 'description': 'Labels, in no order'},
        'direct_url': read_only(text('URL of the preferred copy in its store', None, null=False)),
        'min_ram': number('RAM in MB that a server needs to boot the image'),
        'min_disk': number('Disk in GB that a server needs to boot the image'),
        'self': read_only(text('URL of this document', None, null=False)),
        'file': read_only(text('URL of the data', None, null=False)),
        'stores': read_only(text('Stores that hold the data, separated by commas', None, null=False)),
        'schema': read_only(text('URL of the schema of this document', None, null=False)),
        'os_glance_import_task': read_only(text('Task that imports data of the image now', None, null=False)),
        'os_glance_importing_to_stores': read_only(text(
            'Stores that are still to get the data, separated by commas', None, null=False)),
        'os_glance_failed_import': read_only(text(
            'Stores that could not take the data, separated by commas', None, null=False)),
        'locations': {
            'type': 'array', 'description': 'Where the copies of the data are',
            'items': {'type': 'object', 'required': ['url', 'metadata'], 'properties': {
                'url': {'type': 'string', 'maxLength': bounds.TEXT_LENGTH},
                'metadata': {'type': 'object'},
                'validation_data': {'type': 'object', 'additionalProperties': False,
                                    'required': ['os_hash_algo', 'os_hash_value'], 'properties': {
                                        'checksum': {'type': 'string', 'minLength': 32, 'maxLength': 32},
                                        'os_hash_algo': {'type': 'string', 'maxLength': 64},
                                        'os_hash_value': {'type': 'string', 'maxLength': 128}}}}}},
    }


#: The body of ``POST /v2/images/{image_id}/locations``.
NEW_LOCATION: Mapping[str, Any] = {
    'type': 'object', 'required': ['url'], 'additionalProperties': False, 'properties': {
        'url': {'type': 'string', 'minLength': 1, 'maxLength': bounds.TEXT_LENGTH},
        'validation_data': {'anyOf': [
            {'type': 'object', 'additionalProperties': False, 'required': ['os_hash_algo', 'os_hash_value'],
             'properties': {'os_hash_algo': {'type': 'string', 'maxLength': 64},
                            'os_hash_value': {'type': 'string', 'maxLength': 128}}},
            {'type': 'object', 'maxProperties': 0}]}}}


def read_extra_properties(path: str) -> dict[str, Any]:
    """The operator's property schemas, from either form of the file, each marked ``is_base: false``.

    :raises ConfigurationError: the file cannot be read or holds no such schemas
    """
    try:
        with open(path, encoding='utf-8') as file:
            document = json.load(file)
        if not isinstance(document, dict):
            raise ValueError('it is not a JSON object')
        extended = isinstance(document.get('properties'), dict) and 'type' not in document['properties']
        properties = document['properties'] if extended else document
        for name, schema in properties.items():
            if not isinstance(schema, dict):
                raise ValueError(f'{name} is not a JSON object')
            jsonschema.Draft4Validator.check_schema(schema)
        required = document.get('required', []) if extended else []
        if not (isinstance(required, list) and set(required) <= set(properties)):
            raise ValueError('required must list names of properties')
    except (OSError, ValueError, jsonschema.SchemaError) as error:
        raise errors.ConfigurationError(
            f'image_schema_file {path} cannot be used: {getattr(error, "message", error)}') from error
    return {'properties': {name: {**schema, 'is_base': False} for name, schema in properties.items()},
            'required': required}


def is_reserved(name: str) -> bool:
    """Is this a name of an image document that callers never set?"""
    return (name in attributes.READ_ONLY or name in attributes.RESERVED or name == 'locations'
            or name.startswith(attributes.SERVICE_PREFIX))


class Schemas:
    """The schema documents, and checks of what callers send.

    :param base: of ``base_properties``
    :param extra: of ``read_extra_properties``
    :param more_properties: may images have properties that neither of the two knows?
    """

    def __init__(self, base: Mapping[str, Any], extra: Mapping[str, Any] | None = None, *,
                 more_properties: bool = True):
        extra = extra or {'properties': {}, 'required': []}
        clash = sorted(set(base) & set(extra['properties']))
        if clash:
            raise errors.ConfigurationError(f'image_schema_file describes {", ".join(clash)}, which every image has.')
        self.base_names = frozenset(base)
        properties = {**base, **extra['properties']}
        self.image = {
            'name': 'image', 'properties': properties,
            'additionalProperties': {'type': 'string'} if more_properties else False,
            **({'required': list(extra['required'])} if extra['required'] else {}),
            'links': _links(('self', 'self'), ('enclosure', 'file'), ('describedby', 'schema')),
        }
        self.images = _collection('images', self.image, paged=True)
        self.member = {'name': 'member', 'properties': {
            'created_at': {'type': 'string', 'description': 'When the image was shared'},
            'image_id': {'type': 'string', 'pattern': UUID, 'description': 'The image that is shared'},
            'member_id': {'type': 'string', 'description': 'The project with which it is shared'},
            'schema': {'type': 'string', 'readOnly': True},
            'status': {'type': 'string', 'enum': list(MEMBER_STATUSES), 'description': "The project's answer"},
            'updated_at': {'type': 'string', 'description': 'When the membership was last changed'}}}
        self.members = _collection('members', self.member, paged=False)
        self.task = {'name': 'task', 'properties': _task_properties()}
        rows = {name: one for name, one in self.task['properties'].items()
                if name not in ('input', 'result', 'message')}
        self.tasks = _collection('tasks', {'name': 'task', 'properties': rows}, paged=True)
        self._image = jsonschema.Draft4Validator(self.image)
        self._values = {name: jsonschema.Draft4Validator(schema) for name, schema in properties.items()}
        self._other = jsonschema.Draft4Validator({'type': 'string'} if more_properties else {'enum': []})
        self._required = frozenset(extra['required'])
        self._plain = {name: _plain_check(schema) for name, schema in properties.items()}
        self._plain_other = _plain_check({'type': 'string'}) if more_properties else _never
        #: Properties of the operator's file that may be null: they are kept as '' and shown as null.
        self.nullable = frozenset(name for name, schema in extra['properties'].items()
                                  if 'null' in (schema.get('type') or ()) and isinstance(schema['type'], list))

    def check_new(self, document: Any) -> None:
        """The document of a POST.

        :raises InvalidBody: names the field and the value that are wrong
        :raises ReservedAttribute: a field that callers do not set
        """
        if not isinstance(document, dict):
            raise errors.InvalidBody(reason='An image is a JSON object.')
        for name in document:
            if name != 'id' and is_reserved(name):
                raise errors.ReservedAttribute(name=printable(name))
        if self._fits_plainly(document):
            return
        wrong = next(iter(self._image.iter_errors(document)), None)
        if wrong is not None:
            raise errors.InvalidBody(reason=_explain(wrong.absolute_path, wrong))

    def _fits_plainly(self, document: Mapping[str, Any]) -> bool:
        """True for most good documents: jsonschema takes 150 us of CPU for one of 15 fields, this 5 us."""
        return self._required <= document.keys() and all(
            self._plain.get(name, self._plain_other)(value) for name, value in document.items())

    def check_value(self, name: str, value: Any) -> None:
        """One new value, of an attribute or a property.

        :raises InvalidPatch: names the field and the value that are wrong
        """
        wrong = next(iter(self._values.get(name, self._other).iter_errors(value)), None)
        if wrong is not None:
            raise errors.InvalidPatch(reason=_explain([name, *wrong.absolute_path], wrong))


def check_new_location(document: Any) -> None:
    """The document of a POST of a location.

    :raises InvalidBody: names the field and what is wrong with it, but for values of ``url``
    """
    wrong = next(iter(_NEW_LOCATION.iter_errors(document)), None)
    if wrong is None:
        return
    if wrong.absolute_path and wrong.absolute_path[0] == 'validation_data':
        raise errors.InvalidBody(reason="'validation_data' must have os_hash_algo, of up to 64 characters, and "
                                        'os_hash_value, of up to 128, and nothing else.')
    raise errors.InvalidBody(reason=f"The body must be a JSON object with 'url', a text of 1 to {bounds.TEXT_LENGTH} "
                                    "characters, perhaps 'validation_data', and nothing else.")


_NEW_LOCATION = jsonschema.Draft4Validator(NEW_LOCATION)


def _never(value: Any) -> bool:
    return False


def _plain_check(schema: Mapping[str, Any]) -> Callable[[Any], bool]:
    """True only for values that fit *schema*; false says nothing, and is all that a schema of another kind gets."""
    kinds = [schema['type']] if isinstance(schema.get('type'), str) else schema.get('type', [])
    rules = schema.keys() - _ANNOTATIONS
    if 'string' in kinds and rules <= {'type', 'maxLength'}:
        longest = schema.get('maxLength', math.inf)
        return lambda value: type(value) is str and len(value) <= longest
    if 'string' in kinds and rules == {'type', 'enum'}:
        allowed = [one for one in schema['enum'] if isinstance(one, str)]
        return lambda value: type(value) is str and value in allowed
    if 'integer' in kinds and rules == {'type', 'minimum', 'maximum'}:
        least, most = schema['minimum'], schema['maximum']
        return lambda value: type(value) is int and least <= value <= most
    if 'boolean' in kinds and rules == {'type'}:
        return lambda value: type(value) is bool
    if 'array' in kinds and rules == {'type', 'items'} and isinstance(schema['items'], dict):
        fits = _plain_check(schema['items'])
        return lambda value: type(value) is list and all(map(fits, value))
    return _never


def _explain(path: Iterable[Any], wrong: jsonschema.ValidationError) -> str:
    name = '/'.join(printable(one) for one in path) or 'image'
    value = printable(json.dumps(wrong.instance))
    wanted = wrong.validator_value
    told = {
        'type': lambda: f'must be of type {" or ".join([wanted] if isinstance(wanted, str) else wanted)}',
        'enum': lambda: (f'must be one of {", ".join(json.dumps(one) for one in wanted)}' if wanted
                         else 'is not a property that images may have here'),
        'maxLength': lambda: f'must not be longer than {wanted} characters',
        'minLength': lambda: f'must not be shorter than {wanted} characters',
        'minimum': lambda: f'must not be less than {wanted}',
        'maximum': lambda: f'must not be more than {wanted}',
        'pattern': lambda: f'must match {wanted}',
        'required': lambda: f'must have {", ".join(wanted)}',
        'additionalProperties': lambda: 'has a property that is not allowed here',
    }.get(wrong.validator, lambda: f'breaks its rule {wrong.validator}')()
    return f"Attribute '{name}' {told}, not {value}."


def _task_properties() -> dict[str, Any]:
    def text(description: str, *, null: bool = True) -> dict[str, Any]:
        return {'type': ['null', 'string'] if null else 'string', 'description': description}

    count = {'type': ['null', 'integer'], 'minimum': 0}
    return {
        'id': {'type': 'string', 'pattern': UUID, 'description': 'Identifier of the task, a UUID'},
        'type': {'type': 'string', 'enum': list(TASK_TYPES), 'description': 'What kind of work it is'},
        'status': {'type': 'string', 'enum': list(TASK_STATUSES), 'description': 'Where the task is in its life'},
        'owner': text('Project for which the work is done'),
        'image_id': text('Image that it is about'),
        'user_id': text('User who asked for it'),
        'request_id': text('Request that asked for it'),
        'input': {'type': ['null', 'object'], 'description': 'What was asked for'},
        'result': {'type': ['null', 'object'], 'description': 'What came of it, once it succeeded'},
        'message': text('Why it failed, or what it does', null=False),
        'progress': {'type': 'object', 'description': 'How far it is; only until it has ended', 'properties': {
            'step': {'type': 'string'}, 'bytes_done': count, 'bytes_total': count, 'bytes_per_second': count}},
        'created_at': text('When it was asked for', null=False),
        'updated_at': text('When something of it last changed', null=False),
        'expires_at': text('When it may be forgotten; null until it has ended'),
        'self': {'type': 'string', 'readOnly': True},
        'schema': {'type': 'string', 'readOnly': True},
    }


def _links(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{'rel': rel, 'href': f'{{{name}}}'} for rel, name in pairs]


def _collection(name: str, item: Mapping[str, Any], *, paged: bool) -> dict[str, Any]:
    text = {'type': 'string'}
    properties = {name: {'type': 'array', 'items': item}}
    links = [('first', 'first'), ('next', 'next')] if paged else []
    properties |= {one: text for _, one in links} | {'schema': text}
    return {'name': name, 'properties': properties, 'links': _links(*links, ('describedby', 'schema'))}


class SchemasController:
    """GET /v2/schemas/...: 200 and a schema document, for everybody."""

    def __init__(self, schemas: Schemas):
        self._schemas = schemas

    def of(self, name: str) -> Callable[[Request], dict[str, Any]]:
        """The action that shows the schema *name*."""
        return lambda req: getattr(self._schemas, name)
