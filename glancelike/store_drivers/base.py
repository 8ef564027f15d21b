"""The store contract: what the service asks of a driver that keeps image bytes, clause by clause.

A driver subclasses :class:`StoreDriver`, is an entry point of ``glancelike.store_drivers`` (or a dotted class
path in ``known_stores``) and keeps bytes, nothing else: hashing, size limits, format recognition, quotas,
notifications and metrics are done once for all drivers by the caller. ``glancelike.compliance.store`` tests
each numbered clause; a failure names it.

Rules for every method

ALL-1  Only errors of ``glancelike.errors`` that the clause names are raised on purpose, with ``store=self.id``.
ALL-2  No error text, URL or metadata carries a credential.
ALL-3  Methods may be called from several threads at once.
ALL-4  ``StoreUnavailable`` (retryable) is for a store that does not answer; every other error is permanent.
ALL-5  An operation that is not in CAPABILITIES raises ``OperationNotSupported`` (``add`` and ``delete``:
       ``StoreReadOnly``); the base class does so, a driver only leaves the method out.
ALL-6  No call blocks for ever: a driver gives its own network calls a timeout.

Image ids are UUIDs as text; a driver may refuse any other text with BadStoreUrl.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from glancelike import errors

#: Capabilities a driver may claim; the suite holds it to each, and to the refusal of the others.
ADD = 'add'
DELETE = 'delete'
READ = 'read'
RANDOM_READ = 'random_read'    # get() with offset and length
LOCAL_FILE = 'local_file'      # local_file(): a path that sendfile can use
NAMES = 'names'                # url_for(): tells the URL before the bytes are there
DISCARD = 'discard'            # discard(): clears what an add that never returned has left
LIST_UNFINISHED = 'list_unfinished'  # unfinished(): finds such leftovers by itself
FREE_SPACE = 'free_space'      # free_bytes()
SHARE = 'share'                # share(): the store has access lists of its own
PERSISTENT = 'persistent'      # what add confirmed is there after a restart of the process and of the machine


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """Where an added image is.

    :ivar url: names this object to this driver; scheme is one of SCHEMES; no credentials
    :ivar size: bytes stored
    :ivar metadata: JSON-able facts for consumers of the location (a mount point, a snapshot name)
    """

    url: str
    size: int
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class StoreDriver:
    """Base of all store drivers. READ is implied; everything else is claimed in CAPABILITIES.

    :cvar SCHEMES: URL schemes of this driver's locations, the first one being what ``add`` writes
    :cvar OPTIONS: oslo.config options; read from the group of the store
    :param store_id: the name of the configured store (``fast``), for errors
    :param options: attribute access to the values of OPTIONS (``options.filesystem_store_datadir``)
    :raises ConfigurationError: the options cannot work (names the option); a server that merely does not
        answer is no configuration error: see ``check``

    INIT-1  The constructor asks no remote server and raises ConfigurationError for options that cannot work.
    """

    SCHEMES: ClassVar[Sequence[str]] = ()
    OPTIONS: ClassVar[Sequence[Any]] = ()
    CAPABILITIES: ClassVar[frozenset[str]] = frozenset({READ})

    def __init__(self, store_id: str, options: Any):
        self.id = store_id
        self.options = options

    def check(self) -> None:
        """CHECK-1  Is the store ready for work now? Cheap; called at start and by the health check.

        :raises StoreUnavailable: it does not answer; the service goes on without it and asks again
        :raises StoreReadOnly: it can be read but takes no data for now; the service goes on reading
        :raises ConfigurationError: it answers that it will never work this way (wrong credentials, no such
            bucket): stops the start
        """

    def url_prefixes(self) -> Sequence[str]:
        """PREFIX-1  How URLs of this very store begin; every URL of ``add`` begins with one of them.

        A location that names no store belongs to the one with the longest prefix that fits. A driver of which
        several stores can be configured says here what tells their URLs apart (a directory, a bucket)."""
        return [f'{scheme}://' for scheme in self.SCHEMES]

    def add(self, image_id: str, chunks: Iterable[bytes], size: int | None) -> Stored:
        """Keep the image until ``delete``.

        :param chunks: the image in order, each 1 B to 4 MiB, readable once; may be empty (an image of 0 bytes).
            An exception that comes out of it must pass through unchanged.
        :param size: length in bytes, or None while it is unknown
        :returns: where the object now is and its length

        ADD-1  After it returned the bytes are readable, complete, and survive a crash of this process (for a
               store that claims PERSISTENT: of the machine).
        ADD-2  :raises ObjectExists: there is an object of this image id; it stays as it was
        ADD-3  :raises StoreFull: no room; nothing of this image is kept, and a later add can succeed
        ADD-4  An exception from *chunks* leaves nothing of this image and is not replaced by another.
        ADD-5  Nothing is readable, and no ObjectExists comes, before the add is complete: another reader never
               sees half an object.
        ADD-6  Chunks are stored in order, unchanged; any chunk sizes; 0 bytes in total make an object of size 0.
        ADD-7  When *size* is given and another number of bytes came: SizeMismatch, nothing is kept.
        ADD-8  The result's scheme is SCHEMES[0], its size what was stored, its metadata JSON-able.
        """
        raise errors.StoreReadOnly(store=self.id)

    def get(self, url: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The object's bytes, in pieces of at most 4 MiB.

        GET-1  Whole object: exactly the bytes that were added; errors that are known at once are raised by the
               call, not by the first ``next``.
        GET-2  :raises ObjectNotFound: no such object
        GET-3  RANDOM_READ: *length* bytes from *offset*; less only where the object ends; an offset at or past
               the end gives nothing. Without RANDOM_READ: OperationNotSupported for any offset or length.
        GET-4  Closing the iterator early gives up all that it held (files, connections).
        GET-5  :raises BadStoreUrl: the URL is of no form that this driver ever made; it never leads out of the
               store (no ``..``, no foreign host or directory)
        GET-6  Every piece is ``bytes`` of 1 B to 4 MiB.
        """
        raise errors.OperationNotSupported(store=self.id, operation='get')

    def local_file(self, url: str) -> str:
        """LOCAL-1  LOCAL_FILE: absolute path of a regular file that holds exactly the object's bytes.

        :raises ObjectNotFound, BadStoreUrl: as ``get``
        """
        raise errors.OperationNotSupported(store=self.id, operation='local_file')

    def size(self, url: str) -> int:
        """SIZE-1  Length of the object in bytes. :raises ObjectNotFound, BadStoreUrl: as ``get``."""
        raise errors.OperationNotSupported(store=self.id, operation='size')

    def delete(self, url: str) -> None:
        """Remove the object.

        DELETE-1  It cannot be read any more, and the same image can be added again.
        DELETE-2  :raises ObjectNotFound: no such object
        DELETE-3  :raises ObjectInUse: something depends on it; it stays
        """
        raise errors.StoreReadOnly(store=self.id)

    def url_for(self, image_id: str) -> str:
        """NAMES-1  NAMES: the URL that ``add`` of this image will return; the same in every process that has
        the same options. (Several directories: one of them; ``discard`` looks in all.)"""
        raise errors.OperationNotSupported(store=self.id, operation='url_for')

    def discard(self, image_id: str) -> None:
        """Remove whatever an ``add`` of this image has left that never returned to a living caller.

        DISCARD-1  After it nothing of the image is left: no finished object, no temporary part; the same image
                   can be added again. Nothing there is no error.
        DISCARD-2  Objects of other images are not touched.
        """
        raise errors.OperationNotSupported(store=self.id, operation='discard')

    def unfinished(self) -> Iterator[str]:
        """UNFINISHED-1  LIST_UNFINISHED: ids of images of which temporary parts lie around, those being
        written right now included (the caller knows which are alive)."""
        raise errors.OperationNotSupported(store=self.id, operation='unfinished')

    def free_bytes(self) -> int:
        """FREE-1  FREE_SPACE: bytes that can still be added, about."""
        raise errors.OperationNotSupported(store=self.id, operation='free_bytes')

    def share(self, url: str, readers: Sequence[str], *, public: bool = False) -> None:
        """SHARE-1  SHARE: let exactly these projects (and everybody, if *public*) read the object directly."""
        raise errors.OperationNotSupported(store=self.id, operation='share')

    def facts(self) -> Mapping[str, Any]:
        """FACTS-1  What an operator may see of this store in /v2/info/stores/detail: JSON-able, no credential."""
        return {}

    @classmethod
    def for_compliance(cls, folder: str, max_bytes: int | None = None) -> Mapping[str, Any] | None:
        """Option values for a store to try out, empty, all in *folder*: what ``glance-drivers check store NAME``
        uses when it is given no configuration file. May be left out where the defaults do.

        :param max_bytes: the store should have room for about that much
        :returns: None where *max_bytes* is given and the driver has no option for it
        """
        return None if max_bytes else {}
