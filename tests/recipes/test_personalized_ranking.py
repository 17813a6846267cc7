"""aws-personalized-ranking: the contract, and items of which nothing is known."""

from typing import Any, ClassVar

from personalens.recipes.personalized_ranking import PersonalizedRanking
from personalens.testing.recipe_contract import RecipeContract
from personalens.training.options import TrainingOptions


class TestPersonalizedRanking(RecipeContract):
    recipe = PersonalizedRanking
    overrides: ClassVar[dict[str, Any]] = {
        "hidden_dimension": 32,
        "training": TrainingOptions(max_epochs=3),
    }
    floor = 0.5


def test_it_has_the_type_that_ranks_lists_and_the_width_of_its_documentation():
    assert PersonalizedRanking.recipe_type == "PERSONALIZED_RANKING"
    assert PersonalizedRanking().config.hidden_dimension == 149
