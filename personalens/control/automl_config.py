"""Among which recipes AutoML chooses, and by what: ``autoMLConfig`` of CreateSolution.

Amazon Personalize: ``performAutoML``, which its guide calls a legacy way to choose among the HRNN
recipes. All else in ``solutionConfig`` is ignored then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from personalens.arns import parse, recipe_arn
from personalens.evaluation.offline_report import LIST_LENGTH, NDCG_DEPTHS, PRECISION_DEPTHS
from personalens.recipes.registry import PREVIEW_NAMES, RecipeEntry
from personalens.service_errors import InvalidInputException

METRICS = (
    f"mean_reciprocal_rank_at_{LIST_LENGTH}",
    *(f"normalized_discounted_cumulative_gain_at_{k}" for k in NDCG_DEPTHS),
    *(f"precision_at_{k}" for k in PRECISION_DEPTHS),
)
DEFAULT_RECIPES = {
    "aws-hrnn": frozenset(),
    "aws-hrnn-metadata": frozenset(),
    "aws-hrnn-coldstart": frozenset({"ITEMS"}),
}
"""What is compared without a ``recipeList``, and the datasets that each cannot do without."""

COMPARABLE = ("USER_PERSONALIZATION", "POPULAR_ITEMS")
"""Recipe types that answer the same question: what to recommend to a user."""


def automl_recipes(
    config: Mapping[str, Any], recipes: Mapping[str, RecipeEntry], datasets: Collection[str]
) -> list[str]:
    """Return the ARNs of the recipes that AutoML compares.

    Parameters
    ----------
    config
        ``solutionConfig``.
    recipes
        All that exist, by name.
    datasets
        The types of the dataset group's datasets, in upper case.

    Raises
    ------
    InvalidInputException
        For an unknown metric, an unknown recipe, or one that does not recommend to users.
    """
    automl = config.get("autoMLConfig", {})
    metric = automl.get("metricName")
    if metric is not None and metric not in METRICS:
        raise InvalidInputException(
            f"autoMLConfig.metricName is {metric!r}; choose {', '.join(METRICS)}."
        )
    listed = automl.get("recipeList") or [
        recipe_arn(name)
        for name, needed in DEFAULT_RECIPES.items()
        if name in recipes and needed <= set(datasets)
    ]
    return list(dict.fromkeys(recipe_arn(_comparable(arn, recipes)) for arn in listed))


def _comparable(arn: str, recipes: Mapping[str, RecipeEntry]) -> str:
    parsed = parse(arn)
    entry = recipes.get(PREVIEW_NAMES.get(parsed.name, parsed.name))
    comparable = sorted(n for n, e in recipes.items() if e.recipe_type in COMPARABLE)
    if parsed.kind != "recipe" or entry is None or entry.recipe_type not in COMPARABLE:
        raise InvalidInputException(
            f"autoMLConfig.recipeList has {arn}; AutoML compares recipes that recommend to users: "
            f"{', '.join(comparable)}."
        )
    return entry.name
