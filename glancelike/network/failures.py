"""In which errors the trouble of a request is told."""

from __future__ import annotations

from glancelike import errors


class Failures:
    """The errors of import methods; a store, whose contract has others, gives its own."""

    def bad(self, reason: str) -> errors.GlanceError:
        """Trying again does not help. *reason* is a clause without URL, address or secret."""
        return errors.BadSource(reason=reason)

    def unavailable(self, reason: str, retry_after: float = 0) -> errors.GlanceError:
        """It may pass.

        :param retry_after: seconds after which the server wants to be asked again; 0 where it did not say
        """
        return errors.SourceUnavailable(reason=reason, retry_after=retry_after)
