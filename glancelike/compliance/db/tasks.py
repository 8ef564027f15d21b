"""Tasks: who sees them, what may change, and when their rows go."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import uuid

from glancelike.compliance.db.case import DbCase, caller
from glancelike.compliance.db.values import TEXTS
from glancelike.plugin import Task, TaskChanges, TaskQuery, errors

OLD = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
FINAL = ('success', 'failure')


class TaskSuite(DbCase):
    """TASK-1 to TASK-11."""

    def created_task(self, **fields) -> Task:
        return self.driver.task_create(self.owner, self.task(**fields))

    def full_task(self) -> Task:
        """A task in which every field is set."""
        return self.task(
            type='import', status='processing', user_id='user', request_id='req-1', image_id=str(uuid.uuid4()),
            input={'import_from': 'http://é/🐧', 'list': [1, {'a': None}], 'on': True}, result={'image_id': 'x'},
            message='going on\nwell', caller={'user_id': 'user', 'roles': ['member', 'reader']}, secret='0' * 20000,
            step='store fast', bytes_done=2**62, bytes_total=2**63 - 1, rate=2**40, cancelled=True, attempts=3,
            expires_at=datetime.datetime(2040, 2, 3, 4, 5, 6, 789012, tzinfo=datetime.UTC))

    def change_task(self, task: Task, *, from_status: str | None = None, expires: float | None = None,
                    **attributes) -> Task:
        return self.driver.task_update(task.id, TaskChanges(attributes, expires), from_status=from_status)

    def task_ids(self, ctx, **query) -> list[str]:
        return [task.id for task in self.driver.task_list(ctx, TaskQuery(**query))]

    def get_task(self, task: Task) -> Task:
        return self.driver.task_get(self.admin, task.id)

    # --- create and get ------------------------------------------------------------------------------------

    def test_a_task_is_stored_as_given(self):
        """TASK-1: every field but the two times; what create returns is what get returns."""
        given = self.full_task()
        stored = self.driver.task_create(self.owner, given)
        self.assertEqual(stored, self.driver.task_get(self.owner, given.id))
        self.assertEqual(dataclasses.replace(given, created_at=stored.created_at, updated_at=stored.updated_at), stored)

    def test_what_a_task_is_not_given_stays_empty(self):
        """TASK-1: None stays None, and nothing comes in its place."""
        given = Task(str(uuid.uuid4()), 'import')
        stored = self.driver.task_create(self.admin, given)
        self.assertEqual(dataclasses.replace(given, created_at=stored.created_at, updated_at=stored.updated_at),
                         self.get_task(stored))

    def test_the_times_of_a_new_task_are_the_drivers(self):
        """TASK-1: created_at and updated_at are set and equal, whatever was given; expires_at is as given."""
        task = self.created_task(created_at=OLD, updated_at=OLD, expires_at=OLD)
        self.assertEqual((task.created_at, OLD), (task.updated_at, task.expires_at))
        self.assertGreater(task.created_at, OLD)

    def test_text_of_a_task_comes_back_as_it_was_given(self):
        """TASK-1, ALL-4: any Unicode in owner, message, step, and in what is JSON."""
        for text in TEXTS:
            task = self.created_task(owner=text, message=text, step=text, input={text: [text]})
            self.assertEqual((text, text, text, {text: [text]}),
                             (task.owner, task.message, task.step, dict(self.get_task(task).input)))

    def test_a_returned_task_does_not_change_with_the_stored_one(self):
        """ALL-2: neither through a later write nor through the caller's own dictionary."""
        asked = {'stores': ['a']}
        task = self.created_task(input=asked)
        asked['stores'].append('b')
        found = self.get_task(task)
        self.change_task(task, step='s', result={'n': 1})
        for earlier in (task, found):
            self.assertEqual(({'stores': ['a']}, '', None), (dict(earlier.input), earlier.step, earlier.result))

    def test_a_taken_id_is_refused(self):
        """TASK-2: Conflict; the first task stays as it was."""
        first = self.created_task(message='first')
        self.assertRaises(errors.Conflict, self.created_task, id=first.id, message='second')
        self.assertEqual(first, self.get_task(first))

    def test_of_several_creates_of_a_task_one_wins(self):
        """TASK-2: also when they come at once."""
        tasks = [self.task(id='the-same', message=str(n)) for n in range(4)]
        self.assert_one_winner(self.race(*(lambda task=task: self.driver.task_create(self.owner, task)
                                           for task in tasks)), errors.Conflict)

    def test_a_task_is_seen_by_its_project_and_by_administrators(self):
        """TASK-3: TaskNotFound for all others; a task without an owner is for administrators."""
        owned, nobodys = self.created_task(), self.created_task(owner=None)
        for ctx in (self.owner, self.admin):
            self.assertEqual(owned, self.driver.task_get(ctx, owned.id))
        self.assertEqual(nobodys, self.driver.task_get(self.admin, nobodys.id))
        for ctx, task in itertools.product((self.owner, self.stranger, caller(None), caller('Owner-Project')),
                                           (owned, nobodys)):
            if (ctx, task) != (self.owner, owned):
                self.assertRaises(errors.TaskNotFound, self.driver.task_get, ctx, task.id)

    def test_an_absent_task_is_not_found(self):
        """TASK-3: TaskNotFound."""
        self.assertRaises(errors.TaskNotFound, self.driver.task_get, self.admin, str(uuid.uuid4()))

    # --- list ----------------------------------------------------------------------------------------------

    def test_a_list_has_the_tasks_that_the_caller_sees(self):
        """TASK-4: newest first; as task_get gives them."""
        tasks = [self.created_task(owner=owner) for owner in ('owner-project', None, 'another', 'owner-project')]
        self.assertEqual([tasks[3], tasks[0]], self.driver.task_list(self.owner, TaskQuery()))
        self.assertEqual(list(reversed(tasks)), self.driver.task_list(self.admin, TaskQuery()))
        for ctx in (self.stranger, caller(None)):
            self.assertEqual([], self.driver.task_list(ctx, TaskQuery()))

    def test_a_list_has_the_tasks_that_are_asked_for(self):
        """TASK-4: by status, type, image, and all of them together."""
        kinds = list(itertools.product(('pending', 'failure'), ('import', 'api_image_import'), ('image-1', 'image-2')))
        tasks = {kind: self.created_task(status=kind[0], type=kind[1], image_id=kind[2]) for kind in kinds}
        for asked in itertools.product((None, 'pending', 'success'), (None, 'import'), (None, 'image-2')):
            wanted = {task.id for kind, task in tasks.items()
                      if all(one in (None, has) for one, has in zip(asked, kind, strict=True))}
            found = self.task_ids(self.owner, status=asked[0], type=asked[1], image_id=asked[2])
            self.assertEqual((wanted, len(wanted)), (set(found), len(found)), asked)

    def test_walking_a_list_meets_every_task_once_in_its_order(self):
        """TASK-4: by every key, both ways; ties by id, in the same direction; NULL before every value."""
        moments = [None, OLD, OLD + datetime.timedelta(microseconds=1), None, OLD]
        tasks = [self.created_task(status=status, type=kind, expires_at=moment) for status, kind, moment in zip(
            ('pending', 'failure', 'pending', 'success', 'failure'),
            ('import', 'import', 'api_image_import', 'import', 'location_import'), moments, strict=True)]
        tasks = [self.change_task(task, step='later') if task.status == 'pending' else task for task in tasks]

        def place(task: Task, key: str) -> tuple:
            value = getattr(task, key)
            return value is not None, value or '', task.id

        for key, direction in itertools.product(
                ('created_at', 'updated_at', 'expires_at', 'status', 'type', 'id'), ('asc', 'desc')):
            wanted = [task.id for task in sorted(tasks, key=lambda task: place(task, key),
                                                 reverse=direction == 'desc')]
            found = self.task_ids(self.owner, sort=(key, direction))
            self.assertEqual(wanted, found, (key, direction))
            walked, marker = [], None
            while page := self.task_ids(self.owner, sort=(key, direction), marker=marker, limit=2):
                self.assertLessEqual(len(page), 2)
                walked, marker = walked + page, page[-1]
            self.assertEqual(wanted, walked, (key, direction))

    def test_a_page_may_be_empty_or_without_an_end(self):
        """TASK-4: limit 0 is an empty page, None is everything."""
        tasks = [self.created_task() for _ in range(3)]
        self.assertEqual(([], 3), (self.task_ids(self.owner, limit=0), len(self.task_ids(self.owner, limit=None))))
        self.assertEqual([tasks[0].id], self.task_ids(self.owner, marker=tasks[1].id))

    def test_a_marker_that_the_caller_does_not_see_is_refused(self):
        """TASK-5: InvalidMarker; absent, of another project, of none."""
        self.created_task()
        for marker in (str(uuid.uuid4()), self.created_task(owner='another').id, self.created_task(owner=None).id):
            self.assertRaises(errors.InvalidMarker, self.driver.task_list, self.owner, TaskQuery(marker=marker))

    # --- update --------------------------------------------------------------------------------------------

    def test_an_update_changes_what_it_names(self):
        """TASK-6: nothing else; updated_at moves, and what is returned is stored."""
        before = self.driver.task_create(self.owner, self.full_task())
        for attributes in ({'step': 's'}, {'bytes_done': 0, 'bytes_total': None, 'rate': 7}, {'cancelled': False},
                           {'attempts': 4}, {'result': {'a': ['é']}, 'message': 'm'},
                           {'secret': 'x'}, {'status': 'pending'}, {}):
            after = self.change_task(before, **attributes)
            self.assertEqual(dataclasses.replace(before, updated_at=after.updated_at, **attributes), after)
            self.assertEqual(after, self.get_task(before))
            self.assertGreater(after.updated_at, before.updated_at)
            before = after

    def test_an_update_asks_nobody_for_permission(self):
        """TASK-6: there is no caller to ask about."""
        self.assertEqual('s', self.change_task(self.created_task(owner=None), step='s').step)

    def test_an_update_of_an_absent_task_is_not_found(self):
        """TASK-7: TaskNotFound."""
        self.assertRaises(errors.TaskNotFound, self.change_task, self.task(), step='s')

    def test_a_finished_task_does_not_change_any_more(self):
        """TASK-8: StatusConflict, also when that status is what the caller starts from; nothing changed."""
        for status in FINAL:
            task = self.change_task(self.created_task(), status=status)
            for from_status in (None, status):
                self.assertRaises(errors.StatusConflict, self.change_task, task, from_status=from_status, message='m')
            self.assertEqual(task, self.get_task(task))

    def test_an_update_from_another_status_changes_nothing(self):
        """TASK-8: StatusConflict; from the right one it is done."""
        task = self.created_task()
        self.assertRaises(errors.StatusConflict, self.change_task, task, from_status='processing', status='success')
        self.assertEqual(task, self.get_task(task))
        self.assertEqual('processing', self.change_task(task, from_status='pending', status='processing').status)

    def test_of_several_updates_of_a_task_from_one_status_one_wins(self):
        """TASK-8: what is stored is the winner's."""
        for _ in range(3):
            task = self.created_task()
            results = self.race(*(lambda n=n, task=task: self.change_task(
                task, from_status='pending', status='processing', step=str(n)) for n in range(5)))
            self.assert_one_winner(results, errors.StatusConflict)
            self.assertEqual(next(one for one in results if isinstance(one, Task)), self.get_task(task))

    def test_a_task_expires_when_the_update_says_so(self):
        """TASK-9: that many seconds from now; without it, expires_at stays."""
        task = self.change_task(self.created_task(), status='processing')
        self.assertIsNone(task.expires_at)
        ended = self.change_task(task, status='success', expires=3600)
        self.assertLess(abs(ended.expires_at - ended.updated_at - datetime.timedelta(hours=1)),
                        datetime.timedelta(seconds=1))
        self.assertEqual(ended, self.get_task(task))

    def test_the_end_of_a_task_clears_its_secret(self):
        """TASK-9: with either end, also when the same update gives one; before that it stays."""
        for status, attributes in itertools.product(FINAL, ({}, {'secret': 'new'})):
            task = self.change_task(self.created_task(secret='token'), status='processing')
            self.assertEqual('token', task.secret)
            ended = self.change_task(task, status=status, **attributes)
            self.assertEqual((None, None), (ended.secret, self.get_task(task).secret))

    # --- house-keeping -------------------------------------------------------------------------------------

    def orphaned(self, *args) -> list[str]:
        return [task.id for task in self.driver.tasks_orphaned(*args)]

    def test_unfinished_tasks_that_nobody_works_at_are_orphaned(self):
        """TASK-10: told whole; oldest change first, at most *limit*; not those that ended."""
        tasks = [self.created_task(status=status) for status in ('pending', 'processing', 'pending', *FINAL)]
        tasks[0] = self.change_task(tasks[0], step='s')
        wanted = [tasks[1], tasks[2], tasks[0]]
        self.assertEqual(wanted, self.driver.tasks_orphaned(0))
        self.assertEqual([task.id for task in wanted[:2]], self.orphaned(0, 2))

    def test_a_task_that_changed_just_now_is_not_orphaned(self):
        """TASK-10: only those last changed that long ago."""
        self.created_task()
        self.assertEqual([], self.orphaned(3600))

    def test_a_task_of_which_an_upload_tells_is_not_orphaned(self):
        """TASK-10: of a deleted image too; and it is when the Upload is settled and the task is not."""
        task = self.created_task()
        image, upload = self.begun(task_id=task.id)
        self.begun()
        self.driver.image_delete(self.admin, image.id)
        self.assertEqual([], self.orphaned(0))
        self.driver.upload_abort(upload.id)
        self.assertEqual([task.id], self.orphaned(0))

    def test_expired_tasks_are_removed(self):
        """TASK-11: those whose time has passed, and no others; how many is told."""
        later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
        gone = [self.created_task(expires_at=OLD), self.change_task(self.created_task(), status='failure', expires=0)]
        kept = {self.created_task(expires_at=later).id, self.created_task().id}
        self.assertEqual([2, 0], [self.driver.tasks_expire(), self.driver.tasks_expire()])
        self.assertEqual(kept, set(self.task_ids(self.admin)))
        for task in gone:
            self.assertRaises(errors.TaskNotFound, self.get_task, task)

    def test_no_more_tasks_are_removed_than_allowed(self):
        """TASK-11: at most *limit*; the next call goes on."""
        for _ in range(5):
            self.created_task(expires_at=OLD)
        self.assertEqual([2, 2, 1, 0], [self.driver.tasks_expire(limit=2) for _ in range(4)])
