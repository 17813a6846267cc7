"""aws-deepfm and aws-ffnn: the contract, and what history, metadata and context change."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from personalens.datasets.array_tree import flatten
from personalens.datasets.interactions import History
from personalens.progress import ProgressEvent
from personalens.recipes import registry
from personalens.recipes.field_recipes import FFNN, DeepFMRecipe
from personalens.testing.recipe_contract import RecipeContract
from personalens.testing.tiny_world import same_scores
from personalens.training.options import TrainingOptions

from .conftest import assert_the_context_decides, share_of

RECIPES = [DeepFMRecipe, FFNN]
SHORT = TrainingOptions(max_epochs=4)


class TestFFNN(RecipeContract):
    recipe = FFNN
    overrides: ClassVar[dict[str, Any]] = {"hidden_dimension": 32, "training": SHORT}
    floor = 0.7


class TestDeepFM(RecipeContract):
    recipe = DeepFMRecipe
    overrides: ClassVar[dict[str, Any]] = {"hidden_dimension": 16, "training": SHORT}
    floor = 0.5


@pytest.fixture(scope="module")
def shelf(evenings) -> pd.DataFrame:
    """All items with what they are, and one of each kind that nobody has had yet."""
    kinds = [f"{who}-{device}" for who in ("child", "adult") for device in ("phone", "tv")]
    names = [*evenings.ITEM_ID.unique(), *(f"{kind}-new" for kind in kinds)]
    rows = [(name, *name.split("-")[:2]) for name in names]
    return pd.DataFrame(rows, columns=["ITEM_ID", "AUDIENCE", "PLACE"])


@pytest.fixture(scope="module", params=RECIPES, ids=lambda recipe: recipe.name)
def model(request, evenings, viewers, shelf):
    return request.param(hidden_dimension=32).fit(evenings, users=viewers, items=shelf)


def test_the_context_of_the_request_decides(model):
    assert_the_context_decides(model, 0.7)


def test_a_context_never_seen_is_none(model):
    past = model.history("u3")
    asked = replace(past, context={"DEVICE": "fridge", "PLACE": "kitchen"})
    assert same_scores(model.score([past]), model.score([asked]))


def test_a_new_user_of_whom_the_metadata_are_known_gets_what_such_users_like(model):
    young, old = (replace(History.empty(), user={"AGE": age}) for age in (9.0, 41.0))
    assert share_of(model, young, "child") > 0.6
    assert share_of(model, old, "adult") > 0.6


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_new_user_is_read_by_what_they_had(recipe, evenings):
    model = recipe(training=SHORT).fit(evenings)
    for who in ("child", "adult"):
        had = model.items_.encode([f"{who}-tv-1", f"{who}-phone-2"])
        past = History(had, np.array([1, 2], np.int64))
        assert share_of(model, past, who) > 0.7


def test_items_that_nobody_has_had_are_told_apart_by_their_metadata(model):
    for user, who in (("u0", "child"), ("u1", "adult")):
        asked = replace(model.history(user), context={"DEVICE": "tv"})
        scores = dict(zip(model.items_.ids, model.score([asked])[0], strict=True))
        new = {item: score for item, score in scores.items() if item.endswith("new")}
        assert len(new) == 4
        assert max(new, key=new.__getitem__) == f"{who}-tv-new"


def test_what_it_knows_survives_saving(model, tmp_path):
    model.save(tmp_path / "model")
    loaded = type(model).load(tmp_path / "model")
    asked = [replace(m.history("u5"), context={"DEVICE": "tv"}) for m in (model, loaded)]
    assert same_scores(model.score(asked[:1]), loaded.score(asked[1:]))
    assert loaded.history("u5").user == {"AGE": 40.0}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_training_broken_off_goes_on_to_the_same_model(recipe, evenings, tmp_path):
    def break_off(event: ProgressEvent) -> None:
        if event.epoch == 3:
            raise RuntimeError("out of power")

    def fit(folder: str, **options: Any):
        training = TrainingOptions(max_epochs=3, checkpoint_folder=folder)
        return recipe(training=training).fit(evenings, **options)

    expected = fit("")
    with pytest.raises(RuntimeError, match="out of power"):
        fit(str(tmp_path), progress=break_off)
    heard: list[ProgressEvent] = []
    resumed = fit(str(tmp_path), progress=heard.append)
    assert {event.epoch for event in heard} - {None} == {3}
    past = [expected.history("u1")]
    assert same_scores(resumed.score(past), expected.score(past))


@pytest.mark.parametrize("recipe", RECIPES)
def test_layers_are_half_as_wide_as_the_one_below(recipe, evenings):
    options = {"hidden_dimension": 64, "hidden_layers": 3, "training": TrainingOptions(1)}
    model = recipe(**options).fit(evenings)
    widths = {
        len(array)
        for name, array in flatten(model._tensors()).items()
        if "layers" in name and name.endswith("bias")
    }
    assert {32, 16} <= widths


@pytest.mark.parametrize("name", ["aws-deepfm", "aws-ffnn"])
def test_both_read_all_three_datasets(name):
    assert registry.get(name).recipe.dataset_types == ("Interactions", "Items", "Users")
