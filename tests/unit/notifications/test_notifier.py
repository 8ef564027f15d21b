"""Who is told of an event, and that a failing bus never fails a request."""

import dataclasses
import json
import logging

from glancelike.model.image import Image, ImportState, Location, Member
from glancelike.notifications import events
from glancelike.notifications.base import NotificationDriver
from glancelike.notifications.drivers.log import LogDriver
from glancelike.notifications.drivers.noop import NoopDriver
from glancelike.notifications.notifier import Notifier
from glancelike.plugin import RequestContext
from tests import base

CTX = RequestContext(user_id='mia', project_id='films', token='secret-token')
IMAGE = Image('i', name='x', owner='films', properties={'colour': 'red'},
              locations=(Location('file:///secret/path', store='fast', metadata={'password': 'secret'}),))


class Remembering(NotificationDriver):
    """Keeps what it is asked to send."""

    def __init__(self, name='remembering'):
        super().__init__(None, 'image.localhost', name)
        self.sent = []

    def send(self, context, event_type, priority, payload):
        self.sent.append((event_type, priority, payload, context))


class Failing(NotificationDriver):
    """A bus that is down."""

    def __init__(self):
        super().__init__(None, 'image.localhost', 'failing')

    def send(self, context, event_type, priority, payload):
        raise ConnectionError('the bus is down')


class NotifierTest(base.TestCase):

    def sent(self, event, disabled=()):
        driver = Remembering()
        Notifier([driver], disabled).send(CTX, event)
        return [one[0] for one in driver.sent]

    def test_every_driver_is_told(self):
        one, two = Remembering(), Remembering()
        Notifier([one, two]).send(CTX, events.image_create(IMAGE))
        self.assertEqual(one.sent, two.sent)
        self.assertEqual('image.create', one.sent[0][0])

    def test_a_driver_that_fails_is_logged_and_the_others_are_told_all_the_same(self):
        log = self.watch('glancelike.notifications.notifier')
        driver = Remembering()
        Notifier([Failing(), driver]).send(CTX, events.image_create(IMAGE))
        self.assertEqual(1, len(driver.sent))
        self.assertIn('image.create could not be sent by failing', log[0].getMessage())

    def test_a_disabled_event_is_not_sent_and_its_neighbours_are(self):
        self.assertEqual([], self.sent(events.image_create(IMAGE), ['image.create']))
        self.assertEqual(['image.update'], self.sent(events.image_update(IMAGE), ['image.create']))

    def test_a_disabled_group_is_what_stands_before_the_last_dot(self):
        member = Member('i', 'books')
        self.assertEqual([], self.sent(events.image_create(IMAGE), ['image']))
        self.assertEqual(['image.member.create'], self.sent(events.member_create(member), ['image']))
        self.assertEqual([], self.sent(events.member_create(member), ['image.member']))

    def test_without_drivers_nothing_happens(self):
        Notifier([]).send(CTX, events.image_create(IMAGE))

    def test_drivers_learn_who_asked_but_no_token(self):
        driver = Remembering()
        Notifier([driver]).send(CTX, events.image_create(IMAGE))
        self.assertEqual({'request_id': CTX.request_id, 'user_id': 'mia', 'project_id': 'films'}, driver.sent[0][3])

    def test_noop_tells_nobody(self):
        Notifier([NoopDriver(None, 'image.localhost', 'noop')]).send(CTX, events.image_create(IMAGE))

    def test_log_writes_one_line_of_json(self):
        log = self.watch('glancelike.notification')
        notifier = Notifier([LogDriver(None, 'image.host-7', 'log')])
        notifier.send(CTX, events.image_create(IMAGE))
        notifier.send(CTX, events.image_upload_failed(IMAGE, 'the store is full'))
        self.assertEqual([logging.INFO, logging.ERROR], [record.levelno for record in log])
        line = log[0].getMessage()
        self.assertNotIn('\n', line)
        told = json.loads(line)
        self.assertEqual(('image.host-7', 'image.create', 'INFO', 'red'), (
            told['publisher_id'], told['event_type'], told['priority'], told['payload']['properties']['colour']))
        self.assertTrue(told['message_id'] and told['timestamp'])

    def watch(self, name):
        """The records of a logger, from now to the end of the test."""
        records, handler, logger = [], logging.Handler(), logging.getLogger(name)
        handler.emit = records.append
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        self.addCleanup(logger.setLevel, level)
        self.addCleanup(logger.removeHandler, handler)
        return records


class EventsTest(base.TestCase):

    ALL = (events.image_create(IMAGE), events.image_update(IMAGE), events.image_delete(IMAGE),
           events.image_prepare(IMAGE, 'fast'), events.image_upload(IMAGE, 'fast'), events.image_activate(IMAGE),
           events.image_upload_failed(IMAGE, 'full'),
           events.image_send(IMAGE, bytes_sent=5, bytes_expected=5, user_id='u', project_id='p', address='::1'),
           events.member_create(Member('i', 'books')), events.member_update(Member('i', 'books')),
           events.member_delete(Member('i', 'books')))

    def test_payloads_are_json_and_tell_no_location(self):
        for event in self.ALL:
            self.assertNotIn('secret', json.dumps(event.payload), event.type)

    def test_names_of_events_are_those_that_consumers_know(self):
        self.assertEqual(
            ['image.create', 'image.update', 'image.delete', 'image.prepare', 'image.upload', 'image.activate',
             'image.upload', 'image.send', 'image.member.create', 'image.member.update', 'image.member.delete'],
            [event.type for event in self.ALL])

    def test_the_store_is_told_with_the_data(self):
        self.assertEqual('fast', events.image_upload(IMAGE, 'fast').payload['backend'])
        state = ImportState('t', ('cold',), ('web',))
        payload = events.image_upload(dataclasses.replace(IMAGE, import_state=state), 'fast').payload
        self.assertEqual((['cold'], ['web']),
                         (payload['os_glance_importing_to_stores'], payload['os_glance_failed_import']))

    def test_a_short_download_is_an_error(self):
        sent = [events.image_send(IMAGE, bytes_sent=count, bytes_expected=5, user_id=None, project_id=None,
                                  address=None) for count in (5, 4)]
        self.assertEqual([('INFO', 5), ('ERROR', 4)], [(one.priority, one.payload['bytes_sent']) for one in sent])

    def test_a_removed_member_is_told_as_deleted(self):
        self.assertTrue(events.member_delete(Member('i', 'books')).payload['deleted'])
