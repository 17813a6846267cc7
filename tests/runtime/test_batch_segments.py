"""Batch segments: the users that the model names for an item or a kind of items."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from personalens.storage.model_folders import load_model, version_folder
from tests.dataset_tables import schema_of

ROLE = "arn:aws:iam::123456789012:role/personalize"
GENRES = ["drama", "war|drama", "comedy", "noir"]
TABLES = {
    "Items": pd.DataFrame(
        {"ITEM_ID": [f"film-{n}" for n in range(40)], "GENRES": [GENRES[n % 4] for n in range(40)]}
    ),
    "Users": pd.DataFrame(
        {"USER_ID": [f"viewer-{n}" for n in range(50)], "AGE": [20 + n % 3 for n in range(50)]}
    ),
}
FIELDS = {
    "Items": [
        {"name": "ITEM_ID", "type": "string"},
        {"name": "GENRES", "type": ["null", "string"], "categorical": True},
    ],
    "Users": [{"name": "USER_ID", "type": "string"}, {"name": "AGE", "type": ["null", "int"]}],
}


@pytest.fixture
def train(train, service, films, tmp_path):
    """Return a function that trains a segmentation recipe, with items and users imported."""
    for kind, table in TABLES.items():
        text = json.dumps(schema_of(kind, FIELDS[kind]))
        schema = service.create_schema(name=kind, schema=text)["schemaArn"]
        dataset = service.create_dataset(
            name=kind, schemaArn=schema, datasetGroupArn=films.group, datasetType=kind
        )["datasetArn"]
        path = tmp_path / f"{kind}.csv"
        table.to_csv(path, index=False)
        service.create_dataset_import_job(
            jobName=kind, datasetArn=dataset, dataSource={"dataLocation": str(path)}, roleArn=ROLE
        )

    return lambda kind: train(f"aws-item-{kind}")


@pytest.fixture
def segments(service, tmp_path):
    """Return a function that runs a batch segment job: the output's lines."""

    def run(version, lines, name="job", **options):
        source = tmp_path / f"{name}.json"
        source.write_text("".join(json.dumps(line) + "\n" for line in lines))
        job = service.create_batch_segment_job(
            jobName=name,
            solutionVersionArn=version,
            jobInput={"s3DataSource": {"path": str(source)}},
            jobOutput={"s3DataDestination": {"path": f"{tmp_path}/{name}-out/"}},
            roleArn=ROLE,
            **options,
        )["batchSegmentJobArn"]
        described = service.describe_batch_segment_job(batchSegmentJobArn=job)
        assert described["batchSegmentJob"]["status"] == "ACTIVE", described
        written = (tmp_path / f"{name}-out" / f"{name}.json.out").read_text()
        return [json.loads(line) for line in written.splitlines()]

    return run


def test_an_item_s_users_are_those_of_the_model(service, train, segments):
    version = train("affinity")
    lines = [{"itemId": "film-3"}, {"itemId": "film-8"}]
    outputs = segments(version, lines, numResults=6)
    model = load_model(version_folder(service.home, version))
    for line, output in zip(lines, outputs, strict=True):
        users = model.segment([line["itemId"]], k=6).USER_ID.tolist()
        assert output == {"input": line, "output": {"usersList": users}, "error": None}


def test_twenty_five_users_without_numResults_and_never_more_than_there_are(train, segments):
    version = train("affinity")
    (line,) = segments(version, [{"itemId": "film-3"}])
    assert len(line["output"]["usersList"]) == 25
    (line,) = segments(version, [{"itemId": "film-3"}], name="all", numResults=5_000_000)
    assert sorted(line["output"]["usersList"]) == sorted(f"viewer-{n}" for n in range(60))


def test_a_line_that_cannot_be_answered_has_an_error(train, segments):
    version = train("affinity")
    lines = [{"itemId": "never"}, {"itemAttributes": "x"}, {"itemId": "film-3"}]
    unknown, other, good = segments(version, lines)
    assert "'never'" in unknown["error"]
    assert "itemId is missing" in other["error"]
    assert unknown["output"] is other["output"] is None
    assert good["error"] is None


def test_attributes_are_asked_for_with_equals_and_and(service, train, segments, films):
    version = train("attribute-affinity")
    lines = [
        {"itemAttributes": 'ITEMS.genres = "drama" AND ITEMS.GENRES = "war"'},
        {"itemAttributes": 'ITEMS.genres = "western"'},
        {"itemAttributes": 'ITEMS.genres != "drama"'},
    ]
    war, nothing, wrong = segments(version, lines, numResults=5)
    assert war["input"] == lines[0]
    fans = films.frame[films.frame.ITEM_ID.isin([f"film-{n}" for n in range(1, 40, 4)])]
    assert set(war["output"]["usersList"]) <= set(fans.USER_ID)
    assert "no item of the training data matches" in nothing["error"]
    assert "cannot read the expression" in wrong["error"]


@pytest.mark.parametrize(
    ("expression", "values", "passes"),
    [
        ("INCLUDE UserID WHERE Users.AGE = $AGE", {"AGE": "21"}, lambda n: n < 50 and n % 3 == 1),
        ("EXCLUDE UserID WHERE Users.AGE < 22", {}, lambda n: n >= 50 or n % 3 == 2),
        ('INCLUDE UserID WHERE Interactions.EVENT_TYPE IN ("Watch")', {}, lambda n: True),
        ('EXCLUDE UserID WHERE Interactions.EVENT_TYPE IN ("click")', {}, lambda n: False),
        ('EXCLUDE UserID WHERE Interactions.EVENT_TYPE IN ("buy")', {}, lambda n: True),
    ],
)
def test_a_filter_of_users(service, films, train, segments, expression, values, passes):
    version = train("affinity")
    arn = service.create_filter(name="f", datasetGroupArn=films.group, filterExpression=expression)[
        "filterArn"
    ]
    line = {"itemId": "film-3", "filterValues": values}
    (output,) = segments(version, [line], filterArn=arn, numResults=60)
    users = {f"viewer-{n}" for n in range(60) if passes(n)}
    assert set(output["output"]["usersList"]) == users
