"""Options of Glance 33 and before that have no effect here: each is named in one warning when it is set.

Two kinds: those that no longer mean anything, and those of a capability that this version does not have yet.
"""

from __future__ import annotations

_GONE = 'it no longer means anything'
_CACHE = 'the image cache is not part of this version'
_SCRUBBER = 'delayed deletion is not part of this version'
_REGISTRY = 'the registry is not part of this version'

#: group -> option -> why it has no effect; '*' stands for every option of the group.
REASONS: dict[str, dict[str, str]] = {
    'DEFAULT': {
        'digest_algorithm': _GONE,
        'metadata_encryption_key': 'location URLs hold no credentials here, so there is nothing to encrypt',
        'enable_v2_registry': _REGISTRY, 'enable_v1_registry': _REGISTRY, 'registry_host': _REGISTRY,
        'registry_port': _REGISTRY, 'registry_client_protocol': _REGISTRY,
        'enable_v1_api': 'Images API v1 is not part of this version',
        'worker_self_reference_url': 'any node can import what is in a shared staging store',
        'delayed_delete': _SCRUBBER, 'scrub_time': _SCRUBBER, 'scrub_pool_size': _SCRUBBER,
        'wakeup_time': _SCRUBBER, 'restore': _SCRUBBER, 'daemon': _SCRUBBER,
        'image_cache_dir': _CACHE, 'image_cache_driver': _CACHE, 'image_cache_sqlite_db': _CACHE,
        'image_cache_max_size': _CACHE, 'image_cache_stall_time': _CACHE,
        'owner_is_tenant': 'the owner of an image is always a project',
        'admin_role': 'the policy rule context_is_admin decides who is an administrator',
        'secure_proxy_ssl_header': 'use [oslo_middleware] enable_proxy_headers_parsing',
        'pydev_worker_debug_host': _GONE, 'pydev_worker_debug_port': _GONE,
        'rpc_backend': _GONE, 'notifier_strategy': 'use [oslo_messaging_notifications] driver',
        'notification_driver': 'use [oslo_messaging_notifications] driver',
        'use_user_token': _REGISTRY, 'send_identity_headers': _REGISTRY,
        'transport_url': 'no messaging driver is in use', 'control_exchange': 'no messaging driver is in use',
        'executor_thread_pool_size': _GONE, 'rpc_response_timeout': _GONE,
    },
    'wsgi': {'*': 'threads are sized by the server here'},
    'taskflow_executor': {
        'engine_mode': 'the steps of a task follow each other; see [image_import_opts] max_parallel_stores',
        'conversion_format': 'use [image_conversion] output_format',
    },
    'profiler': {'*': 'profiling headers are not supported'},
    'oslo_reports': {'*': 'guru meditation reports are not supported'},
    'oslo_concurrency': {'*': 'nothing here takes locks of oslo.concurrency'},
    'oslo_messaging_rabbit_registry': {'*': _REGISTRY},
}
