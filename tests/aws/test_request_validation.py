"""What botocore lets through and the service refuses: maxima, patterns, enumerations."""

from __future__ import annotations

import boto3
import pytest

from personalens import arns
from personalens.aws.request_validation import validate_request
from personalens.service_errors import InvalidInputException

GROUP = arns.build("dataset-group", "films")
DATASET = arns.dataset_arn(arns.build("dataset-group", "films"), "INTERACTIONS")
CAMPAIGN = arns.build("campaign", "films")
IMPORT = {"jobName": "import", "datasetArn": DATASET, "dataSource": {"dataLocation": "s3://b/k"}}
SOLUTION = {"name": "films", "datasetGroupArn": GROUP}


def faults(service, operation, **params):
    """Return the text of the refusal, or '' where the request is fine."""
    try:
        validate_request(service, operation, params)
    except InvalidInputException as error:
        return str(error)
    return ""


def test_a_valid_request_passes():
    assert faults("personalize", "CreateDatasetImportJob", **IMPORT) == ""


def test_the_text_is_the_services():
    assert faults("personalize", "CreateSchema", name="x" * 64, schema="{}") == (
        f"1 validation error detected: Value '{'x' * 64}' at 'name' failed to satisfy constraint: "
        "Member must have length less than or equal to 63"
    )


def test_all_faults_are_named_at_once():
    text = faults("personalize", "CreateSchema", name="-" * 64, domain="MUSIC")
    assert text.startswith("4 validation errors detected: ")
    assert "Member must have length less than or equal to 63; " in text
    assert r"Member must satisfy regular expression pattern: ^[a-zA-Z0-9][a-zA-Z0-9\-_]*; " in text
    assert "Value null at 'schema' failed to satisfy constraint: Member must not be null; " in text
    assert (
        "Value 'MUSIC' at 'domain' failed to satisfy constraint: Member must satisfy enum" in text
    )
    assert "[ECOMMERCE, VIDEO_ON_DEMAND]" in text


@pytest.mark.parametrize(
    ("service", "operation", "params", "fault"),
    [
        ("personalize", "ListSchemas", {"maxResults": 101}, "value less than or equal to 100"),
        ("personalize", "ListSchemas", {"maxResults": 0}, "value greater than or equal to 1"),
        ("personalize", "ListSchemas", {"maxResults": True}, "finite number of type integer"),
        ("personalize", "ListSchemas", {"maxResults": 2.5}, "finite number of type integer"),
        (
            "personalize",
            "CreateSchema",
            {"name": "a", "schema": "x" * 20001},
            "than or equal to 20000",
        ),
        ("personalize", "DescribeSchema", {"schemaArn": "films"}, "pattern: arn:"),
        ("personalize", "CreateSchema", {"name": 5, "schema": "{}"}, "must be a string"),
        ("personalize", "CreateDatasetImportJob", {**IMPORT, "importMode": "ALL"}, "[FULL, INC"),
        ("personalize", "CreateDatasetImportJob", {**IMPORT, "roleArn": "me"}, "iam"),
        ("personalize", "CreateDatasetImportJob", {**IMPORT, "dataSource": "s3://b"}, "structure"),
        ("personalize", "CreateSolution", {**SOLUTION, "performHPO": "true"}, "a boolean"),
        ("personalize-runtime", "GetRecommendations", {"numResults": -1}, "or equal to 0"),
        (
            "personalize-runtime",
            "GetRecommendations",
            {"context": {"EVENT-TYPE": "x"}},
            "at 'context.key'",
        ),
        (
            "personalize-runtime",
            "GetRecommendations",
            {"context": {"DEVICE": "x" * 1001}},
            "at 'context.DEVICE' failed to satisfy constraint: Member must have length less",
        ),
        (
            "personalize-runtime",
            "GetPersonalizedRanking",
            {"campaignArn": CAMPAIGN, "userId": "1", "inputList": ["1", None]},
            "Value null at 'inputList.2.member'",
        ),
        (
            "personalize-runtime",
            "GetPersonalizedRanking",
            {"campaignArn": CAMPAIGN, "userId": "1", "inputList": "abc"},
            "must be a list",
        ),
    ],
)
def test_each_limit_holds(service, operation, params, fault):
    text = faults(service, operation, **params)
    assert text.startswith("1 validation error detected: ")
    assert fault in text


def test_a_nested_fault_is_named_by_its_path():
    config = {"eventsConfig": {"eventParametersList": [{"weight": 0.5}, {"weight": float("nan")}]}}
    text = faults("personalize", "CreateSolution", **SOLUTION, solutionConfig=config)
    assert text.startswith(
        "1 validation error detected: Value 'nan' at "
        "'solutionConfig.eventsConfig.eventParametersList.2.member.weight' failed"
    )


def test_a_secret_value_is_not_repeated():
    text = faults(
        "personalize",
        "CreateFilter",
        name="seen",
        datasetGroupArn=GROUP,
        filterExpression="x" * 2501,
    )
    assert "Value at 'filterExpression' failed to satisfy constraint" in text
    assert "xx" not in text


def test_a_long_value_is_cut():
    text = faults("personalize-runtime", "GetRecommendations", userId="u" * 5000)
    assert f"Value '{'u' * 200}...' at 'userId'" in text


@pytest.mark.parametrize(
    ("location", "is_taken"),
    [
        ("s3://bucket/films.csv", True),
        ("https://bucket.s3.amazonaws.com/films.csv", True),
        ("file:///tmp/films.csv", True),
        ("/home/learner/films.csv", True),
        ("/" + "deep/" * 60 + "films.csv", True),
        ("films.csv", False),
        ("../films.csv", False),
        ("ftp://bucket/films.csv", False),
        ("s3://bucket/" + "k" * 256, False),
    ],
)
def test_a_location_is_on_s3_or_here(location, is_taken):
    text = faults(
        "personalize",
        "CreateDatasetImportJob",
        **{**IMPORT, "dataSource": {"dataLocation": location}},
    )
    assert (text == "") is is_taken
    assert is_taken or "at 'dataSource.dataLocation'" in text


def test_a_batch_jobs_folder_may_be_local_too():
    here = {"s3DataSource": {"path": "file:///tmp/in.json"}}
    params = {
        "jobName": "batch",
        "solutionVersionArn": arns.build("solution", "films") + "/0a1b2c3d",
        "roleArn": "arn:aws:iam::123456789012:role/me",
        "jobInput": here,
        "jobOutput": {"s3DataDestination": {"path": "/tmp/out"}},
    }
    assert faults("personalize", "CreateBatchInferenceJob", **params) == ""


def test_boto3_does_not_check_what_we_check(active):
    personalize = boto3.client("personalize")
    for params in (
        {"name": "x" * 64, "schema": "{}"},
        {"name": "my films", "schema": "{}"},
        {"name": "films", "schema": "{}", "domain": "MUSIC"},
    ):
        with pytest.raises(personalize.exceptions.InvalidInputException, match="validation error"):
            personalize.create_schema(**params)
    assert personalize.list_schemas()["schemas"] == []


@pytest.mark.parametrize("length", [257, 20_000, 1_000_000])
def test_what_is_too_long_keeps_nobody_busy(length):
    """The pattern alone would go on for hours: it has three places where to divide the colons."""
    arn = "arn:a:personalize:" + ":" * length + "\n"
    text = faults("personalize", "DescribeSchema", schemaArn=arn)
    assert "'schemaArn' failed to satisfy constraint: Member must have length less than" in text
    assert len(text) < 2_000


def test_a_list_of_faults_is_not_as_long_as_a_list():
    asked = {"campaignArn": CAMPAIGN, "userId": "u", "inputList": [None] * 100_000}
    text = faults("personalize-runtime", "GetPersonalizedRanking", **asked)
    assert text.startswith("100 validation errors detected: ")
    assert len(text) < 20_000
    items = [{"itemId": ""}] * 1_000
    text = faults("personalize-events", "PutItems", datasetArn=DATASET, items=items)
    assert text.startswith("1 validation error detected: ")
    assert text.endswith("Member must have length less than or equal to 10")
