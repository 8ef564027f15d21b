"""Every error raised on purpose.

::

    GlanceError                      code is stable: clients may compare it; wsgi/faults.py maps classes to HTTP
    ├── Invalid                      the request is wrong, whoever asks
    │   ├── InvalidFilter, InvalidSort, InvalidMarker, InvalidLimit, InvalidPatch, InvalidBody, InvalidRange
    │   ├── UnknownStore, SizeMismatch, HashMismatch, SignatureInvalid, FormatsMissing, BadLocation, BadSource
    │   ├── ImportRejected           an import plugin refuses the image
    ├── UnsupportedMediaType ── FormatMismatch, UnsafeImage
    ├── NotAuthenticated
    ├── Forbidden                    the caller may see it but may not do that
    │   ├── ReadOnlyContext, ProtectedImage, ReservedAttribute, ProtectedProperty, ImageDeactivated, NotShared
    ├── NotFound                     absent, or not visible to the caller: the same answer on purpose
    │   ├── ImageNotFound, MemberNotFound, TagNotFound, TaskNotFound, ResourceNotFound
    ├── Conflict                     the state does not allow it now
    │   ├── StatusConflict, VersionConflict, ImageExists, MemberExists, PropertyMissing, PropertyExists
    ├── PreconditionFailed           If-Match named another version
    ├── Gone ── ImageGone            the image was deleted while its data came in
    ├── LimitExceeded ── ImageTooLarge, QuotaExceeded
    ├── RangeNotSatisfiable
    ├── ClientDisconnected           the caller went away in the middle of a body
    ├── ServiceUnavailable ── DatabaseUnavailable, SourceUnavailable, JobBoardUnavailable
    ├── TaskCancelled                its end was asked for
    ├── ConfigurationError           stops the start; the message names option and file
    │   ├── DriverLoadError
    └── StoreError                   a store driver says so; names the store
        ├── ObjectNotFound, ObjectExists, StoreFull, StoreReadOnly, StoreForbidden
        ├── ObjectInUse, OperationNotSupported, BadStoreUrl
        └── StoreUnavailable         may pass: trying again later makes sense (all others: permanent)

A message says what was asked, what was found and what to try. No token, password, path or location URL in it.
"""

from __future__ import annotations

from typing import Any


class GlanceError(Exception):
    """Base of all errors here; facts are given as keywords and stay readable as attributes in ``facts``.

    :cvar code: stable, for programs; snake_case
    :cvar message: a %-template over the keywords, or overridden whole by the first positional argument
    """

    code = 'error'
    message = 'The request could not be done.'

    def __init__(self, message: str | None = None, **facts: Any):
        self.facts = facts
        self.text = message if message is not None else self.message % facts
        super().__init__(self.text)

    def __str__(self) -> str:
        return self.text


class Invalid(GlanceError):
    """The request is wrong."""
    code = 'invalid'
    message = '%(reason)s'


class InvalidFilter(Invalid):
    """A list filter has an unknown operator or a value of the wrong kind."""
    code = 'invalid_filter'


class InvalidSort(Invalid):
    """An unknown sort key or direction, or a mix of the two ways to sort."""
    code = 'invalid_sort'


class InvalidMarker(Invalid):
    """The marker is nothing that the caller can see in such a list."""
    code = 'invalid_marker'
    message = 'Marker %(marker)s names nothing that you can see in such a list.'


class InvalidLimit(Invalid):
    """The page limit is not a whole number of 0 or more."""
    code = 'invalid_limit'
    message = 'limit must be a whole number of 0 or more, not %(value)s.'


class InvalidPatch(Invalid):
    """A JSON patch document breaks a rule."""
    code = 'invalid_patch'


class InvalidBody(Invalid):
    """The body is no JSON document of the wanted shape."""
    code = 'invalid_body'


class InvalidRange(Invalid):
    """A Range header that asks for something else than one range of bytes."""
    code = 'invalid_range'


class UnknownStore(Invalid):
    """No store of that id is configured."""
    code = 'unknown_store'
    message = 'No store %(store)s is configured here.'


class SizeMismatch(Invalid):
    """More or fewer bytes came than were declared."""
    code = 'size_mismatch'
    message = '%(declared)d bytes were declared but %(received)d were received.'


class HashMismatch(Invalid):
    """The data are not those whose hash was announced."""
    code = 'hash_mismatch'
    message = 'The data have another %(algorithm)s than announced: %(found)s, not %(wanted)s.'


class SignatureInvalid(Invalid):
    """The image's signature does not fit its bytes, or cannot be checked."""
    code = 'signature_invalid'


class FormatsMissing(Invalid):
    """disk_format and container_format must be set before data can come."""
    code = 'formats_missing'
    message = 'Set %(missing)s of the image before its data are uploaded.'


class BadLocation(Invalid):
    """A location URL is of no use here."""
    code = 'bad_location'


class BadSource(Invalid):
    """What an image is to be imported from cannot be used; trying again does not help."""
    code = 'bad_source'
    message = 'The source of the image cannot be used: %(reason)s'


class ImportRejected(Invalid):
    """An import plugin refuses the image."""
    code = 'import_rejected'
    message = 'The image was refused by %(plugin)s: %(reason)s'


class UnsupportedMediaType(GlanceError):
    """The body's type is not understood here."""
    code = 'unsupported_media_type'
    message = 'Content type %(given)s is not accepted here; use %(accepted)s.'


class FormatMismatch(UnsupportedMediaType):
    """The bytes are not of the declared disk_format."""
    code = 'format_mismatch'
    message = 'The image was declared as %(declared)s but its content looks like %(found)s.'


class UnsafeImage(UnsupportedMediaType):
    """The bytes are of a form that must not reach a hypervisor."""
    code = 'unsafe_image'
    message = 'The image failed the safety check of %(format)s: %(reason)s.'


class NotAuthenticated(GlanceError):
    """No valid identity came with the request."""
    code = 'not_authenticated'
    message = 'You must authenticate to do this.'


class Forbidden(GlanceError):
    """The caller may see it but may not do that."""
    code = 'forbidden'
    message = 'You are not allowed to do this.'


class ReadOnlyContext(Forbidden):
    """An anonymous caller asked for a change."""
    code = 'read_only'
    message = 'Anonymous access is read-only; authenticate to make changes.'


class ProtectedImage(Forbidden):
    """``protected`` is true, so the image cannot be deleted."""
    code = 'protected_image'
    message = 'Image %(image_id)s is protected and cannot be deleted.'


class ReservedAttribute(Forbidden):
    """A read-only or reserved attribute was to be changed."""
    code = 'reserved_attribute'
    message = "Attribute '%(name)s' is read-only or reserved."


class ProtectedProperty(Forbidden):
    """A property protection refuses the operation."""
    code = 'protected_property'
    message = "Property '%(name)s' is protected."


class ImageDeactivated(Forbidden):
    """The data of a deactivated image are for administrators only."""
    code = 'image_deactivated'
    message = 'Image %(image_id)s is deactivated; its data cannot be downloaded.'


class NotShared(Forbidden):
    """Members exist for images of visibility ``shared`` only."""
    code = 'not_shared'
    message = "Image %(image_id)s has visibility '%(visibility)s'; only 'shared' images have members."


class NotFound(GlanceError):
    """Absent, or not visible to the caller."""
    code = 'not_found'
    message = 'Not found.'


class ImageNotFound(NotFound):
    """No such image, or not visible."""
    code = 'image_not_found'
    message = 'No image found with ID %(image_id)s.'


class MemberNotFound(NotFound):
    """No such member of the image, or not visible."""
    code = 'member_not_found'
    message = 'Project %(member)s is no member of image %(image_id)s.'


class TagNotFound(NotFound):
    """The image has no such tag."""
    code = 'tag_not_found'
    message = "Image %(image_id)s has no tag '%(tag)s'."


class TaskNotFound(NotFound):
    """No task of that id, or none that the caller may see."""
    code = 'task_not_found'
    message = 'No task found with ID %(task_id)s'


class ResourceNotFound(NotFound):
    """No such path."""
    code = 'resource_not_found'
    message = 'The resource could not be found.'


class Conflict(GlanceError):
    """The present state does not allow it."""
    code = 'conflict'
    message = '%(reason)s'


class StatusConflict(Conflict):
    """The image is not in the status that the operation starts from."""
    code = 'status_conflict'
    message = 'Image %(image_id)s is %(status)s; that is not possible now (it must be %(wanted)s).'


class VersionConflict(Conflict):
    """Somebody else changed the image in between; read it again."""
    code = 'version_conflict'
    message = 'Image %(image_id)s was changed by somebody else in the meantime; read it again and retry.'


class ImageExists(Conflict):
    """The id is taken (deleted images keep theirs)."""
    code = 'image_exists'
    message = 'Image ID %(image_id)s already exists.'


class MemberExists(Conflict):
    """The project is a member already."""
    code = 'member_exists'
    message = 'Project %(member)s is already a member of image %(image_id)s.'


class PropertyMissing(Conflict):
    """A patch replaces or removes a property that is not there."""
    code = 'property_missing'
    message = "Property '%(name)s' does not exist."


class PropertyExists(Conflict):
    """A v2.0 patch adds a property that is there."""
    code = 'property_exists'
    message = "Property '%(name)s' already exists."


class PreconditionFailed(GlanceError):
    """If-Match named another version of the image."""
    code = 'precondition_failed'
    message = 'Image %(image_id)s is not at the version that If-Match names.'


class Gone(GlanceError):
    """It was there and is no more, or the store takes nothing."""
    code = 'gone'
    message = '%(reason)s'


class ImageGone(Gone):
    """The image was deleted while its data came in."""
    code = 'image_gone'
    message = 'Image %(image_id)s was deleted while its data were uploaded.'


class LimitExceeded(GlanceError):
    """Too much of something."""
    code = 'limit_exceeded'
    message = '%(reason)s'


class ImageTooLarge(LimitExceeded):
    """The data exceed image_size_cap."""
    code = 'image_too_large'
    message = 'The image data exceed the limit of %(limit)d bytes (image_size_cap).'


class QuotaExceeded(LimitExceeded):
    """A quota of the project or the image would be exceeded."""
    code = 'quota_exceeded'
    message = 'Quota of %(resource)s exceeded: %(limit)s allowed, %(wanted)s wanted.'


class RangeNotSatisfiable(GlanceError):
    """The range lies outside the image."""
    code = 'range_not_satisfiable'
    message = 'The range %(range)s lies outside the image of %(size)d bytes.'


class ClientDisconnected(GlanceError):
    """The caller went away, or stalled too long, in the middle of a body."""
    code = 'client_disconnected'
    message = 'The connection broke before the whole body was received.'


class ServiceUnavailable(GlanceError):
    """Something that the request needs does not answer now."""
    code = 'service_unavailable'
    message = '%(reason)s'


class DatabaseUnavailable(ServiceUnavailable):
    """The database does not answer; nothing is lost, try again."""
    code = 'database_unavailable'
    message = 'The database does not answer at the moment; try again.'


class SourceUnavailable(ServiceUnavailable):
    """What an image is to be imported from does not answer; may pass."""
    code = 'source_unavailable'
    message = 'The source of the image does not answer: %(reason)s'


class JobBoardUnavailable(ServiceUnavailable):
    """The job board does not answer, or refuses us; nothing is lost: the tasks stand in the database."""
    code = 'job_board_unavailable'
    message = 'The job board ([jobboard] backend = %(backend)s) does not answer: %(reason)s'


class TaskCancelled(GlanceError):
    """Somebody who may do so asked for the end of the task."""
    code = 'task_cancelled'
    message = 'The task was cancelled.'


class ConfigurationError(GlanceError):
    """The configuration cannot work; the program does not start."""
    code = 'configuration_error'
    message = '%(reason)s'


class DriverLoadError(ConfigurationError):
    """A driver named in the configuration is missing, broken or doubled."""
    code = 'driver_load_error'


class StoreError(GlanceError):
    """A store refused or failed; ``store`` is the id of the configured store.

    :cvar retryable: True when trying again later can succeed
    """
    code = 'store_error'
    message = 'Store %(store)s failed: %(reason)s'
    retryable = False


class ObjectNotFound(StoreError):
    """The store holds no such object."""
    code = 'object_not_found'
    message = 'Store %(store)s holds no such object.'


class ObjectExists(StoreError):
    """The store holds an object for this image already; it stays as it was."""
    code = 'object_exists'
    message = 'Store %(store)s already holds data of image %(image_id)s.'


class StoreFull(StoreError):
    """The store has no room for the bytes offered; none of them are kept."""
    code = 'store_full'
    message = 'Store %(store)s is full.'


class StoreReadOnly(StoreError):
    """The store takes no data: it cannot, or is not allowed to, add or delete."""
    code = 'store_read_only'
    message = 'Store %(store)s takes no data.'


class StoreForbidden(StoreError):
    """The store refuses the credentials or the file permissions that it was given."""
    code = 'store_forbidden'
    message = 'Store %(store)s refuses access.'


class ObjectInUse(StoreError):
    """Something else depends on the object (a clone, a snapshot)."""
    code = 'object_in_use'
    message = 'The data in store %(store)s are in use and cannot be deleted.'


class OperationNotSupported(StoreError):
    """The driver does not claim that operation."""
    code = 'operation_not_supported'
    message = 'Store %(store)s does not support %(operation)s.'


class BadStoreUrl(StoreError):
    """The URL does not name an object of this store; the URL itself is never in the message."""
    code = 'bad_store_url'
    message = 'The location is no valid address in store %(store)s.'


class StoreUnavailable(StoreError):
    """The store does not answer; trying again later makes sense."""
    code = 'store_unavailable'
    message = 'Store %(store)s is not available at the moment.'
    retryable = True
