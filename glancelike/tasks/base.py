"""What import methods and import plugins work with: the bytes on their way, and the import under way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from glancelike.model.image import Image

T = TypeVar('T')

#: How much of the data ``Content.head`` shows: enough for every format that qemu-img and the decompressors know.
HEAD_BYTES = 2**16


@dataclasses.dataclass(frozen=True, slots=True)
class Content:
    """An image's bytes on their way, and what is known of them. Each hand makes the next one's Content of it.

    :ivar chunks: the bytes in order, each piece 1 B to 4 MiB, readable once; None where ``path`` is given
    :ivar path: a local file that holds exactly the bytes and is not to be changed; None where ``chunks`` are given
    :ivar size: length in bytes, or None while it is unknown
    :ivar disk_format: what the bytes are declared to be, as ``container_format``
    :ivar properties: what the image gets beside the properties that it has; those of the service are left out
    :ivar head: the first HEAD_BYTES, fewer only where there are no more; the service fills it in before each plugin
    """

    chunks: Iterable[bytes] | None = dataclasses.field(default=None, repr=False)
    path: str | None = None
    size: int | None = None
    disk_format: str | None = None
    container_format: str | None = None
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)
    head: bytes = dataclasses.field(default=b'', repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """Who asked for the import.

    :ivar roles: lower-cased role names
    """

    user_id: str | None = None
    project_id: str | None = None
    roles: frozenset[str] = frozenset()
    is_admin: bool = False


class ImportJob:
    """One import under way, as methods and plugins see it. This base does the work in the calling thread, for tests.

    :ivar image: as stored when the import began
    :ivar caller: who asked for it
    :ivar input: what ``ImportMethod.check`` has kept of the request
    :ivar secret: what ``ImportMethod.secret`` has given, or None; never logged, never in a message
    :ivar folder: an empty local directory for this job alone, on a disk with room; removed after it
    :ivar max_bytes: most bytes that an image may have (``image_size_cap``)
    """

    def __init__(self, image: Image, folder: str, *, caller: Caller | None = None,
                 input: Mapping[str, Any] | None = None, secret: str | None = None,
                 max_bytes: int = 2**40):
        self.image = image
        self.folder = folder
        self.caller = caller or Caller()
        self.input = dict(input or {})
        self.secret = secret
        self.max_bytes = max_bytes

    def check(self) -> None:
        """Is going on worth while? Cheap, may be called from any thread; call it at least once a second.

        :raises TaskCancelled: somebody asked for the end
        :raises ImageGone: the image was deleted
        :raises StatusConflict: another process took this one for dead and does the work now
        """

    def run(self, call: Callable[..., T], *args: Any) -> T:
        """Do a call that blocks or computes for long, while the process serves others; its result."""
        return call(*args)

    def sleep(self, seconds: float) -> None:
        """Let *seconds* pass, or less: then ``check`` has raised."""
        import time
        self.check()
        time.sleep(seconds)
