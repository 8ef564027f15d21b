"""Empty databases for ``glance-drivers check db sqlalchemy``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from glancelike.db_drivers.sqlalchemy.engine import read_url
from glancelike.plugin import Options, errors


def options(folder: str, url: str | None, *, again: bool) -> Mapping[str, Any]:
    """See DbDriver.for_compliance; without *url* and for SQLite, a file in *folder*."""
    if url is None or url.startswith('sqlite'):
        return {'connection': f'sqlite:///{os.path.join(folder, "trial.sqlite")}'}
    address = read_url(Options(connection=url, connection_parameters=''))
    engine = sa.create_engine(address, poolclass=sa.pool.NullPool)
    try:
        with engine.begin() as connection:
            found = sa.MetaData()
            found.reflect(connection)
            if found.tables and not again:
                raise errors.ConfigurationError('the database of --url is not empty; give one that holds nothing.')
            found.drop_all(connection)
    except sa.exc.SQLAlchemyError as error:
        raise errors.ConfigurationError(
            f'the database of --url cannot be used: {type(error).__name__}') from error
    finally:
        engine.dispose()
    return {'connection': url}
