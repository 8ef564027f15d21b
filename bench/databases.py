"""Databases with a catalogue in them: files of SQLite, or databases on a server that are made for the bench."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import sqlalchemy as sa

from bench import seed


class Databases:
    """Catalogues of so many images.

    :param where: 'sqlite', or the URL of a database on a server whose user may create others
    :param folder: of SQLite's files
    :param keep: leave them for the next run, which then need not fill them
    """

    def __init__(self, where: str, folder: Path, keep: bool):
        self._where, self._folder, self._keep = where, folder, keep
        self._made: list[str] = []

    def url(self, count: int, purpose: str) -> str:
        """The URL of a database with *count* images, filled if it is not there."""
        name = f'glancelike_bench_{purpose}_{count}'
        if self._where == 'sqlite':
            url = f'sqlite:///{self._folder / name}.sqlite'
        else:
            url = sa.make_url(self._where).set(database=name).render_as_string(hide_password=False)
            if name not in self._names():
                self._execute(f'CREATE DATABASE {name}')
        if name not in self._made:
            self._made.append(name)
        began = time.monotonic()
        if seed.fill(url, count):
            print(f'{count} images made in {time.monotonic() - began:.0f} s', file=sys.stderr, flush=True)
        return url

    def drop(self) -> None:
        """Remove what was made, unless it is to be kept. Files go with their folder."""
        for name in [] if self._keep or self._where == 'sqlite' else self._made:
            self._execute(f'DROP DATABASE {name}')

    def _names(self) -> set[str]:
        engine = sa.create_engine(self._where)
        with engine.connect() as connection:
            names = set(connection.execute(sa.text(
                'SELECT datname FROM pg_database' if engine.dialect.name == 'postgresql' else 'SHOW DATABASES')
            ).scalars())
        engine.dispose()
        return names

    def _execute(self, statement: str) -> None:
        engine = sa.create_engine(self._where, isolation_level='AUTOCOMMIT')
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()
