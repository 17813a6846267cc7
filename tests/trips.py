"""Trips through the package: which files run, one after another, for one thing that a user does.

``python -m tests.trips`` makes every trip in a process of its own and prints the files in the order
in which their functions are first called. Only functions count: importing a file is no trip.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import personalens
from personalens.datasets import CsvSource, DatasetFiles, import_csv, parse_schema
from personalens.recipes.hrnn import HRNN

PACKAGE = Path(personalens.__file__).parent
RECIPE = "aws-hrnn"
ROLE = "arn:aws:iam::123456789012:role/x"
SCHEMA = {
    "type": "record",
    "name": "Interactions",
    "namespace": "com.amazonaws.personalize.schema",
    "version": "1.0",
    "fields": [
        {"name": "USER_ID", "type": "string"},
        {"name": "ITEM_ID", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
    ],
}
IMPORTING = ("__init__.py", "datasets/__init__.py", "moved_modules.py")
"""Files whose functions only help Python to find others."""
_FUNCTION = 0x2
"""The flag of code that has names of its own: of functions, not of modules and classes."""


class Trips:
    """The files of each trip so far, by its name."""

    def __init__(self) -> None:
        self.files: dict[str, list[str]] = {}

    def make(self, name: str, trip: Callable[[], Any]) -> Any:
        """Make a trip, note the files, and return what it brings."""
        seen: dict[str, None] = {}

        def note(frame: Any, event: str, _: Any) -> None:
            code = frame.f_code
            is_function = event == "call" and code.co_flags & _FUNCTION
            if is_function and code.co_filename.startswith(str(PACKAGE)):
                seen[code.co_filename] = None

        threading.setprofile(note)
        sys.setprofile(note)
        try:
            return trip()
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
            files = [str(Path(file).relative_to(PACKAGE)) for file in seen]
            self.files[name] = [file for file in files if file not in IMPORTING]


def make_trips(folder: Path) -> dict[str, list[str]]:
    """Return the files of every trip, in a folder that is empty."""
    os.environ |= {
        "PERSONALENS_JOBS": "inline",
        "PERSONALENS_HOME": str(folder / "home"),
        "PERSONALENS_TRAINING_MAX_EPOCHS": "1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    csv = folder / "interactions.csv"
    lines = [f"u{k * 7 % 100},i{k * k % 61},{1_700_000_000 + k}" for k in range(4_000)]
    csv.write_text("USER_ID,ITEM_ID,TIMESTAMP\n" + "\n".join(lines) + "\n")
    trips = Trips()
    trained = trips.make("a CSV row to a trained model", lambda: _train_by_hand(csv, folder))
    trips.make("HRNN().fit", lambda: HRNN().fit(trained.interactions_))
    _through_the_service(trips, csv)
    return trips.files


def _train_by_hand(csv: Path, folder: Path) -> HRNN:
    rows = folder / "rows.parquet"
    import_csv([CsvSource.from_path(csv)], parse_schema(json.dumps(SCHEMA)), rows)
    files = DatasetFiles(folder / "dataset")
    files.replace(rows, name="first")
    return HRNN().fit(files.read_interactions())


def _through_the_service(trips: Trips, csv: Path) -> None:
    import boto3

    personalens.activate(quiet=True)
    services = ("personalize", "personalize-runtime", "personalize-events")
    personalize, runtime, events = (boto3.client(name) for name in services)
    group = trips.make(
        "the first CreateDatasetGroup", lambda: personalize.create_dataset_group(name="films")
    )["datasetGroupArn"]
    schema = personalize.create_schema(name="films", schema=json.dumps(SCHEMA))["schemaArn"]
    dataset = personalize.create_dataset(
        name="films", schemaArn=schema, datasetGroupArn=group, datasetType="Interactions"
    )["datasetArn"]
    trips.make(
        "an import job",
        lambda: personalize.create_dataset_import_job(
            jobName="films",
            datasetArn=dataset,
            dataSource={"dataLocation": csv.as_uri()},
            roleArn=ROLE,
        ),
    )
    solution = personalize.create_solution(
        name="films",
        datasetGroupArn=group,
        recipeArn=f"arn:aws:personalize:::recipe/{RECIPE}",
        performAutoTraining=False,
    )["solutionArn"]
    version = trips.make(
        "CreateSolutionVersion to ACTIVE",
        lambda: personalize.create_solution_version(solutionArn=solution),
    )["solutionVersionArn"]
    campaign = personalize.create_campaign(name="films", solutionVersionArn=version)["campaignArn"]

    def ask() -> Any:
        return runtime.get_recommendations(campaignArn=campaign, userId="u1")

    trips.make("a first request to its answer", ask)
    trips.make("a request to its answer", ask)
    tracking = personalize.create_event_tracker(name="films", datasetGroupArn=group)["trackingId"]

    def send_and_ask() -> Any:
        event = {"eventType": "click", "itemId": "i5", "sentAt": 1_800_000_000}
        events.put_events(trackingId=tracking, userId="u1", sessionId="s", eventList=[event])
        return ask()

    send_and_ask()
    trips.make("an event to the next answer", send_and_ask)
    trips.make(
        "DescribeSolutionVersion",
        lambda: personalize.describe_solution_version(solutionVersionArn=version),
    )


def main() -> None:
    """Make the trips; print them as text, or with ``--json`` as JSON."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        trips = make_trips(Path(folder))
    if "--json" in sys.argv:
        print(json.dumps(trips))
        return
    for name, files in trips.items():
        lines = sum(len((PACKAGE / file).read_text("utf-8").splitlines()) for file in files)
        print(f"{name}: {len(files)} files with {lines:,} lines")
        print("".join(f"    {file}\n" for file in files))


if __name__ == "__main__":
    main()
