"""Certificates of installed drivers."""

import importlib
import json
import sys
import textwrap

from glancelike import config, errors
from glancelike.compliance import installed
from glancelike.compliance.installed import FAILED, HELD, REFUSED, SKIPPED, Certificate, Finding
from tests import base


class StoreCertificateTest(base.TestCase):

    def test_an_honest_driver_holds(self):
        certificate = installed.check_store('memory')
        self.assertTrue(certificate.holds, certificate.lines())
        self.assertEqual(HELD, certificate.outcome('ADD-2'))
        self.assertEqual(REFUSED, certificate.outcome('ALL-5'))
        self.assertEqual(SKIPPED, certificate.outcome('LOCAL-1'))
        self.assertEqual(HELD, certificate.outcome('ADD-3'))
        self.assertIn('glancelike', certificate.supplier)

    def test_a_read_only_web_driver_gets_a_web_server(self):
        certificate = installed.check_store('http')
        self.assertTrue(certificate.holds, certificate.lines())
        self.assertEqual(HELD, certificate.outcome('GET-3'))

    def test_a_broken_driver_is_named_clause_by_clause(self):
        certificate = installed.check_store('tests.broken.store_trial.TrialStore')
        self.assertFalse(certificate.holds)
        broken = [clause for clause in certificate.clauses if certificate.outcome(clause) == FAILED]
        self.assertEqual(['GET-3'], broken)
        self.assertEqual('BROKEN: GET-3', certificate.lines()[-1])

    def test_a_driver_that_cannot_be_made_is_told_once_and_no_clause_is_blamed(self):
        for values, reason in (('None', 'does not say how'), ("{'floppy_sise': 3}", 'floppy_sise')):
            (self.tmp / 'floppy.py').write_text(textwrap.dedent(f"""
                from glancelike.plugin import StoreDriver
                class Floppy(StoreDriver):
                    SCHEMES = ('floppy',)
                    @classmethod
                    def for_compliance(cls, folder, max_bytes=None):
                        return {values}
                """))
            sys.path.insert(0, str(self.tmp))
            self.addCleanup(sys.path.remove, str(self.tmp))
            self.addCleanup(sys.modules.pop, 'floppy', None)
            sys.modules.pop('floppy', None)
            importlib.invalidate_caches()
            error = self.assertRaises(errors.ConfigurationError, installed.check_store, 'floppy.Floppy')
            self.assertIn("driver 'floppy.Floppy'", str(error))
            self.assertIn(reason, str(error))

    def test_an_unknown_driver_is_told_with_what_is_installed(self):
        error = self.assertRaises(errors.ConfigurationError, installed.check_store, 'floppy')
        self.assertIn('filesystem', str(error))

    def configured(self, text):
        path = self.tmp / 'glance.conf'
        path.write_text(textwrap.dedent(text).format(folder=self.tmp))
        return config.load('glance-drivers', ['--config-file', str(path)])

    def test_a_configured_store_is_tried_where_it_is(self):
        conf = self.configured('''
            [DEFAULT]
            enabled_backends = fast:file, cold:filesystem
            [glance_store]
            default_backend = fast
            [fast]
            filesystem_store_datadir = {folder}/fast
            [cold]
            filesystem_store_datadir = {folder}/cold
            ''')
        certificate = installed.check_store('filesystem', conf=conf, store_id='cold')
        self.assertTrue(certificate.holds, certificate.lines())
        self.assertTrue((self.tmp / 'cold').is_dir())
        self.assertFalse((self.tmp / 'fast').exists())
        self.assertEqual([], list((self.tmp / 'cold').iterdir()))
        error = self.assertRaises(errors.ConfigurationError, installed.check_store, 'filesystem', conf=conf)
        self.assertIn('name one with --store', str(error))

    def test_a_driver_without_a_store_in_the_file_is_told(self):
        conf = self.configured('[DEFAULT]\nknown_stores = filesystem\n[glance_store]\n'
                               'filesystem_store_datadir = {folder}/images\n')
        self.assertRaises(errors.ConfigurationError, installed.check_store, 'memory', conf=conf)


class OtherCertificatesTest(base.TestCase):

    def test_property_protections_that_say_how_their_rules_are_written_are_tried(self):
        for name in ('roles', 'policies'):
            certificate = installed.check_property(name)
            self.assertTrue(certificate.holds, certificate.lines())
            self.assertEqual(HELD, certificate.outcome('ALLOWS-4'))

    def test_location_strategies_hold(self):
        for name in ('location_order', 'store_type', 'weight'):
            certificate = installed.check_location_strategy(name)
            self.assertTrue(certificate.holds, certificate.lines())

    def test_import_plugins_hold(self):
        for name in ('no_op', 'image_decompression'):
            certificate = installed.check_import_plugin(name)
            self.assertTrue(certificate.holds, certificate.lines())
            self.assertEqual(HELD, certificate.outcome('PLUGIN-4'))

    def test_a_broken_import_plugin_is_named_clause_by_clause(self):
        certificate = installed.check_import_plugin('tests.broken.import_plugins.KnowsNoBound')
        broken = [clause for clause in certificate.clauses if certificate.outcome(clause) == FAILED]
        self.assertEqual(['PLUGIN-6'], broken)

    def test_an_import_method_that_fetches_gets_a_web_server(self):
        certificate = installed.check_import_method('web-download')
        self.assertTrue(certificate.holds, certificate.lines())
        self.assertEqual(HELD, certificate.outcome('METHOD-4'))

    def test_import_methods_that_cannot_be_tried_without_a_test_file_are_told(self):
        for name, reason in (('glance-direct', 'fetches nothing'), ('glance-download', 'test file')):
            error = self.assertRaises(errors.ConfigurationError, installed.check_import_method, name)
            self.assertIn(reason, str(error))

    def test_the_simple_database_holds(self):
        certificate = installed.check_db('simple')
        self.assertTrue(certificate.holds, certificate.lines())


class CertificateTest(base.TestCase):

    def certificate(self, *findings):
        return Certificate('store', 'x', 'y 1', ('add',), ('ADD-1', 'ADD-2', 'ADD-3', 'ADD-4', 'ADD-5'), findings)

    def test_the_worst_finding_decides_a_clause(self):
        certificate = self.certificate(
            Finding('a', ('ADD-1',), HELD), Finding('b', ('ADD-1', 'ADD-2'), FAILED, 'no'),
            Finding('c', ('ADD-3',), SKIPPED, 'why'), Finding('d', ('ADD-3', 'ADD-4'), REFUSED))
        self.assertEqual([FAILED, FAILED, REFUSED, REFUSED, 'not tested'],
                         [certificate.outcome(clause) for clause in certificate.clauses])

    def test_nothing_tested_is_no_certificate(self):
        self.assertFalse(self.certificate(Finding('c', ('ADD-3',), SKIPPED, 'why')).holds)

    def test_it_is_plain_data(self):
        json.dumps(self.certificate(Finding('a', ('ADD-1',), HELD)).lines())
