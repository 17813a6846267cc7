"""The ten domain recipes keep the promises of all recipes.

The tiny world knows two event types, and the contract's smallest tables none: each recipe learns
here from "watch" events, and what it hides is of that type too.
"""

import pandas as pd

from personalens.recipes import domain
from personalens.testing.recipe_contract import RecipeContract, RelatedItemsContract
from personalens.training.options import TrainingOptions

SMALL = {"item_id_hidden_dim": 30, "item_metadata_hidden_dim": 30}


def watching(recipe):
    """Return the recipe with the tiny world's type in the place of a shop's."""
    rules = {
        name: None if getattr(recipe, name) is None else domain.WATCH
        for name in ("trains_on", "hides")
    }
    return type(recipe.__name__, (recipe,), rules)


class OfWatchers:
    def fitted(self, interactions, **options):
        if isinstance(interactions, pd.DataFrame) and "EVENT_TYPE" not in interactions:
            interactions = interactions.assign(EVENT_TYPE=domain.WATCH)
        return super().fitted(interactions, **options)


class Related(OfWatchers, RelatedItemsContract):
    overrides = SMALL
    floor = 0.5


class Personal(OfWatchers, RecipeContract):
    overrides = {"hidden_dimension": 32, "training": TrainingOptions(max_epochs=1)}  # noqa: RUF012

    # A recommender ranks no lists, so nothing says what becomes of the films that it hides.
    test_ranking_a_list_is_a_slice_of_the_full_ranking = None


class TestBecauseYouWatchedX(Related):
    recipe = watching(domain.BecauseYouWatchedX)


class TestMoreLikeX(Related):
    recipe = watching(domain.MoreLikeX)


class TestFrequentlyBoughtTogether(Related):
    recipe = watching(domain.FrequentlyBoughtTogether)


class TestCustomersWhoViewed(Related):
    recipe = watching(domain.CustomersWhoViewed)


class TestMostPopular(OfWatchers, RecipeContract):
    recipe = watching(domain.MostPopular)


class TestPopularByViews(OfWatchers, RecipeContract):
    recipe = watching(domain.PopularByViews)


class TestPopularByPurchases(OfWatchers, RecipeContract):
    recipe = watching(domain.PopularByPurchases)


class TestVideoTrendingNow(OfWatchers, RecipeContract):
    recipe = watching(domain.VideoTrendingNow)
    floor = -0.2  # what is next in the tiny world has nothing to do with what rises
    test_it_can_be_measured_as_the_service_does = None  # it has figures of its own


class TestTopPicks(Personal):
    recipe = watching(domain.TopPicks)


class TestRecommendedForYou(Personal):
    recipe = watching(domain.RecommendedForYou)
