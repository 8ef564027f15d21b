"""Rules of image members (sharing)."""

from glancelike.policies.rules.base import ADMIN_OR_MEMBER, READER, rule

_READ = f'rule:context_is_admin or ({READER} and (project_id:%(project_id)s or project_id:%(member_id)s))'

RULES = (
    rule('add_member', ADMIN_OR_MEMBER, 'Share an image with a project.', 'POST /v2/images/{image_id}/members'),
    rule('delete_member',
         'rule:context_is_admin or (role:member and (project_id:%(project_id)s or project_id:%(member_id)s))',
         'Stop sharing an image with a project; a member may leave by itself.',
         'DELETE /v2/images/{image_id}/members/{member_id}'),
    rule('get_member', _READ, 'See a member of an image.',
         'GET /v2/images/{image_id}/members', 'GET /v2/images/{image_id}/members/{member_id}'),
    rule('get_members', _READ, 'List the members of an image.', 'GET /v2/images/{image_id}/members'),
    rule('modify_member', 'rule:context_is_admin or (role:member and project_id:%(member_id)s)',
         'Accept or reject an image shared with one.', 'PUT /v2/images/{image_id}/members/{member_id}'),
)
