"""Schema, group, dataset and import through boto3 itself, done by a real worker process."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import boto3
import pytest

import personalens
from personalens.home import Home

ROLE = "arn:aws:iam::123456789012:role/personalize"


@pytest.fixture
def client(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PERSONALENS_WORKER_IDLE_SECONDS", "0.3")
    monkeypatch.delenv("PERSONALENS_JOBS", raising=False)
    with personalens.activate(Home(tmp_path / "home")):
        yield boto3.client("personalize", region_name="eu-central-1")


def wait_for(client, arn: str) -> tuple[dict, list[str]]:
    """Return the described import job and the statuses that it went through."""
    seen: list[str] = []
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        job = client.describe_dataset_import_job(datasetImportJobArn=arn)["datasetImportJob"]
        if job["status"] not in seen:
            seen.append(job["status"])
        if job["status"] in ("ACTIVE", "CREATE FAILED"):
            return job, seen
        time.sleep(0.005)
    raise AssertionError(f"still {seen}")


def test_from_schema_to_import(client, avro, write_events, tmp_path):
    schema = client.create_schema(name="films", schema=avro("Interactions"))["schemaArn"]
    group = client.create_dataset_group(name="films")["datasetGroupArn"]
    described = client.describe_dataset_group(datasetGroupArn=group)["datasetGroup"]
    assert described["status"] == "ACTIVE"
    assert isinstance(described["creationDateTime"], datetime)
    dataset = client.create_dataset(
        name="films", schemaArn=schema, datasetGroupArn=group, datasetType="Interactions"
    )["datasetArn"]
    assert dataset == "arn:aws:personalize:eu-central-1:123456789012:dataset/films/INTERACTIONS"
    with pytest.raises(client.exceptions.ResourceAlreadyExistsException, match=group):
        client.create_dataset_group(name="films")

    location = {"dataLocation": write_events(1000).as_uri()}
    arn = client.create_dataset_import_job(
        jobName="films", datasetArn=dataset, dataSource=location, roleArn=ROLE
    )["datasetImportJobArn"]
    job, seen = wait_for(client, arn)
    in_order = ["CREATE PENDING", "CREATE IN_PROGRESS", "ACTIVE"]
    assert [status for status in in_order if status in seen] == seen
    assert seen[-1] == "ACTIVE"
    assert "failureReason" not in job
    assert (job["dataSource"], job["roleArn"], job["importMode"]) == (location, ROLE, "FULL")

    broken = write_events(1000, "broken.csv")
    broken.write_text(broken.read_text().replace("1600000002", "tomorrow"))
    arn = client.create_dataset_import_job(
        jobName="broken", datasetArn=dataset, dataSource={"dataLocation": str(broken)}
    )["datasetImportJobArn"]
    job, _ = wait_for(client, arn)
    assert job["status"] == "CREATE FAILED"
    assert 'broken.csv, line 4, column TIMESTAMP, value "tomorrow"' in job["failureReason"]

    pages = client.get_paginator("list_dataset_import_jobs").paginate(
        datasetArn=dataset, PaginationConfig={"PageSize": 1}
    )
    jobs = [(j["jobName"], j["status"]) for page in pages for j in page["datasetImportJobs"]]
    assert jobs == [("films", "ACTIVE"), ("broken", "CREATE FAILED")]
    with pytest.raises(client.exceptions.ResourceInUseException, match=dataset):
        client.delete_dataset_group(datasetGroupArn=group)
    client.delete_dataset(datasetArn=dataset)
    wait_until_gone(client.describe_dataset, client, datasetArn=dataset)
    client.delete_dataset_group(datasetGroupArn=group)
    client.delete_schema(schemaArn=schema)
    wait_until_gone(client.describe_dataset_group, client, datasetGroupArn=group)


def wait_until_gone(describe, client, **request):
    """Wait as clean-up notebooks do: Describe answers first, and then no more."""
    statuses, deadline = [], time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            (described,) = [v for k, v in describe(**request).items() if k != "ResponseMetadata"]
        except client.exceptions.ResourceNotFoundException:
            break
        statuses.append(described["status"])
        time.sleep(0.1)
    assert statuses[0] == "DELETE PENDING"
    assert set(statuses) <= {"DELETE PENDING", "DELETE IN_PROGRESS"}
