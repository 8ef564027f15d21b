"""The migrations, as alembic runs them. ``schema.py`` says when."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic import config as alembic_config
from alembic import util as alembic_util
from alembic.script import ScriptDirectory, revision

from glancelike.plugin import errors

_FOLDER = Path(__file__).with_name('migrations')


def newest(branch: str) -> str:
    """The newest version of a branch."""
    return ScriptDirectory.from_config(_config()).get_revision(f'{branch}@head').revision


def applied(heads: Sequence[str]) -> set[str]:
    """Every version that a database with these versions has gone through.

    :raises ConfigurationError: a version that this release does not know
    """
    if not heads:
        return set()
    with _named():
        scripts = ScriptDirectory.from_config(_config())
        return {one.revision for one in scripts.iterate_revisions(heads, 'base', implicit_base=True)}


def upgrade(connection: sa.Connection, version: str) -> None:
    """Run the migrations up to a version.

    :raises ConfigurationError: no such version
    """
    with _named():
        command.upgrade(_config(connection), version)


def stamp(connection: sa.Connection, version: str) -> None:
    """Declare that the database is at a version, without looking.

    :raises ConfigurationError: no such version
    """
    with _named():
        command.stamp(_config(connection), version)


def _config(connection: sa.Connection | None = None) -> alembic_config.Config:
    config = alembic_config.Config()
    config.set_main_option('script_location', str(_FOLDER).replace('%', '%%'))
    config.attributes['connection'] = connection
    return config


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Turn alembic's complaints about versions into ours."""
    try:
        yield
    except (alembic_util.CommandError, revision.RevisionError) as error:
        raise errors.ConfigurationError(
            f'The version of the tables is not one of this release: {error}. The database belongs to a newer release '
            'or to another program.') from error
