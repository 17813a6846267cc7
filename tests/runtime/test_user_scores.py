"""Scores are computed once for a history, and what is known of a user decides which history."""

import numpy as np
import pandas as pd
import pytest

from personalens.home import Home
from personalens.recipes.base import Recipe
from personalens.runtime.deployments import Deployment
from personalens.runtime.users import UserHistories, UserScores
from personalens.storage.event_log import EventLog

GROUP = "arn:aws:personalize:us-east-1:123456789012:dataset-group/films"

EVENTS = pd.DataFrame(
    {"USER_ID": ["u", "u", "v"], "ITEM_ID": ["a", "b", "a"], "TIMESTAMP": [1, 2, 3]}
)


class CountingRecipe(Recipe):
    """Scores an item by how often the user had it, and counts how often it is asked."""

    name = "counting"
    recipe_type = "USER_PERSONALIZATION"
    asked = 0

    def _fit(self, interactions, items, users, progress, refit):
        pass

    def _score(self, histories):
        self.asked += len(histories)
        return np.array(
            [np.bincount(past.item_codes, minlength=len(self.items_)) for past in histories], float
        )

    def _tensors(self):
        return {}

    def _restore(self, tensors):
        pass


@pytest.fixture
def model():
    return CountingRecipe().fit(EVENTS)


@pytest.fixture
def histories(tmp_path):
    return UserHistories(EventLog(Home(tmp_path / "home")))


def deployed(model, version="v1"):
    return Deployment("arn:campaign", version, GROUP, model)


@pytest.fixture
def scores_of(histories, model):
    def ask(cache, user, version="v1", **request):
        deployment = deployed(model, version)
        state = histories.state(deployment, user, **request)
        return cache.of(deployment, state).values[0].tolist()

    return ask


def test_a_users_state_is_the_past_that_the_model_was_trained_on(model, histories):
    state = histories.state(deployed(model), "u", context={"DEVICE": "tv"})
    assert model.items_.decode(state.history.item_codes).tolist() == ["a", "b"]
    assert state.history.context == {"DEVICE": "tv"}


def test_users_without_a_past_share_one_state(model, histories):
    revisions = {histories.state(deployed(model), user).revision for user in ("x", "y", None)}
    assert len(revisions) == 1
    assert len(histories.state(deployed(model), "x").history) == 0


def test_a_newcomer_of_whom_something_is_known_has_a_state_of_their_own(histories):
    users = pd.DataFrame({"USER_ID": ["u", "x"], "PLAN": ["free", "paid"]})

    class KeepsUsers(CountingRecipe):
        keeps_users = True

    model = KeepsUsers().fit(EVENTS, users=users)
    known, nobody = (histories.state(deployed(model), user) for user in ("x", "nobody"))
    assert len(known.history) == len(nobody.history) == 0
    assert known.history.user == {"PLAN": "paid"}
    assert known.revision != nobody.revision


def test_a_user_is_scored_once(model, scores_of):
    cache = UserScores()
    assert scores_of(cache, "u") == scores_of(cache, "u") == [1.0, 1.0]
    assert model.asked == 1


@pytest.mark.parametrize(
    "other", [{"user": "v"}, {"version": "v2"}, {"context": {"DEVICE": "tv"}}, {"user": "nobody"}]
)
def test_another_user_version_or_context_is_scored_again(model, scores_of, other):
    cache = UserScores()
    scores_of(cache, "u")
    scores_of(cache, **{"user": "u", **other})
    assert model.asked == 2


def test_the_vectors_stay_within_their_bytes(model, scores_of):
    cache = UserScores(capacity_bytes=2 * 8 * 2)  # two vectors of two float64
    for user in ("u", "v", "u", "nobody"):
        scores_of(cache, user)
    assert (len(cache), model.asked) == (2, 3)
    scores_of(cache, "u")
    assert model.asked == 3, "u was asked for after v, so v has left"
    scores_of(cache, "v")
    assert model.asked == 4
