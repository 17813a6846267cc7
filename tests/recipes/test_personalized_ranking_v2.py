"""aws-personalized-ranking-v2: the contract, and items of which nothing is known."""

from typing import Any, ClassVar

import pandas as pd

from personalens.recipes.personalized_ranking import PersonalizedRankingV2
from personalens.testing.recipe_contract import RecipeContract
from personalens.testing.tiny_world import tiny_world
from personalens.training.options import TrainingOptions


class TestPersonalizedRankingV2(RecipeContract):
    recipe = PersonalizedRankingV2
    overrides: ClassVar[dict[str, Any]] = {"training": TrainingOptions(max_epochs=3)}
    floor = 0.4


def test_items_without_interactions_have_no_score():
    world = tiny_world()
    genres = {**world.genre, "noir-99": "noir"}
    items = pd.DataFrame({"ITEM_ID": list(genres), "GENRES": list(genres.values())})
    model = PersonalizedRankingV2(training=TrainingOptions(max_epochs=1)).fit(
        world.interactions, items=items
    )
    ranked = model.rank("noir-fan-0", ["noir-99", "space-01", "noir-01"])
    assert ranked.ITEM_ID.iloc[-1] == "noir-99"
    assert ranked.SCORE.isna().tolist() == [False, False, True]
    assert PersonalizedRankingV2.recipe_type == "PERSONALIZED_RANKING"
