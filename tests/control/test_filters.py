"""CreateFilter, DescribeFilter, ListFilters, DeleteFilter."""

from __future__ import annotations

import json

import pytest

from personalens.filters import expressions
from personalens.service_errors import (
    InvalidInputException,
    LimitExceededException,
    ResourceAlreadyExistsException,
)
from tests.dataset_tables import schema_of

ARN = "arn:aws:personalize:us-east-1:123456789012:filter/westerns"
WESTERNS = 'INCLUDE ItemID WHERE Items.GENRES IN ("Western")'


@pytest.fixture
def group(service, make_dataset):
    make_dataset("Items")
    return service.list_dataset_groups()["datasetGroups"][0]["datasetGroupArn"]


def test_a_filter_is_active_and_described_as_it_was_written(service, group):
    request = {"name": "westerns", "datasetGroupArn": group, "filterExpression": WESTERNS}
    assert service.create_filter(**request) == {"filterArn": ARN}
    described = service.describe_filter(filterArn=ARN)["filter"]
    assert described.pop("creationDateTime") == described.pop("lastUpdatedDateTime")
    assert described == {**request, "filterArn": ARN, "status": "ACTIVE"}
    with pytest.raises(ResourceAlreadyExistsException):
        service.create_filter(**request)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("INCLUDE ItemID WHERE", "cannot be read at column 21"),
        ("INCLUDE ItemID WHERE Items.YEAR = 1", "no such field; it has ITEM_ID, GENRES"),
        ("EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN (*)", "no Interactions dataset"),
    ],
)
def test_what_cannot_be_filtered_is_refused_and_not_kept(service, group, expression, reason):
    with pytest.raises(InvalidInputException) as caught:
        service.create_filter(name="bad", datasetGroupArn=group, filterExpression=expression)
    assert reason in str(caught.value)
    assert service.list_filters()["Filters"] == []


def test_the_filters_of_a_group_name_twenty_fields_together(service):
    group = service.create_dataset_group(name="wide")["datasetGroupArn"]
    names = [f"F{chr(65 + number)}X" for number in range(21)]
    fields = [{"name": "ITEM_ID", "type": "string"}]
    fields += [{"name": name, "type": "int"} for name in names]
    schema = schema_of("Items", fields)
    schema_arn = service.create_schema(name="wide", schema=json.dumps(schema))["schemaArn"]
    service.create_dataset(
        name="wide", schemaArn=schema_arn, datasetGroupArn=group, datasetType="Items"
    )
    for number, part in enumerate((names[:10], names[10:20])):
        expression = "INCLUDE ItemID WHERE " + " AND ".join(f"Items.{name} = 1" for name in part)
        service.create_filter(name=f"f{number}", datasetGroupArn=group, filterExpression=expression)
    again = f"INCLUDE ItemID WHERE Items.{names[0].lower()} = 2"
    service.create_filter(name="again", datasetGroupArn=group, filterExpression=again)
    with pytest.raises(LimitExceededException, match="they name 21"):
        service.create_filter(
            name="more",
            datasetGroupArn=group,
            filterExpression=f"INCLUDE ItemID WHERE Items.{names[20]} = 1",
        )


def test_nobody_waits_while_other_filters_are_read(service, group, monkeypatch):
    """Expressions are parsed outside of the write transaction, an older home's filters too, which
    have not kept what fields they name."""
    service.create_filter(name="old", datasetGroupArn=group, filterExpression=WESTERNS)
    old = ARN.replace("westerns", "old")
    with service.context.store.transaction() as tx:
        tx.update(old, _fields=None)
    expressions.parse_filter.cache_clear()
    in_transaction, parser = [], expressions._parser

    def noted():
        with service.context.store.catalogue.reading() as connection:
            in_transaction.append(connection.in_transaction)
        return parser()

    monkeypatch.setattr(expressions, "_parser", noted)
    comedies = WESTERNS.replace("Western", "Comedy")
    service.create_filter(name="new", datasetGroupArn=group, filterExpression=comedies)
    assert in_transaction == [False, False]
    service.create_filter(name="again", datasetGroupArn=group, filterExpression=comedies)
    assert in_transaction == [False, False]
