"""Rules of tasks. Those of one image are asked about with ``get_image``."""

from glancelike.policies.rules.base import ADMIN, rule

RULES = (
    rule('tasks_api_access', ADMIN, 'Ask for tasks by id, list them, or make one.',
         'GET /v2/tasks', 'POST /v2/tasks', 'GET /v2/tasks/{task_id}'),
    rule('get_task', 'rule:default', 'See a task; asked beside tasks_api_access.', 'GET /v2/tasks/{task_id}'),
    rule('get_tasks', 'rule:default', 'List tasks; asked beside tasks_api_access.', 'GET /v2/tasks'),
    rule('add_task', 'rule:default', 'Make a task; asked beside tasks_api_access.', 'POST /v2/tasks'),
    rule('modify_task', 'rule:default',
         'Nothing asks this: no call changes a task. It is here because policy files of Glance may name it.',
         'GET /v2/tasks/{task_id}'),
)
