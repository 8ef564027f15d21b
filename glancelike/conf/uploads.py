"""Taking image data in: limits, hashes, and what happens when a process dies in the middle."""

from oslo_config import cfg

OPTIONS = (
    cfg.IntOpt('image_size_cap', default=2**40, min=1, max=2**63 - 1, help="""
Most bytes that the data of one image may have. Unit: bytes; default 1 TiB.

An upload that declares more is refused before any of it is read; one that declares nothing (chunked) is refused
when it gets there. The answer is 413, and nothing of the data is kept."""),
    cfg.StrOpt('hashing_algorithm', default='sha512', help="""
Algorithm of ``os_hash_value``: any name that Python's hashlib knows whose digest has a fixed length.

Use one for the whole cloud. Images keep the hash that they were stored with. An unknown name stops the start."""),
    cfg.BoolOpt('legacy_checksum', default=True, help="""
Compute the MD5 ``checksum`` of new images too.

Old clients check downloads with it (``Content-MD5``). Where none are left, switching it off makes uploads
faster: MD5 is the slowest part of an upload on most machines. New images then have no ``checksum``, only
``os_hash_value``."""),
    cfg.IntOpt('upload_lease_seconds', default=60, min=3, max=86400, help="""
How long an upload may give no sign of life before another process takes it for dead, removes its bytes and sets its
image back to ``queued``. Unit: seconds.

Processes of one machine notice the death of each other at once. This time is for the death of a whole machine, and for
databases that do not answer: use the same value on all nodes, at least three times ``upload_heartbeat_seconds``."""),
    cfg.IntOpt('upload_heartbeat_seconds', default=15, min=1, max=28800, help="""
How often a running upload renews its claim in the database. Unit: seconds. See ``upload_lease_seconds``."""),
    cfg.IntOpt('recovery_interval_seconds', default=15, min=1, max=86400, help="""
How often each process looks for uploads whose process died, and for data of deleted images that are still there.
Unit: seconds. Each look costs two small queries."""),
)

GROUPS = {'DEFAULT': OPTIONS}
