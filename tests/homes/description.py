"""What a home holds, asked for through the service's operations: the same for every version."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from personalens.datasets.dataset_files import DatasetFiles
from personalens.storage.datasets import dataset_folder
from tests.conftest import Service

ROLE = "arn:aws:iam::123456789012:role/personalize"
KINDS = (
    "dataset_group",
    "schema",
    "dataset",
    "dataset_import_job",
    "dataset_export_job",
    "event_tracker",
    "solution",
    "solution_version",
    "campaign",
    "recommender",
    "filter",
    "metric_attribution",
    "batch_inference_job",
    "batch_segment_job",
    "data_deletion_job",
)
LISTED = 5


def describe(service: Service, folder: Path) -> dict[str, Any]:
    """Return every resource as Describe gives it, every row as an export gives it, the metrics of
    every model, and what everybody who can be asked recommends.

    ``folder`` takes the exports for a while.
    """
    resources = {kind: list(described(service, kind)) for kind in KINDS}
    versions = [each["solutionVersionArn"] for each in resources["solution_version"]]
    group = next(g for g in resources["dataset_group"] if g["name"] == "films")
    return {
        "resources": {kind: [_plain(each) for each in found] for kind, found in resources.items()},
        "own_recipes": [
            each["name"] for each in pages(service, "recipe") if each["name"].startswith("my-")
        ],
        "tags": service.list_tags_for_resource(resourceArn=group["datasetGroupArn"])["tags"],
        "rows": {
            each["datasetArn"]: rows(service, each["datasetArn"], folder)
            for each in resources["dataset"]
        },
        "metrics": {
            arn: service.get_solution_metrics(solutionVersionArn=arn)["metrics"] for arn in versions
        },
        "recommended": recommended(service, resources),
    }


def pages(service: Service, kind: str, **of: str) -> Iterator[dict[str, Any]]:
    """Yield the summaries of a kind, page by page."""
    token: dict[str, str] = {}
    while True:
        answer = getattr(service, f"list_{kind}s")(maxResults=100, **of, **token)
        token = {"nextToken": answer.pop("nextToken")} if answer.get("nextToken") else {}
        [found] = answer.values()
        yield from found
        if not token:
            return


def described(service: Service, kind: str) -> Iterator[dict[str, Any]]:
    """Yield each resource of a kind as its Describe gives it."""
    first, *others = kind.split("_")
    camel = first + "".join(map(str.capitalize, others))
    for summary in pages(service, kind):
        arn = {f"{camel}Arn": summary[f"{camel}Arn"]}
        [found] = getattr(service, f"describe_{kind}")(**arn).values()
        yield found


def rows(service: Service, dataset_arn: str, folder: Path) -> dict[str, Any]:
    """Return what an export of all writes, summed up. Of actions, which the service does not
    export: what was imported."""
    if "ACTION" in dataset_arn:
        dataset = service.context.store.require(dataset_arn)
        table = DatasetFiles(dataset_folder(service.context, dataset)).read_delivered()
        return _summed_up(table.to_pylist())
    target = folder / f"rows-{len(list(folder.glob('rows-*')))}"
    target.mkdir()
    service.create_dataset_export_job(
        jobName=target.name + "-" + dataset_arn.rpartition(":")[2].replace("/", "-"),
        datasetArn=dataset_arn,
        ingestionMode="ALL",
        roleArn=ROLE,
        jobOutput={"s3DataDestination": {"path": f"{target}/"}},
    )
    found = []
    for path in sorted(target.rglob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            header, *lines = csv.reader(file)
            found += [dict(zip(header, line, strict=True)) for line in lines]
    return _summed_up(found)


def _summed_up(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what differs as soon as one value of one row does."""
    lines = sorted(json.dumps(row, sort_keys=True, ensure_ascii=False) for row in rows)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return {"count": len(lines), "first": lines[:1], "last": lines[-1:], "sha256": digest}


def recommended(service: Service, resources: dict[str, list[dict]]) -> dict[str, list[str]]:
    """Return the best for a user that the training knew and for one who came by an event."""
    answers = {}
    for campaign in resources["campaign"]:
        arn = {"campaignArn": campaign["campaignArn"]}
        for user in ("viewer-3", "newcomer"):
            key = f"{campaign['name']} {user}"
            if campaign["name"] == "actions":
                found = service.get_action_recommendations(userId=user, **arn)["actionList"]
                answers[key] = [each["actionId"] for each in found]
            elif campaign["name"] == "ranking":
                asked = [f"film-{n}" for n in range(LISTED)]
                found = service.get_personalized_ranking(userId=user, inputList=asked, **arn)
                answers[key] = [each["itemId"] for each in found["personalizedRanking"]]
            elif campaign["name"] != "tastes":  # that one explores: each answer is another
                found = service.get_recommendations(userId=user, numResults=LISTED, **arn)
                answers[key] = [each["itemId"] for each in found["itemList"]]
    for recommender in resources["recommender"]:
        found = service.get_recommendations(
            recommenderArn=recommender["recommenderArn"], userId="viewer-3", numResults=LISTED
        )
        answers[recommender["name"]] = [each["itemId"] for each in found["itemList"]]
    return answers


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
