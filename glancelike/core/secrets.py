"""What a task needs and nobody may see, on its way through the database: encrypted and authenticated (Fernet)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from glancelike import errors


class Secrets:
    """Seals and opens the secrets of tasks.

    :param key: 32 bytes in URL-safe base64, the same in every process that does tasks; None: a key of this process
        alone, so that another process cannot open what this one has sealed
    :raises ConfigurationError: the key is of another form
    """

    def __init__(self, key: str | None = None):
        self._key = key
        self._made: Any = None
        if key is not None:
            self._fernet()

    def sealed(self, secret: Mapping[str, Any]) -> str:
        """JSON-able values as text for ``Task.secret``."""
        return self._fernet().encrypt(json.dumps(dict(secret)).encode()).decode()

    def opened(self, sealed: str | None) -> Mapping[str, Any]:
        """What was sealed; empty for None.

        :raises BadSource: it was sealed with another key: by a process that is gone, with no key configured
        """
        if sealed is None:
            return {}
        from cryptography.fernet import InvalidToken
        try:
            return json.loads(self._fernet().decrypt(sealed.encode()))
        except InvalidToken as error:
            raise errors.BadSource(
                reason='the credentials of the request are no longer at hand; ask for the import again') from error

    def _fernet(self) -> Any:
        if self._made is None:
            # Imported when the first secret comes: most imports have none.
            from cryptography.fernet import Fernet
            try:
                self._made = Fernet(self._key or Fernet.generate_key())
            except ValueError as error:
                raise errors.ConfigurationError(
                    '[task] secret_key must be 32 bytes in URL-safe base64, such as "openssl rand -base64 32 | '
                    "tr '+/' '-_'\" prints.") from error
        return self._made
