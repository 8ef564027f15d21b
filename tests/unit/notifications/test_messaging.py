"""Notifications on the bus, with oslo.messaging's in-memory transport ``fake://`` in place of RabbitMQ.

What our driver hands over passes through the whole of oslo.messaging and is taken off by a listener, as a
consumer would; only the network between the two is missing.
"""

import queue
import socket
import time

import oslo_messaging
from oslo_config import cfg

from glancelike import config, errors, loading
from glancelike.model.image import Image
from glancelike.notifications import events
from glancelike.notifications.notifier import Notifier
from glancelike.plugin import RequestContext
from tests import base

CTX = RequestContext(user_id='mia', project_id='films')
IMAGE = Image('i', name='x', owner='films')


class MessagingTest(base.TestCase):

    def driver(self, name, text):
        path = self.tmp / 'glance.conf'
        path.write_text(text)
        return loading.load_notification_driver(config.load('glance-api', ['--config-file', str(path)]), name)

    def listen(self, topic):
        """A queue of what a consumer of the topic receives."""
        conf = cfg.ConfigOpts()
        conf([], project='consumer', default_config_files=[])
        transport = oslo_messaging.get_notification_transport(conf, url='fake://')
        received = queue.Queue()

        class Consumer:
            def info(self, ctxt, publisher_id, event_type, payload, metadata):
                received.put(('INFO', publisher_id, event_type, payload, ctxt))

            def error(self, ctxt, publisher_id, event_type, payload, metadata):
                received.put(('ERROR', publisher_id, event_type, payload, ctxt))

        listener = oslo_messaging.get_notification_listener(
            transport, [oslo_messaging.Target(topic=topic)], [Consumer()], executor='threading')
        listener.start()
        self.addCleanup(listener.wait)
        self.addCleanup(listener.stop)
        return received

    def test_a_consumer_receives_what_was_sent(self):
        received = self.listen('images-one')
        driver = self.driver('messagingv2', '[DEFAULT]\ntransport_url = fake://\ndefault_publisher_id = image.host-7\n'
                                            '[oslo_messaging_notifications]\ntopics = images-one\n')
        Notifier([driver]).send(CTX, events.image_create(IMAGE))
        priority, publisher, event_type, payload, context = received.get(timeout=30)
        self.assertEqual(('INFO', 'image.host-7', 'image.create', 'i'),
                         (priority, publisher, event_type, payload['id']))
        self.assertEqual({}, context)

    def test_errors_go_to_the_queue_of_errors_and_our_name_for_the_driver_works(self):
        received = self.listen('images-two')
        driver = self.driver('messaging', '[DEFAULT]\ntransport_url = fake://\n'
                                          '[oslo_messaging_notifications]\ntopics = images-two\n')
        Notifier([driver]).send(CTX, events.image_upload_failed(IMAGE, 'the store is full'))
        self.assertEqual(('ERROR', 'the store is full'), (lambda one: (one[0], one[3]['message']))(
            received.get(timeout=30)))

    def test_a_bus_that_does_not_answer_is_given_up_soon(self):
        with socket.socket() as taken:  # bound and not listening: connections are refused
            taken.bind(('127.0.0.1', 0))
            driver = self.driver('messagingv2', f'[DEFAULT]\ntransport_url = rabbit://u:p@127.0.0.1:'
                                                f'{taken.getsockname()[1]}/\n')
            started = time.monotonic()
            Notifier([driver]).send(CTX, events.image_create(IMAGE))
            self.assertLess(time.monotonic() - started, 20)

    def test_a_transport_that_nobody_knows_stops_the_start_without_its_password(self):
        error = self.assertRaises(errors.ConfigurationError, self.driver, 'messagingv2',
                                  '[DEFAULT]\ntransport_url = carrier-pigeon://u:hunter2@coop/\n')
        self.assertIn('transport_url', str(error))
        self.assertNotIn('hunter2', str(error))
