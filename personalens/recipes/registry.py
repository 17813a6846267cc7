"""The recipes that PersonaLens brings: one row each, from which every list and description is made.

Adding a recipe is a file with its class and one row here. Listing recipes imports no recipe's
module; describing one does.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from personalens.recipes.base import RecipeType

if TYPE_CHECKING:
    from personalens.recipes.base import Recipe, RecipeConfig

EVERY_DATASET = ("Interactions", "Items", "Users")
"""What a recipe from outside the package is given, as far as the dataset group has it."""


@dataclass(frozen=True)
class RecipeEntry:
    """One recipe as the service lists it.

    Attributes
    ----------
    name
        The service's name, the last part of the recipe's ARN.
    implementation
        ``module:class`` of the :class:`~personalens.recipes.base.Recipe`; imported on first use.
    algorithm, feature_transformation
        Names in the ARNs that DescribeRecipe refers to.
    description
        What it learns and when to take it.
    dataset_types
        The data that it reads, Interactions first.
    domain
        For which domain's dataset groups it is, as a recommender; None: for custom solutions.
    """

    name: str
    implementation: str
    algorithm: str
    feature_transformation: str
    description: str
    dataset_types: tuple[str, ...] = ("Interactions",)
    domain: Literal["VIDEO_ON_DEMAND", "ECOMMERCE"] | None = None

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


def _of_domain(
    name: str,
    attribute: str,
    domain: Literal["VIDEO_ON_DEMAND", "ECOMMERCE"],
    description: str,
    *metadata: str,
) -> RecipeEntry:
    """Return the row of a recipe of :mod:`personalens.recipes.domain`."""
    return RecipeEntry(
        name=name,
        implementation=f"personalens.recipes.domain:{attribute}",
        algorithm=name,
        feature_transformation=name.removeprefix("aws-"),
        description=description,
        dataset_types=("Interactions", *metadata),
        domain=domain,
    )


BUILT_IN: tuple[RecipeEntry, ...] = (
    RecipeEntry(
        name="aws-deepfm",
        implementation="personalens.recipes.field_recipes:DeepFMRecipe",
        algorithm="aws-deepfm",
        feature_transformation="JSON-percentile-filtering",
        description=(
            "A factorisation machine and a deep network over the same fields: averages of the "
            "user's history, metadata of users and items, context. Recommends new items by their "
            "metadata."
        ),
        dataset_types=("Interactions", "Items", "Users"),
    ),
    RecipeEntry(
        name="aws-ffnn",
        implementation="personalens.recipes.field_recipes:FFNN",
        algorithm="aws-ffnn",
        feature_transformation="JSON-percentile-filtering",
        description=(
            "A feed-forward network over averages of the user's history, metadata of users and "
            "items, and context; its output is compared with every item. Recommends new items by "
            "their metadata."
        ),
        dataset_types=("Interactions", "Items", "Users"),
    ),
    RecipeEntry(
        name="aws-hrnn",
        implementation="personalens.recipes.hrnn:HRNN",
        algorithm="aws-hrnn",
        feature_transformation="JSON-percentile-filtering",
        description=(
            "A recurrent network that reads each user's events in their order, sessions "
            "included, and predicts the next item. Takes interactions only; new users and new "
            "events are read without retraining."
        ),
    ),
    RecipeEntry(
        name="aws-popularity-count",
        implementation="personalens.recipes.popularity_count:PopularityCount",
        algorithm="aws-popularity-count",
        feature_transformation="sims",
        description=(
            "The items that most users have interacted with, the same list for everyone. The "
            "baseline that any personalised recipe has to beat."
        ),
    ),
    RecipeEntry(
        name="aws-sims",
        implementation="personalens.recipes.sims:SIMS",
        algorithm="aws-sims",
        feature_transformation="sims",
        description=(
            "For one item, the items that the same users have interacted with, weighed against "
            "how popular those are anyway (item-to-item collaborative filtering)."
        ),
    ),
    RecipeEntry(
        name="aws-trending-now",
        implementation="personalens.recipes.trending_now:TrendingNow",
        algorithm="aws-trending-now-custom",
        feature_transformation="trending-now",
        description=(
            "The items that gain interactions fastest from one interval to the next, the same list "
            "for everyone; where nothing rises, the popular items."
        ),
    ),
    RecipeEntry(
        name="aws-similar-items",
        implementation="personalens.recipes.similar_items:SimilarItems",
        algorithm="aws-similar-items",
        feature_transformation="similar-items",
        description=(
            "For one item, the items that go together with it in histories, and, for new or rare "
            "items, what their metadata let expect of that."
        ),
        dataset_types=("Interactions", "Items"),
    ),
    RecipeEntry(
        name="aws-semantic-similarity",
        implementation="personalens.recipes.semantic_similarity:SemanticSimilarity",
        algorithm="aws-semantic-similarity",
        feature_transformation="semantic-similarity",
        description=(
            "For one item, the items whose names and descriptions are about the same, by TF-IDF "
            "and its largest directions; needs no interactions of an item."
        ),
        dataset_types=("Interactions", "Items"),
    ),
    RecipeEntry(
        name="aws-next-best-action",
        implementation="personalens.recipes.next_best_action:NextBestAction",
        algorithm="aws-next-best-action",
        feature_transformation="next-best-action",
        description=(
            "For a user, the actions that they will most likely take, such as joining a programme, "
            "with the probability of each."
        ),
        dataset_types=("Action_Interactions", "Actions", "Interactions"),
    ),
    RecipeEntry(
        name="aws-item-affinity",
        implementation="personalens.recipes.item_affinity:ItemAffinity",
        algorithm="aws-item-affinity",
        feature_transformation="item-affinity",
        description=(
            "For one item, the users who will most likely come to it: vectors of users and items "
            "by matrix factorisation, and how often users come back to what they had."
        ),
    ),
    RecipeEntry(
        name="aws-item-attribute-affinity",
        implementation="personalens.recipes.item_attribute_affinity:ItemAttributeAffinity",
        algorithm="aws-item-attribute-affinity",
        feature_transformation="item-attribute-affinity",
        description=(
            "For attributes of items, such as a genre, the users who will most likely come to "
            "items that have them."
        ),
        dataset_types=("Interactions", "Items"),
    ),
    RecipeEntry(
        name="aws-hrnn-metadata",
        implementation="personalens.recipes.hrnn:HRNNMetadata",
        algorithm="aws-hrnn-metadata",
        feature_transformation="featurize_metadata",
        description=(
            "HRNN that also reads the metadata of items and users and the context of events and "
            "requests, such as a device."
        ),
        dataset_types=("Interactions", "Items", "Users"),
    ),
    RecipeEntry(
        name="aws-hrnn-coldstart",
        implementation="personalens.recipes.hrnn_coldstart:HRNNColdstart",
        algorithm="aws-hrnn-coldstart",
        feature_transformation="featurize_coldstart",
        description=(
            "HRNN with metadata that recommends the new items of a catalogue, those with few or no "
            "interactions, by what their metadata say."
        ),
        dataset_types=("Interactions", "Items", "Users"),
    ),
    RecipeEntry(
        name="aws-user-personalization",
        implementation="personalens.recipes.user_personalization:UserPersonalization",
        algorithm="aws-user-personalization",
        feature_transformation="JSON-percentile-filtering",
        description=(
            "Recommends from the whole catalogue by history, metadata and context, new items "
            "included, and explores items of which little is known."
        ),
        dataset_types=("Interactions", "Items", "Users"),
    ),
    RecipeEntry(
        name="aws-personalized-ranking",
        implementation="personalens.recipes.personalized_ranking:PersonalizedRanking",
        algorithm="aws-personalized-ranking",
        feature_transformation="JSON-percentile-filtering",
        description=(
            "Puts a given list of items into the order in which a user wants them, by history, "
            "metadata and context."
        ),
        dataset_types=("Interactions", "Items", "Users"),
    ),
    RecipeEntry(
        name="aws-user-personalization-v2",
        implementation="personalens.recipes.user_personalization_v2:UserPersonalizationV2",
        algorithm="aws-user-personalization-v2",
        feature_transformation="aws-user-personalization-v2",
        description=(
            "A transformer that reads each user's events, metadata and context, and recommends "
            "from the whole catalogue, new items included."
        ),
        dataset_types=("Interactions", "Items", "Users"),
    ),
    RecipeEntry(
        name="aws-personalized-ranking-v2",
        implementation="personalens.recipes.personalized_ranking:PersonalizedRankingV2",
        algorithm="aws-personalized-ranking-v2",
        feature_transformation="aws-personalized-ranking-v2",
        description=(
            "A transformer that puts a given list of items into the order in which a user wants "
            "them, by events, metadata and context."
        ),
        dataset_types=("Interactions", "Items", "Users"),
    ),
    _of_domain(
        "aws-vod-because-you-watched-x",
        "BecauseYouWatchedX",
        "VIDEO_ON_DEMAND",
        "What those watched who watched the given film, less what the viewer has watched.",
        "Items",
    ),
    _of_domain(
        "aws-vod-more-like-x",
        "MoreLikeX",
        "VIDEO_ON_DEMAND",
        "Films like the given one, by histories and metadata, less what the viewer has watched.",
        "Items",
    ),
    _of_domain(
        "aws-vod-most-popular",
        "MostPopular",
        "VIDEO_ON_DEMAND",
        "The films that most viewers watched.",
    ),
    _of_domain(
        "aws-vod-trending-now",
        "VideoTrendingNow",
        "VIDEO_ON_DEMAND",
        "The films that gain events fastest.",
    ),
    _of_domain(
        "aws-vod-top-picks",
        "TopPicks",
        "VIDEO_ON_DEMAND",
        "Films for this viewer, new ones included, without what they have watched.",
        "Items",
        "Users",
    ),
    _of_domain(
        "aws-ecomm-popular-items-by-views",
        "PopularByViews",
        "ECOMMERCE",
        "The items that most customers looked at.",
    ),
    _of_domain(
        "aws-ecomm-popular-items-by-purchases",
        "PopularByPurchases",
        "ECOMMERCE",
        "The items that most customers bought.",
    ),
    _of_domain(
        "aws-ecomm-frequently-bought-together",
        "FrequentlyBoughtTogether",
        "ECOMMERCE",
        "What those bought who bought the given item.",
        "Items",
    ),
    _of_domain(
        "aws-ecomm-customers-who-viewed-x-also-viewed",
        "CustomersWhoViewed",
        "ECOMMERCE",
        "What those looked at who looked at the given item, less what the customer has bought.",
        "Items",
    ),
    _of_domain(
        "aws-ecomm-recommended-for-you",
        "RecommendedForYou",
        "ECOMMERCE",
        "Items for this customer, new ones included, without what they have bought.",
        "Items",
        "Users",
    ),
)

PREVIEW_NAMES = {
    "awspersonalizedeepfmmodel": "aws-deepfm",
    "awspersonalizeffnnmodel": "aws-ffnn",
    "awspersonalizehrnnmodel": "aws-hrnn",
    "awspersonalizesimsmodel": "aws-sims",
    "popularity-baseline": "aws-popularity-count",
}
"""What the preview of 2018 called its recipes, and what they are called since; old notebooks use
these names in their ARNs."""
