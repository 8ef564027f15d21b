"""Rules of images, their data, tags and locations."""

from glancelike.policies.rules.base import (
    ADMIN,
    ADMIN_OR_IMAGE_MEMBER,
    ADMIN_OR_IMAGE_READER,
    ADMIN_OR_MEMBER,
    ADMIN_OR_READER,
    ANONYMOUS,
    READER,
    SERVICE,
    rule,
)

RULES = (
    rule('add_image', ADMIN_OR_MEMBER, 'Create an image; the target project is the one that will own it.',
         'POST /v2/images'),
    rule('get_images', f'rule:context_is_admin or {READER} or {ANONYMOUS}', 'List images.', 'GET /v2/images'),
    rule('get_image', ADMIN_OR_IMAGE_READER, 'See an image and its tasks.',
         'GET /v2/images', 'GET /v2/images/{image_id}', 'HEAD /v2/images/{image_id}',
         'GET /v2/images/{image_id}/tasks'),
    rule('modify_image', ADMIN_OR_MEMBER,
         'Change an image or its tags, stage its data, have them imported, cancel that.',
         'PATCH /v2/images/{image_id}', 'PUT /v2/images/{image_id}/tags/{tag}',
         'DELETE /v2/images/{image_id}/tags/{tag}', 'PUT /v2/images/{image_id}/stage',
         'POST /v2/images/{image_id}/import', 'DELETE /v2/images/{image_id}/import'),
    rule('copy_image', ADMIN, 'Have the data of an active image copied into further stores (copy-image).',
         'POST /v2/images/{image_id}/import'),
    rule('publicize_image', ADMIN, 'Make an image public.', 'POST /v2/images', 'PATCH /v2/images/{image_id}'),
    rule('communitize_image', ADMIN_OR_MEMBER, 'Make an image a community image.',
         'POST /v2/images', 'PATCH /v2/images/{image_id}'),
    rule('delete_image', ADMIN_OR_MEMBER, 'Delete an image.', 'DELETE /v2/images/{image_id}'),
    rule('upload_image', ADMIN_OR_MEMBER, "Upload an image's data.", 'PUT /v2/images/{image_id}/file'),
    rule('download_image', ADMIN_OR_IMAGE_MEMBER, "Download an image's data.",
         'GET /v2/images/{image_id}/file', 'HEAD /v2/images/{image_id}/file'),
    rule('download_from_store', ADMIN_OR_IMAGE_MEMBER, 'Say which stores to prefer in a download.',
         'GET /v2/images/{image_id}/file?prefer={stores}'),
    rule('deactivate', ADMIN_OR_MEMBER, 'Deactivate an image.', 'POST /v2/images/{image_id}/actions/deactivate'),
    rule('reactivate', ADMIN_OR_MEMBER, 'Reactivate an image.', 'POST /v2/images/{image_id}/actions/reactivate'),
    rule('get_image_location', ADMIN_OR_READER, 'See where an image is stored.',
         'GET /v2/images', 'GET /v2/images/{image_id}', 'PATCH /v2/images/{image_id}',
         'DELETE /v2/stores/{store_id}/{image_id}'),
    rule('set_image_location', ADMIN_OR_MEMBER, (
        'Add a location to an image by a patch, or replace what is said of its locations; without effect while '
        'show_multiple_locations is false. A location makes the service read, and when it goes delete, what it names: '
        'where stores are shared with others, leave this to administrators and services.'),
         'PATCH /v2/images/{image_id}'),
    rule('delete_image_location', ADMIN, 'Remove one copy of an image that has several.',
         'PATCH /v2/images/{image_id}', 'DELETE /v2/stores/{store_id}/{image_id}'),
    rule('add_image_location', f'{SERVICE} or (role:member and project_id:%(project_id)s)', (
        'Give a queued image its data by telling where they are. Whoever is no service (rule service_api) can name web '
        'servers only.'), 'POST /v2/images/{image_id}/locations'),
    rule('fetch_image_location', SERVICE, 'See where an image is stored, as other services do.',
         'GET /v2/images/{image_id}/locations'),
)
