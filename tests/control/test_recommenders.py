"""Recommenders: how they come to answer, change, rest and go, and what is refused."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from personalens.control.work import recommenders
from personalens.jobs.job_runner import run_job, run_jobs
from personalens.service_errors import (
    InvalidInputException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from personalens.storage.model_folders import owned_folders, recommender_folder
from tests.conftest import INTERACTIONS_SCHEMA, small_world

RECIPE = "arn:aws:personalize:::recipe/"
PREFIX = "arn:aws:personalize:us-east-1:123456789012:"
MOST_POPULAR = RECIPE + "aws-vod-most-popular"


class Cinema:
    """A dataset group of the domain VIDEO_ON_DEMAND, with 3,000 events of 120 viewers."""

    def __init__(self, service, folder):
        self._service = service
        self.group = service.create_dataset_group(name="cinema", domain="VIDEO_ON_DEMAND")[
            "datasetGroupArn"
        ]
        worlds = [small_world(seed).replace({"watch": "Watch"}) for seed in (7, 8)]
        worlds[1]["USER_ID"] += "-b"
        self.frame = pd.concat(worlds)
        self.dataset = self.add("Interactions", INTERACTIONS_SCHEMA)
        path = folder / "events.csv"
        self.frame.to_csv(path, index=False)
        service.create_dataset_import_job(
            jobName="events", datasetArn=self.dataset, dataSource={"dataLocation": str(path)}
        )

    def add(self, kind, schema):
        arn = self._service.create_schema(
            name=f"cinema-{kind}", schema=json.dumps(schema), domain="VIDEO_ON_DEMAND"
        )["schemaArn"]
        return self._service.create_dataset(
            name=kind, schemaArn=arn, datasetGroupArn=self.group, datasetType=kind
        )["datasetArn"]

    def recommender(self, recipe="aws-vod-most-popular", name="popular", **members):
        return self._service.create_recommender(
            name=name, datasetGroupArn=self.group, recipeArn=RECIPE + recipe, **members
        )["recommenderArn"]

    def describe(self, arn):
        return self._service.describe_recommender(recommenderArn=arn)["recommender"]


@pytest.fixture
def cinema(service, tmp_path):
    return Cinema(service, tmp_path)


def asked(service, arn, **request):
    answer = service.get_recommendations(recommenderArn=arn, **request)
    return [item["itemId"] for item in answer["itemList"]]


def test_it_trains_by_itself_and_is_described_with_its_figures(service, cinema):
    arn = cinema.recommender()
    assert arn == PREFIX + "recommender/popular"
    found = cinema.describe(arn)
    assert found.pop("creationDateTime") < found.pop("lastUpdatedDateTime")
    metrics = found.pop("modelMetrics")
    assert found == {
        "recommenderArn": arn,
        "name": "popular",
        "datasetGroupArn": cinema.group,
        "recipeArn": MOST_POPULAR,
        "recommenderConfig": {"minRecommendationRequestsPerSecond": 1},
        "status": "ACTIVE",
    }
    assert 0 < metrics["coverage"] <= 1
    assert "precision_at_5" in metrics


def test_it_answers_from_its_event_type(service, cinema):
    watches = cinema.frame[cinema.frame["EVENT_TYPE"] == "Watch"]
    users = watches.groupby("ITEM_ID")["USER_ID"].nunique()
    first = asked(service, cinema.recommender(), userId="viewer-1", numResults=1)
    assert users[first[0]] == users.max()


def test_states_of_a_creation(service, cinema, waiting):
    arn = cinema.recommender()
    assert cinema.describe(arn)["status"] == "CREATE PENDING"
    with pytest.raises(ResourceNotFoundException, match="is CREATE PENDING"):
        asked(service, arn, userId="viewer-1")
    for operation in (service.delete_recommender, service.stop_recommender):
        with pytest.raises(ResourceInUseException, match="CREATE PENDING"):
            operation(recommenderArn=arn)
    with pytest.raises(ResourceInUseException, match=r"in use by .*popular"):
        service.delete_dataset(datasetArn=cinema.dataset)
    run_jobs(waiting)
    assert cinema.describe(arn)["status"] == "ACTIVE"


def test_it_stops_and_starts_with_the_same_model(service, cinema, waiting):
    arn = cinema.recommender()
    run_jobs(waiting)
    before = asked(service, arn, userId="viewer-1")
    service.stop_recommender(recommenderArn=arn)
    assert cinema.describe(arn)["status"] == "STOP PENDING"
    run_jobs(waiting)
    assert cinema.describe(arn)["status"] == "INACTIVE"
    with pytest.raises(ResourceNotFoundException, match=r"Recommender .* is INACTIVE"):
        asked(service, arn, userId="viewer-1")
    with pytest.raises(InvalidInputException, match="is INACTIVE; only a recommender that is ACT"):
        service.stop_recommender(recommenderArn=arn)
    model = waiting.store.require(arn).body["_model"]
    service.start_recommender(recommenderArn=arn)
    assert cinema.describe(arn)["status"] == "START PENDING"
    run_jobs(waiting)
    assert cinema.describe(arn)["status"] == "ACTIVE"
    assert waiting.store.require(arn).body["_model"] == model
    assert asked(service, arn, userId="viewer-1") == before
    with pytest.raises(InvalidInputException, match="is ACTIVE; only a recommender that is INACT"):
        service.start_recommender(recommenderArn=arn)


def test_an_update_of_the_configuration_keeps_the_model(service, cinema, waiting):
    arn = cinema.recommender()
    run_jobs(waiting)
    model = waiting.store.require(arn).body["_model"]
    config = {"enableMetadataWithRecommendations": True}
    service.update_recommender(recommenderArn=arn, recommenderConfig=config)
    found = cinema.describe(arn)
    assert (found["status"], found["latestRecommenderUpdate"]["status"]) == (
        "ACTIVE",
        "CREATE PENDING",
    )
    assert "enableMetadataWithRecommendations" not in found["recommenderConfig"]
    with pytest.raises(ResourceInUseException, match="latestRecommenderUpdate"):
        service.update_recommender(recommenderArn=arn, recommenderConfig=config)
    run_jobs(waiting)
    found = cinema.describe(arn)
    assert found["latestRecommenderUpdate"]["status"] == "ACTIVE"
    assert found["recommenderConfig"] == {"minRecommendationRequestsPerSecond": 1, **config}
    assert waiting.store.require(arn).body["_model"] == model


def test_other_training_columns_mean_another_model(service, cinema):
    arn = cinema.recommender()
    store, home = service.context.store, service.home
    first = recommender_folder(home, arn, store.require(arn).body["_model"])
    columns = {"excludedDatasetColumns": {"INTERACTIONS": ["DEVICE"]}}
    service.update_recommender(
        recommenderArn=arn, recommenderConfig={"trainingDataConfig": columns}
    )
    assert cinema.describe(arn)["latestRecommenderUpdate"]["status"] == "ACTIVE"
    second = recommender_folder(home, arn, store.require(arn).body["_model"])
    assert second != first
    assert (first.exists(), second.exists()) == (False, True)
    assert asked(service, arn, userId="viewer-1")


def test_too_few_events_of_the_type_fail_with_the_service_s_words(service, cinema, monkeypatch):
    monkeypatch.setattr("personalens.control.work.training_data.MIN_INTERACTIONS", 2000)
    arn = cinema.recommender()
    found = cinema.describe(arn)
    assert found["status"] == "CREATE FAILED"
    assert (
        "fewer than 2000 interactions after filtering by event type: Watch"
        in (found["failureReason"])
    )
    monkeypatch.undo()
    service.update_recommender(recommenderArn=arn, recommenderConfig={})
    found = cinema.describe(arn)
    assert found["status"] == "ACTIVE"
    assert "failureReason" not in found


def test_an_update_that_fails_leaves_the_recommender_as_it_was(service, cinema, monkeypatch):
    arn = cinema.recommender()
    before = asked(service, arn, userId="viewer-1")
    monkeypatch.setattr("personalens.control.work.training_data.MIN_INTERACTIONS", 10**6)
    columns = {"includedDatasetColumns": {"INTERACTIONS": ["DEVICE"]}}
    service.update_recommender(
        recommenderArn=arn, recommenderConfig={"trainingDataConfig": columns}
    )
    found = cinema.describe(arn)
    assert (found["status"], found["latestRecommenderUpdate"]["status"]) == (
        "ACTIVE",
        "CREATE FAILED",
    )
    assert "fewer than" in found["latestRecommenderUpdate"]["failureReason"]
    assert "trainingDataConfig" not in found["recommenderConfig"]
    assert asked(service, arn, userId="viewer-1") == before
    folders = [path for path in service.home.models.glob("*/*") if path.is_dir()]
    assert set(folders) == owned_folders(service.home, service.context.store)


def test_a_training_that_was_cut_short_is_finished_by_the_next_worker(
    service, cinema, waiting, monkeypatch
):
    arn = cinema.recommender()
    job = waiting.jobs.claim()
    with monkeypatch.context() as patch:  # killed when the model lay there and nobody knew yet
        patch.setattr(recommenders, "read_outcome", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_job(waiting, job)
    assert cinema.describe(arn)["status"] == "CREATE IN_PROGRESS"
    [model] = service.home.models.glob("*/*")
    written = model.stat().st_mtime_ns
    run_jobs(waiting)
    assert cinema.describe(arn)["status"] == "ACTIVE"
    [model] = service.home.models.glob("*/*")
    assert model.stat().st_mtime_ns == written


def interrupt(folder):
    raise KeyboardInterrupt


@pytest.mark.usefixtures("quick_deletions")
def test_deleting_removes_the_model(service, cinema):
    arn = cinema.recommender()
    service.delete_recommender(recommenderArn=arn)
    with pytest.raises(ResourceNotFoundException):
        service.describe_recommender(recommenderArn=arn)
    assert list(service.home.models.iterdir()) == []


def test_only_use_cases_of_the_group_s_domain(service, cinema, films):
    for recipe in ("aws-popularity-count", "aws-ecomm-popular-items-by-views"):
        with pytest.raises(InvalidInputException, match="not a use case of the domain VIDEO"):
            cinema.recommender(recipe)
    with pytest.raises(InvalidInputException, match="custom dataset group"):
        service.create_recommender(name="r", datasetGroupArn=films.group, recipeArn=MOST_POPULAR)
    with pytest.raises(ResourceNotFoundException, match="recipe"):
        cinema.recommender("aws-none")
    with pytest.raises(InvalidInputException, match="for recommenders"):
        service.create_solution(name="s", datasetGroupArn=cinema.group, recipeArn=MOST_POPULAR)
    assert service.list_recommenders()["recommenders"] == []


def test_a_domain_group_takes_custom_solutions_too(service, cinema):
    solution = service.create_solution(
        name="custom", datasetGroupArn=cinema.group, recipeArn=RECIPE + "aws-popularity-count"
    )["solutionArn"]
    version = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
    described = service.describe_solution_version(solutionVersionArn=version)["solutionVersion"]
    assert described["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("recipe", "config", "reason"),
    [
        ("aws-vod-top-picks", {}, "needs the dataset ITEMS"),
        ("aws-vod-most-popular", {"itemExplorationConfig": {}}, "does not apply"),
        (
            "aws-vod-most-popular",
            {"trainingDataConfig": {"excludedDatasetColumns": {"INTERACTIONS": ["COLOUR"]}}},
            "columns that INTERACTIONS does not have: COLOUR",
        ),
    ],
)
def test_what_does_not_fit_is_refused(service, cinema, recipe, config, reason):
    with pytest.raises(InvalidInputException, match=reason):
        cinema.recommender(recipe, recommenderConfig=config)
    assert service.list_recommenders()["recommenders"] == []


def test_a_recommender_is_no_campaign(service, cinema):
    arn = cinema.recommender()
    with pytest.raises(ResourceNotFoundException, match="names a recommender"):
        service.get_recommendations(campaignArn=arn, userId="viewer-1")
    with pytest.raises(ResourceNotFoundException, match="names a recommender"):
        service.get_personalized_ranking(campaignArn=arn, userId="u", inputList=["film-1"])
    with pytest.raises(InvalidInputException, match="one of campaignArn and recommenderArn"):
        service.get_recommendations(campaignArn=arn, recommenderArn=arn, userId="viewer-1")


def test_most_popular_asks_for_a_user(service, cinema):
    with pytest.raises(InvalidInputException, match="userId is missing"):
        asked(service, cinema.recommender())


def test_because_you_watched_hides_what_the_user_watched(service, cinema):
    arn = cinema.recommender("aws-vod-because-you-watched-x", "because")
    with pytest.raises(InvalidInputException, match="userId is missing"):
        asked(service, arn, itemId="film-1")
    with pytest.raises(InvalidInputException, match="itemId is missing"):
        asked(service, arn, userId="viewer-1")
    mine = cinema.frame[cinema.frame["USER_ID"] == "viewer-1"]
    watched = set(mine.loc[mine["EVENT_TYPE"] == "Watch", "ITEM_ID"])
    answer = service.get_recommendations(recommenderArn=arn, userId="viewer-1", itemId="film-1")
    listed = [item["itemId"] for item in answer["itemList"]]
    assert listed
    assert not watched & set(listed)
    assert all(set(item) == {"itemId"} for item in answer["itemList"])
    assert watched & set(asked(service, arn, userId="nobody", itemId="film-1", numResults=500))
