"""CreateSchema, DescribeSchema, ListSchemas, DeleteSchema."""

from __future__ import annotations

import json

import pytest

from personalens.service_errors import InvalidInputException, LimitExceededException
from tests.dataset_tables import schema_of

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
    text = json.dumps(schema_of("Interactions", fields))
    service.create_schema(name="films", schema=text, domain="VIDEO_ON_DEMAND")
    assert service.describe_schema(schemaArn=ARN)["schema"]["domain"] == "VIDEO_ON_DEMAND"
    assert service.list_schemas()["schemas"][0]["domain"] == "VIDEO_ON_DEMAND"


def test_a_broken_schema_is_refused_and_not_kept(service):
    with pytest.raises(InvalidInputException, match="JSON"):
        service.create_schema(name="films", schema="{")
    assert service.list_schemas() == {"schemas": []}


@pytest.mark.parametrize("mode", ["on", "aws"])  # "aws" is the first release's word
def test_quotas_are_kept_on_request_only(service, monkeypatch, mode):
    for number in range(6):
        service.create_dataset_group(name=f"group-{number}")
    monkeypatch.setenv("PERSONALENS_QUOTAS", mode)
    with pytest.raises(LimitExceededException, match=r"More than 5 .* dataset group"):
        service.create_dataset_group(name="one-too-many")
    assert len(service.list_dataset_groups()["datasetGroups"]) == 6


def test_an_unknown_quota_mode_is_named(context, monkeypatch):
    from personalens.control.operations.kinds import check_quota

    monkeypatch.setenv("PERSONALENS_QUOTAS", "some")
    with context.store.transaction() as tx, pytest.raises(ValueError, match=r"'some'.*on, off"):
        check_quota(tx, "schema", {})
