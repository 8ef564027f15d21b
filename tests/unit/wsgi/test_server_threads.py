"""GreenThreads and Lock: work that crosses between green and native threads. Nothing is monkey-patched here."""

import sqlite3
import threading
import time

import eventlet
import greenlet
from testtools.matchers import Equals, Is, LessThan

from glancelike.wsgi import server, sqlite_threads
from tests import base

WAIT_SECONDS = 20


class GreenCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.threads = server.GreenThreads(idle_seconds=0.1)
        limit = eventlet.Timeout(WAIT_SECONDS)
        self.addCleanup(limit.cancel)

    def wait_for(self, condition):
        """Lets green threads run until the condition holds; the Timeout of setUp bounds it."""
        while not condition():
            eventlet.sleep(0.005)


class RunTest(GreenCase):

    def test_the_call_is_made_on_another_native_thread(self):
        here = threading.get_ident()
        self.assertFalse(self.threads.run(threading.get_ident) == here)

    def test_what_the_call_raises_comes_out_unchanged(self):
        error = ValueError('x')

        def fail():
            raise error
        self.assertThat(self.assertRaises(ValueError, self.threads.run, fail), Is(error))

    def test_another_green_thread_runs_meanwhile(self):
        go = threading.Event()
        green = eventlet.spawn(self.threads.run, go.wait, WAIT_SECONDS)
        eventlet.sleep(0)
        go.set()  # reached only because the wait did not hold up this thread
        self.assertTrue(green.wait())

    def test_many_calls_that_wait_do_not_starve_a_later_one(self):
        go = threading.Event()
        waiting = [self.threads.start(go.wait, WAIT_SECONDS) for _ in range(100)]
        self.assertThat(self.threads.run(lambda: 7), Equals(7))
        go.set()
        self.assertTrue(all(pending.result() for pending in waiting))

    def test_a_call_made_on_a_native_thread_is_done_there(self):
        def nested():
            return threading.get_ident() == self.threads.run(threading.get_ident)
        self.assertTrue(self.threads.run(nested))

    def test_a_native_thread_can_wait_for_a_result(self):
        pending = self.threads.start(lambda: time.sleep(0.02) or 5)
        self.assertThat(self.threads.run(pending.result), Equals(5))

    def test_a_result_can_be_asked_for_again_and_by_several(self):
        pending = self.threads.start(lambda: time.sleep(0.02) or 5)
        greens = [eventlet.spawn(pending.result) for _ in range(5)]
        self.assertThat([green.wait() for green in greens] + [pending.result()], Equals([5] * 6))

    def test_a_green_thread_that_is_killed_while_it_waits_leaves_the_others_alone(self):
        go = threading.Event()
        pending = self.threads.start(go.wait, WAIT_SECONDS)
        doomed, other = eventlet.spawn(pending.result), eventlet.spawn(pending.result)
        eventlet.sleep(0)
        doomed.kill()
        go.set()
        self.assertTrue(other.wait())

    def test_idle_native_threads_end(self):
        for _ in range(50):
            self.threads.start(lambda: None)
        self.wait_for(lambda: self.threads.size == 0)

    def test_calls_that_come_while_idle_threads_end_are_all_made(self):
        threads = server.GreenThreads(idle_seconds=0.001)
        for number in range(300):
            self.assertThat(threads.run(lambda number=number: number), Equals(number))
            if number % 3 == 0:
                eventlet.sleep(0.001)


    def test_a_duty_runs_whichever_thread_asks_for_it(self):
        ran = []
        self.threads.spawn('green', lambda: ran.append('green'))
        self.threads.run(self.threads.spawn, 'native', lambda: (self.threads.sleep(0.01), ran.append('native')))
        self.wait_for(lambda: sorted(ran) == ['green', 'native'])


class FeedTest(GreenCase):

    def test_thousands_of_small_pieces_arrive_in_order(self):
        pieces = [b'%d,' % number for number in range(20_000)]
        self.assertThat(self.threads.feed(b''.join, iter(pieces)), Equals(b''.join(pieces)))

    def test_no_piece_at_all_is_an_empty_iterator(self):
        self.assertThat(self.threads.feed(list, []), Equals([]))

    def test_the_consumer_is_on_a_native_thread_and_the_pieces_are_pulled_in_the_green_one(self):
        green = eventlet.getcurrent()

        def pieces():
            for _ in range(10):
                assert eventlet.getcurrent() is green
                yield b'x'

        def consume(iterator):
            return len(list(iterator)), threading.get_ident()
        count, thread = self.threads.feed(consume, pieces())
        self.assertThat(count, Equals(10))
        self.assertFalse(thread == threading.get_ident())

    def test_an_error_of_the_pieces_comes_out_of_the_iterator_and_of_the_call(self):
        error, seen = RuntimeError('client gone'), []

        def pieces():
            yield b'a'
            raise error

        def consume(iterator):
            try:
                for piece in iterator:
                    seen.append(piece)
            except RuntimeError as got:
                seen.append(got)
                raise
        self.assertThat(self.assertRaises(RuntimeError, self.threads.feed, consume, pieces()), Is(error))
        self.assertThat(seen, Equals([b'a', error]))

    def test_a_consumer_may_make_something_else_of_an_error(self):
        def pieces():
            yield b'a'
            raise RuntimeError

        def consume(iterator):
            try:
                list(iterator)
            except RuntimeError:
                return 'undone'
        self.assertThat(self.threads.feed(consume, pieces()), Equals('undone'))

    def test_an_error_of_the_consumer_comes_out_and_stops_the_reading(self):
        error, pulled = OSError('disk full'), []

        def pieces():
            while True:
                pulled.append(1)
                eventlet.sleep(0)
                yield b'x' * 1000

        def consume(iterator):
            next(iterator)
            raise error
        self.assertThat(self.assertRaises(OSError, self.threads.feed, consume, pieces()), Is(error))
        read = len(pulled)
        eventlet.sleep(0.01)
        self.assertThat(len(pulled), Equals(read))

    def test_a_consumer_that_stops_reading_stops_the_feeding(self):
        def pieces():
            while True:
                eventlet.sleep(0)
                yield b'x'
        self.assertThat(self.threads.feed(lambda iterator: next(iterator) + next(iterator), pieces()), Equals(b'xx'))

    def test_a_slow_consumer_holds_the_pieces_back(self):
        taken, ahead = [], []

        def pieces():
            for number in range(40):
                ahead.append(number - len(taken))
                yield b'x'

        def consume(iterator):
            for piece in iterator:
                time.sleep(0.001)
                taken.append(piece)
        self.threads.feed(consume, pieces())
        self.assertThat(len(taken), Equals(40))
        self.assertThat(max(ahead), LessThan(server.FEED_PIECES + 3))

    def test_others_are_served_while_a_consumer_does_not_read(self):
        go = threading.Event()

        def consume(iterator):
            go.wait(WAIT_SECONDS)
            return len(list(iterator))
        green = eventlet.spawn(self.threads.feed, consume, [b'x'] * 100)
        eventlet.sleep(0.02)
        go.set()
        self.assertThat(green.wait(), Equals(100))

    def test_a_killed_green_thread_lets_the_consumer_end_first(self):
        ended = []

        def consume(iterator):
            try:
                for _ in iterator:
                    pass
            finally:
                ended.append(True)

        def pieces():
            yield b'a'
            eventlet.sleep(WAIT_SECONDS)
        green = eventlet.spawn(self.threads.feed, consume, pieces())
        eventlet.sleep(0.02)
        green.kill()
        self.assertRaises(greenlet.GreenletExit, green.wait)
        self.assertThat(ended, Equals([True]))
        self.wait_for(lambda: self.threads.size == 0)

    def test_an_iterator_that_ended_stays_ended(self):
        def consume(iterator):
            list(iterator)
            return list(iterator)
        self.assertThat(self.threads.feed(consume, [b'a']), Equals([]))

    def test_many_feeds_at_once_end_and_leave_no_thread(self):
        pieces = [b'y' * 10] * 200
        greens = [eventlet.spawn(self.threads.feed, lambda iterator: sum(map(len, iterator)), pieces)
                  for _ in range(50)]
        self.assertThat({green.wait() for green in greens}, Equals({2000}))
        self.wait_for(lambda: self.threads.size == 0)

    def test_a_feed_inside_a_native_call_works(self):
        self.assertThat(self.threads.run(self.threads.feed, b''.join, [b'a', b'b']), Equals(b'ab'))


class PullTest(GreenCase):

    def test_the_pieces_come_in_order(self):
        pieces = [b'%d' % number for number in range(3000)]
        self.assertThat(list(self.threads.pull(iter(pieces))), Equals(pieces))

    def test_an_error_comes_after_the_pieces_before_it(self):
        def pieces():
            yield b'a'
            yield b'b'
            raise OSError('store down')
        pulled, got = self.threads.pull(pieces()), []

        def pull():
            for piece in pulled:
                got.append(piece)
        self.assertRaises(OSError, pull)
        self.assertThat(got, Equals([b'a', b'b']))

    def test_closing_early_closes_the_pieces(self):
        closed = []

        def pieces():
            try:
                while True:
                    yield b'x'
            finally:
                closed.append(True)
        pulled = self.threads.pull(pieces())
        next(pulled)
        pulled.close()
        self.assertThat(closed, Equals([True]))

    def test_each_next_is_on_a_native_thread(self):
        here, seen = threading.get_ident(), set()

        def pieces():
            for _ in range(10):
                seen.add(threading.get_ident())
                yield b'x'
        list(self.threads.pull(pieces()))
        self.assertFalse(here in seen)


class LockTest(GreenCase):

    def test_native_and_green_threads_exclude_each_other(self):
        lock, inside, counted, ended = server.Lock(), [], [], []

        def work():
            for _ in range(300):
                with lock:
                    inside.append(1)
                    counted.append(len(inside))
                    inside.pop()
            ended.append(1)

        def work_green():
            for _ in range(300):
                with lock:
                    inside.append(1)
                    eventlet.sleep(0)  # held over a switch
                    counted.append(len(inside))
                    inside.pop()
            ended.append(1)
        natives = [threading.Thread(target=work) for _ in range(4)]
        for thread in natives:
            thread.start()
        greens = [eventlet.spawn(work_green) for _ in range(4)]
        self.wait_for(lambda: len(ended) == 8)
        self.assertThat(set(counted), Equals({1}))
        self.assertThat(len(counted), Equals(2400))
        for green in greens:
            green.wait()

    def test_a_green_thread_gets_a_lock_that_a_native_one_releases(self):
        lock = server.Lock()
        held, go = threading.Event(), threading.Event()

        def hold():
            with lock:
                held.set()
                go.wait(WAIT_SECONDS)
        threading.Thread(target=hold).start()
        held.wait(WAIT_SECONDS)
        eventlet.spawn_after(0.01, go.set)
        self.assertTrue(lock.acquire())

    def test_a_timeout_gives_up(self):
        lock = server.Lock()
        lock.acquire()
        self.assertFalse(lock.acquire(timeout=0.01))
        self.assertFalse(lock.acquire(False))

    def test_a_waiter_that_is_killed_does_not_swallow_the_wake_up(self):
        lock = server.Lock()
        lock.acquire()
        first, second = eventlet.spawn(lock.acquire), eventlet.spawn(lock.acquire)
        eventlet.sleep(0)
        lock.release()
        first.kill()
        self.assertTrue(second.wait())

    def test_releasing_a_free_lock_is_an_error(self):
        self.assertRaises(RuntimeError, server.Lock().release)


class SqliteTest(GreenCase):

    def setUp(self):
        super().setUp()
        self.connect = sqlite_threads.connect_function(self.threads.run, sqlite3.connect)
        self.connection = self.connect(str(self.tmp / 'db'))
        self.connection.execute('CREATE TABLE numbers (number INTEGER)')
        self.connection.executemany('INSERT INTO numbers VALUES (?)', ((number,) for number in range(2500)))
        self.connection.commit()

    def test_all_rows_come_whichever_way_they_are_fetched(self):
        rows = [(number,) for number in range(2500)]
        query = 'SELECT number FROM numbers ORDER BY number'
        self.assertThat(self.connection.execute(query).fetchall(), Equals(rows))
        self.assertThat(list(self.connection.execute(query)), Equals(rows))
        cursor = self.connection.execute(query)
        self.assertThat(cursor.fetchone(), Equals((0,)))
        self.assertThat(cursor.fetchmany(1500), Equals(rows[1:1501]))
        self.assertThat(cursor.fetchall(), Equals(rows[1501:]))
        self.assertThat(cursor.fetchone(), Is(None))

    def test_returned_rows_and_row_counts_are_those_of_sqlite(self):
        cursor = self.connection.execute('UPDATE numbers SET number = -1 WHERE number < 3 RETURNING number')
        self.assertThat(cursor.fetchall(), Equals([(-1,)] * 3))
        self.assertThat(self.connection.execute('DELETE FROM numbers WHERE number = -1').rowcount, Equals(3))

    def test_a_committed_row_is_seen_by_another_connection_and_a_rolled_back_one_is_not(self):
        self.connection.execute('INSERT INTO numbers VALUES (-5)')
        self.connection.commit()
        self.connection.execute('INSERT INTO numbers VALUES (-6)')
        self.connection.rollback()
        other = self.connect(str(self.tmp / 'db'))
        self.assertThat(other.execute('SELECT number FROM numbers WHERE number < 0').fetchall(), Equals([(-5,)]))

    def test_errors_are_those_of_sqlite(self):
        self.assertRaises(sqlite3.OperationalError, self.connection.execute, 'SELECT nothing')

    def test_others_run_while_a_connection_waits_for_a_lock(self):
        other = self.connect(str(self.tmp / 'db'), timeout=WAIT_SECONDS, isolation_level=None)
        self.connection.isolation_level = None
        self.connection.execute('BEGIN IMMEDIATE')
        green = eventlet.spawn(other.execute, 'BEGIN IMMEDIATE')
        eventlet.sleep(0.02)
        self.connection.execute('ROLLBACK')
        green.wait()
        self.assertTrue(other.in_transaction)

    def threads_of_a_write(self, mode, change):
        """The native threads on which a change inside BEGIN IMMEDIATE runs, None standing for this one."""
        here, threads = threading.get_ident(), []
        self.connection.isolation_level = None
        self.connection.execute(f'PRAGMA journal_mode = {mode}')
        self.connection.create_function('note', 0, lambda: threads.append(threading.get_ident()) or 1)
        self.connection.execute('BEGIN IMMEDIATE')
        self.connection.execute(change)
        self.connection.commit()
        return [None if thread == here else thread for thread in threads]

    def test_a_change_of_rows_under_the_lock_stays_on_the_thread_in_wal_mode(self):
        self.assertThat(self.threads_of_a_write('WAL', 'INSERT INTO numbers VALUES (note())'), Equals([None]))
        self.assertThat(self.connection.execute('SELECT count(*) FROM numbers').fetchone(), Equals((2501,)))

    def test_a_change_leaves_the_thread_in_other_modes(self):
        self.assertFalse(None in self.threads_of_a_write('DELETE', 'INSERT INTO numbers VALUES (note())'))

    def test_a_change_with_a_query_in_it_leaves_the_thread(self):
        self.assertFalse(None in self.threads_of_a_write('WAL', 'INSERT INTO numbers SELECT note()'))

    def test_a_change_without_the_lock_leaves_the_thread(self):
        here, threads = threading.get_ident(), []
        self.connection.isolation_level = None
        self.connection.execute('PRAGMA journal_mode = WAL')
        self.connection.create_function('note', 0, lambda: threads.append(threading.get_ident()) or 1)
        for end in ('COMMIT', 'ROLLBACK'):
            self.connection.execute('BEGIN IMMEDIATE')
            self.connection.execute(end)
            self.connection.execute('INSERT INTO numbers VALUES (note())')
        self.assertFalse(here in threads)

    def test_others_run_while_a_writer_in_wal_mode_waits_for_the_lock(self):
        for connection in (self.connection, other := self.connect(str(self.tmp / 'db'), timeout=WAIT_SECONDS)):
            connection.isolation_level = None
            connection.execute('PRAGMA journal_mode = WAL')
        self.connection.execute('BEGIN IMMEDIATE')
        green = eventlet.spawn(other.execute, 'BEGIN IMMEDIATE')
        eventlet.sleep(0)
        self.assertFalse(other.in_transaction)
        self.connection.execute('INSERT INTO numbers VALUES (-7)')
        self.connection.commit()
        green.wait()
        self.assertThat(other.execute('SELECT count(*) FROM numbers WHERE number = -7').fetchone(), Equals((1,)))

    def test_a_writer_that_waited_in_vain_is_told_and_may_try_again(self):
        for connection in (self.connection, other := self.connect(str(self.tmp / 'db'), timeout=0.01)):
            connection.isolation_level = None
            connection.execute('PRAGMA journal_mode = WAL')
        self.connection.execute('BEGIN IMMEDIATE')
        error = self.assertRaises(sqlite3.OperationalError, other.execute, 'BEGIN IMMEDIATE')
        self.assertThat(error.sqlite_errorcode, Equals(sqlite3.SQLITE_BUSY))
        self.connection.rollback()
        other.execute('BEGIN IMMEDIATE')
        self.assertTrue(other.in_transaction)

    def test_short_reads_in_wal_mode_stay_on_the_thread_and_long_ones_leave_it(self):
        here, threads = threading.get_ident(), []
        self.connection.create_function('note', 0, lambda: threads.append(threading.get_ident()) or 1)
        self.connection.execute('SELECT note()')
        self.assertFalse(here in threads)
        self.connection.execute('PRAGMA journal_mode = WAL')
        threads.clear()
        self.connection.execute('SELECT note()')
        self.assertThat(threads, Equals([here]))
        threads.clear()
        count, = self.connection.execute(
            'SELECT count(*) FROM numbers a, numbers b WHERE note() AND a.number + b.number < 100 LIMIT 1').fetchone()
        self.assertThat(count, Equals(5050))
        self.assertThat(threads[0], Equals(here))
        self.assertFalse(threads[-1] == here)

    def test_a_long_read_inside_a_transaction_leaves_the_transaction_as_it_is(self):
        self.connection.execute('PRAGMA journal_mode = WAL')
        self.connection.execute('INSERT INTO numbers VALUES (-7)')
        self.connection.execute('SELECT count(*) FROM numbers a, numbers b WHERE a.number + b.number < 0').fetchone()
        self.connection.commit()
        self.assertThat(self.connection.execute('SELECT number FROM numbers WHERE number = -7').fetchall(),
                        Equals([(-7,)]))

    def test_many_writers_that_wait_for_the_lock_do_not_keep_its_holder_from_ending(self):
        holder = self.connect(str(self.tmp / 'db'), isolation_level=None)
        holder.execute('BEGIN IMMEDIATE')
        others = [self.connect(str(self.tmp / 'db'), timeout=WAIT_SECONDS) for _ in range(40)]
        greens = [eventlet.spawn(lambda one: (one.execute('INSERT INTO numbers VALUES (-9)'), one.commit()), one)
                  for one in others]
        eventlet.sleep(0.02)
        holder.execute('COMMIT')
        for green in greens:
            green.wait()
        count, = holder.execute('SELECT count(*) FROM numbers WHERE number = -9').fetchone()
        self.assertThat(count, Equals(40))
