"""activate() is a call, a block or a decorator, and off means off."""

from __future__ import annotations

import time
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from personalens import activation
from personalens.activation import Activation, activate, deactivate
from personalens.aws.in_process import PersonaLensIsOff


def answers(client):
    """Whether PersonaLens answers this client."""
    return client.list_schemas()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_call_stays_on_until_deactivate(make_router, monkeypatch):
    monkeypatch.setattr("personalens.activation.OperationRouter", lambda home: make_router())
    activated = activate(quiet=True)
    client = boto3.client("personalize")
    assert answers(client)
    assert activated.is_on
    deactivate()
    assert not activated.is_on
    with pytest.raises(PersonaLensIsOff, match="activate"):
        client.list_schemas()


def test_a_client_made_while_on_cannot_reach_aws_when_off(make_router, refused_network):
    with Activation(make_router()):
        client = boto3.client("personalize")
    started = time.monotonic()
    with pytest.raises(PersonaLensIsOff, match="make a new client"):
        client.list_schemas()
    assert time.monotonic() - started < 1
    assert refused_network == []
    with Activation(make_router()):
        assert answers(client)


def test_a_client_made_while_off_talks_to_aws_again_afterwards(make_router, refused_network):
    with Activation(make_router()):
        pass
    client = boto3.client(
        "personalize",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )
    with Activation(make_router()):
        assert answers(client)
    assert refused_network == []
    with pytest.raises(Exception, match="personalize"):
        client.list_schemas()
    assert len(refused_network) == 1


def test_of_nested_blocks_the_inner_one_answers(make_router):
    with Activation(make_router("outer")):
        client = boto3.client("personalize")
        client.create_schema(name="outer", schema="{}")
        with Activation(make_router("inner")):
            assert client.list_schemas()["schemas"] == []
        assert len(client.list_schemas()["schemas"]) == 1


def test_deactivate_inside_a_block_is_final(make_router):
    with Activation(make_router("outer")), Activation(make_router("inner")) as inner:
        deactivate()
        assert not inner.is_on
    assert activation._active == []


def test_a_block_that_fails_turns_off(make_router):
    with pytest.raises(KeyError), Activation(make_router()) as block:
        raise KeyError("learner's mistake")
    assert not block.is_on


def test_a_decorated_function_is_activated_while_it_runs(make_router):
    decorate = Activation(make_router())
    decorate.turn_on()

    @decorate
    def count_schemas(prefix, *, size):
        """Count."""
        client = boto3.client("personalize")
        client.create_schema(name=f"{prefix}-{size}", schema="{}")
        return len(client.list_schemas()["schemas"])

    assert not decorate.is_on
    assert (count_schemas("a", size=1), count_schemas("b", size=2)) == (1, 2)
    assert count_schemas.__doc__ == "Count."
    assert activation._active == []


def test_activate_without_parentheses_decorates():
    @activate
    def newest_home():
        return activation._active[-1].home.path

    assert activation._active == []
    assert newest_home() == activation.default_home().path


def test_it_says_in_one_line_that_it_is_on_and_where_its_home_is(tmp_path, capsys):
    with activate(tmp_path / "somewhere"):
        pass
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "PersonaLens is on" in said
    assert str(tmp_path / "somewhere") in said
    with activate(tmp_path / "somewhere", quiet=True):
        pass
    assert capsys.readouterr().out == ""


def test_a_home_in_the_working_tree_is_named_as_seen_from_here(tmp_path, monkeypatch, capsys):
    (tmp_path / "labs").mkdir()
    monkeypatch.chdir(tmp_path / "labs")
    with activate(tmp_path / ".personalens"):
        assert activation.is_active()
    assert not activation.is_active()
    assert capsys.readouterr().out.endswith(f"home {Path('..') / '.personalens'}\n")


def test_a_home_that_cannot_be_made_is_said_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="PERSONALENS_HOME"):
        activate(tmp_path / "file" / "home")
    assert activation._active == []


def test_activating_a_home_again_renews_its_router(make_router):
    first, second = Activation(make_router()), Activation(make_router())
    with first:
        with second:
            assert first.router is second.router
        assert first.is_on


def test_clients_that_are_older_than_the_first_activation_are_answered(run_python):
    # A process of its own: in this one the handlers are long installed.
    printed = run_python(
        """
        import boto3, socket
        from pathlib import Path

        keys = dict(region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
        old_client = boto3.client("personalize", **keys)
        old_session = boto3.Session(region_name="eu-west-2")

        from personalens.activation import Activation
        from personalens.aws.operation_router import OperationRouter
        from personalens.home import Home

        class Provider:
            def __init__(self, region): self.region = region
            def list_schemas(self): return {"schemas": [{"name": self.region}]}

        router = OperationRouter(
            Home(Path(".")),
            providers={"personalize": Provider},
            open_context=lambda home, region: region,
        )
        def refuse(*args, **kwargs): raise AssertionError("network")
        socket.socket.connect = socket.getaddrinfo = refuse

        with Activation(router):
            for client in (
                old_client, old_session.client("personalize"), boto3.client("personalize")
            ):
                print(client.list_schemas()["schemas"][0]["name"])
        """
    )
    assert printed.split() == ["eu-west-1", "eu-west-2", "us-east-1"]


def test_the_first_call_of_a_process_loads_neither_tables_nor_networks(run_python):
    loaded = run_python(
        """
        import sys, tempfile
        import boto3, personalens
        personalens.activate(tempfile.mkdtemp(), quiet=True)
        boto3.client("personalize").create_dataset_group(name="g")
        heavy = {"fastavro", "lark", "numpy", "pandas", "pyarrow", "pydantic", "scipy", "torch"}
        print(*sorted(heavy & set(sys.modules)))
        """
    )
    assert loaded.split() == []
