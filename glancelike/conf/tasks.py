"""Tasks: who does the work that goes on after a request was answered."""

from oslo_config import cfg

TASK_OPTIONS = (
    cfg.IntOpt('task_time_to_live', default=48, min=1, max=24 * 366, deprecated_group='DEFAULT', help="""
How long a finished task can still be seen. Unit: hours."""),
    cfg.StrOpt('task_executor', default='local', choices=[
        ('local', 'threads of the API process that took the request; at its death another process goes on'),
        ('jobboard', 'glance-worker processes, which are told by a job board; see [jobboard]'),
        ('taskflow', 'the name of ``local`` in earlier releases'),
    ], deprecated_group='DEFAULT', help="""
Who does the work of imports and other tasks, which goes on after the request was answered."""),
    cfg.StrOpt('work_dir', help="""
Directory for files that conversion and decompression make on their way; needs room for the largest images that are
imported at the same time. Default: ``os_glance_tasks_store`` beside the staging directory, else in the system's
temporary directory. What a process that died has left there is removed."""),
    cfg.IntOpt('max_attempts', default=20, min=1, max=10000, help="""
How often a task is begun whose process dies each time, until it is given up. Being stopped in an orderly way does not
count."""),
    cfg.IntOpt('max_per_owner', default=0, min=0, max=10000, help="""
How many tasks of one project may run at the same time in one process. Those that wait do not hold up other
projects'. 0: no limit. In any case projects take turns: one that asks for a hundred imports delays the next one's by
what is being done, not by a hundred; and the last quarter of ``max_workers`` (2 of 10) is for projects that have
nothing running."""),
    cfg.StrOpt('secret_key', secret=True, help="""
Key that encrypts what a task needs and nobody may see (the token of a caller whose image is fetched from another
region) while it waits in the database: 32 bytes in URL-safe base64, the same on all nodes and workers. Without it
each process makes its own, and such a task fails when another process has to go on with it."""),
    cfg.IntOpt('max_bytes_per_second', default=0, min=0, max=2**40, help="""
Most bytes per second that all imports of one process together read from their sources. 0: no limit."""),
)

EXECUTOR_OPTIONS = (
    cfg.IntOpt('max_workers', default=10, min=1, max=256, deprecated_group='task',
               deprecated_name='eventlet_executor_pool_size', help="""
How many tasks one process does at the same time."""),
)

GROUPS = {'task': TASK_OPTIONS, 'taskflow_executor': EXECUTOR_OPTIONS}
