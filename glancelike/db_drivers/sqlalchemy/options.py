"""Options of the driver, group ``[database]``: names of oslo.db's, so that a configuration written for it works."""

from __future__ import annotations

from oslo_config import cfg

OPTIONS = (
    cfg.StrOpt('connection', secret=True, deprecated_name='sql_connection', deprecated_group='DEFAULT', help="""
Address of the database as an SQLAlchemy URL; required with ``data_api = sqlalchemy``.

``sqlite:////var/lib/glance/glance.sqlite``, ``postgresql+psycopg2://glance:SECRET@db.example.org/glance`` or
``mysql+pymysql://glance:SECRET@db.example.org/glance``. Characters of the password that mean something in a
URL (``@ : / %``) are written as ``%40`` and so on. MySQL and MariaDB always talk utf8mb4, whatever
``charset`` the URL says. The password is shown in no log and no error."""),
    cfg.StrOpt('connection_parameters', default='', help="""
Parameters added to ``connection``, written ``name1=value1&name2=value2``."""),
    cfg.IntOpt('max_pool_size', default=10, min=0, help="""
Connections that each process keeps open; 0 means no limit. SQLite: connections kept when idle. One that is opened
beyond it is closed after use, which costs more than the use: let it be more than the requests that a process has in
hand at a time."""),
    cfg.IntOpt('max_overflow', default=50, min=-1, help="""
Connections that each process may open beyond ``max_pool_size`` for a moment; -1 means no limit. Not used with
SQLite."""),
    cfg.IntOpt('pool_timeout', min=0, help="""
Seconds that a request waits for a free connection before it is answered 503; 30 when not set. Not used with
SQLite."""),
    cfg.IntOpt('connection_recycle_time', default=3600, min=-1, help="""
Seconds after which a connection is replaced when it is next used; -1 means never. Set it below the server's
own limit (``wait_timeout`` of MySQL)."""),
    cfg.IntOpt('max_retries', default=10, min=-1, help="""
How often a starting program tries again to reach the database; -1 means for ever, 0 not at all. See
``retry_interval``."""),
    cfg.IntOpt('retry_interval', default=10, min=0, help="""
Seconds between the tries of a starting program."""),
    cfg.BoolOpt('use_db_reconnect', default=True, help="""
Try again when a connection is lost during a request, where it is certain that nothing was committed. When
false, such a request is answered 503 at once."""),
    cfg.IntOpt('db_max_retries', default=20, min=-1, help="""
How often one call is tried again after a deadlock or a lost connection; -1 means as often as ``db_call_seconds``
allows."""),
    cfg.FloatOpt('db_call_seconds', default=5.0, min=0, help="""
Most seconds that one call spends on tries before the request is answered 503. A try that is under way is not
cut short."""),
    cfg.IntOpt('db_retry_interval', default=1, min=0, help="""
Seconds before the second new try after a lost connection (the first follows at once). After a deadlock the
waits are random and shorter."""),
    cfg.BoolOpt('db_inc_retry_interval', default=True, help="""
Double the wait after every try, up to ``db_max_retry_interval``."""),
    cfg.IntOpt('db_max_retry_interval', default=10, min=0, help="""
Longest wait between two tries, in seconds."""),
    cfg.StrOpt('mysql_sql_mode', default='TRADITIONAL', help="""
SQL mode of MySQL and MariaDB sessions. Set to nothing (``mysql_sql_mode =``), the server's own mode is kept."""),
    cfg.IntOpt('mysql_wsrep_sync_wait', help="""
Galera only: value of ``wsrep_sync_wait`` for every session; 1 lets a read wait until what other nodes
committed has arrived. Not touched when not set."""),
    cfg.BoolOpt('sqlite_synchronous', default=True, help="""
SQLite only: a commit waits until the disk has it. When false, a power cut may lose the last commits."""),
    cfg.IntOpt('connection_debug', default=0, min=0, max=100, help="""
How much SQL is logged: 0 warnings, 50 statements with their values, 100 results too."""),
    cfg.BoolOpt('connection_trace', default=False, help="""
Append to every statement, as a comment, which lines of the service sent it."""),
)
