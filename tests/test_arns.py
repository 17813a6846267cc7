"""ARNs are what the service makes, and come apart into what they were made of."""

import re

import pytest

from personalens import arns
from personalens.service_errors import InvalidInputException

HERE = {"region": "eu-west-1", "account": "111122223333"}
PREFIX = "arn:aws:personalize:eu-west-1:111122223333:"


@pytest.mark.parametrize("kind", sorted(arns.NAMED_KINDS))
def test_a_named_resource_ends_in_its_name_and_parses_back(kind):
    arn = arns.build(kind, "my-Films_1", **HERE)
    assert arn == f"{PREFIX}{kind}/my-Films_1"
    parsed = arns.parse(arn)
    assert (parsed.kind, parsed.name, parsed.region, parsed.account) == (
        kind,
        "my-Films_1",
        "eu-west-1",
        "111122223333",
    )
    assert str(parsed) == arn


@pytest.mark.parametrize("kind", sorted(arns.AWS_KINDS))
def test_what_aws_owns_has_neither_region_nor_account(kind):
    arn = arns.build(kind, "aws-hrnn", **HERE)
    assert arn == f"arn:aws:personalize:::{kind}/aws-hrnn"
    assert (arns.parse(arn).region, arns.parse(arn).account) == ("", "")


PARTITIONS = [
    ("cn-north-1", "aws-cn"),
    ("cn-northwest-1", "aws-cn"),
    ("us-gov-west-1", "aws-us-gov"),
    ("us-iso-east-1", "aws-iso"),
    ("cn-future-7", "aws-cn"),
    ("eu-central-1", "aws"),
    ("mars", "aws"),
]


@pytest.mark.parametrize(("region", "partition"), PARTITIONS)
def test_an_arn_carries_the_partition_of_its_region(region, partition):
    group = arns.build("dataset-group", "films", region=region)
    tracker = arns.event_tracker_arn(region=region)
    for arn in (group, tracker, arns.dataset_arn(group, "ITEMS")):
        assert arn.startswith(f"arn:{partition}:personalize:{region}:123456789012:")
        assert (arns.parse(arn).partition, str(arns.parse(arn))) == (partition, arn)
    assert arns.recipe_arn("aws-hrnn", region=region) == (
        f"arn:{partition}:personalize:::recipe/aws-hrnn"
    )


def test_a_dataset_keeps_the_partition_of_a_group_that_an_earlier_version_made():
    group = "arn:aws:personalize:cn-north-1:123456789012:dataset-group/films"
    assert arns.dataset_arn(group, "Items") == (
        "arn:aws:personalize:cn-north-1:123456789012:dataset/films/ITEMS"
    )


def test_a_dataset_is_named_by_its_group_and_type():
    arn = arns.dataset_arn(arns.build("dataset-group", "films", **HERE), "Action_Interactions")
    assert arn == f"{PREFIX}dataset/films/ACTION_INTERACTIONS"
    parsed = arns.parse(arn)
    assert (parsed.kind, parsed.name, parsed.qualifier) == (
        "dataset",
        "films",
        "ACTION_INTERACTIONS",
    )


def test_a_solution_version_adds_eight_hex_digits_that_differ_each_time():
    solution = arns.build("solution", "films", **HERE)
    first, second = arns.solution_version_arn(solution), arns.solution_version_arn(solution)
    assert re.fullmatch(re.escape(solution) + "/[0-9a-f]{8}", first)
    assert first != second
    parsed = arns.parse(first)
    assert (parsed.kind, parsed.name) == ("solution-version", "films")
    assert parsed.resource == f"solution/films/{parsed.qualifier}"


def test_the_latest_version_of_a_solution_is_a_solution_version():
    parsed = arns.parse(f"{PREFIX}solution/films/$LATEST")
    assert (parsed.kind, parsed.qualifier) == ("solution-version", arns.LATEST)


def test_an_event_tracker_ends_in_eight_hex_digits():
    arn = arns.event_tracker_arn(**HERE)
    assert re.fullmatch(re.escape(f"{PREFIX}event-tracker/") + "[0-9a-f]{8}", arn)
    assert arns.parse(arn).kind == "event-tracker"


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "films",
        "arn:aws:s3:::bucket/films",
        f"{PREFIX}schema",
        f"{PREFIX}schema/",
        f"{PREFIX}film/one",
        f"{PREFIX}schema/one/two",
        f"{PREFIX}dataset/films",
        f"{PREFIX}dataset/films/ITEMS/more",
        f"{PREFIX}schema/" + "n" * 256,
    ],
)
def test_other_strings_are_refused_with_the_form_that_is_expected(arn):
    with pytest.raises(InvalidInputException, match="Invalid ARN"):
        arns.parse(arn)


@pytest.mark.parametrize("kind", ["dataset", "solution-version", "event-tracker", "movie"])
def test_kinds_that_are_not_named_by_the_caller_are_not_built_from_a_name(kind):
    with pytest.raises(ValueError, match="Kinds that do"):
        arns.build(kind, "films", **HERE)


def test_the_account_comes_from_the_environment(monkeypatch):
    monkeypatch.delenv(arns.ACCOUNT_VARIABLE, raising=False)
    assert arns.account_id() == "123456789012"
    monkeypatch.setenv(arns.ACCOUNT_VARIABLE, "999988887777")
    assert arns.build("schema", "films") == (
        "arn:aws:personalize:us-east-1:999988887777:schema/films"
    )


def test_an_account_that_is_not_twelve_digits_is_refused(monkeypatch):
    monkeypatch.setenv(arns.ACCOUNT_VARIABLE, "12")
    with pytest.raises(ValueError, match="twelve digits"):
        arns.account_id()
