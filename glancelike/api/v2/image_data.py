"""Image data: take them in, give them out, whole or in part."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import webob

from glancelike import errors
from glancelike.api.v2 import conditions, views
from glancelike.core.download import ByteRange, Download, DownloadService
from glancelike.core.upload import UploadService
from glancelike.wsgi.body import LocalFileBody
from glancelike.wsgi.request import Request, printable, whole_number
from glancelike.wsgi.resource import header_value, reply

OCTETS = 'application/octet-stream'

# 18 digits are more than any image has, and fit into 64 bits.
_RANGE = re.compile(r'bytes\s*=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})', re.IGNORECASE)
_CONTENT_RANGE = re.compile(r'bytes\s+([0-9]{1,18})-([0-9]{1,18})/(?:\*|[0-9]{1,18})', re.IGNORECASE)


def announced(req: Request) -> int | None:
    """How many bytes of image data the client is going to send; None where it does not say.

    :raises UnsupportedMediaType: the Content-Type is not application/octet-stream
    :raises Invalid: the size is not a whole number of 0 or more
    """
    if req.media_type() != OCTETS:
        raise errors.UnsupportedMediaType(given=printable(req.media_type()) or 'none', accepted=OCTETS)
    size = whole_number(req.header('X-OpenStack-Image-Size'), 'X-OpenStack-Image-Size')
    return req.declared_length() if size is None else size


class ImageDataController:
    """Actions on /v2/images/{image_id}/file."""

    def __init__(self, uploads: UploadService, downloads: DownloadService):
        self._uploads, self._downloads = uploads, downloads

    def upload(self, req: Request, image_id: str) -> None:
        """PUT: 204 when the data are stored and the image is active.

        ``X-OpenStack-Image-Size``, else Content-Length, tells how many bytes there will be; ``X-Image-Meta-Store``
        which store shall have them.

        :raises UnsupportedMediaType: the Content-Type is not application/octet-stream
        :raises Invalid: the size is not a whole number of 0 or more; more: ``UploadService.upload``
        """
        size = announced(req)
        self._uploads.upload(req.context, image_id, req.data(), size, req.header('X-Image-Meta-Store') or None)

    def download(self, req: Request, image_id: str) -> webob.Response:
        """GET: 200 and the data, 206 and a part of them, 204 while there are none, 304.

        One range may be asked for (``Range``, or as in Glance the request header ``Content-Range``), and stores to
        try first (``?prefer=fast,cold``).

        :raises InvalidRange: several ranges
        :raises RangeNotSatisfiable: the range lies outside, or is malformed; more: ``DownloadService.open``
        """
        opened = self._open(req, image_id)
        answer = self._head(req, opened)
        if answer.status_int in (204, 304):
            _close(opened)
            return answer

        def sent(count: int) -> None:
            self._downloads.finished(req.context, opened, count, req.remote_addr)

        if opened.local_file is None:
            answer.app_iter = _Counted(opened.chunks, sent)
        else:
            _close(opened)
            answer.app_iter = _file(opened, sent).for_server(req.environ)
        answer.content_length = opened.length  # WebOb forgot it with the new body
        return answer

    def describe(self, req: Request, image_id: str) -> webob.Response:
        """HEAD: the headers that GET would give."""
        opened = self._open(req, image_id)
        _close(opened)
        return self._head(req, opened)

    def _open(self, req: Request, image_id: str) -> Download:
        prefer = _preferred(req)
        part = byte_range(req)
        if part is not None and req.header('If-Range') is not None:
            whole = self._downloads.open(req.context, image_id, None, prefer)
            if views.data_etag(whole.image) not in conditions.tags(req.header('If-Range')):
                return whole
            _close(whole)
        return self._downloads.open(req.context, image_id, part, prefer)

    @staticmethod
    def _head(req: Request, opened: Download) -> webob.Response:
        etag = views.data_etag(opened.image)
        if opened.chunks is None:
            return reply(status=204)
        if conditions.none_match(req, etag):
            return reply(status=304, headers={'ETag': etag})
        # A range that happens to be the whole is a 206 too, unless If-Range put it aside.
        partial = opened.length < opened.size or (byte_range(req) is not None and req.header('If-Range') is None)
        answer = webob.Response(status=206 if partial else 200, headerlist=[
            ('Content-Type', OCTETS), ('Accept-Ranges', 'bytes')])
        answer.content_length = opened.length
        if partial:
            last = opened.offset + opened.length - 1
            answer.headers['Content-Range'] = f'bytes {opened.offset}-{last}/{opened.size}'
        if opened.image.checksum:
            answer.headers['Content-MD5'] = header_value(opened.image.checksum)  # of the whole image, as in Glance
        if etag:
            answer.headers['ETag'] = header_value(etag)
        return answer


class _Counted:
    """The pieces of a download; closing it gives up the store's end and tells how many bytes went out."""

    def __init__(self, pieces: Iterable[bytes], sent: Callable[[int], None]):
        self._pieces, self._sent, self._count = pieces, sent, 0
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            yield piece
            self._count += len(piece)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            try:
                getattr(self._pieces, 'close', lambda: None)()
            finally:
                self._sent(self._count)


def byte_range(req: Request) -> ByteRange | None:
    """The range that the request asks for, or None for everything.

    :raises InvalidRange: several ranges
    :raises RangeNotSatisfiable: it is malformed, or ends before it begins
    """
    header, pattern = req.header('Range'), _RANGE
    if header is None:
        header, pattern = req.header('Content-Range'), _CONTENT_RANGE
    if header is None:
        return None
    if ',' in header:
        raise errors.InvalidRange(reason='Several ranges in one request are not supported; ask for one.')
    found = pattern.fullmatch(header)
    first, last = (int(one) if one else None for one in found.groups()) if found else (None, None)
    if (first is None and last is None) or (first is not None and last is not None and last < first):
        raise errors.RangeNotSatisfiable(f"Range '{printable(header)}' is not of the form bytes=first-last.")
    return ByteRange(first, last)


def _preferred(req: Request) -> list[str]:
    stores: list[str] = []
    for name, value in req.parameters():
        if name == 'prefer':
            stores = [one.strip() for one in value.split(',')]
            if not all(stores):
                raise errors.Invalid(reason="'prefer' must be a list of store ids, separated by commas.")
    return stores


def _file(opened: Download, sent: Callable[[int], None]) -> LocalFileBody:
    try:
        return LocalFileBody(opened.local_file, opened.offset, opened.length, sent)
    except OSError as error:  # deleted since the store was asked
        raise errors.ObjectNotFound('The data of the image are no longer in its store.', store='') from error


def _close(opened: Download) -> None:
    close = getattr(opened.chunks, 'close', None)
    if close is not None:
        close()
