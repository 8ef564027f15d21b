"""The database contract: what the service asks of a driver, clause by clause.

A driver subclasses :class:`DbDriver`, is an entry point of ``glancelike.db_drivers``, and is chosen by
``data_api`` in glance.conf. ``glancelike.compliance.db`` tests each numbered clause; a failure names it.

Rules for every method

ALL-1  One call is one transaction: all of it happened or none of it, also after ``kill -9``.
ALL-2  Values going out are the frozen values of ``glancelike.model``; changing a stored row later does not
       change a value that was returned before.
ALL-3  Only errors named in the contract are raised on purpose. A database that does not answer raises
       ``DatabaseUnavailable``; the driver has then retried what can be retried safely (deadlocks, lost
       connections before anything of this call was committed) for a bounded time.
ALL-4  Text is stored as given: any Unicode including characters beyond the BMP, case kept, compared byte for
       byte (no case folding, no normalisation, no trailing-space folding where the database lets us choose).
       The caller keeps U+0000 and lone surrogates out.
ALL-5  Times are set by the driver, aware, UTC, with microseconds; ``updated_at`` never goes back.
ALL-6  Methods may be called from several threads at once.
ALL-7  Deleted images are found by no method except where a clause says so.
ALL-8  Bounds: name, owner, tag, property name, member up to 255 characters; property value up to 65,535 bytes
       (UTF-8); size and virtual_size 0 to 2**63-1; min_disk, min_ram 0 to 2**31-1. The caller checks them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from glancelike.context import RequestContext
from glancelike.db_drivers.query import ImageQuery
from glancelike.model.image import Image, ImageChanges, Location, Member
from glancelike.model.task import Task, TaskChanges, TaskQuery
from glancelike.model.upload import Upload, Usage

NO_CHANGES = ImageChanges()

#: Capabilities a driver may claim.
PERSISTENT = 'persistent'        # what was committed is there after a restart
MULTI_PROCESS = 'multi_process'  # several processes may use one database at once


class DbDriver:
    """Base of all database drivers; every method below must be implemented, none may be left out.

    :cvar CAPABILITIES: subset of PERSISTENT, MULTI_PROCESS
    :cvar OPTIONS: oslo.config options of the driver, read from group ``OPTION_GROUP``
    :param options: attribute access to the values of OPTIONS (``options.connection``)
    :raises ConfigurationError: the options cannot work

    LIFE-5  PERSISTENT: a driver made again finds everything that was committed, also after ``kill -9``.
    LIFE-6  MULTI_PROCESS: every clause holds while other processes use the database; what one of them has
            committed the others see at once, and races have one winner among all of them.
    """

    OPTIONS: ClassVar[Sequence[Any]] = ()
    OPTION_GROUP: ClassVar[str] = 'database'
    CAPABILITIES: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, options: Any):
        self.options = options

    # --- life of the driver --------------------------------------------------------------------------------

    def create_schema(self) -> None:
        """Make everything that is needed in an empty database, or bring an older one up to date.
        (A driver that keeps nothing does nothing here and in ``check_schema``.)

        LIFE-1  Calling it again changes nothing. Two processes may call it at once.
        """
        raise NotImplementedError

    def check_schema(self) -> None:
        """LIFE-2  :raises ConfigurationError: the schema is missing or not the one this driver needs."""
        raise NotImplementedError

    def ping(self) -> None:
        """LIFE-3  Cheap proof of life. :raises DatabaseUnavailable: the database does not answer."""
        raise NotImplementedError

    def close(self) -> None:
        """LIFE-4  Give up all connections; calling it twice is no error."""
        raise NotImplementedError

    # --- images --------------------------------------------------------------------------------------------

    def image_create(self, ctx: RequestContext, image: Image) -> Image:
        """Store a new image with its properties, tags and locations; return it as stored.

        IMAGE-CREATE-1  created_at and updated_at are set and equal; version is 1; every location has an id.
                        Everything else is stored as given (times and version of the given image are ignored).
        IMAGE-CREATE-2  :raises ImageExists: the id is taken, by a deleted image too; nothing is stored
        """
        raise NotImplementedError

    def image_get(self, ctx: RequestContext, image_id: str) -> Image:
        """One image with properties, tags and active locations.

        IMAGE-GET-1  :raises ImageNotFound: absent or deleted
        IMAGE-GET-2  :raises ImageNotFound: ``visibility.readable`` is false for the caller (same error, so
                     that existence is not told)
        """
        raise NotImplementedError

    def image_list(self, ctx: RequestContext, query: ImageQuery) -> list[Image]:
        """One page of images with properties, tags and active locations.

        IMAGE-LIST-1  Exactly the images for which ``visibility.listed`` and every filter hold, that are not
                      deleted, not ``killed``, and whose os_hidden equals ``query.os_hidden``.
        IMAGE-LIST-2  In the order of ``query.sort``; NULL comes before every value ascending, after it
                      descending; text by code point. Walking with marker and limit meets every image once.
        IMAGE-LIST-3  limit 0 is an empty list, None is everything.
        IMAGE-LIST-4  :raises InvalidMarker: the marker is absent, deleted or ``visibility.known`` is false for
                      the caller. A marker that does not itself match the filters is a place in the order all
                      the same.
        IMAGE-LIST-5  Property filters compare the whole value; several tag filters must all hold. A NULL
                      attribute matches no comparison (nor OUTSIDE), IN of an empty tuple matches nothing.
        IMAGE-LIST-6  PREFIX compares case-sensitively, and ``%``, ``_``, ``\\`` in it are ordinary
                      characters; CONTAINS compares ``str.casefold()`` of both sides, the same characters
                      being ordinary there too.
        """
        raise NotImplementedError

    def image_count(self, ctx: RequestContext, query: ImageQuery, at_most: int) -> int:
        """IMAGE-COUNT-1  How many images the query has without marker and limit, counted up to *at_most*."""
        raise NotImplementedError

    def image_update(self, ctx: RequestContext, image_id: str, changes: ImageChanges, *,
                     from_status: str | None = None, if_version: int | None = None) -> Image:
        """Apply the changes to the stored row and return the image as it is then.

        IMAGE-UPDATE-1  What *changes* does not name stays, properties the caller was never shown included.
        IMAGE-UPDATE-2  version grows by one, updated_at moves; also for tag and property changes, and when
                        the new values are the old ones. ``image_delete``, ``image_restore``,
                        ``upload_begin``, ``upload_finish`` and an ``upload_abort`` that changes the image
                        do the same; member methods leave the image as it is.
        IMAGE-UPDATE-3  :raises StatusConflict: from_status is given, the status is another; nothing changed
        IMAGE-UPDATE-4  :raises VersionConflict: if_version is given, the version is another; nothing changed
        IMAGE-UPDATE-5  Of several callers with the same from_status or if_version exactly one wins.
        IMAGE-UPDATE-6  :raises ImageNotFound: absent, deleted or not readable
        IMAGE-UPDATE-7  Clearing or changing ``size`` is an ordinary attribute change; None is stored as NULL.
        """
        raise NotImplementedError

    def image_delete(self, ctx: RequestContext, image_id: str, *, from_status: str | None = None,
                     if_version: int | None = None, status: str = 'deleted') -> Image:
        """Soft-delete the image: it, its members, tags and properties are found no more.

        IMAGE-DELETE-1  The returned image has deleted true, deleted_at set, the status *status* (``deleted``
                        or ``pending_delete``) and, in ``locations``, what was active, then what was staged; the
                        former rows are now pending_delete, the latter stay staged, and both are found by
                        ``locations_pending_delete``.
        IMAGE-DELETE-2  Errors and races as IMAGE-UPDATE-3 to -6. A protected image raises ProtectedImage:
                        whoever sets ``protected`` in time wins.
        IMAGE-DELETE-3  An Upload of the image stays, so that recovery can clear its bytes.
        """
        raise NotImplementedError

    def image_restore(self, ctx: RequestContext, image_id: str, status: str) -> Image:
        """Undo ``image_delete``: the image, with members, tags, properties and locations, is in *status*.

        IMAGE-RESTORE-1  :raises ImageNotFound: no deleted image of that id, or a location of it is gone for
                         good (``location_forget`` was called)
        IMAGE-RESTORE-2  What the image had when it was deleted is back and found again by every method; its
                         locations, in their old order, are no longer found by ``locations_pending_delete``;
                         those that had been given up before it was deleted still are.
        """
        raise NotImplementedError

    # --- tags ----------------------------------------------------------------------------------------------

    def tag_add(self, ctx: RequestContext, image_id: str, tag: str, *, at_most: int | None = None) -> None:
        """Give the image a tag.

        TAG-1  Idempotent.
        TAG-2  :raises ImageNotFound: absent, deleted or not readable
        TAG-3  :raises QuotaExceeded: a new tag would make more than *at_most* (exact also for two callers
               at once)
        """
        raise NotImplementedError

    def tag_remove(self, ctx: RequestContext, image_id: str, tag: str) -> None:
        """TAG-4  :raises TagNotFound, ImageNotFound. Both tag methods move version and updated_at as
        IMAGE-UPDATE-2, unless nothing changed."""
        raise NotImplementedError

    # --- members -------------------------------------------------------------------------------------------

    def member_add(self, ctx: RequestContext, image_id: str, member: str, *, can_share: bool = False,
                   status: str = 'pending', at_most: int | None = None) -> Member:
        """Share the image with a project.

        MEMBER-1  :raises MemberExists: it is one already (a removed one may come back, as new)
        MEMBER-2  :raises QuotaExceeded: it would have more than *at_most* members (exact also for two callers
                  at once)
        MEMBER-3  :raises ImageNotFound: absent, deleted or not readable
        """
        raise NotImplementedError

    def member_get(self, ctx: RequestContext, image_id: str, member: str) -> Member:
        """MEMBER-4  :raises MemberNotFound: no such membership, or the caller is neither administrator, owner
        of the image nor that member."""
        raise NotImplementedError

    def member_list(self, ctx: RequestContext, image_id: str) -> list[Member]:
        """MEMBER-5  All members for the owner and an administrator, only itself for a member (a rejected
        one too), else none, so also for an image that is absent or deleted; in the order of joining."""
        raise NotImplementedError

    def member_update(self, ctx: RequestContext, image_id: str, member: str, status: str) -> Member:
        """MEMBER-6  Set the status, move the membership's updated_at. :raises MemberNotFound: no such one.
        :raises ImageNotFound: absent or deleted (no check of who may, or who reads: that is the caller's
        policy; so a rejected member can accept again)."""
        raise NotImplementedError

    def member_remove(self, ctx: RequestContext, image_id: str, member: str) -> None:
        """MEMBER-7  End the membership. :raises MemberNotFound, ImageNotFound: as MEMBER-6, and nobody is
        asked for permission here either."""
        raise NotImplementedError

    def member_status(self, image_id: str, member: str) -> str | None:
        """MEMBER-8  The status of that membership, or None (the image is absent or deleted: None);
        asks nobody for permission."""
        raise NotImplementedError

    # --- uploads: leases and reservations ------------------------------------------------------------------

    def upload_begin(self, ctx: RequestContext, upload: Upload, *, from_status: str = 'queued',
                     to_status: str = 'saving', changes: ImageChanges = NO_CHANGES, task: Task | None = None) -> Image:
        """Move the image into *to_status* and store the lease, in one transaction.

        The lease is stored as given, its owner and its reservation too; its two times are the driver's.

        UPLOAD-1  :raises StatusConflict: the image is not in *from_status* (of two callers one wins)
        UPLOAD-2  :raises ImageNotFound: absent, deleted, not readable
        UPLOAD-3  :raises StatusConflict: another Upload of the image is not settled yet, whatever the status
        UPLOAD-15  *changes* are applied and *task* is stored in the same transaction, as ``image_update`` and
                   ``task_create`` would; *upload* carries the task's id then.
        """
        raise NotImplementedError

    def upload_heartbeat(self, upload_id: str) -> bool:
        """UPLOAD-4  Renew the lease; False when it is no longer ours (taken over, settled)."""
        raise NotImplementedError

    def upload_reserve(self, upload_id: str, reserved: int, limit: int | None) -> None:
        """Make the reservation of this upload *reserved* bytes in total.

        UPLOAD-5  :raises QuotaExceeded: the owner's ``stored_bytes`` plus the reservations of all its uploads
                  would exceed *limit* bytes; exact also for callers in several processes at once; the
                  reservation stays as it was
        UPLOAD-6  :raises StatusConflict: the lease is no longer ours
        UPLOAD-7  The cost does not grow with one statement per image.
        """
        raise NotImplementedError

    def upload_finish(self, ctx: RequestContext, upload_id: str, changes: ImageChanges,
                      locations: Sequence[Location], *, from_status: str = 'saving',
                      task: TaskChanges | None = None, ends: bool = True) -> Image:
        """The bytes are stored: apply the changes, add the locations, end lease and reservation, at once.

        UPLOAD-8  :raises StatusConflict: the lease is not ours or the image is not in *from_status*; nothing
                  changed, the Upload stays
        UPLOAD-9  :raises ImageGone: the lease is ours but the image was deleted meanwhile; the Upload stays
                  for recovery
        UPLOAD-14  Then the image has the changes and the locations (after those that it had), and there is no
                  Upload and no reservation any more. The caller's right to read is not asked again.
        UPLOAD-16  *task* is applied to the task of the Upload in the same transaction, as ``task_update`` would;
                   what that raises, this does: nothing changed, the Upload stays.
        UPLOAD-17  With *ends* false the Upload stays, its lease renewed and its reservation 0: more bytes follow.
        UPLOAD-18  Locations of status ``staged`` may be added; they stand in no Image. Those that the image had
                   before become pending_delete when an Upload that names a task ends, here and in ``upload_abort``.
        """
        raise NotImplementedError

    def upload_abort(self, upload_id: str, *, to_status: str = 'queued', changes: ImageChanges = NO_CHANGES,
                     task: TaskChanges | None = None) -> bool:
        """UPLOAD-10  End lease and reservation; an image still in the status that ``upload_begin`` gave it
        goes to *to_status*, and where that is ``queued``, size, virtual_size, checksum, os_hash_algo and
        os_hash_value are cleared. False when the lease was not ours: nothing changed. A deleted image stays deleted.

        UPLOAD-19  *changes* are applied unless the image is deleted, and *task* to the task of the Upload unless that
        is finished, in the same transaction."""
        raise NotImplementedError

    def uploads_expired(self, silent_seconds: float, limit: int = 100) -> list[Upload]:
        """UPLOAD-11  At most *limit* uploads whose last heartbeat is that long ago or longer, oldest first;
        those of deleted images too. 0 seconds: all."""
        raise NotImplementedError

    def upload_take_over(self, upload: Upload, new_id: str, node: str) -> bool:
        """UPLOAD-12  Make an expired lease ours under a new id with a fresh heartbeat; False when its id
        or heartbeat has changed since *upload* was read. Of several nodes exactly one gets True. What the
        lease says of image, store, url, owner and reservation stays."""
        raise NotImplementedError

    def upload_of_image(self, image_id: str) -> Upload | None:
        """UPLOAD-13  The unsettled upload of the image, of a deleted one too, or None."""
        raise NotImplementedError

    # --- tasks ---------------------------------------------------------------------------------------------

    def task_create(self, ctx: RequestContext, task: Task) -> Task:
        """Store a new task; return it as stored.

        TASK-1  created_at and updated_at are set and equal; everything else is stored as given (times of the
                given task are ignored, but for ``expires_at``).
        TASK-2  :raises Conflict: the id is taken
        """
        raise NotImplementedError

    def task_get(self, ctx: RequestContext, task_id: str) -> Task:
        """TASK-3  :raises TaskNotFound: absent, or the caller is neither administrator nor of the owning project"""
        raise NotImplementedError

    def task_list(self, ctx: RequestContext, query: TaskQuery) -> list[Task]:
        """TASK-4  Exactly those that ``task_get`` gives the caller and the query asks for, in its order (ties by id,
        in the same direction; NULL as in IMAGE-LIST-2), after the marker.

        TASK-5  :raises InvalidMarker: ``task_get`` does not give the caller the marker"""
        raise NotImplementedError

    def task_update(self, task_id: str, changes: TaskChanges, *, from_status: str | None = None) -> Task:
        """TASK-6  Apply the changes, move updated_at, and return the task as it is then; asks nobody for permission.

        TASK-7  :raises TaskNotFound: absent
        TASK-8  :raises StatusConflict: it is finished, or *from_status* is given and the status is another; nothing
                changed. Of several callers with the same from_status exactly one wins.
        TASK-9  ``expires_at`` is set where the changes say so. A status of success or failure clears ``secret``."""
        raise NotImplementedError

    def tasks_orphaned(self, older_than_seconds: float, limit: int = 100) -> list[Task]:
        """TASK-10  Unfinished tasks, last changed that long ago or longer, of which no Upload tells; oldest first."""
        raise NotImplementedError

    def tasks_expire(self, limit: int = 100) -> int:
        """TASK-11  Remove tasks whose expires_at has passed, at most *limit*; how many were."""
        raise NotImplementedError

    # --- locations -----------------------------------------------------------------------------------------

    def location_staged(self, image_id: str) -> Location | None:
        """LOCATION-3  The newest location of status ``staged`` of an image that is not deleted, or None."""
        raise NotImplementedError

    def locations_set(self, ctx: RequestContext, image_id: str, locations: Sequence[Location],
                      changes: ImageChanges = NO_CHANGES, *, from_status: str | None = None,
                      if_version: int | None = None) -> Image:
        """Make the active locations exactly these, in this order, and apply the changes.

        LOCATION-4  One with an id keeps its row and gets the given metadata; one without becomes a new row; a row
                    that is not named becomes pending_delete, and is found by ``locations_pending_delete``.
        LOCATION-5  Errors, version and races as IMAGE-UPDATE-2 to -6; :raises StatusConflict: an Upload of the image
                    is not settled; :raises Invalid: an id that is no active location of the image
        """
        raise NotImplementedError

    def locations_pending_delete(self, older_than_seconds: float,
                                 limit: int = 100) -> list[tuple[str, Location]]:
        """LOCATION-1  (image id, location) of bytes that must still go, oldest first: pending_delete ones of images
        that live, and pending_delete and staged ones of images whose status is ``deleted`` (not ``pending_delete``,
        which the scrubber asks for). The age is counted from the deletion, or from when the location was given up."""
        raise NotImplementedError

    def location_forget(self, location_id: int) -> None:
        """LOCATION-2  The bytes are gone: the row is found no more. Unknown ids are no error, and neither
        is an id of a location that is active, or staged for an image that lives: that one stays."""
        raise NotImplementedError

    # --- usage and house-keeping ---------------------------------------------------------------------------

    def usage(self, owner: str) -> Usage:
        """USAGE-1  What the project holds now, in a fixed number of statements: images by their owner,
        reservations by the owner that the Upload names. Deleted images count no more, their Upload does until
        it is settled."""
        raise NotImplementedError

    def purge(self, older_than_days: int, max_rows: int | None, *, images: bool = False) -> Mapping[str, int]:
        """Remove rows of images soft-deleted longer ago than that; counts by kind of row.

        PURGE-1  Without *images* only child rows go; with it the image rows go too (their ids may then be
                 used again). Live images, and images with an unsettled Upload or a location still to be
                 deleted, are not touched. At most *max_rows* rows go; calling again goes on, and in the end
                 finds nothing.
        PURGE-2  An image row goes only after all its child rows: an id used again begins with nothing.
        """
        raise NotImplementedError

    @classmethod
    def for_compliance(cls, folder: str, url: str | None, *, again: bool) -> Mapping[str, Any]:
        """Option values for an empty database to try out: what ``glance-drivers check db NAME [--url URL]`` uses,
        once before each test. May be left out where the defaults do.

        :param folder: a new, empty one for each test
        :param url: as given on the command line; None: a database in *folder*, where the driver can do that
        :param again: False the first time: a database at *url* that holds anything must be refused, not emptied;
            True later: what the trial left there is to be removed
        :raises ConfigurationError: *url* is needed, or names a database that is not empty
        """
        return {}
