"""Any lab can be opened first: what is missing is made, what is there is kept."""

from __future__ import annotations

import json

import boto3
import nbformat
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from personalens import arns
from personalens.notebook import catch_up, progress
from personalens.notebook.progress import WaitFailed, wait


@pytest.fixture
def only_popularity(monkeypatch):
    monkeypatch.setattr(catch_up, "RECIPES", {"popularity": "aws-popularity-count"})


def test_lab_03_finds_empty_datasets(make_lab):
    lab = make_lab(3)
    assert set(lab.arns) == {
        "dataset_group", "interactions_schema", "items_schema", "interactions", "items"
    }  # fmt: skip
    summaries = lab.client.list_datasets(datasetGroupArn=lab.arns["dataset_group"])["datasets"]
    assert {summary["status"] for summary in summaries} == {"ACTIVE"}
    assert lab.client.list_dataset_import_jobs()["datasetImportJobs"] == []


def test_lab_04_finds_every_row_imported(make_lab, home, tables):
    make_lab(4)
    imported = sum(_rows(path) for path in home.datasets.rglob("*.parquet"))
    assert imported == len(tables.interactions) + len(tables.items)


def test_catching_up_twice_makes_nothing_new(make_lab):
    first, second = make_lab(4), make_lab(4)
    assert first.arns == second.arns
    assert len(second.client.list_dataset_import_jobs()["datasetImportJobs"]) == 3
    assert len(second.client.list_schemas()["schemas"]) == 2


def test_lab_06_finds_a_campaign_that_answers(make_lab, only_popularity):
    lab = make_lab(6)
    campaign = wait(lab.client, lab.arns["popularity_campaign"], quiet=True)
    assert campaign["solutionVersionArn"] == lab.arns["popularity_version"]
    assert make_lab(6).arns == lab.arns


def test_a_lab_says_in_one_line_what_it_starts_from(make_lab, capsys):
    make_lab(3)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == "Lab 03 on small: dataset group and datasets (lab 02)."
    make_lab(0)
    assert capsys.readouterr().out == "Lab 00 on small: nothing needed before it.\n"


def test_create_once_waits_for_a_deletion_and_then_makes_it_anew(monkeypatch):
    """The name stays taken until the resource is gone."""
    client = boto3.client("personalize", region_name="us-east-1")
    arn = arns.build("dataset-group", "films")
    monkeypatch.setattr(progress.time, "sleep", lambda seconds: None)
    with Stubber(client) as stub:
        taken = f"Another resource with Amazon Resource Name (ARN) {arn} already exists."
        stub.add_client_error("create_dataset_group", "ResourceAlreadyExistsException", taken)
        for _ in range(2):
            going = {"datasetGroup": {"status": "DELETE IN_PROGRESS"}}
            stub.add_response("describe_dataset_group", going)
        stub.add_client_error("describe_dataset_group", "ResourceNotFoundException")
        stub.add_response("create_dataset_group", {"datasetGroupArn": arn})
        assert catch_up.create_once(client.create_dataset_group, name="films") == arn
        stub.assert_no_pending_responses()


def test_create_once_keeps_what_is_there():
    client = boto3.client("personalize", region_name="us-east-1")
    arn = arns.build("dataset-group", "films")
    with Stubber(client) as stub:
        stub.add_client_error("create_dataset_group", "ResourceAlreadyExistsException", f"{arn} is")
        stub.add_response("describe_dataset_group", {"datasetGroup": {"status": "ACTIVE"}})
        assert catch_up.create_once(client.create_dataset_group, name="films") == arn


def test_create_once_raises_what_is_not_about_existing(make_lab):
    lab = make_lab(0)
    with pytest.raises(ClientError, match="InvalidInputException"):
        lab.create_once(lab.client.create_dataset_group, name="no spaces, please")


def test_after_a_failed_import_the_next_job_has_a_new_name(make_lab, tmp_path):
    lab = make_lab(3)
    bad = tmp_path / "bad.csv"
    bad.write_text("USER_ID,ITEM_ID\nu,i\n")
    arguments = (lab.client, lab.arns["interactions"], "again", bad.as_uri(), lab.role_arn)
    first = catch_up.import_once(*arguments)
    with pytest.raises(WaitFailed):
        wait(lab.client, first, quiet=True)
    assert catch_up.import_once(*arguments) == f"{first}-2"


def test_train_once_takes_the_version_that_is_there(make_lab, only_popularity):
    lab = make_lab(5)
    assert (
        catch_up.train_once(lab.client, lab.arns["popularity_solution"])
        == (lab.arns["popularity_version"])
    )


def test_the_newest_part_is_the_newest(tables):
    older, newest = catch_up.split_newest(tables.interactions)
    assert len(older) + len(newest) == len(tables.interactions)
    assert len(newest) == int(len(tables.interactions) * catch_up.NEWEST_SHARE)
    assert older["TIMESTAMP"].max() <= newest["TIMESTAMP"].min()


def test_lab_02_spells_out_the_schemas_that_catching_up_uses(labs_folder):
    lab = nbformat.read(labs_folder / "02_schemas_and_dataset_group.ipynb", as_version=4)
    cells = {cell.id: cell.source for cell in lab.cells}
    for cell, name, schema in (
        ("interactions-schema", "interactions_schema", catch_up.INTERACTIONS_SCHEMA),
        ("items-schema", "items_schema", catch_up.ITEMS_SCHEMA),
    ):
        literal = cells[cell].split("items_schema_arn")[0]
        spelled: dict = {}
        exec(literal, {}, spelled)
        assert json.dumps(spelled[name]) == json.dumps(schema)


def _rows(path):
    import pyarrow.parquet as parquet

    return parquet.read_metadata(path).num_rows
