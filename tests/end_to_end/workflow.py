"""Amazon Personalize from a CSV to recommendations, in documented boto3 calls.

    python workflow.py interactions.csv                                    # on this machine
    python workflow.py interactions.csv --bucket B --role-arn arn:aws:...  # the data go through S3

One line makes it local: ``personalens.activate()`` in ``main``. Without that line and its import,
this is a script for AWS.
"""

import argparse
import json
import time
from pathlib import Path

import boto3

import personalens

RECIPES = ("aws-hrnn", "aws-sims", "aws-popularity-count")
CLICKED_AT = 1_800_000_000
SCHEMA = {
    "type": "record",
    "name": "Interactions",
    "namespace": "com.amazonaws.personalize.schema",
    "fields": [
        {"name": "USER_ID", "type": "string"},
        {"name": "ITEM_ID", "type": "string"},
        {"name": "TIMESTAMP", "type": "long"},
        {"name": "EVENT_TYPE", "type": "string"},
        {"name": "EVENT_VALUE", "type": ["float", "null"]},
    ],
    "version": "1.0",
}


def wait_until_active(describe, seconds):
    """Call ``describe`` until the resource that it returns is ACTIVE."""
    while (resource := describe())["status"] != "ACTIVE":
        if resource["status"] == "CREATE FAILED":
            raise RuntimeError(resource["failureReason"])
        time.sleep(seconds)


def import_interactions(personalize, csv, bucket, role_arn, seconds):
    """Make a dataset group with an Interactions dataset, import the CSV, and return its ARN."""
    schema_arn = personalize.create_schema(name="films", schema=json.dumps(SCHEMA))["schemaArn"]
    group_arn = personalize.create_dataset_group(name="films")["datasetGroupArn"]
    wait_until_active(
        lambda: personalize.describe_dataset_group(datasetGroupArn=group_arn)["datasetGroup"],
        seconds,
    )
    dataset_arn = personalize.create_dataset(
        name="films", schemaArn=schema_arn, datasetGroupArn=group_arn, datasetType="Interactions"
    )["datasetArn"]
    wait_until_active(
        lambda: personalize.describe_dataset(datasetArn=dataset_arn)["dataset"], seconds
    )
    location = str(csv.resolve())
    if bucket:
        boto3.client("s3").upload_file(str(csv), bucket, csv.name)
        location = f"s3://{bucket}/{csv.name}"
    job_arn = personalize.create_dataset_import_job(
        jobName="films",
        datasetArn=dataset_arn,
        dataSource={"dataLocation": location},
        roleArn=role_arn,
    )["datasetImportJobArn"]
    wait_until_active(
        lambda: personalize.describe_dataset_import_job(datasetImportJobArn=job_arn)[
            "datasetImportJob"
        ],
        seconds,
    )
    return group_arn


def deploy(personalize, group_arn, recipe, seconds):
    """Train a recipe, print what it measured, and return the ARN of a campaign."""
    solution_arn = personalize.create_solution(
        name=recipe,
        datasetGroupArn=group_arn,
        recipeArn=f"arn:aws:personalize:::recipe/{recipe}",
        performAutoTraining=False,
    )["solutionArn"]
    wait_until_active(
        lambda: personalize.describe_solution(solutionArn=solution_arn)["solution"], seconds
    )
    version_arn = personalize.create_solution_version(solutionArn=solution_arn)[
        "solutionVersionArn"
    ]
    wait_until_active(
        lambda: personalize.describe_solution_version(solutionVersionArn=version_arn)[
            "solutionVersion"
        ],
        seconds,
    )
    metrics = personalize.get_solution_metrics(solutionVersionArn=version_arn)["metrics"]
    print(recipe, json.dumps(metrics))
    campaign_arn = personalize.create_campaign(
        name=recipe, solutionVersionArn=version_arn, minProvisionedTPS=1
    )["campaignArn"]
    wait_until_active(
        lambda: personalize.describe_campaign(campaignArn=campaign_arn)["campaign"], seconds
    )
    return campaign_arn


def shape(personalize, runtime, group_arn, campaign_arn, options):
    """Print a list without what the user has had, and the list after another click."""
    filter_arn = personalize.create_filter(
        name="not-seen",
        datasetGroupArn=group_arn,
        filterExpression='EXCLUDE ItemID WHERE Interactions.EVENT_TYPE IN ("*")',
    )["filterArn"]
    wait_until_active(
        lambda: personalize.describe_filter(filterArn=filter_arn)["filter"], options.seconds
    )
    tracker = personalize.create_event_tracker(name="clicks", datasetGroupArn=group_arn)
    tracker_arn = tracker["eventTrackerArn"]
    wait_until_active(
        lambda: personalize.describe_event_tracker(eventTrackerArn=tracker_arn)["eventTracker"],
        options.seconds,
    )
    asked = {"campaignArn": campaign_arn, "userId": options.user, "numResults": 5}
    answer = runtime.get_recommendations(filterArn=filter_arn, **asked)
    print("filtered", json.dumps(answer["itemList"]))
    click = {"eventType": "watch", "itemId": options.item, "sentAt": CLICKED_AT}
    boto3.client("personalize-events").put_events(
        trackingId=tracker["trackingId"],
        userId=options.user,
        sessionId="session-1",
        eventList=[click],
    )
    answer = runtime.get_recommendations(**asked)
    print("clicked", json.dumps(answer["itemList"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", type=Path)
    parser.add_argument("--bucket", help="upload the CSV there; AWS reads from S3 only")
    parser.add_argument("--role-arn", default="arn:aws:iam::123456789012:role/personalize")
    parser.add_argument("--user", default="viewer-1")
    parser.add_argument("--item", default="film-1")
    parser.add_argument("--seconds", type=float, default=0.2, help="between looks; 30 on AWS")
    options = parser.parse_args()

    personalens.activate()
    personalize = boto3.client("personalize")
    runtime = boto3.client("personalize-runtime")
    group_arn = import_interactions(
        personalize, options.csv, options.bucket, options.role_arn, options.seconds
    )
    campaigns = {
        recipe: deploy(personalize, group_arn, recipe, options.seconds) for recipe in RECIPES
    }
    for recipe, campaign_arn in campaigns.items():
        subject = {"itemId": options.item} if recipe == "aws-sims" else {"userId": options.user}
        answer = runtime.get_recommendations(campaignArn=campaign_arn, numResults=5, **subject)
        print(recipe, json.dumps(answer["itemList"]))
    shape(personalize, runtime, group_arn, campaigns["aws-hrnn"], options)


if __name__ == "__main__":
    main()
