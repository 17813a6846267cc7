"""An account that owns one resource of every kind, and a valid request of every operation on it.

``Account.build`` makes it once; a test gets a copy of its home, so it may do to it what it likes.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from personalens import arns
from personalens.home import Home
from personalens.service_errors import OperationNotImplemented
from personalens.testing.contracts_by_type import action_events
from tests.conftest import INTERACTIONS_SCHEMA, ITEMS, USERS, Service, small_world
from tests.dataset_tables import schema_of

ROLE = "arn:aws:iam::123456789012:role/personalize"
RECIPE = "arn:aws:personalize:::recipe/"
EVENT = {"eventType": "watch", "itemId": "film-1", "sentAt": 1_700_000_000}
METRIC = {"eventType": "watch", "metricName": "watches", "expression": "SAMPLECOUNT()"}
FIELDS = {
    "Items": [
        {"name": "ITEM_ID", "type": "string"},
        {"name": "GENRES", "type": ["null", "string"], "categorical": True},
        {"name": "CREATION_TIMESTAMP", "type": ["null", "long"]},
    ],
    "Users": [{"name": "USER_ID", "type": "string"}, {"name": "AGE", "type": ["null", "int"]}],
    "Actions": [
        {"name": "ACTION_ID", "type": "string"},
        {"name": "VALUE", "type": ["null", "long"]},
    ],
    "Action_Interactions": [
        {"name": "USER_ID", "type": "string"},
        {"name": "ACTION_ID", "type": "string"},
        {"name": "EVENT_TYPE", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
    ],
}
_CINEMA = {
    "Interactions": INTERACTIONS_SCHEMA["fields"],
    "Items": [
        {"name": "ITEM_ID", "type": "string"},
        {"name": "GENRES", "type": "string", "categorical": True},
        {"name": "CREATION_TIMESTAMP", "type": "long"},
    ],
}


def schema_text(dataset_type: str, fields: list[dict[str, Any]] | None = None) -> str:
    """Return an Avro schema as CreateSchema takes it."""
    return json.dumps(schema_of(dataset_type.replace("_", ""), fields or FIELDS[dataset_type]))


class Account:
    """What the account owns, by ARN.

    Attributes
    ----------
    home, service
        Where it lies, and the three services on it with jobs done inside the call.
    folder
        Of the files that imports read and jobs write.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.home = Home(folder / "home")
        self.service = Service(self.home)
        self.arns: dict[str, str] = {}

    def __getattr__(self, name: str) -> str:
        try:
            return self.__dict__["arns"][name]
        except KeyError:
            raise AttributeError(name) from None

    @classmethod
    def build(cls, folder: Path) -> Account:
        """Make everything, through the service alone."""
        account = cls(folder)
        for step in (account._import_tables, account._train, account._ask_for_the_rest):
            step()
        return account

    def copy(self, folder: Path) -> Account:
        """Return the same account in another folder."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        other = Account(folder)
        other.arns = dict(self.arns)
        return other

    def state(self) -> dict[str, list[tuple]]:
        """Return every row of every table of the catalogue."""
        with sqlite3.connect(self.home.catalogue) as connection:
            tables = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            ).fetchall()
            rows = {
                name: connection.execute(f"SELECT * FROM {name}").fetchall() for (name,) in tables
            }
        connection.close()
        return rows

    def write(self, name: str, text: str) -> str:
        """Write a file into the account's folder and return its path."""
        (self.folder / name).write_text(text)
        return str(self.folder / name)

    def _import_tables(self) -> None:
        rng = np.random.default_rng(3)
        items = pd.DataFrame(
            [(f"film-{n}", f"genre-{n % 4}", 1_600_000_000 + n) for n in range(ITEMS)],
            columns=["ITEM_ID", "GENRES", "CREATION_TIMESTAMP"],
        )
        users = [(f"viewer-{n}", int(rng.integers(18, 80))) for n in range(USERS)]
        tables = {
            "Interactions": small_world(),
            "Items": items,
            "Users": pd.DataFrame(users, columns=["USER_ID", "AGE"]),
            "Actions": pd.DataFrame(
                [("join", 1), ("card", 2), ("app", 3)], columns=["ACTION_ID", "VALUE"]
            ),
            "Action_Interactions": action_events(),
        }
        empty = self.service.create_dataset_group(name="empty")
        unused = self.service.create_schema(name="unused", schema=schema_text("Items"))
        self.arns |= {"empty_group": empty["datasetGroupArn"], "unused_schema": unused["schemaArn"]}
        self._make_group("films", {"Interactions": INTERACTIONS_SCHEMA["fields"], **FIELDS}, tables)
        watched = small_world().assign(EVENT_TYPE="Watch")
        self._make_group(
            "cinema", _CINEMA, {"Interactions": watched, "Items": items}, domain="VIDEO_ON_DEMAND"
        )

    def _make_group(self, name, fields, tables, **domain) -> None:
        service = self.service
        group = service.create_dataset_group(name=name, **domain)["datasetGroupArn"]
        self.arns[f"{name}_group"] = group
        for kind, table in tables.items():
            full = f"{name}-{kind}"
            schema = service.create_schema(
                name=full, schema=schema_text(kind, fields[kind]), **domain
            )["schemaArn"]
            dataset = service.create_dataset(
                name=full, schemaArn=schema, datasetGroupArn=group, datasetType=kind
            )["datasetArn"]
            table.to_csv(self.folder / f"{full}.csv", index=False)
            job = service.create_dataset_import_job(
                jobName=full,
                datasetArn=dataset,
                dataSource={"dataLocation": str(self.folder / f"{full}.csv")},
                roleArn=ROLE,
            )["datasetImportJobArn"]
            described = service.describe_dataset_import_job(datasetImportJobArn=job)
            assert described["datasetImportJob"]["status"] == "ACTIVE", described
            key = f"{name}_{kind.lower()}"
            self.arns |= {f"{key}_schema": schema, key: dataset, f"{key}_import": job}

    def _train(self) -> None:
        config = {"algorithmHyperParameters": {"hidden_dimension": "32"}}
        for name, recipe, members in (
            ("popular", "aws-popularity-count", {}),
            ("tastes", "aws-user-personalization", {"solutionConfig": config}),
            ("ranking", "aws-personalized-ranking", {"solutionConfig": config}),
            ("actions", "aws-next-best-action", {}),
            ("affinity", "aws-item-affinity", {}),
        ):
            solution = self.service.create_solution(
                name=name,
                datasetGroupArn=self.films_group,
                recipeArn=RECIPE + recipe,
                performAutoTraining=False,
                **members,
            )["solutionArn"]
            version = self.service.create_solution_version(solutionArn=solution)[
                "solutionVersionArn"
            ]
            described = self.service.describe_solution_version(solutionVersionArn=version)
            assert described["solutionVersion"]["status"] == "ACTIVE", described
            self.arns |= {f"{name}_solution": solution, f"{name}_version": version}
            if name != "affinity":
                self.arns[f"{name}_campaign"] = self.service.create_campaign(
                    name=name, solutionVersionArn=version
                )["campaignArn"]

    def _ask_for_the_rest(self) -> None:
        """Make one of each kind that is left, with the very requests that tests take for valid."""
        self.write("users.jsonl", '{"userId": "viewer-1"}\n')
        self.write("items.jsonl", '{"itemId": "film-1"}\n')
        self.write("leavers.csv", "USER_ID\nviewer-59\n")
        self.arns["tracking_id"] = "missing"
        for key, kind in _MADE_BY_REQUEST.items():
            name = kind.title().replace("-", "")
            self.arns[key] = arns.build("filter" if kind == "event-tracker" else kind, "first")
            request = {**valid_requests(self)[f"Create{name}"]}
            request["jobName" if "jobName" in request else "name"] = "first"
            if kind in ("event-tracker", "metric-attribution"):  # a group has one
                request["datasetGroupArn"] = self.films_group
            try:
                made = getattr(self.service, f"create_{kind.replace('-', '_')}")(**request)
            except OperationNotImplemented:
                continue
            self.arns[key] = next(value for member, value in made.items() if member.endswith("Arn"))
            if "trackingId" in made:
                self.arns["tracking_id"] = made["trackingId"]
        dataset = self.service.describe_dataset(datasetArn=self.films_action_interactions)
        self.arns["action_tracking_id"] = dataset["dataset"]["trackingId"]


_MADE_BY_REQUEST = {
    "filter": "filter",
    "tracker": "event-tracker",
    "recommender": "recommender",
    "attribution": "metric-attribution",
    "export_job": "dataset-export-job",
    "inference_job": "batch-inference-job",
    "segment_job": "batch-segment-job",
    "deletion_job": "data-deletion-job",
}


def valid_requests(account: Account) -> dict[str, dict[str, Any]]:
    """Return, for each operation, parameters that it takes; Creates make a new resource."""
    a = account
    group, version = {"datasetGroupArn": a.films_group}, {"solutionVersionArn": a.tastes_version}
    output = {"s3DataDestination": {"path": f"{a.folder}/out/"}}
    batch = {"jobName": "second", "jobOutput": output, "roleArn": ROLE}
    inputs = {
        kind: {"s3DataSource": {"path": f"{a.folder}/{kind}.jsonl"}} for kind in ("users", "items")
    }
    by_arn = {
        "Schema": ("schemaArn", a.films_users_schema),
        "DatasetGroup": ("datasetGroupArn", a.films_group),
        "Dataset": ("datasetArn", a.films_users),
        "DatasetImportJob": ("datasetImportJobArn", a.films_users_import),
        "Solution": ("solutionArn", a.tastes_solution),
        "SolutionVersion": ("solutionVersionArn", a.tastes_version),
        "Campaign": ("campaignArn", a.tastes_campaign),
        "Recipe": ("recipeArn", RECIPE + "aws-sims"),
        "Algorithm": ("algorithmArn", "arn:aws:personalize:::algorithm/aws-sims"),
        "FeatureTransformation": (
            "featureTransformationArn",
            "arn:aws:personalize:::feature-transformation/JSON-percentile-filtering",
        ),
        "Filter": ("filterArn", a.arns.get("filter")),
        "EventTracker": ("eventTrackerArn", a.arns.get("tracker")),
        "Recommender": ("recommenderArn", a.arns.get("recommender")),
        "MetricAttribution": ("metricAttributionArn", a.arns.get("attribution")),
        "DatasetExportJob": ("datasetExportJobArn", a.arns.get("export_job")),
        "BatchInferenceJob": ("batchInferenceJobArn", a.arns.get("inference_job")),
        "BatchSegmentJob": ("batchSegmentJobArn", a.arns.get("segment_job")),
        "DataDeletionJob": ("dataDeletionJobArn", a.arns.get("deletion_job")),
    }
    requests: dict[str, dict[str, Any]] = {
        f"{verb}{kind}": {member: arn}
        for verb in ("Describe", "Delete", "Start", "Stop")
        for kind, (member, arn) in by_arn.items()
    }
    requests |= {
        "DeleteSchema": {"schemaArn": a.unused_schema},
        "DeleteDatasetGroup": {"datasetGroupArn": a.empty_group},
        "DeleteSolution": {"solutionArn": a.affinity_solution},
        "ListSchemas": {},
        "ListDatasetGroups": {},
        "ListRecipes": {},
        "ListSolutionVersions": {"solutionArn": a.tastes_solution},
        "ListSolutions": group,
        "ListCampaigns": {"solutionArn": a.tastes_solution},
        "ListDatasets": group,
        "ListDatasetImportJobs": {"datasetArn": a.films_users},
        "ListDatasetExportJobs": {"datasetArn": a.films_users},
        "ListDataDeletionJobs": group,
        "ListEventTrackers": group,
        "ListFilters": group,
        "ListRecommenders": {"datasetGroupArn": a.cinema_group},
        "ListMetricAttributions": group,
        "ListMetricAttributionMetrics": {"metricAttributionArn": a.arns.get("attribution")},
        "ListBatchInferenceJobs": version,
        "ListBatchSegmentJobs": {"solutionVersionArn": a.affinity_version},
        "ListTagsForResource": {"resourceArn": a.films_group},
        "TagResource": {
            "resourceArn": a.films_group,
            "tags": [{"tagKey": "team", "tagValue": "films"}],
        },
        "UntagResource": {"resourceArn": a.films_group, "tagKeys": ["team"]},
        "GetSolutionMetrics": version,
        "StopSolutionVersionCreation": version,
        "CreateSchema": {"name": "second", "schema": schema_text("Users")},
        "CreateDatasetGroup": {"name": "second"},
        "CreateDataset": {
            "name": "second",
            "schemaArn": a.films_users_schema,
            "datasetType": "Users",
            "datasetGroupArn": a.empty_group,
        },
        "CreateDatasetImportJob": {
            "jobName": "second",
            "datasetArn": a.films_users,
            "dataSource": {"dataLocation": f"{a.folder}/films-Users.csv"},
            "roleArn": ROLE,
        },
        "CreateDatasetExportJob": {
            **{"jobName": "second", "datasetArn": a.films_users, "roleArn": ROLE},
            "jobOutput": output,
            "ingestionMode": "ALL",
        },
        "CreateDataDeletionJob": {
            **{"jobName": "second", "roleArn": ROLE, **group},
            "dataSource": {"dataLocation": f"{a.folder}/leavers.csv"},
        },
        "CreateEventTracker": {"name": "second", "datasetGroupArn": a.cinema_group},
        "CreateFilter": {
            **{"name": "second", **group},
            "filterExpression": 'EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("watch")',
        },
        "CreateSolution": {
            **{"name": "second", **group, "recipeArn": RECIPE + "aws-popularity-count"},
            "performAutoTraining": False,
        },
        "CreateSolutionVersion": {"solutionArn": a.popular_solution},
        "CreateCampaign": {"name": "second", **version},
        "CreateRecommender": {
            **{"name": "second", "datasetGroupArn": a.cinema_group},
            "recipeArn": RECIPE + "aws-vod-most-popular",
        },
        "CreateMetricAttribution": {
            **{"name": "second", "datasetGroupArn": a.cinema_group, "metrics": [METRIC]},
            "metricsOutputConfig": {"roleArn": ROLE, **output},
        },
        "CreateBatchInferenceJob": {**batch, **version, "jobInput": inputs["users"]},
        "CreateBatchSegmentJob": {
            **batch,
            "solutionVersionArn": a.affinity_version,
            "jobInput": inputs["items"],
        },
        "UpdateCampaign": {"campaignArn": a.tastes_campaign, "minProvisionedTPS": 2},
        "UpdateDataset": {"datasetArn": a.films_users, "schemaArn": a.films_users_schema},
        "UpdateSolution": {"solutionArn": a.tastes_solution, "performAutoTraining": True},
        "UpdateRecommender": {
            "recommenderArn": a.arns.get("recommender"),
            "recommenderConfig": {"minRecommendationRequestsPerSecond": 2},
        },
        "UpdateMetricAttribution": {
            "metricAttributionArn": a.arns.get("attribution"),
            "addMetrics": [{**METRIC, "metricName": "again"}],
        },
        "GetRecommendations": {"campaignArn": a.tastes_campaign, "userId": "viewer-1"},
        "GetPersonalizedRanking": {
            "campaignArn": a.ranking_campaign,
            "userId": "viewer-1",
            "inputList": ["film-1", "film-2"],
        },
        "GetActionRecommendations": {"campaignArn": a.actions_campaign, "userId": "user-1"},
        "PutEvents": {
            "trackingId": a.arns.get("tracking_id"),
            "sessionId": "session-1",
            "userId": "viewer-1",
            "eventList": [EVENT],
        },
        "PutItems": {
            "datasetArn": a.films_items,
            "items": [{"itemId": "film-99", "properties": '{"genres": "noir"}'}],
        },
        "PutUsers": {
            "datasetArn": a.films_users,
            "users": [{"userId": "viewer-99", "properties": '{"age": 30}'}],
        },
        "PutActions": {
            "datasetArn": a.films_actions,
            "actions": [{"actionId": "gift", "properties": '{"value": 4}'}],
        },
        "PutActionInteractions": {
            "trackingId": a.arns.get("action_tracking_id"),
            "actionInteractions": [
                {
                    **{"actionId": "join", "userId": "user-1", "sessionId": "session-1"},
                    **{"timestamp": 1_700_000_000, "eventType": "Taken"},
                }
            ],
        },
    }
    return requests
