"""Which locations may be set: the store that serves them, what is there, and what callers announce of the data.

A location makes the service read, and when the image goes delete, whatever it names. So nobody can set one

* that leads to files or memory of the service's own machine (``file://``: anybody could read the disk);
* of the reserved stores, of credentials that the operator keeps (``swift+config``), or of no configured store;
* that carries a credential: it would be stored, and shown to everybody who may see locations;
* in a store that we write to, of an object that is named after another image: two images would share its bytes, and the
  end of one would be the end of both;
* whose data fail the safety check of ``core/formats.py``, as far as their beginning tells.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import time
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from glancelike import context, errors
from glancelike.context import RequestContext
from glancelike.core import bounds, formats
from glancelike.core.formats import FormatRules
from glancelike.core.quotas import Quotas
from glancelike.db_drivers.base import DbDriver
from glancelike.model.image import Image, Location
from glancelike.store_drivers.base import DELETE, LOCAL_FILE
from glancelike.store_drivers.stores import CheckedStore, Stores

#: Schemes that nobody may name: the service's own files, and the operator's credentials.
REFUSED_SCHEMES = frozenset({'file', 'filesystem', 'swift+config'})
#: A location of these every owner of an image may set.
WEB_SCHEMES = frozenset({'http', 'https'})
#: How long the beginning of the data may take.
LOOK_SECONDS = 30.0
#: Most bytes of a location's metadata, as JSON.
METADATA_BYTES = 65_535

_SCHEME = re.compile(r'([a-z][a-z0-9+.-]{0,31})://', re.IGNORECASE | re.ASCII)
_NOT_IN_URLS = re.compile(r'[^\x21-\x7e]')
_UUID = re.compile(r'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', re.IGNORECASE)
#: Parameters of a URL that are a credential: presigned URLs of S3, Google, Azure and Swift, and plain tokens.
_SECRET_PARAMETERS = frozenset({
    'x-amz-signature', 'x-amz-credential', 'x-amz-security-token', 'awsaccesskeyid', 'x-goog-signature',
    'x-goog-credential', 'googleaccessid', 'signature', 'sig', 'temp_url_sig', 'token', 'access_token', 'auth_token',
    'password', 'secret', 'api_key', 'apikey',
})


@dataclasses.dataclass(frozen=True, slots=True)
class Announced:
    """What a caller says of the data (``validation_data``).

    :ivar checksum: MD5 in hex, or None
    :ivar algorithm: of *value*, by the name that hashlib has for it
    :ivar value: the digest in hex
    """

    algorithm: str
    value: str
    checksum: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Announced:
        """From a document that the schema has let through; hex digits become small letters."""
        checksum = given.get('checksum')
        return cls(given['os_hash_algo'], given['os_hash_value'].lower(), checksum.lower() if checksum else None)

    def attributes(self) -> dict[str, Any]:
        """The same as attributes of the image."""
        known = {'checksum': self.checksum} if self.checksum else {}
        return {**known, 'os_hash_algo': self.algorithm, 'os_hash_value': self.value}

    def flaw(self) -> str | None:
        """What is wrong with its form, or None."""
        try:
            length = hashlib.new(self.algorithm, usedforsecurity=False).digest_size
        except (ValueError, TypeError):
            length = 0
        if not length:
            return f"os_hash_algo '{self.algorithm[:64]}' is no hash of fixed length that is known here."
        for name, text, size in (('os_hash_value', self.value, length), ('checksum', self.checksum, 16)):
            if text is not None and not re.fullmatch(f'[0-9a-f]{{{2 * size}}}', text, re.ASCII):
                kind = self.algorithm if name == 'os_hash_value' else 'md5'
                return f'{name} must be {2 * size} hex digits, as those of {kind} are.'
        return None


class LocationRules:
    """What may become a location.

    :param several_stores: stores have ids that mean something to users, who then may name one in the metadata
    :param url_filter: refuses web addresses that the operator does not want (raises BadSource), or None
    """

    def __init__(self, db: DbDriver, stores: Stores, quotas: Quotas, *, format_rules: FormatRules | None = None,
                 several_stores: bool = False, image_size_cap: int = 2**40,
                 url_filter: Callable[[str], None] | None = None, clock: Callable[[], float] = time.monotonic):
        self._db = db
        self._stores = stores
        self._quotas = quotas
        self.format_rules = dataclasses.replace(format_rules or FormatRules(), match_required=False)
        self._several_stores = several_stores
        self._image_size_cap = image_size_cap
        self._url_filter = url_filter
        self._clock = clock

    # --- where ----------------------------------------------------------------------------------------------------

    def place(self, image_id: str, url: str, metadata: Mapping[str, Any], *, web_only: bool = False) -> Location:
        """The location that *url* would be; asks no store.

        :param metadata: as given; ``store`` in it names the store where there are several, and is not kept
        :param web_only: the caller may set locations on web servers only
        :raises BadLocation: it may not be one
        :raises Forbidden: *web_only*, and it is of another store
        """
        scheme = self._check_url(url)
        metadata = self._checked_metadata(metadata)
        named = metadata.pop('store', None) if self._several_stores else None
        store = self._store(url, scheme, named)
        if web_only and not WEB_SCHEMES.issuperset(store.schemes):
            raise errors.Forbidden('Only services may set locations of this store; you may set those of web servers '
                                   '(http, https).')
        if scheme in WEB_SCHEMES and self._url_filter is not None:
            try:
                self._url_filter(url)
            except errors.BadSource as error:
                raise errors.BadLocation(reason=f'The location cannot be used: {error.facts.get("reason", error)}'
                                         ) from error
        if store.can(DELETE):
            self._check_owner(image_id, url)
        return Location(url=url, store=store.id, metadata=metadata)

    def metadata(self, location: Location, given: Mapping[str, Any]) -> dict[str, Any]:
        """New metadata of a location that is there already.

        :raises BadLocation: it cannot be kept, or names another store
        """
        metadata = self._checked_metadata(given)
        if self._several_stores and metadata.pop('store', location.store) != location.store:
            raise errors.BadLocation(reason='The store of a location cannot be changed.')
        return metadata

    @staticmethod
    def _check_url(url: str) -> str:
        """The scheme, in small letters."""
        bounds.text('The URL of a location', url)
        scheme = _SCHEME.match(url)
        if scheme is None or _NOT_IN_URLS.search(url):
            raise errors.BadLocation(reason='The URL of a location must begin with scheme:// and hold neither blanks '
                                            'nor characters that must be %-coded.')
        try:
            parts = urllib.parse.urlsplit(url)
            parameters = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
        except ValueError:
            raise errors.BadLocation(reason='The URL of a location is malformed.') from None
        if '@' in parts.netloc or any(name.lower() in _SECRET_PARAMETERS for name, _ in parameters):
            raise errors.BadLocation(reason='The URL of a location must not carry credentials: it is kept, and shown '
                                            'to those who may see locations.')
        return scheme[1].lower()

    def _store(self, url: str, scheme: str, named: Any) -> CheckedStore:
        if scheme in REFUSED_SCHEMES:
            raise errors.BadLocation(reason=f"Locations of scheme {scheme} are the service's own; nobody sets them.")
        try:
            store = self._stores.for_location(Location(url))
        except errors.UnknownStore:
            raise errors.BadLocation(reason=f'No store that is configured here has locations of scheme {scheme}.'
                                     ) from None
        if named is not None:
            store = self._named(named, url)
        if store.can(LOCAL_FILE):
            raise errors.BadLocation(reason="Locations of this store are the service's own; nobody sets them.")
        return store

    def _named(self, name: Any, url: str) -> CheckedStore:
        try:
            store = self._stores.get(name if isinstance(name, str) else '')
        except errors.UnknownStore as error:
            raise errors.BadLocation(reason="The metadata name a 'store' that is not configured here.") from error
        if not any(url.startswith(prefix) for prefix in store.url_prefixes()):
            raise errors.BadLocation(reason="The URL is none of the 'store' that the metadata name.")
        return store

    @staticmethod
    def _checked_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
        try:
            text = json.dumps(metadata, ensure_ascii=False, allow_nan=False)
        except (ValueError, RecursionError):
            raise errors.BadLocation(reason='The metadata of a location must be plain JSON.') from None
        if not bounds.storable(text) or len(text.encode()) > METADATA_BYTES:
            raise errors.BadLocation(reason=f'The metadata of a location may have up to {METADATA_BYTES} bytes.')
        return dict(metadata)

    def _check_owner(self, image_id: str, url: str) -> None:
        """:raises BadLocation: the object has the name of another image"""
        for found in set(_UUID.findall(urllib.parse.unquote(url))):
            if found.lower() == image_id.lower():
                continue
            with contextlib.suppress(errors.ImageNotFound):
                self._db.image_get(context.internal('locations'), found)
                raise errors.BadLocation(reason='The location cannot be used for this image.')

    # --- what is there --------------------------------------------------------------------------------------------

    def look(self, location: Location, image: Image, disk_format: str, container_format: str) -> int | None:
        """Ask the store for the data, and look at their beginning.

        :returns: their length in bytes; None where the store cannot tell
        :raises BadLocation: nothing is there that can be read
        :raises ImageTooLarge, UnsafeImage: it must not become an image
        :raises StoreUnavailable: a store of ours does not answer
        """
        store = self._stores.for_location(location)
        try:
            size = self._size(store, location.url)
            if size is not None and size > self._image_size_cap:
                raise errors.ImageTooLarge(limit=self._image_size_cap)
            self._look_at_head(store, location.url, size, disk_format, container_format)
        except errors.StoreError as error:
            if isinstance(error, errors.StoreUnavailable) and not WEB_SCHEMES.issuperset(store.schemes):
                raise
            raise errors.BadLocation(reason=f'The location cannot be used: {error}') from error
        return size

    @staticmethod
    def _size(store: CheckedStore, url: str) -> int | None:
        try:
            return store.size(url)
        except errors.OperationNotSupported:
            return None

    def _look_at_head(self, store: CheckedStore, url: str, size: int | None, disk_format: str,
                      container_format: str) -> None:
        inspection = self.format_rules.inspection(disk_format, container_format)
        end = self._clock() + LOOK_SECONDS
        with contextlib.closing(store.get(url)) as pieces:
            for piece in pieces:
                if inspection is None:
                    return
                if self._clock() >= end:
                    raise errors.BadLocation(reason='The location cannot be used: its server is too slow.')
                inspection.feed(piece[:formats.HEAD_BYTES - inspection.received])
                if inspection.received >= formats.HEAD_BYTES:
                    return  # the rest, if it matters, is seen when the data are hashed
        if inspection is not None:
            inspection.finish()

    def check_free(self, image_id: str) -> None:
        """:raises Conflict: an upload, an import or the hashing of a location has the image"""
        if self._db.upload_of_image(image_id) is not None:
            raise errors.Conflict(reason=f'Data of image {image_id} are being stored or hashed; its locations can be '
                                         'changed when that is over.')

    # --- how much -------------------------------------------------------------------------------------------------

    def check_room(self, ctx: RequestContext, image: Image, more_bytes: int) -> None:
        """May the owner of the image hold that many bytes more?

        Two requests at the same time may both pass, as the bytes of locations are none that this service stores.

        :raises QuotaExceeded: no
        :raises ServiceUnavailable: Keystone, which knows the limit, does not answer
        """
        limit = self._quotas.storage_limit(ctx, image.owner)
        if limit is None or not more_bytes or not image.owner:
            return
        held = self._db.usage(image.owner)
        wanted = held.stored_bytes + held.reserved_bytes + more_bytes
        if wanted > limit:
            raise errors.QuotaExceeded(resource='stored bytes', limit=limit, wanted=wanted)
