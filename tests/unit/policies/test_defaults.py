"""Who may do what while no policy file says otherwise: every rule, every kind of caller, every visibility."""

from oslo_config import cfg

from glancelike.model.image import Image
from glancelike.plugin import RequestContext
from glancelike.policies import rules
from glancelike.policies.enforcer import Enforcer
from tests import base


def caller(project, *roles, **more):
    return RequestContext(user_id='u', project_id=project, roles=frozenset(roles), **more)


CALLERS = {
    'admin': caller('ops', 'admin', is_admin=True),
    'owner': caller('films', 'member', 'reader'),
    'owner-reader': caller('films', 'reader'),
    'owner-norole': caller('films'),
    'sharer': caller('books', 'member', 'reader'),          # the image is shared with this project
    'sharer-reader': caller('books', 'reader'),
    'stranger': caller('cars', 'member', 'reader'),
    'stranger-reader': caller('cars', 'reader'),
    'homeless': caller(None, 'member', 'reader'),           # a token without a project
    'service': caller('services', 'service'),
    'service-token': caller('cars', service_roles=frozenset({'service'})),
    'anonymous': RequestContext(read_only=True),
}

READERS = {'owner', 'owner-reader', 'sharer', 'sharer-reader', 'stranger', 'stranger-reader', 'homeless'}
MEMBERS = {'owner', 'sharer', 'stranger', 'homeless'}
SERVICES = {'admin', 'service', 'service-token'}
OWN = {'admin', 'owner'}
OWN_READERS = OWN | {'owner-reader'}
SEEN = OWN_READERS | {'sharer', 'sharer-reader'}

#: rule -> visibility of the image -> who; one set for all visibilities where it does not matter
EXPECTED = {
    'default': set(CALLERS),
    'context_is_admin': {'admin'},
    'service_api': SERVICES,
    'anonymous': {'anonymous'},
    'add_image': OWN,
    'get_images': {'admin', 'anonymous'} | READERS,
    'get_image': {'private': SEEN,
                  **dict.fromkeys(('shared', 'community', 'public'), {'admin', 'anonymous'} | READERS)},
    'download_image': {'private': OWN | {'sharer'},
                       **dict.fromkeys(('shared', 'community', 'public'), {'admin', 'anonymous'} | MEMBERS)},
    'modify_image': OWN,
    'publicize_image': {'admin'},
    'copy_image': {'admin'},
    'communitize_image': OWN,
    'delete_image': OWN,
    'upload_image': OWN,
    'deactivate': OWN,
    'reactivate': OWN,
    'get_image_location': OWN_READERS,
    'set_image_location': OWN,
    'delete_image_location': {'admin'},
    'add_image_location': SERVICES | OWN,
    'fetch_image_location': SERVICES,
    'add_member': OWN,
    'delete_member': OWN | {'sharer'},
    'get_member': SEEN,
    'get_members': SEEN,
    'modify_member': {'admin', 'sharer'},
    'stores_info_detail': SERVICES,
    'tasks_api_access': {'admin'},
    'get_task': set(CALLERS),
    'get_tasks': set(CALLERS),
    'add_task': set(CALLERS),
    'modify_task': set(CALLERS),
}
EXPECTED['download_from_store'] = EXPECTED['download_image']


class DefaultsTest(base.TestCase):

    def setUp(self):
        super().setUp()
        conf = cfg.ConfigOpts()
        conf([], project='glance', default_config_files=[])
        self.enforcer = Enforcer(conf)

    def test_every_rule_is_in_the_table(self):
        self.assertEqual(sorted(EXPECTED), sorted(rule.name for rule in rules.list_rules()))

    def test_every_rule_says_what_it_is_for_and_most_name_their_routes(self):
        for rule in rules.list_rules():
            self.assertTrue(rule.description, rule.name)
            for operation in getattr(rule, 'operations', ()):
                self.assertRegex(operation['path'], '^/v2/', rule.name)
                self.assertIn(operation['method'], ('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'), rule.name)

    def test_an_image_without_owner_is_nobodys(self):
        image = Image('i', owner=None, visibility='private')
        of_the_caller = ('default', 'service_api', 'stores_info_detail', 'get_images', 'anonymous', 'get_task',
                         'get_tasks', 'add_task', 'modify_task', 'add_image_location', 'fetch_image_location')
        self.assertEqual([], [(name, rule) for name, ctx in CALLERS.items() for rule in EXPECTED
                              if name != 'admin' and rule not in of_the_caller
                              and self.enforcer.allowed(ctx, rule, image)])

    def test_a_target_that_is_not_given_is_the_callers_own_project(self):
        self.assertTrue(self.enforcer.allowed(CALLERS['owner'], 'add_image'))
        self.assertFalse(self.enforcer.allowed(CALLERS['owner'], 'add_image', {'project_id': 'cars'}))


def _add(rule, visibility, expected):
    def test(self):
        image = Image('i', owner='films', visibility=visibility)
        allowed = {name for name, ctx in CALLERS.items()
                   if self.enforcer.allowed(ctx, rule, image, member_id='books')}
        self.assertEqual(expected, allowed)
    setattr(DefaultsTest, f'test_{rule}_on_a_{visibility}_image', test)


for _rule, _expected in EXPECTED.items():
    for _visibility in ('private', 'shared', 'community', 'public'):
        _add(_rule, _visibility, _expected[_visibility] if isinstance(_expected, dict) else _expected)
