"""Revisions of the tables, in the branches expand and contract."""
