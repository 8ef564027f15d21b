"""A hundred imports while processes are killed at random."""

from tests.functional.crash.random_kills import LocalRandomKills, WorkersRandomKills


class LocalTest(LocalRandomKills):
    imports = 100

    def test_nodes_are_killed_during_a_hundred_imports(self):
        self.check()


class WorkersTest(WorkersRandomKills):
    imports = 100

    def test_workers_board_database_and_node_are_killed_during_a_hundred_imports(self):
        self.check()


class WorkersOnMariadbTest(WorkersTest):
    database_server = 'mariadb'
