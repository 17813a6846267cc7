"""The self-checks of labs 00 to 05. A check looks at the answer or asks the service; no more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from botocore.exceptions import ClientError

from personalens.home import default_home
from personalens.notebook.catch_up import RECIPES
from personalens.notebook.checks import NotYet, check

if TYPE_CHECKING:
    from personalens.notebook.lab_session import LabSession


def _near(answer: Any, truth: float, *, what: str, tolerance: float = 5e-4) -> None:
    """Raise NotYet unless ``answer`` is a number within ``tolerance`` of the truth."""
    try:
        value = float(answer)
    except (TypeError, ValueError):
        raise NotYet(f"{what} should be a number; this is a {type(answer).__name__}.") from None
    if not abs(value - truth) <= tolerance * max(1.0, abs(truth)):
        raise NotYet(f"{what} is {value:.4g}; that is not it.")


# -- lab 00 --------------------------------------------------------------------------------------


@check("0a", hint="run the cells of section 1 from the top, in order.")
def _viewers_counted(lab: LabSession, viewers_per_film: pd.Series) -> str:
    truth = lab.data.interactions.groupby("ITEM_ID")["USER_ID"].nunique()
    if not viewers_per_film.sort_index().equals(truth.rename(viewers_per_film.name).sort_index()):
        raise NotYet("these are not the numbers of different viewers.")
    return f"{len(truth):,} films counted, the most popular one by {truth.max()} viewers."


@check("0b", hint='model.similar(["a film\'s ITEM_ID"], k=10) returns such a table.')
def _similar_films(lab: LabSession, similar: pd.DataFrame) -> str:
    return _check_similar(lab, similar)


@check("0.1", hint="quote one ITEM_ID from lab.find(...) and put it in a list.")
def _own_film(lab: LabSession, similar: pd.DataFrame) -> str:
    return _check_similar(lab, similar)


def _check_similar(lab: LabSession, similar: Any) -> str:
    if not isinstance(similar, pd.DataFrame) or "QUERY_ITEM_ID" not in similar.columns:
        raise NotYet("this is not a table that model.similar returns.")
    if similar.empty:
        raise NotYet("the table is empty.")
    film = lab.title(similar["QUERY_ITEM_ID"].iloc[0])
    return f"{len(similar)} films related to {film}."


@check("0c", hint="run the Setup cell: it calls personalens.activate().")
def _service_answers(lab: LabSession) -> str:
    names = {recipe["name"] for recipe in lab.client.list_recipes()["recipes"]}
    if missing := set(RECIPES.values()) - names:
        raise NotYet(f"the service does not list {', '.join(sorted(missing))}.")
    return "the service answers, and it knows HRNN, SIMS and popularity."


@check("0d", hint="`personalens doctor` in a terminal says more.")
def _set_up(lab: LabSession) -> str:
    try:
        default_home().create()
        lab.folder.joinpath(".writable").touch()
    except OSError as error:
        raise NotYet(f"{error}.") from None
    lab.folder.joinpath(".writable").unlink(missing_ok=True)
    return f"Python, packages, home folder and data ({lab.dataset}) are in place."


@check("0.2", hint="a viewer who has seen none of the films counts too, with 0.")
def _average_seen(lab: LabSession, average: Any, top: pd.Series) -> str:
    events = lab.data.interactions
    pairs = events[events["ITEM_ID"].isin(top.index)][["USER_ID", "ITEM_ID"]].drop_duplicates()
    truth = len(pairs) / events["USER_ID"].nunique()
    _near(average, truth, what="the average", tolerance=5e-3)
    return f"on average a viewer has seen {truth:.1f} of the {len(top)} films already."


# -- lab 01 --------------------------------------------------------------------------------------


@check("1a", hint="lab.data.interactions is the table to look at.")
def _three_columns(lab: LabSession, events: pd.DataFrame) -> str:
    if missing := {"USER_ID", "ITEM_ID", "TIMESTAMP"} - set(events.columns):
        raise NotYet(f"the table lacks {', '.join(sorted(missing))}.")
    users, items = events["USER_ID"].nunique(), events["ITEM_ID"].nunique()
    return f"{users:,} viewers, {items:,} films, {len(events):,} interactions."


@check("1b", hint="sort the counts, add up the first tenth, divide by all interactions.")
def _head_share(lab: LabSession, share: Any) -> str:
    counts = lab.data.interactions["ITEM_ID"].value_counts()
    truth = counts.head(round(len(counts) * 0.1)).sum() / counts.sum()
    _near(share, truth, what="the share")
    return f"the top tenth of the films holds {truth:.0%} of the interactions."


def _gaps(lab: LabSession) -> pd.Series:
    events = lab.data.interactions.sort_values(["USER_ID", "TIMESTAMP"], kind="stable")
    return events.groupby("USER_ID")["TIMESTAMP"].diff()


@check("1c", hint="run the cells of section 4 again, from the top.")
def _sessions(lab: LabSession, sessions_per_viewer: pd.Series, minutes: float) -> str:
    long_gaps = int((_gaps(lab) > minutes * 60).sum())
    truth = long_gaps + lab.data.interactions["USER_ID"].nunique()
    _near(sessions_per_viewer.sum(), truth, what="the number of sessions")
    return f"{truth:,} sessions at a threshold of {minutes:g} minutes."


@check("1d", hint="run the cell of section 5 again.")
def _tie_rule(lab: LabSession, rows: list[dict[str, float]]) -> str:
    share = rows[-1]["second number is higher"]
    if np.isfinite(share) and not 0.4 < share < 0.6:
        raise NotYet(f"with the tie rule the share should be near 0.5; it is {share:.2f}.")
    return "the tie rule does not give the order away."


@check("1.1", hint="(per_film < 5).mean() is a share.")
def _tail_share(lab: LabSession, share: Any) -> str:
    counts = lab.data.interactions["ITEM_ID"].value_counts()
    _near(share, (counts < 5).mean(), what="the share", tolerance=5e-3)
    return "a long tail: most of what a catalogue holds is rarely watched."


@check("1.2", hint="one session per viewer, and one more for each gap above 24 * 3600 seconds.")
def _day_sessions(lab: LabSession, sessions: Any) -> str:
    truth = int((_gaps(lab) > 24 * 3600).sum()) + lab.data.interactions["USER_ID"].nunique()
    _near(sessions, truth, what="the number of sessions", tolerance=1e-9)
    return "the longer the gap you ask for, the fewer the sessions."


# -- lab 02 --------------------------------------------------------------------------------------


def _describe(describe: Any, what: str, **request: Any) -> dict[str, Any]:
    """Return a Describe response; NotYet if the service does not know the resource."""
    try:
        return describe(**request)
    except ClientError as error:
        message = error.response["Error"]["Message"]
        raise NotYet(f"the service does not know this {what}: {message}") from None


def _schema_fields(lab: LabSession, schema_arn: str) -> dict[str, Any]:
    schema = _describe(lab.client.describe_schema, "schema", schemaArn=schema_arn)["schema"]
    return {field["name"]: field for field in json.loads(schema["schema"])["fields"]}


def _require_active(resource: dict[str, Any], what: str) -> None:
    if resource["status"] != "ACTIVE":
        raise NotYet(f"{what} is {resource['status']}, not ACTIVE.")


@check("2a", hint="run the cell with create_schema again.")
def _interactions_schema(lab: LabSession, schema_arn: str) -> str:
    fields = _schema_fields(lab, schema_arn)
    if missing := {"USER_ID", "ITEM_ID", "TIMESTAMP"} - set(fields):
        raise NotYet(f"the schema lacks {', '.join(sorted(missing))}.")
    return f"the service knows a schema with {len(fields)} fields."


@check("2b", hint="run the loop again; it ends when the group is ACTIVE.")
def _dataset_group(lab: LabSession, group_arn: str) -> str:
    describe = lab.client.describe_dataset_group
    group = _describe(describe, "dataset group", datasetGroupArn=group_arn)["datasetGroup"]
    _require_active(group, "the dataset group")
    return f"the dataset group {group['name']} is ACTIVE."


@check("2c", hint="run the two cells with create_dataset again.")
def _two_datasets(lab: LabSession, interactions_arn: str, items_arn: str) -> str:
    for arn, kind in ((interactions_arn, "INTERACTIONS"), (items_arn, "ITEMS")):
        dataset = _describe(lab.client.describe_dataset, "dataset", datasetArn=arn)["dataset"]
        _require_active(dataset, f"the {kind} dataset")
        if dataset["datasetType"].upper() != kind:
            raise NotYet(f"a dataset of type {dataset['datasetType']} is where {kind} belongs.")
    return "both datasets are ACTIVE."


@check("2.1", hint="compare the fields with the goal: names, types, and what may be missing.")
def _users_schema(lab: LabSession, schema_arn: str) -> str:
    fields = _schema_fields(lab, schema_arn)
    if list(fields) != ["USER_ID", "AGE", "PLAN"]:
        raise NotYet(f"the fields are {', '.join(fields)}.")
    age, plan = fields["AGE"]["type"], fields["PLAN"]
    if not isinstance(age, list) or "null" not in age or not {"int", "long"} & set(age):
        raise NotYet("AGE should be a whole number that may be missing.")
    if plan["type"] != "string" or plan.get("categorical") is not True:
        raise NotYet("PLAN should be a string, categorical, and always there.")
    return "viewers have a schema."


@check("2.2", hint="collect the names from every page, keep those that start so, sort them.")
def _own_schemas(lab: LabSession, names: list[str]) -> str:
    pages = lab.client.get_paginator("list_schemas").paginate()
    all_names = [schema["name"] for page in pages for schema in page["schemas"]]
    truth = sorted(name for name in all_names if name.startswith(lab.name("")))
    if list(names) != truth:
        raise NotYet(f"there are {len(truth)} such schemas, sorted; this is {list(names)}.")
    return f"{len(truth)} schemas found."


# -- lab 03 --------------------------------------------------------------------------------------


@check("3a", hint="write the table with to_csv(path, index=False).")
def _csv_written(lab: LabSession, path: Path) -> str:
    if not Path(path).exists():
        raise NotYet("there is no such file.")
    with Path(path).open(encoding="utf-8") as file:
        header = file.readline().strip().split(",")
    fields = list(_schema_fields(lab, lab.arns["interactions_schema"]))
    if set(header) != set(fields):
        raise NotYet(f"the header is {', '.join(header)}; the schema has {', '.join(fields)}.")
    return "the header has the schema's names."


def _job(lab: LabSession, arn: str) -> dict[str, Any]:
    describe = lab.client.describe_dataset_import_job
    found = _describe(describe, "import job", datasetImportJobArn=arn)
    return found["datasetImportJob"]


def _job_is_active(lab: LabSession, arn: str, mode: str) -> str:
    job = _job(lab, arn)
    _require_active(job, "the import job")
    if job.get("importMode", "FULL") != mode:
        raise NotYet(f"the job's mode is {job['importMode']}, not {mode}.")
    return f"the {mode} import is finished."


@check("3b", hint="personalens.wait raises with the reason if the job failed.")
def _full_import(lab: LabSession, arn: str) -> str:
    return _job_is_active(lab, arn, "FULL")


@check("3c", hint="this job is meant to fail: run the cells of section 3 again.")
def _broken_import(lab: LabSession, arn: str) -> str:
    job = _job(lab, arn)
    if job["status"] != "CREATE FAILED":
        raise NotYet(f"the job is {job['status']}.")
    if "TIMESTAMP" not in job.get("failureReason", ""):
        raise NotYet("the reason does not name the column TIMESTAMP.")
    return "the job failed, and its reason names what is wrong."


@check("3d", hint="the repaired file needs a job with a new name.")
def _incremental_import(lab: LabSession, arn: str) -> str:
    return _job_is_active(lab, arn, "INCREMENTAL")


@check("3e", hint="personalens.wait raises with the reason if the job failed.")
def _items_import(lab: LabSession, arn: str) -> str:
    return _job_is_active(lab, arn, "FULL")


@check("3.1", hint="the failureReason lists the columns that are missing.")
def _missing_column(lab: LabSession, column: str) -> str:
    if str(column).strip() != "TIMESTAMP":
        raise NotYet(f"{column!r} is not what the service misses.")
    return "one letter too many in a header, and nothing is imported."


@check("3.2", hint="FULL replaces everything; INCREMENTAL adds, and replaces films of the same ID.")
def _modes(lab: LabSession, modes: list[str]) -> str:
    truth = ["INCREMENTAL", "FULL", "INCREMENTAL"]
    wrong = [letter for letter, a, b in zip("abc", modes, truth, strict=True) if a != b]
    if wrong:
        raise NotYet(f"think again about {', '.join(wrong)}.")
    return "new things are added, corrections replace."


# -- lab 04 --------------------------------------------------------------------------------------


@check("4a", hint="run the cells of section 1 again, from the top.")
def _tiny_world(lab: LabSession, answers: pd.DataFrame) -> str:
    answer = answers.set_index("recipe")["answer"]
    if answer["HRNN"] != "Alpha 2":
        raise NotYet(f"HRNN answers {answer['HRNN']!r}, not 'Alpha 2'.")
    return "only the model that reads sequences knows what comes next."


@check("4b", hint="run the three cells with create_solution again.")
def _solutions(lab: LabSession, *arns: str) -> str:
    for arn in arns:
        solution = _describe(lab.client.describe_solution, "solution", solutionArn=arn)["solution"]
        _require_active(solution, f"the solution {solution['name']}")
    return f"{len(arns)} solutions are ACTIVE. Nothing is trained yet."


@check("4c", hint="run the cell with personalens.wait again; training goes on meanwhile.")
def _versions(lab: LabSession, *arns: str) -> str:
    describe = lab.client.describe_solution_version
    for arn in arns:
        found = _describe(describe, "solution version", solutionVersionArn=arn)
        _require_active(found["solutionVersion"], "a solution version")
    return f"{len(arns)} models are trained."


@check("4d", hint="personalens.training_log(...) returns one row per epoch.")
def _log(lab: LabSession, log: pd.DataFrame) -> str:
    loss = log["loss"].dropna()
    if len(loss) < 2 or loss.iloc[-1] >= loss.iloc[0]:
        raise NotYet("the loss did not fall.")
    return "the loss fell from epoch to epoch."


@check("4.1", hint="c is the size of the intersection of the two sets of viewers.")
def _similarity(lab: LabSession, similarity: Any, film_a: str, film_b: str) -> str:
    events = lab.data.interactions
    a, b = (set(events.loc[events["ITEM_ID"] == film, "USER_ID"]) for film in (film_a, film_b))
    truth = len(a & b) / np.sqrt(len(a) * len(b))
    _near(similarity, truth, what="the similarity", tolerance=5e-3)
    return f"{len(a & b)} viewers saw both films; the similarity is {truth:.2f}."


@check("4.2", hint="Bob has seen two parts of a trilogy of three.")
def _bob(lab: LabSession, film: str) -> str:
    if film != "Delta 3":
        raise NotYet(f"{film!r} is not what comes next for Bob.")
    return "Bob gets the end of his trilogy."


# -- lab 05 --------------------------------------------------------------------------------------

_METRIC_KEYS = 8


@check("5a", hint="run the cells of section 1 again, from the top.")
def _by_hand(lab: LabSession, table: pd.DataFrame) -> str:
    difference = (table["by hand"] - table["engine"]).abs()
    if (difference > 1e-9).any():
        wrong = table.loc[difference.idxmax()].iloc[0]
        raise NotYet(f"{wrong} differs by {difference.max():.4f}.")
    return "your numbers and the engine's are the same."


@check("5b", hint="run the cells of section 2 again, from the top.")
def _comparison(lab: LabSession, comparison: pd.DataFrame, precision: float) -> str:
    _near(precision, comparison.loc["precision_at_25", "popularity"], what="precision at 25")
    if len(comparison) != _METRIC_KEYS or comparison.isna().any(axis=None):
        raise NotYet(f"{_METRIC_KEYS} metrics are expected for each recipe.")
    best = comparison.loc["normalized_discounted_cumulative_gain_at_25"].idxmax()
    return f"{_METRIC_KEYS} metrics for {comparison.shape[1]} recipes; best NDCG at 25: {best}."


@check("5c", hint="run the cell with create_campaign again.")
def _campaigns(lab: LabSession, *arns: str) -> str:
    for arn in arns:
        found = _describe(lab.client.describe_campaign, "campaign", campaignArn=arn)["campaign"]
        _require_active(found, f"the campaign {found['name']}")
    return f"{len(arns)} campaigns answer."


@check("5d", hint="run the cells of section 4 again, from the top.")
def _three_lists(lab: LabSession, titles: dict[str, list[str]]) -> str:
    if any(not names for names in titles.values()):
        raise NotYet("a list is empty.")
    if titles["popularity"] == titles["hrnn"]:
        raise NotYet("HRNN's list is the popular one.")
    return "three recipes, three different lists."


@check("5.1", hint="(1/2 + 2/5) / 2")
def _average_precision(lab: LabSession, value: Any) -> str:
    _near(value, 0.45, what="the average precision")
    return "the mean of 1/2 and 2/5."


@check("5.2", hint="intersect two sets of ITEM_IDs and take the length.")
def _already_seen(lab: LabSession, count: Any, viewer: str, recommended: list[str]) -> str:
    truth = len(set(recommended) & set(lab.history(viewer)["ITEM_ID"]))
    _near(count, truth, what="the number", tolerance=1e-9)
    return f"{truth} of {len(recommended)} recommended films are known to this viewer."
