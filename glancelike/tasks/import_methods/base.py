"""The contract of an import method, clause by clause.

An entry point of ``glancelike.import_methods``; its name is what clients send as ``method.name``, and it can be used
when ``enabled_import_methods`` lists it. ``glancelike.compliance.import_method`` tests each numbered clause.

METHOD-1  ``check`` asks nobody: it looks at the request only, and returns JSON-able values without a secret, which
          any process can go on with later, on another machine too.
METHOD-2  What is wrong with the request is Invalid or BadSource, naming the field; no other error.
METHOD-3  ``open`` gives the bytes from their beginning each time it is called, also in another process; what it needs
          stands in ``job.input`` and ``job.secret``.
METHOD-4  SourceUnavailable for what may pass (the method has then tried again by itself for a bounded time), BadSource
          or HashMismatch for what will not. The same errors come out of the chunks.
METHOD-5  Chunks are pieces of 1 B to 4 MiB; ``job.check`` is called for each, and what it raises passes unchanged;
          closing them early gives up every connection and file. More than ``job.max_bytes`` are never given:
          ImageTooLarge comes first.
METHOD-6  No error text, log line or property carries a credential.
METHOD-7  A wait for bytes or an answer goes through ``job.run`` or has a short time limit: no call blocks for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.tasks.base import Content, ImportJob

#: Where the bytes are when the import begins.
STAGED = 'staged'  # PUT /v2/images/{id}/stage has put them into the staging store
STORED = 'stored'  # the image is active, and is to be in more stores
OWN = 'own'        # the method gets them


class ImportMethod:
    """Base of all import methods.

    :cvar SOURCE: STAGED, STORED or OWN; methods of other packages are OWN, and have ``open``
    :cvar OPTIONS: oslo.config options, read from the group OPTION_GROUP
    :param options: attribute access to the values of OPTIONS
    :raises ConfigurationError: the options cannot work
    """

    SOURCE: ClassVar[str] = OWN
    OPTIONS: ClassVar[Sequence[Any]] = ()
    OPTION_GROUP: ClassVar[str] = 'DEFAULT'

    def __init__(self, options: Any):
        self.options = options

    def check(self, ctx: RequestContext, method: Mapping[str, Any]) -> Mapping[str, Any]:
        """What of the request's ``method`` object the work needs, without ``name``.

        :raises Invalid, BadSource: METHOD-2
        """
        return {}

    def secret(self, ctx: RequestContext, given: Mapping[str, Any]) -> str | None:
        """What else the work needs and nobody may see: the caller's token. Kept encrypted, gone with the task.

        :param given: what ``check`` returned
        """
        return None

    def open(self, job: ImportJob) -> Content:
        """The bytes; formats None where they are what the image says, properties that the image is to get.

        :raises BadSource, HashMismatch, SourceUnavailable, ImageTooLarge: METHOD-4, METHOD-5
        """
        raise errors.BadSource(reason='the import method has no source of its own')

    def facts(self) -> Mapping[str, Any]:
        """METHOD-8  What callers may know, for ``GET /v2/info/import``: JSON-able, no credential."""
        return {}

    @classmethod
    def for_compliance(cls, folder: str) -> Mapping[str, Any] | None:
        """Optional: option values with which ``glance-drivers check import-method`` tries the method out.

        For a method that fetches what the ``uri`` of a request names: it is given one of a web server on 127.0.0.1,
        and must give up one that does not answer within seconds.

        :param folder: an empty folder, removed after the trial
        :returns: values other than the defaults; None where the method fetches in another way
        """
        return None
