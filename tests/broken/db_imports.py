"""Database drivers with one fault each, in what uploads do for imports, and in staged and given up locations."""

from __future__ import annotations

import dataclasses

from glancelike.db_drivers.simple.driver import SimpleDriver
from glancelike.plugin import ImageChanges, errors


class TaskWithoutLeaseDriver(SimpleDriver):
    """Stores the task first, in a transaction of its own."""

    def upload_begin(self, ctx, upload, *, task=None, **expected):
        if task is not None:
            self.task_create(ctx, task)
        return super().upload_begin(ctx, upload, **expected)


class FinishesEndedTasksDriver(SimpleDriver):
    """Gives the image its bytes though its task has failed meanwhile."""

    def upload_finish(self, ctx, upload_id, changes, locations, *, task=None, **expected):
        with self._lock:
            lease = self._leases.get(upload_id)
            if lease is not None and task is not None and self.task_get_any(lease.upload.task_id).finished:
                task = None
            return super().upload_finish(ctx, upload_id, changes, locations, task=task, **expected)

    def task_get_any(self, task_id):
        return self._tasks._tasks[task_id]


class KeepsReservationsDriver(SimpleDriver):
    """Counts the bytes of a copy twice, as stored and as reserved, until the Upload ends."""

    def upload_finish(self, ctx, upload_id, changes, locations, **expected):
        with self._lock:
            lease = self._leases.get(upload_id)
            reserved = lease and lease.upload.reserved
            done = super().upload_finish(ctx, upload_id, changes, locations, **expected)
            if upload_id in self._leases:
                lease.upload = dataclasses.replace(lease.upload, reserved=reserved)
            return done


class AbortLeavesStagedDriver(SimpleDriver):
    """Aborts an import and leaves its staged bytes for ever."""

    def upload_abort(self, upload_id, **expected):
        with self._lock:
            lease = self._leases.get(upload_id)
            if lease is None:
                return False
            row = self._rows[lease.upload.image_id]
            staged = [place for place in row.locations if place.status == 'staged']
            row.locations = [place for place in row.locations if place.status != 'staged']
            done = super().upload_abort(upload_id, **expected)
            row.locations += staged
            return done


class AbortLosesChangesDriver(SimpleDriver):
    """Changes the image only where it also moves it back."""

    def upload_abort(self, upload_id, *, changes=None, **expected):
        with self._lock:
            lease = self._leases.get(upload_id)
            if lease is None or changes is None or self._rows[lease.upload.image_id].image.status != lease.image_status:
                changes = ImageChanges()
            return super().upload_abort(upload_id, changes=changes, **expected)


class ClearsCopiedImagesDriver(SimpleDriver):
    """Takes size and hashes from an image that only should have had one copy more."""

    def upload_abort(self, upload_id, *, to_status='queued', changes=None, **expected):
        cleared = dict.fromkeys(('size', 'virtual_size', 'checksum', 'os_hash_algo', 'os_hash_value'))
        changes = changes or ImageChanges()
        if to_status != 'queued':
            changes = dataclasses.replace(changes, attributes={**cleared, **changes.attributes})
        return super().upload_abort(upload_id, to_status=to_status, changes=changes, **expected)


class DeleteForgetsStagedDriver(SimpleDriver):
    """Deletes an image and says nothing of what was staged for it."""

    def image_delete(self, ctx, image_id, **expected):
        deleted = super().image_delete(ctx, image_id, **expected)
        return dataclasses.replace(deleted, locations=tuple(
            place for place in deleted.locations if place.status != 'staged'))


class RestoresGivenUpDriver(SimpleDriver):
    """Takes every location of a deleted image for one that was deleted with it."""

    def image_restore(self, ctx, image_id, status):
        with self._lock:
            if image_id in self._rows and self._rows[image_id].image.deleted:
                self._rows[image_id].given_up.clear()
            return super().image_restore(ctx, image_id, status)


class MissesGivenUpDriver(SimpleDriver):
    """Does not restore an image that lost a copy which it had given up."""

    def location_forget(self, location_id):
        with self._lock:
            for row in self._rows.values():
                row.lost_bytes = row.lost_bytes or location_id in row.given_up
            super().location_forget(location_id)


class GivenUpAtOnceDriver(SimpleDriver):
    """Tells of what an image gave up however young that is."""

    def locations_pending_delete(self, older_than_seconds, limit=100):
        with self._lock:
            given_up = {place_id for row in self._rows.values() for place_id in row.given_up}
            old = {place.id for _, place in super().locations_pending_delete(older_than_seconds, 2**31)}
            return [found for found in super().locations_pending_delete(0, 2**31)
                    if found[1].id in given_up | old][:limit]


class ForgetsStagedDriver(SimpleDriver):
    """Forgets what is staged for an image that lives."""

    def location_forget(self, location_id):
        with self._lock:
            for row in self._rows.values():
                row.locations = [place for place in row.locations
                                 if place.id != location_id or place.status != 'staged' or row.image.deleted]
            super().location_forget(location_id)


class OldestStagedDriver(SimpleDriver):
    """Finds what was staged first, which is perhaps half of what came later."""

    def location_staged(self, image_id):
        with self._lock:
            if super().location_staged(image_id) is None:
                return None
            return next(place for place in self._rows[image_id].locations if place.status == 'staged')


class KeepsTheOldOrderDriver(SimpleDriver):
    """Gives and takes locations, and leaves those that stay where they were."""

    def locations_set(self, ctx, image_id, locations, *changes, **expected):
        def by_id(place):
            return place.id is None, place.id or 0
        return super().locations_set(ctx, image_id, sorted(locations, key=by_id), *changes, **expected)


class SetsDuringUploadsDriver(SimpleDriver):
    """Changes the locations of an image that an upload has."""

    def locations_set(self, ctx, image_id, *given, **expected):
        with self._lock:
            lease = self._lease_of(image_id)
            if lease is not None:
                del self._leases[lease.upload.id]
            try:
                return super().locations_set(ctx, image_id, *given, **expected)
            finally:
                if lease is not None:
                    self._leases[lease.upload.id] = lease


class TakesAnyLocationIdDriver(SimpleDriver):
    """Leaves locations out that are not the image's, and says nothing."""

    def locations_set(self, ctx, image_id, locations, *changes, **expected):
        with self._lock:
            try:
                return super().locations_set(ctx, image_id, locations, *changes, **expected)
            except errors.Invalid:
                return self._rows[image_id].value()


class CountsStagedTwiceDriver(SimpleDriver):
    """Counts an image once for each of its staged locations."""

    def usage(self, owner):
        with self._lock:
            twice = sum((row.image.size or 0) * len(row.places('staged')) for row in self._rows.values()
                        if row.image.owner == owner and not row.image.deleted)
            return dataclasses.replace(super().usage(owner), staged_bytes=twice)


class PurgesStagedDriver(SimpleDriver):
    """Waits with the purge for what is pending_delete, and not for what is staged."""

    def purge(self, older_than_days, max_rows, *, images=False):
        with self._lock:
            for row in self._rows.values():
                if row.image.deleted and not row.places('pending_delete'):
                    row.locations.clear()
            return super().purge(older_than_days, max_rows, images=images)
