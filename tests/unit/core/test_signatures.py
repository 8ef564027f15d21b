"""Signed images, with a back end of castellan that the test fills (real Barbican: tests/functional/real)."""

import io
import sys

from castellan.common import exception
from castellan.common.objects import opaque_data, x_509

from glancelike import errors
from glancelike.core import signatures
from tests.unit.core import signing
from tests.unit.core.built import OWNER, member_of
from tests.unit.core.data import DataTestCase
from tests.unit.core.signing import ECC, RSA, KeyManager, Signer

DATA = b'signed bytes' * 200_000


class SignaturesTest(DataTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.signers = {kind: Signer(kind) for kind in (RSA, ECC)}

    def setUp(self):
        super().setUp()
        self.signer = self.signers[RSA]
        self.addCleanup(KeyManager.KEPT.clear)
        self.addCleanup(KeyManager.ASKED.clear)
        self.certificate = KeyManager.keep(self.signer.certificate_der)
        self.build()

    def build(self, **options):
        super().build(**options)
        from castellan import options as castellan_options
        castellan_options.set_defaults(self.conf, backend=f'{signing.__name__}.KeyManager')

    def signed_image(self, signer=None, certificate=None, data=DATA, **changed):
        signer = signer or self.signer
        properties = signer.properties(data, certificate or self.certificate)
        return self.new_image(properties=properties | changed)

    def check_refused(self, image, words, data=DATA):
        raised = self.assertRaises(errors.SignatureInvalid, self.upload, image, data)
        self.assertIn(words, str(raised))
        self.assert_as_before_the_upload(image)
        return raised

    def test_signed_bytes_are_accepted(self):
        for kind, signer in self.signers.items():
            image = self.signed_image(signer, KeyManager.keep(signer.certificate_der))
            self.assertEqual((kind, 'active'), (kind, self.upload(image, DATA).status))

    def test_other_bytes_are_refused_and_not_kept(self):
        for signer in self.signers.values():
            image = self.signed_image(signer, KeyManager.keep(signer.certificate_der))
            self.check_refused(image, 'does not fit the data', DATA[:-1] + b'x')

    def test_no_bytes_can_be_signed_too(self):
        self.assertEqual('active', self.upload(self.signed_image(data=b''), b'').status)

    def test_the_key_manager_is_asked_as_the_caller(self):
        ctx = member_of('owner', token='the token')
        self.uploads.upload(ctx, self.signed_image().id, io.BytesIO(DATA))
        asked = KeyManager.ASKED[-1]
        self.assertEqual(('the token', 'owner', ctx.request_id),
                         (asked.auth_token, asked.project_id, asked.request_id))

    def test_an_image_with_some_of_the_properties_is_not_signed(self):
        properties = self.signer.properties(b'other', self.certificate)
        del properties[signatures.KEY_TYPE]
        self.assertEqual('active', self.upload(self.new_image(properties=properties), DATA).status)

    def test_an_unknown_certificate(self):
        self.check_refused(self.signed_image(certificate='nowhere'), 'No certificate nowhere')

    def test_a_key_manager_that_fails(self):
        for error in (exception.KeyManagerError('secret detail'), exception.Forbidden()):
            raised = self.check_refused(self.signed_image(certificate=KeyManager.keep(error)), 'could not be fetched')
            self.assertNotIn('secret detail', str(raised))

    def test_secrets_that_are_no_certificate(self):
        for secret in (x_509.X509(b'no certificate'), opaque_data.OpaqueData(b'x'), object()):
            self.check_refused(self.signed_image(certificate=KeyManager.keep(secret)), 'is no X.509 certificate')

    def test_a_certificate_of_another_kind_of_key(self):
        certificate = KeyManager.keep(self.signers[ECC].certificate_der)
        self.check_refused(self.signed_image(certificate=certificate), 'no key of type RSA-PSS')

    def test_properties_that_make_no_sense(self):
        for name, value in ((signatures.HASH_METHOD, 'SHA-1'), (signatures.KEY_TYPE, 'unknown'),
                            (signatures.SIGNATURE, '=not base64='), (signatures.SIGNATURE, '')):
            self.check_refused(self.signed_image(**{name: value}), 'ignature')

    def test_a_signature_of_characters_that_are_no_base64(self):
        for value in ('\N{GRINNING FACE}', '\u00e9' * 8):
            self.check_refused(self.signed_image(**{signatures.SIGNATURE: value}), 'signature cannot be checked')

    def test_a_certificate_with_a_key_of_an_unknown_algorithm(self):
        rsa, unknown = (bytes.fromhex(f'06092a864886f70d0101{last}') for last in ('01', '7f'))
        certificate = KeyManager.keep(self.signer.certificate_der.replace(rsa, unknown))
        self.check_refused(self.signed_image(certificate=certificate), 'is no X.509 certificate')

    def test_without_the_extra_signed_images_are_refused_and_others_are_not(self):
        self.addCleanup(sys.modules.update, {name: module for name, module in sys.modules.items()
                                             if name.startswith('cursive')})
        sys.modules['cursive.signature_utils'] = None  # what an import of a missing package meets
        self.check_refused(self.signed_image(), 'not able to check signatures')
        self.assertEqual('active', self.upload(self.new_image(), DATA, ctx=OWNER).status)
