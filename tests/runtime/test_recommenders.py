"""What recommenders answer: hidden items, exploration, metadata, filters and live events."""

from __future__ import annotations

import json
import time

import pandas as pd
import pytest

from personalens.home import Home
from personalens.service_errors import InvalidInputException
from tests.conftest import INTERACTIONS_SCHEMA, ITEMS, Service, small_world

RECIPE = "arn:aws:personalize:::recipe/"
CONFIG = {"enableMetadataWithRecommendations": True}
ITEM_FIELDS = [
    {"name": "ITEM_ID", "type": "string"},
    {"name": "PRICE", "type": "float"},
    {"name": "CATEGORY_L1", "type": "string", "categorical": True},
]


class Shop:
    """A dataset group of the domain ECOMMERCE: what is "watched" in the small world is bought."""

    def __init__(self, service, folder):
        self._service, self._folder = service, folder
        self.group = service.create_dataset_group(name="shop", domain="ECOMMERCE")[
            "datasetGroupArn"
        ]
        types = {"watch": "Purchase", "click": "View"}
        self.frame = small_world().replace({"EVENT_TYPE": types})
        self.load("Interactions", INTERACTIONS_SCHEMA["fields"], self.frame)
        rows = [(f"film-{n}", float(n), f"genre-{n % 4}") for n in range(ITEMS)]
        items = pd.DataFrame(rows, columns=["ITEM_ID", "PRICE", "CATEGORY_L1"])
        self.load("Items", ITEM_FIELDS, items)
        self.tracker = service.create_event_tracker(name="shop", datasetGroupArn=self.group)[
            "trackingId"
        ]

    def load(self, kind, fields, frame):
        schema = json.dumps({**INTERACTIONS_SCHEMA, "name": kind, "fields": fields})
        arn = self._service.create_schema(name=f"shop-{kind}", schema=schema, domain="ECOMMERCE")
        dataset = self._service.create_dataset(
            name=kind, schemaArn=arn["schemaArn"], datasetGroupArn=self.group, datasetType=kind
        )["datasetArn"]
        path = self._folder / f"{kind}.csv"
        frame.to_csv(path, index=False)
        self._service.create_dataset_import_job(
            jobName=kind, datasetArn=dataset, dataSource={"dataLocation": str(path)}
        )

    def bought_by(self, user):
        mine = self.frame[self.frame["USER_ID"] == user]
        return set(mine.loc[mine["EVENT_TYPE"] == "Purchase", "ITEM_ID"])

    def buy(self, user, item):
        event = {"eventType": "Purchase", "itemId": item, "sentAt": int(time.time())}
        self._service.put_events(
            trackingId=self.tracker, sessionId="session", userId=user, eventList=[event]
        )


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """The services on a home that the tests of this file share: a training takes seconds."""
    return Service(Home(tmp_path_factory.mktemp("recommenders") / "home"))


@pytest.fixture(scope="module")
def shop(service, tmp_path_factory):
    return Shop(service, tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def for_you(service, shop):
    """A recommender of the personalised use case, hardly trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "1")
        arn = service.create_recommender(
            name="for-you",
            datasetGroupArn=shop.group,
            recipeArn=RECIPE + "aws-ecomm-recommended-for-you",
            recommenderConfig={**CONFIG, "itemExplorationConfig": {"explorationWeight": "0"}},
        )["recommenderArn"]
    found = service.describe_recommender(recommenderArn=arn)["recommender"]
    assert found["status"] == "ACTIVE", found
    return arn


def listed(service, arn, **request):
    answer = service.get_recommendations(recommenderArn=arn, **request)
    return [item["itemId"] for item in answer["itemList"]]


def test_what_was_bought_is_not_recommended_and_a_purchase_counts_at_once(service, shop, for_you):
    before = listed(service, for_you, userId="viewer-2", numResults=500)
    assert set(before) == {f"film-{n}" for n in range(ITEMS)} - shop.bought_by("viewer-2")
    shop.buy("viewer-2", before[0])
    after = listed(service, for_you, userId="viewer-2", numResults=500)
    assert set(after) == set(before[1:])


def test_lists_have_metadata_and_no_scores(service, for_you):
    answer = service.get_recommendations(
        recommenderArn=for_you,
        userId="viewer-1",
        numResults=3,
        metadataColumns={"ITEMS": ["PRICE", "CATEGORY_L1"]},
    )
    for item in answer["itemList"]:
        number = int(item["itemId"].removeprefix("film-"))
        assert item["metadata"] == {"price": f"{number}.0", "category_l1": f"genre-{number % 4}"}
        assert set(item) == {"itemId", "metadata"}


def test_filters_of_the_group_apply(service, shop, for_you):
    cheap = service.create_filter(
        name="cheap",
        datasetGroupArn=shop.group,
        filterExpression="INCLUDE ItemID WHERE Items.PRICE < 10",
    )["filterArn"]
    found = listed(service, for_you, userId="viewer-1", numResults=500, filterArn=cheap)
    wanted = {f"film-{n}" for n in range(10)}
    assert set(found) == wanted - shop.bought_by("viewer-1")


def test_exploration_is_the_recommender_s(service, for_you):
    def lists():
        return {tuple(listed(service, for_you, userId="viewer-1")) for _ in range(5)}

    assert len(lists()) == 1
    explores = {
        "itemExplorationConfig": {"explorationWeight": "1", "explorationItemAgeCutOff": "9999"}
    }
    service.update_recommender(recommenderArn=for_you, recommenderConfig=explores)
    assert len(lists()) > 1


def test_a_model_that_is_trained_anew_serves_the_next_request(service, shop, monkeypatch):
    monkeypatch.setattr("personalens.control.work.training_data.MIN_INTERACTIONS", 500)
    arn = service.create_recommender(
        name="views",
        datasetGroupArn=shop.group,
        recipeArn=RECIPE + "aws-ecomm-popular-items-by-views",
    )["recommenderArn"]
    before = listed(service, arn, userId="viewer-1", numResults=500)
    with pytest.raises(InvalidInputException, match="does not answer with metadata"):
        service.get_recommendations(
            recommenderArn=arn, userId="u", metadataColumns={"ITEMS": ["PRICE"]}
        )
    columns = {"excludedDatasetColumns": {"INTERACTIONS": ["DEVICE"]}}
    service.update_recommender(
        recommenderArn=arn, recommenderConfig={**CONFIG, "trainingDataConfig": columns}
    )
    assert listed(service, arn, userId="viewer-1", numResults=500) == before
    assert listed(service, arn, userId="u", numResults=3, metadataColumns={"ITEMS": ["PRICE"]})
