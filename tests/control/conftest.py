"""Fixtures for the control plane: real homes on disk, no mocks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from personalens.home import Home
from personalens.jobs.opening import open_home
from personalens.storage import event_log, job_queue
from personalens.storage.resource_store import ResourceStore
from personalens.storage.service_context import ServiceContext
from tests.dataset_tables import schema_of

FIELDS = {
    "Interactions": [
        {"name": "USER_ID", "type": "string"},
        {"name": "ITEM_ID", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
    ],
    "Items": [
        {"name": "ITEM_ID", "type": "string"},
        {"name": "GENRES", "type": ["null", "string"], "categorical": True},
    ],
    "Users": [
        {"name": "USER_ID", "type": "string"},
        {"name": "AGE", "type": ["null", "int"]},
    ],
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def store(home: Home) -> ResourceStore:
    return ResourceStore(home)


@pytest.fixture
def context(home: Home) -> ServiceContext:
    """A service whose jobs run inside the call."""
    return open_home(home, inline_jobs=True)


@pytest.fixture
def avro() -> Callable[[str], str]:
    """Return a function that gives the schema text of a dataset type."""

    def text(dataset_type: str) -> str:
        return json.dumps(schema_of(dataset_type, FIELDS[dataset_type]))

    return text


@pytest.fixture
def make_dataset(service, avro) -> Callable[..., str]:
    """Return a function that makes a dataset of a type, with schema and group, and its ARN."""

    def make(dataset_type: str = "Interactions", group: str = "films") -> str:
        name = f"{group}-{dataset_type.lower()}"
        groups = service.list_dataset_groups()["datasetGroups"]
        arns = {each["name"]: each["datasetGroupArn"] for each in groups}
        if group not in arns:
            arns[group] = service.create_dataset_group(name=group)["datasetGroupArn"]
        return service.create_dataset(
            name=name,
            schemaArn=service.create_schema(name=name, schema=avro(dataset_type))["schemaArn"],
            datasetGroupArn=arns[group],
            datasetType=dataset_type,
        )["datasetArn"]

    return make


@pytest.fixture
def write_events(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes an interactions CSV."""

    def write(rows: int = 1000, path: Path | str = "events.csv", first: int = 0) -> Path:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"u{n % 50},i{n % 70},{1_600_000_000 + n}\n" for n in range(first, first + rows)]
        target.write_text("USER_ID,ITEM_ID,TIMESTAMP\n" + "".join(lines))
        return target

    return write


class Clock:
    """Tells a time that a test moves."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.time() + self.ahead

    def advance(self, seconds):
        self.ahead += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(job_queue, "clock", clock)
    monkeypatch.setattr(event_log, "time", SimpleNamespace(time=clock))
    return clock
