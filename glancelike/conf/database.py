"""Which database driver there is. Its own options stand on the driver's class."""

from oslo_config import cfg

OPTIONS = (
    cfg.StrOpt('data_api', default='sqlalchemy', help="""
Database driver: the name of an entry point in ``glancelike.db_drivers``, the dotted path of a class, or of a
module with a class ``Driver``.

``sqlalchemy`` keeps everything in a database named by ``[database] connection``. ``simple`` keeps it in the
memory of one process: everything is lost at restart, and ``workers`` must be 0. Names of earlier releases
(``glance.db.sqlalchemy.api``, ``glance.db.simple.api``) are understood."""),
    cfg.BoolOpt('db_auto_create', default=False, help="""
Make or upgrade the database's tables at start. When false, a database without the right tables stops the
start, and ``glance-manage db sync`` makes them."""),
)

GROUPS = {'DEFAULT': OPTIONS}
