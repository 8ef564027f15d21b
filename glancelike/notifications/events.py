"""What is told: one function per event, with the payload that consumers of Glance's notifications expect."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from glancelike.model.image import Image, ImportState, Member
from glancelike.model.task import FAILURE, Task

INFO = 'INFO'
ERROR = 'ERROR'


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    :ivar type: ``image.update``, ``image.member.create``, ...
    :ivar payload: JSON-able; never a location URL, a token or a credential
    """

    type: str
    payload: Mapping[str, Any]
    priority: str = INFO


def _time(value: datetime.datetime | None) -> str | None:
    return value.replace(tzinfo=None).isoformat() if value is not None else None


def _image(image: Image) -> dict[str, Any]:
    return {
        'id': image.id, 'name': image.name, 'status': image.status, 'visibility': image.visibility,
        'is_public': image.visibility == 'public', 'owner': image.owner, 'protected': image.protected,
        'os_hidden': image.os_hidden, 'disk_format': image.disk_format, 'container_format': image.container_format,
        'min_disk': image.min_disk, 'min_ram': image.min_ram, 'size': image.size,
        'virtual_size': image.virtual_size, 'checksum': image.checksum, 'os_hash_algo': image.os_hash_algo,
        'os_hash_value': image.os_hash_value, 'properties': dict(image.properties), 'tags': sorted(image.tags),
        'created_at': _time(image.created_at), 'updated_at': _time(image.updated_at),
        'deleted': image.deleted, 'deleted_at': _time(image.deleted_at),
    }


def _data(image: Image, store: str | None) -> dict[str, Any]:
    state = image.import_state or ImportState()
    return _image(image) | {'backend': store, 'os_glance_importing_to_stores': list(state.importing_to),
                            'os_glance_failed_import': list(state.failed)}


def image_create(image: Image) -> Event:
    """An image record was made."""
    return Event('image.create', _image(image))


def image_update(image: Image) -> Event:
    """An image record was changed."""
    return Event('image.update', _image(image))


def image_delete(image: Image) -> Event:
    """An image was deleted."""
    return Event('image.delete', _image(image))


def image_prepare(image: Image, store: str | None = None) -> Event:
    """Data begin to come in."""
    return Event('image.prepare', _data(image, store))


def image_upload(image: Image, store: str | None = None) -> Event:
    """Data are stored."""
    return Event('image.upload', _data(image, store))


def image_upload_failed(image: Image, reason: str) -> Event:
    """Data could not be stored; *reason* is a message fit for a user."""
    return Event('image.upload', {'image_id': image.id, 'owner': image.owner, 'message': reason}, ERROR)


def image_activate(image: Image) -> Event:
    """The image can be used from now on."""
    return Event('image.activate', _image(image))


def image_send(image: Image, *, bytes_sent: int, bytes_expected: int, user_id: str | None, project_id: str | None,
               address: str | None) -> Event:
    """A download ended; priority ERROR when fewer bytes went out than the client asked for."""
    return Event('image.send', {
        'bytes_sent': bytes_sent, 'image_id': image.id, 'owner_id': image.owner, 'receiver_user_id': user_id,
        'receiver_tenant_id': project_id, 'destination_ip': address,
    }, INFO if bytes_sent == bytes_expected else ERROR)


def _task(task: Task) -> dict[str, Any]:
    return {'id': task.id, 'type': task.type, 'status': task.status, 'owner': task.owner, 'image_id': task.image_id,
            'user_id': task.user_id, 'request_id': task.request_id, 'message': task.message,
            'result': dict(task.result) if task.result is not None else None, 'expires_at': _time(task.expires_at),
            'created_at': _time(task.created_at), 'updated_at': _time(task.updated_at), 'deleted': False,
            'deleted_at': None}


def task_create(task: Task) -> Event:
    """A task was made."""
    return Event('task.create', _task(task))


def task_run(task: Task) -> Event:
    """Somebody began with a task, or goes on with it."""
    return Event('task.run', _task(task))


def task_processing(task: Task) -> Event:
    """A task is being done."""
    return Event('task.processing', _task(task))


def task_ended(task: Task, status: str, message: str) -> Event:
    """A task ended: ``task.success`` or ``task.failure``."""
    return Event(f'task.{status}', _task(task) | {'status': status, 'message': message},
                 ERROR if status == FAILURE else INFO)


def _member(member: Member) -> dict[str, Any]:
    return {'image_id': member.image_id, 'member_id': member.member, 'status': member.status,
            'created_at': _time(member.created_at), 'updated_at': _time(member.updated_at), 'deleted': False,
            'deleted_at': None}


def member_create(member: Member) -> Event:
    """An image was shared with a project."""
    return Event('image.member.create', _member(member))


def member_update(member: Member) -> Event:
    """A member accepted, rejected or reset."""
    return Event('image.member.update', _member(member))


def member_delete(member: Member) -> Event:
    """An image is no longer shared with a project."""
    return Event('image.member.delete', _member(member) | {'deleted': True})
