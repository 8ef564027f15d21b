"""A broken driver that can be tried out by its name alone: ``glance-drivers check store`` needs no test file."""

from tests.broken.store_reading import GivesOneByteMore


class TrialStore(GivesOneByteMore):
    """GET-3, and it says with which options it can be tried."""

    @classmethod
    def for_compliance(cls, folder, max_bytes=None):
        return {'shelf_folder': folder} | ({'shelf_max_bytes': max_bytes} if max_bytes else {})
