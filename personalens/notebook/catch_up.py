"""Makes what earlier labs made, with the same boto3 calls, so that any lab can be opened first.

Nothing here knows whether PersonaLens or AWS answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pandas as pd
from botocore.exceptions import ClientError

from personalens.arns import recipe_arn
from personalens.notebook.lab_data import Lab, stage
from personalens.notebook.progress import deletion_began, wait

NAMESPACE = "com.amazonaws.personalize.schema"
INTERACTIONS_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Interactions",
    "namespace": NAMESPACE,
    "fields": [
        {"name": "USER_ID", "type": "string"},
        {"name": "ITEM_ID", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
        {"name": "EVENT_TYPE", "type": "string"},
        {"name": "EVENT_VALUE", "type": ["null", "float"]},
    ],
    "version": "1.0",
}
ITEMS_SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Items",
    "namespace": NAMESPACE,
    "fields": [
        {"name": "ITEM_ID", "type": "string"},
        {"name": "GENRES", "type": ["null", "string"], "categorical": True},
        {"name": "YEAR", "type": ["null", "int"]},
        {"name": "CREATION_TIMESTAMP", "type": ["null", "long"]},
    ],
    "version": "1.0",
}
RECIPES = {"popularity": "aws-popularity-count", "sims": "aws-sims", "hrnn": "aws-hrnn"}
SETTINGS: dict[str, dict[str, dict[str, str]]] = {
    "sims": {"featureTransformationParameters": {"max_item_interaction_count_percentile": "1.0"}}
}
"""The solutionConfig of each solution that has one; lab 04 says why."""
NEWEST_SHARE = 0.05
"""The part of the interactions that lab 03 brings in with its INCREMENTAL import."""


def create_once(create: Callable[..., dict], **request: Any) -> str:
    """Call a boto3 ``create_...`` method; return the new resource's ARN, or the existing one's.

    A resource with that ARN that exists already is kept: the request is *not* compared with it.
    One that is being deleted keeps its name until it is gone: then the new one is made.
    """
    try:
        response = create(**request)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
            raise
        client, arn = create.__self__, re.search(r"arn:\S+", str(error)).group()
        if not deletion_began(client, arn):
            return arn
        wait(client, arn, until="deleted", quiet=True)
        response = create(**request)
    return next(value for name, value in response.items() if name.endswith("Arn"))


def train_once(client: Any, solution_arn: str) -> str:
    """Return the newest solution version that is usable or on its way, else start one."""
    pages = client.get_paginator("list_solution_versions").paginate(solutionArn=solution_arn)
    versions = [version for page in pages for version in page["solutionVersions"]]
    usable = [v for v in versions if v["status"] in {"ACTIVE", *_ON_THE_WAY}]
    if usable:
        return max(usable, key=lambda v: v["creationDateTime"])["solutionVersionArn"]
    return client.create_solution_version(solutionArn=solution_arn)["solutionVersionArn"]


def import_once(
    client: Any, dataset_arn: str, name: str, location: str, role_arn: str, mode: str = "FULL"
) -> str:
    """Return the import job of this name that worked or is on its way, else start one.

    A job's name cannot be used again, so after a failed ``NAME`` comes ``NAME-2``.
    """
    pages = client.get_paginator("list_dataset_import_jobs").paginate(datasetArn=dataset_arn)
    jobs = {job["jobName"]: job for page in pages for job in page["datasetImportJobs"]}
    attempt, job_name = 1, name
    while job_name in jobs and jobs[job_name]["status"] == "CREATE FAILED":
        attempt += 1
        job_name = f"{name}-{attempt}"
    if job_name in jobs:
        return jobs[job_name]["datasetImportJobArn"]
    return create_once(
        client.create_dataset_import_job,
        jobName=job_name,
        datasetArn=dataset_arn,
        dataSource={"dataLocation": location},
        roleArn=role_arn,
        importMode=mode,
    )


def columns_of(schema: dict[str, Any]) -> list[str]:
    """Return a schema's field names: the columns of the CSV that it describes."""
    return [field["name"] for field in schema["fields"]]


def split_newest(interactions: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (all but the newest part, the newest part), each sorted by time."""
    by_time = interactions.sort_values(["TIMESTAMP", "USER_ID", "ITEM_ID"], kind="stable")
    cut = len(by_time) - int(len(by_time) * NEWEST_SHARE)
    return by_time.iloc[:cut], by_time.iloc[cut:]


# -- the steps, one for each lab that creates something ------------------------------------------


def make_datasets(lab: Lab) -> None:
    """Lab 02: the dataset group, two schemas, two datasets."""
    client, arns = lab.client, lab.arns
    arns["dataset_group"] = create_once(client.create_dataset_group, name=lab.name("films"))
    wait(client, arns["dataset_group"])
    for kind, schema in (("interactions", INTERACTIONS_SCHEMA), ("items", ITEMS_SCHEMA)):
        arns[f"{kind}_schema"] = create_once(
            client.create_schema, name=lab.name(kind), schema=json.dumps(schema)
        )
        arns[kind] = create_once(
            client.create_dataset,
            name=lab.name(kind),
            datasetGroupArn=arns["dataset_group"],
            datasetType=kind.capitalize(),
            schemaArn=arns[f"{kind}_schema"],
        )
        wait(client, arns[kind])


def import_data(lab: Lab) -> None:
    """Lab 03: a FULL import of interactions, an INCREMENTAL one of the newest, the items."""
    older, newest = split_newest(lab.data.interactions)
    plan = [
        ("interactions", "FULL", older, INTERACTIONS_SCHEMA),
        ("interactions", "INCREMENTAL", newest, INTERACTIONS_SCHEMA),
        ("items", "FULL", lab.data.items, ITEMS_SCHEMA),
    ]
    for kind, mode, frame, schema in plan:
        name = f"{kind}-{mode.lower()}"
        path = lab.folder / f"{name}.csv"
        frame[columns_of(schema)].to_csv(path, index=False)
        wait(
            lab.client,
            import_once(
                lab.client, lab.arns[kind], lab.name(name), stage(path), lab.role_arn, mode
            ),
        )


def train_recipes(lab: Lab) -> None:
    """Lab 04: three solutions, one solution version each."""
    for short, recipe in RECIPES.items():
        lab.arns[f"{short}_solution"] = create_once(
            lab.client.create_solution,
            name=lab.name(short),
            datasetGroupArn=lab.arns["dataset_group"],
            recipeArn=recipe_arn(recipe, region=lab.client.meta.region_name),
            performAutoTraining=False,
            **({"solutionConfig": SETTINGS[short]} if short in SETTINGS else {}),
        )
        wait(lab.client, lab.arns[f"{short}_solution"])
        lab.arns[f"{short}_version"] = train_once(lab.client, lab.arns[f"{short}_solution"])
    for short in RECIPES:
        wait(lab.client, lab.arns[f"{short}_version"])


def make_campaigns(lab: Lab) -> None:
    """Lab 05: one campaign for each solution version."""
    for short in RECIPES:
        lab.arns[f"{short}_campaign"] = create_once(
            lab.client.create_campaign,
            name=lab.name(short),
            solutionVersionArn=lab.arns[f"{short}_version"],
            minProvisionedTPS=1,
        )
    for short in RECIPES:
        wait(lab.client, lab.arns[f"{short}_campaign"])


STEPS: dict[int, tuple[str, Callable[[Lab], None]]] = {
    2: ("dataset group and datasets", make_datasets),
    3: ("imported data", import_data),
    4: ("three trained solutions", train_recipes),
    5: ("three campaigns", make_campaigns),
}
"""Lab number -> what it leaves behind in words, and the function that makes it."""

_ON_THE_WAY = ("CREATE PENDING", "CREATE IN_PROGRESS")
