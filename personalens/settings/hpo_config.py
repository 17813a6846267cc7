"""What a search may try: ``hpoConfig`` and ``autoMLConfig`` of CreateSolution, checked and read.

What does not fit is refused with an InvalidInputException that names the member, its value and what
is allowed. Amazon Personalize: ``performHPO`` and ``performAutoML``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from personalens.arns import parse, recipe_arn
from personalens.evaluation.offline_report import LIST_LENGTH, NDCG_DEPTHS, PRECISION_DEPTHS
from personalens.recipes.hyperparameters import ALGORITHM, Hyperparameter
from personalens.recipes.registry import AUTOML_RECIPES, PREVIEW_NAMES, RecipeEntry
from personalens.service_errors import InvalidInputException
from personalens.training.tuning import Range

MAX_JOBS, MAX_PARALLEL_JOBS = 40, 10
DEFAULT_JOBS, DEFAULT_PARALLEL_JOBS = 10, 2
"""The same on every machine: what is found depends on how many trials run at a time."""

OF_THE_DATA = ("recency_mask",)
"""What the service tunes in preparing the data, and not in training."""
_TRAINING, _DATA = "training.", "data."


@dataclass(frozen=True)
class SearchPlan:
    """What is varied within which bounds, in how many trainings, how many of them at a time."""

    space: tuple[Range, ...]
    jobs: int
    parallel: int


def plan_search(entry: RecipeEntry, config: Mapping[str, Any]) -> SearchPlan:
    """Return the search that a ``solutionConfig`` asks for.

    Ranges that are given say all that is varied. Without any, every tunable hyperparameter is
    varied over the recipe's own range, except those that ``algorithmHyperParameters`` sets.
    ``hpoObjective`` is accepted and changes nothing, as in AWS.
    """
    hpo = config.get("hpoConfig", {})
    resources = hpo.get("hpoResourceConfig", {})
    jobs = _count(resources, "maxNumberOfTrainingJobs", DEFAULT_JOBS, MAX_JOBS)
    parallel = _count(
        resources, "maxParallelTrainingJobs", DEFAULT_PARALLEL_JOBS, MAX_PARALLEL_JOBS
    )
    tunable = {row.name: row for row in entry.hyperparameters() if row.tunable}
    if not tunable:
        raise InvalidInputException(
            f"{entry.name} has no hyperparameter that can be tuned: set performHPO to false."
        )
    given = hpo.get("algorithmHyperParameterRanges", {})
    space = [
        _asked_range(entry.name, tunable, kind, asked)
        for kind in ("integer", "continuous", "categorical")
        for asked in given.get(f"{kind}HyperParameterRanges", [])
    ]
    names = [one.name for one in space]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInputException(f"hpoConfig has two ranges for {', '.join(twice)}.")
    if not space:
        fixed = config.get("algorithmHyperParameters", {})
        space = [default_range(row) for name, row in tunable.items() if name not in fixed]
    if not space:
        raise InvalidInputException(
            "algorithmHyperParameters sets every hyperparameter that could be tuned: leave one "
            f"out ({', '.join(tunable)}), or set performHPO to false."
        )
    return SearchPlan(tuple(space), jobs, min(parallel, jobs))


def shown_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a ``solutionConfig`` as the Describe operations show it: what may be tuned has the
    name of its stage in front.

    Amazon Personalize: the guide's example of DescribeSolution, after an HPO.

    Examples
    --------
    >>> ranges = {"categoricalHyperParameterRanges": [{"name": "recency_mask", "values": ["true"]}]}
    >>> shown_config({"hpoConfig": {"algorithmHyperParameterRanges": ranges}})["hpoConfig"]
    ... # doctest: +NORMALIZE_WHITESPACE
    {'algorithmHyperParameterRanges': {'categoricalHyperParameterRanges':
     [{'name': 'data.recency_mask', 'values': ['true']}]}}
    """
    if "algorithmHyperParameterRanges" not in config.get("hpoConfig", {}):
        return dict(config)
    hpo = dict(config["hpoConfig"])
    hpo["algorithmHyperParameterRanges"] = {
        kind: [{**one, "name": _shown_name(one["name"])} if "name" in one else one for one in given]
        for kind, given in hpo["algorithmHyperParameterRanges"].items()
    }
    return {**config, "hpoConfig": hpo}


def default_range(row: Hyperparameter) -> Range:
    """Return a tunable hyperparameter's own range."""
    if row.kind == "categorical":
        return Range(row.name, "categorical", values=row.values)
    if row.minimum is None or row.maximum is None:
        raise InvalidInputException(
            f"{row.name} has no range of its own: give one in hpoConfig."
            f"algorithmHyperParameterRanges.{row.kind}HyperParameterRanges."
        )
    return Range(row.name, row.kind, row.minimum, row.maximum)


def _asked_range(
    recipe: str, tunable: Mapping[str, Hyperparameter], kind: str, asked: Mapping[str, Any]
) -> Range:
    where = f"hpoConfig.algorithmHyperParameterRanges.{kind}HyperParameterRanges"
    name = asked.get("name", "")
    row = tunable.get(_plain_name(name))
    if row is None or row.group != ALGORITHM:
        raise InvalidInputException(
            f"{where} names {name!r}; {recipe} can tune {', '.join(tunable)}."
        )
    if row.kind != kind:
        raise InvalidInputException(
            f"{where} names {name}, which belongs in {row.kind}HyperParameterRanges."
        )
    if kind == "categorical":
        values = tuple(asked.get("values", ()))
        if not values or not set(values) <= set(row.values):
            raise InvalidInputException(
                f"{where}: the values of {name} are {list(values)}; choose among "
                f"{', '.join(row.values)}."
            )
        return Range(row.name, kind, values=values)
    return Range(row.name, row.kind, *_bounds(where, row, asked))


def _bounds(where: str, row: Hyperparameter, asked: Mapping[str, Any]) -> tuple[float, float]:
    low, high = asked.get("minValue", row.minimum), asked.get("maxValue", row.maximum)
    inside = (
        low is not None
        and high is not None
        and low <= high
        and (row.minimum is None or row.minimum <= low)
        and (row.maximum is None or high <= row.maximum)
    )
    if not inside:
        raise InvalidInputException(
            f"{where}: {row.name} from {low} to {high}; give minValue and maxValue in order and "
            f"between {row.minimum} and {row.maximum}."
        )
    return low, high


def _plain_name(name: str) -> str:
    """Return a name without its stage: what was shown may be asked for again."""
    return name.removeprefix(_TRAINING).removeprefix(_DATA)


def _shown_name(name: str) -> str:
    plain = _plain_name(name)
    return (_DATA if plain in OF_THE_DATA else _TRAINING) + plain


def _count(resources: Mapping[str, str], member: str, default: int, most: int) -> int:
    text = resources.get(member)
    if text is None:
        return default
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if not 1 <= number <= most:
        raise InvalidInputException(
            f'hpoConfig.hpoResourceConfig.{member} is {text!r}; give "1" to "{most}".'
        )
    return number


METRICS = (
    f"mean_reciprocal_rank_at_{LIST_LENGTH}",
    *(f"normalized_discounted_cumulative_gain_at_{k}" for k in NDCG_DEPTHS),
    *(f"precision_at_{k}" for k in PRECISION_DEPTHS),
)
COMPARABLE = ("USER_PERSONALIZATION", "POPULAR_ITEMS")
"""Recipe types that answer the same question: what to recommend to a user."""


def automl_recipes(
    config: Mapping[str, Any], recipes: Mapping[str, RecipeEntry], datasets: Collection[str]
) -> list[str]:
    """Return the ARNs of the recipes that AutoML compares, of all that exist by name.

    Where none is listed, recipes that need an Items dataset are passed by if it is not among the
    group's ``datasets``, types in upper case.
    """
    automl = config.get("autoMLConfig", {})
    metric = automl.get("metricName")
    if metric is not None and metric not in METRICS:
        raise InvalidInputException(
            f"autoMLConfig.metricName is {metric!r}; choose {', '.join(METRICS)}."
        )
    usual = [recipes[name] for name in AUTOML_RECIPES if name in recipes]
    listed = automl.get("recipeList") or [
        recipe_arn(entry.name)
        for entry in usual
        if "ITEMS" in datasets or not entry.recipe.needs_items
    ]
    return list(dict.fromkeys(recipe_arn(_comparable(arn, recipes)) for arn in listed))


def _comparable(arn: str, recipes: Mapping[str, RecipeEntry]) -> str:
    parsed = parse(arn)
    entry = recipes.get(PREVIEW_NAMES.get(parsed.name, parsed.name))
    if parsed.kind == "recipe" and entry is not None and entry.recipe_type in COMPARABLE:
        return entry.name
    comparable = sorted(n for n, e in recipes.items() if e.recipe_type in COMPARABLE)
    raise InvalidInputException(
        f"autoMLConfig.recipeList has {arn}; AutoML compares recipes that recommend to users: "
        f"{', '.join(comparable)}."
    )
