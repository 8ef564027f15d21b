"""Database drivers with one fault each, in uploads and house-keeping."""

from __future__ import annotations

import dataclasses
import time

from glancelike.db_drivers.simple.driver import SimpleDriver
from glancelike.plugin import errors
from tests.broken.db_images import TURN_SECONDS


class IgnoresReservationsDriver(SimpleDriver):
    """Compares what is stored with the limit, and not what is on its way."""

    def upload_reserve(self, upload_id, reserved, limit):
        with self._lock:
            owner = self._lease(upload_id).upload.owner
            if limit is not None and self.usage(owner).stored_bytes + reserved > limit:
                raise errors.QuotaExceeded(resource='stored bytes', limit=limit, wanted=reserved)
            super().upload_reserve(upload_id, reserved, None)


class ReservesTooLateDriver(SimpleDriver):
    """Adds everything up first and reserves later."""

    def upload_reserve(self, upload_id, reserved, limit):
        with self._lock:
            upload = self._lease(upload_id).upload
            held = self.usage(upload.owner)
            wanted = held.stored_bytes + held.reserved_bytes - upload.reserved + reserved
        if limit is not None and wanted > limit:
            raise errors.QuotaExceeded(resource='stored bytes', limit=limit, wanted=wanted)
        if limit is not None:
            time.sleep(TURN_SECONDS)
        super().upload_reserve(upload_id, reserved, None)


class TakenOverTwiceDriver(SimpleDriver):
    """Looks whether the lease has expired first and takes it later."""

    def upload_take_over(self, upload, new_id, node):
        with self._lock:
            lease = self._leases.get(upload.id)
            if lease is None or lease.upload.heartbeat_at != upload.heartbeat_at:
                return False
        time.sleep(TURN_SECONDS)
        with self._lock:
            self._leases.pop(upload.id, None)
            lease.upload = dataclasses.replace(lease.upload, id=new_id, node=node)
            self._leases[new_id] = lease
            return self.upload_heartbeat(new_id)


class AbortLeavesSizeDriver(SimpleDriver):
    """Sends the image back to queued with the size of what is gone."""

    def upload_abort(self, upload_id, *, to_status='queued', **more):
        with self._lock:
            lease = self._leases.get(upload_id)
            size = lease and self._rows[lease.upload.image_id].image.size
            done = super().upload_abort(upload_id, to_status=to_status, **more)
            if lease:
                row = self._rows[lease.upload.image_id]
                row.image = dataclasses.replace(row.image, size=size)
            return done


class AbortMovesAnythingDriver(SimpleDriver):
    """Sends an image back to queued that an administrator has moved on meanwhile."""

    def upload_abort(self, upload_id, *, to_status='queued', **more):
        with self._lock:
            lease = self._leases.get(upload_id)
            if lease:
                lease.image_status = self._rows[lease.upload.image_id].image.status
            return super().upload_abort(upload_id, to_status=to_status, **more)


class FinishesDeletedDriver(SimpleDriver):
    """Takes the bytes of an image that was deleted meanwhile, and says that all is well."""

    def upload_finish(self, ctx, upload_id, changes, locations, **expected):
        try:
            return super().upload_finish(ctx, upload_id, changes, locations, **expected)
        except errors.ImageGone:
            with self._lock:
                return self._rows[self._leases.pop(upload_id).upload.image_id].value()


class ForgetsTheLeaseDriver(SimpleDriver):
    """Begins another upload while an earlier one is not settled."""

    def upload_begin(self, ctx, upload, **expected):
        with self._lock:
            row = self._readable(ctx, upload.image_id)
            lease = self._lease_of(upload.image_id)
            if lease is not None and row.image.status == expected.get('from_status', 'queued'):
                del self._leases[lease.upload.id]
            return super().upload_begin(ctx, upload, **expected)


class ImmortalLeaseDriver(SimpleDriver):
    """Renews a lease that was taken over."""

    def __init__(self, options):
        super().__init__(options)
        self._taken: set[str] = set()

    def upload_take_over(self, upload, new_id, node):
        done = super().upload_take_over(upload, new_id, node)
        if done:
            self._taken.add(upload.id)
        return done

    def upload_heartbeat(self, upload_id):
        return super().upload_heartbeat(upload_id) or upload_id in self._taken


class CountsImagesOfOthersDriver(SimpleDriver):
    """Compares names of owners without regard to case and blanks, as a database's default collation does."""

    def usage(self, owner):
        with self._lock:
            alike = {row.image.owner for row in self._rows.values()
                     if row.image.owner and row.image.owner.strip().lower() == owner.strip().lower()}
            found = [super(CountsImagesOfOthersDriver, self).usage(one) for one in alike | {owner}]
            return dataclasses.replace(found[0], stored_bytes=sum(one.stored_bytes for one in found),
                                       reserved_bytes=sum(one.reserved_bytes for one in found),
                                       images=sum(one.images for one in found),
                                       uploading=sum(one.uploading for one in found))


class PurgesLiveImagesDriver(SimpleDriver):
    """Purges by age and forgets to ask whether the image was deleted."""

    def purge(self, older_than_days, max_rows, *, images=False):
        with self._lock:
            if older_than_days == 0 and max_rows is None:
                for row in self._rows.values():
                    if not row.image.deleted:
                        row.tags.clear()
            return super().purge(older_than_days, max_rows, images=images)


class PurgesWithBytesLeftDriver(SimpleDriver):
    """Purges an image before its bytes are cleared, so that they stay for ever."""

    def purge(self, older_than_days, max_rows, *, images=False):
        with self._lock:
            if older_than_days == 0:
                for row in self._rows.values():
                    if row.image.deleted:
                        row.locations.clear()
            return super().purge(older_than_days, max_rows, images=images)


class PurgesChildrenLastDriver(SimpleDriver):
    """Frees the id first, and gives the tags of the old image to the new one."""

    def __init__(self, options):
        super().__init__(options)
        self._orphans: dict[str, set[str]] = {}

    def purge(self, older_than_days, max_rows, *, images=False):
        with self._lock:
            tags = {image_id: set(row.tags) for image_id, row in self._rows.items()}
            counts = super().purge(older_than_days, max_rows, images=images)
            self._orphans |= {image_id: was for image_id, was in tags.items() if image_id not in self._rows}
            return counts

    def image_create(self, ctx, image):
        with self._lock:
            super().image_create(ctx, image)
            row = self._rows[image.id]
            row.tags |= self._orphans.get(image.id, set())
            return row.value()
