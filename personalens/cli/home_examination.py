"""``personalens doctor --deep``: is all that the home remembers there, and nothing else?

What is on its way is no finding: staged rows of an import that has not ended, checkpoints of a
training. Everything else that a crash could have left or lost is.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from personalens import durable_files
from personalens.cli.doctor import REPORT, START_AFRESH, Finding, finding_of
from personalens.durable_files import DamagedFiles
from personalens.home import Home
from personalens.jobs.opening import open_home
from personalens.storage.catalogue import NewerFile, StorageError
from personalens.storage.job_queue import QUEUED, RUNNING
from personalens.storage.model_folders import (
    MODEL,
    checkpoint_folder,
    owned_folders,
    recommender_folder,
    serving_folder,
    version_folder,
)
from personalens.storage.resource_store import ACTIVE, Resource, is_in_transition, unfinished_update
from personalens.storage.service_context import ServiceContext

_PARENTS = {"datasetGroupArn", "_datasetGroupArn", "schemaArn", "datasetArn", "solutionVersionArn"}
"""Members that hold the ARN of something that must be there as long as the resource is."""
_BELONGS_IN_A_DATASET = {"current.json", "parts", ".lock"}
_NEXT_JOB = "the next worker removes it; if it stays, delete it"
_NEXT_TRAINING = "the next training removes it; or delete it"
_ASK_AGAIN = "import or train again, restore a backup, or delete the resource"
_NO_CHECKSUM = "an earlier version wrote it, without checksums, so its bytes cannot be compared"

Problem = tuple[str, str]
"""What is wrong, and what to do; "" where nothing is wrong."""


def examine_home(home: Home) -> Iterator[Finding]:
    """Yield a finding for each problem of a home, and one for each part that is in order.

    Nothing is repaired. Resources of all regions are looked at. What changes while it looks, such
    as an import that ends, may show as a finding: look again.
    """
    if not home.catalogue.exists():
        yield Finding("home", "it is empty: there is nothing to examine")
        return
    context = open_home(home, inline_jobs=False, create=False)
    try:
        context.store.catalogue.version()
    except NewerFile as error:  # this version may misread its files
        yield finding_of("home", error)
        return
    except StorageError:
        pass  # the checks tell
    checks: dict[str, Callable[[ServiceContext], Iterator[Problem]]] = {
        "files": _check_databases,
        "resources": _check_resources,
        "jobs": _check_jobs,
        "datasets": _check_datasets,
        "models": _check_models,
        "events": _check_events,
    }
    for subject, check in checks.items():
        is_ok = True
        try:
            for text, remedy in check(context):
                is_ok = is_ok and not remedy
                yield Finding(subject, text, remedy)
        except Exception as error:  # a damaged file may break any of them
            is_ok = False
            finding = finding_of(subject, error)
            yield replace(finding, remedy=finding.remedy.replace(REPORT, START_AFRESH))
        if is_ok:
            yield Finding(subject, "in order")


def _check_databases(context: ServiceContext) -> Iterator[Problem]:
    for path in sorted(context.home.path.glob("*.sqlite")):
        try:
            with closing(sqlite3.connect(path)) as connection:
                found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
                loose = connection.execute("PRAGMA foreign_key_check").fetchall()
        except sqlite3.DatabaseError as error:
            found, loose = [str(error)], []
        if found != ["ok"]:
            yield f"{path.name}: {found[0]}", START_AFRESH
        if loose:
            text = f"{path.name}: {len(loose)} rows belong to nothing, in {loose[0][0]}"
            yield text, START_AFRESH


def _check_resources(context: ServiceContext) -> Iterator[Problem]:
    for arn in _column(context, "SELECT arn FROM resources WHERE NOT json_valid(body)"):
        yield f"what is known of {arn} cannot be read", START_AFRESH
    resources = list(_resources(context))
    known = {each.arn for each in resources}
    for each in resources:
        if each.kind.endswith("-job") and each.kind != "dataset-import-job":
            continue  # a job that is over outlives what it was about
        named = [each.parent_arn, *(each.body.get(member) for member in _PARENTS)]
        for arn in {arn for arn in named if arn is not None and arn not in known}:
            yield f"{each.arn} belongs to {arn}, which is not there", "delete it"


def _check_jobs(context: ServiceContext) -> Iterator[Problem]:
    """Each job has its resource, and what is on its way has a job. That of a dead worker counts:
    the next one takes it up."""
    store = context.jobs.store
    query = "SELECT arn FROM jobs WHERE arn NOT IN (SELECT arn FROM resources)"
    for arn in _column(context, query):
        yield f"a job works for {arn}, which is not there", START_AFRESH
    query = f"SELECT arn FROM jobs WHERE state IN ('{QUEUED}', '{RUNNING}')"
    worked_on = set(_column(context, query))
    for each in _resources(context):
        is_busy = is_in_transition(each) or unfinished_update(each)
        if is_busy and each.arn not in worked_on and store.get(each.arn) == each:
            yield f"{each.arn} is {each.status}, and no job works on it", _ASK_AGAIN


def _check_datasets(context: ServiceContext) -> Iterator[Problem]:
    from personalens.storage.datasets import dataset_folder

    store = context.jobs.store
    datasets = {dataset_folder(context, each): each for each in store.list("dataset")}
    for path in context.home.dataset_folders():
        if path not in datasets:
            yield f"datasets/{path.name} belongs to no dataset", _NEXT_JOB
    for folder, dataset in datasets.items():
        jobs = store.list("dataset-import-job", parent_arn=dataset.arn)
        if not any(map(is_in_transition, jobs)):
            has_rows = any(job.status == ACTIVE for job in jobs)
            yield from _check_dataset(folder, dataset.arn, has_rows)


def _check_dataset(folder: Path, arn: str, has_rows: bool) -> Iterator[Problem]:
    import pyarrow.parquet as pq

    from personalens.datasets.dataset_files import DatasetFiles

    try:
        manifest = DatasetFiles(folder).manifest
    except DamagedFiles as error:
        yield f"{arn}: {error}", _ASK_AGAIN
        return
    if has_rows and not manifest.parts:
        yield f"{arn}: it has been imported into, and its rows are gone", _ASK_AGAIN
    for part in manifest.parts:
        path = folder / "parts" / part.file
        try:
            rows = pq.read_metadata(path).num_rows
        except (OSError, ValueError) as error:
            yield f"{arn}: part {part.file} cannot be read: {error}", _ASK_AGAIN
            continue
        if rows != part.rows:
            yield f"{arn}: part {part.file} has {rows} rows, not {part.rows}", _ASK_AGAIN
        elif part.sha256 is None:
            yield f"{arn}: part {part.file}: {_NO_CHECKSUM}", ""
        elif problem := durable_files.difference(path, [part.sha256]):
            yield f"{arn}: {problem}", _ASK_AGAIN
    belongs = {folder: _BELONGS_IN_A_DATASET}
    belongs[folder / "parts"] = {part.file for part in manifest.parts}
    for place, names in belongs.items():
        for path in place.iterdir() if place.is_dir() else ():
            if path.name not in names:
                yield f"{arn}: {path.name} is left over", "the next import removes it; or delete it"


def _check_models(context: ServiceContext) -> Iterator[Problem]:
    home, store = context.home, context.jobs.store
    for version in store.list("solution-version", status_in=[ACTIVE]):
        for folder in {version_folder(home, version.arn), serving_folder(home, version)}:
            yield from _check_model(folder, version.arn)
    for recommender in store.list("recommender"):
        if model := recommender.body.get(MODEL):
            folder = recommender_folder(home, recommender.arn, model)
            yield from _check_model(folder, recommender.arn)
    in_training = owned_folders(home, store, in_training=True)
    expected = owned_folders(home, store) | {checkpoint_folder(each) for each in in_training}
    for path in home.model_folders():
        is_hidden = path.name.startswith(".")
        is_staged = is_hidden and any(folder.name in path.name for folder in in_training)
        if path not in expected and not is_staged:
            yield f"models/{path.parent.name}/{path.name} belongs to nothing", _NEXT_TRAINING


def _check_model(folder: Path, arn: str) -> Iterator[Problem]:
    from safetensors import SafetensorError, safe_open

    if problem := durable_files.find_damage(folder):
        yield f"{arn}: its model cannot be read: {problem}", _ASK_AGAIN
        return
    try:
        for name in ("config.json", "ids.json", "metrics.json", "training_log.json"):
            json.loads((folder / name).read_text(encoding="utf-8"))
        with safe_open(folder / "weights.safetensors", framework="np") as file:
            file.keys()
    except (OSError, ValueError, SafetensorError) as error:
        yield f"{arn}: its model cannot be read: {error}", _ASK_AGAIN
        return
    if (sealed := durable_files.read_seal(folder)) is None:
        yield f"{arn}: its model: {_NO_CHECKSUM}", ""
    else:
        for path in folder.iterdir():
            if path.name not in {*sealed, durable_files.CHECKSUMS_FILE}:
                yield f"{arn}: {path.name} is left over in its model", "delete it"


def _check_events(context: ServiceContext) -> Iterator[Problem]:
    """Each stream's dataset is there, each text is JSON, no number is above the last one given."""
    if not context.home.events.exists():
        return
    context.events.newest()  # refuses what a later version wrote
    known = {dataset.arn for dataset in context.jobs.store.list("dataset")}
    with closing(sqlite3.connect(context.home.events)) as connection:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            return  # a crash came before its tables: the next to open it makes them

        def count(table: str, condition: str, *values: int) -> int:
            query = f"SELECT count(*) FROM {table} WHERE {condition}"
            return connection.execute(query, values).fetchone()[0]

        for stream, arn in connection.execute("SELECT id, dataset_arn FROM streams").fetchall():
            for table in ("events", "records", "sessions"):
                if arn not in known and (rows := count(table, "stream = ?", stream)):
                    yield f"{rows} {table} of {arn}, which is not there", _NEXT_JOB
        if rows := count("events", "sequence >= (SELECT next_sequence FROM log_state)"):
            yield f"{rows} events have numbers that were not given yet", START_AFRESH
        for table in ("events", "records"):
            if rows := count(table, "NOT json_valid(coalesce(properties, '{}'))"):
                yield f"{rows} {table} have properties that cannot be read", START_AFRESH


def _resources(context: ServiceContext) -> Iterator[Resource]:
    for kind in _column(context, "SELECT DISTINCT kind FROM resources"):
        yield from context.jobs.store.list(kind)


def _column(context: ServiceContext, query: str) -> list[str]:
    with context.jobs.store.catalogue.reading() as connection:
        return [row[0] for row in connection.execute(query).fetchall()]
