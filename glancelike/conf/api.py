"""What the API tells, to whom, and how much of it at once."""

from oslo_config import cfg

OPTIONS = (
    cfg.StrOpt('public_endpoint', help="""
URL by which clients reach this service, ``https://images.example.org``: what links of the version list begin
with. When not set, links begin with what the client itself used (behind a proxy, see
``[oslo_middleware] enable_proxy_headers_parsing``)."""),
    cfg.BoolOpt('allow_anonymous_access', default=False, help="""
Let callers without a valid token look at public and community images. They can change nothing (403). When
false they get 401. Has a meaning in the flavors ``keystone`` and ``trusted-auth``."""),
    cfg.StrOpt('unauthenticated_project', default='admin', help="""
Project that owns what is made in the pipeline without authentication, where every caller is an administrator
of this one project."""),
    cfg.IntOpt('max_request_id_length', default=64, min=0, help="""
Longest ``X-OpenStack-Request-ID`` that is taken over from a request; a longer one is refused with 431.
Unit: characters."""),
    cfg.IntOpt('limit_param_default', default=25, min=1, help="""
Images in one page of a list that asks for no ``limit``."""),
    cfg.IntOpt('api_limit_max', default=1000, min=1, help="""
Most images in one page, whatever ``limit`` asks for."""),
    cfg.IntOpt('max_json_body', default=1024 * 1024, min=1024, help="""
Longest JSON document that is read from a request (413 beyond that). Unit: bytes."""),
    cfg.BoolOpt('show_image_direct_url', default=False, help="""
Show ``direct_url``, the URL of the preferred copy in its store, to callers whom the policy
``get_image_location`` allows it. Services that clone from the store itself need it; it tells a client how the
storage is built."""),
    cfg.BoolOpt('show_multiple_locations', default=False, help="""
Show ``locations``, the URLs of all copies, to callers whom the policy ``get_image_location`` allows it, and let patches
change them (policies ``set_image_location``, ``delete_image_location``). Read first in the page on security who may
then make the service read what."""),
    cfg.StrOpt('image_schema_file', default='schema-image.json', help="""
File with image properties that ``/v2/schemas/image`` describes beside the built-in ones: looked for beside
glance.conf, then in the search list of configuration files. When the default name is nowhere to be found
there are none; any other name must exist.

Two forms are read: an object of property schemas by name, or ``{"properties": {...}, "required": [...]}``."""),
)

PASTE_OPTIONS = (
    cfg.StrOpt('flavor', help="""
Which pipeline of the paste file is used: the part after ``glance-api-``. ``keystone`` asks Keystone,
``trusted-auth`` believes the identity headers of a proxy in front. When not set nobody is asked for anything
and every caller is an administrator: for trying out only."""),
    cfg.StrOpt('config_file', help="""
Path of the paste file. When not set: the name of the configuration file with ``-paste.ini`` in place of
``.conf``, else ``glance-api-paste.ini``, beside it or in the search list of configuration files."""),
)

GROUPS = {'DEFAULT': OPTIONS, 'paste_deploy': PASTE_OPTIONS}
