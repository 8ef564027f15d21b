"""A suite on an installed driver, by name, with no test file: what ``glance-drivers check`` runs.

The driver's ``for_compliance`` says with which option values it can be tried out; what no one can say for it (how
its store is made to look dead, for instance) is skipped with a reason, and can be tested from a test file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import sys
import tempfile
import unittest
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from oslo_config import cfg

from glancelike import loading
from glancelike.compliance.db import DbSuite
from glancelike.compliance.import_method import ImportMethodSuite
from glancelike.compliance.import_plugin import ImportPluginSuite
from glancelike.compliance.location_strategy import LocationStrategySuite
from glancelike.compliance.property_policy import RuleTableSuite
from glancelike.compliance.requires import clauses_in, clauses_of
from glancelike.compliance.store import StoreSuite
from glancelike.compliance.web_server import WebServer
from glancelike.plugin import ADD, OWN, Options, errors, options_for

HELD = 'held'
REFUSED = 'refused as it should'
SKIPPED = 'skipped'
FAILED = 'failed'

_MIB = 2**20
_TRIAL_ID = 'trial'  # of stores that are made here; a configured one has its own


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What one test said of the clauses that it names.

    :ivar outcome: HELD, REFUSED, SKIPPED or FAILED
    :ivar text: why it was skipped, or how it failed
    """

    test: str
    clauses: tuple[str, ...]
    outcome: str
    text: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Certificate:
    """What the suite found out about a driver.

    :ivar clauses: every clause of the contract, in its order
    """

    kind: str
    name: str
    supplier: str
    claims: tuple[str, ...]
    clauses: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Did no test fail, and did some hold?"""
        outcomes = {finding.outcome for finding in self.findings}
        return FAILED not in outcomes and HELD in outcomes

    def of_clause(self, clause: str) -> list[Finding]:
        return [finding for finding in self.findings if clause in finding.clauses]

    def outcome(self, clause: str) -> str:
        """The clause as a whole: the worst that was found, and skipped only where nothing else was."""
        outcomes = {finding.outcome for finding in self.of_clause(clause)}
        return next((one for one in (FAILED, HELD, REFUSED, SKIPPED) if one in outcomes), 'not tested')

    def lines(self) -> list[str]:
        """The certificate as text."""
        lines = [f'{self.kind} driver {self.name}, from {self.supplier}',
                 f'claims: {", ".join(sorted(self.claims)).upper() or "nothing"}', '']
        width = max(map(len, self.clauses), default=0)
        for clause in self.clauses:
            lines.append(f'  {clause:{width}}  {self.outcome(clause)}')
            for finding in self.of_clause(clause):
                if finding.outcome in (FAILED, SKIPPED):
                    lines.append(f'  {"":{width}}    {finding.outcome}: {_sentence(finding.test)}: {finding.text}')
        counts = ', '.join(f'{sum(one.outcome == outcome for one in self.findings)} {outcome}'
                           for outcome in (HELD, REFUSED, SKIPPED, FAILED))
        broken = [clause for clause in self.clauses if self.outcome(clause) == FAILED]
        verdict = (f'BROKEN: {", ".join(broken)}' if broken else 'HOLDS every clause that was tested' if self.holds
                   else 'NOTHING was tested')
        return [*lines, '', f'{len(self.findings)} tests: {counts}', verdict]


def check_store(name: str, *, conf: cfg.ConfigOpts | None = None, store_id: str | None = None) -> Certificate:
    """Run the store suite on the installed driver *name*.

    :param conf: a configuration that was read: the driver is given the options of its store there, and the trial
        images are written to that store and removed. None: stores in temporary folders.
    :param store_id: with *conf*, which store, where several use the driver
    :raises ConfigurationError: no such driver, or it cannot be made with these options
    """
    cls = loading.driver_class(loading.NAMESPACES['store'], name)
    options = None if conf is None else _options_of_store(conf, cls, name, store_id)

    def make(folder: str, max_bytes: int | None = None) -> Any:
        if options is None:
            return _in_folder(cls, folder, max_bytes)
        return None if max_bytes else cls(store_id or name, options)

    with _made_once(name) as folder:
        if make(folder) is None:
            raise errors.ConfigurationError(
                f"driver '{name}' does not say how a store to try out is made ({cls.__name__}.for_compliance); give "
                '--config-file, or run its suite from a test file.')
    return _certificate('store', name, cls, _StoreTrial, make=make)


def check_db(name: str, *, url: str | None = None) -> Certificate:
    """Run the database suite on the installed driver *name*.

    :param url: an empty database; it is used by the trial and left empty
    :raises ConfigurationError: no such driver, or *url* does not do
    """
    cls = loading.driver_class(loading.NAMESPACES['db'], name)
    calls = []

    def make(folder: str) -> Any:
        calls.append(folder)
        return cls(options_for(cls, **cls.for_compliance(folder, url, again=len(calls) > 1)))

    with _made_once(name) as folder:
        make(folder).close()
    try:
        return _certificate('db', name, cls, _DbTrial, make=make)
    finally:
        with tempfile.TemporaryDirectory() as folder:
            make(folder).close()


def check_property(name: str) -> Certificate:
    """Run the suite of property protections on the installed driver *name*.

    :raises ConfigurationError: no such driver, or it does not say how its rules are written
    """
    cls = loading.driver_class(loading.NAMESPACES['property'], name)

    def make(folder: str, table: Sequence[tuple[str, Mapping[str, str]]]) -> Any:
        values = cls.for_compliance(folder, table)
        if values is None:
            raise errors.ConfigurationError(
                f"driver '{name}' does not say how its rules are written ({cls.__name__}.for_compliance); "
                'run its suite from a test file.')
        defaults = {option.dest: option.default for option in cls.OPTIONS}
        return cls(Options(**(defaults | dict(values))), lambda ctx, rule: rule in ctx.roles | ctx.service_roles)

    with _made_once(name) as folder:
        make(folder, [('.', dict.fromkeys(('create', 'read', 'update', 'delete'), 'everyone'))])
    return _certificate('property', name, cls, _PropertyTrial, make=make)


def check_location_strategy(name: str) -> Certificate:
    """Run the suite of location strategies on the installed driver *name*, its options at their defaults.

    :raises ConfigurationError: no such driver
    """
    cls = loading.driver_class(loading.NAMESPACES['location_strategy'], name)
    return _certificate('location_strategy', name, cls, _StrategyTrial,
                        make=lambda weights: cls(options_for(cls), weights))


def check_import_method(name: str) -> Certificate:
    """Run the suite of import methods on the installed driver *name*, which fetches from a web server of the suite.

    :raises ConfigurationError: no such driver, or one that cannot be tried out without a test file
    """
    cls = loading.driver_class(loading.NAMESPACES['import_method'], name)
    if cls.SOURCE != OWN:
        raise errors.ConfigurationError(f"driver '{name}' fetches nothing: its data are in the service already, and "
                                        'its tests are those of the import.')

    def make(folder: str) -> Any:
        values = cls.for_compliance(folder)
        if values is None:
            raise errors.ConfigurationError(
                f"driver '{name}' does not say with which options it fetches from a web server "
                f'({cls.__name__}.for_compliance); run its suite from a test file.')
        return cls(options_for(cls, **values))

    with _made_once(name) as folder:
        make(folder)
    return _certificate('import_method', name, cls, _ImportMethodTrial, make=make, method_name=name)


def check_import_plugin(name: str) -> Certificate:
    """Run the suite of import plugins on the installed driver *name*, with the images that come with the suite.

    :raises ConfigurationError: no such driver, or it cannot be made: a program that it needs is not installed here
    """
    cls = loading.driver_class(loading.NAMESPACES['import_plugin'], name)

    def make(folder: str) -> Any:
        values = cls.for_compliance(folder)
        if values is None:
            raise errors.ConfigurationError(
                f"driver '{name}' does not say with which options it can be tried out ({cls.__name__}.for_compliance); "
                'run its suite from a test file.')
        return cls(options_for(cls, **values))

    with _made_once(name) as folder:
        make(folder)
    return _certificate('import_plugin', name, cls, _ImportPluginTrial, make=make)


@contextlib.contextmanager
def _made_once(name: str) -> Iterator[str]:
    """A folder in which the driver is made for a first time: what cannot be used is told once, not by every test."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield folder
        except errors.GlanceError:
            raise
        except Exception as error:  # a driver may raise anything
            raise errors.ConfigurationError(
                f"driver '{name}' cannot be made to be tried out: {type(error).__name__}: {error}") from error


# --- the trials -----------------------------------------------------------------------------------------------


class _Trial(unittest.TestCase):
    """A suite whose driver is made by ``make(folder, ...)``, given when the class is derived."""

    make: Callable[..., Any]

    def new_folder(self) -> str:
        folder = tempfile.TemporaryDirectory(prefix='glance-drivers-')
        self.addCleanup(folder.cleanup)
        return folder.name


class _StoreTrial(StoreSuite, _Trial):

    def make_store(self) -> Any:
        return type(self).make(self.new_folder())

    def make_small_store(self) -> Any:
        return type(self).make(self.new_folder(), max_bytes=_MIB)

    def put_object(self, store: Any, data: bytes) -> str | None:
        return self._web().url(self._web().put(data)) if self._reads_the_web(store) else None

    def missing_url(self, store: Any) -> str | None:
        return self._web().url('/nothing') if self._reads_the_web(store) else None

    def _reads_the_web(self, store: Any) -> bool:
        return store.id == _TRIAL_ID and 'http' in store.SCHEMES and ADD not in store.CAPABILITIES

    def _web(self) -> WebServer:
        if not hasattr(self, 'web'):
            self.web = WebServer()
            self.addCleanup(self.web.stop)
        return self.web


class _DbTrial(DbSuite, _Trial):

    def make_driver(self) -> Any:
        return type(self).make(self.new_folder())

    def reopen(self, driver: Any) -> Any:
        return type(driver)(driver.options)


class _PropertyTrial(RuleTableSuite, _Trial):

    def make_from_table(self, table: Sequence[tuple[str, Mapping[str, str]]]) -> Any:
        return type(self).make(self.new_folder(), table)


class _StrategyTrial(LocationStrategySuite, _Trial):

    def make_strategy(self, weights: Mapping[str, int]) -> Any:
        return type(self).make(weights)


class _ImportMethodTrial(ImportMethodSuite, _Trial):

    method_name: str

    def setUp(self) -> None:
        super().setUp()
        self.web = WebServer()
        self.addCleanup(self.web.stop)
        self.folder = self.new_folder()
        self.silent = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(self.silent.close)

    def make_method(self) -> Any:
        return type(self).make(self.folder)

    def make_request(self, data: bytes) -> Mapping[str, Any]:
        return self._request(self.web.url(self.web.put(data)))

    def missing_request(self) -> Mapping[str, Any]:
        return self._request(self.web.url('/nothing'))

    def dead_request(self) -> Mapping[str, Any]:
        with socket.create_server(('127.0.0.1', 0)) as listening:
            port = listening.getsockname()[1]
        return self._request(f'http://127.0.0.1:{port}/x')

    def silent_request(self) -> Mapping[str, Any]:
        return self._request(f'http://127.0.0.1:{self.silent.getsockname()[1]}/x')

    def wrong_requests(self) -> Sequence[tuple[Mapping[str, Any], str]]:
        return [({'name': self.method_name}, 'uri'), (self._request('/x'), 'uri')]

    def broken_request(self, data: bytes) -> Mapping[str, Any]:
        def answer(handler: Any) -> None:
            handler.send_response(200)
            handler.send_header('Content-Length', str(len(data)))
            handler.end_headers()
            handler.wfile.write(data[:len(data) // 2])
            handler.close_connection = True
        self.web.handlers['/broken'] = answer
        return self._request(self.web.url('/broken'))

    def _request(self, uri: str) -> Mapping[str, Any]:
        return {'name': self.method_name, 'uri': uri}


class _ImportPluginTrial(ImportPluginSuite, _Trial):

    def make_plugin(self) -> Any:
        if not hasattr(self, 'options_folder'):
            self.options_folder = self.new_folder()
        return type(self).make(self.options_folder)


def _in_folder(cls: type, folder: str, max_bytes: int | None) -> Any:
    values = cls.for_compliance(folder, max_bytes)
    return None if values is None else cls(_TRIAL_ID, options_for(cls, **values))


def _options_of_store(conf: cfg.ConfigOpts, cls: type, name: str, store_id: str | None) -> Options:
    """Option values of the configured store of that driver."""
    aliases = loading.ALIASES[loading.NAMESPACES['store']]
    fitting = [one for one in loading.store_configs(conf)
               if aliases.get(one.driver_name, one.driver_name) == aliases.get(name, name)
               and store_id in (None, one.id)]
    if len(fitting) != 1:
        ids = ', '.join(one.id for one in fitting) or 'none'
        raise errors.ConfigurationError(
            f"one store of driver '{name}' is wanted, and {', '.join(loading.files_of(conf))} has: {ids}"
            f'{"; name one with --store" if fitting else ""}.')
    return loading.options_of(conf, cls, fitting[0].groups)


# --- running --------------------------------------------------------------------------------------------------


class _Findings(unittest.TestResult):
    """Collects one Finding for each test."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, Finding] = {}

    def _add(self, test: Any, outcome: str, text: str = '') -> None:
        name = test._testMethodName
        if name not in self.found or outcome == FAILED:
            self.found[name] = Finding(name, clauses_of(test), outcome, text)

    def addSuccess(self, test: Any) -> None:
        method = getattr(test, test._testMethodName)
        self._add(test, REFUSED if hasattr(method, 'refuses') else HELD)

    def addSkip(self, test: Any, reason: str) -> None:
        refused = getattr(getattr(test, test._testMethodName), 'refuses', None)
        if refused is None or refused not in test.claimed:  # else there is nothing to refuse: it is claimed and tested
            self._add(test, SKIPPED, reason)

    def addFailure(self, test: Any, err: Any) -> None:
        self._add(test, FAILED, _brief(err))

    addError = addFailure


def _brief(err: Any) -> str:
    """The last line of what went wrong, with the place in the driver where it came from, if it did."""
    kind, error, trace = err
    frames = []
    while trace is not None:
        frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    text = ' '.join(str(error).split()) or kind.__name__
    if issubclass(kind, AssertionError) or not frames:
        return text
    return f'{kind.__name__}: {text} ({frames[-1][0]}, line {frames[-1][1]})'


def _certificate(kind: str, name: str, cls: type, trial: type[_Trial], make: Callable[..., Any],
                 **attributes: Any) -> Certificate:
    case = type(trial.__name__, (trial,), {'make': staticmethod(make), **attributes})
    result = _Findings()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    contract = next(base for base in cls.__mro__ if base.__module__ in _CONTRACTS)
    suppliers = [f'{one.package} {one.version}' for one in loading.installed(loading.NAMESPACES[kind], load=False)
                 if one.name == name]
    return Certificate(
        kind, name, ', '.join(suppliers) or f'{cls.__module__}.{cls.__qualname__}',
        tuple(getattr(cls, 'CAPABILITIES', ())), clauses_in(sys.modules[contract.__module__]),
        tuple(result.found.values()))


_CONTRACTS = ('glancelike.store_drivers.base', 'glancelike.db_drivers.base', 'glancelike.property_protections.base',
              'glancelike.location_strategies.base', 'glancelike.tasks.import_methods.base',
              'glancelike.tasks.import_plugins.base')


def _sentence(test: str) -> str:
    return test.removeprefix('test_').replace('_', ' ')
