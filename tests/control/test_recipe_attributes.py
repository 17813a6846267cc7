"""What a recipe from outside the package can do by setting attributes, and cannot without them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from personalens.activation import register
from personalens.recipes.base import Recipe
from personalens.recipes.item_affinity import ItemAffinity
from personalens.recipes.item_attribute_affinity import ItemAttributeAffinity
from personalens.recipes.similar_items import SimilarItems
from personalens.service_errors import InvalidInputException
from tests.dataset_tables import import_table

HOUR = 3600.0
COLD = "film-40"
ITEMS = [
    {"name": "ITEM_ID", "type": "string"},
    {"name": "TITLE", "type": "string", "itemName": True},
    {"name": "PRICE", "type": "float"},
    {"name": "PLOT", "type": ["null", "string"], "textual": True},
]


class Plain(Recipe):
    """Counts events."""

    name = "plain"
    recipe_type = "USER_PERSONALIZATION"
    has_scores = has_cold_items = True

    def _fit(self, interactions, items, users, progress, refit):
        self.counts_ = np.bincount(
            interactions.item_codes, interactions.event_weights, len(interactions.items)
        ).astype(np.float32)

    def _score(self, histories):
        return np.tile(self.counts_, (len(histories), 1))

    def _tensors(self):
        return {"counts": self.counts_}

    def _restore(self, tensors):
        self.counts_ = tensors["counts"]


class Able(Plain):
    """Counts events, and does all that a recipe may do."""

    name = "able"
    weighs_events = takes_objective = explores = takes_exploration = True
    tells_metadata = takes_updates = True
    updated_every = 2 * HOUR

    def explore(self, scores, history, *, weight, cutoff_days, rng):
        return scores + 1e6 * weight * (self.counts_ == 0)

    def recount(self, interactions, items):
        self.counts_ = self.counts_ + np.float32(0.5)


class OnRequest(Able):
    """Is updated only if the solution wants it."""

    name = "on-request"
    updated_on_request = True


class Themed(SimilarItems):
    """Relates items, and gives the lists themes."""

    name = "themed"


class ByAttributes(ItemAttributeAffinity):
    """Ranks users for items of a kind."""

    name = "by-attributes"


class ByItem(ItemAffinity):
    """Ranks users for an item."""

    name = "by-item"


@pytest.fixture
def shop(service, films, tmp_path):
    """The films with prices; film-40 is new."""
    rows = [(f"film-{n}", f"Film {n}", float(n), f"Story {n}") for n in range(41)]
    frame = pd.DataFrame(rows, columns=[field["name"] for field in ITEMS])
    import_table(service, films.group, tmp_path, "Items", ITEMS, frame)
    return films


@pytest.fixture
def solution_of(service, shop):
    """Registers a recipe and creates a solution of it: its ARN."""

    def create(recipe, **members):
        return service.create_solution(
            name=recipe.name,
            datasetGroupArn=shop.group,
            recipeArn=register(recipe, home=service.home),
            **members,
        )["solutionArn"]

    return create


@pytest.fixture
def serve(service, solution_of):
    """Trains a recipe and puts a campaign in front: its ARN."""

    def deploy(recipe, config=None, **members):
        solution = solution_of(recipe, **members)
        version = service.create_solution_version(solutionArn=solution)["solutionVersionArn"]
        return service.create_campaign(
            name=recipe.name, solutionVersionArn=version, campaignConfig=config or {}
        )["campaignArn"]

    return deploy


def asked(service, campaign, **members):
    service.describe_campaign(campaignArn=campaign)
    answer = service.get_recommendations(
        campaignArn=campaign, userId="viewer-1", numResults=50, **members
    )
    return [item["itemId"] for item in answer["itemList"]]


def test_events_are_weighed(service, shop, serve):
    weights = [{"eventType": "watch", "weight": 0.0}, {"eventType": "click", "weight": 1.0}]
    config = {"eventsConfig": {"eventParametersList": weights}}
    dull = {"itemExplorationConfig": {"explorationWeight": "0"}}
    listed = asked(service, serve(Able, dull, solutionConfig=config))
    clicks = shop.frame[shop.frame.EVENT_TYPE == "click"].ITEM_ID.value_counts()
    assert clicks[listed[0]] == clicks.max()


def test_an_objective_is_taken(service, serve):
    objective = {"itemAttribute": "PRICE", "objectiveSensitivity": "HIGH"}
    campaign = serve(Able, solutionConfig={"optimizationObjective": objective})
    version = service.describe_campaign(campaignArn=campaign)["campaign"]["solutionVersionArn"]
    metrics = service.get_solution_metrics(solutionVersionArn=version)["metrics"]
    assert 0 < metrics["average_rewards_at_k"] <= 1


@pytest.mark.parametrize(("weight", "place"), [("0", -1), ("0.5", 0)])
def test_it_explores_as_much_as_the_campaign_says(service, serve, weight, place):
    campaign = serve(Able, {"itemExplorationConfig": {"explorationWeight": weight}})
    assert asked(service, campaign)[place] == COLD


def test_it_answers_with_metadata_unasked(service, serve):
    asked_for = {"userId": "viewer-1", "metadataColumns": {"ITEMS": ["TITLE"]}, "numResults": 3}
    answer = service.get_recommendations(campaignArn=serve(Able), **asked_for)
    assert all(item["metadata"]["title"].startswith("Film ") for item in answer["itemList"])
    plain = serve(Plain)
    with pytest.raises(InvalidInputException, match="enableMetadataWithRecommendations"):
        service.get_recommendations(campaignArn=plain, **asked_for)


def put_film(service, shop, item="film-new"):
    dataset = shop.dataset.replace("INTERACTIONS", "ITEMS")
    told = json.dumps({"title": "A new one", "price": 3.0, "plot": "New"})
    service.put_items(datasetArn=dataset, items=[{"itemId": item, "properties": told}])


def test_a_version_is_updated_by_training_mode(service, shop, solution_of):
    solution = solution_of(Able)
    service.create_solution_version(solutionArn=solution)
    put_film(service, shop)
    updated = service.create_solution_version(solutionArn=solution, trainingMode="UPDATE")
    campaign = service.create_campaign(name="c", **updated)["campaignArn"]
    assert "film-new" in asked(service, campaign)


def test_what_serves_is_updated_by_the_clock(service, shop, serve, clock):
    campaign = serve(Able)
    before = asked(service, campaign)
    put_film(service, shop)
    clock.advance(2 * HOUR - 100)
    assert asked(service, campaign) == before
    clock.advance(200)
    listed = asked(service, campaign)
    assert "film-new" in listed
    assert listed[0] != COLD, "the exposure was counted again"


@pytest.mark.parametrize("wanted", [True, False])
def test_an_update_on_request_needs_the_request(service, shop, serve, clock, wanted):
    campaign = serve(OnRequest, performIncrementalUpdate=wanted)
    put_film(service, shop)
    clock.advance(3 * HOUR)
    assert ("film-new" in asked(service, campaign)) == wanted


def test_without_the_attributes_nothing_of_it_is_taken(service, shop, solution_of, serve, clock):
    for member, given in (
        ("eventsConfig", {"eventParametersList": [{"eventType": "watch"}]}),
        ("optimizationObjective", {"itemAttribute": "PRICE"}),
    ):
        with pytest.raises(InvalidInputException, match=rf"plain does not take.*{member}"):
            solution_of(Plain, solutionConfig={member: given})
    with pytest.raises(InvalidInputException, match="performIncrementalUpdate is for"):
        solution_of(Plain, performIncrementalUpdate=True)
    campaign = serve(Plain)
    version = service.describe_campaign(campaignArn=campaign)["campaign"]["solutionVersionArn"]
    for config in ({"itemExplorationConfig": {}}, {"rankingInfluence": {"POPULARITY": 0.5}}):
        with pytest.raises(InvalidInputException, match="does not apply to the recipe plain"):
            service.create_campaign(name="c", solutionVersionArn=version, campaignConfig=config)
    with pytest.raises(InvalidInputException, match=r"trainingMode UPDATE is for .* uses plain"):
        service.create_solution_version(
            solutionArn=version.rpartition("/")[0], trainingMode="UPDATE"
        )
    put_film(service, shop)
    clock.advance(10 * HOUR)
    assert "film-new" not in asked(service, campaign)


def test_heirs_of_our_recipes_have_their_abilities():
    assert Themed.has_themes
    assert (ByAttributes.segments_by, ByItem.segments_by) == ("itemAttributes", "itemId")


def test_a_recipe_says_in_its_docstring_what_it_is(service):
    arn = register(OnRequest, home=service.home)
    described = service.describe_recipe(recipeArn=arn)["recipe"]
    assert described["description"] == "Is updated only if the solution wants it."
