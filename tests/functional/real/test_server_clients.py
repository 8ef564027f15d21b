"""Clients of the bundled server: slow, silent, vanishing; and what must not hold up the others."""

import hashlib
import os
import socket
import threading
import time

from testtools.matchers import Contains, Equals, LessThan, Not, StartsWith

from tests.functional.real.server_case import WAIT_SECONDS, ServerCase
from tests.servers import process


class SlowClientsTest(ServerCase):

    def test_fifty_dribbling_uploads_do_not_hold_up_a_get(self):
        self.start()
        sockets = [self.socket() for _ in range(50)]
        for sock in sockets:
            sock.sendall(b'PUT /put HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n' + b'x' * 10)
        stop = threading.Event()
        self.addCleanup(stop.set)

        def dribble():
            while not stop.wait(0.01):
                for sock in sockets:
                    sock.sendall(b'x')
        thread = threading.Thread(target=dribble, daemon=True)
        thread.start()
        took = []
        for _ in range(50):
            began = time.monotonic()
            self.assertThat(self.get(), Equals('hello'))
            took.append(time.monotonic() - began)
        stop.set()
        thread.join()
        self.assertThat(sorted(took)[25], LessThan(1.0))

    def test_fifty_downloads_that_nobody_takes_do_not_hold_up_a_get(self):
        file = self.tmp / 'file'
        with open(file, 'wb') as out:
            out.truncate(50_000_000)
        self.start(file=file)
        for _ in range(50):
            self.socket().sendall(b'GET /file HTTP/1.1\r\nHost: h\r\n\r\n')
        for _ in range(20):
            self.assertThat(self.get(), Equals('hello'))
        # Those that nobody takes give their native threads back.
        process.wait_until(lambda: len(os.listdir(f'/proc/{self.server.pid}/task')) < 60, WAIT_SECONDS, 'the threads')

    def test_calls_that_block_in_c_do_not_hold_up_a_get(self):
        self.start()
        for _ in range(30):
            self.socket().sendall(b'GET /block?3 HTTP/1.1\r\nHost: h\r\n\r\n')
        began = time.monotonic()
        self.assertThat(self.get(), Equals('hello'))
        self.assertThat(time.monotonic() - began, LessThan(2.0))

    def test_waiting_for_a_lock_of_sqlite_does_not_hold_up_a_get(self):
        self.start(database=self.tmp / 'db')
        for _ in range(30):
            self.socket().sendall(b'GET /lock?0.3 HTTP/1.1\r\nHost: h\r\n\r\n')
        began = time.monotonic()
        self.assertThat(self.get(), Equals('hello'))
        self.assertThat(time.monotonic() - began, LessThan(2.0))
        self.assertThat(self.get('/lock?0'), Equals('done'))

    def test_a_silent_client_is_disconnected(self):
        self.start(client_socket_timeout=1)
        self.assertThat(self.socket().recv(10), Equals(b''))

    def test_a_client_that_stops_in_its_upload_is_disconnected(self):
        outcome = self.tmp / 'outcome'
        self.start(client_socket_timeout=1, file=outcome)
        client = self.socket()
        client.sendall(b'PUT /vanish HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc')
        self.assertThat(client.recv(1000), StartsWith(b'HTTP/1.1 200'))
        self.assertThat(outcome.read_text(), Equals('ClientDisconnected 0'))

    def test_a_client_that_vanishes_in_its_upload_ends_the_native_side(self):
        self.start()
        for framing in (b'Content-Length: 1000000', b'Transfer-Encoding: chunked'):
            for _ in range(10):
                client = self.socket()
                client.sendall(b'PUT /put HTTP/1.1\r\nHost: h\r\n' + framing + b'\r\n\r\n' + b'400\r\n' + b'x' * 500)
                client.close()
        process.wait_until(lambda: self.log_count('"PUT /put HTTP/1.1" 499') == 20, WAIT_SECONDS, 'all to be noticed')
        self.assertThat(self.log_text(), Not(Contains('Traceback')))
        self.assertThat(self.get(), Equals('hello'))

    def test_two_hundred_connections_at_once_are_served(self):
        self.start(workers=2)
        clients = [self.socket() for _ in range(200)]
        for client in clients:
            client.sendall(b'GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n')
        for client in clients:
            self.assertThat(client.recv(1000), StartsWith(b'HTTP/1.1 200'))


class BodiesTest(ServerCase):

    def upload(self, body, chunked):
        connection = self.connection()
        connection.request('PUT', '/put', iter([body[:7], body[7:]]) if chunked else body, encode_chunked=chunked,
                           headers={'Transfer-Encoding': 'chunked'} if chunked else {})
        return connection.getresponse().read().decode()

    def test_uploads_of_every_size_arrive_whole(self):
        self.start()
        for size in (0, 1, 100, 4095, 4096, 4097, 65536, 3_000_001):
            body = os.urandom(size)
            wanted = f'{size} {hashlib.md5(body).hexdigest()}'
            self.assertThat(self.upload(body, chunked=False), Equals(wanted))
            if size > 7:
                self.assertThat(self.upload(body, chunked=True), Equals(wanted))

    def test_a_refused_upload_sees_the_reason(self):
        self.start()
        connection = self.connection()
        try:
            connection.request('PUT', '/refuse', b'x' * 5_000_000)
        except ConnectionError:
            pass  # the answer came before all was sent; it must still be readable
        self.assertThat(connection.getresponse().read(), Equals(b'too large'))

    def test_a_file_is_delivered_whole_and_in_part(self):
        file, content = self.tmp / 'file', os.urandom(5_000_000)
        file.write_bytes(content)
        self.start(file=file)
        for query, wanted in (('', content), ('?1000-2000000', content[1000:2001000])):
            connection = self.connection()
            connection.request('GET', '/file' + query)
            self.assertTrue(connection.getresponse().read() == wanted)

    def test_hostile_requests_leave_no_trace_but_their_refusal(self):
        self.start()
        for sent in (b'\x00' * 100 + b'\r\n\r\n', b'GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n',
                     b'PUT /put HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
                     b'PUT /put HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n'
                     b'Content-Length: 4\r\n\r\n0\r\n\r\n'):
            client = self.socket()
            client.sendall(sent)
            self.assertThat(client.recv(1000), StartsWith(b'HTTP/1.1 400'))
        self.assertThat(self.log_text(), Not(Contains('Traceback')))


class PatchedProcessTest(ServerCase):
    """What monkey-patching could break."""

    def test_names_are_looked_up_beside_other_requests(self):
        self.start()
        self.assertThat(self.get('/resolve'), Equals('80'))

    def test_native_and_green_threads_can_log_at_once(self):
        self.start()
        clients = [threading.Thread(target=self.get, args=('/log',), daemon=True) for _ in range(5)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(WAIT_SECONDS)
        process.wait_until(lambda: self.log_count('WARNING example x') == 5 * 9 * 200, WAIT_SECONDS, 'all lines')

    def test_a_thread_pool_made_in_a_native_call_works(self):
        self.start()
        self.assertThat(self.get('/executor'), Equals('190'))


class RestartTest(ServerCase):

    def test_a_port_whose_connections_linger_can_be_taken_again(self):
        self.start()
        self.get()
        kept = self.socket()
        kept.sendall(b'GET / HTTP/1.1\r\nHost: h\r\n\r\n')
        kept.recv(1000)
        self.server.kill9()
        self.start()
        self.assertThat(self.get(), Equals('hello'))
        with socket.create_connection(('127.0.0.1', self.port)):
            pass
