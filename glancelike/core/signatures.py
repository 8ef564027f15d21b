"""Image signatures: the four ``img_signature`` properties, checked against the bytes as they come in.

The certificate is fetched from the key manager that castellan is configured for (``[key_manager]``, ``[barbican]``),
with the caller's token. An image that does not carry all four properties is not signed, and nothing is checked.
Needs the extra ``signatures`` (cursive, castellan); both are imported when the first signed image comes.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from typing import Any

from glancelike import errors
from glancelike.context import RequestContext
from glancelike.core.streams import Verifier
from glancelike.core.threads import NativeThreads

LOG = logging.getLogger(__name__)

SIGNATURE = 'img_signature'
HASH_METHOD = 'img_signature_hash_method'
KEY_TYPE = 'img_signature_key_type'
CERTIFICATE = 'img_signature_certificate_uuid'


def is_signed(properties: Mapping[str, str]) -> bool:
    """Does an image with these properties carry a signature?"""
    return all(name in properties for name in (SIGNATURE, HASH_METHOD, KEY_TYPE, CERTIFICATE))


class Signatures:
    """Makes the verifiers of signed images.

    :param conf: an oslo.config ConfigOpts, where castellan registers and reads its own options
    """

    def __init__(self, conf: Any, threads: NativeThreads):
        self._conf = conf
        self._threads = threads

    def verifier(self, ctx: RequestContext, properties: Mapping[str, str]) -> Verifier | None:
        """What the bytes of an image with these properties must be fed to; None when it is not signed.

        :raises SignatureInvalid: the properties make no sense, the certificate is not found, not readable by the
            caller or of another key type, or this installation cannot check signatures
        """
        if not is_signed(properties):
            return None
        try:
            cursive = importlib.import_module('cursive.signature_utils')
            failures = importlib.import_module('cursive.exception')
        except ImportError as error:
            LOG.error('A signed image was refused: install glancelike[signatures] to check signatures (%s).', error)
            raise errors.SignatureInvalid(
                reason='The image is signed, and this service is not able to check signatures.') from error
        try:
            return _Checked(self._make(cursive, ctx, properties))
        except failures.CursiveException as error:
            raise errors.SignatureInvalid(reason=f'The signature cannot be checked: {error}') from error

    def _make(self, cursive: Any, ctx: RequestContext, properties: Mapping[str, str]) -> Any:
        # cursive's own get_verifier would read castellan's global configuration.
        try:
            signature = cursive.get_signature(properties[SIGNATURE])
        except ValueError as error:  # cursive 0.3.1 knows what is no base64, but not what is no ASCII
            raise errors.SignatureInvalid(reason='The signature cannot be checked: it is no base64.') from error
        method = cursive.get_hash_method(properties[HASH_METHOD])
        key_type = cursive.SignatureKeyType.lookup(properties[KEY_TYPE])
        key = self._threads.run(self._public_key, ctx, properties[CERTIFICATE])
        if not isinstance(key, key_type.public_key_type):
            raise errors.SignatureInvalid(
                reason=f'The certificate holds no key of type {properties[KEY_TYPE]}.')
        verifier = key_type.create_verifier(signature, method, key)
        if verifier is None:
            raise errors.SignatureInvalid(reason='The signature is empty.')
        return verifier

    def _public_key(self, ctx: RequestContext, certificate_id: str) -> Any:
        from castellan import key_manager
        from castellan.common import exception as castellan_errors
        from cryptography import exceptions, x509
        try:
            certificate = key_manager.API(self._conf).get(_castellan_context(ctx), certificate_id)
        except castellan_errors.ManagedObjectNotFoundError as error:
            raise errors.SignatureInvalid(reason=f'No certificate {certificate_id} was found for you.') from error
        except Exception as error:  # back ends raise their own, their HTTP client's and the loader's
            LOG.error('The key manager gave no certificate %s.', certificate_id, exc_info=True)
            raise errors.SignatureInvalid(
                reason=f'The certificate {certificate_id} could not be fetched from the key manager.') from error
        try:
            return x509.load_der_x509_certificate(certificate.get_encoded()).public_key()
        except (AttributeError, TypeError, ValueError, exceptions.UnsupportedAlgorithm) as error:
            # A secret of another kind, no X.509, or a key of a kind that nobody knows.
            raise errors.SignatureInvalid(
                reason=f'{certificate_id} is no X.509 certificate with a key that can be used.') from error


class _Checked:
    """cursive's verifier with our error."""

    def __init__(self, verifier: Any):
        self._verifier = verifier
        self.update = verifier.update

    def verify(self) -> None:
        from cryptography.exceptions import InvalidSignature
        try:
            self._verifier.verify()
        except InvalidSignature as error:
            raise errors.SignatureInvalid(reason='The signature does not fit the data.') from error


def _castellan_context(ctx: RequestContext) -> Any:
    from oslo_context import context as oslo_context
    return oslo_context.RequestContext(auth_token=ctx.token, user_id=ctx.user_id, project_id=ctx.project_id,
                                       request_id=ctx.request_id, overwrite=False)
