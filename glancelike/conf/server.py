"""Options of the bundled server, glance-api. Other WSGI servers have their own and read none of these."""

from oslo_config import cfg

OPTIONS = (
    cfg.HostAddressOpt('bind_host', default='0.0.0.0', help="""
Address on which glance-api listens. An IPv4 or IPv6 address or a host name; 0.0.0.0 is every IPv4 address, ::
every address. A new value counts after SIGHUP."""),
    cfg.PortOpt('bind_port', default=9292, help="""
TCP port on which glance-api listens. A new value counts after SIGHUP."""),
    cfg.IntOpt('workers', min=0, help="""
Worker processes. Unset: one for each processor, at most 8. 0: none, requests are served in the process that was
started; a database driver that keeps its rows in memory (data_api = simple) needs that. A new value counts
after SIGHUP, but not from 0 to another number or back."""),
    cfg.IntOpt('backlog', default=4096, min=1, help="""
Most connections that wait in the kernel to be accepted; the kernel lowers it to net.core.somaxconn."""),
    cfg.IntOpt('tcp_keepidle', default=600, min=1, help="""
Seconds of silence after which the kernel asks a client whether it is still there."""),
    cfg.IntOpt('client_socket_timeout', default=900, min=0, help="""
Seconds after which a silent client is disconnected: no byte of an upload came, no byte of a download was taken, no
further request came, or a request's header lines are still not complete that long after their start. 0: never."""),
    cfg.BoolOpt('http_keepalive', default=True, help="""
Whether a client may send several requests on one connection. When false each answer closes its connection."""),
    cfg.IntOpt('max_header_line', default=16384, min=1024, help="""
Most bytes of the request line and of each header line; a longer one is answered with 414 or 431. Large tokens
(with a big service catalogue) need more than usual. All header lines of a request together may have 131072 bytes,
or four times this value if that is more."""),
    cfg.StrOpt('cert_file', help="""
File with the certificate (PEM, with its chain) with which glance-api serves TLS. Needs key_file."""),
    cfg.StrOpt('key_file', help="""
File with the private key (PEM, no pass phrase) of cert_file."""),
    cfg.StrOpt('ca_file', help="""
File with the certificates (PEM) of the authorities that clients' certificates must come from. When set, a client
without such a certificate is refused. Needs cert_file and key_file."""),
    cfg.StrOpt('eventlet_hub', choices=('epolls', 'poll', 'selects'), help="""
How the server waits for its sockets. Unset: the best that the machine has."""),
    cfg.IntOpt('graceful_shutdown_timeout', default=60, min=0, help="""
Seconds that a stopping process (SIGTERM, or the old ones after SIGHUP) gives the requests in flight to end. Those
that still run then are cut off; an upload among them is cleared up at the next start."""),
)

GROUPS = {'DEFAULT': OPTIONS}
