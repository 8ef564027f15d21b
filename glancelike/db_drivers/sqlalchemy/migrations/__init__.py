"""Revisions of the tables: ``versions/`` for alembic, ``data/`` for rows."""
