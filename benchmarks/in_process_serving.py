"""What one GetRecommendations costs: in all through boto3, and inside PersonaLens alone.

    python benchmarks/in_process_serving.py [--items 1700] [--users 943] [--events 106]

The data are random (the cost depends on sizes only: by default those of ml-100k), the models are
real: each recipe is imported, trained and deployed through the service, in a home that is deleted
afterwards. "first" is the first request of each user, for whom HRNN reads the whole history;
"again" is every later one.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import numpy as np
import pandas as pd

import personalens
from personalens.control.provider import PersonalizeProvider
from personalens.control.service_context import ServiceContext
from personalens.home import Home
from personalens.runtime.provider import PersonalizeRuntimeProvider

RECIPES = ("aws-hrnn", "aws-sims", "aws-popularity-count")
SCHEMA = {
    "type": "record",
    "name": "Interactions",
    "namespace": "com.amazonaws.personalize.schema",
    "fields": [
        {"name": "USER_ID", "type": "string"},
        {"name": "ITEM_ID", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
    ],
    "version": "1.0",
}


def random_interactions(users: int, items: int, events: int) -> pd.DataFrame:
    """Return events in which every item occurs, the lower its number the more often."""
    rng = np.random.default_rng(0)
    count = users * events
    popular = np.minimum(rng.exponential(items / 5, count).astype(int), items - 1)
    popular[:items] = np.arange(items)
    return pd.DataFrame(
        {
            "USER_ID": [f"user-{code}" for code in rng.integers(users, size=count)],
            "ITEM_ID": [f"item-{code}" for code in popular],
            "TIMESTAMP": 1_600_000_000 + rng.integers(10**8, size=count),
        }
    )


def deploy(context: ServiceContext, csv: Path) -> dict[str, str]:
    """Import the CSV and put a campaign in front of each recipe; return the campaigns' ARNs."""
    personalize = PersonalizeProvider(context)
    schema = personalize.create_schema(name="films", schema=json.dumps(SCHEMA))["schemaArn"]
    group = personalize.create_dataset_group(name="films")["datasetGroupArn"]
    dataset = personalize.create_dataset(
        name="films", schemaArn=schema, datasetGroupArn=group, datasetType="Interactions"
    )["datasetArn"]
    personalize.create_dataset_import_job(
        jobName="films", datasetArn=dataset, dataSource={"dataLocation": str(csv)}
    )
    campaigns = {}
    for recipe in RECIPES:
        arn = f"arn:aws:personalize:::recipe/{recipe}"
        solution = personalize.create_solution(name=recipe, datasetGroupArn=group, recipeArn=arn)
        version = personalize.create_solution_version(**solution)
        campaigns[recipe] = personalize.create_campaign(name=recipe, **version)["campaignArn"]
    return campaigns


def measure(call: Callable[..., dict], requests: list[dict[str, str]]) -> str:
    """Return median and 99th percentile in milliseconds."""
    seconds = []
    for request in requests:
        began = time.perf_counter()
        answer = call(**request)
        seconds.append(time.perf_counter() - began)
        assert len(answer["itemList"]) == 25
    median, late = np.percentile(seconds, [50, 99]) * 1000
    return f"{median:7.3f} {late:7.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1700)
    parser.add_argument("--users", type=int, default=943)
    parser.add_argument("--events", type=int, default=106, help="a user, on average")
    options = parser.parse_args()
    os.environ.setdefault("PERSONALENS_TRAINING_MAX_EPOCHS", "1")  # serving costs the same
    with tempfile.TemporaryDirectory() as folder:
        csv = Path(folder) / "interactions.csv"
        frame = random_interactions(options.users, options.items, options.events)
        frame.to_csv(csv, index=False)
        context = ServiceContext.open(Home(Path(folder) / "home"), inline_jobs=True)
        campaigns = deploy(context, csv)
        users, items = frame["USER_ID"].unique()[:500], frame["ITEM_ID"].unique()[:500]
        print(f"{options.items} items, 25 results; milliseconds: median and 99th percentile")
        print(f"{'':22}{'inside PersonaLens':>33}{'through boto3':>33}")
        print(f"{'':22}{'first':>16} {'again':>16} {'first':>15} {'again':>16}")
        with personalens.activate(context.home.path, quiet=True):
            for recipe, campaign in campaigns.items():
                requests = [
                    {"campaignArn": campaign, "userId": user, "itemId": item}
                    for user, item in zip(users, items, strict=False)
                ]
                columns = []
                for call in (
                    PersonalizeRuntimeProvider(context).get_recommendations,
                    boto3.client("personalize-runtime").get_recommendations,
                ):
                    call(campaignArn=campaign, userId="nobody", itemId="nothing")  # load the model
                    columns += [measure(call, requests), measure(call, requests)]
                print(f"{recipe:22}", *columns)


if __name__ == "__main__":
    main()
