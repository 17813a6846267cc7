"""What operations stand on, and the provider that composes them."""

from __future__ import annotations

import inspect

import pytest
from botocore import xform_name

from personalens.aws.service_models import CONTROL, operations
from personalens.control.operations.provider import PersonalizeProvider
from personalens.jobs import opening
from personalens.jobs.opening import open_home
from personalens.service_errors import ResourceNotFoundException
from personalens.storage.resource_store import Resource

SCHEMA = "arn:aws:personalize:eu-west-1:999999999999:schema/films"

THIS_WORKFLOW = {
    f"{verb}{noun}"
    for noun in ("Schema", "DatasetGroup", "Dataset", "Solution", "Campaign")
    for verb in ("Create", "Describe", "Delete")
} | {
    "ListSchemas",
    "ListDatasetGroups",
    "ListDatasets",
    "CreateDatasetImportJob",
    "DescribeDatasetImportJob",
    "ListDatasetImportJobs",
    "ListSolutions",
    "CreateSolutionVersion",
    "DescribeSolutionVersion",
    "ListSolutionVersions",
    "StopSolutionVersionCreation",
    "GetSolutionMetrics",
    "ListCampaigns",
    "UpdateCampaign",
    "ListRecipes",
    "DescribeRecipe",
    "DescribeAlgorithm",
    "DescribeFeatureTransformation",
    "TagResource",
    "UntagResource",
    "ListTagsForResource",
}


def provided() -> dict[str, object]:
    return {
        name: operation
        for name, operation in operations(CONTROL).items()
        if hasattr(PersonalizeProvider, operation.method)
    }


def test_the_operations_of_the_workflow_are_there():
    assert set(provided()) >= THIS_WORKFLOW


def test_every_method_is_an_operation_and_takes_its_members():
    for name, operation in provided().items():
        parameters = inspect.signature(getattr(PersonalizeProvider, operation.method)).parameters
        members = operation.model.input_shape.members
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
            assert set(parameters) - {"self"} == set(members), name
    methods = {name for name in dir(PersonalizeProvider) if not name.startswith("_")}
    assert methods == {xform_name(name) for name in provided()}


def test_region_and_account_scope_what_is_seen(home):
    here = PersonalizeProvider(open_home(home, inline_jobs=True))
    there = PersonalizeProvider(
        open_home(home, region="eu-west-1", account="999999999999", inline_jobs=True)
    )
    arn = there.create_dataset_group(name="films")["datasetGroupArn"]
    assert arn == "arn:aws:personalize:eu-west-1:999999999999:dataset-group/films"
    assert here.list_dataset_groups() == {"datasetGroups": []}
    assert here.create_dataset_group(name="films")["datasetGroupArn"] != arn


def test_the_account_comes_from_the_environment(home, monkeypatch):
    monkeypatch.setenv("PERSONALENS_ACCOUNT_ID", "111122223333")
    assert open_home(home).account == "111122223333"


def test_a_context_for_an_arn_shares_the_connections(context):
    other = context.for_arn(SCHEMA)
    assert (other.region, other.account) == ("eu-west-1", "999999999999")
    with other.store.transaction() as tx:
        tx.insert(Resource(SCHEMA, "schema", "films"))
    assert context.store.list("schema") == []
    assert context.jobs.store.get(SCHEMA).name == "films"


@pytest.mark.parametrize(("mode", "inline"), [("inline", True), ("worker", False), ("", False)])
def test_the_environment_says_where_jobs_run(home, monkeypatch, mode, inline):
    monkeypatch.setenv("PERSONALENS_JOBS", mode)
    spawned = []
    monkeypatch.setattr(opening, "_spawn", lambda home, place: spawned.append(place))
    context = open_home(home)
    with context.store.transaction() as tx:
        tx.insert(Resource(SCHEMA, "campaign", "films", status="CREATE PENDING"))
        context.jobs.enqueue(tx, "nonsense", SCHEMA)
    assert (context.jobs.progress(SCHEMA)["state"] == "FAILED") is inline
    assert bool(spawned) is not inline


def test_an_unknown_mode_is_named(home, monkeypatch):
    monkeypatch.setenv("PERSONALENS_JOBS", "later")
    with pytest.raises(ValueError, match="'later'; allowed: inline, worker"):
        open_home(home)


def test_describe_wakes_a_worker_for_what_nobody_does(home, monkeypatch):
    spawned = []
    monkeypatch.setattr(opening, "_spawn", lambda home, place: spawned.append(place))
    context = open_home(home, inline_jobs=False)
    arn = SCHEMA.replace("eu-west-1:999999999999", "us-east-1:123456789012")
    with context.store.transaction() as tx:
        tx.insert(Resource(arn, "campaign", "films", status="CREATE PENDING"))
        context.jobs.enqueue(tx, "nonsense", arn)
        tx.after_commit.clear()  # the process died before it could start a worker
    assert spawned == []
    described = PersonalizeProvider(context).describe_campaign(campaignArn=arn)["campaign"]
    assert described["status"] == "CREATE PENDING"
    assert len(spawned) == 1


def test_a_region_of_another_partition_works_from_group_to_answer(service, request):
    service.use(open_home(service.home, region="cn-north-1", inline_jobs=True))
    films = request.getfixturevalue("films")
    recipe = service.describe_recipe(recipeArn="arn:aws:personalize:::recipe/aws-popularity-count")
    told = recipe["recipe"]
    solution = service.create_solution(
        name="s", datasetGroupArn=films.group, recipeArn=told["recipeArn"]
    )["solutionArn"]
    version = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    campaign = service.create_campaign(name="c", solutionVersionArn=version)["campaignArn"]
    tracker = service.create_event_tracker(name="t", datasetGroupArn=films.group)
    event = {"eventType": "watch", "sentAt": 1_700_000_000, "itemId": "film-1"}
    service.put_events(
        trackingId=tracker["trackingId"], userId="u", sessionId="s", eventList=[event]
    )
    answer = service.get_recommendations(campaignArn=campaign, userId="u", numResults=3)
    assert len(answer["itemList"]) == 3
    described = service.describe_solution(solutionArn=solution)["solution"]
    here = "arn:aws-cn:personalize:cn-north-1:123456789012:"
    made = (films.schema, films.group, films.dataset, solution, version, campaign)
    assert all(arn.startswith(here) for arn in (*made, tracker["eventTrackerArn"]))
    assert service.context.events.newest(f"{here}dataset/films/INTERACTIONS") > 0
    provided = "arn:aws-cn:personalize:::"
    assert described["recipeArn"] == f"{provided}recipe/aws-popularity-count"
    assert told["algorithmArn"].startswith(f"{provided}algorithm/")
    assert told["featureTransformationArn"].startswith(f"{provided}feature-transformation/")
    for recipe in service.list_recipes()["recipes"]:
        assert recipe["recipeArn"] == f"{provided}recipe/{recipe['name']}"
    with pytest.raises(ResourceNotFoundException):
        service.describe_recipe(recipeArn="arn:aws-us-gov:personalize:::recipe/aws-hrnn")
