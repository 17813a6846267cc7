"""The resource store: one winner a name, atomic changes, pages that neither repeat nor skip."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from personalens.home import Home
from personalens.service_errors import (
    InvalidInputException,
    InvalidNextTokenException,
    ResourceAlreadyExistsException,
    ResourceNotFoundException,
)
from personalens.storage.resource_store import Resource, ResourceStore

PREFIX = "arn:aws:personalize:us-east-1:123456789012"


def schema(name: str, **members) -> Resource:
    return Resource(f"{PREFIX}:schema/{name}", "schema", name, **members)


def add(store: ResourceStore, *resources: Resource) -> None:
    with store.transaction() as tx:
        for resource in resources:
            tx.insert(resource)


def test_a_resource_comes_back_as_it_was_put_in(store):
    films = schema("films", status="ACTIVE", parent_arn="p", body={"schema": "{}", "_x": [1, "é"]})
    add(store, films)
    assert store.get(films.arn) == films


def test_a_second_store_on_the_home_sees_it(home, store):
    add(store, schema("films"))
    assert ResourceStore(home).require(f"{PREFIX}:schema/films").name == "films"


def test_get_of_the_unknown_is_none_and_require_raises(store):
    assert store.get(f"{PREFIX}:schema/none") is None
    with pytest.raises(ResourceNotFoundException, match=r"schema with ARN .*:schema/none"):
        store.require(f"{PREFIX}:schema/none", "schema")


def test_require_of_another_kind_names_both(store):
    add(store, schema("films"))
    with pytest.raises(ResourceNotFoundException, match=r"dataset group .* names a schema"):
        store.require(f"{PREFIX}:schema/films", "dataset-group")


def test_duplicate_arn_has_the_services_text(store):
    add(store, schema("films"))
    with pytest.raises(ResourceAlreadyExistsException) as caught:
        add(store, schema("films"))
    assert str(caught.value) == f"Another resource with Arn {PREFIX}:schema/films already exists."


def test_an_error_rolls_everything_back(store):
    def half_a_change() -> None:
        with store.transaction() as tx:
            tx.insert(schema("films"))
            tx.set_tags(f"{PREFIX}:schema/films", {"a": "b"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_a_change()
    assert store.list("schema") == []


def test_update_changes_only_what_is_named(store):
    films = schema("films", status="CREATE PENDING", created_at=1.0, updated_at=1.0, body={"a": 1})
    add(store, films)
    with store.transaction() as tx:
        after = tx.update(films.arn, status="CREATE FAILED", failure_reason="why", b=[2])
    assert (after.status, after.failure_reason, after.body) == (
        "CREATE FAILED",
        "why",
        {"a": 1, "b": [2]},
    )
    assert after.created_at == 1.0
    assert after.updated_at > 1.0
    with store.transaction() as tx:
        after = tx.update(films.arn, failure_reason="", a=None)
    assert (after.status, after.failure_reason, after.body) == ("CREATE FAILED", None, {"b": [2]})
    assert store.get(films.arn) == after


def test_update_and_delete_of_the_unknown_raise(store):
    with store.transaction() as tx:
        with pytest.raises(ResourceNotFoundException):
            tx.update(f"{PREFIX}:schema/none", status="ACTIVE")
        with pytest.raises(ResourceNotFoundException):
            tx.delete(f"{PREFIX}:schema/none")


def test_list_filters_by_parent_and_status_in_creation_order(store):
    add(
        store,
        schema("c", parent_arn="p", status="ACTIVE"),
        schema("a", parent_arn="p", status="CREATE FAILED"),
        schema("b", parent_arn="q", status="ACTIVE"),
    )
    names = lambda **filters: [r.name for r in store.list("schema", **filters)]  # noqa: E731
    assert names() == ["c", "a", "b"]
    assert names(parent_arn="p") == ["c", "a"]
    assert names(status_in=["ACTIVE"]) == ["c", "b"]
    assert names(parent_arn="p", status_in=["ACTIVE", "CREATE FAILED"]) == ["c", "a"]
    assert names(status_in=[]) == []
    assert store.list("dataset") == []


def test_a_scoped_store_sees_its_region_and_account_only(home, store):
    other = "arn:aws:personalize:eu-west-1:123456789012:schema/films"
    add(store, schema("films"), Resource(other, "schema", "films"))
    europe = ResourceStore(home, region="eu-west-1", account="123456789012")
    assert [r.arn for r in europe.list("schema")] == [other]
    assert [r.arn for r in europe.page("schema")[0]] == [other]
    assert europe.get(f"{PREFIX}:schema/films") is None
    with pytest.raises(ResourceNotFoundException, match="eu-west-1"):
        europe.require(f"{PREFIX}:schema/films")


def test_tags_are_replaced_removed_and_die_with_the_resource(store):
    films = schema("films")
    add(store, films)
    with store.transaction() as tx:
        tx.set_tags(films.arn, {"b": "1", "a": "1"})
        tx.set_tags(films.arn, {"b": "2"})
        tx.remove_tags(films.arn, ["a", "zzz"])
    assert store.tags(films.arn) == {"b": "2"}
    with store.transaction() as tx:
        tx.delete(films.arn)
        tx.insert(films)
    assert store.tags(films.arn) == {}


def pages(store: ResourceStore, **arguments) -> list[list[str]]:
    found, token = [], None
    while True:
        resources, token = store.page("schema", nextToken=token, **arguments)
        found.append([resource.name for resource in resources])
        if token is None:
            return found


def test_pages_are_cut_at_max_results(store):
    add(store, *(schema(f"s{n}") for n in range(5)))
    assert pages(store, maxResults=2) == [["s0", "s1"], ["s2", "s3"], ["s4"]]
    assert pages(store, maxResults=5) == [["s0", "s1", "s2", "s3", "s4"]]
    assert pages(store) == [["s0", "s1", "s2", "s3", "s4"]]


def test_a_page_holds_100_at_most(store):
    add(store, *(schema(f"s{n}") for n in range(101)))
    assert [len(page) for page in pages(store)] == [100, 1]


def test_where_is_applied_before_the_page_is_cut(store):
    add(store, *(schema(f"s{n}", body={"even": n % 2 == 0}) for n in range(6)))
    assert pages(store, maxResults=2, where=lambda r: r.body["even"]) == [["s0", "s2"], ["s4"]]


def test_what_is_made_or_deleted_between_pages_neither_repeats_nor_hides_others(store):
    add(store, *(schema(f"s{n}") for n in range(4)))
    first, token = store.page("schema", maxResults=2)
    with store.transaction() as tx:
        tx.delete(first[1].arn)
        tx.insert(schema("new"))
    second, token = store.page("schema", maxResults=2, nextToken=token)
    third, end = store.page("schema", maxResults=2, nextToken=token)
    assert [[r.name for r in second], [r.name for r in third], end] == [["s2", "s3"], ["new"], None]


@pytest.mark.parametrize("token", ["", "x", "MS8x", "é", "####", "A" * 1500])
def test_a_made_up_token_is_refused(store, token):
    with pytest.raises(InvalidNextTokenException, match="not valid"):
        store.page("schema", nextToken=token)


def test_a_token_of_another_listing_is_refused(store):
    add(store, *(schema(f"s{n}") for n in range(3)))
    _, token = store.page("schema", maxResults=1)
    with pytest.raises(InvalidNextTokenException):
        store.page("dataset", nextToken=token)
    with pytest.raises(InvalidNextTokenException):
        store.page("schema", parent_arn="p", nextToken=token)


@pytest.mark.parametrize("size", [0, 101, -1])
def test_max_results_is_1_to_100(store, size):
    with pytest.raises(InvalidInputException, match="1 to 100"):
        store.page("schema", maxResults=size)


def test_callbacks_run_after_the_commit_and_not_after_a_rollback(home, store):
    seen = []
    with store.transaction() as tx:
        tx.insert(schema("films"))
        tx.after_commit.append(lambda: seen.append(len(ResourceStore(home).list("schema"))))
        assert seen == []
    assert seen == [1]
    with suppress(ZeroDivisionError), store.transaction() as tx:
        tx.after_commit.append(lambda: seen.append("never"))
        raise ZeroDivisionError
    assert seen == [1]


def test_a_transaction_within_a_transaction_is_refused(store):
    with store.transaction(), pytest.raises(RuntimeError, match="already"), store.transaction():
        pass


def test_many_threads_lose_no_write_and_one_wins_each_name(home):
    store = ResourceStore(home)
    films = schema("films", body={"count": 0})
    add(store, films)
    refused = []

    def work(thread: int) -> None:
        for n in range(10):
            with store.transaction() as tx:
                tx.update(films.arn, count=tx.require(films.arn).body["count"] + 1)
            try:
                add(store, schema(f"shared-{n}"))
            except ResourceAlreadyExistsException:
                refused.append((thread, n))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.require(films.arn).body["count"] == 60
    assert len(store.list("schema")) == 11
    assert len(refused) == 50


def test_a_store_before_anything_was_written_is_empty(tmp_path):
    store = ResourceStore(Home(tmp_path / "new"))
    assert store.list("schema") == []
    assert (tmp_path / "new" / "catalogue.sqlite").exists()
