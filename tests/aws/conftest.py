"""A learner's machine without AWS, and small providers that stand in for the real ones."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest

import personalens
from personalens import activation, arns
from personalens.aws.operation_router import OperationRouter
from personalens.home import Home
from personalens.service_errors import (
    InvalidInputException,
    ResourceAlreadyExistsException,
    ResourceNotFoundException,
)


class SchemaProvider:
    """Keeps schemas in memory; answers four operations of the control service."""

    def __init__(self, context):
        self.home, self.region = context
        self.schemas = {}

    def create_schema(self, name, schema, domain=None):
        arn = arns.build("schema", name, region=self.region)
        if arn in self.schemas:
            raise ResourceAlreadyExistsException(f"Another resource with Arn {arn} already exists.")
        self.schemas[arn] = {
            "name": name,
            "schemaArn": arn,
            "schema": schema,
            "domain": domain,
            "creationDateTime": datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC),
            "lastUpdatedDateTime": 1700000000.25,
            "_private": "never on the wire",
        }
        return {"schemaArn": arn}

    def describe_schema(self, schemaArn):
        if schemaArn not in self.schemas:
            raise ResourceNotFoundException(f"Schema {schemaArn} does not exist.")
        return {"schema": self.schemas[schemaArn]}

    def list_schemas(self, maxResults=100, nextToken="0"):
        start, schemas = int(nextToken), list(self.schemas.values())
        page = {"schemas": schemas[start : start + maxResults]}
        if start + maxResults < len(schemas):
            page["nextToken"] = str(start + maxResults)
        return page

    def delete_schema(self, schemaArn):
        self.describe_schema(schemaArn)
        del self.schemas[schemaArn]

    def describe_recipe(self, recipeArn):
        raise ZeroDivisionError("a defect of ours")


class RecommendationProvider:
    """Recommends a user's own id, over and over."""

    def __init__(self, context):
        self.home, self.region = context

    def get_recommendations(self, userId=None, numResults=25, campaignArn=None, context=None):
        if userId is None:
            raise InvalidInputException("userId is required.")
        if userId == "404":
            raise ResourceNotFoundException("No such campaign.")
        items = [{"itemId": userId, "score": 1 / (rank + 1)} for rank in range(numResults)]
        return {"itemList": items, "recommendationId": "RID-1"}


class EventProvider:
    """Remembers what was put."""

    def __init__(self, context):
        self.received = []

    def put_events(self, **event):
        self.received.append(event)


@pytest.fixture
def make_router(tmp_path):
    """Return a function that makes a router with the providers above for a home."""

    def make(name="home"):
        return OperationRouter(
            Home(tmp_path / name),
            providers={
                "personalize": SchemaProvider,
                "personalize-runtime": RecommendationProvider,
                "personalize-events": EventProvider,
            },
            open_context=lambda home, region: (home, region),
        )

    return make


@pytest.fixture
def router(make_router):
    return make_router()


@pytest.fixture
def active(router):
    """PersonaLens turned on with the small providers."""
    with activation.Activation(router) as active:
        yield active


@pytest.fixture
def run_python(tmp_path):
    """Return a function that runs a script in a fresh interpreter and returns what it printed."""
    root = str(Path(personalens.__file__).parents[1])

    def run(script):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": root},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(autouse=True)
def machine_without_aws(monkeypatch, tmp_path):
    """Take away credentials, region, configuration and, above all, the network."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_PROFILE",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_PERSONALIZE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("PERSONALENS_HOME", str(tmp_path / "default-home"))
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    yield
    activation.deactivate()


class NetworkTouched(AssertionError):
    """Something tried to open a connection."""


@pytest.fixture
def allow_loopback():
    """For tests that talk to a server of their own: leaves the network as it is."""


@pytest.fixture(autouse=True)
def refused_network(monkeypatch, request):
    """Fail at any connection, and list the addresses that were asked for."""
    asked_for = []
    if "allow_loopback" in request.fixturenames:
        return asked_for

    def refuse(self, address):
        asked_for.append(address)
        raise NetworkTouched(address)

    def refuse_lookup(host, *args, **kwargs):
        asked_for.append(host)
        raise NetworkTouched(host)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse_lookup)
    return asked_for
