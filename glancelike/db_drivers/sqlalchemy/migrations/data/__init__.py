"""Migrations of data, run by ``glance-manage db migrate`` in the order of their names; none yet."""
