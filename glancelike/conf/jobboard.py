"""The job board that tells ``glance-worker`` processes what to do, and where the steps of their work are noted."""

from oslo_config import cfg

JOBBOARD_OPTIONS = (
    cfg.StrOpt('backend', default='redis', choices=[
        ('redis', 'Redis 2.6 or later; pip install glancelike[redis]'),
        ('etcd', 'etcd 3; pip install glancelike[etcd]'),
        ('zookeeper', 'ZooKeeper 3.4 or later; pip install glancelike[zookeeper]'),
    ], help="""
What the job board is. It only tells workers of tasks: what is lost of it is told again from the database."""),
    cfg.ListOpt('hosts', default=[], help="""
Where it answers: ``host`` or ``host:port``, several separated by commas. Default: ``127.0.0.1`` and the usual port of
the back end (6379, 2379, 2181).

ZooKeeper and etcd: members of one cluster; another one is used when one does not answer. Redis: with
``redis_sentinel`` the sentinels (usual port 26379); without it servers of which the first that answers and can be
written to is used."""),
    cfg.StrOpt('user', help="""
Name to log in with. Redis: of an ACL user; leave it unset where there is only a password. ZooKeeper: of the scheme
``digest``. Not for etcd, whose library knows certificates only."""),
    cfg.StrOpt('password', secret=True, help="""
Password to log in with."""),
    cfg.BoolOpt('tls', default=False, help="""
Talk TLS to the board."""),
    cfg.StrOpt('ca_file', help="""
File with the authorities that the board's certificate is checked against. Default: those of the system."""),
    cfg.StrOpt('cert_file', help="""
File with the certificate that is shown to the board, where it asks for one."""),
    cfg.StrOpt('key_file', help="""
File with the key of ``cert_file``."""),
    cfg.StrOpt('name', default='glance', regex='^[A-Za-z0-9_-]{1,64}$', help="""
Name of the board. Services that share a back end and not a database need different ones."""),
    cfg.IntOpt('redis_database', default=0, min=0, max=16383, help="""
Number of Redis' database."""),
    cfg.StrOpt('redis_sentinel', help="""
Name of the master that the sentinels in ``hosts`` watch."""),
    cfg.IntOpt('claim_seconds', default=30, min=3, max=3600, help="""
How long a claim of a worker stands that gives no sign of life: after that another worker may claim its tasks. Unit:
seconds. ZooKeeper: of the session; its server has bounds of its own (2 to 20 ticks).

Whether the former worker is alive all the same, the database knows: see also ``upload_lease_seconds``."""),
    cfg.FloatOpt('call_seconds', default=5, min=0.1, max=300, help="""
How long the board may take to answer. Unit: seconds."""),
    cfg.FloatOpt('look_seconds', default=1, min=0.05, max=300, help="""
How often a worker that could do more looks at the board. Unit: seconds."""),
    cfg.IntOpt('stop_seconds', default=60, min=0, max=86400, help="""
How long a worker that is told to stop waits until its work is given back. Unit: seconds."""),
    cfg.StrOpt('persistence_connection', secret=True, help="""
SQLAlchemy URL of the database in which workers note the finished steps of each task, so that another one does not do
them again. Default: that of ``[database] connection``. The tables are taskflow's (``logbooks``, ``flowdetails``,
``atomdetails``); they are made at first use."""),
)

GROUPS = {'jobboard': JOBBOARD_OPTIONS}
