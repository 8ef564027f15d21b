"""The processes of the bundled server: how they start, end, are replaced and reload."""

import os
import signal
import socket
import threading

from testtools.matchers import Contains, Equals, HasLength, Not

from tests.functional.real.server_case import WAIT_SECONDS, ServerCase
from tests.servers import process


class Request(threading.Thread):
    """One GET in the background; ``text`` is its answer or the error."""

    def __init__(self, case, path):
        super().__init__(daemon=True)
        self._case, self._path, self.text = case, path, None
        self.start()

    def run(self):
        try:
            self.text = self._case.get(self._path)
        except Exception as error:
            self.text = repr(error)

    def result(self):
        self.join(WAIT_SECONDS)
        return self.text


class StopMixin:
    """The same with and without workers."""

    WORKERS = 0

    def begin_slow_request(self, seconds):
        request = Request(self, f'/sleep?{seconds}')
        # It is in flight once its connection is established and its bytes are taken from the kernel.
        process.wait_until(lambda: self.established() >= 1, WAIT_SECONDS, 'the request to be accepted')
        return request

    def established(self):
        wanted = f'0100007F:{self.port:04X}'
        with open('/proc/net/tcp') as lines:
            return sum(line.split()[1] == wanted and line.split()[3] == '01' and line.split()[4].endswith(':00000000')
                       for line in lines)

    def test_sigterm_lets_the_request_in_flight_end_and_takes_no_more(self):
        self.start(workers=self.WORKERS)
        request = self.begin_slow_request(1)
        self.server.send_signal(signal.SIGTERM)
        process.wait_until(lambda: not process.port_answers(self.port), WAIT_SECONDS, 'the port to be closed')
        self.assertTrue(request.is_alive())
        self.assertThat(request.result(), Equals('hello'))
        self.assertThat(self.server.wait(WAIT_SECONDS), Equals(0))
        self.assertTrue(self.group_is_empty())

    def test_sigterm_closes_idle_connections_at_once(self):
        self.start(workers=self.WORKERS)
        client = self.socket()
        client.sendall(b'GET / HTTP/1.1\r\nHost: h\r\n\r\n')
        self.assertThat(client.recv(1000), Contains(b'hello'))
        self.server.send_signal(signal.SIGTERM)
        self.assertThat(client.recv(1000), Equals(b''))
        self.assertThat(self.server.wait(WAIT_SECONDS), Equals(0))

    def test_sigterm_cuts_off_requests_that_take_too_long(self):
        self.start(workers=self.WORKERS, graceful_shutdown_timeout=0)
        request = self.begin_slow_request(60)
        self.assertThat(self.server.terminate(WAIT_SECONDS), Equals(0))
        self.assertThat(request.result(), Contains('RemoteDisconnected'))

    def test_a_silent_connection_does_not_hold_up_the_end(self):
        self.start(workers=self.WORKERS)
        self.socket()
        self.assertThat(self.server.terminate(10), Equals(0))

    def test_sigint_to_the_group_ends_all_without_a_traceback(self):
        self.start(workers=self.WORKERS)
        request = self.begin_slow_request(60)
        self.signal_group(signal.SIGINT)
        self.assertThat(self.server.wait(WAIT_SECONDS), Equals(0))
        request.result()
        self.assertTrue(self.group_is_empty())
        self.assertThat(self.log_text(), Not(Contains('Traceback')))
        self.assertThat(self.log_text(), Not(Contains('replaced')))
        socket.create_server(('127.0.0.1', self.port)).close()  # the port is free again

    def test_sighup_reads_the_configuration_again_while_requests_go_on(self):
        self.start(workers=self.WORKERS, greeting='old')
        request = self.begin_slow_request(1)
        self.configure(greeting='new')
        self.server.send_signal(signal.SIGHUP)
        self.wait_log('the configuration was read again')
        self.assertThat(self.get(), Equals('new'))
        self.assertThat(request.result(), Equals('old'))
        if self.WORKERS:
            process.wait_until(lambda: len(self.children()) == self.WORKERS, WAIT_SECONDS, 'the old workers to end')

    def test_a_kept_alive_connection_is_not_dropped_when_the_configuration_is_read_again(self):
        self.start(workers=self.WORKERS, greeting='old')
        connection = self.connection()
        connection.request('GET', '/greet')
        self.assertThat(connection.getresponse().read(), Equals(b'old'))
        kept = connection.sock
        self.configure(greeting='new')
        self.server.send_signal(signal.SIGHUP)
        self.wait_log('the configuration was read again')
        connection.request('GET', '/greet')
        self.assertIs(kept, connection.sock)
        self.assertIn(connection.getresponse().read(), (b'old', b'new'))

    def test_no_request_is_lost_while_the_configuration_is_read_again(self):
        self.start(workers=self.WORKERS, greeting='old')
        failures, counted, stop = [], [], threading.Event()

        def load():
            while not stop.is_set():
                try:
                    counted.append(self.get())
                except Exception as error:
                    failures.append(error)
        clients = [threading.Thread(target=load, daemon=True) for _ in range(4)]
        self.addCleanup(stop.set)
        for client in clients:
            client.start()
        for turn in range(1, 4):
            self.configure(greeting=f'new{turn}')
            self.server.send_signal(signal.SIGHUP)
            self.wait_log('the configuration was read again', turn)
        process.wait_until(lambda: 'new3' in counted[-10:], WAIT_SECONDS, 'the last configuration')
        stop.set()
        for client in clients:
            client.join()
        self.assertThat(failures, Equals([]))

    def test_a_configuration_that_cannot_work_keeps_the_old_one(self):
        self.start(workers=self.WORKERS, greeting='old')
        self.configure(start='refuse')
        self.server.send_signal(signal.SIGHUP)
        self.wait_log('greeting is too rude')
        self.assertThat(self.get(), Equals('old'))
        self.configure(start='crash')
        self.server.send_signal(signal.SIGHUP)
        self.wait_log('the old one stays', 2)
        self.assertThat(self.get(), Equals('old'))
        self.config.write_text('bind_port = x\n')
        self.server.send_signal(signal.SIGHUP)
        self.wait_log('the old one stays', 3)
        self.assertThat(self.get(), Equals('old'))
        self.configure(start='', greeting='better')
        self.server.send_signal(signal.SIGHUP)
        self.wait_log('the configuration was read again')
        self.assertThat(self.get(), Equals('better'))

    def test_sighup_with_another_port_moves_there(self):
        self.start(workers=self.WORKERS)
        other = process.free_port()
        self.configure(bind_port=other)
        self.server.send_signal(signal.SIGHUP)
        self.wait_log('the configuration was read again')
        self.assertThat(self.get(port=other), Equals('hello'))
        process.wait_until(lambda: not process.port_answers(self.port), WAIT_SECONDS, 'the old port to be closed')

    def test_a_configuration_that_cannot_work_stops_the_start(self):
        self.launch(workers=self.WORKERS, start='refuse')
        self.assertThat(self.server.wait(WAIT_SECONDS), Equals(1))
        self.assertThat(self.log_text(), Contains('ERROR: greeting is too rude\n'))
        self.assertThat(self.log_text(), Not(Contains('Traceback')))

    def test_a_port_that_becomes_free_in_time_is_taken(self):
        with socket.create_server(('127.0.0.1', self.port)):
            self.launch(workers=self.WORKERS)
            process.wait_until(lambda: self.tries_to_bind(), WAIT_SECONDS, 'the server to find the port taken')
        self.wait_log('serving on')
        self.assertThat(self.get(), Equals('hello'))

    def tries_to_bind(self):
        """Has the process a socket that is neither bound nor connected?"""
        folder = f'/proc/{self.server.pid}/fd'
        try:
            return any(os.readlink(f'{folder}/{fd}').startswith('socket:') for fd in os.listdir(folder))
        except OSError:
            return False


class InProcessTest(StopMixin, ServerCase):

    def test_one_process_serves(self):
        self.start()
        self.assertThat(self.get('/pid'), Equals(str(self.server.pid)))
        self.assertThat(self.children(), Equals([]))


class WorkersTest(StopMixin, ServerCase):

    WORKERS = 2

    def test_a_killed_worker_is_replaced(self):
        self.start(workers=2)
        before = self.children()
        os.kill(before[0], signal.SIGKILL)
        process.wait_until(lambda: len(self.children()) == 2 and before[0] not in self.children(), WAIT_SECONDS,
                           'a new worker')
        self.assertThat(self.children(), Contains(before[1]))
        self.wait_log('serving on', 3)
        self.assertThat(self.get(), Equals('hello'))

    def test_a_worker_that_crashes_in_a_request_is_replaced(self):
        self.start(workers=1)
        self.assertThat(Request(self, '/crash').result(), Contains('RemoteDisconnected'))
        self.wait_log('serving on', 2)
        self.assertThat(self.get(), Equals('hello'))

    def test_workers_that_do_not_last_are_replaced_more_and_more_slowly(self):
        self.start(workers=1)
        for turn in (2, 3):
            Request(self, '/crash').result()
            self.wait_log('serving on', turn)
        deaths = self.log_count('it is replaced')
        self.assertThat(deaths, Equals(2))

    def test_a_worker_that_crashes_at_the_start_stops_the_master_with_2(self):
        self.launch(workers=2, start='crash')
        self.assertThat(self.server.wait(WAIT_SECONDS), Equals(2))
        self.assertThat(self.log_text(), Contains('RuntimeError: cannot start'))
        self.assertTrue(self.group_is_empty())

    def test_workers_end_when_their_master_is_killed(self):
        self.start(workers=2)
        os.kill(self.server.pid, signal.SIGKILL)
        process.wait_until(self.group_is_empty, WAIT_SECONDS, 'the workers to end')

    def test_each_worker_starts_its_duties_after_the_fork(self):
        duties = self.tmp / 'duties'
        self.start(workers=2, duties=duties)
        self.assertThat(sorted(map(int, duties.read_text().split())), Equals(self.children()))

    def test_the_number_of_workers_can_change(self):
        self.start(workers=1)
        self.configure(workers=3)
        self.server.send_signal(signal.SIGHUP)
        self.wait_log('the configuration was read again')
        process.wait_until(lambda: len(self.children()) == 3, WAIT_SECONDS, 'three workers')

    def test_all_workers_get_connections(self):
        self.start(workers=2)
        connections = [self.connection() for _ in range(40)]
        pids = set()
        for connection in connections:
            connection.request('GET', '/pid')
            pids.add(connection.getresponse().read())
        self.assertThat(pids, HasLength(2))
