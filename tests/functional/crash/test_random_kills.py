"""Some imports while processes are killed at random; tests/heavy has many."""

from tests.functional.crash.random_kills import LocalRandomKills, WorkersRandomKills


class LocalTest(LocalRandomKills):
    imports = 15

    def test_nodes_are_killed_while_they_import(self):
        self.check()


class WorkersTest(WorkersRandomKills):

    def test_workers_board_database_and_node_are_killed_during_imports(self):
        self.check()
