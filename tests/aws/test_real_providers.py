"""The package's own providers, through boto3: what a learner's first cells do."""

from __future__ import annotations

import json
import os
import threading

import boto3
import pytest

import personalens
from personalens.home import Home
from tests.dataset_tables import schema_of
from tests.local_server import LocalServer

FIELDS = [{"name": name, "type": "string"} for name in ("USER_ID", "ITEM_ID")]
SCHEMA = json.dumps(schema_of("Interactions", [*FIELDS, {"name": "TIMESTAMP", "type": "long"}]))


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PERSONALENS_JOBS", "inline")
    return tmp_path / "home"


@pytest.fixture
def personalize(home):
    with personalens.activate(home, quiet=True):
        yield boto3.client("personalize")


def test_another_activation_of_the_home_finds_what_was_made(home, personalize):
    personalize.create_schema(name="films", schema=SCHEMA)
    with personalens.activate(home, quiet=True):
        schemas = boto3.client("personalize").list_schemas()["schemas"]
    assert [schema["name"] for schema in schemas] == ["films"]


def test_threads_share_one_home(personalize):
    failures = []

    def work(number):
        try:
            personalize.create_schema(name=f"films-{number}", schema=SCHEMA)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(personalize.list_schemas()["schemas"]) == 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_child_writes_to_the_same_home(personalize):
    personalize.create_schema(name="parent", schema=SCHEMA)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            personalize.create_schema(name="child", schema=SCHEMA)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    names = [schema["name"] for schema in personalize.list_schemas()["schemas"]]
    assert sorted(names) == ["child", "parent"]


def test_the_server_serves_what_was_made_in_process(home, personalize, allow_loopback):
    personalize.create_schema(name="films", schema=SCHEMA)
    personalens.deactivate()
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
    with LocalServer(Home(home)) as server:
        remote = boto3.client("personalize", endpoint_url=server.url, **keys)
        assert [schema["name"] for schema in remote.list_schemas()["schemas"]] == ["films"]
