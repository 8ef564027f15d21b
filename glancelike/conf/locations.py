"""Locations that callers set: what is done with the data that they name."""

from oslo_config import cfg

OPTIONS = (
    cfg.BoolOpt('do_secure_hash', default=True, help="""
Read and hash the data of a location that ``POST /v2/images/{id}/locations`` sets, in a task.

When true and the caller announces a hash, the image is ``importing`` until the data are found to have that hash;
without an announced hash it is ``active`` at once and has its hash later. When false what the caller announces is
believed."""),
    cfg.IntOpt('location_hash_deadline', default=12 * 3600, min=1, max=30 * 86400, help="""
Seconds that such a task may take to read the data, all tries included. What is slower fails."""),
    cfg.IntOpt('http_retries', default=3, min=0, max=100, help="""
How often such a task tries again when the store of the location, a web server perhaps, breaks off or does not
answer."""),
)

GROUPS = {'DEFAULT': OPTIONS}
