"""Keys, certificates and signatures for tests of signed images."""

import base64
import datetime
import uuid

from castellan.common import exception
from castellan.common.objects import x_509
from castellan.key_manager import key_manager
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

RSA, ECC = 'RSA-PSS', 'ECC_SECP384R1'


class Signer:
    """A key of its own and a self-signed certificate of it.

    :param kind: RSA or ECC
    """

    def __init__(self, kind=RSA):
        self.kind = kind
        self._key = rsa.generate_private_key(65537, 2048) if kind == RSA else ec.generate_private_key(ec.SECP384R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'signer of images')])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
                       .public_key(self._key.public_key()).serial_number(x509.random_serial_number())
                       .not_valid_before(now - datetime.timedelta(days=1))
                       .not_valid_after(now + datetime.timedelta(days=1)).sign(self._key, hashes.SHA256()))
        self.certificate_der = certificate.public_bytes(serialization.Encoding.DER)

    def properties(self, data: bytes, certificate_id: str) -> dict[str, str]:
        """The four properties of an image with these bytes."""
        if self.kind == RSA:
            scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.MAX_LENGTH)
            signature = self._key.sign(data, scheme, hashes.SHA256())
        else:
            signature = self._key.sign(data, ec.ECDSA(hashes.SHA256()))
        return {'img_signature': base64.b64encode(signature).decode(), 'img_signature_hash_method': 'SHA-256',
                'img_signature_key_type': self.kind, 'img_signature_certificate_uuid': certificate_id}


class KeyManager(key_manager.KeyManager):
    """A back end of castellan, by class path ``[key_manager] backend``: keeps what tests put into KEPT.

    :cvar KEPT: secret by id; castellan makes a new instance for each request
    :cvar ASKED: the contexts of all requests
    """

    KEPT: dict = {}
    ASKED: list = []

    def __init__(self, configuration):
        super().__init__(configuration)

    @classmethod
    def keep(cls, secret) -> str:
        identity = str(uuid.uuid4())
        cls.KEPT[identity] = x_509.X509(secret) if isinstance(secret, bytes) else secret
        return identity

    def get(self, context, managed_object_id, metadata_only=False):
        self.ASKED.append(context)
        try:
            secret = self.KEPT[managed_object_id]
        except KeyError:
            raise exception.ManagedObjectNotFoundError(uuid=managed_object_id) from None
        if isinstance(secret, Exception):
            raise secret
        return secret

    def _refuse(self, *args, **kwargs):
        raise NotImplementedError('signatures only read certificates')

    create_key = create_key_pair = store = copy = delete = list = add_consumer = remove_consumer = _refuse
