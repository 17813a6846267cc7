"""The coverage page says what is so."""

from __future__ import annotations

from personalens.aws.service_models import operations
from tests.aws.coverage import PAGE, coverage_page, folders_that_call, operation_coverage


def test_the_page_is_fresh():
    assert PAGE.read_text(encoding="utf-8") == coverage_page(), (
        "COVERAGE.md is stale: run python -m tests.aws.coverage --write"
    )


def test_all_operations_of_the_three_models_are_on_it():
    assert [len(answered) for answered in operation_coverage().values()] == [71, 3, 5]


def test_every_operation_is_implemented_and_called_by_a_test():
    tested = folders_that_call()
    for service, answered in operation_coverage().items():
        assert [name for name, is_there in answered.items() if not is_there] == []
        untested = [n for n, found in operations(service).items() if not tested[found.method]]
        assert untested == []


def test_only_a_call_counts_as_a_test(tmp_path):
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "test_it.py").write_text(
        "def test(client):\n    client.list_schemas()\n    method = 'delete_schema'\n"
    )
    tested = folders_that_call(tmp_path)
    assert tested["list_schemas"] == {"control"}
    assert tested["delete_schema"] == set()
