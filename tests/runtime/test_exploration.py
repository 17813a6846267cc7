"""What a campaign's exploration settings change in its answers."""

import numpy as np
import pytest

from personalens.runtime.answering import SEED_VARIABLE, RequestRandomness
from personalens.storage.model_folders import load_model, version_folder

RECIPE = "arn:aws:personalize:::recipe/aws-user-personalization"


@pytest.fixture
def version(service, films, monkeypatch):
    """A solution version that is hardly trained, which is enough to serve."""
    monkeypatch.setenv("PERSONALENS_TRAINING_MAX_EPOCHS", "1")
    solution = service.create_solution(
        name="new-films",
        datasetGroupArn=films.group,
        recipeArn=RECIPE,
        solutionConfig={"algorithmHyperParameters": {"hidden_dimension": "32"}},
    )["solutionArn"]
    return service.create_solution_version(solutionArn=solution)["solutionVersionArn"]


@pytest.fixture
def answers(service, version):
    """Deploy with exploration settings and ask: the item ids of so many requests."""

    def ask(times: int = 1, **settings: str) -> list[list[str]]:
        name = f"campaign-{len(service.list_campaigns()['campaigns'])}"
        arn = service.create_campaign(
            name=name,
            solutionVersionArn=version,
            campaignConfig={"itemExplorationConfig": settings} if settings else {},
        )["campaignArn"]
        replies = [
            service.get_recommendations(campaignArn=arn, userId="nobody", numResults=10)
            for _ in range(times)
        ]
        return [[item["itemId"] for item in reply["itemList"]] for reply in replies]

    return ask


def test_weight_nought_is_the_model_itself(service, version, answers):
    model = load_model(version_folder(service.home, version))
    best = model.recommend(["nobody"], k=10).ITEM_ID.tolist()
    assert answers(2, explorationWeight="0") == [best, best]


def test_requests_differ_where_there_is_something_to_explore(answers):
    everything_is_young = {"explorationWeight": "1", "explorationItemAgeCutOff": "100000"}
    replies = answers(10, **everything_is_young)
    assert len({tuple(reply) for reply in replies}) > 1
    assert all(len(set(reply)) == 10 for reply in replies)


def test_chance_repeats_where_that_is_asked_for(monkeypatch):
    monkeypatch.setenv(SEED_VARIABLE, "5")
    draws = [[RequestRandomness().generator().random()] for _ in range(2)]
    chance = RequestRandomness()
    assert draws[0] == draws[1] == [chance.generator().random()]
    assert chance.generator().random() != draws[0][0]
    monkeypatch.delenv(SEED_VARIABLE)
    free = [RequestRandomness().generator().random() for _ in range(2)]
    assert free[0] != free[1]
    assert np.isfinite(free).all()
