"""UpdateDataset: which schemas may follow, and what the new columns do not change."""

from __future__ import annotations

import json

import pytest

from personalens.control.work.training_data import load_training_data
from personalens.jobs.job_runner import run_jobs
from personalens.service_errors import (
    InvalidInputException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from tests.dataset_tables import schema_of

RECIPE = "arn:aws:personalize:::recipe/aws-hrnn-metadata"
ID = {"name": "ITEM_ID", "type": "string"}
GENRES = {"name": "GENRES", "type": ["null", "string"], "categorical": True}
YEAR = {"name": "YEAR", "type": ["null", "int"]}


@pytest.fixture
def make_schema(service):
    def make(name, *fields, record="Items"):
        text = schema_of(record, list(fields))
        return service.create_schema(name=name, schema=json.dumps(text))["schemaArn"]

    return make


@pytest.fixture
def items(service, films, make_schema, tmp_path):
    """An Items dataset of the group of films, with one column and data."""
    arn = service.create_dataset(
        name="items",
        schemaArn=make_schema("before", ID, GENRES),
        datasetGroupArn=films.group,
        datasetType="Items",
    )["datasetArn"]
    load(service, arn, tmp_path / "before.csv", "ITEM_ID,GENRES\n", "film-{},g{}\n")
    return arn


def load(service, dataset, path, header, row):
    path.write_text(header + "".join(row.format(n, n % 4, 1990 + n % 9) for n in range(40)))
    job = service.create_dataset_import_job(
        jobName=path.stem, datasetArn=dataset, dataSource={"dataLocation": str(path)}
    )["datasetImportJobArn"]
    described = service.describe_dataset_import_job(datasetImportJobArn=job)["datasetImportJob"]
    assert described["status"] == "ACTIVE", described


def trains_on(service, films, name):
    """Return the item columns of a new version of a solution, which is made if it is missing."""
    known = {s["name"]: s["solutionArn"] for s in service.list_solutions()["solutions"]}
    arn = known.get(name) or make_solution(service, films, name)
    solution = service.context.store.require(arn)
    return set(load_training_data(service.context, solution.body).items.fields)


def make_solution(service, films, name):
    return service.create_solution(name=name, datasetGroupArn=films.group, recipeArn=RECIPE)[
        "solutionArn"
    ]


def test_an_added_column_is_imported_and_trains_new_solutions_only(
    service, films, items, make_schema, tmp_path
):
    assert trains_on(service, films, "old") == {"GENRES"}
    after = make_schema("after", ID, YEAR, GENRES)
    assert service.update_dataset(datasetArn=items, schemaArn=after) == {"datasetArn": items}
    dataset = service.describe_dataset(datasetArn=items)["dataset"]
    update = dataset["latestDatasetUpdate"]
    assert (dataset["status"], dataset["schemaArn"]) == ("ACTIVE", after)
    assert (update["status"], update["schemaArn"]) == ("ACTIVE", after)
    assert trains_on(service, films, "between") == {"GENRES"}  # YEAR has no value yet
    load(service, items, tmp_path / "after.csv", "ITEM_ID,GENRES,YEAR\n", "film-{},g{},{}\n")
    assert trains_on(service, films, "old") == {"GENRES"}
    assert trains_on(service, films, "new") == {"GENRES", "YEAR"}


def test_a_version_of_an_old_solution_remembers_what_came_later(
    service, films, items, make_schema, waiting
):
    arn = make_solution(service, films, "old")
    service.update_dataset(datasetArn=items, schemaArn=make_schema("after", ID, GENRES, YEAR))
    version = service.create_solution_version(solutionArn=arn)["solutionVersionArn"]
    assert waiting.store.require(version).body["_laterColumns"] == {"ITEMS": ["YEAR"]}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ((ID, YEAR), "must keep the field GENRES"),
        ((ID, {**GENRES, "categorical": False}), "must keep the field GENRES"),
        ((ID, GENRES, {"name": "YEAR", "type": "int"}), "YEAR must allow null"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    service, items, make_schema, fields, reason
):
    before = service.describe_dataset(datasetArn=items)
    with pytest.raises(InvalidInputException, match=reason):
        service.update_dataset(datasetArn=items, schemaArn=make_schema("after", *fields))
    assert service.describe_dataset(datasetArn=items) == before


def test_interactions_keep_their_schema(service, films):
    with pytest.raises(InvalidInputException, match="only Items and Users"):
        service.update_dataset(datasetArn=films.dataset, schemaArn=films.schema)


def test_a_schema_of_another_type_is_refused(service, items, films):
    with pytest.raises(InvalidInputException, match="describes INTERACTIONS, not ITEMS"):
        service.update_dataset(datasetArn=items, schemaArn=films.schema)


def test_dataset_and_schema_must_exist(service, items, films):
    with pytest.raises(ResourceNotFoundException, match="schema"):
        service.update_dataset(datasetArn=items, schemaArn=films.schema + "-none")
    with pytest.raises(ResourceNotFoundException, match="dataset"):
        service.update_dataset(datasetArn=items.replace("ITEMS", "USERS"), schemaArn=films.schema)


def test_an_import_on_its_way_comes_first(service, items, make_schema, tmp_path, waiting):
    path = tmp_path / "more.csv"
    path.write_text("ITEM_ID,GENRES\nfilm-1,g1\n")
    service.create_dataset_import_job(
        jobName="more", datasetArn=items, dataSource={"dataLocation": str(path)}
    )
    after = make_schema("after", ID, GENRES, YEAR)
    with pytest.raises(ResourceInUseException, match="more"):
        service.update_dataset(datasetArn=items, schemaArn=after)
    run_jobs(waiting)
    service.update_dataset(datasetArn=items, schemaArn=after)
