"""The recipes of the domains keep the promises of all recipes: one that relates, one that ranks.

``test_domain.py`` holds that each is the recipe that it stands on, but for the events that it
learns from and the items that it hides. The tiny world knows two event types, and the contract's
smallest tables none: both learn here from "watch" events, and what they hide is of that type too.
"""

import pandas as pd

from personalens.recipes.domain import WATCH, CustomersWhoViewed, TopPicks
from personalens.testing.recipe_contract import RecipeContract, RelatedItemsContract
from personalens.training.options import TrainingOptions


class Viewed(CustomersWhoViewed):
    trains_on = hides = WATCH


class OfWatchers:
    def fitted(self, interactions, **options):
        if isinstance(interactions, pd.DataFrame) and "EVENT_TYPE" not in interactions:
            interactions = interactions.assign(EVENT_TYPE=WATCH)
        return super().fitted(interactions, **options)


class TestCustomersWhoViewed(OfWatchers, RelatedItemsContract):
    recipe = Viewed
    overrides = {"item_id_hidden_dim": 30, "item_metadata_hidden_dim": 30}  # noqa: RUF012
    floor = 0.5


class TestTopPicks(OfWatchers, RecipeContract):
    recipe = TopPicks
    overrides = {"hidden_dimension": 32, "training": TrainingOptions(max_epochs=1)}  # noqa: RUF012

    # A recommender ranks no lists, so nothing says what becomes of the films that it hides.
    test_ranking_a_list_is_a_slice_of_the_full_ranking = None
