"""The recipes that exist, found by name: one line each, from which the service's lists are made.

Adding a recipe is a file with its class and one line here; whatever else there is to say of a
recipe, its class says. Listing recipes imports no recipe's module; describing one does.

Amazon Personalize: ListRecipes, DescribeRecipe, DescribeAlgorithm, DescribeFeatureTransformation.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Literal

from personalens.recipes.hyperparameters import (
    Hyperparameter,
    RecipeConfig,
    hyperparameter_table,
    parse_hyperparameters,
)

if TYPE_CHECKING:
    from personalens.recipes.base import Recipe, RecipeType


@dataclass(frozen=True)
class RecipeEntry:
    """One recipe as the service lists it; its class is imported when it is asked for."""

    name: str
    """The service's name, the last part of the recipe's ARN."""
    implementation: str
    """``module:class`` of the :class:`~personalens.recipes.base.Recipe`."""
    algorithm: str
    feature_transformation: str
    """Names in the ARNs that DescribeRecipe refers to."""
    domain: Literal["VIDEO_ON_DEMAND", "ECOMMERCE"] | None = None
    """For which domain's dataset groups it is, as a recommender; None: for custom solutions."""

    @property
    def recipe(self) -> type[Recipe]:
        """The recipe's class."""
        module, _, attribute = self.implementation.partition(":")
        return getattr(importlib.import_module(module), attribute)

    @property
    def config(self) -> type[RecipeConfig]:
        """The class of the recipe's hyperparameters."""
        return self.recipe.Config

    @property
    def recipe_type(self) -> RecipeType:
        """The service's recipe type, such as USER_PERSONALIZATION."""
        return self.recipe.recipe_type

    def hyperparameters(self) -> list[Hyperparameter]:
        """Return the recipe's hyperparameters as the service shows them."""
        return hyperparameter_table(self.config)

    def parse(
        self,
        algorithm: Mapping[str, str] | None = None,
        feature_transformation: Mapping[str, str] | None = None,
    ) -> RecipeConfig:
        """Return the config that a solution's two maps of strings ask for; ValueError for what the
        recipe does not take."""
        return parse_hyperparameters(self.name, self.config, algorithm, feature_transformation)


_IMPLEMENTATIONS = {
    "aws-deepfm": "field_recipes:DeepFMRecipe",
    "aws-ffnn": "field_recipes:FFNN",
    "aws-hrnn": "hrnn:HRNN",
    "aws-popularity-count": "popularity_count:PopularityCount",
    "aws-sims": "sims:SIMS",
    "aws-trending-now": "trending_now:TrendingNow",
    "aws-similar-items": "similar_items:SimilarItems",
    "aws-semantic-similarity": "semantic_similarity:SemanticSimilarity",
    "aws-next-best-action": "next_best_action:NextBestAction",
    "aws-item-affinity": "item_affinity:ItemAffinity",
    "aws-item-attribute-affinity": "item_attribute_affinity:ItemAttributeAffinity",
    "aws-hrnn-metadata": "hrnn:HRNNMetadata",
    "aws-hrnn-coldstart": "hrnn_coldstart:HRNNColdstart",
    "aws-user-personalization": "user_personalization:UserPersonalization",
    "aws-personalized-ranking": "personalized_ranking:PersonalizedRanking",
    "aws-user-personalization-v2": "user_personalization_v2:UserPersonalizationV2",
    "aws-personalized-ranking-v2": "personalized_ranking:PersonalizedRankingV2",
    "aws-vod-because-you-watched-x": "domain:BecauseYouWatchedX",
    "aws-vod-more-like-x": "domain:MoreLikeX",
    "aws-vod-most-popular": "domain:MostPopular",
    "aws-vod-trending-now": "domain:VideoTrendingNow",
    "aws-vod-top-picks": "domain:TopPicks",
    "aws-ecomm-popular-items-by-views": "domain:PopularByViews",
    "aws-ecomm-popular-items-by-purchases": "domain:PopularByPurchases",
    "aws-ecomm-frequently-bought-together": "domain:FrequentlyBoughtTogether",
    "aws-ecomm-customers-who-viewed-x-also-viewed": "domain:CustomersWhoViewed",
    "aws-ecomm-recommended-for-you": "domain:RecommendedForYou",
}

_TRANSFORMATIONS = {
    "aws-deepfm": "JSON-percentile-filtering",
    "aws-ffnn": "JSON-percentile-filtering",
    "aws-hrnn": "JSON-percentile-filtering",
    "aws-user-personalization": "JSON-percentile-filtering",
    "aws-personalized-ranking": "JSON-percentile-filtering",
    "aws-hrnn-metadata": "featurize_metadata",
    "aws-hrnn-coldstart": "featurize_coldstart",
    "aws-popularity-count": "sims",
    "aws-user-personalization-v2": "aws-user-personalization-v2",
    "aws-personalized-ranking-v2": "aws-personalized-ranking-v2",
}
"""Feature transformations whose name is not that of the recipe without ``aws-``."""

_ALGORITHMS = {"aws-trending-now": "aws-trending-now-custom"}
"""Algorithms that are not called as the recipe is."""

PREVIEW_NAMES = {
    "awspersonalizedeepfmmodel": "aws-deepfm",
    "awspersonalizeffnnmodel": "aws-ffnn",
    "awspersonalizehrnnmodel": "aws-hrnn",
    "awspersonalizesimsmodel": "aws-sims",
    "popularity-baseline": "aws-popularity-count",
}
"""What the preview of 2018 called its recipes, and what they are called since; old notebooks use
these names in their ARNs."""

AUTOML_RECIPES = ("aws-hrnn", "aws-hrnn-metadata", "aws-hrnn-coldstart")
"""What AutoML compares where a solution does not list recipes."""

ENTRY_POINTS = "personalens.recipes"
"""The group of entry points by which an installed package offers its recipes, each under its
name: ``[project.entry-points."personalens.recipes"]``, ``my-recipe = "my_package.file:MyRecipe"``.
"""


def _entry(name: str, implementation: str) -> RecipeEntry:
    plain = name.removeprefix("aws-")
    domains = {"vod": "VIDEO_ON_DEMAND", "ecomm": "ECOMMERCE"}
    return RecipeEntry(
        name=name,
        implementation=f"personalens.recipes.{implementation}",
        algorithm=_ALGORITHMS.get(name, name),
        feature_transformation=_TRANSFORMATIONS.get(name, plain),
        domain=domains.get(plain.partition("-")[0]),  # type: ignore[arg-type]
    )


RECIPES = {name: _entry(name, where) for name, where in _IMPLEMENTATIONS.items()}


@cache
def installed() -> dict[str, RecipeEntry]:
    """Return the recipes of installed packages; looking for them imports none."""
    return {
        point.name: RecipeEntry(point.name, point.value, point.name, point.name)
        for point in metadata.entry_points(group=ENTRY_POINTS)
        if point.name not in RECIPES
    }


def get(name: str) -> RecipeEntry:
    """Return the entry of one of our or an installed package's recipes by its name, or by the name
    it had in the preview of 2018; KeyError with the names there are."""
    name = PREVIEW_NAMES.get(name, name)
    entries = RECIPES if name in RECIPES else {**installed(), **RECIPES}
    if name not in entries:
        raise KeyError(f"there is no recipe {name!r}; choose {', '.join(entries)}")
    return entries[name]


def names_with(attribute: str) -> list[str]:
    """Return which of our recipes for custom solutions have an attribute set, for messages; it
    imports them all."""
    return [
        name
        for name, entry in RECIPES.items()
        if entry.domain is None and getattr(entry.recipe, attribute)
    ]
