"""CreateSchema, DescribeSchema, ListSchemas, DeleteSchema."""

from __future__ import annotations

import json

import pytest

from personalens.service_errors import (
    InvalidInputException,
    LimitExceededException,
    ResourceAlreadyExistsException,
    ResourceInUseException,
    ResourceNotFoundException,
)

ARN = "arn:aws:personalize:us-east-1:123456789012:schema/films"


def test_a_schema_is_kept_as_it_was_written(service, avro):
    text = json.dumps(json.loads(avro("Users")), indent=3)
    assert service.create_schema(name="films", schema=text) == {"schemaArn": ARN}
    schema = service.describe_schema(schemaArn=ARN)["schema"]
    assert schema.pop("creationDateTime") == schema.pop("lastUpdatedDateTime")
    assert schema == {"name": "films", "schemaArn": ARN, "schema": text}


def test_a_domain_schema_shows_its_domain(service):
    fields = [
        {"name": "USER_ID", "type": "string"},
        {"name": "ITEM_ID", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
        {"name": "EVENT_TYPE", "type": "string"},
    ]
    text = json.dumps(
        {
            "type": "record",
            "name": "Interactions",
            "namespace": "com.amazonaws.personalize.schema",
            "fields": fields,
            "version": "1.0",
        }
    )
    service.create_schema(name="films", schema=text, domain="VIDEO_ON_DEMAND")
    assert service.describe_schema(schemaArn=ARN)["schema"]["domain"] == "VIDEO_ON_DEMAND"
    assert service.list_schemas()["schemas"][0]["domain"] == "VIDEO_ON_DEMAND"


def test_a_broken_schema_is_refused_and_not_kept(service):
    with pytest.raises(InvalidInputException, match="JSON"):
        service.create_schema(name="films", schema="{")
    assert service.list_schemas() == {"schemas": []}


def test_a_name_is_taken_once(service, avro):
    service.create_schema(name="films", schema=avro("Users"))
    with pytest.raises(ResourceAlreadyExistsException, match=f"Arn {ARN} already exists"):
        service.create_schema(name="films", schema=avro("Items"))


def test_lists_show_summaries_in_pages(service, avro):
    for name in ("b", "a", "c"):
        service.create_schema(name=name, schema=avro("Users"))
    first = service.list_schemas(maxResults=2)
    second = service.list_schemas(maxResults=2, nextToken=first["nextToken"])
    assert [[s["name"] for s in page["schemas"]] for page in (first, second)] == [["b", "a"], ["c"]]
    assert set(first["schemas"][0]) == {
        "name",
        "schemaArn",
        "creationDateTime",
        "lastUpdatedDateTime",
    }
    assert "nextToken" not in second


@pytest.mark.usefixtures("quick_deletions")
def test_a_schema_in_use_cannot_be_deleted(service, make_dataset):
    dataset = make_dataset("Users")
    schema = service.describe_dataset(datasetArn=dataset)["dataset"]["schemaArn"]
    with pytest.raises(ResourceInUseException, match=dataset):
        service.delete_schema(schemaArn=schema)
    service.delete_dataset(datasetArn=dataset)
    service.delete_schema(schemaArn=schema)
    with pytest.raises(ResourceNotFoundException):
        service.describe_schema(schemaArn=schema)
    with pytest.raises(ResourceNotFoundException):
        service.delete_schema(schemaArn=schema)


def test_quotas_are_kept_on_request_only(service, monkeypatch):
    for number in range(6):
        service.create_dataset_group(name=f"group-{number}")
    monkeypatch.setenv("PERSONALENS_QUOTAS", "on")
    with pytest.raises(LimitExceededException, match=r"More than 5 .* dataset group"):
        service.create_dataset_group(name="one-too-many")
    assert len(service.list_dataset_groups()["datasetGroups"]) == 6


def test_the_first_release_s_word_for_quotas_still_counts(service, monkeypatch):
    monkeypatch.setenv("PERSONALENS_QUOTAS", "aws")
    for number in range(5):
        service.create_dataset_group(name=f"group-{number}")
    with pytest.raises(LimitExceededException):
        service.create_dataset_group(name="one-too-many")


def test_an_unknown_quota_mode_is_named(context, monkeypatch):
    from personalens.control.operations.kinds import check_quota

    monkeypatch.setenv("PERSONALENS_QUOTAS", "some")
    with context.store.transaction() as tx, pytest.raises(ValueError, match=r"'some'.*on, off"):
        check_quota(tx, "schema", {})
