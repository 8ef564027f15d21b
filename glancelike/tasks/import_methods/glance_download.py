"""``glance-download``: import an image of another region's image service.

What the operator should know: the other service is found in the caller's Keystone catalog and asked with the caller's
token, so who may import what is decided there. The endpoint comes from Keystone and may be on any network; redirects
that lead away from it are refused. The token must be valid until the download's last connection is made.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from oslo_config import cfg

from glancelike.plugin import Content, ImportJob, ImportMethod, RequestContext, errors, network

_KNOWN = ('name', 'glance_image_id', 'glance_region', 'glance_service_interface')
_MOST_DOCUMENT_BYTES = 4 * 2**20
_NOT_IN_TOKENS = re.compile(r'[^\x21-\x7e]')
_VERSION = re.compile(r'/v[12](\.\d+)?$')


class GlanceDownload(ImportMethod):
    """An image of another region.

    The request's ``method`` has ``glance_region`` and ``glance_image_id``, and may have ``glance_service_interface``.

    :raises ConfigurationError: the certificate file or a proxy cannot be used
    """

    OPTION_GROUP: ClassVar[str] = 'glance_download_properties'
    OPTIONS = (
        cfg.ListOpt('extra_properties', bounds=False,
                    default=['hw_', 'trait:', 'os_distro', 'os_secure_boot', 'os_type'], help="""
Beginnings of the names of properties that an image imported by glance-download takes over from the other region's
image. Brackets round the list are understood."""),
        *network.DOWNLOAD_OPTIONS,
    )

    def __init__(self, options: Any):
        super().__init__(options)
        self._prefixes = tuple(filter(None, (text.strip(' []\'"') for text in options.extra_properties)))
        self._tls = network.tls_context(options.download_ca_certificates_file,
                                        '[glance_download_properties] download_ca_certificates_file')
        self._proxies = network.Proxies.of_environment()

    def check(self, ctx: RequestContext, method: Mapping[str, Any]) -> Mapping[str, Any]:
        """See the contract; what is kept is the endpoint's URL beside what was asked for."""
        unknown = sorted(key[:64] for key in method if key not in _KNOWN)
        if unknown:
            raise errors.Invalid(reason=f'method: {", ".join(unknown)}: glance-download knows {", ".join(_KNOWN)} only')
        region, image_id = method.get('glance_region'), method.get('glance_image_id')
        interface = method.get('glance_service_interface') or 'public'
        if not isinstance(region, str) or not 0 < len(region) <= 255:
            raise errors.Invalid(reason='glance_region: glance-download needs the name of a region')
        if not isinstance(interface, str) or len(interface) > 255:
            raise errors.Invalid(reason='glance_service_interface: it must be public, internal or admin')
        try:
            image_id = str(uuid.UUID(image_id))
        except (AttributeError, TypeError, ValueError):
            raise errors.Invalid(reason='glance_image_id: the image id does not look like a UUID') from None
        if not ctx.token or _NOT_IN_TOKENS.search(ctx.token):
            raise errors.Invalid(reason='glance-download asks the other region with your token, and you have none')
        return {'glance_region': region, 'glance_image_id': image_id, 'glance_service_interface': interface,
                'endpoint': _endpoint(ctx, region, interface)}

    def secret(self, ctx: RequestContext, given: Mapping[str, Any]) -> str | None:
        """The caller's token."""
        return ctx.token

    def open(self, job: ImportJob) -> Content:
        """See the contract. Formats and properties are those of the other region's image."""
        image_url = f'{job.input["endpoint"]}/v2/images/{job.input["glance_image_id"]}'
        requests = _requests_to(job.input['endpoint'], self._tls, self._proxies)
        limits = network.Limits.of(self.options)
        image = _document(requests, image_url, job, limits)
        if image.get('status') != 'active':
            raise errors.BadSource(reason='the image of the other region is not active')
        data = network.Download(requests, f'{image_url}/file', job, limits, secrets=_headers(job),
                                digest=_digest(image))
        data.start()
        size = image.get('size')
        if isinstance(size, int) and data.size not in (None, size):
            data.close()
            raise errors.BadSource(reason='the other region sends another number of bytes than its image has')
        return Content(chunks=data.chunks(), size=data.size, disk_format=_text(image, 'disk_format'),
                       container_format=_text(image, 'container_format'), properties=self._properties(image))

    def facts(self) -> Mapping[str, Any]:
        """Beginnings of the names of properties that are taken over."""
        return {'properties': list(self._prefixes)}

    def _properties(self, image: Mapping[str, Any]) -> dict[str, str]:
        return {name: value for name, value in image.items() if isinstance(value, str)
                and name.startswith(self._prefixes) and not name.startswith('os_glance')}


def _endpoint(ctx: RequestContext, region: str, interface: str) -> str | None:
    """The URL of the region's image service, without version; None: the caller's catalog has none.

    :raises BadSource: it is not one that can be asked
    """
    found = [url for service in ctx.service_catalog if service.get('type') == 'image'
             for endpoint in service.get('endpoints') or () if isinstance(endpoint, Mapping)
             if region in (endpoint.get('region'), endpoint.get('region_id'))
             for url in [_url_of(endpoint, interface)] if url]
    if not found:
        return None
    url = _VERSION.sub('', found[0].rstrip('/')).rstrip('/')
    try:
        target = network.Target.of(url, network.Failures())
    except errors.BadSource:
        target = None
    if target is None or target.authorization is not None or '?' in url:
        raise errors.BadSource(reason=f"glance_region: the catalog's endpoint in region '{region}' cannot be used")
    return url


def _url_of(endpoint: Mapping[str, Any], interface: str) -> str | None:
    """Its URL for that interface, in the shape of catalogs of Keystone's v2 or v3 API."""
    url = endpoint.get('url') if endpoint.get('interface') == interface else endpoint.get(f'{interface}URL')
    return url if isinstance(url, str) and url else None


def _requests_to(endpoint: str | None, tls: Any, proxies: network.Proxies) -> network.Requests:
    """Requests to that service and nowhere else.

    :raises BadSource: the catalog had none. Not sooner: Glance takes such a request, and then its task fails; clients,
        Tempest among them, count on that
    """
    failures = network.Failures()
    if endpoint is None:
        raise failures.bad('your catalog has no endpoint of type image with that interface in that region')
    origin = network.Target.of(endpoint, failures).origin

    def permit(target: network.Target) -> None:
        if target.origin != origin:
            raise failures.bad('the image service of the other region redirects to another host')

    return network.Requests(failures, network.AddressGuard(failures, allow_all=True), tls, proxies, permit)


def _headers(job: ImportJob) -> dict[str, str]:
    return {} if job.secret is None else {'X-Auth-Token': job.secret}


def _document(requests: network.Requests, url: str, job: ImportJob, limits: network.Limits) -> Mapping[str, Any]:
    """The other region's image. :raises BadSource: there is none, or it is something else"""
    download = network.Download(requests, url, _Bounded(job), limits, secrets=_headers(job))
    try:
        download.start()
        image = json.loads(b''.join(download.chunks()))
    except (errors.ImageTooLarge, ValueError, RecursionError):
        image = None
    if not isinstance(image, dict):
        raise errors.BadSource(reason='the other region does not answer as an image service')
    return image


class _Bounded:
    """A job that may read as many bytes as the document of an image has at most."""

    max_bytes = _MOST_DOCUMENT_BYTES

    def __init__(self, job: ImportJob):
        self.check, self.run, self.sleep = job.check, job.run, job.sleep


def _digest(image: Mapping[str, Any]) -> tuple[str, str] | None:
    """Algorithm and digest by which the data are known; None: there is none that can be computed here."""
    known = {name for name in hashlib.algorithms_guaranteed if not name.startswith('shake')}
    for algorithm, digest in ((image.get('os_hash_algo'), image.get('os_hash_value')), ('md5', image.get('checksum'))):
        if isinstance(digest, str) and digest and isinstance(algorithm, str) and algorithm.lower() in known:
            return algorithm.lower(), digest.lower()
    return None


def _text(image: Mapping[str, Any], name: str) -> str | None:
    value = image.get(name)
    return value if isinstance(value, str) and value else None
